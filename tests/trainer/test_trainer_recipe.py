"""Recipes: every mistake is found, with its line; what is written out reads back the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer import recipe
from trainer.errors import BadRecipe

SHIPPED = sorted((Path(recipe.__file__).parent / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_is_read_and_says_its_command(path: Path) -> None:
    assert recipe.load(path).name == path.stem
    assert f"linegate-train run trainer/recipes/{path.name}" in path.read_text(encoding="utf-8").split("\nname:")[0]


def test_what_is_dumped_reads_back_equal() -> None:
    told = recipe.parse("name: a\ngood: [ok, fine]\ndecided: {10: ok}\ntraining: {epochs: 3}\naugment: {flip: false}\n")
    assert told.decided == (("10", "ok"),)
    assert recipe.parse(recipe.dump(told)) == told
    assert told.training.epochs == 3


def test_an_empty_recipe_is_the_defaults() -> None:
    assert recipe.parse("") == recipe.Recipe()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nmae: a", "recipe:1: nmae: is not a known key; did you mean 'name'?"),
        ("training:\n  epoch: 3", "recipe:2: training.epoch: is not a known key; did you mean 'epochs'?"),
        ("training:\n  epochs: many", "recipe:2: training.epochs: is 'many'; allowed: whole numbers from 1 to 2000"),
        ("training:\n  epochs: 0", "recipe:2: training.epochs: is 0; allowed: 1 to 2000"),
        ("training:\n  epochs: 2.5", "recipe:2: training.epochs: is 2.5; allowed: whole numbers from 1 to 2000"),
        ("augment:\n  flip: 1", "recipe:2: augment.flip: is 1; allowed: true, false"),
        ("network:\n  kind: vgg", "recipe:2: network.kind: is 'vgg'; allowed: ds_cnn"),
        ("good: [yes]", "recipe:1: good: is [True]; allowed: a list of words"),
        ("version: 1.0", "recipe:1: version: is 1.0, not text; put it in quotes"),
        ("decided: ok", "recipe:1: decided: is 'ok'; allowed: a section of NAME: WORD"),
        ("decided: {3: no}", "recipe:1: decided: is {3: False}; allowed: a section of NAME: WORD"),
        ("name: a/b", "recipe: name: is 'a/b'; allowed: letters, digits, - _ ."),
        ("name: a\nname: b", "recipe:2: name: is given twice; keep one"),
        ("training: 3", "recipe:1: training.: must be a section with keys"),
        ("a: [", "recipe:1: is not YAML"),
        ("split: {validation: 0.5, test: 0.5}", "recipe: split: validation and test leave less than a fifth"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        recipe.parse(text)
    assert any(said in each for each in caught.value.mistakes), caught.value.mistakes


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(BadRecipe) as caught:
        recipe.parse("nmae: a\ntraining: {epochs: 0, batch: x}\n")
    assert len(caught.value.mistakes) == 3
