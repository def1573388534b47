"""The tracker: an apprentice learns how the belt runs and what it looks like, then lanes hand out the parts."""

from __future__ import annotations

from dataclasses import replace

from edge.config import Tracking
from edge.domain import Box, Frame, Lapse, Part
from edge.tracking.attention import Attention
from edge.tracking.lane import Lane, Moment
from edge.tracking.learning import Apprentice, Start
from edge.tracking.sight import OPPOSITE

WATCH, REST = 300, 1500
"""Frames for which a second lane is looked for when something moves in another way than the belt, and after which it is
looked for again."""

LOST = "the belt did not run as it was known to; how it runs is learned anew"
TOLD_S = 10.0
"""What was forgotten while the belt was not understood is told in stretches of about this."""


class BeltTracker:
    """Frames in, each physical part once out."""

    def __init__(self, config: Tracking) -> None:
        self.config = config
        self._apprentice = Apprentice(config)
        self._lanes: list[Lane] = []
        self._number = self._entered = 0
        self._watched = self._rest = 0
        self._attention = Attention(config)
        self._passed_over: list[Frame] = []
        """Since the latest frame that was looked at."""
        self._travelled: list[tuple[float, float]] = []
        self._before_px = 0.0
        self._lapses: list[Lapse] = []

    @property
    def entered(self) -> int:
        """Parts noticed so far."""
        self._entered = max(self._entered, self._number + sum(lane.coming for lane in self._lanes))
        return self._entered

    @property
    def lapses(self) -> tuple[Lapse, ...]:
        """What the latest `update` or `finish` found that nobody can answer for."""
        return tuple(self._lapses)

    @property
    def looked_s(self) -> float:
        """When the latest frame was taken that was looked at."""
        return self._attention.looked_s

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
        self._lapses.clear()
        if not self._attention.is_due(frame.at_s):
            self._passed_over.append(frame)
            return []
        parts = []
        if self._passed_over and self._attention.is_late(frame.at_s):
            parts = self._looked_at(self._passed_over.pop())
        return parts + self._looked_at(frame)

    def _looked_at(self, frame: Frame) -> list[Part]:
        parts = self._settled_by(frame)
        self._passed_over.clear()
        self._attention.looked(frame.at_s, self._lanes, watched=self._watched > 0)
        return parts

    def _settled_by(self, frame: Frame) -> list[Part]:
        if self._lanes and all(lane.is_lost for lane in self._lanes):
            self._lapses.append(Lapse(from_s=self._lanes[0].sure_s, to_s=frame.at_s, reason=LOST))
            self._before_px += self._lanes[0].travelled_px
            self._lanes, self._apprentice = [], Apprentice(self.config)
        if self._lanes:
            parts = [part for lane in self._lanes for part in self._followed(lane, frame)]
            return self._numbered(parts + self._against(frame))
        starts = self._apprentice.watch(frame)
        if starts or self._apprentice.forgotten_s > TOLD_S:
            self._lapses += self._apprentice.lapses()
        if not starts:
            return []
        self._lanes, self._apprentice = [start.lane for start in starts], Apprentice(self.config)
        return self._numbered([part for start in starts for part in self._begun(start)])

    def finish(self) -> list[Part]:
        """No frame comes any more: the parts that had crossed the gate and were not settled yet."""
        self._travelled.clear()
        self._lapses.clear()
        parts = self._looked_at(self._passed_over.pop()) if self._passed_over else []
        if not self._lanes:
            starts = self._apprentice.finish()
            self._lapses += self._apprentice.lapses(everything=not starts)
            self._lanes = [start.lane for start in starts]
            parts += [part for start in starts for part in self._begun(start)]
        parts += [part for lane in self._lanes for part in lane.finish()]
        self._lapses += [lapse for lane in self._lanes for lapse in lane.lapses]
        return self._numbered(parts)

    def _against(self, frame: Frame) -> list[Part]:
        """Parts of a lane that runs the other way, from when the apprentice, called when something did, finds it."""
        self._rest = max(0, self._rest - 1)
        if len(self._lanes) > 1 or (self._watched == 0 and (self._rest or not self._lanes[0].is_contradicted)):
            return []
        self._watched += 1
        starts = self._apprentice.watch(frame)
        if not starts and self._watched < WATCH:
            return []
        self._apprentice = Apprentice(self.config)
        against = [start for start in starts if start.lane.sight.direction == OPPOSITE[self.direction]]
        is_found = len(starts) > 1 and bool(against)
        brings = is_found and against[0].brings
        if is_found and not brings and self._watched < WATCH:
            return []  # an arm, or a lane that has not brought a part yet
        self._watched, self._rest = 0, REST
        if not brings:
            return []
        self._lanes[0].leave(against[0].rows)
        self._lanes.append(against[0].lane)
        return self._begun(against[0])

    def _followed(self, lane: Lane, frame: Frame) -> list[Part]:
        before = [(over.at_s, over.image) for over in self._passed_over]
        look = lane.sight.look(frame.image)
        return self._passed(lane, Moment(at_s=frame.at_s, look=look, image=frame.image, before=before))

    def _begun(self, start: Start) -> list[Part]:
        start.lane.passing.strict = start.lane.sight.direction != self.direction
        return [part for moment in start.moments for part in self._passed(start.lane, moment)]

    def _passed(self, lane: Lane, moment: Moment) -> list[Part]:
        parts = lane.update(moment)
        self._lapses += lane.lapses
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
