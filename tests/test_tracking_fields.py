"""Parts that touch all round and hide most of the belt."""

from __future__ import annotations

import pytest

from edge.config import Tracking
from edge.tracking import open_tracker
from tests.fields import Field

NEAR_S = 0.15


@pytest.mark.parametrize(("lanes", "filled", "seed"), [(3, 0.95, 1), (4, 1.0, 4), (4, 0.9, 5), (6, 0.95, 4)])
def test_parts_that_touch_all_round_are_counted(lanes: int, filled: float, seed: int) -> None:
    field = Field(seed, seconds=12, lanes=lanes, filled=filled)
    tracker = open_tracker(Tracking())
    parts = [part for frame in field.frames() for part in tracker.update(frame)] + tracker.finish()
    waiting = field.crossings
    assert len(parts) == len(waiting) > 40
    for part in parts:
        nearest = min(waiting, key=lambda at_s: abs(at_s - part.at_s))
        assert abs(nearest - part.at_s) < NEAR_S
        waiting.remove(nearest)
    assert tracker.direction == "right"
