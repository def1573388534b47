"""What can happen on a line beyond the ordinary, by name."""

from __future__ import annotations

from dataclasses import dataclass

from edge.config import SimulatorSource
from edge.sources.simulation.belt import STEADY, Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a scenario changes; the defaults change nothing."""

    legs: tuple[Leg, ...] = STEADY
    spacing: tuple[float, float] | None = None
    """Smallest and largest distance between centres, in part diameters; `None`: from the configured rate."""
    seams: int = 0
    """Joints per loop of the belt, which is three pictures long."""
    flicker: float = 0.0
    jumps: float = 0.0
    """How much darker every second stretch of four seconds is, as when a camera changes its exposure."""
    vibration_px: float = 0.0
    """At least this much, whatever is configured."""
    longest_drop: int = 0
    """Frames that are lost in a row, at most."""
    lanes: int = 1
    """At least so many."""


SCENARIOS: dict[str, Scenario] = {
    "clean": Scenario(),
    "touching": Scenario(spacing=(1.0, 1.06)),
    "flicker": Scenario(flicker=0.18, jumps=0.15),
    "vibration": Scenario(vibration_px=2.5),
    "seams": Scenario(seams=3),
    "dropped": Scenario(longest_drop=8),
    "stop": Scenario(
        legs=(
            Leg(seconds=4.0),
            Leg(seconds=0.4, end=0.0),
            Leg(seconds=1.6, start=0.0, end=0.0),
            Leg(seconds=0.5, start=0.0),
        )
    ),
    "reverse": Scenario(
        legs=(
            Leg(seconds=4.0),
            Leg(seconds=0.8, end=-0.5),
            Leg(seconds=0.6, start=-0.5, end=-0.5),
            Leg(seconds=0.8, start=-0.5),
        )
    ),
    "two-lanes": Scenario(lanes=2),
}


def scenario_of(config: SimulatorSource) -> Scenario:
    """The scenario that the configuration names."""
    return SCENARIOS[config.scenario]
