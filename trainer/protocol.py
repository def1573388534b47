"""The grouped five-fold protocol: every part is judged once by a network that never saw it, beside its counterfactuals.

Each fold is a training of its own and leaves its result in the run's folder; a protocol that was stopped goes on with
the first fold that has none. Evidence is that of the int8 file. The folds leave no parts to set limits with, so cut
and limits are placed by the fold's own training parts and the recipe's costs: nothing is tuned on counted parts.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import dataset, fit, lesson, measure, quantize, robustness, trials
from trainer import recipe as recipes
from trainer.claims import at_limits, rate_text, without_twins
from trainer.dataset import Dataset, Picture
from trainer.limits import Limits, columns, evidence
from trainer.recipe import Compare, Recipe, Split
from trainer.run import read_json, say, write_json
from trainer.runtime import Model, latencies
from trainer.trials import Judge

Document = dict[str, Any]

FOLDS = 5
VIEWS = 24
"""At most so many pictures of a part are used: more of the same part say little more."""
GRID_PICTURES = 100
FORM = 2
"""Which figures a fold's result holds; older ones are measured anew."""
CUT = Limits(pass_steps=-1, reject_steps=1, temperature=1.0, clamped=True)


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
    spec, began = fit.input_spec(recipe), time.process_time()
    trained = fit.train(recipe, data, labels, good)
    known, strips = lesson.laid_out(data, "train", spec)
    shown = np.stack([lesson.finished(each, spec) for each in trials.some(strips, 600)])
    wanted = lesson.classes(trials.some(known, 600), labels)
    content = quantize.convert(trained.model, "int8_ptq", quantize.representative_of(shown, wanted, 200, recipe.seed))
    (folder / f"{name}.tflite").write_bytes(content)
    spent = time.process_time() - began
    judge = Judge(model=Model(content), spec=spec, good=columns(labels, good))
    cut_steps, limits = trials.operating(judge, data, good, recipe.costs, recipe.seed)
    judge = dataclasses.replace(judge, cut=cut_steps)
    tested, laid = lesson.laid_out(data, "test", spec)
    steps = [judge.laid(each) for each in laid]
    floats = fit.predict(trained.model, np.stack([lesson.finished(each, spec) for each in laid]))
    cut = judge.cut * quantize.check(content)[1].scale
    found: Document = {
        "pictures": [[p.group, p.label, p.file, step] for p, step in zip(tested, steps, strict=True)],
        "lost": sorted({each.file for each in data.of("test")} - {each.file for each in tested}),
        "float_disagrees": int(((evidence(floats, judge.good) > cut) != (np.array(steps) > 0)).sum()),
        "cut_steps": judge.cut,
        "limits_from_cut": [limits.pass_steps - judge.cut, limits.reject_steps - judge.cut],
        "bytes": len(content),
        "latency_ms": latencies({name: (judge.model, lesson.finished(laid[0], spec))})[name],
        "cpu_seconds": round(spent, 1),
        "losses": [round(each["loss"], 4) for each in trained.history][:: max(1, len(trained.history) // 20)],
    }
    found |= trials.ask(judge, data, good, recipe.seed)
    found["grid"] = _grid(judge, data, good, recipe.seed)
    return found


def _grid(judge: Judge, data: Dataset, good: tuple[str, ...], seed: int) -> Document:
    tested = data.of("test")
    chosen = tuple(tested[place] for place in robustness.choose(tested, GRID_PICTURES))
    crops = tuple(dataset.pixels(data, chosen, judge.spec.channels))
    sample = robustness.Sample(pictures=chosen, crops=crops, good=good)
    return robustness.grid(sample, judge.crop, CUT, robustness.side_px(judge.spec), seed)


def with_twins(place: dict[str, int], apart: Sequence[Sequence[str]]) -> set[str]:
    """Groups of which another fold holds near-copies; `apart` are sets of listed groups that show the same part."""
    return {name for names in apart if len({place[each] for each in names if each in place}) > 1 for name in names}


def summary(results: Sequence[Document], good: Sequence[str], twins: Collection[str] = ()) -> Document:
    """All folds together, counted over parts with exact 95 % intervals; once more without the groups in `twins`."""
    asked = [_asked(result) for result in results]
    pictures, steps = [each for mine, _ in asked for each in mine], np.concatenate([steps for _, steps in asked])
    said: Document = {"folds": len(results), **trials.counted(pictures, steps, good, 0.0)}
    said |= trials.summary(results, good, 0.0)
    said["at_limits"] = _at_limits(results, good)
    if twins:
        alone = np.array([each.group not in twins for each in pictures])
        kept = [each for each, known in zip(pictures, alone, strict=True) if known]
        said["without_twins"] = trials.counted(kept, steps[alone], good, 0.0)
    said["int8_decided_differently"] = {"count": sum(r["float_disagrees"] for r in results), "of": len(pictures)}
    said["lost"] = sum(len(result["lost"]) for result in results)
    said["bytes"] = max(result["bytes"] for result in results)
    said["latency_ms"] = float(np.median([result["latency_ms"] for result in results]))
    said["cpu_seconds"] = [result["cpu_seconds"] for result in results]
    said["grid"] = _cells([result["grid"] for result in results])
    return said


def _asked(result: Document) -> tuple[list[Picture], NDArray[np.float64]]:
    """A fold's test pictures and their evidence, measured from its cut."""
    rows = result["pictures"]
    pictures = [Picture(file=file, label=label, group=group, sha256="") for group, label, file, _ in rows]
    return pictures, np.array([row[3] for row in rows], dtype=np.float64)


def _at_limits(results: Sequence[Document], good: Sequence[str]) -> Document:
    """What the line would have done: passed, rejected, or sent to review, at each fold's own limits."""
    told = []
    for result in results:
        parts, (passing, rejecting) = measure.fuse(*_asked(result), good), result["limits_from_cut"]
        told.append((parts.defective, parts.steps <= passing, parts.steps >= rejecting))
    return measure.at_limits(*(np.concatenate(each) for each in zip(*told, strict=True)))


def lines(got: Document) -> list[str]:
    """The summary in words."""
    escapes, overkill = rate_text(got["escape_rate"]), rate_text(got["overkill_rate"])
    said = f"protocol, {got['folds']} folds, int8, counted over parts: balanced accuracy {got['balanced_accuracy']}"
    first = [f"{said}, escapes {escapes}, overkill {overkill}", f"  {at_limits(got['at_limits'])}", *trials.lines(got)]
    return [*first, f"  {without_twins(got['without_twins'])}"] if "without_twins" in got else first


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
    recipe: Recipe,
    data: Dataset,
    labels: Sequence[str],
    good: tuple[str, ...],
    folder: Path,
    apart: Sequence[Sequence[str]] = (),
) -> Document:
    """All folds that are not yet done, one after the other, and the summary, in `folder`; `apart` as `with_twins`."""
    folder.mkdir(parents=True, exist_ok=True)
    data = thinned(data)
    place = folds(data, recipe.seed)
    made_from = _made_from(recipe, data)
    results = []
    for fold in sorted(set(place.values())):
        path = folder / f"fold-{fold}.json"
        if path.is_file() and read_json(path)["made_from"] == made_from:
            say(f"protocol: fold {fold} already done")
        else:
            say(f"protocol: fold {fold}")
            pictures = tuple(
                dataclasses.replace(each, split="test" if place[each.group] == fold else "train")
                for each in data.pictures
            )
            part = dataclasses.replace(data, pictures=pictures)
            write_json(path, {"made_from": made_from, **one(recipe, part, labels, good, folder, f"fold-{fold}")})
        results.append(read_json(path))
        got = summary(results[-1:], good)
        say(f"  balanced accuracy {got['balanced_accuracy']}, wrong {got['wrong_parts']}")
    got = {"made_from": made_from, **summary(results, good, with_twins(place, apart))}
    write_json(folder / "protocol.json", got)
    return got


def kept(recipe: Recipe, data: Dataset, folder: Path) -> Document | None:
    """What `run` has left in `folder` for this very recipe and data, if anything."""
    path = folder / "protocol.json"
    got = dict(read_json(path)) if path.is_file() else {}
    return got if got.get("made_from") == _made_from(recipe, thinned(data)) else None


def _made_from(recipe: Recipe, data: Dataset) -> str:
    """A hash of all that a fold's result depends on; how a run divides the data, and what it adds, is not among it."""
    own = dataclasses.replace(
        recipe, split=Split(), compare=Compare(), training=dataclasses.replace(recipe.training, aware=0.0), shelf=""
    )
    return hashlib.sha256(f"{FORM}{recipes.dump(own)}{data.fingerprint()}".encode()).hexdigest()
