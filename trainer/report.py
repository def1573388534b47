"""From numbers to one small page that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import charts, figures
from trainer.claims import CHOSEN, at_limits, claims, official, rate_text, warnings, without_twins
from trainer.figures import percent
from trainer.limits import Limits
from trainer.measure import Parts
from trainer.page import listed, page, paragraph, table
from trainer.recipe import Recipe

Document = dict[str, Any]

VARIANTS = ("float32", "float16", "dynamic_range", "int8_ptq", "int8_qat")
COUNTED = (
    "Accuracy, precision, recall and F1 (of the defect class), escapes and overkill are counted over parts at the "
    "middle of the review band; in brackets the exact 95 % interval. Latency: one picture, one thread, this machine."
)
COMPARED = (
    "Trained on the same training pictures for the epochs that the recipe gives them, full int8, limits set by the "
    "same rule. All latencies were taken in turns in one process, so that a busy moment slows all alike."
)
LOOK_UP = (
    "These methods look at raw pixels, brightness or a thumbnail. Where they come close to the network, the data can "
    "be told apart without seeing a defect, and a high accuracy proves little."
)
REFERENCE = (
    "The mean good part of the training pictures, a part, and where it differs by more than good parts do. It knows "
    "nothing of how a part lies: on parts that turn on the belt it is blind, and a network that is no better is, too."
)
EXPLAINED = (
    "From left to right: the part, the network's own map (what the device can show), occlusion of the int8 file, LIME. "
    "Every misjudged test part is shown, up to sixteen, and after them those nearest to the cut."
)
EVIDENCE = (
    "Good parts above, defective ones below; int8 steps of evidence, loudest defect minus loudest good class. "
    "Between the two limits a part goes to review."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Pictures for the page, BGR or gray, with the words under them."""

    augmented: NDArray[np.uint8] | None = None
    cases: tuple[tuple[str, NDArray[np.uint8]], ...] = ()
    reference: NDArray[np.uint8] | None = None


def build(
    recipe: Recipe,
    metrics: Document,
    counts: Sequence[Sequence[object]],
    good: Sequence[str],
    parts: Parts,
    limits: Limits,
    shown: Shown | None = None,
    explained: Document | None = None,
) -> str:
    """The whole report of a run; `counts` has a line per class: its name, parts to train, to validate, to test."""
    shown, got = shown or Shown(), metrics[CHOSEN]["grouped"]
    sections = [("", tiles(got, metrics))]
    sections += [("What may be claimed, and what not", listed(claims(got) + warnings(metrics)))]
    sections += [("Figures on parts never trained on", variants_table(metrics, VARIANTS) + paragraph(COUNTED, "quiet"))]
    if "official" in metrics[CHOSEN]:
        sections += [("The data's own division", listed([official(metrics)]))]
    sections += [("What needs no eye for defects", _baselines(metrics))]
    if "compared" in metrics:
        compared = variants_table({CHOSEN: metrics[CHOSEN], **metrics["compared"]}, (CHOSEN, *metrics["compared"]))
        sections += [("The published layout on the same pictures", compared + paragraph(COMPARED, "quiet"))]
    if "trials" in metrics:
        sections += [("Only the flaw differs", _tried(metrics["trials"]))]
    if "protocol" in metrics:
        sections += [("Fold by fold, every part judged by a network that never saw it", _folded(metrics["protocol"]))]
    sections += [("Evidence of each test part", figures.histogram(parts, limits) + paragraph(EVIDENCE, "quiet"))]
    if metrics.get("curves"):
        sections += [("Curves and calibration, int8", figures.curves(metrics["curves"]["grouped"]))]
    if "robustness" in metrics:
        sections += [("Light, focus, noise, compression", figures.robustness(metrics["robustness"]))]
    if "repeatability" in metrics:
        sections += [("The same part again and again", _repeatability(metrics["repeatability"]))]
    if explained:
        sections += [("Why", _explained(explained, shown))]
    if shown.reference is not None:
        picture = charts.picture(shown.reference, width=min(860, 2 * shown.reference.shape[1]))
        sections += [("Against a good part", picture + paragraph(REFERENCE, "quiet"))]
    sections += [("Confusion", _confusions(metrics))]
    if "lint" in metrics:
        sections += [("Files, operations, runtimes", _files(metrics))]
    if shown.augmented is not None:
        words = "Left: a part as the network is shown it. After it: how it is varied while training."
        sections += [("What it was trained on", charts.picture(shown.augmented, text=words))]
    sections += [("Parts", table(("class", "train", "validation", "test"), counts))]
    sections += [("Good classes", paragraph(", ".join(good)))]
    how = metrics.get("data", {}).get("registration")
    if how:
        sections += [("Registration", paragraph(f"{how['kind']}: {how['why']}."))]
    return page(f"{recipe.name} {recipe.version}", sections)


def tiles(got: Document, metrics: Document) -> str:
    """The six figures that are asked for first."""
    at = got["at_limits"]
    facts = [
        (f"{got['accuracy']:.3f}", f"accuracy over {got['parts']} unseen parts"),
        (f"{at['escape_rate']['count']} of {at['escape_rate']['of']}", "defective parts passed, at the limits"),
        (f"{at['overkill_rate']['count']} of {at['overkill_rate']['of']}", "good parts rejected, at the limits"),
        (f"{at['review_rate']['count']} of {at['review_rate']['of']}", "parts left to a person"),
        (f"{got['bytes'] / 1000:.1f} kB", "int8 file"),
        (f"{got['latency_ms']:.2f} ms", "one picture, one thread, here"),
    ]
    if "robustness" in metrics:
        red, cells = metrics["robustness"]["red"], len(metrics["robustness"]["cells"])
        facts.append((f"{red} of {cells}", "changes of light or focus too strong for it"))
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{escape(figure)}</b><span>{escape(words)}</span></div>' for figure, words in facts
        )
        + "</div>"
    )


def variants_table(metrics: Document, variants: Sequence[str]) -> str:
    """Every variant on every split, one line each."""
    head = ("variant, split", "accuracy", "precision", "recall", "F1", "escapes", "overkill", "kB", "ms")
    rows = []
    for variant in variants:
        for split, got in metrics.get(variant, {}).items():
            rates = (_rate(got["escape_rate"]), _rate(got["overkill_rate"]))
            cells = (got["accuracy"], got["precision"], got["recall"], got["f1"], *rates)
            rows.append((f"{variant}, {split}", *cells, round(got["bytes"] / 1000, 1), got["latency_ms"]))
    return table(head, rows)


def _baselines(metrics: Document) -> str:
    rows = []
    for split, methods in metrics["baselines"].items():
        got = metrics[CHOSEN][split]
        rows.append((f"{CHOSEN}, {split}", got["accuracy"], got["balanced_accuracy"], got["auroc"]))
        for name, its in methods.items():
            rows.append((f"{name.replace('_', ' ')}, {split}", its["accuracy"], its["balanced_accuracy"], its["auroc"]))
        if split in metrics.get("reference", {}):
            rows.append(
                (f"difference from the mean good part, {split}", None, None, metrics["reference"][split]["auroc"])
            )
    return table(("method, split", "accuracy", "balanced accuracy", "AUROC"), rows) + paragraph(LOOK_UP, "quiet")


def _trials(got: Document, words: str) -> str:
    """Figures whose parts differ in the flaw alone, the control's beside them."""
    columns = ((words, got), ("texture and brightness alone", got["control"]))
    plain = (("balanced accuracy by part", "balanced_accuracy"), ("by picture", "by_picture"))
    asked = (
        ("defective parts that escape", "escape_rate"),
        ("good parts rejected", "overkill_rate"),
        ("flaws moved onto unseen good parts, flagged", "transplants_flagged"),
        ("of these above 50 grey levels", "transplants_above_50_levels_flagged"),
        ("defective parts with their flaws painted over, passed", "heals_passed"),
        ("plain dark holes on unseen good parts, flagged", "drawn_holes_flagged"),
    )
    rows: list[tuple[object, ...]] = [(name, *(each.get(key) for _, each in columns)) for name, key in plain]
    rows += [(name, *(rate_text(each[key]) if key in each else None for _, each in columns)) for name, key in asked]
    return table(("unseen parts", *(name for name, _ in columns)), [row for row in rows if any(row[1:])])


def _folded(got: Document) -> str:
    """The protocol's figures, and its grid."""
    red = [cell for cell in got["grid"] if cell["escape_rate"] > 0.05 or cell["overkill_rate"] > 0.1]
    said = ", ".join(
        f"{cell['kind']} {cell['value']:g} ({percent(cell['escape_rate'])} / {percent(cell['overkill_rate'])})"
        for cell in red
    )
    drift = f"Changes of light, focus or noise with more than 5 % escapes or 10 % overkill: {said or 'none'}."
    alone = f" {without_twins(got['without_twins'])}." if "without_twins" in got else ""
    line = f" {at_limits(got['at_limits'])}." if "at_limits" in got else ""
    return _trials(got, f"int8, {got['folds']} folds") + paragraph(drift + line + alone, "quiet")


def _tried(got: Document) -> str:
    """The same of one run's test parts."""
    where = (
        "as places that differ from what they should look like"
        if got["placed_by"] == "registration"
        else "roughly, by the network's map"
    )
    words = (
        f"Flaws were found {where}. Moved: a flaw of an unseen defective part on an unseen good one. Painted over: the "
        "same part without it. A network that looks at how parts were photographed fails both, like the control does."
    )
    return _trials(got, CHOSEN) + paragraph(words, "quiet")


def _repeatability(got: Document) -> str:
    text = (
        f"{got['parts']} test parts seen {got['views']} times each, moved and relit a little (3°, 2 %, 5 grey levels): "
        f"the evidence strays by {got['median_std_steps']} steps (median of the standard deviations; 95 % stay below "
        f"{got['p95_std_steps']}), the review band is {got['review_band_steps']} steps wide. "
        f"{got['parts_with_more_than_one_verdict']} parts got more than one verdict, "
        f"{got['parts_that_cross_the_cut']} crossed the cut."
    )
    return paragraph(text)


def _explained(got: Document, shown: Shown) -> str:
    rows = [
        (name.replace("lime", "LIME"), rate_text(each), each["ms"])
        for name, each in got["drawn_flaws_pointed_at"].items()
    ]
    found = table(("method", "points at a drawn flaw, unseen good parts", "ms a picture, here"), rows)
    return (
        found + paragraph(EXPLAINED, "quiet") + "".join(charts.picture(image, text=text) for text, image in shown.cases)
    )


def _confusions(metrics: Document) -> str:
    blocks = []
    for variant in VARIANTS:
        for split, got in metrics.get(variant, {}).items():
            labels = got["confusion"]["labels"]
            rows = [(label, *row) for label, row in zip(labels, got["confusion"]["rows"], strict=True)]
            blocks.append(
                f"<div>{paragraph(f'{variant}, {split}', 'quiet')}{table(('truth, said', *labels), rows)}</div>"
            )
    return f'<div class="row">{"".join(blocks)}</div>' + paragraph("Counted over pictures.", "quiet")


def _files(metrics: Document) -> str:
    rows = []
    older = metrics["other_runtime"]
    for variant, looked in metrics["lint"].items():
        versions = ", ".join(f"{name} {version}" for name, version in looked["versions"].items())
        if not older["asked"]:
            answer = "not asked"
        elif not older["variants"][variant]["takes_it"]:
            answer = "refused"
        else:
            its = older["variants"][variant]
            answer = f"{its['other_decisions']} of {its['pictures']} decided otherwise, {its['latency_ms']:.2f} ms"
        rows.append((variant, f"{looked['map']} of {looked['of']}", answer, versions))
    head = (
        "variant",
        "operations an Edge TPU takes",
        older.get("runtime", "tflite-runtime"),
        "operations and versions",
    )
    said = [older["why"] + "."] if not older["asked"] else []
    said += [metrics["edgetpu_compiler"] + "."] if "edgetpu_compiler" in metrics else []
    return table(head, rows) + "".join(paragraph(each, "quiet") for each in said)


def _rate(rate: Document) -> str:
    if rate["rate"] is None:
        return "–"
    return f"{rate['count']} of {rate['of']} ({100 * rate['low']:.1f}–{100 * rate['high']:.1f} %)"
