"""What the benchmarks run on: simulated belts with exact truth, and real clips with a count when they are at hand."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Event

from edge import truth
from edge.config import ClipSource, SimulatorSource, Tracking
from edge.domain import Decision, Frame, Verdict
from edge.sources.clip import Clip
from edge.sources.simulation.scenario import SCENARIOS
from edge.sources.simulator import Simulator
from edge.tracking.calibrate import calibrate
from edge.truth import Comparison, Truth

GATE = 0.5
DIRECTIONS = {"right-to-left": "left", "left-to-right": "right", "top-to-bottom": "down", "bottom-to-top": "up"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Belt:
    """All frames of one belt, in memory, and what is true about it."""

    name: str
    frames: list[Frame]
    direction: str
    gate: float
    part_px: tuple[float, float]
    """About how wide and high the parts are; the peers are told."""
    truth: Truth
    tracking: Tracking
    """What ours is told: on simulated belts where the gate is, on real ones what `linegate calibrate` proposes."""

    @property
    def real(self) -> bool:
        """Whether only the number of parts is known."""
        return self.truth.parts is None

    def compare(self, crossed_s: Sequence[float]) -> Comparison:
        """Set moments of crossing against the truth."""
        verdicts = [_verdict(number, at_s) for number, at_s in enumerate(crossed_s, start=1)]
        return truth.compare(verdicts, self.truth, until_s=self.frames[-1].at_s)


def simulated(name: str, config: SimulatorSource, seconds: float) -> Belt:
    """Render one belt."""
    simulator = Simulator(config, paced=False, seconds=seconds)
    frames = list(simulator.frames(Event()))
    return Belt(
        name=name,
        frames=frames,
        direction=config.direction,
        gate=GATE,
        part_px=(config.part_px, config.part_px),
        truth=simulator.truth(GATE),
        tracking=Tracking(gate=GATE),
    )


def scenarios(seed: int, seconds: float, names: Sequence[str] = ()) -> Iterator[Belt]:
    """The simulator's scenarios with the shipped settings; all of them unless some are named."""
    for index, name in enumerate(names or SCENARIOS):
        lanes = 100.0 if name == "two-lanes" else SimulatorSource().part_px
        config = SimulatorSource(seed=seed + index, scenario=name, part_px=lanes, parts_per_minute=90.0)
        yield simulated(name, config, seconds)


def crowded(parts_per_s: float, seconds: float, *, seed: int = 1) -> Belt:
    """Two lanes of parts of 48 px at 640 px/s: as many parts in the picture as pass in a second."""
    config = SimulatorSource(
        seed=seed, speed_px_s=640.0, parts_per_minute=parts_per_s * 60.0, part_px=48.0, lanes=2, noise=3.0
    )
    return simulated(f"{parts_per_s:g} parts/s", config, seconds)


def sized(width_px: int, seconds: float, *, seed: int = 1) -> Belt:
    """The same belt with about two parts in view, seen by a finer camera."""
    finer = width_px / 640
    config = replace(SimulatorSource(), seed=seed, width_px=width_px, height_px=width_px * 3 // 4)
    config = replace(config, part_px=110.0 * finer, speed_px_s=180.0 * finer)
    return simulated(f"{width_px}×{width_px * 3 // 4}", config, seconds)


def real(folder: Path) -> Iterator[Belt]:
    """The clips that `ground_truth.csv` in this folder describes."""
    with (folder / "ground_truth.csv").open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            axis, _, share = row["line"].partition("=")
            frames = list(Clip(ClipSource(path=str(folder / row["file"]), paced=False)).frames(Event()))
            proposal = calibrate(frames, float(share), axis)
            yield Belt(
                name=Path(row["file"]).stem,
                frames=frames,
                direction=DIRECTIONS[row["direction"]],
                gate=float(share),
                part_px=proposal.part_px,
                truth=Truth(count=int(row["parts_crossing_line"])),
                tracking=proposal.tracking,
            )


def in_view(belt: Belt) -> float:
    """How many parts are in the picture on average, from the truth."""
    parts = belt.truth.parts or ()
    if len(parts) < 2:
        return float(len(parts))
    length = belt.frames[0].image.shape[1 if belt.direction in ("right", "left") else 0]
    per_s = (len(parts) - 1) / max(1e-9, parts[-1].crossed_at_s - parts[0].crossed_at_s)
    return per_s * length / max(1e-9, parts[0].speed_px_s)


def period_s(belt: Belt) -> float:
    """The time between two frames."""
    steps = sorted(after.at_s - before.at_s for before, after in pairwise(belt.frames))
    return steps[len(steps) // 2]


def _verdict(number: int, at_s: float) -> Verdict:
    return Verdict(
        number=number,
        decision=Decision.REVIEW,
        label="",
        reason="",
        score=0.5,
        limits=(0.0, 1.0),
        views=0,
        captured_at_s=at_s,
    )
