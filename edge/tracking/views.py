"""Cutting one look at a part out of a frame, framed the same way for training and for judging."""

from __future__ import annotations

import numpy as np

from edge.domain import Box, Image


def square_crop(image: Image, box: Box, margin: float) -> Image:
    """A square copy around the box's centre: its longer side, and `margin` times that on every side.

    Gray or BGR uint8 as it comes. What lies beyond the picture repeats the picture's edge.
    """
    side = max(1, round(max(box.width_px, box.height_px) * (1 + 2 * margin)))
    center_x, center_y = box.center_px
    left, top = round(center_x - side / 2), round(center_y - side / 2)
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return image[top : top + side, left : left + side].copy()
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    return np.ascontiguousarray(image[rows[0] : rows[-1] + 1][np.ix_(rows - rows[0], columns)])
