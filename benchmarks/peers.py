"""What others would use to count parts on a belt, each set up as well as we know how.

All of them are told which way the belt runs and how large the parts are. A part counts when the
centre of its track crosses the gate, once per track. The detector is the same for all: OpenCV's MOG2, closed, outer
contours of at least a fifth of a part. Moments of crossing are interpolated between two frames, as ours are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import norfair
import numpy as np
import supervision
from numpy.typing import NDArray
from trackers import ByteTrackTracker

from benchmarks.belts import Belt, period_s
from edge.classify import TfliteClassifier
from edge.domain import Box, Frame, Image
from edge.line import Line
from edge.tracking.views import square_crop

Boxes = NDArray[np.float64]
"""`(n, 4)`: left, top, right, bottom in pixels of the full picture."""

MARGIN = 0.08
HISTORY, VAR_THRESHOLD, SHADOWS, CLOSED_SHARE, SMALLEST_SHARE = 500, 16.0, True, 0.06, 0.2
SHADOW_BELOW = 200
"""MOG2 marks shadows with 127 and what stands out with 255."""
ALIVE_S = 0.5
"""How long a track that is seen no more is kept, for the trackers that take a time."""


class Peer(Protocol):
    """Counts what crosses the gate."""

    def take(self, frame: Frame) -> list[float]:
        """One frame; the moments at which something crossed since the last one."""


class Ours:
    """The whole line as it ships."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def take(self, frame: Frame) -> list[float]:
        return [verdict.captured_at_s for verdict in self._line.inspect(frame)]


class Foreground:
    """MOG2 with its usual settings on the picture or on the halved one."""

    def __init__(self, belt: Belt, half: bool) -> None:
        self._half = half
        self._scale = 2.0 if half else 1.0
        self._model = cv2.createBackgroundSubtractorMOG2(
            history=HISTORY, varThreshold=VAR_THRESHOLD, detectShadows=SHADOWS
        )
        width, height = (each / self._scale for each in belt.part_px)
        side = max(3, round(CLOSED_SHARE * min(width, height))) | 1
        self._close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        self._open = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        self._least = SMALLEST_SHARE * width * height

    def boxes(self, image: Image) -> Boxes:
        """What stands out, as boxes."""
        if self._half:
            size = image.shape[1] // 2, image.shape[0] // 2
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        mask = cv2.threshold(self._model.apply(image), SHADOW_BELOW, 255, cv2.THRESH_BINARY)[1]
        mask = cv2.morphologyEx(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, self._close), cv2.MORPH_OPEN, self._open)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        found = [cv2.boundingRect(each) for each in contours]
        large = [(x, y, x + width, y + height) for x, y, width, height in found if width * height >= self._least]
        boxes = np.array(large, dtype=np.float64)
        return boxes.reshape(-1, 4) * self._scale


class Gate:
    """Turns the ways of tracks into crossings: in the right direction, and once for each track."""

    def __init__(self, belt: Belt) -> None:
        self._axis = 0 if belt.direction in ("right", "left") else 1
        self._sign = 1.0 if belt.direction in ("right", "down") else -1.0
        height, width = belt.frames[0].image.shape[:2]
        self._line = belt.gate * (width, height)[self._axis] * self._sign
        self._before: dict[int, tuple[float, float]] = {}
        self._counted: set[int] = set()

    def crossed(self, at_s: float, identity: int, box: NDArray[np.floating]) -> list[float]:
        """The moment of crossing when this track has just done so."""
        place = self._sign * float(box[self._axis] + box[self._axis + 2]) / 2
        before_s, before = self._before.get(identity, (at_s, place))
        self._before[identity] = at_s, place
        if identity in self._counted or not before < self._line <= place:
            return []
        self._counted.add(identity)
        return [before_s + (self._line - before) / (place - before) * (at_s - before_s)]

    def is_before(self, box: NDArray[np.floating]) -> bool:
        """Whether a box has not reached the gate."""
        return self._sign * float(box[self._axis] + box[self._axis + 2]) / 2 < self._line

    def place(self, box: NDArray[np.floating]) -> float:
        """How far along the belt a box is."""
        return self._sign * float(box[self._axis] + box[self._axis + 2]) / 2


class Tracked:
    """MOG2, a tracker of boxes, and the network on every box in every frame, or only on what crosses."""

    def __init__(
        self, belt: Belt, classifier: TfliteClassifier, track: Callable[[Boxes, float], Any], *, half: bool, each: bool
    ) -> None:
        self._foreground, self._gate = Foreground(belt, half), Gate(belt)
        self._track, self._classifier, self._each = track, classifier, each

    def take(self, frame: Frame) -> list[float]:
        crossed: list[float] = []
        for identity, box in self._track(self._foreground.boxes(frame.image), frame.at_s):
            now = self._gate.crossed(frame.at_s, identity, box)
            if self._each or now:
                classify(self._classifier, frame.image, box)
            crossed += now
        return crossed


class Picked:
    """The published script's way: one object, marked by hand, followed by OpenCV's MIL, classified in every frame.

    The hand is played by the foreground of a second model: whenever nothing is followed, it marks the foremost object
    that lies wholly in the picture before the gate. Its cost is not counted.
    """

    def __init__(self, belt: Belt, classifier: TfliteClassifier) -> None:
        self._hand, self._gate, self._classifier = Foreground(belt, half=True), Gate(belt), classifier
        self._part_px = belt.part_px
        self._tracker: Any = None
        self._identity = 0

    def mark(self, frame: Frame) -> None:
        """Mark the next object, if there is none; to be called before `take`, and not to be timed."""
        boxes = self._hand.boxes(frame.image)
        height, width = frame.image.shape[:2]
        if self._tracker is not None:
            return
        inside = (boxes[:, :2] > 2).all(axis=1) & (boxes[:, 2] < width - 2) & (boxes[:, 3] < height - 2)
        large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0) > 0.5 * max(self._part_px)
        coming = [box for box in boxes[inside & large] if self._gate.is_before(box)]
        if coming:
            left, top, right, bottom = max(coming, key=self._gate.place).astype(int)
            self._identity += 1
            self._tracker = cv2.TrackerMIL.create()
            self._tracker.init(_color(frame.image), (left, top, right - left, bottom - top))

    def take(self, frame: Frame) -> list[float]:
        if self._tracker is None:
            return []
        found, (left, top, width, height) = self._tracker.update(_color(frame.image))
        if not found:
            self._tracker = None
            return []
        box = np.array([left, top, left + width, top + height], dtype=np.float64)
        classify(self._classifier, frame.image, box)
        crossed = self._gate.crossed(frame.at_s, self._identity, box)
        if crossed or not self._gate.is_before(box):
            self._tracker = None
        return crossed


def bytetrack(belt: Belt) -> Callable[[Boxes, float], Any]:
    """`trackers` ByteTrack; MOG2 has no confidences, so every box counts as sure."""
    tracker = ByteTrackTracker(
        lost_track_buffer=round(30 * ALIVE_S),
        frame_rate=1 / period_s(belt),
        minimum_consecutive_frames=2,
        minimum_iou_threshold=0.1,
    )

    def track(boxes: Boxes, at_s: float) -> list[tuple[int, NDArray[np.floating]]]:
        found = tracker.update(supervision.Detections(xyxy=boxes), timestamp=at_s)
        pairs = zip(found.tracker_id, found.xyxy, strict=True) if found.tracker_id is not None else ()
        return [(int(identity), box) for identity, box in pairs if identity >= 0]

    return track


def by_norfair(belt: Belt) -> Callable[[Boxes, float], Any]:
    """norfair on centres and corners, matched by distance up to a part's length."""
    period = period_s(belt)
    tracker = norfair.Tracker(
        distance_function="iou",
        distance_threshold=0.9,
        hit_counter_max=max(2, round(ALIVE_S / period)),
        initialization_delay=2,
    )

    def track(boxes: Boxes, at_s: float) -> list[tuple[int, NDArray[np.floating]]]:
        del at_s
        alive = tracker.update([norfair.Detection(points=box.reshape(2, 2)) for box in boxes])
        return [(each.id, each.estimate.reshape(4)) for each in alive if each.live_points.any()]

    return track


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One way to count, by name."""

    name: str
    open: Callable[[Belt, TfliteClassifier], Peer]
    slow: bool = False
    """Only tried on the real clips: it takes longer than all others together."""


RIVALS = (
    Rival(
        name="MOG2 + ByteTrack, classify every frame",
        open=lambda belt, model: Tracked(belt, model, bytetrack(belt), half=False, each=True),
    ),
    Rival(
        name="MOG2 at half size + ByteTrack, classify once",
        open=lambda belt, model: Tracked(belt, model, bytetrack(belt), half=True, each=False),
    ),
    Rival(
        name="MOG2 + norfair, classify every frame",
        open=lambda belt, model: Tracked(belt, model, by_norfair(belt), half=False, each=True),
    ),
    Rival(name="MIL on one object, classify every frame", open=Picked, slow=True),
)


def classify(classifier: TfliteClassifier, image: Image, box: NDArray[np.floating]) -> None:
    """Cut one box out and ask the network."""
    left, top, right, bottom = (float(each) for each in box)
    outline = Box(left_px=left, top_px=top, width_px=max(2.0, right - left), height_px=max(2.0, bottom - top))
    classifier.scores([square_crop(image, outline, MARGIN)])


def _color(image: Image) -> Image:
    return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
