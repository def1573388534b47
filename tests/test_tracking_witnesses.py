"""Parts that lie on the belt say how far it went, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from edge.tracking.motion import BANDS, Profiles
from edge.tracking.witnesses import Inquiry, Witness, is_there, moved, shows, witness_of

ALONG = 200
STEPS = np.arange(-15, 16)


def belt(part_at: int | None, arm_at: int | None = None) -> Profiles:
    """A part in bands 4 to 6, 40 px long, with a pattern of its own; an arm in all bands, 30 px wide."""
    profile = np.random.default_rng(1).normal(0, 0.3, (BANDS, ALONG)).astype(np.float32)
    if part_at is not None:
        profile[4:7, part_at : part_at + 40] += 20 + 15 * np.sin(np.arange(40) / 3)
    if arm_at is not None:
        profile[:, arm_at : arm_at + 30] = 60
    return profile


def part_seen(at: int = 60) -> Witness:
    seen = witness_of(belt(at), BANDS, (4.0, 7.0), (at, at + 40), position=0.0)
    assert seen is not None
    return seen


@pytest.mark.parametrize("step", [-6, 0, 9])
def test_a_part_tells_how_far_the_belt_went(step: int) -> None:
    inquiry = Inquiry(witnesses=[part_seen()], position=20.0)
    assert moved(inquiry, belt(80 + step), STEPS) == (pytest.approx(step, abs=0.3), False)


def test_an_arm_that_moves_elsewhere_is_not_listened_to() -> None:
    inquiry = Inquiry(witnesses=[part_seen()], position=20.0)
    told, _ = moved(inquiry, belt(84, arm_at=150), STEPS)
    assert told == pytest.approx(4, abs=0.3)


def test_a_part_under_an_arm_says_only_that_there_is_one() -> None:
    inquiry = Inquiry(witnesses=[part_seen()], position=20.0)
    assert moved(inquiry, belt(None, arm_at=85), STEPS) == (None, True)


def test_a_part_that_has_left_the_picture_says_nothing() -> None:
    inquiry = Inquiry(witnesses=[part_seen()], position=190.0)
    assert moved(inquiry, belt(None), STEPS) == (None, False)


def test_parts_that_disagree_are_not_believed() -> None:
    later = witness_of(belt(110), BANDS, (4.0, 7.0), (110, 150), position=0.0)
    assert later is not None
    inquiry = Inquiry(witnesses=[part_seen(20), later], position=0.0)
    both = belt(23) + belt(118)
    assert moved(inquiry, both, STEPS)[0] is None


def test_what_rides_is_found_where_the_belt_took_it() -> None:
    assert is_there(part_seen(), belt(90), position=30.0)
    assert not is_there(part_seen(), belt(60), position=30.0)
    assert not is_there(part_seen(), belt(None), position=30.0)


def test_how_much_is_left_in_its_place() -> None:
    assert shows(part_seen(), belt(90), position=30.0) == pytest.approx(1, abs=0.05)
    assert shows(part_seen(), belt(None), position=30.0) < 0.1
    assert shows(part_seen(), belt(None, arm_at=95), position=30.0) > 1
    assert shows(part_seen(), belt(None), position=500.0) == 1


def test_a_part_in_the_last_rows_which_no_band_holds() -> None:
    seen = witness_of(belt(60), BANDS, (12.1, 12.6), (60, 100), position=0.0)
    assert seen is not None
    assert list(seen.rows) == [BANDS - 1]


def test_what_is_hardly_in_the_picture_is_no_witness() -> None:
    assert witness_of(belt(60), BANDS, (4.0, 7.0), (ALONG - 1, ALONG + 40), position=0.0) is None
