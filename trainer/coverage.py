"""Whether a ring's strip shows what defective parts differ in: it leaves out what lies farther in or farther out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import Ring, Template, Unregistered
from edge.bundle import ring as rings
from edge.bundle import template as templates

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

SURE = 97.0
"""Percentile of the loudest places on good parts above which a place surely differs."""
ASKED = 60
SMOOTH_PX = 1.2


def cut_off(known: Ring, reference: Template, good: Sequence[Image], bad: Sequence[Image]) -> tuple[int, int]:
    """Of defective gray pictures: how many surely differ from good ones, and only where the strip does not reach.

    Returned are these and all that surely differ. What differs is found by laying them onto a reference of good parts.
    """
    usual = [float(loud.max()) for _, loud, _ in _laid(good[:ASKED], reference)]
    if not usual:
        return 0, 0
    limit, missed, sure = float(np.percentile(usual, SURE)), 0, 0
    for picture, loud, warp in _laid(bad[:ASKED], reference):
        rows, columns = np.nonzero(loud > limit)
        if not len(rows):
            continue
        try:
            reach = _radii(picture, known, warp, columns, rows)
        except Unregistered:
            continue
        sure += 1
        missed += not ((reach >= known.inner) & (reach <= known.outer)).any()
    return missed, sure


def _laid(
    pictures: Sequence[Image], reference: Template
) -> Iterator[tuple[Image, NDArray[np.float32], NDArray[np.float32]]]:
    """Each picture with how loud its places are on the reference, and where the reference lies in it."""
    for each in pictures:
        try:
            warp = templates.fit(each, reference)[0]
        except Unregistered:
            continue
        laid = templates.straighten(each, warp, reference.height, reference.width)
        off = np.abs(templates.deviation(laid, reference))
        yield each, np.asarray(cv2.GaussianBlur(off, (0, 0), SMOOTH_PX), dtype=np.float32), warp


def _radii(
    picture: Image, known: Ring, warp: NDArray[np.float32], columns: NDArray[np.intp], rows: NDArray[np.intp]
) -> Floats:
    """How far out places of the reference lie, in units of the ring's own radius."""
    pose = rings.find(picture, known)
    there = warp.astype(np.float64) @ np.stack([columns, rows, np.ones(len(rows))])
    unit = np.linalg.inv(pose.axes) @ (there[:2] / there[2] - np.array(pose.center)[:, None])
    angles = np.arctan2(unit[1], unit[0]) % (2 * np.pi) / (2 * np.pi) * rings.ANGLES
    near, far = (
        np.interp(angles, np.arange(rings.ANGLES + 1), np.append(each, each[0])) for each in (pose.near, pose.far)
    )
    share = (np.hypot(unit[0], unit[1]) - near) / (far - near)
    return np.asarray(1 + share * ((known.rim or 2.0) - 1), dtype=np.float64)
