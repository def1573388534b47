"""The heart: frames in, verdicts out. No thread, no clock, no file, no network; time comes with the frames.

Therefore the same frames give the same verdicts, live or replayed, today or in a year.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from edge.domain import Classifier, Frame, ModelFailed, Part, Tracker, Verdict
from edge.judge import Judge

log = logging.getLogger(__name__)


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
        if not part.views:
            return self.judge.decide(part, None)
        try:
            scores = self.classifier.scores([view.crop for view in part.views])
        except ModelFailed as error:
            log.error("part %d goes to review: %s", part.number, error)
            return self.judge.decide(replace(part, reason="the model did not answer"), None)
        return self.judge.decide(part, scores)
