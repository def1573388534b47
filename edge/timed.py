"""Stopwatches for the seams: each wraps what it measures, which does not know it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from prometheus_client import Histogram

from edge.domain import Box, Classifier, Frame, Image, Lapse, Part, Scores, Tracker


class TimedTracker:
    """A tracker whose every update is timed."""

    def __init__(self, tracker: Tracker, histogram: Histogram) -> None:
        self._tracker = tracker
        self._histogram = histogram

    def update(self, frame: Frame) -> list[Part]:
        """As the tracker inside."""
        with self._histogram.time():
            return self._tracker.update(frame)

    def finish(self) -> list[Part]:
        """As the tracker inside."""
        return self._tracker.finish()

    @property
    def lapses(self) -> tuple[Lapse, ...]:
        """As the tracker inside."""
        return self._tracker.lapses

    @property
    def entered(self) -> int:
        """As the tracker inside."""
        return self._tracker.entered

    @property
    def outlines(self) -> tuple[Box, ...]:
        """As the tracker inside."""
        return self._tracker.outlines

    @property
    def travelled(self) -> tuple[tuple[float, float], ...]:
        """As the tracker inside."""
        return self._tracker.travelled

    @property
    def looked_s(self) -> float:
        """As the tracker inside."""
        return self._tracker.looked_s

    @property
    def speed_px_s(self) -> float:
        """As the tracker inside."""
        return self._tracker.speed_px_s


class TimedClassifier:
    """A classifier whose every answer is timed, per view and per part."""

    def __init__(
        self,
        classifier: Classifier,
        per_view: Histogram,
        per_part: Histogram,
        told: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`told` hears, for each part, how long one view took."""
        self._classifier = classifier
        self._told = told
        self._per_view = per_view
        self._per_part = per_part

    def scores(self, crops: Sequence[Image]) -> Scores:
        """As the classifier inside."""
        began = time.perf_counter()
        scores = self._classifier.scores(crops)
        took_s = time.perf_counter() - began
        self._per_part.observe(took_s)
        self._told(took_s / len(crops))
        for _ in crops:
            self._per_view.observe(took_s / len(crops))
        return scores
