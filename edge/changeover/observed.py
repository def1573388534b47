"""A model at work, with an eye on it: what it was shown and said is counted, and left for others to look at later."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edge.changeover.history import Tally
from edge.domain import Classifier, Decision, Image, ModelFailed, Scores, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One part as the live model saw it, and what it said."""

    crops: tuple[Image, ...]
    scores: Scores


@dataclass(slots=True, kw_only=True)
class Work:
    """What one model has done since it became live. Written by the inspecting and the delivering thread, a counter
    each; read by others."""

    tally: Tally = field(default_factory=Tally)

    def asked(self, took_ms: float, budget_ms: float) -> None:
        """It was asked about a part, and took so long for each view."""
        self.tally.took_ms += took_ms
        self.tally.late += took_ms > budget_ms

    def decided(self, verdict: Verdict) -> None:
        """A verdict of its own was committed."""
        self.tally.parts += 1
        self.tally.reject += verdict.decision is Decision.REJECT
        self.tally.review += verdict.decision is Decision.REVIEW


class Observed:
    """A classifier whose answers are counted in `work` and shown to `look`, which must not block."""

    def __init__(
        self, classifier: Classifier, work: Work, budget_ms: float, look: Callable[[Look], None] = lambda _: None
    ) -> None:
        self._classifier = classifier
        self._work = work
        self._budget_ms = budget_ms
        self._look = look

    def scores(self, crops: Sequence[Image]) -> Scores:
        """As the classifier inside."""
        began_s = time.perf_counter()
        try:
            scores = self._classifier.scores(crops)
        except ModelFailed:
            self._work.tally.failed += 1
            raise
        self._work.asked(1000 * (time.perf_counter() - began_s) / len(crops), self._budget_ms)
        self._look(Look(crops=tuple(crops), scores=scores))
        return scores
