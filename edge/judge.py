"""Scores of several views and the bundle's limits make one decision. Integers only, so every machine decides alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edge.domain import NO_MODEL, Decision, ModelId, Part, Scores, Verdict

NOT_SEEN = "no usable view"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The operating point of one model.

    Evidence of one view is its loudest defect output minus its loudest good output, in int8 steps; the
    evidence of a part is the mean over its views, which for logits is the mean of log-odds. A part passes at
    or below `pass_steps`, is rejected at or above `reject_steps`, and is reviewed in between.
    """

    labels: tuple[str, ...]
    good: frozenset[str]
    pass_steps: int
    reject_steps: int
    log_odds_per_step: float
    """Turns evidence into a calibrated probability for people to read; no decision depends on it."""
    model: ModelId = NO_MODEL
    """The model whose operating point this is; each verdict names it."""

    _good: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _bad: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        columns = range(len(self.labels))
        object.__setattr__(self, "_good", tuple(each for each in columns if self.labels[each] in self.good))
        object.__setattr__(self, "_bad", tuple(each for each in columns if self.labels[each] not in self.good))

    def decide(self, part: Part, scores: Scores | None) -> Verdict:
        """Judge one part; `scores` is None when nothing could be classified. Never raises for a part's sake."""
        why = NOT_SEEN if scores is None or not scores.unusable else f"{NOT_SEEN}: {scores.unusable}"
        reason = part.reason or ("" if scores is not None and len(scores.outputs) else why)
        if scores is None or not len(scores.outputs):
            return self._verdict(part, Decision.REVIEW, "", reason, score=0.5, views=0)
        outputs: list[list[int]] = scores.outputs.tolist()
        total = sum(max(row[each] for each in self._bad) - max(row[each] for each in self._good) for row in outputs)
        views = len(outputs)
        decision = Decision.REVIEW if reason else self._compare(total, views)
        if decision is Decision.REVIEW and not reason:
            reason = "between the limits"
        label = self._label([sum(column) for column in zip(*outputs, strict=True)], decision)
        return self._verdict(part, decision, label, reason, score=self._probability(total / views), views=views)

    def _compare(self, total_steps: int, views: int) -> Decision:
        if total_steps <= self.pass_steps * views:
            return Decision.PASS
        return Decision.REJECT if total_steps >= self.reject_steps * views else Decision.REVIEW

    def _label(self, totals: list[int], decision: Decision) -> str:
        """The loudest class among those that the decision allows, so that no reject is called good."""
        allowed = {Decision.PASS: self._good, Decision.REJECT: self._bad}.get(decision, range(len(totals)))
        return self.labels[max(allowed, key=lambda each: totals[each])]

    def _probability(self, steps: float) -> float:
        return round(1 / (1 + math.exp(-max(-60.0, min(60.0, steps * self.log_odds_per_step)))), 4)

    def _verdict(self, part: Part, decision: Decision, label: str, reason: str, *, score: float, views: int) -> Verdict:
        return Verdict(
            number=part.number,
            decision=decision,
            label=label,
            reason=reason if decision is Decision.REVIEW else "",
            score=score,
            limits=(self._probability(self.pass_steps), self._probability(self.reject_steps)),
            views=views,
            captured_at_s=part.at_s,
            speed_px_s=part.speed_px_s,
            model=self.model,
        )
