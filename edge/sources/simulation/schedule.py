"""Which simulated part lies where on the belt: a fixed story for every seed."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from numpy.random import PCG64, Generator

from edge.config import SimulatorSource
from edge.sources.simulation.defects import DEFECTS
from edge.sources.simulation.scenario import scenario_of

PUSHED, BEYOND = 3, 5
"""Where parts come sideways, every so manieth is pushed in from the side, and lies partly beyond the picture's edge."""
PUSHED_UNTIL = 0.3
"""A part that is pushed in has reached its place after this share of the picture."""
TAKEN = 6
"""Where a hand takes parts, it takes every so manieth."""


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
    backward: bool = False
    """Whether its lane runs the other way."""
    pushed_px: float = 0.0
    """So far beside its place it enters the picture."""
    taken_at: float | None = None
    """The share of the picture at which a hand takes it away."""

    def across_at(self, share: float) -> float:
        """Where its centre is across the belt after this share of its way through the picture."""
        return self.across_px + self.pushed_px * min(1.0, max(0.0, 1 - share / PUSHED_UNTIL))

    def rng(self) -> Generator:
        """What decides how the part looks in detail."""
        return Generator(PCG64([*self.seed, 2]))


def placements(config: SimulatorSource, along_px: int, across_px: int, balanced: bool) -> Iterator[Placement]:
    """Parts in the order in which they arrive, without end. `balanced`: every second one good, the defects in turn."""
    scenario = scenario_of(config)
    lanes = max(config.lanes, scenario.lanes)
    streams = (_lane(config, lane, lanes, along_px) for lane in range(lanes))
    for number, (place_px, lane) in enumerate(heapq.merge(*streams), start=1):
        rng = Generator(PCG64([config.seed, number, 1]))
        play = max(0.0, min(0.06 * across_px, (across_px / lanes - 1.06 * config.part_px) / 2))
        label = _balanced(number) if balanced else _drawn(config, rng)
        across = across_px * (lane + 0.5) / lanes + play * float(rng.uniform(-1, 1))
        near_edge = -across if across < across_px / 2 else across_px - across
        pushed_px = 0.0
        if scenario.sideways and number % BEYOND == 0:
            across += near_edge - math.copysign(config.part_px * float(rng.uniform(0.1, 0.4)), near_edge)
        elif scenario.sideways and number % PUSHED == 0:
            pushed_px = near_edge + math.copysign(0.6 * config.part_px, near_edge)
        is_taken = scenario.hand == "taking" and number % TAKEN == TAKEN - 1
        yield Placement(
            number=number,
            label=label,
            along_px=place_px,
            across_px=across,
            lane=lane,
            diameter_px=config.part_px * float(rng.uniform(0.985, 1.015)),
            seed=(config.seed, number),
            backward=scenario.opposed and lane % 2 == 1,
            pushed_px=pushed_px,
            taken_at=float(rng.uniform(0.15, 0.38)) if is_taken else None,
        )


def _drawn(config: SimulatorSource, rng: Generator) -> str:
    kind = list(DEFECTS)[int(rng.integers(len(DEFECTS)))]
    return kind if rng.random() < config.defect_share else "ok"


def _balanced(number: int) -> str:
    turn, bad = divmod(number, 2)
    return "ok" if bad else list(DEFECTS)[turn % len(DEFECTS)]


def _lane(config: SimulatorSource, lane: int, lanes: int, along_px: int) -> Iterator[tuple[float, int]]:
    rng = Generator(PCG64([config.seed, lane, 0]))
    scenario = scenario_of(config)
    low, high = _spacing(config, lanes)
    along = config.part_px * 0.75
    along += config.speed_px_s * scenario.lead_s if scenario.lead_s is not None else -along_px
    if lanes > 1:
        along += float(rng.uniform(0, high - 0.5 * low))
    for count in itertools.count(1):
        yield along, lane
        along += float(rng.uniform(low, high))
        if scenario.rest and count % scenario.rest[0] == 0:
            along += config.speed_px_s * scenario.rest[1]


def _spacing(config: SimulatorSource, lanes: int) -> tuple[float, float]:
    """Smallest and largest distance between the centres of two parts in one lane."""
    fixed = scenario_of(config).spacing
    if fixed:
        return fixed[0] * config.part_px, fixed[1] * config.part_px
    mean = max(config.speed_px_s * 60 * lanes / config.parts_per_minute, 1.12 * config.part_px)
    low = min(mean, max(1.12 * config.part_px, 0.35 * mean))
    return low, 2 * mean - low
