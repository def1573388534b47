"""The tracker: an apprentice learns how the belt runs and what it looks like, then lanes hand out the parts."""

from __future__ import annotations

from dataclasses import replace

from edge.config import Tracking
from edge.domain import Box, Frame, Part
from edge.tracking.lane import Lane, Moment
from edge.tracking.learning import Apprentice, Start


class BeltTracker:
    """Frames in, each physical part once out."""

    def __init__(self, config: Tracking) -> None:
        self.config = config
        self._apprentice = Apprentice(config)
        self._lanes: list[Lane] = []
        self._number = self._entered = 0
        self._travelled: list[tuple[float, float]] = []
        self._before_px = 0.0

    @property
    def entered(self) -> int:
        """Parts noticed so far."""
        self._entered = max(self._entered, self._number + sum(lane.coming for lane in self._lanes))
        return self._entered

    @property
    def direction(self) -> str:
        """The way the belt runs; empty until that is known."""
        return self._lanes[0].sight.direction if self._lanes else ""

    @property
    def speed_px_s(self) -> float:
        """The belt's usual speed; 0 until it is known."""
        return self._lanes[0].speed_px_s if self._lanes else 0.0

    @property
    def outlines(self) -> tuple[Box, ...]:
        """Where parts are in the latest frame."""
        return tuple(box for lane in self._lanes for box in lane.outlines)

    @property
    def travelled(self) -> tuple[tuple[float, float], ...]:
        """How far the belt had come in each frame that the latest update went through."""
        return tuple(self._travelled)

    def update(self, frame: Frame) -> list[Part]:
        """Take one frame; give the parts that are settled by it."""
        self._travelled.clear()
        if self._lanes and all(lane.is_lost for lane in self._lanes):
            self._before_px += self._lanes[0].travelled_px
            self._lanes, self._apprentice = [], Apprentice(self.config)
        if self._lanes:
            return self._numbered([part for lane in self._lanes for part in self._followed(lane, frame)])
        starts = self._apprentice.watch(frame)
        if not starts:
            return []
        self._lanes, self._apprentice = [start.lane for start in starts], Apprentice(self.config)
        return self._numbered([part for start in starts for part in self._begun(start)])

    def _followed(self, lane: Lane, frame: Frame) -> list[Part]:
        return self._passed(lane, Moment(at_s=frame.at_s, look=lane.sight.look(frame.image), image=frame.image))

    def _begun(self, start: Start) -> list[Part]:
        return [part for moment in start.moments for part in self._passed(start.lane, moment)]

    def _passed(self, lane: Lane, moment: Moment) -> list[Part]:
        parts = lane.update(moment)
        if lane is self._lanes[0]:
            self._travelled.append((moment.at_s, self._before_px + lane.travelled_px))
        is_against = lane.sight.direction != self.direction
        return [replace(part, is_against=True) for part in parts] if is_against else parts

    def _numbered(self, parts: list[Part]) -> list[Part]:
        numbered = []
        for part in sorted(parts, key=lambda part: part.at_s):
            self._number += 1
            numbered.append(replace(part, number=self._number))
        return numbered
