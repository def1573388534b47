"""Near-copies: pictures of one part that were turned, mirrored or relit, found so that a split cannot tear them apart.

Every picture is unrolled around its middle, or comes unrolled where its ring was found, so that a turn becomes a shift.
The spectrum along the angle is the same for every turn and mirror image; it finds candidates. Each candidate is then
verified by the correlation of the two unrolled pictures over all shifts, both ways round.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import ring

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDE_PX, RINGS, ANGLES, HARMONICS = 160, 40, 256, 48
CANDIDATES = 24
ALIKE = 0.95
"""Correlation above which two pictures count as one. Lower ones chain different parts of one kind together."""
STRICTER = (ALIKE, 0.97, 0.985, 0.995)
LARGEST = 0.2
"""Share of all pictures above which a group is no part but a kind of parts that look alike."""
FEW = 8
FAINT = 0.03
"""Relative brightness below which structure on a strip is noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two pictures that show the same, by their places in the list, and how alike they are, up to 1."""

    one: int
    other: int
    alike: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prints:
    """What is compared of each picture: waves along the angle, `(n, rings, frequencies)`."""

    waves: NDArray[np.complex64]
    angles: int

    @classmethod
    def of(cls, pictures: Iterable[Image]) -> Prints:
        """Of gray pictures, around their middles."""
        return cls._of([_unrolled(each) for each in pictures])

    @classmethod
    def of_strips(cls, strips: Iterable[Image]) -> Prints:
        """Of unrolled rings, as `laid` gives them: nothing is off centre, so likeness says more."""
        return cls._of([_fine_strip(each) for each in strips])

    @classmethod
    def _of(cls, unrolled: Sequence[Floats]) -> Prints:
        stack = np.stack(unrolled)
        return cls(waves=np.fft.rfft(stack, axis=2).astype(np.complex64), angles=stack.shape[2])

    def alike(self, one: int, other: int) -> float:
        """The best correlation of two over all turns, as they are and mirrored."""
        mine, theirs = self.waves[one], self.waves[other]
        same = np.fft.irfft((mine * np.conj(theirs)).sum(axis=0), n=self.angles)
        mirrored = np.fft.irfft((mine * theirs).sum(axis=0), n=self.angles)
        return float(max(same.max(), mirrored.max()))

    def pairs(self, alike: float = ALIKE) -> list[Pair]:
        """All near-copies, each pair once."""
        prints = np.log1p(np.abs(self.waves[:, :, 1 : HARMONICS + 1])).reshape(len(self.waves), -1)
        prints -= prints.mean(axis=0)
        prints /= np.linalg.norm(prints, axis=1, keepdims=True) + 1e-9
        found = ((one, other, self.alike(one, other)) for one, other in sorted(_candidates(prints)))
        return [Pair(one=one, other=other, alike=how) for one, other, how in found if how >= alike]


def parts(count: int, found: Sequence[Pair]) -> list[int]:
    """The group of each picture, at the lowest likeness at which no group swallows the set; alone, if there is none."""
    for alike in STRICTER:
        numbers = groups(count, [pair for pair in found if pair.alike >= alike])
        if max(Counter(numbers).values(), default=0) <= max(FEW, LARGEST * count):
            return numbers
    return list(range(count))


def groups(count: int, found: Iterable[Pair]) -> list[int]:
    """The group of each of `count` pictures: the smallest number among all that are linked with it."""
    leader = list(range(count))

    def lead(each: int) -> int:
        while leader[each] != each:
            leader[each] = leader[leader[each]]
            each = leader[each]
        return each

    for pair in found:
        one, other = lead(pair.one), lead(pair.other)
        leader[max(one, other)] = min(one, other)
    return [lead(each) for each in range(count)]


def agreement(mine: Sequence[object], theirs: Sequence[object]) -> dict[str, float]:
    """How two groupings agree, over pairs of pictures: precision and recall of mine, and groups that are the same."""

    def pairs_in(counts: Iterable[int]) -> int:
        return sum(count * (count - 1) // 2 for count in counts)

    both = pairs_in(Counter(zip(mine, theirs, strict=True)).values())
    said, true = pairs_in(Counter(mine).values()), pairs_in(Counter(theirs).values())
    sets = [_members(each) for each in (mine, theirs)]
    return {
        "pair_precision": round(both / said, 5) if said else 1.0,
        "pair_recall": round(both / true, 5) if true else 1.0,
        "identical_groups": len(sets[0] & sets[1]),
        "groups": len(sets[0]),
        "groups_given": len(sets[1]),
    }


def leak(groups_of: Sequence[object], test: Sequence[bool]) -> dict[str, float | int]:
    """How many test pictures have a copy of the same part in training."""
    known = {group for group, asked in zip(groups_of, test, strict=True) if not asked}
    mine = [group for group, asked in zip(groups_of, test, strict=True) if asked]
    leaked = sum(group in known for group in mine)
    return {"test_pictures": len(mine), "with_a_copy_in_train": leaked, "rate": round(leaked / max(1, len(mine)), 5)}


def _members(names: Sequence[object]) -> set[frozenset[int]]:
    members: dict[object, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        members[name].append(index)
    return {frozenset(each) for each in members.values()}


def _unrolled(picture: Image) -> Floats:
    """Fine structure around the middle: `(RINGS, ANGLES)`, each picture with mean 0 and length 1."""
    small = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = small - cv2.GaussianBlur(small, (0, 0), 3.0)
    fine /= np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 8.0)) + 2.0
    middle = ((SIDE_PX - 1) / 2, (SIDE_PX - 1) / 2)
    strip = cv2.warpPolar(fine, (RINGS * 2, ANGLES), middle, SIDE_PX / 2, cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS)
    strip = cv2.GaussianBlur(strip, (0, 0), 0.8)[:, 8::2].T
    strip -= strip.mean(axis=1, keepdims=True)
    return np.asarray(strip / (np.linalg.norm(strip) + 1e-9), dtype=np.float32)


def _fine_strip(strip: Image) -> Floats:
    """The same of an unrolled ring: fine structure against its rows, loud and faint places weighing alike."""
    gray = strip if strip.ndim == 2 else strip.mean(axis=2).astype(np.uint8)
    small = np.asarray(cv2.resize(gray, (ANGLES, RINGS), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    fine = cv2.GaussianBlur(ring.relative(small), (0, 0), 0.8)
    loud = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 10.0))
    fine = (fine / (loud + FAINT))[:, ring.WRAP_PX : -ring.WRAP_PX]
    fine -= fine.mean(axis=1, keepdims=True)
    return np.asarray(fine / (np.linalg.norm(fine) + 1e-9), dtype=np.float32)


def _candidates(prints: Floats) -> set[tuple[int, int]]:
    near: set[tuple[int, int]] = set()
    count = min(CANDIDATES + 1, len(prints))
    for start in range(0, len(prints), 512):
        likeness = prints[start : start + 512] @ prints.T
        best = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        near |= {
            (min(start + row, int(other)), max(start + row, int(other)))
            for row, line in enumerate(best)
            for other in line
            if start + row != other
        }
    return near
