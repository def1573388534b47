"""The published layout, trained on the same pictures and asked beside the recipe's network: rows to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import fit, measure
from trainer.errors import Refused
from trainer.limits import choose, columns, evidence
from trainer.recipe import Input, Network, Recipe
from trainer.run import Part
from trainer.runtime import Model

Document = dict[str, Any]

LEARNING_RATE = 0.001
"""Nothing normalises inside this layout: at the rate of the others it does not learn."""


def recipes(recipe: Recipe) -> dict[str, Recipe]:
    """What the recipe wants to be compared with, by name: whole pictures, one stage, no made flaws."""
    how = recipe.compare
    training = replace(recipe.training, coarse=0, epochs=how.epochs, aware=0.0, learning_rate=LEARNING_RATE)
    return {
        f"plain_cnn_{side:g}": replace(
            recipe,
            network=Network(kind="plain_cnn"),
            input=Input(height_px=int(side), width_px=int(side), channels=recipe.input.channels, registration="none"),
            augment=replace(recipe.augment, drawn=0.0, counterfactual=False),
            training=training,
        )
        for side in how.plain_cnn_px
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One compared file with a test picture, as it is shown it, and what `metrics.json` says of it."""

    model: Model
    picture: NDArray[np.uint8]
    figures: Document


def ask(recipe: Recipe, part: Part, labels: Sequence[str], good: tuple[str, ...]) -> dict[str, Rival]:
    """Every compared file about one division, at limits set as the shipped file's are; raises `Refused`."""
    data, which, found = part.pictures(), columns(labels, good), {}
    for name, each in recipes(recipe).items():
        if not part.converted(name).is_file():
            raise Refused(f"{part.converted(name)}: is not there; run the step `compare` first")
        model, spec = Model(part.converted(name)), fit.input_spec(each)
        shown = {split: fit.stack(data, split, spec) for split in ("validation", "test")}
        outputs = {split: model.outputs(pictures) for split, pictures in shown.items()}
        held = measure.fuse(data.of("validation"), evidence(outputs["validation"], which), good)
        limits = choose(held.steps, held.defective, recipe.costs, 1.0)
        figures = measure.assess(data.of("test"), outputs["test"], labels, good, limits)
        found[name] = Rival(model=model, picture=shown["test"][0], figures=figures)
    return found
