"""The parts between the camera's gate and the reject gate, in the order in which they will come to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edge.domain import Verdict

KEPT_BEHIND = 32
"""Parts beyond the gate that are remembered, so that no pulse hits one of them."""


@dataclass(slots=True, kw_only=True)
class Coming:
    """One part on its way."""

    number: int
    goal_px: float
    """The belt's count at which its centre is before the gate."""
    verdict: Verdict | None = None
    due: bool = False
    """It is to be pulsed for, and was not yet."""
    yields: bool = False
    """A pulse may hit it: it is, or was, to be pulsed for."""
    pulse_s: tuple[float, float] | None = None
    """A pulse it was given while nobody knew well where it was; to be confirmed."""
    guessed: bool = False
    """It had such a pulse."""


class Procession:
    """Not thread-safe: whoever owns it has the lock."""

    def __init__(self) -> None:
        self._parts: list[Coming] = []

    def __iter__(self) -> Iterator[Coming]:
        return iter(self._parts)

    def find(self, number: int) -> Coming | None:
        """The part with this number."""
        return next((each for each in self._parts if each.number == number), None)

    def insert(self, part: Coming) -> None:
        """Let a part join at its place."""
        self._parts.append(part)
        self._parts.sort(key=lambda each: each.goal_px)

    def room_px(self, part: Coming, beside_px: float) -> tuple[float, float]:
        """Halfway to the nearest part that shall stay, behind and ahead, on the belt's count.

        Those within `beside_px` do not count: no pulse can part them.
        """
        stays = [each.goal_px for each in self._parts if not each.yields and not _is_beside(each, part, beside_px)]
        behind = max((px for px in stays if px <= part.goal_px), default=-1e18)
        ahead = min((px for px in stays if px > part.goal_px), default=1e18)
        return (behind + part.goal_px) / 2, (ahead + part.goal_px) / 2

    def forget(self, here_px: float) -> None:
        """Let go of parts that are long beyond the gate and settled."""
        behind = [each for each in self._parts if each.goal_px < here_px and not each.due and each.pulse_s is None]
        gone = {id(each) for each in behind[:-KEPT_BEHIND] if each.verdict is not None}
        if gone:
            self._parts = [each for each in self._parts if id(each) not in gone]


def _is_beside(other: Coming, part: Coming, beside_px: float) -> bool:
    return abs(other.goal_px - part.goal_px) <= beside_px
