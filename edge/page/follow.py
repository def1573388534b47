"""Where a settled part must be by now: so that its outline in the live picture gets the colour of its verdict."""

from __future__ import annotations

from dataclasses import dataclass

from edge.domain import Decision, Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A settled part on its way out of the picture."""

    number: int
    center_px: tuple[float, float]
    velocity_px_s: tuple[float, float]
    at_s: float
    """When it was at `center_px`, on the clock of the frames."""
    decision: Decision | None = None

    @property
    def is_across(self) -> bool:
        """It travels to the right or left, so the gate line stands upright."""
        return abs(self.velocity_px_s[0]) >= abs(self.velocity_px_s[1])

    def center_at(self, at_s: float) -> tuple[float, float]:
        """Where it is by then if the belt keeps its speed."""
        passed_s = at_s - self.at_s
        return (
            self.center_px[0] + self.velocity_px_s[0] * passed_s,
            self.center_px[1] + self.velocity_px_s[1] * passed_s,
        )


def track_of(part: Part, at_s: float) -> Track | None:
    """Follow a part that the frame at `at_s` has settled; None without two looks at different times."""
    looks = [(view.at_s, *view.box.center_px) for view in part.views] + [(at_s, *part.center_px)]
    first, last = min(looks), max(looks)
    passed_s, right_px, down_px = (end - start for start, end in zip(first, last, strict=True))
    if passed_s <= 0:
        return None
    velocity = right_px / passed_s, down_px / passed_s
    return Track(number=part.number, center_px=part.center_px, velocity_px_s=velocity, at_s=at_s)
