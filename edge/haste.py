"""When there is more to judge than time: the best view of a part is never shed, the others are."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

from edge.domain import Part

RECALLED = 15
"""The cost of a view is the usual one of so many parts."""
SAFETY = 1.25
SPARE_S = 0.02
"""For what comes after judging: the journal, the pin."""
MOST_WAITING = 100
"""More parts than this are not kept waiting, whatever their deadline: the oldest goes to review."""


class Haste:
    """How many views of each part there is time for. For a live line only: a replay has all the time it wants."""

    def __init__(
        self,
        hurry_s: float,
        deadline_s: float,
        *,
        eject_s: Callable[[Part], float | None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`deadline_s` counts from the gate, 0 means none; `eject_s`: when a part is before the reject gate."""
        self._hurry_s = hurry_s
        self._deadline_s = deadline_s
        self._eject_s = eject_s
        self._clock = clock
        self._views_s: deque[float] = deque(maxlen=RECALLED)

    def took(self, view_s: float) -> None:
        """A view has just taken so long to classify."""
        self._views_s.append(view_s)

    def in_time(self, part: Part) -> bool:
        """Whether a verdict now is one before the part's deadline."""
        return self._clock() <= self._due_s(part)

    def views(self, part: Part, settled_s: float, waiting: int) -> int:
        """How many of its views may be judged; 0 when even one would come too late.

        `settled_s`: when the frame was taken that settled it; `waiting`: parts that have yet to be judged, this one
        included.
        """
        wanted = len(part.views)
        now_s = self._clock()
        if waiting > MOST_WAITING:
            return 0
        if now_s - settled_s > self._hurry_s:
            wanted = min(wanted, 1)
        left_s = self._due_s(part) - now_s - SPARE_S
        view_s = SAFETY * median(self._views_s) if self._views_s else 0.0
        if left_s < view_s or left_s < 0:
            if self._views_s:
                self._views_s.popleft()  # what was slow once is not believed to be slow for ever
            return 0
        while wanted > 1 and (wanted + waiting - 1) * view_s > left_s:
            wanted -= 1
        return wanted

    def _due_s(self, part: Part) -> float:
        eject_s = self._eject_s(part)
        due_s = float("inf") if eject_s is None else eject_s
        return min(due_s, part.at_s + self._deadline_s) if self._deadline_s else due_s
