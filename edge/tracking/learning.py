"""Before the first part: how the belt runs, where it runs the other way, and what it looks like empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.config import Tracking
from edge.domain import Frame, Image, Lapse
from edge.tracking import motion
from edge.tracking.background import EmptyBelt
from edge.tracking.lane import Lane, Moment
from edge.tracking.sight import OPPOSITE, Sight, planes_of, sight_of, turned

FEWEST, EVERY = 8, 4
"""Looks before which nothing is said, and after how many more it is asked again how the belt runs."""
SURE_SCORE, SURE_MARGIN = 0.25, 0.15
TRAVEL = 0.8
"""Pictures of belt to see before its empty look is believed."""
AGREED, AGREED_LOOKS, AGREED_S, SAME_SPEED = 0.15, 8, 0.25, 0.25
"""What an ear must have heard before it may confirm a course: pictures of belt that pass, looks and seconds, in which
something moves; and the share by which the speeds may differ. A shaking camera goes nowhere."""
CONFIRMED = 2
"""So many fresh ears, one after the other, must find the same course: an arm that comes in has stopped by then."""
COARSEST = 0.6
"""Speeds are told apart by so many small pixels per frame at first."""
FAR_OFF = 6.0
"""A course so many times faster or slower than the configured speed is not this belt's."""
KEPT_BYTES, KEPT_LOOKS_BYTES = 64_000_000, 32_000_000
"""Full pictures that are kept meanwhile, for the views of parts that pass, and small ones."""
PICKED = 32
"""The empty belt is learned from so many of the looks."""

NOT_UNDERSTOOD = "something moved, but how the belt runs is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How something runs."""

    direction: str
    speed: float
    """Small pixels per second."""
    unsure: float
    """That speed cannot be told from one that differs by less."""
    against: float = 0.0
    """The speed of lanes that run the other way; 0: there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A lane that was learned, and everything it still has to go through."""

    lane: Lane
    moments: list[Moment]
    rows: tuple[int, int]
    """The rows of the look that are its own, first and last + 1."""
    brings: bool
    """Whether a part was seen to come in with it."""


class Apprentice:
    """Watches until the belt is understood; keeps what it saw meanwhile, so that nothing that passed is lost."""

    def __init__(self, config: Tracking) -> None:
        self.config = config
        self._waiting: list[Moment] = []
        self._along = motion.Listener()
        self._across = motion.Listener()
        self._course: Course | None = None
        self._rumour: tuple[Course, int] | None = None
        self._opposed = 0
        """Ears that heard something run the other way too."""
        self._count = 0
        self._score = 0.0
        """How well the best motion explained the latest changes."""
        self._stirs: list[bool] = []
        """For each waiting look whether something moved."""
        self._forgotten: tuple[float, float] | None = None
        """From when to when something moved in looks that are not kept any more."""

    def watch(self, frame: Frame) -> list[Start]:
        """Take one frame; the lanes, when they are understood."""
        plain = sight_of(frame.image, self.config.region, "right")
        small = plain.shrink(frame.image)
        self._waiting.append(Moment(at_s=frame.at_s, look=small, image=frame.image))
        self._count += 1
        heard = self._along.heard + self._across.heard
        self._along.hear(motion.profiles(planes_of(small)))
        self._across.hear(motion.profiles(planes_of(turned(small, "down"))))
        self._stirs.append(self._score >= SURE_SCORE and self._along.heard + self._across.heard > heard)
        self._forget(frame.image, small)
        if self._count >= FEWEST and self._count % EVERY == 0:
            if self._course is None:
                self._course = self._agreed(self._found(), small)
            if self._course is not None and self._has_seen_enough(self._course, small):
                return self._begun(self._course, frame.image)
        return []

    def finish(self) -> list[Start]:
        """No frame comes any more: the lanes, if what was seen so far is enough to tell."""
        course = self._course or (self._rumour[0] if self._rumour else None)
        image = self._waiting[-1].image if self._waiting else None
        return [] if course is None or image is None else self._begun(course, image)

    def _forget(self, image: Image, small: Image) -> None:
        keep = max(4, KEPT_BYTES // image.nbytes)
        if len(self._waiting) > keep and self._waiting[-keep - 1].image is not None:
            self._waiting[-keep - 1] = replace(self._waiting[-keep - 1], image=None)
        if len(self._waiting) > max(60, KEPT_LOOKS_BYTES // small.nbytes):
            if self._stirs[0]:
                self._regret(self._waiting[0].at_s)
            del self._waiting[0], self._stirs[0]

    def _regret(self, at_s: float) -> None:
        self._forgotten = (self._forgotten[0] if self._forgotten else at_s), at_s

    @property
    def forgotten_s(self) -> float:
        """For how long something moved that was forgotten and not told yet."""
        return self._forgotten[1] - self._forgotten[0] if self._forgotten else 0.0

    def lapses(self, everything: bool = False) -> list[Lapse]:
        """What passed while the belt was not understood and cannot be gone through any more; each is told once.

        `everything`: nor can what is still kept.
        """
        if everything:
            for moment, stirs in zip(self._waiting, self._stirs, strict=True):
                if stirs:
                    self._regret(moment.at_s)
        told, self._forgotten = self._forgotten, None
        return [Lapse(from_s=told[0], to_s=told[1], reason=NOT_UNDERSTOOD)] if told else []

    def _agreed(self, found: Course | None, small: Image) -> Course | None:
        """The course found, if it was found again and again while the belt went some way."""
        before = self._rumour
        if found is not None and before is not None and found.against and found.direction != before[0].direction:
            # Two lanes that run against each other: which is the first is a matter of taste, but not of the moment.
            found = replace(found, direction=before[0].direction, speed=found.against, against=found.speed)
        ear = self._along if before is None or before[0].direction in ("right", "left") else self._across
        if found is None and before is not None and ear.heard < AGREED_LOOKS:
            return None
        if found is None or before is None or not _is_same(found, before[0]):
            self._rumour = None if found is None else (found, 0)
            self._opposed = 0 if found is None else int(found.against > 0)
            self._listen_anew()
            return None
        heard_s = ear.heard * self._period_s
        if ear.heard < AGREED_LOOKS or heard_s < AGREED_S or found.speed * heard_s < AGREED * _along(found, small):
            return None
        # Who is to confirm it must not have heard what it came from: an arm that came in stands still after.
        self._rumour = found, before[1] + 1
        self._opposed += found.against > 0
        self._listen_anew()
        if before[1] + 1 < CONFIRMED:
            return None
        return replace(found, against=self._against_of(found, before[0]) if self._opposed >= CONFIRMED else 0.0)

    @staticmethod
    def _against_of(found: Course, before: Course) -> float:
        return found.against or before.against

    def _listen_anew(self) -> None:
        self._along, self._across = motion.Listener(), motion.Listener()

    @property
    def _period_s(self) -> float:
        """From one look to the next, as a rule."""
        steps = np.diff([each.at_s for each in self._waiting])
        return float(np.median(steps)) if len(steps) else 0.0

    def _has_seen_enough(self, course: Course, small: Image) -> bool:
        passed_s = self._waiting[-1].at_s - self._waiting[0].at_s
        full = len(self._waiting) >= KEPT_LOOKS_BYTES // small.nbytes
        return course.speed * passed_s >= TRAVEL * _along(course, small) or full

    def _found(self) -> Course | None:
        wanted = self.config.direction
        heard = []
        if wanted not in ("up", "down"):
            heard.append((self._along.learned(), ("right", "left")))
        if wanted not in ("left", "right"):
            heard.append((self._across.learned(), ("down", "up")))
        learned, words = max(heard, key=lambda each: each[0].score)
        self._score = learned.score
        if learned.score < SURE_SCORE or learned.margin < SURE_MARGIN:
            return None
        direction = words[0] if learned.speed > 0 else words[1]
        if learned.against and wanted == OPPOSITE[direction]:
            learned = replace(learned, speed=learned.against, against=learned.speed)
            direction = wanted
        period_s = self._period_s
        if wanted not in ("auto", direction) or period_s <= 0:
            return None
        speed, against = abs(learned.speed) / period_s, abs(learned.against) / period_s
        factor = plain_factor(self.config, self._waiting[-1].image)
        usual = self.config.speed_px_s / factor
        if usual and not 1 / FAR_OFF < speed / usual < FAR_OFF:
            return None
        return Course(direction=direction, speed=speed, unsure=COARSEST / period_s, against=against)

    def _begun(self, course: Course, image: Image) -> list[Start]:
        """A lane for every stretch across the belt; none when the course does not explain what was seen."""
        sight = sight_of(image, self.config.region, course.direction)
        looks = [turned(each.look, course.direction) for each in self._waiting]
        starts = []
        for first, last, is_against in _stretches(looks, self._waiting, course):
            own = sight.strip(first, last, is_against)
            speed = course.against if is_against else course.speed
            strips = [_strip(look, first, last, is_against) for look in looks]
            start = self._rehearsed(own, speed, strips, (first, last))
            if start is None:
                self._course, self._rumour = None, None
                return []
            starts.append(start)
        return sorted(starts, key=lambda start: start.lane.sight.direction != course.direction)

    def _rehearsed(self, sight: Sight, speed: float, looks: Sequence[Image], rows: tuple[int, int]) -> Start | None:
        """Go through everything once, to learn the empty belt among parts and what a single part is like."""
        moments = [replace(each, look=look) for each, look in zip(self._waiting, looks, strict=True)]
        picked = np.unique(np.linspace(0, len(looks) - 1, PICKED).astype(int))
        times = [each.at_s for each in moments]
        empty = EmptyBelt(
            [looks[i] for i in picked], motion.carried([planes_of(look)[0] for look in looks], times, speed)
        )
        rehearsal = Lane(self.config, sight, empty, speed)
        for moment in moments:
            rehearsal.update(moment)
        if not rehearsal.is_explained:
            return None
        empty.rewind()
        lane = Lane(self.config, sight, empty, speed, rehearsal)
        return Start(lane=lane, moments=moments, rows=rows, brings=rehearsal.passing.brings)


def plain_factor(config: Tracking, image: Image | None) -> int:
    """By how much frames are reduced."""
    return 1 if image is None else sight_of(image, config.region, "right").factor


def _is_same(course: Course, other: Course) -> bool:
    near = abs(course.speed - other.speed) < SAME_SPEED * max(course.speed, other.speed) + course.unsure
    return course.direction == other.direction and near


def _along(course: Course, small: Image) -> int:
    return small.shape[1] if course.direction in ("right", "left") else small.shape[0]


def _stretches(looks: Sequence[Image], moments: Sequence[Moment], course: Course) -> list[tuple[int, int, bool]]:
    """`(first row, last row + 1, whether it runs the other way)`, from one side of the belt to the other."""
    rows = looks[0].shape[0]
    if not course.against:
        return [(0, rows, False)]
    grays = [planes_of(look)[0] for look in looks]
    times = [each.at_s for each in moments]
    ahead = motion.carried(grays, times, course.speed)
    return motion.stretches(ahead - motion.carried(grays, times, -course.against))


def _strip(look: Image, first: int, last: int, is_against: bool) -> Image:
    strip = look[first:last]
    return np.ascontiguousarray(strip[:, ::-1] if is_against else strip)
