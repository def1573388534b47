"""The heart: frames in, verdicts out. No thread, no clock, no file, no network; time comes with the frames.

Therefore the same frames give the same verdicts, live or replayed, today or in a year.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from edge.domain import Classifier, Frame, Lapse, ModelFailed, Part, Tracker, Verdict
from edge.judge import Judge

log = logging.getLogger(__name__)

NO_TIME = "no time was left to judge it"


class Budget(Protocol):
    """Who knows the time: how many views of a part may be judged, `waiting` parts being left, this one included."""

    def views(self, part: Part, settled_s: float, waiting: int) -> int:
        """0 when even one would come too late; `settled_s`: when the frame was taken that settled the part."""

    def in_time(self, part: Part) -> bool:
        """Whether a verdict now comes before the part's deadline."""


class Witness(Protocol):
    """Who counts parts beside the camera."""

    def settled(self, part: Part) -> None:
        """The camera settled this one."""

    def unseen(self, now_s: float) -> list[Part]:
        """Parts that the camera should have settled by `now_s`, the time of the latest frame that was looked at."""


class Line:
    """One station. `seen` is told of every settled part before any of its frame is judged; a collector of pictures
    sits there. Without a budget every view is judged, without a witness every part is the tracker's. `lapsed` is told
    when parts may have passed unfollowed."""

    def __init__(
        self,
        tracker: Tracker,
        classifier: Classifier,
        judge: Judge,
        seen: Callable[[Part], None] | None = None,
        *,
        budget: Budget | None = None,
        witness: Witness | None = None,
        lapsed: Callable[[Lapse], None] | None = None,
    ) -> None:
        self.tracker = tracker
        self._model = classifier, judge
        self.seen = seen
        self.budget = budget
        self.witness = witness
        self._lapsed = lapsed
        self._settled = self._unseen = self._waiting = 0
        self._latest_s = 0.0

    def change(self, classifier: Classifier, judge: Judge) -> None:
        """Let another model judge from the next part on; may be called from any thread.

        Classifier and operating point change together, so that no part is judged by two models.
        """
        self._model = classifier, judge

    @property
    def entered(self) -> int:
        """Parts noticed so far, by the tracker or by the witness alone."""
        return self.tracker.entered + self._unseen

    def inspect(self, frame: Frame) -> Iterator[Verdict]:
        """Take one frame; give one verdict for each part that it settled, each as soon as it falls.

        The parts are settled (and `seen`) when this returns; they are judged while the verdicts are taken. The next
        frame may be given before all of them were, but their order is to be kept, and none left out.
        """
        self._latest_s = frame.at_s
        return self._judged_later(self._settled_by(frame))

    def finish(self) -> Iterator[Verdict]:
        """As `inspect`, when no frame comes any more."""
        parts = self.tracker.finish()
        self._tell_lapses()
        if self.witness is not None:
            for part in parts:
                self.witness.settled(part)
        return self._judged_later(parts)

    def _judged_later(self, settled: list[Part]) -> Iterator[Verdict]:
        parts = [self._numbered(part) for part in settled]
        if self.seen is not None:
            for part in parts:
                self.seen(part)
        self._waiting += len(parts)
        settled_s = self._latest_s
        return (self._judged(part, settled_s) for part in parts)

    def _settled_by(self, frame: Frame) -> list[Part]:
        parts = self.tracker.update(frame)
        self._tell_lapses()
        if self.witness is None:
            return parts
        for part in parts:
            self.witness.settled(part)
        unseen = self.witness.unseen(self.tracker.looked_s)
        self._unseen += len(unseen)
        return parts + unseen

    def _tell_lapses(self) -> None:
        if self._lapsed is not None:
            for lapse in self.tracker.lapses:
                self._lapsed(lapse)

    def _numbered(self, part: Part) -> Part:
        self._settled += 1
        return replace(part, number=self._settled)

    def _judged(self, part: Part, settled_s: float) -> Verdict:
        waiting, self._waiting = self._waiting, self._waiting - 1
        classifier, judge = self._model
        if not part.views:
            return judge.decide(part, None)
        count = len(part.views) if self.budget is None else self.budget.views(part, settled_s, waiting)
        if count == 0:
            return judge.decide(replace(part, reason=part.reason or NO_TIME), None)
        try:
            scores = classifier.scores([view.crop for view in part.views[:count]])
        except ModelFailed as error:
            log.error("part %d goes to review: %s", part.number, error)
            return judge.decide(replace(part, reason=error.reason), None)
        if self.budget is not None and not self.budget.in_time(part):
            part = replace(part, reason=part.reason or NO_TIME)
        return judge.decide(part, scores)
