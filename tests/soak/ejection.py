"""Thousands of parts past a reject gate on a virtual clock: belts that stop and run back, processing that stutters.

The judge of it all is the simulated world: a pulse blows at one spot of the belt, and whatever lies there is gone.
"""

from __future__ import annotations

import argparse
import bisect
import heapq
import itertools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gpiozero.pins.mock import MockFactory

from edge import config
from edge.belt import Belt, Clockwork, EncoderBelt, TrackedBelt
from edge.domain import Decision, Part, Verdict
from edge.sinks.reject import RejectOutput

TICK_S = 0.001
PIN, STOP_PIN = 17, 27
MOST_S = 0.6
"""So long may processing take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line and how it is treated."""

    follow: str
    """encoder, tracker or time."""
    parts: int = 600
    speed_px_s: float = 600.0
    pitch_px: tuple[float, float] = (30.0, 90.0)
    way_px: float = 1000.0
    fps: float = 60.0
    stops: bool = True
    reverses: bool = True
    stutter: float = 0.01
    """Share of frames whose processing takes up to 0.6 s, besides each verdict's own 0 to 0.6 s."""
    drives: str = "reject"
    px_per_pulse: float = 2.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of the parts."""

    parts: int = 0
    driven: int = 0
    """Parts that were to be pulsed for."""
    hit: int = 0
    """Of those, pulsed for."""
    told: int = 0
    """Of those, told to be late."""
    lost: int = 0
    """Of those, neither."""
    doubted: int = 0
    """Of those told, with a verdict that had come in time: nobody knew well enough where the belt was."""
    unsure: int = 0
    """Pulsed for, and yet told to be late, because the pulse may have missed."""
    wrong: list[int] = field(default_factory=list)
    """Parts that a pulse hit and should not have."""
    stopped: bool = False

    def __str__(self) -> str:
        return (
            f"{self.parts} parts, {self.driven} to be pulsed for: {self.hit} were ({self.unsure} unsure), "
            f"{self.told} told late ({self.doubted} with a verdict in time), {self.lost} lost; {len(self.wrong)} wrong"
        )


class Way:
    """How far the belt has come at each tick: runs, slows down, stops, runs back, never harsher than it can brake."""

    def __init__(self, case: Case, length_px: float, chance: random.Random, brake_s: float) -> None:
        self.px = [0.0]
        farthest, share = 0.0, 1.0
        while self.px[-1] < length_px:
            target, hold_s = 1.0, chance.uniform(0.5, 6.0)
            kind = chance.random()
            if case.stops and kind < 0.35:
                target, hold_s = 0.0, chance.uniform(0.05, 3.0)
            elif case.reverses and 0.35 <= kind < 0.5 and farthest - self.px[-1] < 100:
                target, hold_s = chance.uniform(-0.6, -0.2), chance.uniform(0.1, 0.6)
            elif case.stops:
                target = chance.uniform(0.3, 1.0)
            ramp_s = brake_s * abs(target - share) * chance.uniform(1.0, 3.0)
            for step in range(max(1, int((ramp_s + hold_s) / TICK_S))):
                now = target if step * TICK_S >= ramp_s else share + (target - share) * step * TICK_S / ramp_s
                self.px.append(self.px[-1] + now * case.speed_px_s * TICK_S)
            share = target
            farthest = max(farthest, self.px[-1])


class World:
    """Belt, camera, inspecting thread and gate, one tick after the other."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self.chance = case, random.Random(seed)
        self.now_s = 0.0
        self.places_px, px = [], 1000.0
        for _ in range(case.parts):
            px += self.chance.uniform(*case.pitch_px)
            self.places_px.append(px)
        self.decisions = self.chance.choices(
            (Decision.PASS, Decision.REJECT, Decision.REVIEW), (0.7, 0.2, 0.1), k=case.parts
        )
        self.settings = config.Reject(
            pin=PIN, drives=case.drives, distance_px=case.way_px, pulse_s=0.015, tolerance_s=0.01, belt_stop_s=0.3,
            stop_pin=STOP_PIN,
        )  # fmt: skip
        self.way = Way(case, px + case.way_px + 2 * case.speed_px_s, self.chance, self.settings.belt_stop_s)
        self.factory = MockFactory()
        self.tracked = TrackedBelt(self.settings.belt_stop_s)
        self.belt = self._belt()
        self.late: set[int] = set()
        self.output = RejectOutput(
            self.settings, self.belt, on_late=lambda verdict, _why: self.late.add(verdict.number - 1),
            clock=lambda: self.now_s, factory=self.factory,
        )  # fmt: skip
        self.hits: set[int] = set()
        self._in_time: set[int] = set()
        self.outcome = Outcome(parts=case.parts)
        self._next_step_s = 0.0
        self._pulses = 0
        self._settled = 0
        self._told_s: list[float] = []
        self._before = 0.0, 0.0
        self._box: list[tuple[float, float]] = []
        self._stages: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free_s = 0.0

    def _belt(self) -> Belt:
        match self.case.follow:
            case "encoder":
                settings = config.Encoder(kind="gpio", pin=5, pin_b=6, px_per_pulse=self.case.px_per_pulse)
                return EncoderBelt(
                    settings, self.tracked, on_silent=lambda _: None, clock=lambda: self.now_s, factory=self.factory
                )  # fmt: skip
            case "tracker":
                return self.tracked
            case _:
                return Clockwork()

    def run(self) -> Outcome:
        """Until every part is well beyond the gate."""
        pin, stop = self.factory.pin(PIN), self.factory.pin(STOP_PIN)
        for tick in range(1, len(self.way.px)):
            self.now_s = tick * TICK_S
            before_px, here_px = self.way.px[tick - 1], self.way.px[tick]
            self._count(before_px, here_px)
            self._look(tick, here_px)
            if self.now_s >= self._next_step_s:
                self._next_step_s = self.now_s + self.output.step() + self.chance.uniform(0.0, 0.002)
            if pin.state:
                self._blow(min(before_px, here_px), max(before_px, here_px))
            self.outcome.stopped |= bool(stop.state)
        return self._counted()

    def _count(self, before_px: float, here_px: float) -> None:
        if not isinstance(self.belt, EncoderBelt):
            return
        step_px = self.case.px_per_pulse
        while self._pulses != int(here_px // step_px):
            forwards = here_px > before_px
            self._pulses += 1 if forwards else -1
            edge_px = (self._pulses if forwards else self._pulses + 1) * step_px
            share = (edge_px - before_px) / (here_px - before_px)
            self.belt.pulse(1 if forwards else -1, self.now_s - TICK_S + share * TICK_S)

    def _look(self, tick: int, here_px: float) -> None:
        """A frame now and then; newest wins; one after the other is processed."""
        period = max(1, round(1 / self.case.fps / TICK_S))
        if tick % period == 0:
            self._box = [*self._box[-1:], (self.now_s, here_px)]
        while self._stages and self.now_s >= self._stages[0][0]:
            heapq.heappop(self._stages)[2]()
        if self.now_s >= self._free_s and self._box:
            self._process(*self._box.pop(0))

    def _process(self, at_s: float, here_px: float) -> None:
        """The tracker takes three milliseconds; each verdict, and now and then the machine, takes its own time."""
        px = here_px + self.chance.uniform(-0.5, 0.5)
        settled = range(self._settled, max(self._settled, bisect.bisect_right(self.places_px, px)))
        self._settled = settled.stop

        def tracked() -> None:
            self.tracked.follow(((at_s, px),), self.case.speed_px_s, 1e9)
            for number in settled:
                self._told_s.append(self._crossing_s(self.places_px[number], at_s, px))
                self.output.expect(self._part(number))
                if isinstance(self.belt, EncoderBelt):
                    self.belt.passed(self._told_s[number])
            self._before = at_s, px

        self._soon(0.003, tracked)
        for number in settled:
            verdict_s = self.chance.uniform(0.0, MOST_S)
            self._soon(0.003 + verdict_s, lambda number=number: self._give(number))
        took_s = self.chance.uniform(0.0, MOST_S) if self.chance.random() < self.case.stutter else 0.002
        self._free_s = self.now_s + 0.003 + took_s
        self._soon(0.003 + took_s, lambda: self.output.looked(at_s))

    def _give(self, number: int) -> None:
        tolerance_px = self.settings.tolerance_s * self.case.speed_px_s
        if self.way.px[round(self.now_s / TICK_S)] < self.places_px[number] + self.case.way_px - tolerance_px:
            self._in_time.add(number)
        self.output.give(self._verdict(number))
        self._next_step_s = self.now_s + self.chance.uniform(0.0, 0.002)

    def _soon(self, after_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._stages, (self.now_s + after_s, next(self._order), what))

    def _crossing_s(self, place_px: float, at_s: float, px: float) -> float:
        """As the tracker tells it: evenly between two frames that it saw."""
        before_s, before_px = self._before
        share = (place_px - before_px) / (px - before_px) if px > before_px else 1.0
        return before_s + min(1.0, max(0.0, share)) * (at_s - before_s)

    def _part(self, number: int) -> Part:
        return Part(number=number + 1, at_s=self._told_s[number], views=(), speed_px_s=self.case.speed_px_s)

    def _verdict(self, number: int) -> Verdict:
        return Verdict(
            number=number + 1, decision=self.decisions[number], label="", reason="", score=0.5, limits=(0.2, 0.6),
            views=1, captured_at_s=self._told_s[number], speed_px_s=self.case.speed_px_s,
        )  # fmt: skip

    def _blow(self, low_px: float, high_px: float) -> None:
        """Whatever lies at the gate, half a nozzle and half a part to either side, is gone."""
        reach_px = 0.25 * self.case.pitch_px[0]
        first = bisect.bisect_left(self.places_px, low_px - self.case.way_px - reach_px)
        last = bisect.bisect_right(self.places_px, high_px - self.case.way_px + reach_px)
        self.hits.update(range(first, last))

    def _counted(self) -> Outcome:
        outcome = self.outcome
        for number, decision in enumerate(self.decisions):
            driven = (decision is Decision.PASS) == (self.case.drives == "pass")
            hit, told = number in self.hits, number in self.late
            outcome.driven += driven
            outcome.hit += driven and hit
            outcome.told += driven and told and not hit
            outcome.doubted += driven and told and not hit and number in self._in_time
            outcome.unsure += driven and told and hit
            outcome.lost += driven and not hit and not told
            if hit and not driven:
                outcome.wrong.append(number)
        return outcome


CASES = {
    "encoder, 10 parts/s": Case(follow="encoder"),
    "encoder, 20 parts/s, coarse": Case(
        follow="encoder", speed_px_s=1000, pitch_px=(45, 55), way_px=1200, px_per_pulse=4, fps=120
    ),
    "encoder, fail-safe": Case(follow="encoder", drives="pass"),
    "encoder, sparse": Case(follow="encoder", parts=120, pitch_px=(300, 900), speed_px_s=400),
    "encoder, gate too near": Case(follow="encoder", way_px=150),
    "tracker, 10 parts/s": Case(follow="tracker"),
    "tracker, 20 parts/s": Case(follow="tracker", speed_px_s=1000, pitch_px=(45, 55), way_px=1200, fps=120),
    "tracker, fail-safe": Case(follow="tracker", drives="pass"),
    "tracker, sparse": Case(follow="tracker", parts=120, pitch_px=(300, 900), speed_px_s=400, stutter=0.05),
    "tracker, gate too near": Case(follow="tracker", way_px=150),
    "time, steady belt": Case(follow="time", stops=False, reverses=False),
    "time, 20 parts/s": Case(
        follow="time", speed_px_s=1000, pitch_px=(45, 55), way_px=1200, stops=False, reverses=False, fps=120
    ),
}


def main() -> None:
    """One line for each case and seed."""
    options = argparse.ArgumentParser()
    options.add_argument("--parts", type=int, default=2000)
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    given = options.parse_args()
    logging.disable()
    failed = 0
    for name, case in CASES.items():
        for seed in given.seeds:
            outcome = World(replace(case, parts=given.parts), seed).run()
            failed += len(outcome.wrong) + outcome.lost
            print(f"{name}, seed {seed}: {outcome}", flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
