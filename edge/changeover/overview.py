"""The shelf in words: what stands there, what is live and since when, what it claims, what it did on this line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.bundle import Bundle, BundleError, Shelf, Trust
from edge.changeover.history import History, Tally, minute

LINKS = {"current": "live", "previous": "previous", "shadow": "shadow"}


def overview(shelf: Shelf, trust: Trust, history: History) -> Iterator[str]:
    """The lines to print, a few for each model."""
    marks = {shelf.linked(link): mark for link, mark in reversed(LINKS.items())}
    if not shelf.slots():
        yield f"{shelf.root}: the shelf is empty; flash a model: linegate models flash BUNDLE"
    for slot in shelf.slots():
        mark = marks.get(slot.resolve(), "")
        try:
            bundle = Bundle.open(slot)
        except BundleError as error:
            yield f"{mark:9}{slot.name:28}damaged: {error}"
            continue
        manifest = bundle.manifest
        yield f"{mark:9}{slot.name:28}{manifest.version:16}{', '.join(manifest.labels)}"
        details = [
            _since(history.went_live(bundle.slot)) if mark == "live" else "",
            _vouched(bundle, trust),
            *claims(manifest.document),
            lived(history.tally(bundle.slot)),
        ]
        for each in filter(None, details):
            yield f"{'':11}{each}"


def claims(document: Mapping[str, Any]) -> Iterator[str]:
    """What the bundle says of itself: escapes and overkill on parts it had never seen, near-copies found."""
    metrics = document.get("metrics")
    tested = metrics.get("grouped") if isinstance(metrics, dict) else None
    rates = tested.get("at_limits", tested) if isinstance(tested, dict) else {}
    said = [_rate(name, rates.get(f"{name}_rate")) for name in ("escape", "overkill", "review")]
    if any(said):
        yield "claims " + ", ".join(filter(None, said))
    leaks = metrics.get("leakage") if isinstance(metrics, dict) else None
    rates = leaks.items() if isinstance(leaks, dict) else ()
    told = [f"{split} {100 * rate:.1f} %" for split, rate in rates if isinstance(rate, int | float)]
    if told:
        yield f"claims leakage (test pictures of parts it was trained on): {', '.join(told)}"


def lived(tally: Tally) -> str:
    """What a model did on this line, in a line; empty when it has not judged here yet."""
    if not tally.parts:
        return ""
    return (
        f"judged here {tally.parts} parts: {100 * tally.rate('reject'):.1f} % rejected,"
        f" {100 * tally.rate('review'):.1f} % reviewed, {tally.failed} without an answer,"
        f" {tally.rate('took_ms'):.2f} ms each"
    )


def _rate(name: str, rate: object) -> str:
    if not isinstance(rate, dict) or not isinstance(rate.get("rate"), int | float):
        return ""
    high = rate.get("high")
    bound = f" (below {100 * high:.1f} %)" if isinstance(high, int | float) else ""
    return f"{name} {100 * rate['rate']:.1f} %{bound}"


def _vouched(bundle: Bundle, trust: Trust) -> str:
    try:
        return str(trust.check(bundle))
    except BundleError as error:
        return "NOT TRUSTED: " + str(error).replace(f"{bundle.folder}{Path('/')}", "").replace(f"{bundle.folder}: ", "")


def _since(event: Mapping[str, Any]) -> str:
    """Since when it is live, how that came, who asked for it, and why."""
    if not event:
        return ""
    how = ", ".join(str(event[each]) for each in ("how", "by", "why") if event.get(each))
    return f"since {minute(event['at'])} ({how})"
