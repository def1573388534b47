"""Cutting one look at a part out of a frame, framed the same way for training and for judging."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from edge.domain import Box, Image, View


def square_crop(image: Image, box: Box, margin: float) -> Image:
    """A square copy around the box's centre: its longer side, and `margin` times that on every side.

    Gray or BGR uint8 as it comes. What lies beyond the picture repeats the picture's edge.
    """
    return np.array(_square(image, box, margin), order="C")


def _square(image: Image, box: Box, margin: float) -> Image:
    """As `square_crop`, but part of the picture itself where that is possible."""
    side = max(1, round(max(box.width_px, box.height_px) * (1 + 2 * margin)))
    center_x, center_y = box.center_px
    left, top = round(center_x - side / 2), round(center_y - side / 2)
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return image[top : top + side, left : left + side]
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    return np.asarray(image[rows[0] : rows[-1] + 1][np.ix_(rows - rows[0], columns)], dtype=np.uint8)


Look = tuple[float, Image, Box]
"""When, the picture, and where the part is in it."""


def best_views(looks: Sequence[Look], count: int, margin: float, shows: Callable[[Look], bool]) -> tuple[View, ...]:
    """Up to `count` views of one part, sharpest first, from looks in order of time.

    Only looks that hold the whole part are taken, and of those the latest, which are nearest to the gate. `shows` says
    whether the part itself is to be seen in one; that is costly, so it is asked of no more looks than necessary.
    """
    whole = [each for each in reversed(looks) if _holds(each[1], each[2])]
    taken: list[Look] = []
    for begin in range(0, len(whole), 2 * count):
        latest = whole[begin : begin + 2 * count]
        for each in sorted(latest, key=lambda look: -_sharpness(_square(look[1], look[2], margin))):
            if len(taken) < count and shows(each):
                taken.append(each)
        if len(taken) == count:
            break
    return tuple(View(crop=square_crop(image, box, margin), box=box, at_s=at_s) for at_s, image, box in taken)


PORTRAIT_PX, ROOM_PX = 12, 3
"""A portrait has so many pixels a side; it may be found so far beside its place, for boxes are never exact."""
PLAIN = 8.0
"""A portrait that varies by fewer grey levels is plain."""
SAME = 0.4
"""Two looks at a part correlate at least so well, whatever the light."""


def portrait_of(image: Image, box: Box) -> Image:
    """A tiny picture of a part, to know it again."""
    return _tiny(_square(image, box, 0.0), PORTRAIT_PX)


def is_plain(portrait: Image) -> bool:
    """Whether it shows nothing to know a part by."""
    return bool(cv2.meanStdDev(portrait)[1].max() < PLAIN)


def resembles(image: Image, box: Box, portrait: Image) -> bool:
    """Whether a picture shows in this box, which the part had in its portrait too, what the portrait shows."""
    seen = _tiny(_square(image, box, ROOM_PX / PORTRAIT_PX), PORTRAIT_PX + 2 * ROOM_PX)
    return cv2.minMaxLoc(cv2.matchTemplate(seen, portrait, cv2.TM_CCOEFF_NORMED))[1] >= SAME


def _tiny(crop: Image, side: int) -> Image:
    return np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _holds(image: Image, box: Box) -> bool:
    height, width = image.shape[:2]
    inside = box.left_px >= 0 and box.top_px >= 0
    return inside and box.left_px + box.width_px <= width and box.top_px + box.height_px <= height


def _sharpness(crop: Image) -> float:
    small = cv2.resize(crop, (48, 48), interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY) if small.ndim == 3 else small
    return float(cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))[1][0, 0])
