"""Count real clips the way the product does (calibrate, then track) and set the counts against the truth.

    python benchmarks/count_clips.py DATA/clips              the table
    python benchmarks/count_clips.py DATA/clips --vary 0.2   the same with every single threshold 20 % up and down

DATA/clips holds the clips and `ground_truth.csv` with the columns `file`, `line` and `parts_crossing_line`.
"""

from __future__ import annotations

import argparse
import ast
import csv
import importlib
import inspect
import pkgutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Event
from types import ModuleType

import cv2

import edge.tracking
from edge.config import ClipSource, Tracking
from edge.domain import Frame, Part
from edge.sources.clip import Clip
from edge.tracking import calibrate as calibration
from edge.tracking import open_tracker

NO_THRESHOLDS = {
    "motion.BANDS", "motion.LAGS", "pace.MOST_COLUMNS", "pace.MOST_GUESSES", "learning.PICKED", "learning.KEPT_BYTES",
    "learning.KEPT_LOOKS_BYTES", "path.LOOKS", "gallery.COARSE", "gallery.VIEW_LOOKS", "unrolled.CLAIMS_KEPT",
    "sightings.NEIGHBOURS", "necks.LEVELS", "views.PORTRAIT_PX", "views.ROOM_PX", "pattern.MOST", "lane.LONGEST_S",
    "tracker.TOLD_S",
}  # fmt: skip
"""Numbers that say how much is kept, how fine something is or how often it is told, not what is decided."""


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
    proposals = proposed(clips)
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
    parts = [part for frame in clip.frames for part in following.update(frame)] + following.finish()
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
    names = [each.name for each in pkgutil.iter_modules(edge.tracking.__path__, "edge.tracking.")]
    modules = [importlib.import_module(each) for each in names]
    for module, name in thresholds(modules):
        for factor in (1 - share, 1 + share):
            with changed(modules, module, name, factor):
                anew = proposed(clips) if module is calibration else proposals
                counts = [(clip, len(count(clip, anew[clip.name])[0])) for clip in clips]
            wrong = [f"{clip.name} {found}/{clip.true}" for clip, found in counts if found != clip.true]
            print(f"{label(module, name)} x {factor:g}".ljust(40), ", ".join(wrong) or "all exact", flush=True)
    for clip in clips:
        usual = proposals[clip.name]
        for name in ("part_min_px", "speed_px_s"):
            for factor in (1 - share, 1 + share):
                found = len(count(clip, replace(usual, **{name: getattr(usual, name) * factor}))[0])
                if found != clip.true:
                    print(f"config {name} x {factor:g}: {clip.name} {found}/{clip.true}", flush=True)


def proposed(clips: list[Clue]) -> dict[str, Tracking]:
    """What calibrating proposes for each clip."""
    return {clip.name: calibration.calibrate(clip.frames, clip.gate, clip.axis).tracking for clip in clips}


def label(module: ModuleType, name: str) -> str:
    """The short name of a threshold."""
    return f"{module.__name__.rpartition('.')[2]}.{name}"


def thresholds(modules: list[ModuleType]) -> Iterator[tuple[ModuleType, str]]:
    """Every number that a module of the tracker names in capitals, where it is defined."""
    for module in modules:
        for name in defined(ast.parse(inspect.getsource(module))):
            value = getattr(module, name)
            numbers = value if isinstance(value, tuple) else (value,)
            if (
                name.isupper()
                and label(module, name) not in NO_THRESHOLDS
                and all(type(each) in (int, float) for each in numbers)
            ):
                yield module, name


def defined(code: ast.Module) -> Iterator[str]:
    """The names that are assigned at the top of a module, one by one."""
    for statement in code.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))


@contextmanager
def changed(modules: list[ModuleType], module: ModuleType, name: str, factor: float) -> Iterator[None]:
    """The threshold changed wherever it was imported to; whole numbers stay whole and move by at least one."""
    usual = getattr(module, name)
    users = [module, *(each for each in modules if imports(each, module, name))]
    for each in users:
        setattr(each, name, scaled(usual, factor))
    try:
        yield
    finally:
        for each in users:
            setattr(each, name, usual)


def imports(user: ModuleType, module: ModuleType, name: str) -> bool:
    """Whether `user` has this name from that module."""
    return any(
        isinstance(statement, ast.ImportFrom)
        and statement.module == module.__name__
        and name in (each.name for each in statement.names)
        for statement in ast.parse(inspect.getsource(user)).body
    )


def scaled(value: object, factor: float) -> object:
    if isinstance(value, tuple):
        return tuple(scaled(each, factor) for each in value)
    if isinstance(value, int):
        step = round(value * factor)
        return step if step != value else value + (1 if factor > 1 else -1)
    assert isinstance(value, float)
    return value * factor


if __name__ == "__main__":
    main()
