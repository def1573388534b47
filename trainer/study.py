"""What is measured on the file that ships, beyond right and wrong: curves, drift, repeatability, runtimes, lint."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Unregistered
from trainer import (
    baselines,
    curves,
    dataset,
    fit,
    lint,
    measure,
    other_runtime,
    quantize,
    reference,
    rivals,
    robustness,
    trials,
)
from trainer.augment import Image, seen
from trainer.claims import CHOSEN
from trainer.dataset import Dataset
from trainer.limits import Limits, choose, columns, evidence
from trainer.pack import write_picture
from trainer.recipe import Recipe
from trainer.run import Part, write_json
from trainer.runtime import Model, latencies

Document = dict[str, Any]

CROPS_AT_MOST = 240
ASKED_AT_MOST = 60


def division(
    recipe: Recipe,
    part: Part,
    contents: dict[str, bytes],
    labels: Sequence[str],
    good: tuple[str, ...],
    metrics: Document,
) -> None:
    """Measure every variant on one division of the data; `metrics` takes the figures, the part's folder the rest."""
    which, spec, data = columns(labels, good), fit.input_spec(recipe), part.pictures()
    shown = {split: fit.stack(data, split, spec) for split in ("train", "validation", "test")}
    models = {variant: Model(content) for variant, content in contents.items()}
    _, steps = quantize.check(contents[CHOSEN])
    outputs = {
        f"{variant}/{split}": model.outputs(shown[split])
        if variant == CHOSEN
        else model.logits(shown[split]) / steps.scale
        for variant, model in models.items()
        for split in ("validation", "test")
    }
    part.keep_outputs(outputs)
    held = {v: measure.fuse(data.of("validation"), evidence(outputs[f"{v}/validation"], which), good) for v in models}
    limits = {v: choose(each.steps, each.defective, recipe.costs, steps.scale) for v, each in held.items()}
    write_json(part.folder / "limits.json", dataclasses.asdict(limits[CHOSEN]))
    flags = {v: evidence(outputs[f"{v}/test"], which) > limits[v].cut_steps for v in models}
    if not any(each.label in good for each in data.pictures):
        flags = {v: outputs[f"{v}/test"].argmax(axis=1) for v in models}
    rival = rivals.ask(recipe, part, labels, good)
    timed = {variant: (model, shown["test"][0]) for variant, model in models.items()}
    spent = latencies(timed | {name: (each.model, each.picture) for name, each in rival.items()})
    for variant, model in models.items():
        metrics[variant][part.kind] = {
            **measure.assess(data.of("test"), outputs[f"{variant}/test"], labels, good, limits[variant]),
            "bytes": model.bytes,
            "latency_ms": spent[variant],
            "against_float32": {"count": int((flags[variant] != flags["float32"]).sum()), "of": len(flags[variant])},
        }
    for name, each in rival.items():
        figures = {**each.figures, "bytes": each.model.bytes, "latency_ms": spent[name]}
        metrics.setdefault("compared", {}).setdefault(name, {})[part.kind] = figures
    known, tested = (shown["train"], data.of("train")), (shown["test"], data.of("test"))
    metrics["baselines"][part.kind] = baselines.measure(known, tested, good, recipe.seed)
    metrics["curves"][part.kind] = graphs(data, outputs[f"{CHOSEN}/test"], limits[CHOSEN], good, which, steps.scale)
    some_good = any(each.label in good for each in data.pictures)
    if some_good:
        metrics["reference"][part.kind] = reference.assess(good_part(shown["train"], data, good), *tested, good)
    if part.kind == "grouped":
        if some_good:
            _write_difference(part, shown, data, good)
        part.edgetpu.unlink(missing_ok=True)
        compiled, metrics["edgetpu_compiler"] = lint.compiled(contents[CHOSEN])
        if compiled is not None:
            part.edgetpu.write_bytes(compiled)
        metrics |= endurance(models[CHOSEN], data, spec, limits[CHOSEN], good, which, recipe.seed)
        metrics |= files(contents, models, shown["test"])
        if some_good:
            judge = trials.Judge(model=models[CHOSEN], spec=spec, good=which)
            asked = trials.ask(judge, data, good, recipe.seed)
            said = trials.summary([asked], good, limits[CHOSEN].cut_steps)
            metrics["trials"] = {"placed_by": asked["placed_by"], **said}


def of_shown(model: Model, good: NDArray[np.bool_]) -> Callable[[Image], float]:
    """Evidence of one picture as the network is shown it, in the file's own steps."""
    return lambda picture: float(evidence(model.raw(picture)[None], good)[0])


def of_crop(model: Model, good: NDArray[np.bool_], spec: InputSpec) -> Callable[[Image], float]:
    """Evidence of one crop as it comes from the camera; NaN where the part is not found in it."""
    ask = of_shown(model, good)

    def found(crop: Image) -> float:
        try:
            return ask(seen(crop, spec))
        except Unregistered:
            return math.nan

    return found


def graphs(
    data: Dataset,
    outputs: NDArray[np.generic],
    limits: Limits,
    good: tuple[str, ...],
    columns: NDArray[np.bool_],
    scale: float,
) -> Document:
    """Curves and calibration on the test split, counted over parts and over pictures."""
    steps = evidence(outputs, columns)
    parts = measure.fuse(data.of("test"), steps, good)
    truth = np.array([each.label not in good for each in data.of("test")], dtype=bool)
    return {
        "by_part": curves.assess(parts.steps, parts.defective, limits, scale),
        "by_picture": curves.assess(steps, truth, limits, scale),
    }


def endurance(
    model: Model,
    data: Dataset,
    spec: InputSpec,
    limits: Limits,
    good: tuple[str, ...],
    columns: NDArray[np.bool_],
    seed: int,
) -> Document:
    """The photometric grid and the repeatability of verdicts, on test parts."""
    tested = data.of("test")
    chosen = tuple(tested[place] for place in robustness.choose(tested, CROPS_AT_MOST))
    crops = tuple(dataset.pixels(data, chosen, spec.channels))
    sample = robustness.Sample(pictures=chosen, crops=crops, good=good)
    ask = of_crop(model, columns, spec)
    return {
        "robustness": robustness.grid(sample, ask, limits, robustness.side_px(spec), seed),
        "repeatability": robustness.repeatability(sample, ask, limits, seed),
    }


def good_part(shown: Image, data: Dataset, good: Sequence[str]) -> reference.Reference:
    """The mean good part of the training split; `shown` are its pictures."""
    fine = [picture for picture, each in zip(shown, data.of("train"), strict=True) if each.label in good]
    return reference.build(fine)


def _write_difference(part: Part, shown: dict[str, Image], data: Dataset, good: Sequence[str]) -> None:
    """Some test parts beside the mean good one: the good one that differs most, and the two worst defective ones."""
    known = good_part(shown["train"], data, good)
    scored = sorted(((known.score(picture), number) for number, picture in enumerate(shown["test"])), reverse=True)
    fine = [number for _, number in scored if data.of("test")[number].label in good]
    bad = [number for _, number in scored if data.of("test")[number].label not in good]
    rows = [reference.side_by_side(known, shown["test"][number]) for number in [*bad[:2], *fine[:1]]]
    write_picture(part.folder / "reference.png", np.vstack(rows))


def files(contents: dict[str, bytes], models: dict[str, Model], shown: Image) -> Document:
    """Every variant's operations with their versions, what an Edge TPU would take, and the older runtime's answers."""
    looked = {name: lint.look(content) for name, content in contents.items()}
    few = shown[np.unique(np.linspace(0, len(shown) - 1, min(ASKED_AT_MOST, len(shown))).astype(int))]
    expected = {name: model.outputs(few) for name, model in models.items()}
    return {"lint": looked, "other_runtime": other_runtime.ask(contents, few, expected)}
