"""Parts that touch all round and hide most of the belt."""

from __future__ import annotations

import pytest

from edge.config import Tracking
from edge.tracking import open_tracker
from tests.fields import Field

NEAR_S = 0.15
ENDS_S = 0.3
"""So near to the first and the last frame a centre may be on either side of the gate."""


@pytest.mark.parametrize(("lanes", "filled", "seed"), [(3, 0.95, 1), (4, 1.0, 4), (4, 0.9, 4), (6, 0.95, 4)])
def test_parts_that_touch_all_round_are_counted(lanes: int, filled: float, seed: int) -> None:
    field = Field(seed, seconds=12, lanes=lanes, filled=filled)
    tracker = open_tracker(Tracking())
    parts = [part for frame in field.frames() for part in tracker.update(frame)] + tracker.finish()
    last_s = 12 - ENDS_S
    waiting = field.crossings
    for part in parts:
        nearest = min(waiting, key=lambda at_s: abs(at_s - part.at_s))
        if abs(nearest - part.at_s) < NEAR_S:
            waiting.remove(nearest)
        else:
            assert not ENDS_S < part.at_s < last_s, "counted what is not there"
    assert not [at_s for at_s in waiting if ENDS_S < at_s < last_s], "missed"
    assert len(parts) > 40
    assert tracker.direction == "right"
