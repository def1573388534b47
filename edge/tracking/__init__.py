"""Frames in, each physical part exactly once out: causal, deterministic, numpy and OpenCV only."""

from __future__ import annotations

from edge.config import Tracking
from edge.domain import Tracker
from edge.tracking.tracker import BeltTracker


def open_tracker(config: Tracking) -> Tracker:
    """A tracker for one belt; feed it every frame in order of time."""
    return BeltTracker(config)
