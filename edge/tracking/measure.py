"""What a part is like: learned from those that were handed out, so that heaps, arms and crumbs can be told from one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from statistics import median

from edge.tracking.blobs import Blob, Usual
from edge.tracking.pattern import Pattern, pattern_of

UNIFORM = 1.4
"""Parts are equal when their areas differ by less than this factor."""
HUGE, LARGE, IN_A_ROW = 3.0, 1.7, 3
"""So many times the usual part is several parts or a part under something; less where all parts are alike. So many of
them that are alike are the product, and what was there before was none."""
ENOUGH = 6
"""So many parts that are alike, if they are most, show that larger ones before them were several."""
ANEW = 8
"""After so many parts the common shape is worked out anew."""
QUARTER = 0.25
"""The usual area is that at which smaller parts make up this share of all area: neither crumbs nor heaps decide."""
LIKE = 0.6
"""Where parts have a common shape, what came from nowhere must be as much like it."""
TOO_LARGE = "much larger than the usual part: several parts, or something lies on it"
SEVERAL = "it may be several parts: how large one is was not known yet"


class Measure:
    """Follows what parts are like, part by part."""

    def __init__(self, smallest: float, before: Sequence[Blob] = ()) -> None:
        """`smallest`: what is shorter on its longer side is no part; `before`: single parts that were seen before."""
        self._smallest = smallest
        self._taken = 0
        self._pattern: Pattern | None = None
        self._larger: deque[Blob] = deque(maxlen=IN_A_ROW)
        self._as_one: deque[Blob] | None = deque(maxlen=25)
        """Handed out as one part each, until it is known how large one is."""
        self._singles: deque[Blob] = deque(before, maxlen=25)
        self._usual = self._usual_of(self._singles)

    def usual(self, coming: Iterable[Blob]) -> Usual:
        """What the parts handed out were like, and before there are any, those on the way."""
        if self._singles:
            return self._usual
        return self._usual_of([blob for blob in coming if not blob.several])

    def singles(self, coming: Sequence[Blob]) -> list[Blob]:
        """Parts that are clearly single ones, if most were: of those handed out, and those on their way."""
        blobs = sorted((each for each in [*self._singles, *coming] if not each.several), key=lambda blob: blob.area)
        low = _weighed(blobs, QUARTER)
        single = [blob for blob in blobs if blob.area < UNIFORM * low < UNIFORM * UNIFORM * blob.area]
        mostly = 2 * sum(blob.area for blob in single) >= sum(blob.area for blob in blobs)
        return single if len(single) >= 2 and mostly else []

    def take(self, blob: Blob, usual: Usual, *, learn: bool) -> str:
        """One more part; a reason when it is too large for one, unless that has become usual."""
        self._taken += 1
        if blob.several:
            return SEVERAL
        if usual.settled and blob.area > (LARGE if usual.uniform else HUGE) * usual.area:
            self._larger.append(blob)
            if len(self._larger) < IN_A_ROW or not _are_alike([each.area for each in self._larger]):
                return TOO_LARGE
            self._singles.clear()
            self._singles.extend(self._larger)
            self._larger.clear()
        elif learn:
            self._singles.append(blob)
            if self._as_one is not None:
                self._as_one.append(blob)
        self._usual = self._usual_of(self._singles)
        return ""

    def hindsight(self) -> list[Blob]:
        """What was handed out as one part and was several: told once, when most are seen to be alike, and smaller."""
        area = self._usual.area
        alike = sum(blob.area < UNIFORM * area < UNIFORM * UNIFORM * blob.area for blob in self._singles)
        if self._as_one is None or alike < ENOUGH or 3 * alike < 2 * len(self._singles):
            return []
        several = [blob for blob in self._as_one if blob.area > LARGE * area]
        self._as_one = None
        return several

    def _usual_of(self, blobs: Sequence[Blob]) -> Usual:
        if not blobs:
            return Usual(smallest=self._smallest)
        count = len(self._singles)
        alike = count >= 3 and _are_alike([blob.area for blob in blobs])
        return Usual(
            area=_weighed(blobs, QUARTER),
            thickness=median(blob.thickness for blob in blobs),
            uniform=count >= 6 and alike,
            settled=count >= 3,
            pattern=self._pattern_of(blobs) if alike else None,
            smallest=self._smallest,
        )

    def _pattern_of(self, blobs: Sequence[Blob]) -> Pattern | None:
        """Their common shape, worked out anew only now and then once it is well known."""
        if self._pattern is None or len(blobs) < ANEW or self._taken % ANEW == 0:
            self._pattern = pattern_of([blob.shape for blob in blobs])
        return self._pattern


def is_usual(blob: Blob, usual: Usual) -> bool:
    """Whether it is no less than a part, as far as is known what parts are like, and looks like one."""
    if usual.pattern is not None and usual.pattern.likeness(blob.shape) < LIKE:
        return False
    return blob.area > 0.5 * usual.area and blob.thickness > 0.6 * usual.thickness


def _weighed(blobs: Sequence[Blob], share: float) -> float:
    """The area at which blobs no larger make up this share of all area: crumbs are many, but weigh little."""
    total, sums = sum(blob.area for blob in blobs), 0
    for area in sorted(blob.area for blob in blobs):
        sums += area
        if sums >= share * total:
            return area
    return 0.0


def _are_alike(areas: Sequence[int]) -> bool:
    """Whether all but an eighth at either end lie within a factor."""
    ordered = sorted(areas)
    spare = len(ordered) // 8
    return ordered[-1 - spare] < UNIFORM * ordered[spare]
