"""Readings of a belt's position, newest last, to be asked where the belt was and when it was somewhere."""

from __future__ import annotations

import bisect

KEPT = 40_000
"""Readings that are remembered: twenty seconds of a fast encoder, many minutes of frames."""
GONE_PX = 1e9


class History:
    """Not thread-safe: whoever owns it has the lock."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.places: list[float] = []

    def add(self, at_s: float, px: float) -> None:
        """One more reading; one that does not come after the last is left out."""
        if self.times and at_s <= self.times[-1]:
            return
        self.times.append(at_s)
        self.places.append(px)
        if len(self.times) > KEPT:
            del self.times[: KEPT // 2], self.places[: KEPT // 2]

    def at(self, at_s: float) -> float | None:
        """Between two readings, evenly; None before the first and after the last."""
        if not self.times or not self.times[0] <= at_s <= self.times[-1]:
            return None
        after = bisect.bisect_left(self.times, at_s)
        if self.times[after] == at_s:
            return self.places[after]
        before = after - 1
        share = (at_s - self.times[before]) / (self.times[after] - self.times[before])
        return self.places[before] + share * (self.places[after] - self.places[before])

    def speed(self, now_s: float, over_s: float) -> tuple[float, float]:
        """`(px_per_s, span_s)` over the last while before `now_s`, as far as the count did not break in it."""
        first = min(bisect.bisect_left(self.times, now_s - over_s), len(self.times) - 1)
        if abs(self.places[-1] - self.places[first]) > GONE_PX / 2:
            first = len(self.times) - 1
        span_s = now_s - self.times[first]
        return ((self.places[-1] - self.places[first]) / span_s if span_s > 0 else 0.0), span_s

    def when(self, px: float) -> float | None:
        """The last time at which the belt passed a place forwards; None when it is not remembered."""
        for index in range(len(self.times) - 1, 0, -1):
            before, after = self.places[index - 1], self.places[index]
            if before < px <= after:
                share = (px - before) / (after - before)
                return self.times[index - 1] + share * (self.times[index] - self.times[index - 1])
        return None
