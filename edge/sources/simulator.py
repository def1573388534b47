"""The belt simulator: parts of our own on a moving belt, with exact truth, the same for every seed."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from threading import Event

import numpy as np

from edge.config import SimulatorSource
from edge.domain import Box, Frame, Image, SourceError
from edge.sources.simulation.belt import Lighting, Motion, Noise, Rubber
from edge.sources.simulation.overhead import GRASP_S, Bar, Grasp, Visitor
from edge.sources.simulation.scenario import legs_of, scenario_of
from edge.sources.simulation.schedule import Placement, placements
from edge.sources.simulation.sprite import Sprite, lay, render
from edge.truth import TruePart, Truth

_TURNS = {"right": 0, "up": 1, "left": 2, "down": 3}
"""Quarter turns, against the clock, from a belt that runs to the right."""


class Simulator:
    """Frames of a line that does not exist, and the truth about it.

    `paced`: in real time, on the clock of `time.monotonic()`; otherwise as fast as they are taken, from
    `start_at_s`. It ends after `seconds`, or when `parts` parts have left the picture; a part that could not come
    four fifths of its way in time never enters. Without either it runs for ever.
    """

    def __init__(
        self,
        config: SimulatorSource,
        *,
        paced: bool = True,
        start_at_s: float = 0.0,
        seconds: float | None = None,
        parts: int | None = None,
        balanced: bool = False,
    ) -> None:
        self._config = config
        self._scenario = scenario_of(config)
        self._paced, self._start_s = paced, start_at_s
        self._seconds, self._parts, self._balanced = seconds, parts, balanced
        self._turns = _TURNS[config.direction]
        across = self._turns % 2
        self._along_px, self._across_px = (
            (config.height_px, config.width_px) if across else (config.width_px, config.height_px)
        )
        lanes = max(config.lanes, self._scenario.lanes)
        if lanes * config.part_px * 1.02 > self._across_px:
            raise SourceError(
                f"source.simulator: {lanes} lane(s) of parts of {config.part_px:g} px do not fit on a belt"
                f" of {self._across_px} px; make part_px smaller or the picture larger"
            )
        self._motion = Motion(config.speed_px_s, legs_of(config))
        self._vibration_px = max(config.vibration_px, self._scenario.vibration_px)
        self._rubber = Rubber(self._along_px, self._across_px, self._scenario.seams, config.seed)
        self._lighting = Lighting(
            self._along_px, self._across_px, config.lighting, self._scenario.flicker, self._scenario.jumps, config.seed
        )
        self._noise = Noise(self._along_px, self._across_px, config.noise, config.seed)
        self._bar = Bar(self._along_px, config.part_px, config.seed) if self._scenario.bar else None
        self._visitor = (
            Visitor(self._along_px, self._across_px, config.part_px, config.speed_px_s, config.seed)
            if self._scenario.hand == "over"
            else None
        )
        self._on_belt = _OnBelt(self.story, self._along_px + config.part_px, config.part_px)
        self._last_s = -math.inf

    def frames(self, stopping: Event) -> Iterator[Frame]:
        """Yield gray frames from the beginning of the story, which waits for a machine that is too slow for it."""
        fps = self._config.fps
        end = self.lasts_s
        if self._paced:
            self._start_s = time.monotonic()
        index = 0
        while not stopping.is_set() and index / fps <= end:
            at_s = self._start_s + index / fps
            if self._paced and stopping.wait(max(0.0, at_s - time.monotonic())):
                return
            if not self._is_dropped(index):
                self._last_s = at_s
                yield Frame(index=index, at_s=at_s, image=self.picture(index))
            index += 1

    def picture(self, index: int) -> Image:
        """The picture with this number; it depends on nothing but the number and the configuration."""
        at_s = index / self._config.fps
        shake = self._shake(index)
        travel = self._motion.travel_px(at_s)
        scene = self._belts(travel, shake)
        for placement, sprite in self._on_belt.seen(travel):
            place = self._place(placement, travel, at_s)
            if place is not None:
                lay(sprite, scene, place[0] + shake[0], place[1] + shake[1])
        self._cover(scene, travel, at_s)
        lit = self._lighting.shine(scene, at_s)
        noisy = self._noise.over(lit, _chance(self._config.seed, index, 3))
        return np.ascontiguousarray(np.rot90(noisy, self._turns))

    def boxes(self, index: int) -> list[tuple[Placement, Box]]:
        """Every part whose centre is in the picture with this number, with the upright box around its metal."""
        shake, at_s = self._shake(index), index / self._config.fps
        travel = self._motion.travel_px(at_s)
        found = []
        for placement, sprite in self._on_belt.seen(travel):
            place = self._place(placement, travel, at_s)
            if place is not None and 0 <= place[0] < self._along_px:
                found.append((placement, self._turned(place[0] + shake[0], place[1] + shake[1], sprite)))
        return found

    def truth(self, gate: float = 0.5) -> Truth:
        """The parts whose centre has crossed the gate in the frames given so far, on the clock of those frames.

        `gate`: share of the picture, from the left (or from the top, for a belt that runs down or up).
        """
        gate_px = (1 - gate if self._turns in (1, 2) else gate) * self._along_px
        found: list[TruePart] = []
        for placement in self.story():
            if self._start_s + self._motion.reaches(placement.along_px) > self._last_s:
                break
            at_s = self._crosses_s(placement, gate_px)
            if at_s is not None and self._start_s + at_s <= self._last_s:
                found.append(self._true(placement, at_s))
        found.sort(key=lambda part: part.crossed_at_s)
        return Truth(count=len(found), parts=tuple(found), gate=gate)

    def _crosses_s(self, placement: Placement, gate_px: float) -> float | None:
        """When its centre crosses the gate, if it does after the story began."""
        way_px = self._along_px - gate_px if placement.backward else gate_px
        if placement.along_px + way_px <= 0 or placement.taken_at is not None:
            return None
        return self._motion.reaches(placement.along_px + way_px)

    def _true(self, placement: Placement, at_s: float) -> TruePart:
        return TruePart(
            number=placement.number,
            label=placement.label,
            good=placement.label == "ok",
            crossed_at_s=round(self._start_s + at_s, 6),
            lane=placement.lane,
            across_px=round(placement.across_px, 3),
            speed_px_s=round(self._motion.speed_px_s(at_s), 3),
        )

    def travelled_px(self, at_s: float) -> float:
        """How far the belt had come at a moment on the clock of the frames; a simulated encoder counts it."""
        return self._motion.travel_px(max(0.0, at_s - self._start_s))

    def index_at(self, placement: Placement, share: float) -> int:
        """The number of the frame in which a part has come about this share of its way through the picture."""
        return round(self._motion.reaches(placement.along_px + share * self._along_px) * self._config.fps)

    def story(self) -> Iterator[Placement]:
        """Every part that will come, in order."""
        story = placements(self._config, self._along_px, self._across_px, self._balanced)
        if self._parts is not None:
            story = itertools.islice(story, self._parts)
        if self._seconds is not None:
            seconds = self._seconds
            story = itertools.takewhile(lambda placement: self._passed_s(placement) <= seconds, story)
        return story

    def _passed_s(self, placement: Placement) -> float:
        """When a part is well past any usual gate."""
        return self._motion.reaches(placement.along_px + 0.8 * self._along_px)

    @property
    def lasts_s(self) -> float:
        """How long the story is; infinite when nothing ends it."""
        if self._seconds is not None:
            return self._seconds
        if self._parts is None:
            return math.inf
        farthest = max((placement.along_px for placement in self.story()), default=0.0)
        return self._motion.reaches(farthest + self._along_px + self._config.part_px)

    def _belts(self, travel: float, shake: tuple[float, float]) -> Image:
        """The bare belt, or two of them that run against each other."""
        scene = self._rubber.seen(travel, shake)
        if self._scenario.opposed:
            half = self._across_px // 2
            scene[half:] = self._rubber.seen(-travel, shake)[half:]
        return scene

    def _place(self, placement: Placement, travel: float, at_s: float) -> tuple[float, float] | None:
        """Where its centre is, along and across the belt; `None` when a hand has taken it."""
        along = travel - placement.along_px
        across = placement.across_at(along / self._along_px)
        if placement.taken_at is not None:
            grasp = self._grasp(placement)
            shift = grasp.shift(at_s)
            return None if shift is None else (along if shift == 0 else grasp.along_px, across - shift)
        return (self._along_px - along if placement.backward else along), across

    def _cover(self, scene: Image, travel: float, at_s: float) -> None:
        """Whatever hangs or reaches over the belt."""
        if self._bar is not None:
            self._bar.cover(scene)
        reaches = [self._visitor.at(at_s)] if self._visitor is not None else []
        if self._scenario.hand == "taking":
            taken = [each for each, _ in self._on_belt.seen(travel) if each.taken_at is not None]
            reaches += [self._grasp(each).reach(at_s, travel - each.along_px) for each in taken]
        for reach in reaches:
            if reach is not None:
                reach.cover(scene)

    def _grasp(self, placement: Placement) -> Grasp:
        assert placement.taken_at is not None
        along_px = placement.taken_at * self._along_px
        grasped_s = self._motion.reaches(placement.along_px + along_px)
        seconds = min(GRASP_S, 0.7 * along_px / self._config.speed_px_s)
        return Grasp(
            grasped_s=grasped_s,
            seconds=seconds,
            along_px=along_px,
            across_px=placement.across_px,
            part_px=placement.diameter_px,
        )

    def _shake(self, index: int) -> tuple[float, float]:
        """How far the picture is off in this frame: mostly across the belt."""
        if self._vibration_px == 0:
            return 0.0, 0.0
        chance = _chance(self._config.seed, index, 5)
        along, across = ((chance >> shift & 0xFFFF) / 0xFFFF * 2 - 1 for shift in (0, 16))
        return 0.4 * self._vibration_px * along, self._vibration_px * across

    def _is_dropped(self, index: int) -> bool:
        """In every 24 frames one burst is lost."""
        if self._scenario.longest_drop == 0:
            return False
        block, place = divmod(index, 24)
        chance = _chance(self._config.seed, block, 7)
        return block > 0 and chance % 16 <= place <= chance % 16 + (chance >> 8) % self._scenario.longest_drop

    def _turned(self, along: float, across: float, sprite: Sprite) -> Box:
        left, top, right, bottom = sprite.outline_px
        corners = (along + left, across + top, along + right, across + bottom)
        for turn in range(self._turns):
            # One quarter turn against the clock takes (x, y) to (y, length - x) on a picture `length` wide.
            length = self._along_px if turn % 2 == 0 else self._across_px
            corners = (corners[1], length - corners[2], corners[3], length - corners[0])
        return Box(
            left_px=corners[0], top_px=corners[1], width_px=corners[2] - corners[0], height_px=corners[3] - corners[1]
        )


class _OnBelt:
    """The parts that are in the picture or near it, each drawn once when it comes."""

    def __init__(self, story: Callable[[], Iterator[Placement]], reach_px: float, before_px: float) -> None:
        self._open = story
        self._reach_px, self._before_px = reach_px, before_px
        self._begin()

    def _begin(self) -> None:
        self._story = self._open()
        self._next = next(self._story, None)
        self._there: list[tuple[Placement, Sprite]] = []
        self._gone_px = -math.inf

    def seen(self, travel_px: float) -> list[tuple[Placement, Sprite]]:
        """Everything that may be in the picture once the belt has come this far; going back starts anew."""
        if travel_px - self._reach_px < self._gone_px:
            self._begin()
        kept_px = travel_px - 4 * self._reach_px
        while self._next and self._next.along_px - self._before_px < travel_px:
            if self._next.along_px >= kept_px:
                made = render(self._next.label, self._next.diameter_px, self._next.rng())
                self._there.append((self._next, made))
            else:
                self._gone_px = self._next.along_px
            self._next = next(self._story, None)
        while self._there and self._there[0][0].along_px < kept_px:
            self._gone_px = self._there.pop(0)[0].along_px
        return [each for each in self._there if -self._before_px < travel_px - each[0].along_px < self._reach_px]


def _chance(seed: int, index: int, purpose: int) -> int:
    """64 well-mixed bits that depend on nothing but the arguments (the finalizer of splitmix64)."""
    mask = (1 << 64) - 1
    value = (seed * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + purpose * 0x94D049BB133111EB) & mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31
