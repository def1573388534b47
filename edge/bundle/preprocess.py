"""From a crop to the int8 tensor: the one definition that training, measuring and the device share."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import ring, template
from edge.bundle.manifest import InputSpec


def prepare(crop: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.int8]:
    """Register or resize one crop and requantize it: grey level g becomes g - 128, a flip of the sign bit.

    `crop` is gray `(height, width)` or BGR `(height, width, 3)` uint8; the result is int8
    `(1, spec.height, spec.width, spec.channels)`, three channels in the order RGB.
    Raises `ValueError` for anything that is not such an image, and its kind `Unregistered` for a picture in which
    the part is not to be found.
    """
    image = even(laid(crop, spec), spec)
    return (image ^ np.uint8(0x80)).view(np.int8).reshape(1, spec.height, spec.width, spec.channels)


def laid(crop: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """The first half of `prepare`, geometry alone: the crop resized, unrolled, or laid onto the template; gray, or RGB.

    An unrolled ring is narrower than `spec.width` by what wraps around. Raises as `prepare`.
    """
    return laid_with(crop, crop, spec)


def laid_with(crop: NDArray[np.uint8], companion: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """Another picture of the same size, such as a mask, laid out as `crop` is; raises as `prepare`."""
    for each in (crop, companion):
        if each.dtype != np.uint8 or each.size == 0 or not (each.ndim == 2 or (each.ndim == 3 and each.shape[2] == 3)):
            raise ValueError(f"a crop must be a gray or BGR uint8 image, not {each.dtype} {each.shape}")
    match spec.registration:
        case None:
            return _coloured(_resized(companion, spec), spec.channels)
        case ring.Ring() as known:
            pose = ring.find(_coloured(crop, 1), known)
            return ring.straighten(_coloured(companion, spec.channels), pose, known, spec.height, spec.width)
        case known:
            warp = template.find(_coloured(crop, 1), known)
            return template.straighten(_coloured(companion, spec.channels), warp, spec.height, spec.width)


def even(image: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """The second half: of a registered part the difference from what it should look like; `(height, width)` and
    channels."""
    match spec.registration:
        case None:
            return image
        case ring.Ring():
            return ring.even(image)
        case known:
            return template.even(image, known)


def _coloured(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    if channels == 1:
        return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    to_rgb = cv2.COLOR_GRAY2RGB if image.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(image, to_rgb), dtype=np.uint8)


def _resized(crop: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    height, width = crop.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return crop
    shrinks = height >= spec.height and width >= spec.width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (spec.width, spec.height), interpolation=how), dtype=np.uint8)


def readable_image(path: Path, channels: int) -> NDArray[np.uint8]:
    """Read a picture file as gray (1 channel) or BGR (3); raises `ValueError` when it is none."""
    how = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    image = cv2.imdecode(data, how) if data.size else None
    if image is None:
        raise ValueError(f"{path}: is no readable picture")
    return np.asarray(image, dtype=np.uint8)
