"""Thousands of simulated parts past the tracker, in every scenario, on belts that are drawn anew each time.

    python -m tests.soak.belts --parts 10000           all scenarios; the seed is drawn and printed
    python -m tests.soak.belts --scenarios hand --seed 7 --verbose

Every part that is reported is set against the truth by its place on the belt, not by time. A true part that crossed
the gate is found, or something at its place was left to a person, or it is missed. A part that a hand took away may
come out for review.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from threading import Event

import cv2

from edge.config import SimulatorSource, Tracking
from edge.domain import Lapse, Part
from edge.sources.simulation.scenario import SCENARIOS
from edge.sources.simulation.schedule import Placement
from edge.sources.simulator import Simulator
from edge.tracking import open_tracker
from edge.tracking.measure import SEVERAL, TOO_LARGE

NEAR = 0.6
"""A report is about a part when it is no farther from it than this share of the part, either way."""
BESIDE = 0.75
"""A report for review so near along the belt, that is about no other part, tells of a part that was not found itself:
several at once, or a part under something. One that says that it may be several parts tells of its neighbours too."""
GATE = 0.5
ON_GATE_PX = 1.0
"""A part whose centre was nearer than this to the gate in the very first look may or may not be counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belt:
    """One drawn belt, and for how long it runs."""

    config: SimulatorSource
    seconds: float


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the parts."""

    parts: int = 0
    found: int = 0
    """Reported, and by nothing but one report."""
    review: int = 0
    """Of the found, with a reason to leave them to a person."""
    told: int = 0
    """Not found itself, but something at its place was left to a person, or an event tells of the time it crossed."""
    missed: int = 0
    """Not found, and nothing was said."""
    duplicates: int = 0
    phantoms: int = 0
    seconds: float = 0.0
    unseen_s: float = 0.0
    """For so long an event said that parts may have passed unfollowed."""
    frames: int = 0
    cpu_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Sum everything up."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def faults(self) -> int:
        """What must not happen."""
        return self.missed + self.duplicates + self.phantoms


def drawn(scenario: str, seed: int, parts: int = 30) -> Belt:
    """A belt of this scenario; about so many parts pass."""
    chance = random.Random(f"{scenario} {seed}")
    scale = chance.choice([0.5, 0.5, 0.5, 1.0])
    lanes = SCENARIOS[scenario].lanes
    direction = chance.choice(["right", "left", "down", "up"])
    part_px = chance.uniform(70, 120) * scale * (0.85 if lanes > 1 else 1.0)
    slow = scenario in ("speeds", "wrong-speed")
    speed_px_s = chance.uniform(100, 200 if slow else 450) * scale
    gap = chance.uniform(1.3, 3.0)
    config = SimulatorSource(
        width_px=round(640 * scale), height_px=round(480 * scale), fps=chance.choice([20.0, 25.0, 30.0, 50.0]),
        seed=chance.randrange(2**31), speed_px_s=speed_px_s, part_px=part_px, direction=direction,
        parts_per_minute=60 * lanes * speed_px_s / (gap * part_px), defect_share=0.4,
        noise=chance.uniform(1, 5), vibration_px=chance.uniform(0, 1), lighting=chance.uniform(0, 0.15),
        scenario=scenario,
    )  # fmt: skip
    story = Simulator(config, paced=False, parts=parts)
    return Belt(config=config, seconds=min(240.0, story.lasts_s))


def run(belt: Belt, verbose: bool = False) -> Tally:
    """Follow one belt to its end and count."""
    config = belt.config
    simulator = Simulator(config, paced=False, seconds=belt.seconds)
    tracker = open_tracker(Tracking(gate=GATE, speed_px_s=config.speed_px_s))
    reports: list[Part] = []
    lapses: list[Lapse] = []
    tally = Tally()
    for frame in simulator.frames(Event()):
        began = time.process_time()
        reports += tracker.update(frame)
        tally.cpu_s += time.process_time() - began
        lapses += tracker.lapses
        tally.frames += 1
    reports += tracker.finish()
    lapses += tracker.lapses
    _set_against(simulator, config, reports, lapses, tally)
    tally.seconds += belt.seconds
    if verbose and tally.wrong:
        print(belt, *tally.wrong, sep="\n  ")
    return tally


def _set_against(
    simulator: Simulator, config: SimulatorSource, reports: Sequence[Part], lapses: Sequence[Lapse], tally: Tally
) -> None:
    truth = {part.number: part for part in simulator.truth(GATE).parts or ()}
    belt = _Places(simulator, config)
    owners: dict[int, list[Part]] = {}
    strays: list[Part] = []
    for report in reports:
        owner = belt.owner(report)
        gone = owner is not None and owner.number not in truth
        if owner is None or (gone and not report.reason):
            strays.append(report)
        else:
            owners.setdefault(owner.number, []).append(report)
    tally.parts = len(truth)
    tally.unseen_s += sum(each.to_s - each.from_s for each in lapses)
    for number, part in truth.items():
        if number in owners:
            tally.found += 1
            tally.review += all(bool(report.reason) for report in owners[number])
            continue
        if part.crossed_at_s * part.speed_px_s < ON_GATE_PX:
            tally.parts -= 1
            continue
        told = [each for each in strays if each.reason and belt.is_beside(each, number)][:1]
        of_several = [each for each in reports if each.reason in (SEVERAL, TOO_LARGE) and belt.is_beside(each, number)]
        lapsed = any(each.from_s <= part.crossed_at_s <= each.to_s for each in lapses)
        if told or of_several or lapsed:
            strays = [each for each in strays if not any(each is one for one in told)]
            tally.told += 1
        else:
            tally.missed += 1
            tally.wrong.append(
                f"part {number} missed: crossed at {part.crossed_at_s:.2f} s, across {part.across_px:.0f}"
            )
    for number, found in owners.items():
        tally.duplicates += len(found) - 1
        if len(found) > 1:
            tally.wrong.append(f"part {number} twice: {[(round(each.at_s, 2), each.reason) for each in found]}")
    tally.phantoms += len(strays)
    tally.wrong += [f"phantom at {each.at_s:.2f} s, {each.center_px}, {each.reason!r}" for each in strays]


class _Places:
    """Where on the belt everything lies, so that stops and reversals do not matter."""

    def __init__(self, simulator: Simulator, config: SimulatorSource) -> None:
        self._simulator, self._config = simulator, config
        self._upright = config.direction in ("up", "down")
        self._along_px = config.height_px if self._upright else config.width_px
        self._across_px = config.width_px if self._upright else config.height_px
        self._story: list[Placement] = list(simulator.story())

    def owner(self, report: Part) -> Placement | None:
        """The part that a report is about."""
        near = [(self._off(report, each), each) for each in self._story]
        off, nearest = min(near, key=lambda pair: pair[0], default=(1e9, None))
        return nearest if off < NEAR else None

    def is_beside(self, report: Part, number: int) -> bool:
        """Whether a report is about something at this part's place along the belt, wherever across it."""
        placement = next(each for each in self._story if each.number == number)
        return self._off_along(report, placement) < BESIDE * placement.diameter_px

    def _off(self, report: Part, placement: Placement) -> float:
        """How far a report is from a part, in parts, the larger of along and across."""
        x, y = report.center_px
        across = {"right": y, "left": self._across_px - y, "up": x, "down": self._across_px - x}[self._config.direction]
        off_px = max(self._off_along(report, placement), abs(across - placement.across_px))
        return off_px / placement.diameter_px

    def _off_along(self, report: Part, placement: Placement) -> float:
        gate_px = (1 - GATE if self._config.direction in ("left", "up") else GATE) * self._along_px
        way_px = self._along_px - gate_px if placement.backward else gate_px
        place_px = self._simulator.travelled_px(report.at_s) + report.ahead_px
        return abs(place_px - placement.along_px - way_px)


def soak(names: Sequence[str], parts: int, seed: int, verbose: bool = False) -> Iterator[tuple[str, Tally]]:
    """Belts of each scenario until about so many parts have passed in all."""
    for name in names:
        tally, turn = Tally(), 0
        while tally.parts < parts / len(names):
            tally.add(run(drawn(name, seed + turn), verbose))
            turn += 1
        yield name, tally


def main() -> None:
    """One line for each scenario; exit code 1 when a part was lost, doubled or invented."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--parts", type=int, default=10000)
    options.add_argument("--seed", type=int, default=None, help="drawn and printed when it is not given")
    options.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=list(SCENARIOS))
    options.add_argument("--verbose", action="store_true", help="say what went wrong, and on which belt")
    given = options.parse_args()
    cv2.setNumThreads(1)
    seed = random.SystemRandom().randrange(2**20) if given.seed is None else given.seed
    print(f"seed {seed}")
    columns = ("parts", "missed", "duplicates", "phantoms", "review", "told", "frames")
    print(f"| {'scenario':12} | " + " | ".join(columns) + " | ms/frame |")
    print("|---|" + "---|" * (len(columns) + 1))
    total = Tally()
    for name, tally in soak(given.scenarios, given.parts, seed, given.verbose):
        total.add(tally)
        _tell(name, tally, columns)
    _tell("all", total, columns)
    raise SystemExit(1 if total.faults else 0)


def _tell(name: str, tally: Tally, columns: Sequence[str]) -> None:
    cells = " | ".join(f"{getattr(tally, each):{len(each)}d}" for each in columns)
    print(f"| {name:12} | {cells} | {1000 * tally.cpu_s / max(1, tally.frames):8.2f} |", flush=True)


if __name__ == "__main__":
    main()
