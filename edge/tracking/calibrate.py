"""From a minute of ordinary production to a proposal: direction, speed, part size, region, gate; and the doubts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from statistics import median

import cv2
import numpy as np

from edge.config import Tracking
from edge.domain import Box, Frame, Image, Part
from edge.tracking.tracker import BeltTracker

AXIS = {"x": ("right", "left"), "y": ("down", "up")}
SMALLEST_SHARE = 0.5
"""The smallest thing that counts, as a share of the smaller parts seen."""
ROOM = 0.35
"""Room beside the parts across the belt, in parts, that belongs to the region."""
WORTH_CUTTING = 0.1
"""A region is proposed only where it takes away at least this share of the picture on a side."""
FEW_PARTS, FEW_LOOKS = 5, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What was understood; `tracking` is ready to be used."""

    tracking: Tracking
    understood: bool
    """Whether a moving belt was found at all."""
    frames: int
    seconds: float
    parts: int
    part_px: tuple[float, float]
    """Median width and height of the parts."""
    polarity: str
    """`brighter`, `darker` or `mixed`, against the belt around them; for people, the tracker does not need it."""
    doubts: tuple[str, ...]
    picture: Image | None = None
    """A frame with parts in it."""
    outlines: tuple[Box, ...] = ()
    """Where parts are in `picture`."""


def calibrate(frames: Iterable[Frame], gate: float | None = None, axis: str | None = None) -> Proposal:
    """Watch ordinary production and propose how to track it.

    `gate`: the share of the picture at which a part counts; `axis` `x` or `y` when the way of travel is known to run
    along it. Takes every frame once and keeps few of them.
    """
    watch = _Watch(gate, axis)
    for frame in frames:
        watch.look(frame)
    watch.end()
    return watch.proposal()


def confirm(proposal: Proposal, frames: Iterable[Frame]) -> Proposal:
    """Track the same frames as proposed; if the count differs from the first look, that is one doubt more."""
    tracker = BeltTracker(proposal.tracking)
    count = sum(len(tracker.update(frame)) for frame in frames) + len(tracker.finish())
    if count == proposal.parts:
        return proposal
    doubt = f"watching openly counted {proposal.parts} parts, tracking as proposed {count}; look at the picture"
    return replace(proposal, parts=count, doubts=(*proposal.doubts, doubt))


class _Watch:
    """Follows the frames with nothing known; when the way of travel is given, with both ways along it."""

    def __init__(self, gate: float | None, axis: str | None) -> None:
        self._open = Tracking(gate=0.5 if gate is None else gate, views=1)
        ways = AXIS[axis] if axis else ("auto",)
        self._trackers = [BeltTracker(replace(self._open, direction=way, look_at="all")) for way in ways]
        self._parts: dict[int, list[Part]] = {index: [] for index in range(len(ways))}
        self._frames = 0
        self._first_s = self._last_s = 0.0
        self._size = (0, 0)
        self._picture: Image | None = None
        self._outlines: tuple[Box, ...] = ()

    def look(self, frame: Frame) -> None:
        self._frames += 1
        self._first_s = frame.at_s if self._frames == 1 else self._first_s
        self._last_s = frame.at_s
        self._size = frame.image.shape[1], frame.image.shape[0]
        for index, tracker in enumerate(self._trackers):
            self._parts[index].extend(tracker.update(frame))
            if len(tracker.outlines) > len(self._outlines) or (tracker.outlines and self._picture is None):
                self._picture, self._outlines = frame.image, tracker.outlines

    def end(self) -> None:
        """A short clip is learned from when it is over."""
        for index, tracker in enumerate(self._trackers):
            self._parts[index].extend(tracker.finish())

    def proposal(self) -> Proposal:
        best = max(range(len(self._trackers)), key=lambda index: len(self._parts[index]))
        tracker, parts = self._trackers[best], self._parts[best]
        boxes = [part.views[0].box for part in parts if part.views]
        if not tracker.direction:
            doubt = "no motion of a belt was found: let it run with parts on it, and keep the camera still"
            return self._found(self._open, parts, understood=False, doubts=(doubt,))
        across = 1 if tracker.direction in ("right", "left") else 0
        tracking = replace(
            self._open,
            views=Tracking().views,
            direction=tracker.direction,
            speed_px_s=round(tracker.speed_px_s, 1),
            part_min_px=round(_smallest(boxes), 1),
            region=_region(boxes, self._size, across),
        )
        return self._found(tracking, parts, understood=True, doubts=tuple(self._doubts(tracking, parts, boxes, across)))

    def _found(self, tracking: Tracking, parts: list[Part], *, understood: bool, doubts: tuple[str, ...]) -> Proposal:
        boxes = [part.views[0].box for part in parts if part.views]
        return Proposal(
            tracking=tracking,
            understood=understood,
            frames=self._frames,
            seconds=self._last_s - self._first_s,
            parts=len(parts),
            part_px=(median(b.width_px for b in boxes), median(b.height_px for b in boxes)) if boxes else (0.0, 0.0),
            polarity=_polarity(parts),
            doubts=doubts,
            picture=self._picture,
            outlines=self._outlines,
        )

    def _doubts(self, tracking: Tracking, parts: list[Part], boxes: list[Box], across: int) -> list[str]:
        found = []
        if len(parts) < FEW_PARTS:
            found.append(f"only {len(parts)} part(s) passed the gate; watch longer to be sure of size and region")
        lost = sum(1 for part in parts if part.reason)
        if lost:
            found.append(f"{lost} of {len(parts)} parts had no clear view or vanished before the gate")
        speeds = [part.speed_px_s for part in parts if part.speed_px_s > 0]
        if speeds and max(speeds) > 1.4 * min(speeds):
            found.append(f"the belt ran at {min(speeds):.0f} to {max(speeds):.0f} px/s; was that meant?")
        longs = sorted(max(box.width_px, box.height_px) for box in boxes)
        if longs and longs[-1] > 2 * longs[0]:
            found.append(f"parts measured {longs[0]:.0f} to {longs[-1]:.0f} px; small ones may be debris")
        length = self._size[1 - across]
        period_s = (self._last_s - self._first_s) / max(1, self._frames - 1)
        travel = tracking.gate if tracking.direction in ("right", "down") else 1 - tracking.gate
        looks = travel * length / max(1e-6, tracking.speed_px_s * period_s)
        if looks < FEW_LOOKS:
            found.append(f"a part is seen only {looks:.1f} times before the gate; take more frames/s or move the gate")
        edges = [box for box in boxes if _touches(box, self._size, across)]
        if edges:
            found.append(f"{len(edges)} part(s) reached the picture's edge beside the belt; let the camera see more")
        return found


def _smallest(boxes: list[Box]) -> float:
    if not boxes:
        return 0.0
    return SMALLEST_SHARE * float(np.quantile([max(box.width_px, box.height_px) for box in boxes], 0.1))


def _region(boxes: list[Box], size: tuple[int, int], across: int) -> tuple[float, float, float, float]:
    """All of the belt along it; across it what the parts used, with room beside."""
    if not boxes:
        return 0.0, 0.0, 1.0, 1.0
    begins = [box.top_px if across else box.left_px for box in boxes]
    sizes = [box.height_px if across else box.width_px for box in boxes]
    room = ROOM * median(sizes)
    low = max(0.0, (min(begins) - room) / size[across])
    high = min(1.0, (max(b + s for b, s in zip(begins, sizes, strict=True)) + room) / size[across])
    low = round(low, 3) if low >= WORTH_CUTTING else 0.0
    high = round(high, 3) if high <= 1 - WORTH_CUTTING else 1.0
    return (0.0, low, 1.0, high) if across else (low, 0.0, high, 1.0)


def _touches(box: Box, size: tuple[int, int], across: int) -> bool:
    begin, length = (box.top_px, box.height_px) if across else (box.left_px, box.width_px)
    return begin <= 1 or begin + length >= size[across] - 1


def _polarity(parts: list[Part]) -> str:
    differences = []
    for part in parts:
        for view in part.views[:1]:
            crop = view.crop
            gray = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) if crop.ndim == 3 else crop, dtype=np.uint8)
            rim = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
            inside = gray[gray.shape[0] // 4 : -gray.shape[0] // 4, gray.shape[1] // 4 : -gray.shape[1] // 4]
            differences.append(float(np.mean(inside)) - float(np.median(rim)) if inside.size else 0.0)
    if not differences:
        return "unknown"
    brighter = sum(each > 8 for each in differences) / len(differences)
    darker = sum(each < -8 for each in differences) / len(differences)
    return "brighter" if brighter > 0.8 else "darker" if darker > 0.8 else "mixed"
