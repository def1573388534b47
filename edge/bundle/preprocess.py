"""From a crop to the int8 tensor: the one definition that training, measuring and the device share."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import ring
from edge.bundle.manifest import InputSpec


def prepare(crop: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.int8]:
    """Register or resize one crop and requantize it: grey level g becomes g - 128, a flip of the sign bit.

    `crop` is gray `(height, width)` or BGR `(height, width, 3)` uint8; the result is int8
    `(1, spec.height, spec.width, spec.channels)`, three channels in the order RGB.
    Raises `ValueError` for anything that is not such an image, and its kind `Unregistered` for a picture in which
    the part is not to be found.
    """
    image = laid(crop, spec)
    if spec.registration is not None:
        image = ring.even(image)
    return (image ^ np.uint8(0x80)).view(np.int8).reshape(1, spec.height, spec.width, spec.channels)


def laid(crop: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """The first half of `prepare`, geometry alone: the crop resized, or its ring unrolled; gray, or RGB.

    An unrolled ring is narrower than `spec.width` by what wraps around. Raises as `prepare`.
    """
    if crop.dtype != np.uint8 or crop.size == 0 or not (crop.ndim == 2 or (crop.ndim == 3 and crop.shape[2] == 3)):
        raise ValueError(f"a crop must be a gray or BGR uint8 image, not {crop.dtype} {crop.shape}")
    if spec.registration is None:
        return _coloured(_resized(crop, spec), spec.channels)
    pose = ring.find(_coloured(crop, 1), spec.registration)
    return ring.straighten(_coloured(crop, spec.channels), pose, spec.registration, spec.height, spec.width)


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
