"""The belt as the tracker saw it move: read with every frame, estimated in between."""

from __future__ import annotations

import threading

from edge.belt.history import GONE_PX, History
from edge.belt.place import Place
from edge.domain import Box, Frame, Lapse, Part, Tracker

NOISE_PX = 1.0
"""The tracker is not better than this."""
SILENT_S = 3.0
"""After so long without a frame nobody can say any more where the belt is."""
SPEED_S = 0.1
"""The speed of the moment is measured over about this time."""
FARTHEST = 0.6
"""From one frame to the next the tracker cannot see the belt move by more than this share of the picture."""


class TrackedBelt:
    """Estimates go on with the latest speed, and their uncertainty grows as fast as this belt can brake or start.

    Where the count breaks (too long without a frame, or the belt was learned anew) it leaps far ahead, so that
    whatever was scheduled before is out of reach, and nothing is ejected by a guess.
    """

    def __init__(self, stop_s: float) -> None:
        """`stop_s`: the belt needs at least so long from its usual speed to a standstill."""
        self._stop_s = stop_s
        self._history = History()
        self._leapt_px = 0.0
        self._usual_px_s = 0.0
        self._lock = threading.Lock()

    @property
    def usual_px_s(self) -> float:
        """The tracker's usual speed."""
        return self._usual_px_s

    def follow(self, readings: tuple[tuple[float, float], ...], usual_px_s: float, reach_px: float) -> None:
        """Take what the tracker read; `reach_px`: from one reading to the next it can see the belt go so far."""
        with self._lock:
            self._usual_px_s = usual_px_s or self._usual_px_s
            for at_s, px in readings:
                history = self._history
                if history.times:
                    passed_s = at_s - history.times[-1]
                    if passed_s > SILENT_S or passed_s * self._usual_px_s > reach_px:
                        self._leapt_px += GONE_PX
                history.add(at_s, px + self._leapt_px)

    def at(self, at_s: float) -> Place | None:
        """Between two readings evenly; after the last reading as estimated."""
        with self._lock:
            around, px = self._history.around(at_s), self._history.at(at_s)
            if around is None or px is None:
                return self._estimate(at_s) if self._history.times and at_s >= self._history.times[0] else None
            (before_s, before_px), (after_s, after_px) = around
            speed = (after_px - before_px) / (after_s - before_s)
            off_px = NOISE_PX + 0.5 * self._harshest(speed) * (at_s - before_s) * (after_s - at_s)
            return Place(px=px, off_px=off_px, speed_px_s=speed, read_s=at_s)

    def passed_px(self, at_s: float) -> float | None:
        """As read: the tracker told the moment by the same readings."""
        with self._lock:
            return self._history.at(at_s)

    def first_after(self, at_s: float) -> tuple[float, float] | None:
        """The first reading `(at_s, px)` at or after a moment."""
        with self._lock:
            around = self._history.around(at_s)
            return None if around is None else around[1]

    def when(self, px: float) -> float | None:
        """When the belt was there."""
        with self._lock:
            return self._history.when(px)

    def way_px(self, distance_px: float, delay_s: float, ahead_px: float, speed_px_s: float) -> float | None:  # noqa: ARG002
        """The distance, once it is known how the belt runs."""
        return distance_px + ahead_px if self._usual_px_s else None

    def _estimate(self, now_s: float) -> Place | None:
        times, places = self._history.times, self._history.places
        if not times:
            return None
        age_s = max(0.0, now_s - times[-1])
        if age_s > SILENT_S:
            return Place(px=places[-1] + GONE_PX, off_px=0.0, speed_px_s=0.0, read_s=times[-1])
        # After a gap the last two readings are farther apart than the usual stretch.
        over_s = max(SPEED_S, times[-1] - times[-2]) if len(times) > 1 else SPEED_S
        speed, span_s = self._history.speed(times[-1], over_s)
        speed = speed if span_s > 0 else self._usual_px_s
        off_px = NOISE_PX + 0.5 * self._harshest(speed) * (age_s * age_s + age_s * span_s)
        return Place(px=places[-1] + speed * age_s, off_px=off_px, speed_px_s=speed, read_s=times[-1])

    def _harshest(self, speed: float) -> float:
        """The greatest change of speed to be reckoned with, in px/s²."""
        return max(self._usual_px_s, abs(speed)) / self._stop_s


class FollowedTracker:
    """A tracker whose every reading of the belt is passed on before its parts are looked at."""

    def __init__(self, tracker: Tracker, belt: TrackedBelt) -> None:
        self._tracker = tracker
        self._belt = belt

    def update(self, frame: Frame) -> list[Part]:
        """As the tracker inside."""
        parts = self._tracker.update(frame)
        reach_px = FARTHEST * min(frame.image.shape[:2])
        self._belt.follow(self._tracker.travelled, self._tracker.speed_px_s, reach_px)
        return parts

    def finish(self) -> list[Part]:
        """As the tracker inside."""
        return self._tracker.finish()

    @property
    def lapses(self) -> tuple[Lapse, ...]:
        """As the tracker inside."""
        return self._tracker.lapses

    @property
    def entered(self) -> int:
        """As the tracker inside."""
        return self._tracker.entered

    @property
    def outlines(self) -> tuple[Box, ...]:
        """As the tracker inside."""
        return self._tracker.outlines

    @property
    def travelled(self) -> tuple[tuple[float, float], ...]:
        """As the tracker inside."""
        return self._tracker.travelled

    @property
    def looked_s(self) -> float:
        """As the tracker inside."""
        return self._tracker.looked_s

    @property
    def speed_px_s(self) -> float:
        """As the tracker inside."""
        return self._tracker.speed_px_s
