"""How far what the camera shows, and what the model says of it, has moved from what the model was trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np

from edge.bundle import Bundle, prepare
from edge.changeover.observed import Look

RECALLED = 64
"""Parts whose median is compared; half of them may be defective before it moves much."""
ENOUGH = 16
LEAST = {"brightness": 1.0, "contrast": 1.0, "evidence": 2.0}
"""A spread below this, in grey levels or int8 steps, is taken for luck of the training pictures."""
NAMES = {"brightness": "brightness", "contrast": "contrast", "evidence": "evidence_steps"}


class Drift:
    """The distance of each signal from the bundle's reference, in standard deviations. For one thread."""

    def __init__(self, bundle: Bundle) -> None:
        self._spec = bundle.manifest.input
        self._is_good = np.array([label in bundle.manifest.good for label in bundle.manifest.labels])
        self._reference = _reference(bundle.manifest.document.get("reference"))
        self._recent = {name: deque[float](maxlen=RECALLED) for name in self._reference}

    def look(self, look: Look) -> None:
        """One more part, its best view."""
        if not self._reference or not len(look.scores.outputs):
            return
        try:
            shown = prepare(look.crops[0], self._spec).astype(np.float32) + 128
        except ValueError:
            return
        outputs = look.scores.outputs[0].astype(int)
        evidence = float(outputs[~self._is_good].max() - outputs[self._is_good].max())
        found = {"brightness": float(shown.mean()), "contrast": float(shown.std()), "evidence": evidence}
        for name, recent in self._recent.items():
            recent.append(found[name])

    def score(self, signal: str) -> float | None:
        """Of `brightness`, `contrast` or `evidence`; None as long as too few parts passed or nothing is known."""
        recent = tuple(self._recent.get(signal, ()))
        if len(recent) < ENOUGH:
            return None
        mean, std = self._reference[signal]
        return round(abs(median(recent) - mean) / max(std, LEAST[signal]), 3)


def _reference(document: object) -> dict[str, tuple[float, float]]:
    """`{signal: (mean, std)}` of what the manifest tells in good order."""
    found = {}
    for signal, name in NAMES.items():
        told: Any = document.get(name) if isinstance(document, Mapping) else None
        if isinstance(told, Mapping) and all(isinstance(told.get(each), int | float) for each in ("mean", "std")):
            found[signal] = float(told["mean"]), float(told["std"])
    return found
