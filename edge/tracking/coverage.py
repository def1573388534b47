"""What nobody can answer for: stretches of belt that passed the gate while parts on them may not have been followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.domain import Lapse


@dataclass(slots=True, kw_only=True)
class _Stretch:
    first: float
    """The place on the belt that passes the gate first; places fall from the way out to the way in."""
    last: float


class Coverage:
    """Gathers stretches of belt by what was wrong with them, and gives each once it has passed the gate.

    A place on the belt is where it lies in the picture when the belt is at position 0.
    """

    def __init__(self, gate: float, longest: float) -> None:
        """`longest`: what goes on for more of the belt is told in pieces."""
        self._gate, self._longest = gate, longest
        self._open: dict[str, _Stretch] = {}

    def doubt(self, reason: str, last: float, first: float) -> None:
        """Parts on the belt between two places may not be followed."""
        known = self._open.setdefault(reason, _Stretch(first=first, last=last))
        known.first, known.last = max(known.first, first), min(known.last, last)

    @property
    def is_doubted(self) -> bool:
        """Whether something on its way to the gate will be told."""
        return bool(self._open)

    def passed(self, position: float, when: Callable[[float], float]) -> list[Lapse]:
        """What has passed the gate with the belt at `position`; `when` says at what time a place did."""
        at_gate = self._gate - position
        lapses = []
        for reason, stretch in list(self._open.items()):
            if stretch.last > at_gate:
                lapses.append(Lapse(from_s=when(stretch.first), to_s=when(stretch.last), reason=reason))
                del self._open[reason]
            elif stretch.first - at_gate > self._longest:
                lapses.append(Lapse(from_s=when(stretch.first), to_s=when(at_gate), reason=reason))
                stretch.first = at_gate
        return lapses

    def finish(self, position: float, when: Callable[[float], float]) -> list[Lapse]:
        """No look comes any more: what has passed of the stretches that are still passing."""
        at_gate = self._gate - position
        return [
            Lapse(from_s=when(stretch.first), to_s=when(max(stretch.last, at_gate)), reason=reason)
            for reason, stretch in self._open.items()
            if stretch.first > at_gate
        ]
