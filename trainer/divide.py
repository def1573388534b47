"""The first step of a run: the folder is read, registration decided, parts grouped, and each given a purpose."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.bundle import InputSpec, Ring, Template, even, laid
from trainer import dataset, grouping, laying, leakage, register
from trainer.dataset import Dataset, Picture
from trainer.recipe import Recipe
from trainer.run import Part, Run, say, write_json

SPLITS = ("train", "validation", "test")
COLOURED = 12.0
"""Grey levels between a picture's channels, in the mean, from which it is in colour."""


def divide(run: Run) -> None:
    """Read the folder, find out how parts are registered, and decide which part serves for what; raises `Refused`."""
    data = dataset.scan(run.data)
    good = dataset.good_labels(data.labels, run.recipe.good)
    run, data, facts = _registered(run, data, good)
    data, apart = _grouped(run.recipe, data)
    data, decided = _decided(run.recipe, data)
    _tell(run.recipe, data, good)
    data = dataset.divide(data, good, run.recipe.split, run.recipe.seed)
    run, data, lost = _from_training(run, data, good)
    _divided(run.part("grouped"), data)
    if run.recipe.split.official and dataset.has_official(data):
        _divided(run.part("official"), dataset.divide_officially(data, good, run.recipe.split, run.recipe.seed))
    contradictory = {group: dict(counts) for group, counts in dataset.torn(data).items()}
    for group, counts in contradictory.items():
        many = " and ".join(f"{label} ({count} pictures)" for label, count in sorted(counts.items()))
        say(f"  a person should look: part {group} is called {many}; `decided:` in the recipe settles it")
    facts["unregistered"] += lost
    facts |= {"contradictory": contradictory, "decided": decided}
    facts |= {"leakage": _leaks(data), "grouped_by": data.grouped_by}
    facts |= {"labels": (*(good or [dataset.NO_DEFECT]), *(each for each in data.labels if each not in good))}
    facts |= {"good": good or [dataset.NO_DEFECT], "listed_apart": apart, "unreadable": data.unreadable}
    write_json(run.out / "data.json", {**facts, "fingerprint": data.fingerprint()})


def prints(spec: InputSpec, data: Dataset, asked: Sequence[Picture]) -> leakage.Prints:
    """What near-copies are known by: of registered parts by what differs from how all of them look."""
    spec = dataclasses.replace(spec, channels=1)
    pictures = (dataset.readable(data.root, each.file, 1) for each in asked)
    match spec.registration:
        case Ring():
            return leakage.Prints.of_strips(laid(each, spec) for each in pictures)
        case Template():
            return leakage.Prints.of(even(laid(each, spec), spec) for each in pictures)
        case _:
            return leakage.Prints.of(pictures)


def _registered(run: Run, data: Dataset, good: Sequence[str]) -> tuple[Run, Dataset, dict[str, Any]]:
    """The run with its registration decided, and the data without pictures in which the part is not found."""
    order = np.random.default_rng(run.recipe.seed).permutation(len(data.pictures))[: register.ASKED]
    asked = [data.pictures[i] for i in order]
    settled, why = register.settled(run.recipe, dataset.pixels(data, asked, 1), [each.label in good for each in asked])
    run, kind = run.settle(settled), settled.input.registration
    say(f"registration: {kind} ({why})")
    data, lost = _found(run.recipe, data)
    return run, data, {"registration": {"kind": kind, "why": why}, "unregistered": lost}


def _found(recipe: Recipe, data: Dataset) -> tuple[Dataset, list[str]]:
    """The data without pictures in which the part is not found, and the names of these."""
    known = register.registration_of(recipe)
    if known is None:
        return data, []
    lost = [p.file for p in data.pictures if not register.registered(dataset.readable(data.root, p.file, 1), known)]
    for file in lost:
        say(f"  left out, the part is not to be found: {file} (on the device such a view counts for nothing)")
    kept = tuple(each for each in data.pictures if each.file not in set(lost))
    return dataclasses.replace(data, pictures=kept), lost


def _from_training(run: Run, data: Dataset, good: Sequence[str]) -> tuple[Run, Dataset, list[str]]:
    """A template made anew, of training parts only: what was made to choose it knew the test parts."""
    if register.template_of(run.recipe) is None or run.recipe.input.template == run.asked().input.template:
        return run, data, []
    random = np.random.default_rng(run.recipe.seed)
    some = [data.of("train")[i] for i in random.permutation(len(data.of("train")))]
    # Enough good ones to make it of, and a few of all kinds to see how well they agree.
    known = [*(each for each in some if each.label in good)][: laying.ASKED] + some[: register.ASKED]
    fine = [each.label in good for each in known]
    run = run.settle(register.remade(run.recipe, dataset.pixels(data, known, 1), fine))
    data, lost = _found(run.recipe, data)
    return run, data, lost


def _grouped(recipe: Recipe, data: Dataset) -> tuple[Dataset, list[list[str]]]:
    """The data in groups that are found where none are given, and given groups that show the same part."""
    spec = register.input_spec(recipe)
    if data.grouped_by == "file":
        found = prints(spec, data, data.pictures)
        return grouping.grouped(data, found, leakage.parts(len(data.pictures), found.pairs())), []
    if not isinstance(spec.registration, Ring):
        return data, []
    few = grouping.few_of_each(data)
    apart = grouping.kept_apart(few, prints(spec, data, few))
    if apart:
        torn = sum(len(each) for each in apart)
        say(f"  {torn} listed groups show only {len(apart)} parts between them, by near-copies: e.g. {apart[0]}")
        joins = "they are joined" if recipe.split.join_copies else "they stay as listed (split.join_copies: true joins)"
        say(f"  {joins}")
    return (grouping.joined(data, apart) if apart and recipe.split.join_copies else data), apart


def _decided(recipe: Recipe, data: Dataset) -> tuple[Dataset, list[str]]:
    """The data with the labels that a person has decided, and these decisions in words."""
    torn, said = dataset.torn(data), []
    for group, label in recipe.decided:
        others = {each: count for each, count in torn.get(group, {}).items() if each != label}
        said += [f"part {group} is {label}, also in {count} pictures called {each}" for each, count in others.items()]
    data = dataset.decided(data, recipe.decided)
    for line in said:
        say(f"  decided by a person: {line}")
    return data, said


def _in_colour(data: Dataset) -> bool:
    """Whether most of a few pictures are more than gray."""
    few = data.pictures[:: max(1, len(data.pictures) // 8)]
    spread = [np.ptp(each.astype(np.int16), axis=2).mean() for each in dataset.pixels(data, few, 3)]
    return float(np.median(spread)) > COLOURED


def _tell(recipe: Recipe, data: Dataset, good: Sequence[str]) -> None:
    """What was found, for the person at the terminal: above all what was guessed."""
    say(f"data: {len(data.pictures)} pictures, {len({p.group for p in data.pictures})} parts (by {data.grouped_by})")
    if all(each.label not in each.file.split("/")[:-1] for each in data.pictures):
        say(f"  classes are those that file names begin with: {', '.join(data.labels)}")
    masked = sum(bool(each.mask) for each in data.pictures)
    if masked:
        say(f"  masks say where flaws are: {masked} of the pictures have one")
    if recipe.input.channels == 1 and _in_colour(data):
        say("  the pictures are in colour and judged in gray; flaws that only colour shows need input.channels: 3")
    for file in data.unreadable:
        say(f"  left out, not readable: {file}")
    if good:
        say(f"good: {', '.join(good)}{'' if recipe.good else ' (by the name; --good NAME says otherwise)'}")
    else:
        say("no class is good: the model will tell kinds of defects apart and pass nothing (--good NAME names one)")


def _divided(part: Part, data: dataset.Dataset) -> None:
    part.folder.mkdir(parents=True, exist_ok=True)
    dataset.save(data, part.split)
    counts = {split: (len({p.part for p in data.of(split)}), len(data.of(split))) for split in SPLITS}
    said = ", ".join(f"{split} {parts} parts in {pictures} pictures" for split, (parts, pictures) in counts.items())
    say(f"split {part.kind}: {said}")


def _leaks(data: dataset.Dataset) -> dict[str, Any]:
    """What the data's own division gives away; a division by part gives nothing away, which is said too."""
    leaks: dict[str, Any] = {"groups_from": data.grouped_by, "grouped": {"with_a_copy_in_train": 0, "rate": 0.0}}
    if dataset.has_official(data):
        tested = [each.official == "test" for each in data.pictures]
        leaks["official"] = leakage.leak([each.group for each in data.pictures], tested)
    return leaks
