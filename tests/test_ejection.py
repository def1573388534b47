"""Ejection on a virtual clock: no wrong part, none lost without a word. `make soak-line` runs thousands more."""

from __future__ import annotations

import dataclasses
import random

import pytest

pytest.importorskip("gpiozero")

from tests.soak.ejection import CASES, Case, World

PARTS = 150


@pytest.mark.parametrize("name", CASES)
def test_no_wrong_part_is_ejected_and_none_is_lost_in_silence(name: str) -> None:
    seed = random.randrange(2**31)
    case = CASES[name]
    world = World(dataclasses.replace(case, parts=min(case.parts, PARTS)), seed)
    outcome = world.run()
    print(f"{name}, seed {seed}: {outcome}")
    assert outcome.wrong == []
    assert outcome.lost == 0
    assert outcome.driven == outcome.hit + outcome.told
    assert outcome.hit > 0
    if "near" in name:
        assert outcome.told > 0
    elif case.follow != "tracker":
        assert outcome.doubted + outcome.unsure == 0
    assert outcome.stopped == (outcome.told + outcome.unsure > 0 and case.drives == "reject")


def test_a_belt_that_stops_defeats_the_clock_which_is_why_the_belt_is_followed() -> None:
    """The proof that the simulated world notices wrong ejections at all."""
    outcomes = [World(Case(follow="time", parts=PARTS), seed).run() for seed in (1, 2)]
    assert sum(len(each.wrong) + each.lost for each in outcomes) > 10
