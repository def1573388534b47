"""The steps of a run that teach: the float network, its variants for the device, and what stands beside it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trainer import aware, dataset, fit, lesson, measure, network, pack, rivals
from trainer import quantize as convert
from trainer.augment import contact_sheet
from trainer.errors import Refused
from trainer.limits import columns, evidence, middle
from trainer.recipe import Recipe
from trainer.run import Part, Run, say, write_json
from trainer.watch import Watch

REPRESENTATIVE = 200


def train(run: Run) -> None:
    """Train one float network per division of the data."""
    labels, good = run.classes()
    for part in run.divisions():
        _write_sheet(run, part)
        say(f"train: {run.recipe.network.kind}, split {part.kind}")
        trained = fit.train(run.recipe, part.pictures(), labels, good, _watch(run, part.kind))
        _centre(trained.model, part.pictures(), run.recipe, labels, good)
        trained.model.save_weights(part.network)
        write_json(part.folder / "history.json", {"seconds": round(trained.seconds, 1), "epochs": trained.history})
    shutil.rmtree(run.out / "checkpoints", ignore_errors=True)


def quantize(run: Run) -> None:
    """Convert each network into every variant."""
    labels, good = run.classes()
    for part in run.divisions():
        model, data = _network(run, part), part.pictures()
        sample = representative(run.recipe, data, labels)
        for variant in convert.VARIANTS:
            _keep(part, variant, convert.convert(model, variant, sample))
        if run.recipe.training.aware:
            say(f"train: {part.kind}, aware of quantization")
            tuned = fit.tune(run.recipe, data, labels, good, aware.aware(model), _watch(run, part.kind))
            _keep(part, convert.AWARE, convert.convert_aware(tuned.model))
    shutil.rmtree(run.out / "checkpoints", ignore_errors=True)


def compare(run: Run) -> None:
    """Train what the recipe wants to be compared with, on the same divisions; full int8."""
    labels, good = run.classes()
    for part in run.divisions():
        for name, recipe in rivals.recipes(run.recipe).items():
            say(f"train: {name}, split {part.kind}")
            trained = fit.train(recipe, part.pictures(), labels, good, _watch(run, f"{part.kind}-{name}"))
            sample = representative(recipe, part.pictures(), labels)
            _keep(part, name, convert.convert(trained.model, "int8_ptq", sample))
    shutil.rmtree(run.out / "checkpoints", ignore_errors=True)


def representative(recipe: Recipe, data: dataset.Dataset, labels: Sequence[str]) -> Any:
    """Training pictures that the ranges of an int8 file are taken from."""
    shown, wanted = fit.stack(data, "train", fit.input_spec(recipe)), lesson.classes(data.of("train"), labels)
    return convert.representative_of(shown, wanted, REPRESENTATIVE, recipe.seed)


def _keep(part: Part, variant: str, content: bytes) -> None:
    part.converted(variant).write_bytes(content)
    say(f"quantize: {part.kind} {variant} {len(content) / 1000:.1f} kB")


def _watch(run: Run, name: str) -> Watch:
    return Watch(run.out / "checkpoints" / name, run.out / "logs" / name)


def _network(run: Run, part: Part) -> Any:
    """The trained float network; raises `Refused`."""
    labels, good = run.classes()
    plain = replace(run.recipe.network, pretrained=False)
    model = network.build(plain, run.recipe.input, len(good), len(labels) - len(good))
    try:
        model.load_weights(part.network)
    except (OSError, ValueError):
        raise Refused(f"{part.network}: is no network of this recipe; run the step `train` first") from None
    return model


def _centre(model: Any, data: dataset.Dataset, recipe: Recipe, labels: Sequence[str], good: Sequence[str]) -> None:
    """Move the good classes' bias so that evidence 0 means even odds on validation parts.

    Evidence of parts is what limits and the shown probability are made from; the loss cares for their order only.
    """
    if not any(each.label in good for each in data.pictures):
        return
    logits = fit.predict(model, fit.stack(data, "validation", fit.input_spec(recipe)))
    held = measure.fuse(data.of("validation"), evidence(logits, columns(labels, good)), good)
    layer = model.get_layer("good")
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel, bias + np.float32(middle(held.steps, held.defective))])


def _write_sheet(run: Run, part: Part) -> None:
    """What the network will be shown: some training pictures, each followed by variations of it."""
    data, spec = part.pictures(), fit.input_spec(run.recipe)
    labels, _ = run.classes()
    each_class = [[each for each in data.of("train") if each.label == label] for label in labels]
    few = [mine[0] for mine in each_class if mine] + [mine[len(mine) // 2] for mine in each_class if len(mine) > 1]
    sheet = contact_sheet(dataset.pixels(data, few[:8], spec.channels), spec, run.recipe.augment, run.recipe.seed)
    pack.write_picture(part.folder / "augmented.png", sheet[:, :, ::-1] if sheet.shape[2] == 3 else sheet)
