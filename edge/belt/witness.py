"""A photo-eye over the belt: it cannot judge parts, but it counts them, and so testifies to what the camera missed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from edge import config
from edge.belt.place import Place
from edge.domain import Part
from edge.pins import Wish, open_switch

PIN = Wish(key="photo_eye.pin", off="photo_eye.enabled: false")
UNSEEN = "only the photo-eye saw this part"
SETTLED_KEPT = 256
NEVER_S = 5.0
"""A count whose place on the belt is not known after so long is believed all the same."""


class Remembering(Protocol):
    """A belt whose past can be asked."""

    def at(self, at_s: float) -> Place | None:
        """Where it was."""

    def passed_px(self, at_s: float) -> float | None:
        """Where it was when a part passed the camera's gate."""

    def when(self, px: float) -> float | None:
        """When it was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interruption:
    begin_s: float
    end_s: float


class Witness:
    """Holds the eye's count against the parts that the camera settled, by their places on the belt.

    `interrupted` may be called from any thread, the rest from the inspecting one.
    """

    def __init__(
        self, settings: config.PhotoEye, belt: Remembering, *, on_unwitnessed: Callable[[Part], None] = lambda _: None
    ) -> None:
        """`on_unwitnessed`: hears of parts that the camera settled and the eye did not see."""
        self._eye_px = settings.distance_px
        self._match_px = settings.match_px
        self._belt = belt
        self._on_unwitnessed = on_unwitnessed
        self._lock = threading.Lock()
        self._counts: list[_Interruption] = []
        self._settled: deque[tuple[float, Part]] = deque(maxlen=SETTLED_KEPT)
        self.counted = 0
        """Parts the eye counted."""

    def interrupted(self, begin_s: float, end_s: float) -> None:
        """Something passed the eye: one part, or several that touch."""
        with self._lock:
            self.counted += 1
            self._counts.append(_Interruption(begin_s=begin_s, end_s=end_s))

    def settled(self, part: Part) -> None:
        """The camera settled a part; the eye looks at one way of travel only."""
        if part.is_against:
            return
        px = self._belt.passed_px(part.at_s)
        if px is not None:
            self._settled.append((px, part))

    def unseen(self, now_s: float) -> list[Part]:
        """Parts that passed the camera's gate by then, and that only the eye saw; `now_s`: of the latest look."""
        here = self._belt.at(now_s)
        here_px = None if here is None else here.px
        with self._lock:
            counts, self._counts = self._counts, []
        waiting: list[_Interruption] = []
        unseen: list[_Interruption] = []
        for each in counts:
            begin_px, end_px = self._crossed_px(each.begin_s), self._crossed_px(each.end_s)
            if begin_px is None or end_px is None or here_px is None:
                (unseen if now_s - each.end_s > NEVER_S else waiting).append(each)
            elif not self._is_settled(min(begin_px, end_px), max(begin_px, end_px)):
                (unseen if here_px - max(begin_px, end_px) > 2 * self._match_px else waiting).append(each)
        with self._lock:
            self._counts = waiting + self._counts
        self._tell_unwitnessed(here_px)
        return [self._part(each) for each in unseen]

    def _crossed_px(self, at_s: float) -> float | None:
        """Where the belt was when what is at the eye at that moment was at the camera's gate."""
        eye = self._belt.at(at_s)
        return None if eye is None else eye.px - self._eye_px

    def _is_settled(self, first_px: float, last_px: float) -> bool:
        """Whether the camera settled parts there; each speaks for one interruption only."""
        low_px, high_px = first_px - self._match_px, last_px + self._match_px
        found = [known for known in self._settled if low_px <= known[0] <= high_px]
        for each in found:
            self._settled.remove(each)
        return bool(found)

    def _tell_unwitnessed(self, here_px: float | None) -> None:
        """The eye should have seen by now what the camera settled so far back."""
        behind_px = max(0.0, self._eye_px) + 2 * self._match_px
        while here_px is not None and self._settled and here_px - self._settled[0][0] > behind_px:
            self._on_unwitnessed(self._settled.popleft()[1])

    def _part(self, each: _Interruption) -> Part:
        """Its middle is that of the places, not of the times: the belt may have stood while it was in the light."""
        begin_px, end_px = self._crossed_px(each.begin_s), self._crossed_px(each.end_s)
        crossed_s = None if begin_px is None or end_px is None else self._belt.when((begin_px + end_px) / 2)
        middle_s = (each.begin_s + each.end_s) / 2
        return Part(number=0, at_s=middle_s if crossed_s is None else crossed_s, views=(), reason=UNSEEN)


class PhotoEye:
    """The pin: a light barrier that is interrupted while a part stands in it."""

    def __init__(self, settings: config.PhotoEye, witness: Witness, *, factory: Any = None) -> None:
        """Take the pin; raises `NoPin`."""
        self._witness = witness
        self._since_s: float | None = None
        self._input = open_switch(PIN, settings.pin, self._changed, active_high=settings.active_high, factory=factory)

    def close(self) -> None:
        """Let go of the pin."""
        self._input.close()

    def _changed(self, interrupted: bool, at_s: float) -> None:
        if interrupted:
            self._since_s = at_s
        elif self._since_s is not None:
            self._witness.interrupted(self._since_s, at_s)
            self._since_s = None
