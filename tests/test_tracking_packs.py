"""Coloured packs longer than half of the picture, filmed by hand, one of them there from the first frame on."""

from __future__ import annotations

import pytest

from edge.config import Tracking
from edge.tracking import open_tracker
from tests.packs import Packs


@pytest.mark.parametrize("seed", [2, 3])
def test_large_packs_are_counted_from_the_first(seed: int) -> None:
    packs = Packs(seed, seconds=9)
    tracker = open_tracker(Tracking())
    parts = [part for frame in packs.frames() for part in tracker.update(frame)] + tracker.finish()
    assert [part.at_s for part in parts] == pytest.approx(packs.crossings, abs=0.1)
    assert tracker.direction == "right"
