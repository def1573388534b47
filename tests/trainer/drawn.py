"""Small drawn parts, and folders of them."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import outlines

SIDE_PX = 48


def draw(seed: int, label: str) -> np.ndarray:
    """A gray disc on a dark belt; a defective one has a black hole in it."""
    random = np.random.default_rng(seed)
    image = np.full((SIDE_PX, SIDE_PX), 40, np.uint8)
    centre = (SIDE_PX // 2 + int(random.integers(-2, 3)), SIDE_PX // 2 + int(random.integers(-2, 3)))
    cv2.circle(image, centre, 18, int(random.integers(140, 190)), -1, cv2.LINE_AA)
    if label == "hole":
        angle = random.uniform(0, 2 * np.pi)
        at = (round(centre[0] + 9 * np.cos(angle)), round(centre[1] + 9 * np.sin(angle)))
        cv2.circle(image, at, 5, 10, -1, cv2.LINE_AA)
    noise = random.normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def fill(root: Path, counts: dict[str, int], *, views: int = 1, suffix: str = ".png") -> Path:
    """Write `counts` parts per class; with several views a groups.csv says which belong together."""
    rows = []
    for number, label in enumerate(sorted(counts)):
        (root / label).mkdir(parents=True, exist_ok=True)
        for part in range(counts[label]):
            for view in range(views):
                name = f"{label}-{part:03d}-{view}{suffix}"
                picture = draw(100_000 * number + 10 * part + view, label)
                cv2.imencode(suffix, picture)[1].tofile(root / label / name)
                rows.append((f"{label}{part}", label, name))
    if views > 1:
        with (root / "groups.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("group", "label", "file"), *rows])
    return root


TINY = """
name: tiny
good: [ok]
split: {validation: 0.25, test: 0.25}
input: {height_px: 32, width_px: 32, registration: none}
network: {blocks: 2, width: 8}
augment: {rotation_deg: 180, blur_px: 0.3, noise: 3}
training: {epochs: 8, steps: 12, batch: 16, learning_rate: 0.01}
compare: {plain_cnn_px: [24], epochs: 2}
"""


def draw_ring(seed: int, label: str, side_px: int = 96) -> np.ndarray:
    """A turned round part on a dark belt: a disc with a step and a bore; a defective one has a pit in it."""
    random = np.random.default_rng(seed)
    image = np.full((side_px, side_px), 45, np.uint8)
    middle = tuple(16 * (side_px / 2 + random.uniform(-2, 2)) for _ in range(2))
    turn, tilt, light = random.uniform(0, 180), random.uniform(0.96, 1.0), random.uniform(150, 190)
    for radius, level in ((42, light), (34, light - 25), (20, 20)):
        axes = (round(16 * radius), round(16 * radius * tilt))
        cv2.ellipse(image, (round(middle[0]), round(middle[1])), axes, turn, 0, 360, int(level), -1, cv2.LINE_AA, 4)
    if label == "hole":
        angle, radius = random.uniform(0, 2 * np.pi), 16 * random.uniform(25, 37)
        at = (round(middle[0] + radius * np.cos(angle)), round(middle[1] + radius * np.sin(angle)))
        cv2.circle(image, at, round(16 * random.uniform(2, 3)), 15, -1, cv2.LINE_AA, 4)
    return np.clip(image + random.normal(0, 3, image.shape), 0, 255).astype(np.uint8)


def fill_rings(root: Path, parts: int, folds: int) -> Path:
    """Write `parts` round parts per class, two views each, with a groups.csv that also says the fold."""
    rows = []
    for number, label in enumerate(("ok", "hole")):
        (root / label).mkdir(parents=True)
        for part in range(parts):
            for view in range(2):
                name = f"{label}-{part:02d}-{view}.png"
                cv2.imwrite(str(root / label / name), draw_ring(1000 * number + 2 * part + view, label))
                rows.append((f"{label}{part}", part % folds, label, name))
    with (root / "groups.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("group", "fold", "label", "file"), *rows])
    return root


TINY_RING = """
name: ring
good: [ok]
split: {validation: 0.2, test: 0.2}
input: {height_px: 48, width_px: 352}
network: {blocks: 2, width: 8}
training: {epochs: 6, coarse: 6, steps: 12, batch: 16, learning_rate: 0.01, aware: 0}
"""

TINY_TEMPLATE = """
name: bracket
good: [ok]
split: {validation: 0.25, test: 0.25}
input: {height_px: 96, width_px: 96}
network: {blocks: 2, width: 8}
augment: {rotation_deg: 0, flip: false, blur_px: 0.3, noise: 2, gain: 0.1, offset: 8, gradient: 5}
training: {epochs: 24, steps: 12, batch: 16, learning_rate: 0.01, aware: 0}
"""


def fill_brackets(root: Path, parts: int) -> Path:
    """Write `parts` good and `parts` pitted brackets, lying any way round."""
    for number, (label, kind) in enumerate((("ok", "good"), ("pit", "pit"))):
        (root / label).mkdir(parents=True)
        for part in range(parts):
            picture = outlines.bracket(1000 * number + part, kind, 128)[0]
            cv2.imwrite(str(root / label / f"{part:02d}.png"), picture)
    return root


def film(
    path: Path, parts: list[np.ndarray], *, size: tuple[int, int], gap_px: int, ground: int, frames: int, seed: int
) -> Path:
    """A clip of square gray parts that pass, 5 px a frame, `gap_px` from one to the next; `size`: `(width, height)`."""
    width, height = size
    side = len(parts[0])
    top = (height - side) // 2
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30, size)
    random = np.random.default_rng(seed)
    for step in range(frames + gap_px * len(parts) // 5):
        frame = np.full((height, width), ground, np.uint8)
        for number, part in enumerate(parts):
            left = 5 * (step - 40) - gap_px * number - side
            a, b = max(0, left), min(width, left + side)
            if a < b:
                frame[top : top + side, a:b] = part[:, a - left : b - left]
        noisy = np.clip(frame + random.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)
        video.write(cv2.cvtColor(noisy, cv2.COLOR_GRAY2BGR))
    video.release()
    return path
