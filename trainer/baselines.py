"""What a method reaches that cannot see a defect: beside every accuracy, so that nobody takes a look-up for a skill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from trainer.augment import Image
from trainer.dataset import Picture
from trainer.measure import auroc, binary, fuse, told_apart

Floats = NDArray[np.float64]
SIDE_PX = 32


def measure(
    train: tuple[Image, Sequence[Picture]], test: tuple[Image, Sequence[Picture]], good: Sequence[str], seed: int
) -> dict[str, Any]:
    """Three look-ups trained on `train` and asked about `test`, each counted over parts and over pictures."""
    known = np.array([each.label not in good for each in train[1]], dtype=bool)
    if known.all():
        return _told_apart(train, test, seed)
    methods = {
        "nearest_neighbour_pixels": _nearest(_thumbnails(train[0], SIDE_PX), known, _thumbnails(test[0], SIDE_PX)),
        "brightness_trees": _trees(_brightness(train[0]), known, _brightness(test[0]), seed),
        "thumbnail_16_trees": _trees(_thumbnails(train[0], 16), known, _thumbnails(test[0], 16), seed),
    }
    return {name: _scored(share, test[1], good) for name, share in methods.items()}


def _told_apart(
    train: tuple[Image, Sequence[Picture]], test: tuple[Image, Sequence[Picture]], seed: int
) -> dict[str, Any]:
    """The same look-ups where no class is good, asked which kind of defect a part has."""
    labels = sorted({each.label for each in (*train[1], *test[1])})
    kinds = np.array([labels.index(each.label) for each in train[1]])
    nearest = _nearest_of(_thumbnails(train[0], SIDE_PX), _thumbnails(test[0], SIDE_PX))
    said = {"nearest_neighbour_pixels": kinds[nearest]}
    looks = {
        "brightness_trees": (_brightness(train[0]), _brightness(test[0])),
        "thumbnail_16_trees": (_thumbnails(train[0], 16), _thumbnails(test[0], 16)),
    }
    for name, (known, asked) in looks.items():
        forest = RandomForestClassifier(n_estimators=100, class_weight="balanced", random_state=seed, n_jobs=1)
        said[name] = forest.fit(known, kinds).predict(asked)
    found = {name: told_apart(test[1], np.eye(len(labels))[each], labels) for name, each in said.items()}
    return {name: {**each, "balanced_accuracy": each["recall"], "auroc": None} for name, each in found.items()}


def _scored(share: Floats, pictures: Sequence[Picture], good: Sequence[str]) -> dict[str, Any]:
    parts = fuse(pictures, share, good)
    truth = np.array([each.label not in good for each in pictures], dtype=bool)
    by_part = binary(parts.steps > 0.5, parts.defective)
    return {
        "accuracy": by_part["accuracy"],
        "balanced_accuracy": by_part["balanced_accuracy"],
        "auroc": auroc(parts.steps, parts.defective),
        "by_picture": {key: binary(share > 0.5, truth)[key] for key in ("accuracy", "balanced_accuracy")},
    }


def _thumbnails(pictures: Image, side_px: int) -> Floats:
    small = [cv2.resize(each, (side_px, side_px), interpolation=cv2.INTER_AREA).ravel() for each in pictures]
    return np.asarray(small, dtype=np.float32) / 255


def _brightness(pictures: Image) -> Floats:
    flat = pictures.reshape(len(pictures), -1)
    levels = np.percentile(flat, [1, 10, 50, 90, 99], axis=1).T
    return np.column_stack([flat.mean(axis=1), flat.std(axis=1), levels]).astype(np.float64)


def _nearest(train: Floats, known: NDArray[np.bool_], test: Floats) -> Floats:
    """The label of the most similar training picture."""
    return known[_nearest_of(train, test)].astype(np.float64)


def _nearest_of(train: Floats, test: Floats) -> list[int]:
    lengths = (train**2).sum(axis=1)
    return [int(np.argmin(lengths - 2 * (train @ each))) for each in test]


def _trees(train: Floats, known: NDArray[np.bool_], test: Floats, seed: int) -> Floats:
    forest = RandomForestClassifier(n_estimators=100, class_weight="balanced", random_state=seed, n_jobs=1)
    forest.fit(train, known)
    return np.asarray(forest.predict_proba(test)[:, list(forest.classes_).index(True)], dtype=np.float64)
