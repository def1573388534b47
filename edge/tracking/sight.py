"""How the tracker looks at a frame: small, gray, and turned so that the belt always runs to the right."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge.domain import Box, Image

LONG_SIDE_PX = 320
"""Frames are reduced by a whole factor to about this; finer costs more and counts no better."""


OPPOSITE = {"right": "left", "left": "right", "down": "up", "up": "down"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The way between the full-size picture and the small turned one; `direction` is that of travel."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int
    factor: int
    direction: str
    picture_px: tuple[int, int]
    """`(width, height)` of the whole frame."""

    @property
    def size(self) -> tuple[int, int]:
        """`(along, across)` the belt, in small pixels."""
        small = self.width_px // self.factor, self.height_px // self.factor
        return small if self.direction in ("right", "left") else small[::-1]

    def look(self, image: Image) -> Image:
        """The region small and turned: `(across, along)` gray or `(across, along, 3)` Y, Cr, Cb."""
        return turned(self.shrink(image), self.direction)

    def shrink(self, image: Image) -> Image:
        """The region small, gray or Y, Cr, Cb, not turned."""
        wide, high = self.width_px // self.factor, self.height_px // self.factor
        region = image[self.top_px : self.top_px + high * self.factor, self.left_px : self.left_px + wide * self.factor]
        small = cv2.resize(region, (wide, high), interpolation=cv2.INTER_AREA) if self.factor > 1 else region
        plain = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb) if small.ndim == 3 else small
        return np.ascontiguousarray(plain, dtype=np.uint8)

    def strip(self, first: int, last: int, is_against: bool) -> Sight:
        """Only these rows of the look; as one sees them who travels the other way, if `is_against`."""
        begin, size = first * self.factor, (last - first) * self.factor
        direction = OPPOSITE[self.direction] if is_against else self.direction
        if self.direction in ("right", "left"):
            return replace(self, top_px=self.top_px + begin, height_px=size, direction=direction)
        return replace(self, left_px=self.left_px + begin, width_px=size, direction=direction)

    def along(self, share: float) -> float:
        """Where a line at `share` of the full picture along the travel axis lies, in small pixels of travel."""
        horizontal = self.direction in ("right", "left")
        begin, length = (self.left_px, self.width_px) if horizontal else (self.top_px, self.height_px)
        position = (share * self.picture_px[0 if horizontal else 1] - begin) / self.factor
        return position if self.direction in ("right", "down") else length // self.factor - position

    def reaches(self, top: float, bottom: float, spare: float) -> tuple[bool, bool]:
        """Whether these rows, in small turned pixels, reach the picture's own edges beside the belt."""
        upright = self.direction in ("down", "up")
        begin, length = (self.left_px, self.picture_px[0]) if upright else (self.top_px, self.picture_px[1])
        low, high = begin + top * self.factor, begin + bottom * self.factor
        return low <= 0, high >= length - spare * self.factor

    def box(self, left: float, top: float, right: float, bottom: float) -> Box:
        """A box in small turned pixels as a box in the full-size picture."""
        if self.direction in ("left", "up"):
            along, _ = self.size
            left, right = along - right, along - left
        if self.direction in ("down", "up"):
            left, top, right, bottom = top, left, bottom, right
        return Box(
            left_px=self.left_px + left * self.factor,
            top_px=self.top_px + top * self.factor,
            width_px=(right - left) * self.factor,
            height_px=(bottom - top) * self.factor,
        )


def turned(small: Image, direction: str) -> Image:
    """Turn a small picture so that `direction` becomes "to the right"."""
    match direction:
        case "left":
            return np.asarray(cv2.flip(small, 1), dtype=np.uint8)
        case "down":
            return np.asarray(cv2.transpose(small), dtype=np.uint8)
        case "up":
            return np.asarray(cv2.flip(cv2.transpose(small), 1), dtype=np.uint8)
        case _:
            return small


def sight_of(image: Image, region: tuple[float, float, float, float], direction: str) -> Sight:
    """Fit the small picture to a frame's size and the configured region."""
    height, width = image.shape[:2]
    left, top = round(region[0] * width), round(region[1] * height)
    right, bottom = max(left + 8, round(region[2] * width)), max(top + 8, round(region[3] * height))
    right, bottom = min(right, width), min(bottom, height)
    factor = max(1, round(max(right - left, bottom - top) / LONG_SIDE_PX))
    return Sight(
        left_px=left,
        top_px=top,
        width_px=right - left,
        height_px=bottom - top,
        factor=factor,
        direction=direction,
        picture_px=(width, height),
    )


def planes_of(look: Image) -> list[Image]:
    """The gray plane, or Y, Cr and Cb."""
    if look.ndim == 2:
        return [look]
    return [np.asarray(plane, dtype=np.uint8) for plane in cv2.split(look)]
