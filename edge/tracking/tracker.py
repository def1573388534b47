"""The tracker: learns the belt, unrolls it, and hands out each part once as its centre passes the gate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from edge.config import Tracking
from edge.domain import Box, Frame, Image, Part, View
from edge.tracking import motion
from edge.tracking.background import EmptyBelt
from edge.tracking.blobs import Blob, blobs
from edge.tracking.sight import Sight, sight_of, turned
from edge.tracking.unrolled import Unrolled
from edge.tracking.views import square_crop

FINE = 2
"""The unrolled belt is kept this much coarser than the small picture."""
LEARNING_FRAMES = 90
SURE_SCORE, SURE_MARGIN = 0.25, 0.15
VIEW_FRAMES = 8
FEWEST_LOOKS = 3
PATIENCE = 8
"""Looks for which a part may be out of sight before it counts as gone."""
VANISHED = "the part vanished before the gate"


@dataclass(slots=True, kw_only=True)
class _Sighting:
    """A part on its way, in belt coordinates of the unrolled belt."""

    blob: Blob
    position: float
    first_center: float
    looks: int = 1
    unseen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    frame: Frame
    position: float


class BeltTracker:
    """One belt, one direction, one gate."""

    def __init__(self, config: Tracking) -> None:
        self._config = config
        self._waiting: list[tuple[Frame, Image]] = []
        self._across: list[motion.Profiles] = []
        self._along: list[motion.Profiles] = []
        self._belt: _Belt | None = None
        self._found: tuple[str, float] | None = None

    @property
    def entered(self) -> int:
        return self._belt.entered if self._belt else 0

    @property
    def outlines(self) -> tuple[Box, ...]:
        return self._belt.outlines if self._belt else ()

    def update(self, frame: Frame) -> list[Part]:
        if self._belt is not None:
            return self._belt.update(frame)
        return self._learn(frame)

    def _learn(self, frame: Frame) -> list[Part]:
        plain = sight_of(frame.image, self._config.region, "right")
        small = plain.shrink(frame.image)
        self._waiting.append((frame, small))
        self._along.append(motion.profiles(small))
        self._across.append(motion.profiles(turned(small, "down")))
        count = len(self._waiting)
        if count >= 8 and count % 4 == 0 and self._found is None:
            self._found = self._direction()
            if self._found is None:
                self._forget(count)
        if self._found is None:
            return []
        direction, speed = self._found
        along = small.shape[1] if direction in ("right", "left") else small.shape[0]
        if speed * count < 1.2 * along and count < LEARNING_FRAMES:
            return []
        sight = sight_of(frame.image, self._config.region, direction)
        waiting, self._waiting, self._along, self._across = self._waiting, [], [], []
        looks = [turned(each, direction) for _, each in waiting]
        self._belt = _Belt(self._config, sight, EmptyBelt(looks[:: max(1, count // 24)]), speed)
        return [part for old, _ in waiting for part in self._belt.update(old)]

    def _forget(self, count: int) -> None:
        if count >= LEARNING_FRAMES:
            del self._waiting[: count // 2], self._along[: count // 2], self._across[: count // 2]

    def _direction(self) -> tuple[str, float] | None:
        wanted = self._config.direction
        along = motion.learn(self._along) if wanted not in ("up", "down") else None
        across = motion.learn(self._across) if wanted not in ("left", "right") else None
        candidates = [
            (learned.score, learned, words)
            for learned, words in ((along, ("right", "left")), (across, ("down", "up")))
            if learned is not None
        ]
        score, learned, words = max(candidates, key=lambda each: each[0])
        if score < SURE_SCORE or learned.margin < SURE_MARGIN:
            return None
        direction = words[0] if learned.speed > 0 else words[1]
        if wanted not in ("auto", direction):
            return None
        return direction, abs(learned.speed)


class _Belt:
    """What is known of the belt once its direction is known."""

    def __init__(self, config: Tracking, sight: Sight, empty: EmptyBelt, speed: float) -> None:
        self._config, self._sight, self._empty = config, sight, empty
        along, across = sight.size
        self._unrolled = Unrolled(along // FINE, across // FINE)
        self._gate = sight.along(config.gate) / FINE
        self._speed = speed
        self._moments: deque[_Moment] = deque(maxlen=VIEW_FRAMES)
        self._sightings: list[_Sighting] = []
        self._before: motion.Profiles | None = None
        self._last: Frame | None = None
        self._last_look: Image | None = None
        self._settled = 0
        self._smallest = max(4.0, config.part_min_px * 0.7 / (sight.factor * FINE))

    @property
    def entered(self) -> int:
        return self._settled + sum(1 for each in self._sightings if each.looks >= FEWEST_LOOKS)

    @property
    def outlines(self) -> tuple[Box, ...]:
        return tuple(self._box(each.blob) for each in self._sightings)

    def update(self, frame: Frame) -> list[Part]:
        look = self._sight.look(frame.image)
        evidence, contrast = self._empty.evidence(look)
        now = motion.profiles(contrast)
        moved = self._moved(frame, now)
        if self._last_look is not None:
            self._empty.absorb(look, self._last_look, moved, 0.6 * look.shape[1])
        self._before, self._last, self._last_look = now, frame, look
        self._unrolled.move(moved / FINE)
        height, width = self._unrolled.claimed.shape
        coarse = cv2.resize(evidence, (width, height), interpolation=cv2.INTER_AREA)
        self._unrolled.see(np.asarray(coarse, dtype=np.uint8))
        self._moments.append(_Moment(frame=frame, position=self._unrolled.position))
        self._empty.learn(look, (evidence == 0).astype(np.uint8), 0.02)
        found = [
            blob
            for blob in blobs(self._unrolled.evidence, self._smallest)
            if self._unrolled.claimed_share(blob.left, blob.top, blob.shape) < 0.4
        ]
        parts = self._lost(self._matched(found))
        for each in sorted(self._sightings, key=lambda each: -each.blob.center[0]):
            if self._crossed(each):
                self._claim(each.blob)
                parts.append(self._part(each.blob, frame))
        return parts

    def _crossed(self, each: _Sighting) -> bool:
        center = each.blob.center[0]
        if each.unseen or each.looks < FEWEST_LOOKS or each.blob.left < 1 or center < self._gate:
            return False
        return each.first_center < self._gate

    def _moved(self, frame: Frame, now: motion.Profiles) -> float:
        if self._before is None or self._last is None:
            return 0.0
        steps = max(1, frame.index - self._last.index)
        expected = self._speed * steps
        found, sure = motion.displacement(self._before, now, expected, max(3.0, 0.35 * expected))
        if sure < 0.4:
            return expected
        self._speed += 0.1 * (found / steps - self._speed)
        return found

    def _matched(self, found: list[Blob]) -> list[_Sighting]:
        """Follow each sighting to the blob that lies where it should be; give those with none."""
        position = self._unrolled.position
        free = list(found)
        missing = []
        kept = []
        for each in self._sightings:
            moved = position - each.position
            near = [blob for blob in free if _overlap(each.blob, moved, blob)]
            if not near:
                missing.append(each)
                continue
            best = max(near, key=lambda blob: blob.area)
            free.remove(best)
            kept.append(_Sighting(blob=best, position=position, looks=each.looks + 1, first_center=each.first_center))
        self._sightings = kept + [_Sighting(blob=blob, position=position, first_center=blob.center[0]) for blob in free]
        return missing

    def _lost(self, missing: list[_Sighting]) -> list[Part]:
        """Keep looking for a while; a part that stays away before the gate is told, not forgotten."""
        parts = []
        for each in missing:
            each.unseen += 1
            moved = self._unrolled.position - each.position
            if each.unseen < PATIENCE:
                self._sightings.append(each)
            elif self._is_lost(each, round(moved)):
                parts.append(self._numbered(self._moments[-1].frame, each.blob, (), VANISHED))
        return parts

    def _is_lost(self, each: _Sighting, moved: int) -> bool:
        blob = each.blob
        if each.looks < 2 * FEWEST_LOOKS or blob.left <= 0 or blob.center[0] + moved >= self._gate:
            return False
        return self._unrolled.covered(blob.left + moved, blob.top, blob.shape) < 0.4

    def _claim(self, blob: Blob) -> None:
        self._unrolled.claim(blob.left, blob.top, blob.shape)
        self._sightings = [each for each in self._sightings if each.blob is not blob]

    def _part(self, blob: Blob, frame: Frame) -> Part:
        views = self._views(blob)
        return self._numbered(frame, blob, views, "" if views else "no view shows the whole part")

    def _numbered(self, frame: Frame, blob: Blob, views: tuple[View, ...], reason: str) -> Part:
        self._settled += 1
        return Part(
            number=self._settled,
            at_s=self._crossed_s(blob, frame),
            views=views,
            reason=reason,
            speed_px_s=self._speed_px_s(),
            center_px=self._box(blob).center_px,
        )

    def _crossed_s(self, blob: Blob, frame: Frame) -> float:
        beyond = blob.center[0] - self._gate
        later = None
        for moment in reversed(self._moments):
            offset = beyond - (self._unrolled.position - moment.position)
            if offset <= 0:
                if later is None:
                    return moment.frame.at_s
                share = -offset / max(1e-9, later[0] - offset)
                return moment.frame.at_s + share * (later[1] - moment.frame.at_s)
            later = offset, moment.frame.at_s
        return later[1] if later else frame.at_s

    def _speed_px_s(self) -> float:
        if len(self._moments) < 2:
            return 0.0
        first, last = self._moments[0], self._moments[-1]
        passed = last.frame.at_s - first.frame.at_s
        small = (last.position - first.position) * FINE
        return small * self._sight.factor / passed if passed > 0 else 0.0

    def _views(self, blob: Blob) -> tuple[View, ...]:
        candidates = []
        for moment in self._moments:
            back = self._unrolled.position - moment.position
            box = self._box(blob, back)
            height, width = moment.frame.image.shape[:2]
            whole = box.left_px >= 1 and box.top_px >= 0
            if whole and box.left_px + box.width_px <= width - 1 and box.top_px + box.height_px <= height:
                crop = square_crop(moment.frame.image, box, self._config.margin)
                candidates.append((_sharpness(crop), View(crop=crop, box=box, at_s=moment.frame.at_s)))
        candidates.sort(key=lambda each: -each[0])
        return tuple(view for _, view in candidates[: self._config.views])

    def _box(self, blob: Blob, back: float = 0.0) -> Box:
        left, right = (blob.left - back) * FINE, (blob.right - back) * FINE
        return self._sight.box(left, blob.top * FINE, right, blob.bottom * FINE)


def _overlap(blob: Blob, moved: float, other: Blob) -> bool:
    along = min(blob.right + moved, other.right) - max(blob.left + moved, other.left)
    across = min(blob.bottom, other.bottom) - max(blob.top, other.top)
    return along > 0 and across > 0


def _sharpness(crop: Image) -> float:
    gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY) if crop.ndim == 3 else crop
    small = cv2.resize(gray, (64, 64), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small, cv2.CV_32F).var())
