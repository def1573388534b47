"""The page of `inspect`: what a person should know about a folder of pictures before a network is trained on it."""

from __future__ import annotations

from html import escape

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from edge.bundle import readable_image
from trainer import charts
from trainer.inspect import Overview
from trainer.page import listed, page, paragraph

SHOWN = 14
DRAWN = ("brightness", "contrast", "sharpness")
UNITS = {"brightness": "grey levels", "contrast": "grey levels", "sharpness": "variance of the Laplacian"}
TELLING = (
    "The area under the ROC curve of each feature alone, over parts. 0.5 tells nothing. Above 0.7 (red) good and "
    "defective pictures were taken differently: a network may learn that instead of the defects. Take them again in "
    "one light, and believe no accuracy before the look-ups in the report have been read."
)
DOUBTFUL = (
    "Pictures whose seven nearest relatives among other parts mostly carry another label. Most are right and merely "
    "hard; wrong ones are among them. Nothing is changed: look, and move the file to where it belongs."
)
MEANS = "Left the mean of each class, right where its pictures differ from each other (brighter: more)."


def build(found: Overview) -> str:
    """One page that needs nothing beside it."""
    title = f"{found.data.root.resolve().name}: a look at the data"
    sections = [("", _tiles(found)), ("To look at first", listed(_first(found)))]
    sections += [("Classes and sizes", f'<div class="row">{_balance(found)}{_sizes(found)}</div>')]
    sections += [("Samples", _samples(found))]
    if found.telling:
        sections += [("What tells good from defective without seeing a defect", _telling(found))]
    sections += [("Brightness, contrast, sharpness", _spreads(found))]
    sections += [("Mean and spread of each class", _means(found) + paragraph(MEANS, "quiet"))]
    doubtful = found.findings["doubtful_labels"]
    if doubtful:
        images = [_tile(found, name) for name in doubtful[:SHOWN]]
        names = ", ".join(doubtful[:SHOWN])
        sheet = charts.picture(charts.sheet(images, 131, 7))
        sections += [("Labels to look at again", sheet + paragraph(DOUBTFUL, "quiet") + paragraph(names, "quiet"))]
    pairs = found.table[found.table["near_copy_of"] != ""]
    if len(pairs):
        sections += [("Near-copies", _copies(found, pairs))]
    return page(title, sections)


def _tiles(found: Overview) -> str:
    said = found.findings
    red = len(said["telling_features"])
    facts = [
        (f"{said['pictures']:,}".replace(",", " "), "pictures"),
        (str(said["parts"]), f"parts ({said['parts_from']})"),
        (str(len(said["classes"])), "classes"),
        (str(said["near_copies"]), "near-copies of another picture"),
        (str(len(said["doubtful_labels"])), "labels to look at again"),
        (str(red) if found.telling else "–", f"of {len(found.telling)} trivial features above 0.7"),
    ]
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{escape(figure)}</b><span>{escape(words)}</span></div>' for figure, words in facts
        )
        + "</div>"
    )


def _first(found: Overview) -> list[str]:
    """The sentences that would be said aloud."""
    said, lines = found.findings, []
    fewest = min(said["classes"].items(), key=lambda each: each[1])
    most = max(said["classes"].values())
    if not found.good:
        lines.append("No class is called ok, good or normal: say which are good with --good NAME before training.")
    how = said["registration"]
    lines.append(f"Registration by default: {how['kind']} ({how['why']}).")
    if how["lost"]:
        lines.append(f"In {how['lost']} pictures the part is not found; training leaves them out.")
    if said["listed_apart"]:
        torn, parts = sum(map(len, said["listed_apart"])), said["listed_apart"]
        lines.append(
            f"{torn} groups of groups.csv show only {len(parts)} parts between them, by near-copies "
            f"(e.g. {', '.join(parts[0][:4])}): look, and join them."
        )
    if fewest[1] * 5 < most:
        lines.append(f"{fewest[0]} has {fewest[1]} pictures, another class {most}: figures for it will be vague.")
    for name in said["telling_features"][:3]:
        each = found.telling[name]
        lines.append(
            f"{name.replace('_', ' ').capitalize()} alone tells good from defective with AUROC {each['auroc']:.2f} "
            f"(higher when {each['higher_when']})."
        )
    if "official_leak" in said and said["official_leak"]["with_a_copy_in_train"]:
        leak = said["official_leak"]
        lines.append(
            f"{leak['with_a_copy_in_train']} of {leak['test_pictures']} pictures in test/ show a part that is in "
            "train/ too: figures on that division measure memory."
        )
    if said["parts_with_several_labels"]:
        lines.append(f"Parts that carry more than one label: {', '.join(said['parts_with_several_labels'][:12])}.")
    if said["identical_files"]:
        lines.append(f"{len(said['identical_files'])} sets of identical files, e.g. {said['identical_files'][0][:2]}.")
    if said["unreadable"]:
        lines.append(f"Not readable and left out: {', '.join(said['unreadable'][:8])}.")
    return lines or ["Nothing that stands out."]


def _balance(found: Overview) -> str:
    parts = found.table.groupby("label")["part"].nunique()
    counts = found.findings["classes"]
    rows = [(label, float(count), f"{count} pictures, {parts[label]} parts") for label, count in counts.items()]
    return f"<figure>{charts.bars(rows, width=500)}</figure>"


def _sizes(found: Overview) -> str:
    sizes = sorted(found.findings["sizes"].items(), key=lambda each: -each[1])[:6]
    rows = [(name, float(count), f"{count}") for name, count in sizes]
    return f"<figure>{charts.bars(rows, width=420)}<figcaption>width × height, px</figcaption></figure>"


def _samples(found: Overview) -> str:
    blocks = []
    for label in found.data.labels:
        files = found.table[found.table["label"] == label].drop_duplicates("part")["file"].tolist()
        step = max(1, len(files) // SHOWN)
        images = [_tile(found, name) for name in files[::step][:SHOWN]]
        color = "good" if label in found.good else ("bad" if found.good else "")
        blocks.append(f'<p class="{color}">{escape(label)}</p>' + charts.picture(charts.sheet(images, 131, 7)))
    return "".join(blocks)


def _telling(found: Overview) -> str:
    plain = [each for each in found.telling.items() if each[1]["auroc"] is not None]
    blocks = []
    for red in (True, False):
        rows = [
            (name.replace("_", " "), each["auroc"] - 0.5, f"{each['auroc']:.2f}, higher when {each['higher_when']}")
            for name, each in plain
            if each["red"] is red
        ]
        if rows:
            blocks.append(charts.bars(rows, color=charts.BAD if red else charts.ACCENT, width=640, most=0.5))
    return "".join(f"<div>{each}</div>" for each in blocks) + paragraph(TELLING, "quiet")


def _spreads(found: Overview) -> str:
    blocks = []
    for name in DRAWN:
        groups = [
            (label, found.table[found.table["label"] == label][name].to_numpy(dtype=float), label in found.good)
            for label in found.data.labels
        ]
        chart = charts.spread(groups[:8], unit=UNITS[name], width=300)
        blocks.append(f"<figure>{chart}<figcaption>{name}</figcaption></figure>")
    return f'<div class="row">{"".join(blocks)}</div>'


def _means(found: Overview) -> str:
    widest = max(float(spread.max()) for _, spread in found.means.values()) or 1.0
    blocks = []
    for label, (mean, spread) in sorted(found.means.items()):
        warm = cv2.applyColorMap(np.clip(255 * spread / widest, 0, 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
        both = np.hstack([cv2.cvtColor(mean.astype(np.uint8), cv2.COLOR_GRAY2BGR), warm])
        blocks.append(charts.picture(both, text=label))
    return f'<div class="row">{"".join(blocks)}</div>'


def _copies(found: Overview, pairs: pd.DataFrame) -> str:
    few = pairs.iloc[:: max(1, len(pairs) // 4)].head(4)
    images = [_tile(found, name) for row in few.itertuples() for name in (row.near_copy_of, row.file)]
    many = "1 picture shows" if len(pairs) == 1 else f"{len(pairs)} pictures show"
    words = f"{many} what another one shows, turned, mirrored or relit; each beside the other."
    return charts.picture(charts.sheet(images, 114, 8)) + paragraph(words, "quiet")


def _tile(found: Overview, name: str) -> NDArray[np.uint8]:
    return readable_image(found.data.root / name, 3)
