"""Trials on parts that were not trained on: flaws moved onto good parts, painted over on bad ones, and plain holes.

A score on pictures as they were taken cannot tell an eye for flaws from an eye for the photographer's habits. Here only
the flaw differs, so the verdict must follow it. Beside the network stands a control that hardly sees a flaw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from edge.bundle import InputSpec, Unregistered
from trainer import counterfactual, dataset, holes, lesson, measure, rough
from trainer.augment import Image, seen
from trainer.claims import rate_text
from trainer.dataset import Dataset, Picture
from trainer.layout import Layout
from trainer.limits import Limits, choose, even, evidence
from trainer.recipe import Costs
from trainer.runtime import Model

Document = dict[str, Any]

LOST = 255.0
"""Evidence of a picture in which the part is not to be found: it does not pass."""
ASKED = 6
"""Counterfactuals per part."""
LEARNED = 300
"""Training pictures of either kind that say where the cut lies."""
CLEAR_LEVELS = 50
"""A moved flaw that changes the picture by more than this is plain to see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A file and what it needs to be asked."""

    model: Model
    spec: InputSpec
    good: NDArray[np.bool_]
    cut: float = 0.0
    """Evidence at which a part is as likely good as defective; all that is asked for is measured from here."""

    def crop(self, crop: Image) -> float:
        """Evidence in steps of a picture as the camera takes it."""
        try:
            return self.shown(seen(crop, self.spec))
        except Unregistered:
            return LOST

    def laid(self, crop: Image) -> float:
        """The same of a picture as `lesson.laid_out` keeps it."""
        return self.shown(lesson.finished(crop, self.spec))

    def shown(self, picture: Image) -> float:
        """The same of what the network is shown."""
        return float(evidence(self.model.raw(picture)[None], self.good)[0]) - self.cut


class Control:
    """Trees on texture and brightness, in which a flaw leaves hardly a trace: what a style alone gives away."""

    def __init__(self, pictures: Sequence[Image], defective: Sequence[bool], seed: int) -> None:
        self._forest = RandomForestClassifier(100, class_weight="balanced", random_state=seed, n_jobs=1)
        self._forest.fit(np.stack([texture(each) for each in pictures]), np.asarray(defective))

    def __call__(self, picture: Image) -> float:
        """The share of trees that call it defective."""
        share = self._forest.predict_proba(texture(picture)[None])[0]
        return round(float(share[list(self._forest.classes_).index(True)]), 4)


def texture(picture: Image) -> NDArray[np.float64]:
    """Medians along eight bands of rows: brightness, and how rough it is along and across."""
    light = picture.astype(np.float32) if picture.ndim == 2 else picture.astype(np.float32).mean(axis=2)
    along, across = np.abs(np.diff(light, axis=1))[:-1], np.abs(np.diff(light, axis=0))[:, :-1]
    bands = [np.array_split(each, 8, axis=0) for each in (light, along, across)]
    return np.array([np.median(band) for kind in bands for band in kind], dtype=np.float64)


def some(each: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of them, spread over all."""
    return list(each[:: max(1, -(-len(each) // count))])


def ask(judge: Judge, data: Dataset, good: Sequence[str], seed: int) -> Document:
    """Everything, on the split `test`; the control learns from `train`. Evidence is in the file's own steps."""
    random = np.random.default_rng(seed)
    known, kept = lesson.laid_out(data, "train", judge.spec)
    tested, laid = lesson.laid_out(data, "test", judge.spec)
    control = Control(some(kept, 1500), some([each.label not in good for each in known], 1500), seed)
    fine = [crop for each, crop in zip(known, kept, strict=True) if each.label in good]
    found: Document = {"holes": _holes(judge, data, good, random)}
    found["control"] = [[p.group, p.label, control(s)] for p, s in zip(tested, laid, strict=True)]
    layout = Layout.of(judge.spec)
    level = counterfactual.usual(some(fine, 400), layout) if layout else None
    return found | _pairs(judge, data.root, list(zip(tested, laid, strict=True)), good, level, control, random)


def operating(judge: Judge, data: Dataset, good: Sequence[str], costs: Costs, seed: int) -> tuple[float, Limits]:
    """Where a part costs the same passed or rejected, and the limits: by the curve and the costs that a run sets its
    limits with, but by pictures of the split `train` and their counterfactuals, instead of parts that were held back.
    """
    known, kept = lesson.laid_out(data, "train", judge.spec)
    random, crops = np.random.default_rng(seed), list(zip(known, kept, strict=True))
    fine, flawed = (
        some([crop for each, crop in crops if (each.label not in good) is bad], LEARNED) for bad in (False, True)
    )
    layout = Layout.of(judge.spec)
    if layout is not None:
        level = counterfactual.usual(fine, layout)
        pairs = [pair for each in flawed if (pair := counterfactual.pair(each, fine, level, random)) is not None]
        fine, flawed = fine + [each.healed for each in pairs], flawed + [each.transplanted for each in pairs]
    steps = np.array([judge.laid(each) for each in (*fine, *flawed)])
    defective = np.arange(len(steps)) >= len(fine)
    return even(steps, defective, costs), choose(steps, defective, costs, 1.0)


def summary(results: Sequence[Document], good: Sequence[str], cut: float) -> Document:
    """Shares with exact 95 % intervals, over all `results` of `ask`; flagged is what lies above `cut`."""
    moved = [row for result in results for row in result["transplants"]]
    clean = [row for result in results for row in result["heals"]]
    holes = [step for result in results for step in result["holes"]]
    loud = [row for row in moved if row[1] > CLEAR_LEVELS]
    look = [row for result in results for row in result["control"]]
    named = [Picture(file="", label=label, group=group, sha256="") for group, label, _ in look]
    return {
        "drawn_holes_flagged": measure.rate(sum(step > cut for step in holes), len(holes)),
        "transplants_flagged": measure.rate(sum(row[2] > cut for row in moved), len(moved)),
        "transplants_above_50_levels_flagged": measure.rate(sum(row[2] > cut for row in loud), len(loud)),
        "heals_passed": measure.rate(sum(row[1] <= cut for row in clean), len(clean)),
        "control": {
            **counted(named, np.array([row[2] - 0.5 for row in look]), good, 0.0),
            "transplants_flagged": measure.rate(sum(row[3] > 0.5 for row in moved), len(moved)),
            "heals_passed": measure.rate(sum(row[2] <= 0.5 for row in clean), len(clean)),
        },
    }


def lines(got: Document) -> list[str]:
    """What `summary` found, in words."""
    look = got["control"]
    return [
        f"  drawn holes flagged {rate_text(got['drawn_holes_flagged'])}",
        f"  moved flaws flagged {rate_text(got['transplants_flagged'])}, "
        f"above {CLEAR_LEVELS} grey levels {rate_text(got['transplants_above_50_levels_flagged'])}",
        f"  healed parts passed {rate_text(got['heals_passed'])}",
        f"  texture and brightness alone: balanced accuracy {look['balanced_accuracy']}, moved flaws flagged "
        f"{rate_text(look['transplants_flagged'])}, healed passed {rate_text(look['heals_passed'])}",
    ]


def counted(pictures: Sequence[Picture], steps: NDArray[np.float64], good: Sequence[str], cut: float) -> Document:
    """Errors at `cut`, counted over parts."""
    parts = measure.fuse(pictures, steps, good)
    flagged, truth = parts.steps > cut, np.array([each.label not in good for each in pictures])
    return {
        "balanced_accuracy": measure.binary(flagged, parts.defective)["balanced_accuracy"],
        "escape_rate": measure.rate(int((~flagged & parts.defective).sum()), int(parts.defective.sum())),
        "overkill_rate": measure.rate(int((flagged & ~parts.defective).sum()), int((~parts.defective).sum())),
        "auroc": measure.auroc(parts.steps, parts.defective),
        "by_picture": measure.binary(steps > cut, truth)["balanced_accuracy"],
        "wrong_parts": [
            [*name, round(float(step), 2)]
            for name, step, said, bad in zip(parts.names, parts.steps, flagged, parts.defective, strict=True)
            if said != bad
        ],
    }


def _holes(judge: Judge, data: Dataset, good: Sequence[str], random: np.random.Generator) -> list[float]:
    """Evidence of unseen good parts with one plain dark hole of radius `HOLE_PX` on them."""
    fine = [each for each in data.of("test") if each.label in good]
    drilled_crops = (
        holes.drilled(crop, judge.spec, random) for crop in dataset.pixels(data, fine, judge.spec.channels)
    )
    return [judge.crop(each) for each in drilled_crops if each is not None]


def _pairs(
    judge: Judge,
    root: Path,
    tested: Sequence[tuple[Picture, Image]],
    good: Sequence[str],
    level: counterfactual.Usual | None,
    control: Control,
    random: np.random.Generator,
) -> Document:
    fine = [crop for each, crop in tested if each.label in good]
    asked: dict[str, int] = defaultdict(int)
    transplants, heals = [], []
    for each, crop in tested:
        if each.label in good or asked[each.group] >= ASKED or not fine:
            continue
        mask = lesson.mask_of(root, each, crop, judge.spec)
        if level is not None:
            known = counterfactual.given(mask, level.layout) if mask is not None else None
            pair = counterfactual.pair(crop, fine, level, random, known)
        else:
            where = _hot(judge, crop) if mask is None else np.asarray(255 * mask, dtype=np.uint8)
            pair = rough.pair(crop, where, fine, random) if where is not None else None
        if pair is not None:
            asked[each.group] += 1
            transplants.append([each.group, pair.levels, judge.laid(pair.transplanted), control(pair.transplanted)])
            heals.append([each.group, judge.laid(pair.healed), control(pair.healed)])
    placed_by = "registration" if level is not None else "map"
    if any(each.mask for each, _ in tested if each.label not in good):
        placed_by = "masks"
    return {"transplants": transplants, "heals": heals, "placed_by": placed_by}


def _hot(judge: Judge, donor: Image) -> NDArray[np.uint8] | None:
    """Where the file's own map is highest on a part that is not registered."""
    if not judge.model.has_map or judge.spec.registration is not None:
        return None
    return rough.hot(judge.model.heat(lesson.finished(donor, judge.spec)), (donor.shape[0], donor.shape[1]))
