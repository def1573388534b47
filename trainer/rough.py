"""Counterfactuals of parts that are not registered: a patch where a mask says the flaw is, or the network's own map."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer import counterfactual, masks
from trainer.augment import Image

REACH_CELLS = 1.5
"""How far beyond the hot place a flaw may reach, in cells of the map: it is often an edge that speaks."""
EDGE_PX = 3
"""By how much more than the mask is painted over: masks end where flaws still do a little."""
WIDEST = 0.4
"""Share of the picture above which a map points nowhere."""


def pair(
    donor: Image, mask: NDArray[np.uint8], fine: Sequence[Image], random: np.random.Generator
) -> counterfactual.Pair | None:
    """The donor without what is under the mask (255), and a good part with it; None where the mask says nothing."""
    if not 0 < mask.mean() <= 255 * WIDEST:
        return None
    whole = fine[int(random.integers(len(fine)))]
    if whole.shape != donor.shape:
        whole = np.asarray(cv2.resize(whole, donor.shape[1::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
    spoilt = masks.blended(donor, whole, mask)
    wide = cv2.dilate(mask, np.ones((EDGE_PX, EDGE_PX), np.uint8))
    healed = np.asarray(cv2.inpaint(donor, wide, 3, cv2.INPAINT_TELEA), dtype=np.uint8)
    levels = counterfactual.contrast(masks.blended(healed, whole, mask), spoilt)
    return counterfactual.Pair(healed=healed, transplanted=spoilt, levels=levels)


def hot(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A mask (255 inside) of the place in a picture of `(height, width)` where a coarse map is highest, and around."""
    fine = cv2.resize(heat, size[::-1], interpolation=cv2.INTER_LINEAR)
    middle = float(np.median(fine))
    _, places = cv2.connectedComponents((fine >= middle + 0.5 * (float(fine.max()) - middle)).astype(np.uint8))
    peak = places == places.flat[int(np.argmax(fine))]
    reach = max(2, round(REACH_CELLS * min(size) / min(heat.shape)))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return np.asarray(cv2.dilate(peak.astype(np.uint8) * 255, around), dtype=np.uint8)
