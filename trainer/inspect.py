"""A look at the data before anything is trained: a table with a line per picture, and a page for people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from edge.bundle import readable_image
from trainer import dataset, divide, grouping, leakage, register, suspects, trivial
from trainer.dataset import Dataset, Picture
from trainer.errors import Refused
from trainer.recipe import Recipe
from trainer.run import write, write_json

Gray = NDArray[np.uint8]
Document = dict[str, Any]

MEAN_PX = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What a look at a folder found."""

    data: Dataset
    good: tuple[str, ...]
    """Empty where no class is called good and none was named."""
    table: pd.DataFrame
    telling: dict[str, Document]
    """Per feature: how well it alone tells defective from good."""
    means: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    """Per class: mean and standard deviation of its pictures, `(MEAN_PX, MEAN_PX)`."""
    findings: Document


def look(root: Path, good: Sequence[str]) -> Overview:
    """Read every picture below `root`; raises `Refused`. One class only is enough to be looked at."""
    data = dataset.scan(root, classes=1)
    fine = _good_of(data, good)
    rows: list[Document] = []
    thumbnails: list[Gray] = []
    sums: dict[str, list[NDArray[np.float64]]] = {}
    for each in tqdm(data.pictures, desc="look", unit="picture", leave=False, disable=None):
        image = readable_image(root / each.file, 3)
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        rows.append(_row(each, image, (root / each.file).stat().st_size, fine))
        thumbnails.append(np.asarray(cv2.resize(gray, (MEAN_PX, MEAN_PX), interpolation=cv2.INTER_AREA)))
        plain = thumbnails[-1].astype(np.float64)
        kept = sums.setdefault(each.label, [np.zeros_like(plain), np.zeros_like(plain)])
        kept[0] += plain
        kept[1] += plain * plain
    table = pd.DataFrame(rows)
    counts = Counter(table["label"])
    means = {
        label: (
            both[0] / counts[label],
            np.sqrt(np.maximum(both[1] / counts[label] - (both[0] / counts[label]) ** 2, 0)),
        )
        for label, both in sums.items()
    }
    settled, why = _settled(data, fine)
    known, prints = _prints(settled, data, thumbnails)
    copies = leakage.parts(len(known), prints.pairs())
    leaders = {i: known[leader] for i, leader in zip(known, copies, strict=True)}
    table["near_copy_of"] = [
        data.pictures[leaders[i]].file if leaders.get(i, i) != i else "" for i in range(len(data.pictures))
    ]
    if data.grouped_by == "file" and len(known) == len(data.pictures):
        data = grouping.grouped(data, prints, copies)
    table["part"] = [each.group for each in data.pictures]
    described = np.stack([suspects.describe(each) for each in thumbnails])
    table["doubt"] = suspects.doubts(described, table["label"].tolist(), table["part"].tolist()).round(3)
    telling = _telling(table) if fine else {}
    findings = _findings(data, table, telling)
    findings["registration"] = {"kind": settled.input.registration, "why": why, "lost": len(thumbnails) - len(known)}
    findings["listed_apart"] = _apart(data, copies, known)
    return Overview(data=data, good=fine, table=table, telling=telling, means=means, findings=findings)


def save(found: Overview, out: Path) -> list[Path]:
    """Write the table as CSV and Parquet, what was found as JSON, and the page; returns what was written."""
    from trainer import overview

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{out}: cannot be made a folder ({error.strerror}); give another --out") from None
    paths = [out / name for name in ("pictures.csv", "pictures.parquet", "overview.json", "overview.html")]
    found.table.to_csv(paths[0], index=False)
    found.table.to_parquet(paths[1], index=False)
    write_json(paths[2], {**found.findings, "telling": found.telling})
    write(paths[3], overview.build(found))
    return paths


def _settled(data: Dataset, good: Sequence[str]) -> tuple[Recipe, str]:
    """How a run without a recipe would register these parts, and why."""
    order = np.random.default_rng(Recipe().seed).permutation(len(data.pictures))[: register.ASKED]
    asked = [data.pictures[i] for i in order]
    fine = [each.label in good for each in asked]
    return register.settled(Recipe(), dataset.pixels(data, asked, 1), fine)


def _prints(settled: Recipe, data: Dataset, thumbnails: Sequence[Gray]) -> tuple[list[int], leakage.Prints]:
    """What near-copies are known by, and of which pictures: all, or those in which the part is found."""
    known = register.registration_of(settled)
    if known is None:
        return list(range(len(thumbnails))), leakage.Prints.of(thumbnails)
    pictures = (dataset.readable(data.root, each.file, 1) for each in data.pictures)
    there = [i for i, picture in enumerate(pictures) if register.registered(picture, known)]
    return there, divide.prints(register.input_spec(settled), data, [data.pictures[i] for i in there])


def _apart(data: Dataset, copies: Sequence[int], known: Sequence[int]) -> list[list[str]]:
    """Listed groups that near-copies join nevertheless."""
    if data.grouped_by != "groups.csv":
        return []
    return grouping.apart([data.pictures[i].group for i in known], copies)


def _good_of(data: Dataset, good: Sequence[str]) -> tuple[str, ...]:
    if good:
        return dataset.good_labels(data.labels, good)
    return tuple(each for each in data.labels if dataset.sounds_good(each))


def _row(each: Picture, image: NDArray[np.uint8], size: int, good: Sequence[str]) -> Document:
    return {
        "file": each.file,
        "label": each.label,
        "good": each.label in good if good else None,
        "official": each.official,
        "group": each.group,
        "sha256": each.sha256,
        **trivial.measure(image, size),
    }


def _telling(table: pd.DataFrame) -> dict[str, Document]:
    """Counted over parts: forty copies of a bright part are one bright part."""
    parts = table.groupby(["part", "label"], sort=True)
    defective = ~parts["good"].first().to_numpy(dtype=bool)
    told = {name: trivial.telling(parts[name].mean().to_numpy(dtype=float), defective) for name in trivial.FEATURES}
    return dict(sorted(told.items(), key=lambda item: -(item[1]["auroc"] or 0.0)))


def _findings(data: Dataset, table: pd.DataFrame, telling: dict[str, Document]) -> Document:
    twins = defaultdict(list)
    for each in data.pictures:
        twins[each.sha256].append(each.file)
    several = table.groupby("part")["label"].nunique()
    found: Document = {
        "pictures": len(table),
        "parts": int(table["part"].nunique()),
        "parts_from": data.grouped_by,
        "classes": {label: int(count) for label, count in table["label"].value_counts().sort_index().items()},
        "unreadable": list(data.unreadable),
        "sizes": {f"{w:.0f}×{h:.0f}": int(n) for (w, h), n in table.groupby(["width_px", "height_px"]).size().items()},
        "identical_files": [files for files in twins.values() if len(files) > 1],
        "near_copies": int((table["near_copy_of"] != "").sum()),
        "parts_with_several_labels": sorted(several[several > 1].index.astype(str)),
        "doubtful_labels": table[table["doubt"] >= suspects.DOUBT]
        .sort_values("doubt", ascending=False)["file"]
        .tolist(),
        "telling_features": [name for name, each in telling.items() if each["red"]],
    }
    if dataset.has_official(data):
        tested = (table["official"] == "test").tolist()
        found["official_leak"] = leakage.leak(table["part"].tolist(), tested)
    return found
