"""What lies in a data folder: which files are pictures, of which class, and which are masks that mark flaws."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import readable_image
from trainer.errors import Refused

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
HOLDERS = frozenset({"img", "imgs", "image", "images", "picture", "pictures", "data"})
"""Folders that hold pictures and say nothing about them."""
MASKS = frozenset({"ground_truth", "groundtruth", "gt", "mask", "masks", "annotation", "annotations", "segmentation"})
SIDES = {"train": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation"}
MASK_ENDING = re.compile(r"[-_. ](mask|gt|ground_?truth|label|seg)$", re.IGNORECASE)
DEEPEST = 4
CLASS_AND_NUMBER = re.compile(r"([^\W\d_]+(?:[-_ ][^\W\d_]+)*)[-_ ]*\d+")
FEWEST_NAMED, MOST_NAMED = 3, 30
"""Files that a class has at least, and classes that there are at most, where only names tell them apart."""
FEW_LEVELS, TWO_LEVELS, NEAR = 8, 0.95, 20
"""A mask holds few grey levels, or, compressed, hardly any that are neither black nor its brightest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One picture file below a data folder."""

    file: str
    label: str
    side: str
    """`train` or `test` where the data came divided, otherwise empty."""
    part: str = ""
    """The folder inside its class's, where it lies in one: the pictures in there show one part."""
    mask: str = ""
    """The picture of where its flaw is, where one is given."""


def entries(root: Path) -> list[Entry]:
    """Every picture below `root` that lies in a class's folder, with its mask; raises `Refused`.

    Classes may lie below `train/` and `test/`, and their pictures in one folder more (`MT_Free/Imgs`). Masks lie beside
    the pictures under the same name (or `NAME_mask`), or in a folder `masks` or `ground_truth`. Pictures in no
    folder, or in one called `images`, are of the classes that their names begin with.
    """
    if not root.is_dir():
        raise Refused(f"{root}: there is no such folder; give the folder that holds one folder of pictures per class")
    files = list(_files(root, PurePosixPath(), DEEPEST))
    kept, masks = _masks_apart(root, files)
    sides = _sides(kept)
    found = [entry for file in kept if (entry := _entry(file, sides)) is not None]
    if all(each.label.casefold() in HOLDERS for each in found):
        found = _by_names(kept) or found
    if not found:
        _refuse(root, kept)
    return _with_masks(*_beside(root, found), masks)


def region(path: Path) -> NDArray[np.uint8]:
    """A mask file as `(height, width)`, 255 where the flaw is; raises `ValueError` when it cannot be read."""
    levels = readable_image(path, 1)
    least = 0 if levels.max() <= FEW_LEVELS else 127
    return np.where(levels > least, 255, 0).astype(np.uint8)


def is_mask(path: Path) -> bool:
    """Whether a file holds regions, not a photograph."""
    try:
        levels = readable_image(path, 1)
    except ValueError:
        return False
    few = cv2.resize(levels, (160, 160), interpolation=cv2.INTER_NEAREST)
    plain = (few <= NEAR) | (few >= int(few.max()) - NEAR)
    return len(np.unique(few)) <= FEW_LEVELS or bool(few.min() <= NEAR and plain.mean() >= TWO_LEVELS)


def _files(root: Path, below: PurePosixPath, depth: int) -> Iterator[PurePosixPath]:
    for path in sorted((root / below).iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and depth:
            yield from _files(root, below / path.name, depth - 1)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield below / path.name


def _masks_apart(root: Path, files: list[PurePosixPath]) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Pictures, and what lies in folders of masks; a class that is merely called so keeps its pictures."""
    inside: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    kept = []
    for file in files:
        folder = next((each for each in file.parents if each.name.casefold() in MASKS), None)
        (kept if folder is None else inside[folder]).append(file)
    masks = []
    for mine in inside.values():
        few = mine[:: max(1, len(mine) // 4)]
        (masks if all(is_mask(root / each) for each in few) else kept).extend(mine)
    return sorted(kept), masks


def _sides(files: list[PurePosixPath]) -> dict[str, str]:
    """What each top folder means where the data came divided: `train` or `test`; of three, validation is trained on."""
    tops = {file.parts[0] for file in files if len(file.parts) > 1}
    meant = {top: SIDES[top.casefold()] for top in tops if top.casefold() in SIDES}
    if "train" not in meant.values() or len(set(meant.values())) < 2:
        return {}
    third = "train" if "test" in meant.values() else "test"
    return {top: third if side == "validation" else side for top, side in meant.items()}


def _entry(file: PurePosixPath, sides: dict[str, str]) -> Entry | None:
    """The class of a picture is the first folder above it that means nothing else; None where there is no such one."""
    folders = list(file.parts[:-1])
    if sides and (not folders or folders[0] not in sides):
        return None
    side = sides[folders.pop(0)] if sides else ""
    named = [each for each in folders if each.casefold() not in HOLDERS]
    classes = named or folders[:1]
    return Entry(file=file.as_posix(), label=classes[0], side=side, part="/".join(classes[1:])) if classes else None


def _by_names(files: list[PurePosixPath]) -> list[Entry]:
    """Classes by the words that file names begin with (`Cr_17`, `In_4`), where these divide all of them; else none."""
    words = [CLASS_AND_NUMBER.fullmatch(each.stem) for each in files]
    named = [Entry(file=f.as_posix(), label=w[1], side="") for f, w in zip(files, words, strict=True) if w]
    counts = Counter(each.label for each in named)
    divides = len(named) == len(files) and 2 <= len(counts) <= MOST_NAMED and min(counts.values()) >= FEWEST_NAMED
    return named if divides else []


def _refuse(root: Path, files: list[PurePosixPath]) -> None:
    kinds = " ".join(sorted(SUFFIXES))
    if any(len(each.parts) == 1 for each in files):
        raise Refused(f"{root}: holds pictures, but not in classes; put them into one folder per class")
    raise Refused(f"{root}: holds no readable picture; it should hold one folder per class with files {kinds}")


def _stem(file: str) -> str:
    return MASK_ENDING.sub("", PurePosixPath(file).stem)


def _beside(root: Path, found: list[Entry]) -> tuple[list[Entry], dict[str, str]]:
    """The pictures without the masks that lie beside them, and each such mask by its picture."""
    together: dict[tuple[PurePosixPath, str], list[Entry]] = defaultdict(list)
    for each in found:
        together[PurePosixPath(each.file).parent, _stem(each.file)].append(each)
    masks: dict[str, str] = {}
    for mine in together.values():
        regions = [each for each in mine if len(mine) > 1 and is_mask(root / each.file)]
        if len(regions) == len(mine):
            # Some photographs are nearly black and white, too: then the name decides.
            regions = [each for each in mine if MASK_ENDING.search(PurePosixPath(each.file).stem)] or regions[-1:]
        pictures = [each for each in mine if each not in regions]
        masks |= {each.file: regions[0].file for each in pictures if regions}
    gone = set(masks.values())
    return [each for each in found if each.file not in gone], masks


def _with_masks(found: list[Entry], beside: dict[str, str], elsewhere: list[PurePosixPath]) -> list[Entry]:
    """Each picture with its mask: the one beside it, or that of its class and name in a folder of masks."""
    by_name: dict[str, list[PurePosixPath]] = defaultdict(list)
    for each in elsewhere:
        by_name[_stem(each.name)].append(each)
    names: dict[str, list[Entry]] = defaultdict(list)
    for entry in found:
        names[_stem(entry.file)].append(entry)
    return [
        replace(each, mask=beside.get(each.file) or _mirrored(each, names[_stem(each.file)], by_name[_stem(each.file)]))
        for each in found
    ]


def _mirrored(asked: Entry, namesakes: list[Entry], masks: list[PurePosixPath]) -> str:
    """The mask among those of the same name that is this picture's; empty where that cannot be told."""
    mine = [each for each in masks if asked.label in each.parts]
    sided = [each for each in mine if PurePosixPath(asked.file).parts[0] in each.parts]
    rivals = [each for each in namesakes if each.label == asked.label]
    if sided and asked.side:
        return sided[0].as_posix()
    if mine:
        # Masks without a side are those of the test pictures: training sets are good, or have folders of their own.
        return mine[0].as_posix() if len(rivals) == 1 or asked.side == "test" else ""
    return masks[0].as_posix() if len(masks) == 1 and len(namesakes) == 1 else ""
