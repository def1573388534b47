"""Draw what the tracker knows at a moment of a simulated belt: docs/pictures/tracking.png.

    python -m benchmarks.draw_tracking --out docs/pictures/tracking.png

From top to bottom: the look with the gate and the parts on their way; the empty belt as learned; the evidence, carried
along with the belt; what has been handed out.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from edge.config import SimulatorSource, Tracking
from edge.domain import Image
from edge.sources.simulator import Simulator
from edge.tracking.lane import Lane
from edge.tracking.tracker import BeltTracker

BELT = SimulatorSource(width_px=320, height_px=240, part_px=56, speed_px_s=130, parts_per_minute=90, fps=25, seed=4)
MOMENTS = (("touching", 8.0), ("reverse", 11.0), ("hand", 9.0))
"""Scenario and second of each column."""
GREEN, BLUE = (0, 200, 0), (220, 60, 0)


def main() -> None:
    """Write the picture."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("docs/pictures/tracking.png"))
    given = options.parse_args()
    cv2.setNumThreads(1)
    cv2.imwrite(str(given.out), np.hstack([column(scenario, at_s) for scenario, at_s in MOMENTS]))


def column(scenario: str, at_s: float) -> Image:
    """One moment."""
    tracker = BeltTracker(Tracking())
    frames = Simulator(replace(BELT, scenario=scenario), paced=False, seconds=at_s + 8).frames(Event())
    for frame in itertools.takewhile(lambda each: each.at_s <= at_s, frames):
        tracker.update(frame)
    lane = tracker._lanes[0]
    return np.vstack([seen(frame.image, tracker), *(gray(each, frame.image.shape) for each in layers(lane))])


def seen(picture: Image, tracker: BeltTracker) -> Image:
    """The picture with the gate and the parts that are followed."""
    canvas = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    height, width = picture.shape
    cv2.line(canvas, (width // 2, 0), (width // 2, height), BLUE, 1)
    for box in tracker.outlines:
        first = round(box.left_px), round(box.top_px)
        cv2.rectangle(canvas, first, (round(first[0] + box.width_px), round(first[1] + box.height_px)), GREEN, 1)
    return np.asarray(canvas, dtype=np.uint8)


def layers(lane: Lane) -> list[Image]:
    """The empty belt, the evidence and the claims."""
    unrolled = lane._unrolled
    empty = lane._empty._flat[0]
    return [empty, np.clip(unrolled.evidence, 0, 255).astype(np.uint8), unrolled.claimed]


def gray(layer: Image, size: tuple[int, ...]) -> Image:
    """A layer as large as the picture."""
    large = cv2.resize(layer, (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.cvtColor(large, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


if __name__ == "__main__":
    main()
