"""Small stand-ins for the ways in which public inspection sets are laid out, from drawn textures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from outlines import finished, grain

Image = np.ndarray
STEEL = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


def write(path: Path, image: Image) -> None:
    """Write a picture, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(path.suffix, image)[1].tofile(path)


def bottle(seed: int, kind: str, side: int = 128) -> tuple[Image, Image]:
    """The mouth of a bottle from above, in colour, and where it is broken or dirty."""
    random = np.random.default_rng(seed)
    light, mask = np.full((side, side), 235, np.float32), np.zeros((side, side), np.uint8)
    unit, middle = side / 128, side / 2 + random.uniform(-2, 2, 2)
    at = tuple(int(16 * each) for each in middle)
    for radius, level in ((60, 60), (52, 130), (44, 40), (30, 90), (24, 25)):
        cv2.circle(light, at, int(16 * radius * unit), level + random.uniform(-6, 6), -1, cv2.LINE_AA, 4)
    angle = random.uniform(0, 2 * np.pi)
    way = np.array([np.cos(angle), np.sin(angle)])
    if kind.startswith("broken"):
        reach = (9 if kind.endswith("large") else 4) * unit
        spot = middle + 54 * unit * way
        cv2.circle(mask, tuple(int(16 * each) for each in spot), int(16 * reach), 255, -1, cv2.LINE_AA, 4)
        light += (mask / 255) * (200 + grain(random, (side, side), 1, 25) - light)
    elif kind == "contamination":
        spot = middle + 18 * unit * way
        cv2.ellipse(mask, tuple(int(each) for each in spot), (int(7 * unit), int(4 * unit)), 30, 0, 360, 255, -1)
        light += (mask / 255) * (190 - light)
    light += grain(random, (side, side), 1, 3)
    return cv2.merge([finished(light * 0.8), finished(light * 0.9), finished(light)]), mask


def toy(seed: int, kind: str, side: int = 128) -> tuple[Image, Image]:
    """A brick with studs in one of two colours, turned, on a gray table; a stud is missing, or it is dirty."""
    random = np.random.default_rng(seed)
    light = np.full((side, side, 3), (120, 122, 125), np.float32)
    mask = np.zeros((side, side), np.uint8)
    color = ((40, 40, 200), (190, 120, 30))[seed % 2]
    angle, middle = random.uniform(0, 2 * np.pi), side / 2 + random.uniform(-4, 4, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * side / 128

    def placed(points: list[tuple[float, float]]) -> Image:
        return np.rint(16 * (np.array(points) @ turn.T + middle)).astype(np.int32)

    cv2.fillPoly(light, [placed([(-48, -26), (48, -26), (48, 26), (10, 26), (10, 14), (-48, 14)])], color, 16, 4)
    studs = [(x, y) for x in (-36, -12, 12, 36) for y in (-14, 4)]
    gone = int(random.integers(len(studs))) if kind == "missing" else -1
    for number, stud in enumerate(studs):
        at = tuple(int(each) for each in placed([stud])[0])
        if number == gone:
            cv2.circle(mask, at, int(16 * 8 * side / 128), 255, -1, cv2.LINE_AA, 4)
        else:
            bright = tuple(min(255, each + 45) for each in color)
            cv2.circle(light, at, int(16 * 7 * side / 128), bright, -1, cv2.LINE_AA, 4)
    if kind == "stain":
        at = placed([(random.uniform(-30, 30), random.uniform(-18, 10))])[0]
        cv2.ellipse(mask, tuple(int(each / 16) for each in at), (8, 5), 20, 0, 360, 255, -1)
        light[mask > 0] = (20, 60, 60)
    return finished(light + random.normal(0, 2, light.shape)), mask


def tile(part: int, exposure: int, kind: str) -> tuple[Image, Image]:
    """A magnetic tile, gray, of a size of its own, under one of several exposures."""
    random = np.random.default_rng(part)
    size = (int(random.integers(90, 130)), int(random.integers(70, 110)))
    texture, mask = grain(random, size, 2, 9) + grain(random, size, 12, 10), np.zeros(size, np.uint8)
    at = (int(random.integers(20, size[1] - 20)), int(random.integers(20, size[0] - 20)))
    if kind == "Blowhole":
        cv2.circle(mask, at, int(random.integers(3, 6)), 255, -1, cv2.LINE_AA)
        texture -= mask / 255 * 60
    elif kind == "Crack":
        line = np.array(at) + np.cumsum(random.integers(-3, 4, (14, 2)) + np.array([0, 3]), axis=0)
        cv2.polylines(mask, [line.astype(np.int32)], False, 255, 2, cv2.LINE_AA)
        texture -= mask / 255 * 45
    taken = np.random.default_rng(1000 * part + exposure)
    return finished((110 + texture) * (0.7 + 0.15 * exposure) + taken.normal(0, 2, size)), mask


def steel(seed: int, kind: str, side: int = 100) -> Image:
    """Hot-rolled strip with one of six kinds of defects all over it."""
    random = np.random.default_rng(seed)
    size = (side, side)
    light = 120 + random.uniform(-25, 25) + grain(random, size, 1, 4)
    if kind == "crazing":
        light -= 30 * (np.abs(grain(random, size, 3, 1)) < 0.15)
    elif kind == "inclusion":
        for _ in range(4):
            x = int(random.integers(10, side - 10))
            cv2.line(light, (x, int(random.integers(0, 40))), (x + 2, int(random.integers(50, side))), 60, 3)
    elif kind == "patches":
        light -= 50 * (grain(random, size, 9, 1) > 0.9)
    elif kind == "pitted_surface":
        light -= 50 * (grain(random, size, 1.5, 1) > 1.8)
    elif kind == "rolled-in_scale":
        light += grain(random, size, 4, 25)
    else:
        for _ in range(3):
            y = int(random.integers(5, side - 5))
            cv2.line(light, (0, y), (side, y + int(random.integers(-8, 9))), 210, 2, cv2.LINE_AA)
    return finished(light)


def bottles(root: Path, parts: int, side: int = 128) -> Path:
    """Folders per class, as round bottle mouths come."""
    for number, (kind, count) in enumerate(
        {"good": 3, "broken_large": 1, "broken_small": 1, "contamination": 1}.items()
    ):
        for part in range(parts * count):
            write(root / kind / f"{part:03d}.png", bottle(10_000 * number + part, kind, side)[0])
    return root


def divided(root: Path, parts: int, drawn: Callable[[int, str], tuple[Image, Image]], kinds: tuple[str, ...]) -> Path:
    """`train/good`, `test/<kind>` and `ground_truth/<kind>/NAME_mask.png`."""
    for part in range(3 * parts):
        write(root / "train" / "good" / f"{part:03d}.png", drawn(part, "good")[0])
    for number, kind in enumerate(("good", *kinds), start=1):
        for part in range(parts):
            image, mask = drawn(10_000 * number + part, kind)
            write(root / "test" / kind / f"{part:03d}.png", image)
            if kind != "good":
                write(root / "ground_truth" / kind / f"{part:03d}_mask.png", mask)
    return root


def tiles(root: Path, parts: int, exposures: int = 3) -> Path:
    """`MT_<kind>/Imgs` with `exp<n>_num_<part>.jpg` and a mask of the same name beside each."""
    for number, kind in enumerate(("Free", "Blowhole", "Crack")):
        for part in range(parts * (2 if kind == "Free" else 1)):
            for exposure in range(exposures):
                code = 1000 + 317 * (100 * number + part) % 9000
                image, mask = tile(10_000 * number + part, exposure, kind)
                place = root / f"MT_{kind}" / "Imgs" / f"exp{exposure + 1}_num_{code}"
                write(place.with_suffix(".jpg"), image)
                write(place.with_suffix(".png"), mask)
    return root


def steels(root: Path, parts: int, suffix: str = ".bmp") -> Path:
    """Six classes of defects, none good."""
    for number, kind in enumerate(STEEL):
        for part in range(parts):
            write(root / kind / f"{kind}_{part + 1}{suffix}", steel(10_000 * number + part, kind))
    return root
