"""Count real clips the way the product does (calibrate, then track) and set the counts against the truth.

    python benchmarks/count_clips.py DATA/clips              the table
    python benchmarks/count_clips.py DATA/clips --vary 0.2   the same with every single threshold 20 % up and down

DATA/clips holds the clips and `ground_truth.csv` with the columns `file`, `line` and `parts_crossing_line`.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from types import ModuleType

import cv2

from edge.config import ClipSource, Tracking
from edge.domain import Frame, Part
from edge.sources.clip import Clip
from edge.tracking import (
    background,
    blobs,
    hidden,
    lane,
    learning,
    measure,
    motion,
    open_tracker,
    pattern,
    sight,
    sightings,
    tracker,
    unrolled,
    views,
)
from edge.tracking.calibrate import calibrate

THRESHOLDS: list[tuple[ModuleType, str]] = [
    *((background, name) for name in ("FAINT", "PLAIN", "QUIET", "RATE", "DOUBTFUL", "SCENERY", "SPREAD_OF_QUANTILE")),
    *(
        (blobs, name)
        for name in (
            "LITTLE",
            "MUCH",
            "OWN",
            "NECK",
            "DEEP_NECK",
            "LUMP",
            "CRUMB",
            "THIN",
            "HOLE",
            "ALIKE",
            "ROW",
            "SURELY_SEVERAL",
        )
    ),
    *((unrolled, name) for name in ("MEMORY", "FIRST")),
    *((sightings, name) for name in ("PROVEN", "STUCK", "PATIENCE", "FEWEST_LOOKS", "NEIGHBOURLY", "ABOUT")),
    *((motion, name) for name in ("NOTICED", "KEY_PX", "MOST_COLUMNS", "FEW_CHANGES", "FADE")),
    *((motion, name) for name in ("FAR_ENOUGH_PX", "CLEAR", "SWITCH", "SPEAKS", "GOES_ON", "HALTS")),
    *((background, name) for name in ("RECURS", "ALIKE", "CARRIED")),
    *((learning, name) for name in ("SURE_SCORE", "SURE_MARGIN", "TRAVEL", "AGREED", "SAME_SPEED", "COARSEST")),
    *((learning, name) for name in ("AGREED_LOOKS", "AGREED_S", "CONFIRMED")),
    *((hidden, name) for name in ("SHOWS", "REMEMBERED", "WIDEST", "PASSED", "SELDOM", "EVERY")),
    *((lane, name) for name in ("STEP", "WAIT", "CUT_OFF", "DOUBTED", "SURE", "UNSURE", "LONGEST_S")),
    *((lane, name) for name in ("ONE_STEP", "TWO_STEPS", "PIECE", "LEAST_COVER")),
    *((measure, name) for name in ("UNIFORM", "HUGE", "LARGE", "QUARTER", "LIKE")),
    *((pattern, name) for name in ("AGREE", "FITS", "EXPLAINED", "CROWDED")),
    *((sightings, name) for name in ("FIRM", "STEADY", "ENTRY", "LOOSE", "SLIPS", "STANDS")),
    (views, "SAME"),
    (sight, "LONG_SIDE_PX"),
]
USERS = (
    background,
    blobs,
    hidden,
    lane,
    learning,
    measure,
    motion,
    pattern,
    sight,
    sightings,
    tracker,
    unrolled,
    views,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """One clip: its frames, where the line is, and how many parts cross it."""

    name: str
    frames: list[Frame]
    axis: str
    gate: float
    true: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vary", type=float, default=0.0, help="also change every single threshold by this share")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    clips = [read(args.folder, row) for row in csv.DictReader((args.folder / "ground_truth.csv").open())]
    proposals = {clip.name: calibrate(clip.frames, clip.gate, clip.axis).tracking for clip in clips}
    print(f"{'clip':28s} {'true':>4s} {'counted':>7s} {'twice':>5s} {'review':>6s} {'ms/frame':>8s}")
    for clip in clips:
        parts, cost_ms = count(clip, proposals[clip.name])
        reviews = sum(bool(part.reason) for part in parts)
        print(f"{clip.name:28s} {clip.true:4d} {len(parts):7d} {twice(parts):5d} {reviews:6d} {cost_ms:8.2f}")
    if args.vary:
        vary(clips, proposals, args.vary)


def read(folder: Path, row: dict[str, str]) -> Clue:
    clip = Clip(ClipSource(path=str(folder / row["file"]), paced=False))
    axis, _, share = row["line"].partition("=")
    return Clue(
        name=row["file"],
        frames=list(clip.frames(Event())),
        axis=axis,
        gate=float(share),
        true=int(row["parts_crossing_line"]),
    )


def count(clip: Clue, tracking: Tracking) -> tuple[list[Part], float]:
    """The parts, and the CPU time per frame in ms."""
    following = open_tracker(tracking)
    begin = time.process_time()
    parts = [part for frame in clip.frames for part in following.update(frame)]
    return parts, (time.process_time() - begin) * 1000 / len(clip.frames)


def twice(parts: list[Part]) -> int:
    """Parts that came so soon after another that they can only be the same one: nearer than its own half length."""
    found = 0
    for before, after in pairwise(parts):
        if before.views and after.views:
            box, other = before.views[0].box, after.views[0].box
            apart = (after.at_s - before.at_s) * max(1.0, before.speed_px_s)
            beside = abs(box.center_px[1] - other.center_px[1]) > 0.5 * box.height_px
            found += apart < 0.5 * min(box.width_px, other.width_px) and not beside
    return found


def vary(clips: list[Clue], proposals: dict[str, Tracking], share: float) -> None:
    """Every single threshold of the tracker, and the calibrated values, down and up."""
    for module, name in THRESHOLDS:
        for factor in (1 - share, 1 + share):
            with changed(module, name, factor):
                wrong = []
                for clip in clips:
                    found = len(count(clip, proposals[clip.name])[0])
                    if found != clip.true:
                        wrong.append(f"{clip.name} {found}/{clip.true}")
            label = f"{module.__name__.rpartition('.')[2]}.{name} x {factor:g}"
            print(f"{label:40s} {', '.join(wrong) or 'all exact'}", flush=True)
    for clip in clips:
        tracking = proposals[clip.name]
        for name in ("part_min_px", "speed_px_s"):
            for factor in (1 - share, 1 + share):
                found = len(count(clip, replace(tracking, **{name: getattr(tracking, name) * factor}))[0])
                if found != clip.true:
                    print(f"config {name} x {factor:g}: {clip.name} {found}/{clip.true}", flush=True)


@contextmanager
def changed(module: ModuleType, name: str, factor: float) -> Iterator[None]:
    """The threshold changed wherever it was imported to; whole numbers stay whole and move by at least one."""
    usual = getattr(module, name)
    users = [each for each in USERS if getattr(each, name, None) is usual]
    for each in users:
        setattr(each, name, scaled(usual, factor))
    try:
        yield
    finally:
        for each in users:
            setattr(each, name, usual)


def scaled(value: object, factor: float) -> object:
    if isinstance(value, tuple):
        return tuple(each * factor for each in value)
    if isinstance(value, int):
        step = round(value * factor)
        return step if step != value else value + (1 if factor > 1 else -1)
    assert isinstance(value, float)
    return value * factor


if __name__ == "__main__":
    main()
