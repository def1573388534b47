"""`linegate simulate`: a clip with exact truth, or a folder of labelled crops to train on."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from pathlib import Path

if typing.TYPE_CHECKING:
    from edge.config import Config, SimulatorSource
    from edge.domain import Box

VIEWS = 3
"""Crops per part: it is seen early, in the middle and late on its way."""

JITTER = 0.04
"""How far a crop may be off its part, as a share of the part: no tracker frames perfectly."""


def add(subparsers: typing.Any) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "simulate",
        help="write a clip of a simulated belt with exact truth, or crops of its parts",
        description="Writes DIR/clip.avi and DIR/truth.json; with --crops DIR/<label>/*.png and DIR/groups.csv.",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to; made if missing")
    parser.add_argument("--config", type=Path, metavar="F", help="default: config.yaml when there is one")
    parser.add_argument(
        "--seed", type=_natural, metavar="N", help="another seed is another story (default: configured)"
    )
    parser.add_argument("--scenario", metavar="NAME", help="clean, touching, flicker, … (default: configured)")
    parser.add_argument("--seconds", type=_positive, default=20.0, metavar="N", help="length of the clip (default: 20)")
    parser.add_argument("--crops", type=_count, metavar="N", help="write crops of N parts instead of a clip")
    parser.add_argument(
        "--balanced",
        action=argparse.BooleanOptionalAction,
        help="every second part good, the defects in turn (default: with --crops)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do it; raises `ConfigError`, `SourceError`, and `OSError` for a folder that cannot be written to."""
    config = _config(args)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.crops is not None:
        _write_crops(args.out, config, args.crops, args.balanced is not False)
    else:
        _write_clip(args.out, config, args.seconds, args.balanced is True)
    return 0


def _config(args: argparse.Namespace) -> Config:
    from edge.commands.settings import find_config

    config, _ = find_config(args.config)
    belt = config.source.simulator
    if args.scenario is not None:
        belt = dataclasses.replace(belt, scenario=_scenario(args.scenario))
    if args.seed is not None:
        belt = dataclasses.replace(belt, seed=args.seed)
    return dataclasses.replace(config, source=dataclasses.replace(config.source, simulator=belt))


def _scenario(name: str) -> str:
    from edge.domain import SourceError
    from edge.sources.simulation.scenario import SCENARIOS

    if name not in SCENARIOS:
        raise SourceError(f"--scenario: is {name!r}; allowed: {', '.join(SCENARIOS)}")
    return name


def _write_clip(folder: Path, config: Config, seconds: float, balanced: bool) -> None:
    """Motion JPEG at the configured rate; where a frame was lost the one before it stands, as recorders do."""
    from threading import Event

    import cv2

    from edge import truth
    from edge.sources.simulator import Simulator

    belt = config.source.simulator
    simulator = Simulator(belt, paced=False, seconds=seconds, balanced=balanced)
    path = folder / "clip.avi"
    path.write_bytes(b"")  # so that a folder that cannot be written to is named by the system, not by the encoder
    size = belt.width_px, belt.height_px
    clip = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), belt.fps, size, isColor=False)
    if not clip.isOpened():
        raise OSError(None, "this OpenCV cannot write motion JPEG", str(path))
    clip.set(cv2.VIDEOWRITER_PROP_QUALITY, 95)
    written, last = 0, None
    total = int(seconds * belt.fps) + 1
    for frame in simulator.frames(Event()):
        while last is not None and written < frame.index:
            clip.write(last)
            written += 1
        clip.write(frame.image)
        written, last = frame.index + 1, frame.image
        _progress("frame", written, total)
    clip.release()
    found = simulator.truth(config.tracking.gate)
    truth.write(folder / "truth.json", found, _about(belt, written))
    print(f"{path}: {written} frames, {found.count} parts; truth in {folder / 'truth.json'}")


def _about(belt: SimulatorSource, frames: int) -> dict[str, typing.Any]:
    return {"clip": "clip.avi", "frames": frames, "simulator": dataclasses.asdict(belt)}


def _write_crops(folder: Path, config: Config, parts: int, balanced: bool) -> None:
    import csv

    import cv2

    from edge.sources.simulator import Simulator
    from edge.tracking.views import square_crop

    simulator = Simulator(config.source.simulator, paced=False, parts=parts, balanced=balanced)
    rows = []
    for placement in simulator.story():
        group = f"part{placement.number:05d}"
        (folder / placement.label).mkdir(exist_ok=True)
        for view in range(VIEWS):
            index = simulator.index_at(placement, (view + 1) / (VIEWS + 1))
            box = next(box for shown, box in simulator.boxes(index) if shown.number == placement.number)
            crop = square_crop(simulator.picture(index), _jittered(box, placement.seed, view), config.tracking.margin)
            name = f"{group}-{view + 1}.png"
            path = folder / placement.label / name
            if not cv2.imwrite(str(path), crop):
                raise OSError(None, "the picture could not be written", str(path))
            rows.append((group, placement.label, name))
        _progress("part", placement.number, parts)
    with (folder / "groups.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("group", "label", "file"))
        table.writerows(rows)
    print(f"{folder}: {len(rows)} crops of {parts} parts; groups.csv says which crops show the same part")


def _jittered(box: Box, seed: tuple[int, int], view: int) -> Box:
    from numpy.random import PCG64, Generator

    rng = Generator(PCG64([*seed, 3, view]))
    reach = JITTER * max(box.width_px, box.height_px)
    right, down = (float(each) for each in rng.uniform(-reach, reach, 2))
    return dataclasses.replace(box, left_px=box.left_px + right, top_px=box.top_px + down)


def _progress(what: str, done: int, total: int) -> None:
    """One line that is rewritten on a terminal, and one line per tenth in a log."""
    end = "\n" if done == total else "\r"
    if sys.stderr.isatty() or done * 10 // total > (done - 1) * 10 // total:
        print(f"{what} {done} of {total}", end=end if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def _count(text: str) -> int:
    if not 1 <= (value := _natural(text)) <= 1_000_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1000000")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**31:
        raise argparse.ArgumentTypeError("must be a whole number from 0 to 2147483647")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise argparse.ArgumentTypeError("must be more than 0 and at most 86400")
    return value
