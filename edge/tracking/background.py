"""What the empty belt looks like, pixel by pixel, and how far a look stands out from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.domain import Image
from edge.tracking.figure import between, counted
from edge.tracking.motion import profiles
from edge.tracking.sight import planes_of

Float = NDArray[np.float32]

FAINT, PLAIN = 2.5, 7.5
"""A pixel begins to stand out, and stands out for sure, at so many times the belt's own spread."""
QUIET = (1.5, 0.8, 0.8)
"""The least spread to count with, in grey levels of luma and of each colour difference."""
EVERY, RATE = 8, 0.1
"""The belt's picture follows every so many looks, by this share."""
SAMPLE = np.s_[4::9, 4::9]
FEW = 20
"""The exposure is read from this grid of pixels, if so many of them show belt."""
DARK = 16
"""Belt that is darker than this does not tell the exposure."""
HASTE = 4
"""So much faster while it rehearses what it was shown at the start."""
DOUBTFUL = 30.0
"""Evidence from which on a pixel is not asked about the exposure."""
SCENERY, SETTLED = 1.3, 200
"""Pictures of belt that pass before something that never changes is scenery; and a count for that."""
RECURS = 0.45
"""A level that a pixel shows in this share of the looks is its own, be it scenery; what no level reaches is parts."""
ALIKE = 14
"""Levels nearer than this are the same."""
RIM = (9, 17, 17)
"""Rows of belt right beside parts show something of them, in each channel half so many deep, colour being blurred
more: no bridge starts from them."""
CARRIED = 0.5
"""In rows whose changes the belt's motion explains that well, what does not recur is parts; elsewhere it is scenery."""
SPREAD_OF_MEAN = 1.25
"""The standard deviation over the mean deviation, for a normal spread."""
QUANTILE, SPREAD_OF_QUANTILE = 0.3, 2.6
"""The standard deviation over this quantile of the deviation, for a normal spread."""
ROWS = 16
"""So many rows of all looks are gone through at a time: what fits into the cache is quicker, and takes less memory."""


class EmptyBelt:
    """A running picture of the empty belt and of its spread, corrected for the exposure of each look.

    Looks are `(across, along)` gray or `(across, along, 3)` Y, Cr, Cb.
    """

    def __init__(self, looks: list[Image], carried: Float) -> None:
        """`carried`: for each row, how well the belt's motion explains what changed there, up to 1."""
        stack = np.stack(looks)
        if stack.ndim == 3:
            stack = stack[..., None]
        self._empty: list[Float] = []
        self._spread: list[Float] = []
        aligned = _aligned(stack)
        moving = carried[:, None] > CARRIED
        covered = _covered(np.ascontiguousarray(aligned[..., 0]), moving)
        self.is_crowded = covered is not None
        """Whether parts hide most of it."""
        planes = [np.ascontiguousarray(aligned[..., channel]) for channel in range(stack.shape[3])]
        for channel, (empty, spread) in enumerate(_by_channel(planes, covered, moving)):
            self._empty.append(empty)
            self._spread.append(_pooled(spread, QUIET[channel]))
        self._seen: dict[int, Image] = {}
        self._free: NDArray[np.uint8] = np.ones(stack.shape[1:3], dtype=np.uint8)
        self._turn = 0
        self._rate = HASTE * RATE
        self._sample_size = self._empty[0][SAMPLE].shape[::-1]
        self._former: Image | None = None
        self._still: NDArray[np.uint8] = np.zeros(stack.shape[1:3], dtype=np.uint8)
        self._position = self._owed = 0.0
        self._refresh()

    def evidence(self, look: Image, before: Float) -> tuple[Image, list[Image]]:
        """`(evidence, planes)`: 0 to 255 for how surely a pixel is no belt; and the look at the usual exposure.

        `before` is the evidence gathered so far, half as fine: where it is high, the exposure is not read.
        """
        free = cv2.resize(before, self._sample_size, interpolation=cv2.INTER_NEAREST) < DOUBTFUL
        if self.is_crowded and not before.any():
            free[:] = False  # it is not known yet where belt is to be seen, and most is none
        total: Image | None = None
        for channel, plane in enumerate(planes_of(look)):
            exposed = self._exposed(plane, channel, free)
            beyond = cv2.subtract(cv2.absdiff(exposed, self._flat[channel]), self._low[channel])
            stands = cv2.multiply(beyond, self._slope[channel], scale=1 / 16)
            total = np.asarray(stands if total is None else cv2.add(total, stands), dtype=np.uint8)
            self._seen[channel] = exposed
        assert total is not None
        return total, list(self._seen.values())

    def learn(self, busy: Callable[[], NDArray[np.uint8]], position: float) -> None:
        """Follow the latest look where nothing is going on; cheap because only every few looks.

        `position` is the belt's, in pixels of the look: what does not change while much belt passes is scenery.
        """
        self._turn += 1
        if self._turn % EVERY:
            return
        travelled, self._position = position - self._position, position
        self._free = np.asarray(cv2.threshold(busy(), 0, 1, cv2.THRESH_BINARY_INV)[1], dtype=np.uint8)
        self._settle(travelled)
        for channel, seen in self._seen.items():
            cv2.accumulateWeighted(seen, self._empty[channel], self._rate, mask=self._free)
            away = cv2.min(cv2.absdiff(seen, self._flat[channel]), self._low[channel])
            away = cv2.convertScaleAbs(away, alpha=1.25)
            cv2.accumulateWeighted(away, self._spread[channel], self._rate / 2, mask=self._free)
        self._refresh()

    def rewind(self) -> None:
        """Begin anew with the looks, knowing what was learned; from now on learn slowly."""
        self._former, self._position, self._rate = None, 0.0, RATE
        self._still[:] = 0

    def _settle(self, travelled: float) -> None:
        """Set free what has looked the same for as long as it takes to see `SCENERY` pictures of belt pass."""
        seen = self._seen[0]
        if self._former is not None and travelled > 0:
            self._owed += travelled * SETTLED / (SCENERY * seen.shape[1])
            due = int(self._owed)
            self._owed -= due
            same = cv2.compare(cv2.absdiff(seen, self._former), self._low[0], cv2.CMP_LE)
            still = cv2.bitwise_and(cv2.convertScaleAbs(self._still, alpha=1.0, beta=due), same)
            self._still = np.asarray(still, dtype=np.uint8)
            settled = cv2.threshold(self._still, SETTLED - 1, 1, cv2.THRESH_BINARY)[1]
            self._free = np.asarray(cv2.max(self._free, settled), dtype=np.uint8)
        self._former = seen

    def _exposed(self, plane: Image, channel: int, free: NDArray[np.bool_]) -> Image:
        """The plane as it would be at the exposure and white balance of the empty belt."""
        seen, empty = plane[SAMPLE], self._samples[channel]
        if channel:
            seen, empty = seen[free], empty[free]
            if len(seen) < FEW:
                return plane
            shift = _middle(empty - seen)
            return np.asarray(cv2.convertScaleAbs(plane, alpha=1.0, beta=shift), dtype=np.uint8)
        useful = free & self._bright & (seen < 250)
        if np.count_nonzero(useful) < FEW:
            return plane
        gain = min(3.0, max(0.3, _middle(empty[useful] / np.maximum(seen[useful], 1))))
        return np.asarray(cv2.convertScaleAbs(plane, alpha=gain), dtype=np.uint8)

    def _refresh(self) -> None:
        self._flat = [np.asarray(cv2.convertScaleAbs(each), dtype=np.uint8) for each in self._empty]
        self._low, self._slope = [], []
        for channel, each in enumerate(self._spread):
            spread = np.maximum(each, QUIET[channel])
            self._low.append(np.asarray(cv2.convertScaleAbs(spread, alpha=FAINT), dtype=np.uint8))
            spread *= PLAIN - FAINT  # in place: fresh memory costs more than the arithmetic
            np.divide(16 * 255, spread, out=spread)
            self._slope.append(np.clip(spread, 1, 255, out=spread).astype(np.uint8))
        self._samples = [each[SAMPLE] for each in self._empty]
        self._bright = self._samples[0] > DARK
        self.profile = profiles(self._flat)


def _middle(values: Float) -> float:
    """The median, without the ceremony of `np.median`."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def _aligned(stack: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All looks at the exposure of the median look."""
    middle = np.median(stack[:, ::4, ::4], axis=0).astype(np.float32)
    out = stack.copy()
    for index, look in enumerate(stack):
        small = look[::4, ::4].astype(np.float32)
        gain = float(np.median((middle[..., 0] + 1) / (small[..., 0] + 1)))
        out[index, ..., 0] = cv2.convertScaleAbs(look[..., 0], alpha=gain)
        for channel in range(1, stack.shape[3]):
            shift = float(np.median(middle[..., channel] - small[..., channel]))
            out[index, ..., channel] = cv2.convertScaleAbs(look[..., channel], alpha=1.0, beta=shift)
    return out


def _by_channel(
    planes: list[NDArray[np.uint8]], covered: NDArray[np.bool_] | None, moving: NDArray[np.bool_]
) -> list[tuple[Float, Float]]:
    """`(empty, spread)` of each channel; sure is what recurs in all of them: parts of one tint show it often, too."""
    if covered is not None:
        return [_seen_between(levels, covered, moving) for levels in planes]
    found = [_most_frequent(levels) for levels in planes]
    sure = np.asarray(np.logical_and.reduce([each for _, each in found]), dtype=np.bool_)
    bridged = [_bridged(empty, sure, moving, rim) for (empty, _), rim in zip(found, RIM, strict=False)]
    return [(empty, _spread(levels, empty, crowded)) for levels, (empty, crowded) in zip(planes, bridged, strict=True)]


def _bridged(
    empty: Float, sure: NDArray[np.bool_], moving: NDArray[np.bool_], rim: int
) -> tuple[Float, NDArray[np.bool_]]:
    """Where parts pass so densely that no level recurs, what lies on both sides across the belt; and where that was.

    From ground half of `rim` rows away from it; from right beside it where there is no more ground.
    Only where both sides are alike and the row goes with the belt: the rest is scenery that shakes.
    """
    rows, along = empty.shape
    ground = cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)) > 0
    index = np.broadcast_to(np.arange(rows)[:, None], empty.shape)
    relied = _without_rim(ground, rim)
    above = np.maximum.accumulate(np.where(relied, index, -1), axis=0)
    below = np.minimum.accumulate(np.where(relied, index, rows)[::-1], axis=0)[::-1]
    within = ~ground & moving & (above >= 0) & (below < rows)
    columns = np.arange(along)[None, :]
    first, last = empty[np.maximum(above, 0), columns], empty[np.minimum(below, rows - 1), columns]
    crowded = within & (np.abs(first - last) < ALIKE)
    share = (index - above) / np.maximum(below - above, 1)
    return np.asarray(np.where(crowded, first + (last - first) * share, empty), dtype=np.float32), crowded


def _without_rim(ground: NDArray[np.bool_], rim: int) -> NDArray[np.bool_]:
    """Ground without its rows right beside parts, which blur and a shaking camera have tinted; thin strips stay."""
    shape, whole = np.ones((rim, 1), np.uint8), ground.view(np.uint8)
    inner = cv2.erode(whole, shape)
    thick = cv2.dilate(inner, shape)
    return np.asarray((inner > 0) | (ground & (thick == 0)), dtype=np.bool_)


def _spread(levels: NDArray[np.uint8], empty: Float, crowded: NDArray[np.bool_]) -> Float:
    quantiles = [_quantile(np.abs(levels[:, rows] - empty[rows]), QUANTILE) for rows in _bands(len(empty))]
    spread = np.concatenate(quantiles) * np.float32(SPREAD_OF_QUANTILE)
    if crowded.any() and not crowded.all():
        spread = np.where(crowded, np.minimum(spread, np.median(spread[~crowded])), spread)
    return np.asarray(spread, dtype=np.float32)


def _quantile(values: Float, share: float) -> Float:
    """As `np.quantile` over the first axis, which takes three times as long."""
    ordered = np.sort(values, axis=0)
    place = (len(values) - 1) * np.float32(share)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return np.asarray(ordered[low] + (ordered[high] - ordered[low]) * np.float32(place - low), dtype=np.float32)


def _bands(rows: int) -> list[slice]:
    return [slice(begin, begin + ROWS) for begin in range(0, rows, ROWS)]


def _pooled(spread: Float, least: float) -> Float:
    """No pixel alone knows its spread well: those around it, and in its row, have a say."""
    row = np.median(spread, axis=1, keepdims=True)
    pooled = np.maximum(cv2.blur(spread, (9, 5)), 0.7 * row)
    return np.asarray(np.maximum(pooled, least), dtype=np.float32)


def _covered(luma: NDArray[np.uint8], moving: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """`(looks, across, along)`: where parts that touch all round hide the belt; `None` where they do not."""
    found = between(luma, moving)
    if found is None:
        return None
    empty, sure = found
    return np.asarray(~sure | (np.abs(luma - empty) > ALIKE), dtype=np.bool_)


def _seen_between(
    levels: NDArray[np.uint8], covered: NDArray[np.bool_], moving: NDArray[np.bool_]
) -> tuple[Float, Float]:
    """`(empty, spread)` of one channel from what was seen of the belt, elsewhere from what lies beside."""
    shown = ~covered
    count = shown.sum(axis=0, dtype=np.float32)
    empty = np.asarray((levels * shown).sum(axis=0, dtype=np.float32) / np.maximum(count, 1), dtype=np.float32)
    away = (np.abs(levels - empty) * shown).sum(axis=0, dtype=np.float32) / np.maximum(count, 1)
    usual = np.float32(np.median(empty[count > 0]))
    empty, _ = _bridged(np.where(count > 0, empty, usual).astype(np.float32), count > 0, moving, 1)
    spread = np.where(count > 1, away * SPREAD_OF_MEAN, np.median(away[count > 1]) * SPREAD_OF_MEAN)
    return empty, np.asarray(spread, dtype=np.float32)


def _most_frequent(stack: NDArray[np.uint8]) -> tuple[Float, NDArray[np.bool_]]:
    """For each pixel the level that recurs, and whether it does so often that it can be relied on.

    Where two levels recur, the one that is common on the belt around it is taken. A lane crowded with parts shows them
    more often than the belt; the picture as a whole does not.
    """
    first, second, most, next_most = _recurring(stack)
    common = _common(stack)
    rival = next_most > 0.12 * len(stack)
    swap = rival & (np.abs(second - common) < np.abs(first - common))
    found, share = np.where(swap, second, first), np.where(swap, next_most, most) / len(stack)
    return np.asarray(found, dtype=np.float32), share > RECURS


def _recurring(stack: NDArray[np.uint8]) -> Float:
    """`(first, second, most, next_most)`: the two levels that each pixel shows most often, and how often."""
    looks = stack.reshape(len(stack), -1)
    first, second, most, next_most = found = np.zeros((4, looks.shape[1]), dtype=np.float32)
    for low in range(0, 256, 12):
        inside = cv2.inRange(looks, low, low + 17)
        count = _summed(inside) / np.float32(255)
        if not count.any():
            continue
        mean = _summed(cv2.bitwise_and(looks, inside)) / np.maximum(count, 1)
        same = np.abs(mean - first) < ALIKE
        best = count > most
        moved = best & ~same
        np.copyto(second, first, where=moved)
        np.copyto(next_most, most, where=moved)
        np.copyto(first, mean, where=best)
        np.copyto(most, count, where=best)
        runner = ~best & ~same & (count > next_most)
        np.copyto(second, mean, where=runner)
        np.copyto(next_most, count, where=runner)
    return found.reshape(4, *stack.shape[1:])


def _summed(looks: NDArray[Any]) -> Float:
    """The sum over all looks, `(looks, pixels)`, for each pixel; exact."""
    return np.asarray(cv2.reduce(looks, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)[0], dtype=np.float32)


def _common(stack: NDArray[np.uint8]) -> Float:
    """The commonest level around each column, over all rows and looks: `(1, along)`."""
    along = stack.shape[2]
    rows = stack.reshape(-1, along)
    levels = np.zeros((1, along), dtype=np.float32)
    for begin in range(0, along, 20):
        counts = counted(rows[:, max(0, begin - 10) : begin + 30])
        levels[0, begin : begin + 20] = int(np.argmax(np.convolve(counts, np.ones(11), mode="same")))
    return levels
