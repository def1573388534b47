"""What everybody may ask a belt. Positions are pixels of the camera's picture, counted along the travel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the belt was or is at a moment, as well as that can be told."""

    px: float
    off_px: float
    """The truth lies at most so far to either side."""
    speed_px_s: float
    read_s: float
    """When it was last really read; whatever came later is an estimate."""


class Belt(Protocol):
    """A count of how far the belt has come. May be asked from any thread."""

    @property
    def usual_px_s(self) -> float:
        """The speed at which this belt usually runs; 0 until it is known."""

    def at(self, at_s: float) -> Place | None:
        """Where the belt was, or is, at a moment; None when nobody knows."""

    def passed_px(self, at_s: float) -> float | None:
        """Where it was when a part passed the camera's gate, which the tracker says was then; None: nobody knows."""

    def way_px(self, distance_px: float, delay_s: float, ahead_px: float, speed_px_s: float) -> float | None:
        """How far the belt goes between two gates that are `distance_px` apart; one that counts time: `delay_s`.

        `ahead_px`: what a part still has to go to the first, and `speed_px_s`: its speed there. None while that
        cannot be told.
        """
