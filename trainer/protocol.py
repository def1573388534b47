"""The grouped five-fold protocol: every part is judged once by a network that never saw it, beside its counterfactuals.

Each fold is a training of its own and leaves its result in the run's folder; a protocol that was stopped goes on with
the first fold that has none. Evidence is that of the int8 file, and the cut lies at zero: the folds leave no parts to
set limits with, and the batches hold good and defective parts alike.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from edge.bundle import InputSpec, Unregistered
from edge.bundle import ring as rings
from trainer import counterfactual, dataset, fit, lesson, measure, quantize, robustness
from trainer.augment import Image, seen
from trainer.claims import rate_text
from trainer.dataset import Dataset, Picture
from trainer.drawn import hole, hole_at
from trainer.limits import Limits, columns, evidence
from trainer.recipe import Recipe
from trainer.run import read_json, write_json
from trainer.runtime import Model
from trainer.study import LOST

Document = dict[str, Any]

FOLDS = 5
VIEWS = 24
"""At most so many pictures of a part are used: more of the same part say little more."""
ASKED = 6
"""Counterfactuals per part."""
GRID_PICTURES = 100
HOLE_PX = 2.5
CUT = Limits(pass_steps=-1, reject_steps=1, temperature=1.0, clamped=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """One fold's file and what it needs to be asked."""

    model: Model
    spec: InputSpec
    good: NDArray[np.bool_]

    def crop(self, crop: Image) -> float:
        """Evidence in steps of a picture as the camera takes it."""
        try:
            return self.shown(seen(crop, self.spec))
        except Unregistered:
            return LOST

    def laid(self, crop: Image) -> float:
        """The same of a picture that is unrolled already."""
        return self.shown(lesson.finished(crop, self.spec))

    def shown(self, picture: Image) -> float:
        """The same of what the network is shown."""
        return float(evidence(self.model.raw(picture)[None], self.good)[0])


def folds(data: Dataset, seed: int) -> dict[str, int]:
    """Which fold each part is tested in: as `groups.csv` says in a column `fold`, or drawn, each class alike."""
    listed = data.root / "groups.csv"
    if listed.is_file():
        with listed.open(newline="", encoding="utf-8-sig") as file:
            given = {row["group"]: row.get("fold") or "" for row in csv.DictReader(file)}
        names = sorted(set(given.values()))
        if len(names) > 1 and "" not in names and {each.group for each in data.pictures} <= set(given):
            return {group: names.index(fold) for group, fold in given.items()}
    random, place = np.random.default_rng(seed), {}
    for label in data.labels:
        mine = sorted({each.group for each in data.pictures if each.label == label} - set(place))
        place |= {group: turn % FOLDS for turn, group in enumerate(random.permutation(mine).tolist())}
    return place


def thinned(data: Dataset) -> Dataset:
    """At most `VIEWS` pictures of every part, spread over all it has."""
    mine: dict[tuple[str, str], list[Picture]] = defaultdict(list)
    for each in data.pictures:
        mine[each.part].append(each)
    kept = {p.file for views in mine.values() for p in views[:: -(-len(views) // VIEWS)]}
    return dataclasses.replace(data, pictures=tuple(each for each in data.pictures if each.file in kept))


def one(
    recipe: Recipe, data: Dataset, labels: Sequence[str], good: tuple[str, ...], folder: Path, name: str
) -> Document:
    """Train on the split's `train`, ask the int8 file about its `test`."""
    spec, random, began = fit.input_spec(recipe), np.random.default_rng(recipe.seed), time.process_time()
    trained = fit.train(recipe, data, labels, good)
    known, strips = lesson.laid_out(data, "train", spec)
    shown = np.stack([lesson.finished(each, spec) for each in strips[:: max(1, len(strips) // 600)]])
    wanted = lesson.classes(known[:: max(1, len(strips) // 600)], labels)
    content = quantize.convert(trained.model, "int8_ptq", quantize.representative_of(shown, wanted, 200, recipe.seed))
    (folder / f"{name}.tflite").write_bytes(content)
    spent = time.process_time() - began
    judge = Judge(model=Model(content), spec=spec, good=columns(labels, good))
    tested, laid = lesson.laid_out(data, "test", spec)
    steps = [judge.laid(each) for each in laid]
    floats = fit.predict(trained.model, np.stack([lesson.finished(each, spec) for each in laid]))
    found: Document = {
        "pictures": [[p.group, p.label, p.file, step] for p, step in zip(tested, steps, strict=True)],
        "lost": sorted({each.file for each in data.of("test")} - {each.file for each in tested}),
        "float_disagrees": int(((evidence(floats, judge.good) > 0) != (np.array(steps) > 0)).sum()),
        "bytes": len(content),
        "latency_ms": round(judge.model.latency_ms(lesson.finished(laid[0], spec)), 4),
        "cpu_seconds": round(spent, 1),
        "losses": [round(each["loss"], 4) for each in trained.history][:: max(1, len(trained.history) // 20)],
    }
    found["holes"] = _holes(judge, data, good, random)
    if spec.registration is not None:
        level = counterfactual.usual(_some([s for p, s in zip(known, strips, strict=True) if p.label in good], 400))
        control = _Control(_some(strips, 1500), _some([p.label not in good for p in known], 1500), recipe.seed)
        found |= _pairs(judge, tested, laid, good, level, control, random)
        found["control"] = [[p.group, p.label, control(s)] for p, s in zip(tested, laid, strict=True)]
    found["grid"] = _grid(judge, data, good, recipe.seed)
    return found


def _some(each: Sequence[Any], count: int) -> list[Any]:
    return list(each[:: max(1, -(-len(each) // count))])


def _holes(judge: Judge, data: Dataset, good: Sequence[str], random: np.random.Generator) -> list[float]:
    """Evidence of unseen good parts with one plain dark hole of radius `HOLE_PX` on them."""
    fine = [each for each in data.of("test") if each.label in good]
    steps = []
    for crop in dataset.pixels(data, fine, judge.spec.channels):
        spoilt = drilled(crop, judge.spec, random)
        steps.append(judge.crop(spoilt) if spoilt is not None else 0.0)
    return steps


def drilled(crop: Image, spec: InputSpec, random: np.random.Generator) -> Image | None:
    """The crop with a hole where the model looks and where it can be seen; None where the part is not to be found."""
    ring = spec.registration
    if ring is None:
        return hole(crop, HOLE_PX, random)
    gray = crop if crop.ndim == 2 else crop.max(axis=2)
    try:
        pose = rings.find(np.asarray(gray, dtype=np.uint8), ring)
    except Unregistered:
        return None
    # On the part, not beyond its edges, and not in a shadow, where a dark hole is nothing to be seen.
    low, high = (max(ring.inner, 1.03), 0.97 * ring.rim) if ring.rim else (ring.inner, 0.95)
    for _ in range(50):
        x, y = rings.point(pose, ring, float(random.uniform(0, 2 * np.pi)), float(random.uniform(low, high)))
        row, column = min(max(int(y), 0), gray.shape[0] - 1), min(max(int(x), 0), gray.shape[1] - 1)
        if gray[row, column] >= 90:
            return hole_at(crop, (x, y), HOLE_PX)
    return None


def _pairs(
    judge: Judge,
    pictures: Sequence[Picture],
    strips: Sequence[Image],
    good: Sequence[str],
    level: counterfactual.Usual,
    control: _Control,
    random: np.random.Generator,
) -> Document:
    fine = [strip for each, strip in zip(pictures, strips, strict=True) if each.label in good]
    asked: dict[str, int] = defaultdict(int)
    transplants, heals = [], []
    for each, strip in zip(pictures, strips, strict=True):
        if each.label in good or asked[each.group] >= ASKED:
            continue
        pair = counterfactual.pair(strip, fine, level, random)
        if pair is not None:
            asked[each.group] += 1
            transplants.append([each.group, pair.levels, judge.laid(pair.transplanted), control(pair.transplanted)])
            heals.append([each.group, judge.laid(pair.healed), control(pair.healed)])
    return {"transplants": transplants, "heals": heals}


class _Control:
    """Trees on texture and brightness, in which a flaw leaves hardly a trace: what a style alone gives away."""

    def __init__(self, strips: Sequence[Image], defective: Sequence[bool], seed: int) -> None:
        self._forest = RandomForestClassifier(100, class_weight="balanced", random_state=seed, n_jobs=1)
        self._forest.fit(np.stack([texture(each) for each in strips]), np.asarray(defective))

    def __call__(self, strip: Image) -> float:
        return round(float(self._forest.predict_proba(texture(strip)[None])[0, 1]), 4)


def texture(strip: Image) -> NDArray[np.float64]:
    """Medians along eight bands of rows: brightness, and how rough it is along and across."""
    light = strip.astype(np.float32)
    rough = [
        np.abs(np.diff(light, axis=axis))[:-1, :-1] if axis else np.abs(np.diff(light, axis=0))[:, :-1]
        for axis in (0, 1)
    ]
    bands = [np.array_split(each, 8, axis=0) for each in (light, *rough)]
    return np.array([np.median(band) for kind in bands for band in kind], dtype=np.float64)


def _grid(judge: Judge, data: Dataset, good: tuple[str, ...], seed: int) -> Document:
    tested = data.of("test")
    chosen = tuple(tested[place] for place in robustness.choose(tested, GRID_PICTURES))
    crops = tuple(dataset.pixels(data, chosen, judge.spec.channels))
    sample = robustness.Sample(pictures=chosen, crops=crops, good=good)
    return robustness.grid(sample, judge.crop, CUT, 128, seed)


def summary(results: Sequence[Document], good: Sequence[str]) -> Document:
    """All folds together, counted over parts with exact 95 % intervals."""
    rows = [row for result in results for row in result["pictures"]]
    pictures = [Picture(file=file, label=label, group=group, sha256="") for group, label, file, _ in rows]
    steps = np.array([row[3] for row in rows])
    said: Document = {"folds": len(results), **_counted(pictures, steps, good)}
    holes = [step for result in results for step in result["holes"]]
    said["drawn_holes_flagged"] = measure.rate(sum(step > 0 for step in holes), len(holes))
    said["int8_decided_differently"] = {"count": sum(r["float_disagrees"] for r in results), "of": len(rows)}
    said["lost"] = sum(len(result["lost"]) for result in results)
    said["bytes"] = max(result["bytes"] for result in results)
    said["latency_ms"] = float(np.median([result["latency_ms"] for result in results]))
    said["cpu_seconds"] = [result["cpu_seconds"] for result in results]
    said["grid"] = _cells([result["grid"] for result in results])
    if all("transplants" in result for result in results):
        moved = [row for result in results for row in result["transplants"]]
        clean = [row for result in results for row in result["heals"]]
        loud = [row for row in moved if row[1] > 50]
        said["transplants_flagged"] = measure.rate(sum(row[2] > 0 for row in moved), len(moved))
        said["transplants_above_50_levels_flagged"] = measure.rate(sum(row[2] > 0 for row in loud), len(loud))
        said["heals_passed"] = measure.rate(sum(row[1] <= 0 for row in clean), len(clean))
        look = [row for result in results for row in result["control"]]
        named = [Picture(file="", label=label, group=group, sha256="") for group, label, _ in look]
        said["control"] = {
            **_counted(named, np.array([row[2] - 0.5 for row in look]), good),
            "transplants_flagged": measure.rate(sum(row[3] > 0.5 for row in moved), len(moved)),
            "heals_passed": measure.rate(sum(row[2] <= 0.5 for row in clean), len(clean)),
        }
    return said


def _counted(pictures: Sequence[Picture], steps: NDArray[np.float64], good: Sequence[str]) -> Document:
    parts = measure.fuse(pictures, steps, good)
    flagged, truth = parts.steps > 0, np.array([each.label not in good for each in pictures])
    return {
        "balanced_accuracy": measure.binary(flagged, parts.defective)["balanced_accuracy"],
        "escape_rate": measure.rate(int((~flagged & parts.defective).sum()), int(parts.defective.sum())),
        "overkill_rate": measure.rate(int((flagged & ~parts.defective).sum()), int((~parts.defective).sum())),
        "auroc": measure.auroc(parts.steps, parts.defective),
        "by_picture": measure.binary(steps > 0, truth)["balanced_accuracy"],
        "wrong_parts": [
            [*name, round(float(step), 2)]
            for name, step, said, bad in zip(parts.names, parts.steps, flagged, parts.defective, strict=True)
            if said != bad
        ],
    }


def lines(got: Document) -> list[str]:
    """The summary in words."""
    escapes, overkill = rate_text(got["escape_rate"]), rate_text(got["overkill_rate"])
    said = [
        f"protocol, {got['folds']} folds, int8, counted over parts: balanced accuracy {got['balanced_accuracy']}, "
        f"escapes {escapes}, overkill {overkill}",
        f"  drawn holes flagged {rate_text(got['drawn_holes_flagged'])}",
    ]
    if "transplants_flagged" in got:
        look = got["control"]
        said += [
            f"  transplanted flaws flagged {rate_text(got['transplants_flagged'])}, "
            f"above 50 grey levels {rate_text(got['transplants_above_50_levels_flagged'])}",
            f"  healed parts passed {rate_text(got['heals_passed'])}",
            f"  texture and brightness alone: balanced accuracy {look['balanced_accuracy']}, transplants flagged "
            f"{rate_text(look['transplants_flagged'])}, healed passed {rate_text(look['heals_passed'])}",
        ]
    return said


def _cells(grids: Sequence[Document]) -> list[Document]:
    """Each cell over all folds, weighted by nothing: the folds are alike in size."""
    return [
        {
            "kind": cells[0]["kind"],
            "value": cells[0]["value"],
            **{
                key: round(float(np.mean([cell[key] or 0.0 for cell in cells])), 4)
                for key in ("escape_rate", "overkill_rate")
            },
        }
        for cells in zip(*(grid["cells"] for grid in grids), strict=True)
    ]


def run(
    recipe: Recipe, data: Dataset, labels: Sequence[str], good: tuple[str, ...], folder: Path, say: Any
) -> Document:
    """All folds that are not yet done, one after the other, and the summary, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    data = thinned(data)
    place = folds(data, recipe.seed)
    results = []
    for fold in sorted(set(place.values())):
        kept = folder / f"fold-{fold}.json"
        made_from = json.loads(json.dumps(dataclasses.asdict(recipe)))
        if kept.is_file() and read_json(kept)["recipe"] == made_from:
            say(f"protocol: fold {fold} already done")
        else:
            say(f"protocol: fold {fold}")
            pictures = tuple(
                dataclasses.replace(each, split="test" if place[each.group] == fold else "train")
                for each in data.pictures
            )
            part = dataclasses.replace(data, pictures=pictures)
            write_json(kept, {"recipe": made_from, **one(recipe, part, labels, good, folder, f"fold-{fold}")})
        results.append(read_json(kept))
        got = summary(results[-1:], good)
        say(f"  balanced accuracy {got['balanced_accuracy']}, wrong {got['wrong_parts']}")
    got = summary(results, good)
    write_json(folder / "protocol.json", got)
    return got
