"""How far the belt moved from look to look, once it is known how it runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from statistics import median

import numpy as np
from numpy.typing import NDArray

from edge.tracking.motion import NOTICED, Profiles
from edge.tracking.witnesses import Inquiry, moved, vertex

MOST_COLUMNS = 48
"""So many places along the belt are enough to measure a shift."""
FEW_CHANGES = 40
"""With fewer changed places than this it is asked whether the belt may stand still."""
KEY_PX = 4.0
"""A look is compared with the one before which the belt has not moved farther than about this."""
CONTRADICTED = 0.35
"""A band whose word is worth less is asked whether it goes the other way."""
SPEAKS, GOES_ON, HALTS = 0.05, 0.3, 0.6
"""Two bands side by side, each with so large a share of all changes, speak for a motion that leaves less than the
second share of their own unexplained, and against one that leaves more than the third."""
SLOW = 0.5
"""A belt that was last seen to run at less than this share of its usual speed may be about to turn round."""
SURPRISE_PX = 0.75
"""What differs by more than about this from what was expected is asked of parts that surely lie on the belt."""
LONGEST_S = 3.0
"""An arm that moves is not taken for the belt for so long."""
ROOM_PX = 6
"""Known parts are looked for so much farther than the belt may have gone, for a place stands out against others."""
FEW_GUESSES = 3
"""With fewer guesses of late it is the belt that is measured."""
MOST_GUESSES = 15
"""After so many measured looks guesses are forgotten."""


SURE, STEADY = 0.1, 0.15
"""The belt is steady with less doubt than this, and no farther from its usual speed than by this share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How well each shift of an earlier look explains what changed since, in `(bands, shifts, columns)`."""

    shifts: NDArray[np.intp]
    costs: NDArray[np.floating]
    """Grey levels that each shift leaves unexplained, on average; infinite where too little can be compared."""
    by_band: NDArray[np.floating]
    """Their weighted sum, `(bands, shifts)`."""
    still: NDArray[np.floating]
    """The same if nothing had moved, `(bands,)`."""
    weights: Profiles
    """`(bands, columns)`: 0 where nothing changed, else how far the band is trusted."""
    inside: Profiles
    """`(shifts, columns)`: 1 where what a shift brings there was in the picture."""


class Pace:
    """Follows the belt frame by frame; `usual` is its learned speed in small pixels per second.

    Each look is compared with an earlier one from which the belt has moved some pixels, so that fractions of a
    pixel do not add up and a belt that stands still does not creep.
    """

    def __init__(self, usual: float) -> None:
        self.usual = usual
        self._now = usual
        self._followed_s = 0.0
        """For so long what moved over the belt was not believed to be the belt."""
        self._slow = False
        """Whether the belt was slow, or ran back, when its motion was measured last."""
        self._speeds: deque[float] = deque([usual], maxlen=9)
        self._key: Profiles | None = None
        self._since_key = 0.0
        self._trust: Profiles = np.ones((1, 1), dtype=np.float32)
        self.explained = self.unexplained = 0
        """Looks in which much changed, and a shift explains it or none does."""
        self.guesses = 0
        """Looks of late in which the motion could only be guessed, less those since in which it was measured."""
        self.doubt = 0.0
        """Running share of looks in which much changed that no shift explains."""

    @property
    def is_steady(self) -> bool:
        """Whether the belt runs on at its usual speed, without a doubt."""
        told = self.guesses == 0 and self.doubt < SURE and self._followed_s == 0
        return told and abs(self._now - self.usual) < STEADY * self.usual

    @property
    def fastest(self) -> float:
        """The greater of the usual speed and the latest one, in small pixels per second."""
        return max(self.usual, self._now)

    def step(self, profile: Profiles, passed_s: float, asked: Callable[[], Inquiry] = Inquiry) -> float:
        """How far the belt moved since the last look, in small pixels, signed.

        `profile` is that of the look with the empty belt taken off; `asked` tells of the parts that surely
        lie on the belt, when the profile as a whole leaves a doubt.
        """
        key = self._key
        if key is None or passed_s <= 0:
            self._key, self._since_key = profile, 0.0
            self._trust = np.ones((profile.shape[0], 1), dtype=np.float32)
            return 0.0
        unexplained = self.unexplained
        total = self._found(key, profile, passed_s, asked)
        guessed = self.unexplained > unexplained
        self.guesses = min(MOST_GUESSES, self.guesses + 1) if guessed else max(0, self.guesses - 1)
        if total is None:
            self._now += 0.2 * (self.usual - self._now)
            # Against the same earlier look, what goes on and what does not soon differ by more.
            self._since_key += self._now * passed_s
            if abs(self._since_key) >= KEY_PX:
                self._key, self._since_key = profile, 0.0
            return self._now * passed_s
        moved = total - self._since_key
        self._since_key = total
        if abs(total) >= KEY_PX:
            self._key, self._since_key = profile, 0.0
        speed = moved / passed_s
        self._now += 0.6 * (speed - self._now)
        if self.guesses < FEW_GUESSES:  # otherwise it may be an arm that is slow
            self._slow = self._now < SLOW * self.usual
        self._speeds.append(speed)
        middle = median(self._speeds)  # a camera that shakes is as often too fast as too slow
        if middle > 0.3 * self.usual:
            self.usual += 0.05 * (middle - self.usual)
        return moved

    def _found(self, key: Profiles, now: Profiles, passed_s: float, asked: Callable[[], Inquiry]) -> float | None:
        """The shift that turns `key` into `now`; `None` when nothing tells."""
        difference = np.abs(now - key)
        changed = difference > NOTICED
        count = int(np.count_nonzero(changed))
        if count < FEW_CHANGES and count < 0.2 * self._foreseen(key, passed_s):
            return 0.0
        if count < 4:
            return None
        fit = self._fit(key, now, difference, changed, passed_s)
        best = int(np.argmin(fit.costs * (1 + self._off_course(fit.shifts, passed_s))))
        if not self._is_foreseen(float(fit.shifts[best]), self.usual * passed_s):
            best = self._going_on(fit, best, passed_s)
        explained = bool(fit.costs[best] <= 0.6 * fit.still.sum() / max(1e-6, float(fit.weights.sum())))
        found = float(fit.shifts[best]) + vertex(fit.costs, fit.shifts, best)
        if not explained or self._surprises(found - self._since_key, passed_s):
            told, explained = self._testified(found, explained, now, passed_s, asked)
            if told is not None:
                self._count(explained=True)
                return told
        if explained:
            self._count(explained=True)
            self._learn_trust(fit.by_band[:, best], fit.still)
            return found
        if self._rather_stands(fit, passed_s):
            return self._since_key
        self._count(explained=False)
        return None

    def _fit(
        self, key: Profiles, now: Profiles, difference: Profiles, changed: NDArray[np.bool_], passed_s: float
    ) -> Fit:
        """Try every shift the belt may have made, at some of the places that changed."""
        columns = np.flatnonzero(changed.any(axis=0))
        if len(columns) > MOST_COLUMNS:
            columns = columns[:: len(columns) // MOST_COLUMNS + 1]
        weights = changed[:, columns] * self._trust
        shifts = self._candidates(passed_s, now.shape[1])
        sources = columns - shifts[:, None]
        inside = ((sources >= 0) & (sources < now.shape[1])).astype(np.float32)
        wrong = key.take(sources, axis=1, mode="clip")
        np.subtract(now[:, None, columns], wrong, out=wrong)
        np.abs(wrong, out=wrong)
        wrong *= inside
        by_band = (wrong @ weights[:, :, None])[:, :, 0]
        heard = inside @ weights.sum(axis=0)
        costs = by_band.sum(axis=0) / np.maximum(heard, 1e-6)
        costs[heard < 0.3 * float(weights.sum())] = np.inf
        still = (difference[:, columns] * weights).sum(axis=1)
        return Fit(shifts=shifts, costs=costs, by_band=by_band, still=still, weights=weights, inside=inside)

    def _off_course(self, shifts: NDArray[np.intp], passed_s: float) -> NDArray[np.floating]:
        """The dearer, the farther a shift is from where the belt should be by now."""
        expected = self._since_key + self._now * passed_s
        return np.asarray(0.1 * np.abs(shifts - expected) / (abs(expected) + 4))

    def _testified(
        self, found: float, explained: bool, now: Profiles, passed_s: float, asked: Callable[[], Inquiry]
    ) -> tuple[float | None, bool]:
        """`(shift, explained)`: what parts that surely lie on the belt say, and whether `found` still counts."""
        told, disturbed = moved(asked(), now, self._ways(passed_s))
        if told is not None and not (explained and abs(self._since_key + told - found) <= SURPRISE_PX):
            return self._since_key + told, True
        if explained and told is None and disturbed and self._followed_s < LONGEST_S:
            # What lies over the belt goes its own way; the belt hardly changes its speed just now.
            self._followed_s += passed_s
            return None, False
        self._followed_s = 0.0
        return None, explained

    def _count(self, *, explained: bool) -> None:
        """One look more in which much changed."""
        self.doubt += 0.02 * ((0.0 if explained else 1.0) - self.doubt)
        self.explained += explained
        self.unexplained += not explained

    def _surprises(self, step: float, passed_s: float) -> bool:
        """Whether the belt went farther or less far than as of late, or as usual."""
        foreseen = self._now * passed_s, self.usual * passed_s
        return any(abs(step - each) > SURPRISE_PX + 0.1 * abs(each) for each in foreseen)

    def _rather_stands(self, fit: Fit, passed_s: float) -> bool:
        """Where no shift explains the changes: whether they are noise on a belt that stands: going on fits worse."""
        stands = fit.costs[int(np.argmin(np.abs(fit.shifts - self._since_key)))]
        goes = fit.costs[int(np.argmin(np.abs(fit.shifts - self._since_key - self.usual * passed_s)))]
        return bool(np.isfinite(goes) and stands < 0.75 * goes)

    def _going_on(self, fit: Fit, best: int, passed_s: float) -> int:
        """Which shift to believe: `best`, unless it contradicts bands that plainly go on as usual or as of late.

        A belt that changes its speed does so in every band; an arm that wanders over it hides some, however large.
        """
        heard = np.asarray(fit.weights @ fit.inside.T)
        most = heard.max(axis=1, keepdims=True)
        wrong = fit.by_band * most / np.maximum(heard, 1e-6)
        wrong[heard < 0.3 * most] = np.inf
        halts = (fit.still > SPEAKS * fit.still.sum()) & (wrong[:, best] > HALTS * fit.still)
        for speed in (self.usual, self._now):
            step = speed * passed_s
            if self._is_foreseen(float(fit.shifts[best]), step):
                return best
            near = np.abs(fit.shifts - self._since_key - step) <= _off(step)
            plain = halts & (wrong[:, near].min(axis=1, initial=np.inf) < GOES_ON * fit.still)
            if np.any(plain[1:] & plain[:-1]):
                return int(np.argmin(np.where(near, wrong[plain].sum(axis=0), np.inf)))
        return best

    def _is_foreseen(self, shift: float, step: float) -> bool:
        """Whether a shift is about where one more step leads."""
        return abs(shift - self._since_key - step) <= _off(step)

    def _learn_trust(self, wrong: NDArray[np.floating], still: NDArray[np.floating]) -> None:
        """Bands whose changes the motion does not explain (shaking rails, people) lose their say."""
        spoke = still > 2 * NOTICED
        explained = np.minimum(1, np.maximum(0.05, 1 - wrong[spoke] / still[spoke]))
        self._trust[spoke, 0] += 0.05 * (explained - self._trust[spoke, 0])

    @property
    def is_contradicted(self) -> bool:
        """Whether a band keeps changing in a way that this motion does not explain."""
        return bool(self._trust.min() < CONTRADICTED)

    def _foreseen(self, key: Profiles, passed_s: float) -> int:
        """How many places would have changed had the belt gone on."""
        step = int(min(max(2, round(self._now * passed_s), round(self.usual * passed_s)), key.shape[1] - 1))
        count = int(np.count_nonzero(np.abs(key[:, step:] - key[:, :-step]) > NOTICED))
        return count if count >= 10 else 0

    def _ways(self, passed_s: float) -> NDArray[np.intp]:
        """Every step that known parts may have made: back as fast as the belt usually runs, and farther on."""
        usual, latest = self.usual * passed_s, self._now * passed_s
        first, last = 1.3 * min(latest, -usual) - ROOM_PX, 1.3 * max(latest, usual) + ROOM_PX
        return np.arange(int(np.floor(first)), int(np.ceil(last)) + 1)

    def _candidates(self, passed_s: float, along: int) -> NDArray[np.intp]:
        """Shifts to try: as far as the latest speed leads, the usual one, a standstill; when slow, both ways."""
        latest, usual = self._now * passed_s, self.usual * passed_s
        wanted: set[int] = set()
        for step, reach in ((latest, 1.5 + 0.3 * abs(latest)), (0.0, 1.0), (usual, 0.35 * usual)):
            middle = self._since_key + step
            wanted.update(range(floor(middle - reach), ceil(middle + reach) + 1))
        if self._slow:
            wanted.update(range(floor(self._since_key - usual), ceil(self._since_key + usual) + 1))
        limit = int(0.8 * along)
        return np.array(sorted(each for each in wanted if -limit <= each <= limit), dtype=np.intp)


def _off(step: float) -> float:
    """How far a shift may be from where a step leads, and is still that step."""
    return 1.5 + 0.1 * abs(step)
