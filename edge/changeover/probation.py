"""The first parts of a new model: does it do worse than the one before on this line?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from edge.changeover.history import Tally

FAILURES = 3
LATE_SHARE = 0.1
LEAST_PARTS = 20
LEAST_BEFORE = 50
UNUSUAL = 4.0
"""So many standard errors apart, two rates are not the same by chance, though they are compared after every part."""
DRIFTED = 4.0
AS_TRAINED = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probation:
    """What a new model is held against: `before` is what the former one did here."""

    before: Tally
    parts: int
    budget_ms: float

    def worse(self, now: Tally, drift: Callable[[str], float | None] = lambda _: None) -> str:
        """Why the new model must go, after what it did so far; empty as long as it may stay."""
        if now.failed >= FAILURES and now.rate("failed") > self.before.rate("failed"):
            return f"it gave no answer for {now.failed} of {now.parts} parts"
        if now.parts < LEAST_PARTS:
            return ""
        if now.rate("late") > max(LATE_SHARE, 2 * self.before.rate("late")):
            return f"{now.late} of {now.parts} answers took longer than {self.budget_ms:g} ms"
        return self._unlike(now, "reject") or self._unlike(now, "review") or _adrift(drift)

    def over(self, now: Tally) -> bool:
        """Whether it has been watched for long enough."""
        return now.parts >= self.parts

    def _unlike(self, now: Tally, what: str) -> str:
        if self.before.parts < LEAST_BEFORE:
            return ""
        rate, usual = now.rate(what), self.before.rate(what)
        pooled = (rate * now.parts + usual * self.before.parts) / (now.parts + self.before.parts)
        error = math.sqrt(pooled * (1 - pooled) * (1 / now.parts + 1 / self.before.parts))
        if error == 0 or abs(rate - usual) <= UNUSUAL * error:
            return ""
        return f"{what} fell on {100 * rate:.0f} % of {now.parts} parts, {100 * usual:.0f} % with the model before"


def _adrift(drift: Callable[[str], float | None]) -> str:
    """Pictures as in training, but answers unlike those in training: the model, not the light, has changed."""
    evidence, light = drift("evidence"), max(drift("brightness") or 0.0, drift("contrast") or 0.0)
    if evidence is not None and evidence > DRIFTED and light < AS_TRAINED:
        return f"its answers are {evidence:.1f} standard deviations from those in training, the pictures are not"
    return ""
