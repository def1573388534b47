"""Where a settled part must be by now: so that the live picture shows its verdict on it while it leaves."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge.domain import Box, Decision, Part

DIRECTIONS = {"right": (1.0, 0.0), "left": (-1.0, 0.0), "down": (0.0, 1.0), "up": (0.0, -1.0)}
FOLLOWED_S = 1.5
"""For so long the belt is believed to keep its speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A settled part on its way out of the picture."""

    number: int
    box: Box
    """Where it was at `at_s`."""
    at_s: float
    """On the clock of the frames."""
    velocity_px_s: tuple[float, float]
    decision: Decision | None = None

    @property
    def is_across(self) -> bool:
        """It travels to the right or left, so the gate line stands upright."""
        return abs(self.velocity_px_s[0]) >= abs(self.velocity_px_s[1])

    def box_at(self, at_s: float) -> Box | None:
        """Where it is by then if the belt keeps its speed; None when that is too long ago to say."""
        passed_s = at_s - self.at_s
        if not 0 <= passed_s <= FOLLOWED_S:
            return None
        return Box(
            left_px=self.box.left_px + self.velocity_px_s[0] * passed_s,
            top_px=self.box.top_px + self.velocity_px_s[1] * passed_s,
            width_px=self.box.width_px,
            height_px=self.box.height_px,
        )


def track_of(part: Part, at_s: float, direction: str) -> Track | None:
    """Follow a part that the frame at `at_s` has settled; None when nobody knows where it is going.

    `direction` is the configured one; with `auto` two looks at different times tell.
    """
    if not part.views:
        return None
    size = part.views[0].box
    looks = [(view.at_s, *view.box.center_px) for view in part.views] + [(at_s, *part.center_px)]
    first, last = min(looks), max(looks)
    passed_s, right_px, down_px = (end - start for start, end in zip(first, last, strict=True))
    length_px = math.hypot(right_px, down_px)
    seen = (right_px / length_px, down_px / length_px) if passed_s > 0 and length_px > 0 else None
    along = DIRECTIONS.get(direction, seen)
    if along is None:
        return None
    speed_px_s = part.speed_px_s or (length_px / passed_s if passed_s > 0 else 0.0)
    center_x, center_y = part.center_px
    box = Box(
        left_px=center_x - size.width_px / 2,
        top_px=center_y - size.height_px / 2,
        width_px=size.width_px,
        height_px=size.height_px,
    )
    velocity = along[0] * speed_px_s, along[1] * speed_px_s
    return Track(number=part.number, box=box, at_s=at_s, velocity_px_s=velocity)
