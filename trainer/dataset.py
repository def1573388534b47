"""From a folder to a manifest of pictures, and from the manifest to a split that never tears a part apart."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import digest, readable_image
from trainer import folder
from trainer import recipe as recipes
from trainer.errors import Refused

GOOD_WORDS = frozenset({"ok", "good", "normal", "pass", "okay", "io", "fine", "free", "perfect", "intact"})
FLAW_WORDS = frozenset({"defect", "defects", "fault", "faults", "flaw", "flaws", "damage"})
DENIALS = frozenset({"not", "no", "non", "without", "free", "zero"})
NO_DEFECT = "no_defect"
"""The class that stands for good parts where no class of the data is good: it is never said."""
PARTS = ("train", "validation", "test")
FEWEST = 3
KINDS = 3
COLUMNS = ("file", "label", "group", "split", "official", "sha256", "mask")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture file."""

    file: str
    """Its path below the data folder, with `/`."""
    label: str
    group: str
    """The physical part, with its near-copies: what a split may not tear apart."""
    sha256: str
    official: str = ""
    """`train` or `test` where the data came divided, otherwise empty."""
    split: str = ""
    mask: str = ""
    """The file that says where its flaw is, where one is given."""

    @property
    def part(self) -> tuple[str, str]:
        """What verdicts are counted over: one part, under one label."""
        return self.group, self.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """All readable pictures of one folder."""

    root: Path
    pictures: tuple[Picture, ...]
    unreadable: tuple[str, ...] = ()
    grouped_by: str = "file"
    """Where the groups come from: `groups.csv`, `folders` or `file` (each picture its own part, copies joined)."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, sorted."""
        return tuple(sorted({each.label for each in self.pictures}))

    def of(self, split: str) -> tuple[Picture, ...]:
        """The pictures of `train`, `validation` or `test`."""
        return tuple(each for each in self.pictures if each.split == split)

    def fingerprint(self) -> str:
        """One hash over every file's hash, label and group."""
        lines = sorted(f"{each.sha256} {each.label} {each.group}\n" for each in self.pictures)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def scan(root: Path, classes: int = 2) -> Dataset:
    """Read a folder of at least so many classes, below `train/` and `test/` when there are such; raises `Refused`."""
    found: list[Picture] = []
    unreadable: list[str] = []
    entries = folder.entries(root)
    _refuse_several(root, entries)
    for each in entries:
        try:
            readable_image(root / each.file, 1)
        except ValueError:
            unreadable.append(each.file)
            continue
        found.append(
            Picture(
                file=each.file,
                label=each.label,
                group=f"{each.label}/{each.part}" if each.part else each.file,
                sha256=digest(root / each.file),
                official=each.side,
                mask=each.mask,
            )
        )
    if not found:
        raise Refused(f"{root}: holds no readable picture; it should hold one folder per class with pictures")
    listed = root / "groups.csv"
    pictures = _listed_groups(listed, found) if listed.is_file() else found
    data = Dataset(
        root=root,
        pictures=tuple(_joined_copies(pictures)),
        unreadable=tuple(unreadable),
        grouped_by="groups.csv" if listed.is_file() else "folders" if any(each.part for each in entries) else "file",
    )
    if len(data.labels) < classes:
        raise Refused(
            f"{root}: holds one class only ({data.labels[0]!r}); add a folder of the other kind, good or defective"
        )
    return data


def regrouped(data: Dataset, numbers: Sequence[int], named: str) -> Dataset:
    """The same pictures in other groups: `numbers` has the place of each group's first picture, per picture."""
    leaders = [data.pictures[number].group for number in numbers]
    pictures = tuple(replace(each, group=group) for each, group in zip(data.pictures, leaders, strict=True))
    return replace(data, pictures=pictures, grouped_by=named)


def torn(data: Dataset) -> dict[str, Counter[str]]:
    """Groups with pictures under several labels, and how many under each."""
    labels = _labels_of_groups(data.pictures)
    return {group: counts for group, counts in sorted(labels.items()) if len(counts) > 1}


def decided(data: Dataset, by_person: Sequence[tuple[str, str]]) -> Dataset:
    """The same pictures, parts that carry several labels under the one that a person has decided; raises `Refused`."""
    found, decision = torn(data), dict(by_person)
    for group, label in decision.items():
        if group not in found:
            known = ", ".join(found) or "none"
            raise Refused(f"decided: part {group!r} does not carry several labels; those that do: {known}")
        if label not in found[group]:
            raise Refused(f"decided: part {group!r} carries {', '.join(sorted(found[group]))}, not {label!r}")
    pictures = tuple(replace(each, label=decision.get(each.group, each.label)) for each in data.pictures)
    return replace(data, pictures=pictures)


def sounds_good(label: str) -> bool:
    """Whether a class's name says that its parts are good: ok_front, MT_Free, defect-free; not: not_ok, defect."""
    words = set(re.split(r"[^a-z0-9]+", label.casefold()))
    if words & FLAW_WORDS:
        return bool(words & DENIALS)
    return bool(words & GOOD_WORDS) and not words & (DENIALS - {"free"})


def good_labels(labels: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Which classes are good: as the recipe says, or guessed from their names; raises `Refused`.

    None, where there are `KINDS` classes or more and none sounds good: kinds of defects, to be told apart.
    """
    if wanted:
        strange = [each for each in wanted if each not in labels]
        if strange:
            raise Refused(f"good: {strange[0]!r} is no class of the data; its classes are {', '.join(labels)}")
        good = tuple(each for each in labels if each in wanted)
    else:
        good = tuple(each for each in labels if sounds_good(each))
        if not good and len(labels) < KINDS:
            raise Refused(
                f"none of the classes {', '.join(labels)} is called ok, good or normal; "
                "say which are good: `good: [NAME]` in the recipe, or --good NAME"
            )
    if len(good) == len(labels):
        raise Refused(f"all classes ({', '.join(labels)}) are good; a class of defects is needed too")
    return good


def divide(data: Dataset, good: Sequence[str], wish: recipes.Split, seed: int) -> Dataset:
    """Divide whole groups into train, validation and test, each class by its share; raises `Refused`."""
    groups = _groups_by_label(data.pictures)
    for side, labels in (("good", good), ("defective", [each for each in groups if each not in good])):
        if side == "good" and not labels:
            continue
        parts = sum(len(groups[each]) for each in labels)
        if parts < FEWEST:
            raise Refused(
                f"{data.root}: has {parts} {side} part{'s' if parts != 1 else ''} ({', '.join(labels)}); "
                f"at least {FEWEST} are needed, one each to train on, to set limits with and to test"
            )
    random = np.random.default_rng(seed)
    place: dict[str, str] = {}
    for label in sorted(groups):
        order = [groups[label][i] for i in random.permutation(len(groups[label]))]
        place |= dict(zip(order, _places(len(order), wish), strict=True))
    _fill_gaps(place, groups, good)
    return replace(data, pictures=tuple(replace(each, split=place[each.group]) for each in data.pictures))


def divide_officially(data: Dataset, good: Sequence[str], wish: recipes.Split, seed: int) -> Dataset:
    """The data's own train and test; validation is cut from its train, by group. Leaks are the data's own."""
    train = replace(data, pictures=tuple(each for each in data.pictures if each.official == "train"))
    share = recipes.Split(validation=wish.validation, test=0.05)
    inner = {each.file: each.split for each in divide(train, good, share, seed).pictures}
    place = {file: "validation" if split == "validation" else "train" for file, split in inner.items()}
    return replace(data, pictures=tuple(replace(each, split=place.get(each.file, "test")) for each in data.pictures))


def has_official(data: Dataset) -> bool:
    """Whether the data came divided into train and test with every class in both."""
    return all(
        {each.label for each in data.pictures if each.official == side} == set(data.labels)
        for side in ("train", "test")
    )


def save(data: Dataset, path: Path) -> None:
    """Write the manifest with its split, one line per picture, and beside it nothing else."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([getattr(each, name) for name in COLUMNS] for each in data.pictures)


def restore(path: Path, root: Path) -> Dataset:
    """Read what `save` wrote; raises `Refused`."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            pictures = tuple(Picture(**row) for row in csv.DictReader(file))
    except (OSError, TypeError, UnicodeDecodeError):
        raise Refused(f"{path}: cannot be read; run the step `train` (or `run`) with this --out first") from None
    return Dataset(root=root, pictures=pictures, grouped_by="split.csv")


def pixels(data: Dataset, pictures: Iterable[Picture], channels: int) -> list[NDArray[np.uint8]]:
    """Load pictures in full size, in order; raises `Refused` when one has vanished."""
    return [readable(data.root, each.file, channels) for each in pictures]


def readable(root: Path, file: str, channels: int) -> NDArray[np.uint8]:
    """Load one picture in full size; raises `Refused` when it has vanished."""
    try:
        return readable_image(root / file, channels)
    except ValueError as error:
        raise Refused(f"{error}; the data has changed since it was divided: start again with `run`") from None


def _refuse_several(root: Path, entries: Sequence[folder.Entry]) -> None:
    """A folder of folders of classes: two sets of parts are not one."""
    inner = {each.part.split("/")[0] for each in entries if each.part}
    if any(sounds_good(each) or each.casefold() in folder.SIDES for each in inner):
        sets = sorted({each.file.split("/")[0] for each in entries if each.part})
        raise Refused(f"{root}: holds several sets of pictures ({', '.join(sets[:4])}); give one: {root / sets[0]}")


def _listed_groups(path: Path, found: list[Picture]) -> list[Picture]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise Refused(f"{path}: is no CSV text in UTF-8; write the columns group,label,file or remove it") from None
    if rows and not {"group", "label", "file"} <= set(rows[0]):
        raise Refused(f"{path}: needs the columns group,label,file; it has {','.join(map(str, rows[0]))}")
    known = {(row.get("split") or "", row["label"], Path(row["file"]).name): row["group"] for row in rows}
    grouped = []
    for each in found:
        name = Path(each.file).name
        group = known.get((each.official, each.label, name)) or known.get(("", each.label, name))
        if group is None:
            raise Refused(f"{path}: does not name {each.file}; add its line, or remove groups.csv to have groups made")
        grouped.append(replace(each, group=group))
    return grouped


def _joined_copies(pictures: Sequence[Picture]) -> list[Picture]:
    """Byte-identical files share a group, whatever they are called."""
    leader: dict[str, str] = {}

    def lead(group: str) -> str:
        while leader.get(group, group) != group:
            group = leader[group]
        return group

    first: dict[str, str] = {}
    for each in pictures:
        one, other = lead(first.setdefault(each.sha256, each.group)), lead(each.group)
        if one != other:
            leader[other] = one
    return [replace(each, group=lead(each.group)) for each in pictures]


def _labels_of_groups(pictures: Sequence[Picture]) -> dict[str, Counter[str]]:
    """How many pictures of each group carry each label."""
    labels: dict[str, Counter[str]] = defaultdict(Counter)
    for each in pictures:
        labels[each.group][each.label] += 1
    return labels


def _groups_by_label(pictures: Sequence[Picture]) -> dict[str, list[str]]:
    """Each group once, under the label most of its pictures carry."""
    labels = _labels_of_groups(pictures)
    groups: dict[str, list[str]] = defaultdict(list)
    for group in sorted(labels):
        groups[min(labels[group], key=lambda label: (-labels[group][label], label))].append(group)
    return dict(groups)


def _places(count: int, wish: recipes.Split) -> list[str]:
    if count < FEWEST:
        return ["train"] * count
    test = max(1, math.floor(count * wish.test + 0.5))
    validation = max(1, math.floor(count * wish.validation + 0.5))
    while test + validation > count - 1:
        test, validation = max(1, test - 1), max(1, validation - 1)
    return ["test"] * test + ["validation"] * validation + ["train"] * (count - test - validation)


def _fill_gaps(place: dict[str, str], groups: dict[str, list[str]], good: Sequence[str]) -> None:
    """Many classes of one or two parts each would leave a side without any test: lend whole parts until none is."""
    for side in (True, False):
        mine = [group for label in sorted(groups) if (label in good) is side for group in groups[label]]
        for split in PARTS if mine else ():
            if not any(place[group] == split for group in mine):
                counts = Counter(place[group] for group in mine)
                donor = max(PARTS, key=lambda name: counts[name])
                place[next(group for group in mine if place[group] == donor)] = split
