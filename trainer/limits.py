"""The operating point: from costs to two whole numbers on the int8 logits, and a temperature for the score shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from trainer.recipe import Costs

Floats = NDArray[np.float64]
TEMPERATURES = (0.25, 8.0)
NARROWEST_STEPS = 4
USUAL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How one tensor's int8 numbers are meant: `real = scale * (number - zero_point)`."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """At or below `pass_steps` a part passes, at or above `reject_steps` it is rejected, between them reviewed."""

    pass_steps: int
    reject_steps: int
    temperature: float
    clamped: bool
    """Whether the temperature could not be estimated and stands at the end of what is allowed, or at 1."""

    @property
    def cut_steps(self) -> float:
        """The middle of the review band: where a yes or no is asked for."""
        return (self.pass_steps + self.reject_steps) / 2


def evidence(outputs: NDArray[np.generic], good: NDArray[np.bool_]) -> Floats:
    """Loudest defect minus loudest good, per row of outputs; `good` says which columns are good classes."""
    rows = np.asarray(outputs, dtype=np.float64)
    return np.asarray(rows[:, ~good].max(axis=1) - rows[:, good].max(axis=1))


def columns(labels: Sequence[str], good: Sequence[str]) -> NDArray[np.bool_]:
    """Which outputs stand for good classes."""
    return np.array([each in good for each in labels], dtype=bool)


def middle(steps: Floats, defective: NDArray[np.bool_]) -> float:
    """The evidence at which a part of this mixture is as likely good as defective."""
    slope, shift = _logistic(steps, defective)
    low, high = float(steps.min()), float(steps.max())
    return float(np.clip(-shift / max(slope, 1e-9), low, high))


def even(steps: Floats, defective: NDArray[np.bool_], costs: Costs) -> float:
    """The evidence at which passing a part costs as much as rejecting it, where nothing can be sent to review."""
    slope, shift = _logistic(steps, defective)
    odds = math.log(costs.overkill / costs.escape) - _prior(defective, costs)
    return float(np.clip((odds - shift) / max(slope, 1e-9), steps.min(), steps.max()))


def choose(steps: Floats, defective: NDArray[np.bool_], costs: Costs, scale: float) -> Limits:
    """Limits from the evidence (in steps of `scale`) of parts that were not trained on.

    The probability of a defect is a logistic curve fitted to those parts, with targets held off 0 and 1 by as much
    as their number allows, so that a clean separation does not pretend to certainty. Then each verdict is given
    where it costs least.
    """
    if defective.all():
        # Nothing good was ever seen: nothing may pass.
        return Limits(pass_steps=-255, reject_steps=-255 + NARROWEST_STEPS, temperature=1.0, clamped=True)
    slope, shift = _logistic(steps, defective)
    prior = _prior(defective, costs)
    # Passing costs p * escape, rejecting (1 - p) * overkill, reviewing `review`.
    review = min(costs.review, 0.99 * costs.escape * costs.overkill / (costs.escape + costs.overkill))
    low, high = review / costs.escape, 1 - review / costs.overkill
    passing = (math.log(low / (1 - low)) - prior - shift) / slope
    rejecting = (math.log(high / (1 - high)) - prior - shift) / slope
    bad, fine = steps[defective], steps[~defective]
    # Few parts leave the curve shallow. What was seen counts too: nineteen of twenty good parts pass as long as no
    # defective one would pass with them, and the other way round.
    usual_fine, usual_bad = float(np.quantile(fine, USUAL)), float(np.quantile(bad, 1 - USUAL))
    if usual_bad > usual_fine:
        passing = max(passing, min(usual_fine, float(bad.min()) - NARROWEST_STEPS))
        rejecting = min(rejecting, max(usual_bad, float(fine.max()) + NARROWEST_STEPS))
    first, second = _kept_apart(passing, rejecting, steps)
    raw = 1 / max(slope / scale, 1e-9)
    temperature = float(np.clip(raw, *TEMPERATURES))
    return Limits(
        pass_steps=first,
        reject_steps=second,
        temperature=round(temperature, 4),
        clamped=not math.isclose(raw, temperature),
    )


def _prior(defective: NDArray[np.bool_], costs: Costs) -> float:
    """How much likelier defects are on the line than among these parts, as a logarithm of odds."""
    here = (defective.sum() + 1) / ((~defective).sum() + 1)
    return math.log(costs.defect_share / (1 - costs.defect_share)) - math.log(here)


def _logistic(steps: Floats, defective: NDArray[np.bool_]) -> tuple[float, float]:
    bad, fine = int(defective.sum()), int((~defective).sum())
    target = np.where(defective, (bad + 1) / (bad + 2), 1 / (fine + 2))
    unit = max(float(np.std(steps)), 1e-6)
    x = steps / unit

    def loss(at: Floats) -> float:
        z = np.exp(at[0]) * x + at[1]
        return float(np.sum(np.logaddexp(0, z) - target * z))

    found = minimize(loss, np.array([0.0, 0.0]), method="Nelder-Mead", options={"maxiter": 2000})
    return float(np.exp(found.x[0]) / unit), float(found.x[1])


def _kept_apart(passing: float, rejecting: float, steps: Floats) -> tuple[int, int]:
    """Whole numbers inside the range the model can say, with a review band between them."""
    lowest, highest = float(steps.min()), float(steps.max())
    first = math.floor(np.clip(passing, max(-250, lowest), min(250, highest)))
    second = math.ceil(np.clip(rejecting, max(-250, lowest), min(250, highest)))
    if second - first < NARROWEST_STEPS:
        middle = (first + second) / 2
        first, second = math.floor(middle - NARROWEST_STEPS / 2), math.ceil(middle + NARROWEST_STEPS / 2)
    return first, second
