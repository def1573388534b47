"""Which simulated part lies where on the belt: a fixed story for every seed."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from numpy.random import PCG64, Generator

from edge.config import SimulatorSource
from edge.sources.simulation.defects import DEFECTS
from edge.sources.simulation.scenario import scenario_of

LEAD_S = 0.5
"""The belt is empty for so long before the first part can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One part on the belt."""

    number: int
    label: str
    along_px: float
    """The belt must travel so far until the part's centre is at the picture's edge."""
    across_px: float
    lane: int
    diameter_px: float
    seed: tuple[int, int]

    def rng(self) -> Generator:
        """What decides how the part looks in detail."""
        return Generator(PCG64([*self.seed, 2]))


def placements(config: SimulatorSource, across_px: int, balanced: bool) -> Iterator[Placement]:
    """Parts in the order in which they arrive, without end. `balanced`: every second one good, the defects in turn."""
    lanes = max(config.lanes, scenario_of(config).lanes)
    streams = (_lane(config, lane, lanes) for lane in range(lanes))
    for number, (along_px, lane) in enumerate(heapq.merge(*streams), start=1):
        rng = Generator(PCG64([config.seed, number, 1]))
        play = max(0.0, min(0.06 * across_px, (across_px / lanes - 1.06 * config.part_px) / 2))
        yield Placement(
            number=number,
            label=_balanced(number) if balanced else _drawn(config, rng),
            along_px=along_px,
            across_px=across_px * (lane + 0.5) / lanes + play * float(rng.uniform(-1, 1)),
            lane=lane,
            diameter_px=config.part_px * float(rng.uniform(0.985, 1.015)),
            seed=(config.seed, number),
        )


def _drawn(config: SimulatorSource, rng: Generator) -> str:
    kind = list(DEFECTS)[int(rng.integers(len(DEFECTS)))]
    return kind if rng.random() < config.defect_share else "ok"


def _balanced(number: int) -> str:
    turn, bad = divmod(number, 2)
    return "ok" if bad else list(DEFECTS)[turn % len(DEFECTS)]


def _lane(config: SimulatorSource, lane: int, lanes: int) -> Iterator[tuple[float, int]]:
    rng = Generator(PCG64([config.seed, lane, 0]))
    low, high = _spacing(config, lanes)
    along = config.part_px * 0.75 + config.speed_px_s * LEAD_S
    if lanes > 1:
        along += float(rng.uniform(0, high - 0.5 * low))
    for _ in itertools.count():
        yield along, lane
        along += float(rng.uniform(low, high))


def _spacing(config: SimulatorSource, lanes: int) -> tuple[float, float]:
    """Smallest and largest distance between the centres of two parts in one lane."""
    fixed = scenario_of(config).spacing
    if fixed:
        return fixed[0] * config.part_px, fixed[1] * config.part_px
    mean = max(config.speed_px_s * 60 * lanes / config.parts_per_minute, 1.12 * config.part_px)
    low = min(mean, max(1.12 * config.part_px, 0.35 * mean))
    return low, 2 * mean - low
