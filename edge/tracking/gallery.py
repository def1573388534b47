"""The latest full pictures, where the belt was in each, and what of a part they show."""

from __future__ import annotations

from collections import deque

from edge.domain import Box, Image, View
from edge.tracking.blobs import Blob
from edge.tracking.sight import Sight
from edge.tracking.sightings import Sighting
from edge.tracking.views import Look, best_views, is_plain, portrait_of, resembles

COARSE = 2
"""The unrolled belt is kept this much coarser than the small picture."""
VIEW_LOOKS = 8
"""So many pictures are kept for views."""


class Gallery:
    """Blobs are in places of the unrolled belt."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._pictures: deque[tuple[float, float, Image]] = deque(maxlen=VIEW_LOOKS)

    def add(self, at_s: float, position: float, image: Image) -> None:
        """One more picture, with the belt at `position`."""
        self._pictures.append((at_s, position, image))

    def portray(self, each: Sighting) -> None:
        """Keep what it looks like in the latest picture, if there is one, to know it again."""
        if self._pictures:
            _, position, image = self._pictures[-1]
            each.portrait = portrait_of(image, self.box(each.blob, position))

    def views(self, each: Sighting, count: int, margin: float) -> tuple[View, ...]:
        """The best pictures of a part that still show what was seen when it became firm."""
        where = {at_s: position for at_s, position, _ in self._pictures}
        looks = [(at_s, image, self.box(each.blob, position)) for at_s, position, image in self._pictures]
        portrait, portrayed = each.portrait, each.portrayed
        if portrait is None or portrayed is None or is_plain(portrait):
            return best_views(looks, count, margin, lambda _: True)

        def shows(look: Look) -> bool:
            return resembles(look[1], self.box(portrayed, where[look[0]]), portrait)

        return best_views(looks, count, margin, shows)

    def box(self, blob: Blob, position: float) -> Box:
        """Where a blob is in the full picture when the belt is at `position`."""
        left, right = (blob.left + position) * COARSE, (blob.right + position) * COARSE
        return self._sight.box(left, blob.top * COARSE, right, blob.bottom * COARSE)
