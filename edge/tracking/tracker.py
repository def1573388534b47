"""The tracker: learns how the belt runs and what it looks like, then lets its lanes hand out the parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edge.config import Tracking
from edge.domain import Box, Frame, Image, Part
from edge.tracking import motion
from edge.tracking.background import EmptyBelt
from edge.tracking.lane import Lane, Moment
from edge.tracking.sight import planes_of, sight_of, turned

FEWEST, MOST = 8, 120
"""Looks to learn from: before so many nothing is said; with so many it begins even if little has moved."""
SURE_SCORE, SURE_MARGIN = 0.25, 0.15
TRAVEL = 1.2
"""Pictures of belt to see before its empty look is believed."""
AGREED = 0.15
"""Pictures of belt that pass while the same course is found, before it is believed."""
KEPT_BYTES = 64_000_000
"""Full pictures that are kept while learning, for the views of parts that pass meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Course:
    direction: str
    speed: float
    """Small pixels per second."""


class BeltTracker:
    """Frames in, each physical part once out."""

    def __init__(self, config: Tracking) -> None:
        self.config = config
        self._waiting: list[Moment] = []
        self._along = motion.Listener()
        self._across = motion.Listener()
        self._course: _Course | None = None
        self._rumour: tuple[_Course, float] | None = None
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
        return self._sight.direction if self._lanes else ""

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
        if not self._lanes:
            return self._learn(frame)
        if all(lane.is_lost for lane in self._lanes):
            self._before_px += self._lanes[0].travelled_px
            self._lanes, self._course, self._rumour = [], None, None
            return self._learn(frame)
        return self._passed(Moment(at_s=frame.at_s, look=self._sight.look(frame.image), image=frame.image))

    def _passed(self, moment: Moment) -> list[Part]:
        parts = [part for lane in self._lanes for part in lane.update(moment)]
        self._travelled.append((moment.at_s, self._before_px + self._lanes[0].travelled_px))
        return [self._numbered(part) for part in sorted(parts, key=lambda part: part.at_s)]

    def _numbered(self, part: Part) -> Part:
        self._number += 1
        return replace(part, number=self._number)

    def _learn(self, frame: Frame) -> list[Part]:
        plain = sight_of(frame.image, self.config.region, "right")
        small = plain.shrink(frame.image)
        self._waiting.append(Moment(at_s=frame.at_s, look=small, image=frame.image))
        if self._course is None:
            self._along.hear(motion.profiles(planes_of(small)))
            self._across.hear(motion.profiles(planes_of(turned(small, "down"))))
        self._forget(frame.image)
        count = len(self._waiting)
        if self._course is None and count >= FEWEST and count % 4 == 0:
            self._course = self._agreed(self._found_course(), small)
        if self._course is None or not self._has_seen_enough(small):
            return []
        return self._begin(frame.image)

    def _forget(self, image: Image) -> None:
        keep = max(4, KEPT_BYTES // image.nbytes)
        if len(self._waiting) > keep and self._waiting[-keep - 1].image is not None:
            self._waiting[-keep - 1] = replace(self._waiting[-keep - 1], image=None)
        if self._course is None and len(self._waiting) > MOST:
            del self._waiting[0]

    def _agreed(self, found: _Course | None, small: Image) -> _Course | None:
        """A course that was found again and again while the belt went some way: a shaking camera goes nowhere."""
        before = self._rumour
        if found is None or before is None or found.direction != before[0].direction:
            self._rumour = None if found is None else (found, self._waiting[-1].at_s)
            return None
        along = small.shape[1] if found.direction in ("right", "left") else small.shape[0]
        return found if found.speed * (self._waiting[-1].at_s - before[1]) >= AGREED * along else None

    def _has_seen_enough(self, small: Image) -> bool:
        assert self._course is not None
        passed_s = self._waiting[-1].at_s - self._waiting[0].at_s
        along = small.shape[1] if self._course.direction in ("right", "left") else small.shape[0]
        return self._course.speed * passed_s >= TRAVEL * along or len(self._waiting) >= MOST

    def _begin(self, image: Image) -> list[Part]:
        assert self._course is not None
        course, waiting = self._course, self._waiting
        self._sight = sight_of(image, self.config.region, course.direction)
        moments = [replace(each, look=turned(each.look, course.direction)) for each in waiting]
        self._waiting, self._along, self._across = [], motion.Listener(), motion.Listener()
        picked = np.unique(np.linspace(0, len(moments) - 1, 32).astype(int))
        grays = [planes_of(each.look)[0] for each in moments]
        carried = motion.carried(grays, [each.at_s for each in moments], course.speed)
        empty = EmptyBelt([moments[i].look for i in picked], carried)
        rehearsal = Lane(self.config, self._sight, empty, course.speed)
        for moment in moments:
            rehearsal.update(moment)
        empty.rewind()
        self._lanes = [Lane(self.config, self._sight, empty, course.speed, rehearsal.singles)]
        return [part for moment in moments for part in self._passed(moment)]

    def _found_course(self) -> _Course | None:
        wanted = self.config.direction
        heard = []
        if wanted not in ("up", "down"):
            heard.append((self._along.learned(), ("right", "left")))
        if wanted not in ("left", "right"):
            heard.append((self._across.learned(), ("down", "up")))
        learned, words = max(heard, key=lambda each: each[0].score)
        if learned.score < SURE_SCORE or learned.margin < SURE_MARGIN:
            return None
        direction = words[0] if learned.speed > 0 else words[1]
        steps = np.diff([each.at_s for each in self._waiting])
        period_s = float(np.median(steps)) if len(steps) else 0.0
        if wanted not in ("auto", direction) or period_s <= 0:
            return None
        return _Course(direction=direction, speed=abs(learned.speed) / period_s)
