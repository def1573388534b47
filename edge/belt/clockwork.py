"""The belt that is believed to run evenly for ever: its pixels are seconds."""

from __future__ import annotations

from edge.belt.place import Place


class Clockwork:
    """For `reject.follow: time`."""

    usual_px_s = 1.0

    def at(self, at_s: float) -> Place | None:
        """The moment itself."""
        return Place(px=at_s, off_px=0.0, speed_px_s=1.0, read_s=at_s)

    def passed_px(self, at_s: float) -> float | None:
        """The moment itself."""
        return at_s

    def way_px(self, distance_px: float, delay_s: float, ahead_px: float, speed_px_s: float) -> float | None:
        """The time that the way takes at the part's speed, or the delay."""
        if speed_px_s <= 0:
            return delay_s
        return ahead_px / speed_px_s + (distance_px / speed_px_s if distance_px else delay_s)
