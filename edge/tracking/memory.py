"""What parts on the belt looked like, so that they can be known again and asked how far it went."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from edge.tracking.blobs import Blob
from edge.tracking.gallery import COARSE, Gallery
from edge.tracking.motion import BANDS, Profiles
from edge.tracking.sight import Sight
from edge.tracking.sightings import Sighting
from edge.tracking.witnesses import Inquiry, Witness, is_there, shows, witness_of

SETTLED = 3
"""So many parts that were settled tell how far the belt goes while they are in the picture."""
RIDDEN, AGAIN = 6.0, 16.0
"""The belt must have gone on so far for it to be seen that something rides; and what rides is looked at anew."""
BARE = 0.4
"""Where less than this share of what a part showed is to be seen, it is not there any more."""


class Memory:
    """Positions are the belt's, in pixels of the unrolled belt."""

    def __init__(self, sight: Sight, gallery: Gallery) -> None:
        self._gallery = gallery
        self._along, self._across = sight.size
        self._profile: Profiles = np.zeros((1, 1), dtype=np.float32)
        self._settled: deque[Sighting] = deque(maxlen=SETTLED)

    def see(self, profile: Profiles) -> None:
        """The profile of the latest look, with the empty belt taken off."""
        self._profile = profile

    def settle(self, each: Sighting) -> None:
        """It was handed out; while it is in the picture it still can be asked."""
        if each.entered:
            self._settled.append(each)

    def refresh(self, position: float) -> None:
        """Look again at what was handed out."""
        while self._settled and (self._settled[0].blob.left + position) * COARSE >= self._along:
            self._settled.popleft()
        for each in self._settled:
            self._watch(each, position)

    def know(self, each: Sighting, position: float) -> None:
        """Keep what it looks like."""
        if each.firm and each.portrayed is None:
            each.portrayed = each.blob
            self._gallery.portray(each)
        if each.firm or not each.entered:
            self._watch(each, position)

    def inquiry(self, current: Sequence[Sighting], position: float) -> Inquiry:
        """The parts that surely lie on the belt, and whether something else lies over it."""
        known = [each for each in current if each.firm and each.entered and not each.unseen]
        return Inquiry(
            witnesses=[each.witness for each in [*known, *self._settled] if each.witness is not None],
            position=position * COARSE,
            disturbed=any(each.blob.beside and not each.travels for each in current),
        )

    def is_gone(self, each: Sighting, position: float) -> bool:
        """Whether the latest look shows bare belt in its place: a hand took it a moment ago."""
        return each.witness is not None and shows(each.witness, self._profile, position * COARSE) < BARE

    def _watch(self, each: Sighting, position: float) -> None:
        """Whether the picture of it goes with the belt; what did not come in with the belt may be an arm."""
        place = position * COARSE
        if each.witness is None:
            each.witness = self._seen_as(each.blob, position)
        elif abs(place - each.witness.position) >= (AGAIN if each.entered else RIDDEN) * COARSE:
            each.rides = is_there(each.witness, self._profile, place)
            if each.rides or not each.entered:
                each.witness = self._seen_as(each.blob, position)

    def _seen_as(self, blob: Blob, position: float) -> Witness | None:
        """What the latest look shows in a blob's place."""
        bands = min(BANDS, self._across)
        per_row = COARSE / (self._across // bands)
        rows = blob.top * per_row, blob.bottom * per_row
        columns = (blob.left + position) * COARSE, (blob.right + position) * COARSE
        return witness_of(self._profile, bands, rows, columns, position * COARSE)
