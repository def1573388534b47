"""The heart: frames in, verdicts out. No thread, no clock, no file, no network; time comes with the frames.

Therefore the same frames give the same verdicts, live or replayed, today or in a year.
"""

from __future__ import annotations

from collections.abc import Callable

from edge.domain import Classifier, Frame, Part, Tracker, Verdict
from edge.judge import Judge


class Line:
    """One station. `seen` is told of every settled part before it is judged; a collector of pictures sits there."""

    def __init__(
        self, tracker: Tracker, classifier: Classifier, judge: Judge, seen: Callable[[Part], None] | None = None
    ) -> None:
        self.tracker = tracker
        self.classifier = classifier
        self.judge = judge
        self.seen = seen

    def inspect(self, frame: Frame) -> list[Verdict]:
        """Take one frame; give one verdict for each part that it settled."""
        return [self._judged(part) for part in self.tracker.update(frame)]

    def _judged(self, part: Part) -> Verdict:
        if self.seen is not None:
            self.seen(part)
        scores = self.classifier.scores([view.crop for view in part.views]) if part.views else None
        return self.judge.decide(part, scores)
