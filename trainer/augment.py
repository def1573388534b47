"""What a line varies without making a part better or worse: pose, light, focus, noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, Ring, laid, prepare
from trainer.layout import Layout
from trainer.recipe import Augment

Image = NDArray[np.uint8]

KEPT_INSIDE = 4
"""Tries to turn and shift a picture so that its marked flaw stays in it."""
WAVY_PX = 0.4
"""How far the rows of an unrolled part may sway: a fitted ring is never perfectly straight."""


def shrink(crop: Image, spec: InputSpec, times: float = 1.5) -> Image:
    """A crop reduced to at most `times` the network's input, to keep in memory; never enlarged."""
    height, width = crop.shape[:2]
    factor = max(times * spec.height / height, times * spec.width / width)
    if factor >= 1:
        return crop
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def seen(crop: Image, spec: InputSpec) -> Image:
    """What the network is shown of a crop on the device, as grey levels 0 to 255, shape `(height, width, channels)`."""
    return (prepare(crop, spec)[0].view(np.uint8) ^ np.uint8(0x80)).view(np.uint8)


def varied(crop: Image, spec: InputSpec, how: Augment, random: np.random.Generator) -> Image:
    """One random variation of a crop, as the network is shown it: `(height, width, channels)` uint8."""
    if spec.registration is not None:
        part, _ = moved_laid(laid(crop, spec), spec, how, random)
        return Layout(spec=spec).seen(relit(np.atleast_3d(part), light_of(how, spec), random))
    return relit(seen(moved(crop, how, random), spec), how, random)


def moved(crop: Image, how: Augment, random: np.random.Generator) -> Image:
    """Turned, mirrored, shifted and scaled; what comes in from outside repeats the crop's edge."""
    return moved_with(crop, None, how, random)[0]


def moved_with(
    crop: Image, mask: NDArray[np.float32] | None, how: Augment, random: np.random.Generator
) -> tuple[Image, NDArray[np.float32] | None]:
    """The same with a mask of where its flaws are, which are kept inside if a few tries can do it."""
    flipped = how.flip and random.random() < 0.5
    for _ in range(KEPT_INSIDE):
        matrix = _pose(crop, how, random)
        if mask is None:
            return _posed(crop, matrix, flipped=flipped), None
        spots = _posed(mask, matrix, flipped=flipped)
        if spots.sum() >= 0.7 * mask.sum():
            break
    return _posed(crop, matrix, flipped=flipped), spots


def _pose(crop: Image, how: Augment, random: np.random.Generator) -> NDArray[np.float64]:
    height, width = crop.shape[:2]
    angle = random.uniform(-how.rotation_deg, how.rotation_deg)
    scale = 1 + random.uniform(-how.scale, how.scale)
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += random.uniform(-how.shift, how.shift, 2) * (width, height)
    return matrix


def _posed(field: NDArray[Any], matrix: NDArray[np.float64], *, flipped: bool) -> NDArray[Any]:
    height, width = field.shape[:2]
    field = np.ascontiguousarray(field[:, ::-1]) if flipped else field
    return cv2.warpAffine(field, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def moved_strip(
    strip: Image, how: Augment, random: np.random.Generator, mask: NDArray[np.float32] | None = None
) -> tuple[Image, NDArray[np.float32] | None]:
    """An unrolled part (and where its flaws are) turned and mirrored, and its rings as wavy as a fit leaves them."""
    height, width = strip.shape[:2]
    turn = int(random.integers(width)) if how.rotation_deg else 0
    mirrored = how.flip and random.random() < 0.5
    angles = np.arange(width, dtype=np.float32) * np.float32(2 * np.pi / width)
    waves = [random.uniform(0, WAVY_PX) * np.cos(n * angles + random.uniform(0, 2 * np.pi)) for n in (1, 2, 3)]
    middle, scale = (height - 1) / 2, 1 + random.uniform(-how.scale, how.scale)
    rows = (np.arange(height, dtype=np.float32)[:, None] - middle) * scale + middle
    down = (rows + np.sum(waves, axis=0)[None, :] + random.uniform(-1, 1)).astype(np.float32)
    across = np.broadcast_to(np.arange(width, dtype=np.float32)[None, :], down.shape)

    def carried(field: NDArray[np.generic]) -> NDArray[np.generic]:
        way = field[:, ::-1] if mirrored else field
        return cv2.remap(np.roll(way, turn, axis=1), across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    known = None if mask is None else np.asarray(carried(mask), dtype=np.float32)
    return np.asarray(carried(strip), dtype=np.uint8), known


def moved_laid(
    part: Image, spec: InputSpec, how: Augment, random: np.random.Generator, mask: NDArray[np.float32] | None = None
) -> tuple[Image, NDArray[np.float32] | None]:
    """A registered part (and where its flaws are) as it may lie as well: farther round, or as far off as a fit is."""
    layout = Layout(spec=spec)
    return moved_strip(part, how, random, mask) if layout.wraps else layout.strayed(part, random, mask)


def light_of(how: Augment, spec: InputSpec) -> Augment:
    """What varies in the light of a registered part: around a ring it comes back to where it began."""
    return replace(how, gradient=0.0) if isinstance(spec.registration, Ring) else how


def relit(image: Image, how: Augment, random: np.random.Generator) -> Image:
    """Other light, focus and sensor noise on a `(height, width, channels)` image; its shape stays."""
    height, width, channels = image.shape
    light = image.astype(np.float32) * np.float32(1 + random.uniform(-how.gain, how.gain))
    light += np.float32(random.uniform(-how.offset, how.offset))
    if how.gradient:
        direction, depth = random.uniform(0, 2 * np.pi), random.uniform(0, how.gradient)
        across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(depth * np.cos(direction))
        down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(depth * np.sin(direction))
        light += (across[None, :] + down[:, None])[:, :, None]
    if how.blur_px and random.random() < 0.5:
        light = _smeared(light, random.uniform(0, how.blur_px), random).reshape(height, width, channels)
    if how.noise:
        light += random.standard_normal(light.shape, dtype=np.float32) * np.float32(random.uniform(0, how.noise))
    taken = np.asarray(np.clip(light + 0.5, 0, 255), dtype=np.uint8)
    return compressed(taken, random.uniform(min(how.jpeg, 95.0), 95)) if how.jpeg and random.random() < 0.2 else taken


def compressed(image: Image, quality: float) -> Image:
    """A gray or three-channel picture as JPEG leaves it."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), dtype=np.uint8).reshape(image.shape)


def _smeared(light: NDArray[np.float32], extent_px: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Out of focus or, as often, moved along one axis during the exposure."""
    sigma = max(extent_px, 0.05)
    across, down = random.choice([(sigma, sigma), (sigma, sigma), (sigma, 0.05), (0.05, sigma)])
    return np.asarray(cv2.GaussianBlur(light, (0, 0), sigmaX=float(across), sigmaY=float(down)), dtype=np.float32)


def contact_sheet(crops: list[Image], spec: InputSpec, how: Augment, seed: int, columns: int = 8) -> Image:
    """Each crop as it is, followed by variations of it, one row per crop: for people to look at."""
    random = np.random.default_rng(seed)
    rows = [[seen(crop, spec), *(varied(crop, spec, how, random) for _ in range(columns - 1))] for crop in crops]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
