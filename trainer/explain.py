"""Why a picture was judged as it was: the file's own map, occlusion of the very file that ships, and LIME."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Unregistered, laid
from trainer import masks
from trainer.augment import Image, seen, shrink
from trainer.dataset import Picture, readable
from trainer.drawn import flawed
from trainer.layout import Layout
from trainer.lime import lime
from trainer.limits import Limits, evidence
from trainer.measure import Parts, rate
from trainer.runtime import Model

Heat = NDArray[np.float32]

CASES_AT_MOST = 16
POINTED = {"map": 80, "occlusion": 20, "lime": 12}
"""How many drawn flaws each method is asked about; they differ a hundredfold in what they cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The file that ships, and what is needed to ask it."""

    model: Model
    good: NDArray[np.bool_]
    """Which outputs are good classes."""
    spec: InputSpec
    seed: int

    def evidence(self, picture: Image) -> float:
        """Int8 steps of evidence for a picture as the network is shown it."""
        return float(evidence(self.model.raw(picture)[None], self.good)[0])

    def heats(self) -> dict[str, Callable[[Image], Heat]]:
        """Each way to ask for the places that speak, by its name; the map only where the file has one."""
        found: dict[str, Callable[[Image], Heat]] = {}
        if self.model.has_map:
            found["map"] = self.model.heat
        found["occlusion"] = lambda picture: occlusion(self.evidence, picture)
        found["lime"] = lambda picture: lime(self.evidence, picture, self.seed)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A test part worth looking at."""

    part: tuple[str, str]
    kind: str
    """`escape`, `overkill`, or `close` to the cut."""
    steps: float


def cases(parts: Parts, limits: Limits) -> list[Case]:
    """Every misjudged part, the worst first, and then the closest ones; at most `CASES_AT_MOST`."""
    away = parts.steps - limits.cut_steps
    wrong = (away > 0) != parts.defective
    order = sorted(range(len(away)), key=lambda i: (not wrong[i], -abs(away[i]) if wrong[i] else abs(away[i])))
    most = min(CASES_AT_MOST, max(6, int(wrong.sum())))
    return [
        Case(
            part=parts.names[i],
            kind="close" if not wrong[i] else ("escape" if parts.defective[i] else "overkill"),
            steps=round(float(parts.steps[i]), 1),
        )
        for i in order[:most]
    ]


def rows(asked: Asked, shown: Image) -> NDArray[np.uint8]:
    """For each picture a row: as it is, and under the heat of each method; BGR."""
    ways = asked.heats().values()
    return np.vstack([np.hstack([_bgr(each), *(overlay(each, way(each)) for way in ways)]) for each in shown])


def occlusion(evidence: Callable[[Image], float], picture: Image, patch_px: int = 12, stride_px: int = 6) -> Heat:
    """How much the evidence of a defect falls when a patch is painted over with its surroundings' mean.

    Works on any model, the int8 file above all: it is asked, not looked into.
    """
    height, width = picture.shape[:2]
    tops, lefts = range(0, height - patch_px + 1, stride_px), range(0, width - patch_px + 1, stride_px)
    before, heat = evidence(picture), np.zeros((len(tops), len(lefts)), np.float32)
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            covered = picture.copy()
            around = picture[max(0, top - 4) : top + patch_px + 4, max(0, left - 4) : left + patch_px + 4]
            covered[top : top + patch_px, left : left + patch_px] = np.rint(around.mean(axis=(0, 1))).astype(np.uint8)
            heat[row, column] = before - evidence(covered)
    return heat


def points_at(heat: Heat, mask: NDArray[np.float32], reach_px: float = 8.0) -> bool:
    """Whether the middle of the hottest place lies within `reach_px` of a flaw; `mask` is `(height, width)`, 0 to 1."""
    height, width = mask.shape
    # A cell sees farther than it is wide, and is often loudest where a flaw has just come into its view.
    calm = cv2.GaussianBlur(heat.astype(np.float32), (0, 0), 1.0)
    row, column = np.unravel_index(int(np.argmax(calm)), heat.shape)
    y, x = (row + 0.5) * height / heat.shape[0], (column + 0.5) * width / heat.shape[1]
    away = cv2.distanceTransform((mask < 0.4).astype(np.uint8), cv2.DIST_L2, 5)
    return bool(away[min(height - 1, int(y)), min(width - 1, int(x))] <= reach_px)


def pointing(asked: Asked, crops: Sequence[Image]) -> dict[str, Any]:
    """Of flaws drawn onto good crops, how many each method points at, and what it costs, in ms a picture."""
    random = np.random.default_rng(asked.seed)
    drawn = []
    for crop in crops[: max(POINTED.values())]:
        if asked.spec.registration is not None:
            spoilt, mask = flawed(laid(crop, asked.spec), random, unrolled=Layout(spec=asked.spec).wraps)
            layout = Layout(spec=asked.spec)
            drawn.append((layout.seen(np.atleast_3d(spoilt)), layout.around(mask)))
            continue
        # As small as flaws are drawn while training: a scratch one pixel wide is gone from a picture reduced further.
        spoilt, mask = flawed(shrink(crop, asked.spec), random)
        small = cv2.resize(mask, (asked.spec.width, asked.spec.height), interpolation=cv2.INTER_LINEAR)
        drawn.append((seen(spoilt, asked.spec), small))
    return pointing_at(asked, drawn)


def masked(spec: InputSpec, root: Path, pictures: Sequence[Picture]) -> Iterator[tuple[Image, NDArray[np.float32]]]:
    """Each picture as the network is shown it, with its mask laid out alike, but for those that are not found."""
    for each in pictures[: max(POINTED.values())]:
        crop = readable(root, each.file, spec.channels)
        try:
            where = masks.laid_out(root, each, crop, spec)
            shown = seen(crop, spec)
        except Unregistered:
            continue
        if where is not None and where.max() > 0:
            yield shown, Layout(spec=spec).around(where)


def pointing_at(asked: Asked, known: Sequence[tuple[Image, NDArray[np.float32]]]) -> dict[str, Any]:
    """Of flaws that are known, `(as shown, where)`, how many each method points at, and what it costs in ms."""
    got = {}
    for name, way in asked.heats().items():
        began = time.perf_counter()
        mine = known[: POINTED[name]]
        hits = sum(points_at(way(picture), mask) for picture, mask in mine)
        spent = 1000 * (time.perf_counter() - began) / max(1, len(mine))
        got[name] = {**rate(hits, len(mine)), "ms": round(spent, 1)}
    return got


def overlay(picture: Image, heat: Heat) -> NDArray[np.uint8]:
    """The picture with the heat above it in red, BGR."""
    height, width = picture.shape[:2]
    warm = np.clip((heat - np.median(heat)) / max(1e-6, float(heat.max() - np.median(heat))), 0, 1)
    strength = cv2.resize(warm.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
    red = _bgr(picture) * (1 - 0.65 * strength) + np.array([30, 30, 235], np.float32) * 0.65 * strength
    return np.clip(red, 0, 255).astype(np.uint8)


def _bgr(picture: Image) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if picture.shape[2] == 1 else cv2.COLOR_RGB2BGR))
