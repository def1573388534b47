"""Where flaws are, as given with the data: masks laid out as their pictures are, and flaws moved by them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, laid_with
from trainer import folder
from trainer.dataset import Picture

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]

BESIDE_PX = 4
"""How far around a flaw the light is compared, when it is put onto another part."""
EMPTY = 0.4
"""A mask that nowhere reaches this shows nothing."""


def laid_out(root: Path, picture: Picture, crop: Image, spec: InputSpec) -> Mask | None:
    """A picture's mask as the network sees the crop, 0 to 1; None where none is given. Raises `Unregistered`."""
    whole = of(root, picture, crop)
    if whole is None:
        return None
    gray = InputSpec(height=spec.height, width=spec.width, channels=1, registration=spec.registration)
    return np.asarray(laid_with(crop, whole, gray), dtype=np.float32) / 255


def of(root: Path, picture: Picture, crop: Image) -> Image | None:
    """A picture's mask in the size of its crop, 255 where the flaw is; None where none is given or readable."""
    if not picture.mask:
        return None
    try:
        region = folder.region(root / picture.mask)
    except ValueError:
        return None
    height, width = crop.shape[:2]
    return np.asarray(cv2.resize(region, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def blended(donor: Image, whole: Image, mask: Image) -> Image:
    """The part of `donor` under the mask (255) on `whole`, in the light of `whole` around it."""
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), 1.5)
    beside = (cv2.dilate(mask, np.ones((2 * BESIDE_PX + 1,) * 2, np.uint8)) > 0) & (mask == 0)
    change = donor.astype(np.float32) - whole.astype(np.float32)
    change -= np.median(change[beside], axis=0) if beside.any() else 0
    if donor.ndim == 3:
        soft = soft[:, :, None]
    return np.asarray(np.clip(whole + soft * change + 0.5, 0, 255), dtype=np.uint8)


def transplanted(donor: Image, mask: Image, whole: Image, random: np.random.Generator) -> tuple[Image, Mask]:
    """The donor's masked flaw somewhere on another picture, in the size of that, and where it is, 0 to 1."""
    size = whole.shape[1::-1]
    donor = np.asarray(cv2.resize(donor, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    rows, columns = np.flatnonzero(mask.max(axis=1)), np.flatnonzero(mask.max(axis=0))
    if not len(rows):
        return whole, np.zeros(whole.shape[:2], np.float32)
    shift = (
        int(random.integers(-rows[0], mask.shape[0] - rows[-1])),
        int(random.integers(-columns[0], mask.shape[1] - columns[-1])),
    )
    # What goes round the edge lies outside the mask.
    donor, mask = (np.roll(each, shift, axis=(0, 1)) for each in (donor, mask))
    return blended(donor, whole, mask), mask.astype(np.float32) / 255
