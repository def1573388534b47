"""What a shadow has seen, for people: how often the two models agree, and each part about which they do not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from edge.bundle import BundleError
from edge.changeover.history import minute

DECISIONS = ("pass", "reject", "review")
SHOWN = 60
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c2430;background:#fff}
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #c8d0da;padding:.35rem .8rem;text-align:right}
th{background:#f2f5f8}td.same{background:#e8f4ea}td.other{background:#fdeceb}
figure{display:inline-block;margin:.5rem 1rem 1.2rem 0;vertical-align:top}
figure img{height:128px;image-rendering:pixelated;margin-right:.3rem;border:1px solid #c8d0da}
figcaption{font-size:.85rem;max-width:26rem}b.pass{color:#1c7c37}b.reject{color:#b3261e}b.review{color:#8a5a00}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One candidate beside one live model, as `summary.json` and the pictures beside it tell."""

    folder: Path
    counts: dict[str, Any]

    def cell(self, live: str, candidate: str) -> int:
        """Parts on which the live model decided one thing and the candidate another."""
        return int(self.counts["table"].get(f"{live}/{candidate}", 0))

    @property
    def agreed(self) -> int:
        """Parts on which both decided the same."""
        return sum(self.cell(each, each) for each in DECISIONS)

    def lines(self) -> Iterator[str]:
        """For the terminal."""
        counts, parts = self.counts, max(1, self.counts["parts"])
        yield f"{counts['candidate']} beside {counts['live']}: {counts['parts']} parts, {self.agreed} decided alike"
        yield f"{'live / candidate':18}" + "".join(f"{each:>9}" for each in DECISIONS)
        for live in DECISIONS:
            yield f"{live:18}" + "".join(f"{self.cell(live, each):9}" for each in DECISIONS)
        yield (
            f"candidate: {counts['took_ms'] / parts:.2f} ms an answer, {counts['unanswered']} parts without one,"
            f" {counts['left_out']} left out because the line was busy"
        )

    def disagreements(self) -> Iterator[dict[str, Any]]:
        """The kept ones, oldest first, each with its `name`."""
        for path in sorted(self.folder.glob("[0-9]*.json")):
            try:
                document = json.loads(path.read_bytes())
                yield {"name": path.stem, **{each: document[each] for each in ("live", "candidate", "at")}}
            except (OSError, ValueError, KeyError, TypeError):
                continue

    def page(self) -> str:
        """The report as one HTML file, pictures included."""
        counts = self.counts
        title = f"{escape(counts['candidate'])} beside {escape(counts['live'])}"
        kept = list(self.disagreements())
        figures = "\n".join(self._figure(each) for each in kept[-SHOWN:])
        since = minute(counts["since"])
        shown = f"the newest {SHOWN} of {len(kept)} kept" if len(kept) > SHOWN else f"{len(kept)} kept"
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
            f"<h1>{title}</h1><p>{counts['parts']} parts since {since}, {self.agreed} decided alike. The live model's"
            f" decision counted; the candidate had no say. Rows: live, columns: candidate.</p>{self._table()}"
            f"<p>{escape(list(self.lines())[-1])}.</p><h2>{counts['disagreements']} disagreements, {shown}</h2>"
            f"<p>Each with the part as the camera saw it, and as it was laid before the live model and the candidate."
            f"</p>{figures}</html>\n"
        )

    def _table(self) -> str:
        rows = [f"<tr><th></th>{''.join(f'<th>{each}</th>' for each in DECISIONS)}</tr>"]
        for live in DECISIONS:
            cells = (
                f'<td class="{"same" if live == each else "other"}">{self.cell(live, each)}</td>' for each in DECISIONS
            )
            rows.append(f"<tr><th>{live}</th>{''.join(cells)}</tr>")
        return f"<table>{''.join(rows)}</table>"

    def _figure(self, kept: dict[str, Any]) -> str:
        images = "".join(_image(self.folder / f"{kept['name']}-{each}.png") for each in ("part", "live", "candidate"))
        said = ", ".join(f"{each} {_said(kept[each])}" for each in ("live", "candidate"))
        return f"<figure>{images}<figcaption>{kept['name']}: {said}</figcaption></figure>"


def comparisons(folder: Path) -> list[Comparison]:
    """Every pair that was compared here, the newest last; raises `BundleError` when there is none."""
    found = []
    for path in sorted(folder.glob("*/summary.json"), key=lambda each: each.stat().st_mtime):
        try:
            counts = json.loads(path.read_bytes())
            if counts["schema"] == "linegate.shadow/1":
                found.append(Comparison(folder=path.parent, counts=counts))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if not found:
        raise BundleError(f"{folder}: no model has shadowed here yet; begin with linegate models shadow BUNDLE")
    return found


def _said(verdict: dict[str, Any]) -> str:
    decision = escape(str(verdict["decision"]))
    return f'<b class="{decision}">{decision}</b> {escape(str(verdict["label"]))} ({float(verdict["score"]):.3f})'


def _image(path: Path) -> str:
    try:
        return f'<img alt="" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode("ascii")}">'
    except OSError:
        return ""
