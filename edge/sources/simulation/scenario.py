"""What can happen on a line beyond the ordinary, by name."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import PCG64, Generator

from edge.config import SimulatorSource
from edge.sources.simulation.belt import STEADY, Leg

LEAD_S = 0.5
"""The belt is empty for so long before the first part can be seen."""


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
    opposed: bool = False
    """Every second lane is a belt of its own that runs the other way."""
    factors: tuple[float, ...] = ()
    """The belt runs at one of so many times the configured speed; the seed says at which."""
    lead_s: float | None = LEAD_S
    """How long the belt is empty at first; `None`: it begins full."""
    rest: tuple[int, float] | None = None
    """After so many parts of a lane the belt stays empty for so many seconds."""
    bar: bool = False
    """Whether something fixed spans the belt, above the parts."""
    sideways: bool = False
    """Whether parts are pushed in from the side, or lie partly beyond the picture's edge."""
    hand: str = ""
    """`over`: an arm comes and goes over the belt; `taking`: it takes parts away before the middle of the picture."""


SCENARIOS: dict[str, Scenario] = {
    "clean": Scenario(),
    "touching": Scenario(spacing=(1.0, 1.06)),
    "overlapping": Scenario(spacing=(0.93, 1.05)),
    "flicker": Scenario(flicker=0.18, jumps=0.15),
    "vibration": Scenario(vibration_px=2.5),
    "seams": Scenario(seams=3),
    "bar": Scenario(bar=True),
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
    "speeds": Scenario(
        legs=(
            Leg(seconds=4.0),
            Leg(seconds=1.5, end=3.0),
            Leg(seconds=3.0, start=3.0, end=3.0),
            Leg(seconds=2.0, start=3.0, end=0.3),
            Leg(seconds=5.0, start=0.3, end=0.3),
            Leg(seconds=1.0, start=0.3),
        )
    ),
    "wrong-speed": Scenario(factors=(0.3, 0.5, 2.0, 3.0)),
    "side": Scenario(sideways=True),
    "taken": Scenario(hand="taking"),
    "hand": Scenario(hand="over"),
    "two-lanes": Scenario(lanes=2),
    "opposed": Scenario(lanes=2, opposed=True),
    "empty": Scenario(lead_s=25.0, rest=(6, 40.0)),
    "full": Scenario(lead_s=None),
    "crowded": Scenario(lead_s=None, spacing=(1.0, 1.06)),
}


def scenario_of(config: SimulatorSource) -> Scenario:
    """The scenario that the configuration names."""
    return SCENARIOS[config.scenario]


def legs_of(config: SimulatorSource) -> tuple[Leg, ...]:
    """How the belt of this story runs."""
    scenario = scenario_of(config)
    if not scenario.factors:
        return scenario.legs
    chance = Generator(PCG64([config.seed, 0x5EED]))
    factor = scenario.factors[int(chance.integers(len(scenario.factors)))]
    return tuple(Leg(seconds=leg.seconds, start=leg.start * factor, end=leg.end * factor) for leg in scenario.legs)
