"""Which pictures show the same part: by likeness, and by file names that it bears out; and whether a list is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from trainer import dataset, leakage, naming
from trainer.dataset import Dataset, Picture
from trainer.leakage import Pair, Prints

ASKED = 8
"""Pictures of each listed group that are compared with those of the others."""


def grouped(data: Dataset, prints: Prints, copies: Sequence[int]) -> Dataset:
    """The same pictures in the groups that are found: by `prints` of them and `copies` among them, both in order."""
    files, labels = [each.file for each in data.pictures], [each.label for each in data.pictures]
    named, field = naming.named(files, labels, prints)
    if not field:
        return dataset.regrouped(data, copies, "near-copies found")
    joined = [Pair(one=leader, other=i, alike=1.0) for both in (copies, named) for i, leader in enumerate(both)]
    return dataset.regrouped(data, leakage.groups(len(files), joined), f"{field} in the file names, near-copies joined")


def few_of_each(data: Dataset) -> list[Picture]:
    """A few pictures of every group, spread over all it has."""
    mine: dict[str, list[Picture]] = defaultdict(list)
    for each in data.pictures:
        mine[each.group].append(each)
    return [each for views in mine.values() for each in views[:: -(-len(views) // ASKED)]]


def kept_apart(few: Sequence[Picture], prints: Prints) -> list[list[str]]:
    """Listed groups that show the same part nevertheless, by near-copies among `few` pictures of each."""
    return apart([each.group for each in few], leakage.parts(len(few), prints.pairs()))


def apart(listed: Sequence[str], copies: Sequence[int]) -> list[list[str]]:
    """The sets of listed groups that groups of near-copies have pictures of, both given per picture."""
    first: dict[str, int] = {}
    links = [Pair(one=leader, other=i, alike=1.0) for i, leader in enumerate(copies)]
    links += [Pair(one=first.setdefault(group, i), other=i, alike=1.0) for i, group in enumerate(listed)]
    joined: dict[int, set[str]] = defaultdict(set)
    for leader, group in zip(leakage.groups(len(listed), links), listed, strict=True):
        joined[leader].add(group)
    return [sorted(each) for each in joined.values() if len(each) > 1]


def joined(data: Dataset, apart: Sequence[Sequence[str]]) -> Dataset:
    """The same pictures with each of these sets of groups as one, under the name of its first."""
    named = {group: names[0] for names in apart for group in names}
    pictures = tuple(replace(each, group=named.get(each.group, each.group)) for each in data.pictures)
    return replace(data, pictures=pictures, grouped_by=f"{data.grouped_by}, near-copies joined")
