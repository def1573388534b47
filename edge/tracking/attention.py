"""Which frames are looked at: all of them when anything is unusual, and otherwise as few as the belt needs.

Between two frames of a belt that runs on as ever next to nothing happens: a part is seen dozens of times on its way. So
frames are passed over, untouched, until the belt has gone some way since the last one that was looked at. That depends
on what was seen in those, and on the time of this one, never on a clock: the same frames give the same parts, live or
replayed.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.config import Tracking
from edge.tracking.lane import Lane

STEP = 1.0
"""From look to look the belt goes on by no more than this share of a part's thickness."""
FEWEST_LOOKS = 6
"""A part is looked at so often on its way to the gate."""
LONGEST_S = 0.11
"""What happens of a sudden, a stop or a hand, is seen no later: three frames of thirty in a second."""
CALM = 8
"""So many looks, one after the other, must have shown nothing unusual."""


class Attention:
    """Asked with every frame, and told of every look."""

    def __init__(self, config: Tracking) -> None:
        self._all = config.look_at == "all"
        self._pause_s = self._frame_s = 0.0
        self._calm = 0
        self.looked_s = 0.0
        """When the latest frame was taken that was looked at."""

    def is_due(self, at_s: float) -> bool:
        """Whether to look at a frame: the next one, as far off as the one before, would come too late."""
        period_s, self._frame_s = at_s - self._frame_s, at_s
        return period_s <= 0 or self.is_late(at_s + period_s)

    def is_late(self, at_s: float) -> bool:
        """Whether the belt may not go on unseen for so long."""
        return at_s >= self.looked_s + self._pause_s

    def looked(self, at_s: float, lanes: Sequence[Lane], *, watched: bool) -> None:
        """A frame was looked at; `watched`: it is not sure yet what runs there."""
        self.looked_s = at_s
        calm = bool(lanes) and not watched and all(lane.is_calm for lane in lanes)
        self._calm = self._calm + 1 if calm else 0
        self._pause_s = 0.0
        if self._calm >= CALM and not self._all:
            self._pause_s = min(LONGEST_S, min(lane.pause_s(STEP, FEWEST_LOOKS) for lane in lanes))
