"""Gathers what the steps of a run have left, for the report and for the bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, readable_image
from trainer import measure, report
from trainer.claims import CHOSEN
from trainer.dataset import Dataset
from trainer.limits import columns, evidence
from trainer.run import Part, Run, read_json

Document = dict[str, Any]

WIDEST_PX = 620
"""Pictures in the report are made no wider: it travels in every bundle."""


def report_of(run: Run, labels: Sequence[str], good: Sequence[str]) -> str:
    """The report of a run, from what its steps have left; raises `Refused` when one has not been done."""
    part = run.part("grouped")
    data, limits = part.pictures(), part.limits()
    steps = evidence(part.outputs()[f"{CHOSEN}/test"], columns(labels, good))
    splits = ("train", "validation", "test")
    counts = [
        (label, *(len({p.part for p in data.of(split) if p.label == label}) for split in splits)) for label in labels
    ]
    explained = _explained(part)
    return report.build(
        run.recipe,
        read_json(run.out / "metrics.json"),
        counts,
        good,
        measure.fuse(data.of("test"), steps, good),
        limits,
        _shown(part, explained),
        explained,
    )


def usual(
    data: Dataset,
    outputs: dict[str, NDArray[np.generic]],
    spec: InputSpec,
    labels: Sequence[str],
    good: Sequence[str],
) -> Document:
    """What good parts of the validation split look like, for the device to notice drift by."""
    from trainer import fit

    shown = fit.stack(data, "validation", spec)
    fine = np.array([each.label in good for each in data.of("validation")], dtype=bool)
    fine = fine if fine.any() else ~fine
    steps = evidence(outputs[f"{CHOSEN}/validation"], columns(labels, good))[fine]
    flat = shown[fine].reshape(int(fine.sum()), -1).astype(np.float64)
    signals = {"brightness": flat.mean(axis=1), "contrast": flat.std(axis=1), "evidence_steps": steps}
    return {
        "pictures": int(fine.sum()),
        **{name: {"mean": round(float(v.mean()), 3), "std": round(float(v.std()), 3)} for name, v in signals.items()},
    }


def short(metrics: Document) -> Document:
    """The figures that travel in the manifest: those of the variant that travels."""
    wanted = ("accuracy", "precision", "recall", "f1", "escape_rate", "overkill_rate", "at_limits", "parts", "pictures")
    leakage = {split: leak["rate"] for split, leak in metrics["leakage"].items() if isinstance(leak, dict)}
    return {split: {key: got[key] for key in wanted} for split, got in metrics[CHOSEN].items()} | {"leakage": leakage}


def _explained(part: Part) -> Document | None:
    try:
        return dict(json.loads((part.folder / "explained.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _shown(part: Part, explained: Document | None) -> report.Shown:
    cases = []
    for each in explained["cases"] if explained else ():
        picture = _picture(part, f"explained/{each['file']}")
        if picture is not None:
            words = f"{each['kind']}: part {each['part']}, truly {each['label']}, evidence {each['steps']} steps"
            cases.append((words, picture))
    return report.Shown(
        augmented=_picture(part, "augmented.png"), reference=_picture(part, "reference.png"), cases=tuple(cases)
    )


def _picture(part: Part, name: str) -> NDArray[np.uint8] | None:
    try:
        image = readable_image(part.folder / name, 3)
    except ValueError:
        return None
    if image.shape[1] <= WIDEST_PX:
        return image
    size = (WIDEST_PX, round(image.shape[0] * WIDEST_PX / image.shape[1]))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
