"""A model at work, with an eye on it: what it was shown and said is counted, and left for others to look at later."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from edge.changeover.history import History, Tally
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


class Works:
    """What every model that was live since the start has done, and how much of it stands in the history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._works: dict[str, Work] = {}
        self._written: dict[str, Tally] = {}

    def of(self, slot: str) -> Work:
        """The work of one model."""
        return self._works.setdefault(slot, Work())

    def begin(self, slot: str) -> None:
        """A model becomes live: count it from 0."""
        self.of(slot).tally = Tally()
        self._written.pop(slot, None)

    def decided(self, verdict: Verdict) -> None:
        """A verdict was committed."""
        work = self._works.get(verdict.model.slot)
        if work is not None:
            work.decided(verdict)

    def write(self) -> None:
        """Put what each has done since the last time into the history."""
        for slot, work in list(self._works.items()):
            done, before = Tally(**asdict(work.tally)), self._written.get(slot, Tally())
            fresh = {key: value - getattr(before, key) for key, value in asdict(done).items()}
            if fresh["parts"] > 0:
                self._history.note("ran", slot, **fresh)
                self._written[slot] = done


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
