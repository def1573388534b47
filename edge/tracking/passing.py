"""What of all that is seen is a part, and how far it is on its way past the gate."""

from __future__ import annotations

import numpy as np

from edge.tracking.blobs import Blob, Usual
from edge.tracking.gallery import COARSE
from edge.tracking.measure import Measure, is_usual
from edge.tracking.sight import Sight
from edge.tracking.sightings import FEWEST_LOOKS, PROVEN, Sighting, Sightings
from edge.tracking.unrolled import Unrolled

CUT_OFF = 0.9
"""What reaches the picture's edge and is smaller than this share of a part is cut off there."""
SLIM, EARLY = 5.0, 2.0
"""What is thinner than so many pixels of the unrolled belt is told, but is no part, in the first pictures of belt."""
STAIN = 100.0
"""What stands out less than this (0 to 255), on average, and was not seen to come in is a stain of the belt."""
APART = 0.8
"""Two parts are no nearer to each other than this share of their thickness."""


class Passing:
    """The rules of one lane, asked of each sighting; places and sizes in pixels of the unrolled belt."""

    def __init__(
        self, gate: float, sight: Sight, unrolled: Unrolled, sightings: Sightings, measure: Measure, *, learns: bool
    ) -> None:
        """`learns`: nobody has said how small a part may be."""
        self.gate = gate
        self._sight, self._unrolled, self._sightings, self._measure = sight, unrolled, sightings, measure
        self._learns = learns
        self.strict = False
        """Only what came in with the belt is a part: this lane was taken from another, perhaps for an arm's sake."""
        self.brings = False
        """Whether a part was seen to come in with this belt; an arm that wanders brings none."""

    @property
    def usual(self) -> Usual:
        """What a part is like."""
        return self._measure.usual(each.blob for each in self._sightings.current if each.travels)

    def is_coming(self, each: Sighting) -> bool:
        """Whether it is a part, as far as it has come, that has yet to pass."""
        place = each.blob.center[0] + self._unrolled.position
        return each.travels and each.looks >= 2 * FEWEST_LOOKS and self._is_whole(each) and place < self.gate

    def is_past(self, each: Sighting) -> bool:
        """Whether it has gone from before the gate to behind it."""
        return each.first_place < self.gate <= each.blob.center[0] + self._unrolled.position

    def has_crossed(self, each: Sighting) -> bool:
        """The same, of what is surely there."""
        sure = each.travels and each.looks >= FEWEST_LOOKS and not each.unseen
        return sure and self._is_whole(each) and self.is_past(each)

    def has_slipped_by(self, each: Sighting, watched_from: float) -> bool:
        """A whole part beyond the gate that nobody saw coming: it was hidden, or laid there.

        `watched_from`: where the belt was in the first look that is remembered.
        """
        blob, usual = each.blob, self.usual
        if self.strict or not self.brings or each.first_place < self.gate or not self._is_proven(each):
            return False
        known = self.is_known(each) if usual.settled else each.firm
        if not known or not each.rides or self.is_scratch(blob) or not is_usual(blob, usual):
            return False
        watched = watched_from < self.gate - blob.center[0]
        settled = self._unrolled.has_claim_at(blob.center, APART * usual.thickness)
        return watched and not each.unseen and not settled and self._unrolled.claimed_share(blob) < 0.1

    def is_known(self, each: Sighting) -> bool:
        """Whether it came with the belt, or was seen long and wholly: what reaches in from the side is neither."""
        return each.entered or (each.firm and each.rides and not self.strict)

    def is_credible(self, each: Sighting) -> bool:
        """Whether what crossed the gate is a part, as far as anybody can tell."""
        if self.is_scratch(each.blob) or self.is_stain(each):
            return False
        if self.is_known(each):
            return True
        return not self.strict and each.rides and not each.blob.beside and is_usual(each.blob, self.usual)

    def is_stain(self, each: Sighting) -> bool:
        """Whether it is faint, and grew out of the belt instead of coming in; its rim is soft."""
        return not each.entered and self._unrolled.strength(each.blob) < STAIN

    def is_scratch(self, blob: Blob) -> bool:
        """Whether it is so thin that it may be a belt joint; asked only at first, while no part is known."""
        early = self._learns and abs(self._unrolled.position) < EARLY * self._unrolled.evidence.shape[1]
        thin = blob.thickness < SLIM and max(blob.shape.shape) > 1.5 * blob.thickness
        return early and thin and not self.usual.settled

    def is_cut_off(self, blob: Blob) -> bool:
        """Whether it reaches beyond the picture at a side of the belt, or has an arm there."""
        top, bottom = self._sight.reaches(blob.top * COARSE, blob.bottom * COARSE, COARSE)
        contact = max(np.count_nonzero(blob.shape[0]) * top, np.count_nonzero(blob.shape[-1]) * bottom)
        usual = self.usual
        return contact > 0.5 * blob.thickness and usual.settled and blob.area < CUT_OFF * usual.area

    def _is_whole(self, each: Sighting) -> bool:
        return each.blob.left + self._unrolled.whole >= 1

    def _is_proven(self, each: Sighting) -> bool:
        """Whether it was seen to travel for long, and nothing reaches in to it from a side."""
        seen_over = abs(self._unrolled.position - each.born_at)
        return each.travels and seen_over >= 3 * PROVEN and not each.blob.beside
