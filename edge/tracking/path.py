"""Where the belt was when: the latest looks' times and positions."""

from __future__ import annotations

from collections import deque

LOOKS = 240
"""So many looks are remembered."""


class Path:
    """Positions in pixels of the unrolled belt, falling when it runs back."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float]] = deque(maxlen=LOOKS)

    def __bool__(self) -> bool:
        return bool(self._steps)

    def add(self, at_s: float, position: float) -> None:
        """The belt's position at one more look."""
        self._steps.append((at_s, position))

    @property
    def last_s(self) -> float:
        """When the latest look was taken."""
        return self._steps[-1][0]

    @property
    def first(self) -> float:
        """The position at the earliest look that is remembered."""
        return self._steps[0][1]

    def at(self, at_s: float) -> float:
        """Where the belt was between the latest two looks."""
        (before_s, before), (after_s, after) = self._steps[-2], self._steps[-1]
        return before + (after - before) * (at_s - before_s) / (after_s - before_s)

    def when(self, goal: float) -> float:
        """About when the belt first came to this position, as far as is remembered."""
        return next((at_s for at_s, position in self._steps if position >= goal), self.last_s)

    def crossed(self, goal: float) -> tuple[float, float] | None:
        """When the belt last came past this position, between two looks, and how fast it ran around then."""
        path = list(self._steps)
        for index in range(len(path) - 1, 0, -1):
            (before_s, before), (after_s, after) = path[index - 1], path[index]
            if before < goal <= after:
                first, last = path[max(0, index - 4)], path[min(len(path) - 1, index + 3)]
                speed = (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0
                return before_s + (goal - before) / (after - before) * (after_s - before_s), speed
        return None
