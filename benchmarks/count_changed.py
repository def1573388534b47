"""Count the real clips as other cameras, lamps and mountings would have shown them.

    python -m benchmarks.count_changed DATA/clips            all changes, six minutes
    python -m benchmarks.count_changed DATA/clips fog bar    only these

Each clip is calibrated and counted anew after each change. A part that is missed should be told: the last column is for
how many seconds the tracker said that parts may have passed unseen.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.count_clips import Clue, read, twice
from edge.domain import Frame, Image
from edge.tracking import open_tracker
from edge.tracking.calibrate import calibrate

Change = Callable[[list[Frame]], list[Frame]]
CHANCE = np.random.default_rng(5)


def bytes_of(levels: NDArray[Any]) -> Image:
    return np.clip(levels, 0, 255).astype(np.uint8)


def each(change: Callable[[Image, int], NDArray[Any]]) -> Change:
    """A change of every picture on its own; it is given the picture and its number."""

    def changed(frames: list[Frame]) -> list[Frame]:
        return [
            replace(frame, image=np.ascontiguousarray(bytes_of(change(frame.image, number))))
            for number, frame in enumerate(frames)
        ]

    return changed


def tones(exponent: float) -> Change:
    return each(lambda image, _: 255 * (image / 255.0) ** exponent)


def gain(of: Callable[[int], float]) -> Change:
    return each(lambda image, number: image * of(number))


def noise(levels: float) -> Change:
    return each(lambda image, _: image + CHANCE.normal(0, levels, image.shape))


def still(_: int) -> tuple[float, float]:
    return 0.0, 0.0


def mapped(angle: float = 0.0, zoom: float = 1.0, shift_px: Callable[[int], tuple[float, float]] = still) -> Change:
    """Turned about its middle, enlarged and shifted; what comes into the picture is what lay at its edge."""

    def change(image: Image, number: int) -> Image:
        high, wide = image.shape[:2]
        way = cv2.getRotationMatrix2D((wide / 2, high / 2), angle, zoom)
        way[:, 2] += shift_px(number)
        return np.asarray(cv2.warpAffine(image, way, (wide, high), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return each(change)


def shaken(deviation_px: float) -> Change:
    """A camera in a hand: its way wanders and comes back."""
    chance, place, speed, way = np.random.default_rng(1), np.zeros(2), np.zeros(2), []
    for _ in range(2000):
        speed = 0.85 * speed + chance.normal(0, 1, 2)
        place = 0.93 * place + speed
        way.append(place)
    path = np.array(way) / np.std(way) * deviation_px
    return mapped(shift_px=lambda number: (path[number][0], path[number][1]))


def resized(factor: float) -> Change:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return each(lambda image, _: cv2.resize(image, None, fx=factor, fy=factor, interpolation=method))


def falling_off(image: Image, _: int) -> NDArray[Any]:
    """The lamp stands at the right."""
    light = np.linspace(0.6, 1.1, image.shape[1])
    return image * (light if image.ndim == 2 else light[:, None])


def repacked(image: Image, _: int) -> Image:
    packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 25])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED))


def barred(image: Image, _: int) -> Image:
    """A dark bar stands over the belt."""
    wide = image.shape[1]
    image = image.copy()
    image[:, int(0.3 * wide) : int(0.3 * wide) + max(4, wide // 40)] = 40
    return image


def warming(image: Image, number: int) -> NDArray[Any]:
    """The white balance goes to and fro."""
    red = 1 + 0.08 * np.sin(number / 40)
    return image if image.ndim == 2 else image * np.array([red, 1, 2 - red])


def thinned(keeps: Callable[[int], bool]) -> Change:
    return lambda frames: [frame for number, frame in enumerate(frames) if keeps(number)]


CHANGES: dict[str, Change] = {
    "as filmed": lambda frames: frames,
    "exposure follows the scene": each(lambda image, _: image * (110 / max(1.0, float(image.mean())))),
    "exposure jumps by 30 %": gain(lambda number: (1.0, 0.7)[number // 80 % 2]),
    "flicker 6 %": gain(lambda number: 1 + 0.06 * np.sin(2.1 * number)),
    "flicker 15 %": gain(lambda number: 1 + 0.15 * np.sin(0.9 * number)),
    "white balance drifts": each(warming),
    "light falls off to one side": each(falling_off),
    "tones darker": tones(1.8),
    "tones lighter": tones(0.55),
    "negative": each(lambda image, _: 255 - image),
    "noise 6": noise(6),
    "noise 12": noise(12),
    "out of focus": each(lambda image, _: cv2.GaussianBlur(image, (0, 0), 2.0)),
    "smeared 15 px": each(lambda image, _: cv2.blur(image, (15, 1))),
    "JPEG quality 25": each(repacked),
    "gray": each(lambda image, _: image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)),
    "half the contrast": each(lambda image, _: image * 0.5 + 90),
    "mirrored": each(lambda image, _: image[:, ::-1]),
    "hand-held 4 px": shaken(4),
    "hand-held 10 px": shaken(10),
    "turned 5 degrees": mapped(5, 1.1),
    "turned 12 degrees": mapped(12, 1.25),
    "0.3 of the size": resized(0.3),
    "0.5 of the size": resized(0.5),
    "1.5 times the size": resized(1.5),
    "half the frames": thinned(lambda number: number % 2 == 0),
    "every sixth frame lost": thinned(lambda number: number % 6 != 3),
    "4 of 60 frames lost": thinned(lambda number: number % 60 < 56),
    "bar": each(barred),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("changes", nargs="*", metavar="CHANGE", help=f"any of: {', '.join(CHANGES)}")
    args = parser.parse_args()
    if unknown := [name for name in args.changes if name not in CHANGES]:
        parser.error(f"no such change: {', '.join(unknown)}; there are {', '.join(CHANGES)}")
    cv2.setNumThreads(1)
    clips = [read(args.folder, row) for row in csv.DictReader((args.folder / "ground_truth.csv").open())]
    print(f"{'change':28s} {'clip':24s} {'true':>4s} {'counted':>7s} {'twice':>5s} {'review':>6s} {'told':>6s}")
    for name in args.changes or CHANGES:
        for clip in clips:
            counted, double, reviews, told_s = count(clip, name)
            figures = f"{clip.true:4d} {counted:7d} {double:5d} {reviews:6d} {told_s:4.1f} s"
            print(f"{name:28s} {clip.name:24s} {figures}", flush=True)


def count(clip: Clue, name: str) -> tuple[int, int, int, float]:
    """`(parts, of these twice, of these for review, seconds told)` of a clip after a change."""
    frames = CHANGES[name](clip.frames)
    gate = 1 - clip.gate if name == "mirrored" and clip.axis == "x" else clip.gate
    tracker = open_tracker(calibrate(frames, gate, clip.axis).tracking)
    parts, told_s = [], 0.0
    for frame in frames:
        parts += tracker.update(frame)
        told_s += sum(lapse.to_s - lapse.from_s for lapse in tracker.lapses)
    parts += tracker.finish()
    told_s += sum(lapse.to_s - lapse.from_s for lapse in tracker.lapses)
    return len(parts), twice(parts), sum(bool(part.reason) for part in parts), told_s


if __name__ == "__main__":
    main()
