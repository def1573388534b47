"""The live picture and the crops, drawn and encoded only when somebody asks, and then once for all who ask."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import cv2
import numpy as np

from edge.domain import Box, Decision, Image
from edge.page.board import Look, StatusBoard

WIDEST_PX = 960
CROP_PX = 240
QUALITY = 80

Color = tuple[int, int, int]
"""Blue, green, red; the same hues as in `page.css`."""
COLORS: dict[Decision | None, Color] = {
    Decision.PASS: (150, 214, 64),
    Decision.REJECT: (82, 86, 255),
    Decision.REVIEW: (48, 190, 255),
    None: (250, 236, 216),
}
GATE: Color = (255, 200, 110)


class Pictures:
    """JPEGs of a board, at most `per_second` of the live picture."""

    def __init__(
        self, board: StatusBoard, *, per_second: float = 8.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._board = board
        self._pause_s = 1 / per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._jpeg: bytes | None = None
        self._index = -1
        self._drawn_s = -math.inf

    def live(self) -> bytes | None:
        """The newest frame with what stands on it; None before the first frame."""
        with self._lock:
            if self._clock() - self._drawn_s < self._pause_s:
                return self._jpeg
            look = self._board.look()
            if look is not None and look.frame.index != self._index:
                self._jpeg = _encoded(drawn(look))
                self._index = look.frame.index
                self._drawn_s = self._clock()
            return self._jpeg

    def crop(self, number: int) -> bytes | None:
        """One of the last parts; None when there is no picture of it (any more)."""
        crop = self._board.crop(number)
        if crop is None:
            return None
        scale = min(1.0, CROP_PX / max(crop.shape[:2]))
        return _encoded(crop if scale == 1.0 else _resized(crop, scale))


def drawn(look: Look) -> Image:
    """A BGR copy, not wider than `WIDEST_PX`, with the gate, the outlines, and the last verdicts on them."""
    scale = min(1.0, WIDEST_PX / look.frame.image.shape[1])
    image = look.frame.image if scale == 1.0 else _resized(look.frame.image, scale)
    canvas: Image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()  # type: ignore[assignment]
    _draw_gate(canvas, look)
    settled = _settled(look)
    for box in look.outlines:
        if id(box) not in settled:
            _draw_box(canvas, box, scale, None)
    for box, decision in settled.values():
        _draw_box(canvas, box, scale, decision)
    return canvas


def _settled(look: Look) -> dict[int, tuple[Box, Decision]]:
    """Parts with a verdict: on the outline nearest to where each must be by now, or there if none is near."""
    found: dict[int, tuple[Box, Decision]] = {}
    for track in look.tracks:
        expected = track.box_at(look.frame.at_s)
        if track.decision is None or expected is None:
            continue
        nearest = min(look.outlines, key=lambda each: _apart_px(each, expected), default=expected)
        is_near = _apart_px(nearest, expected) < min(expected.width_px, expected.height_px) / 2
        box = nearest if is_near else expected
        found[id(box)] = box, track.decision
    return found


def _apart_px(one: Box, other: Box) -> float:
    return math.dist(one.center_px, other.center_px)


def _draw_gate(canvas: Image, look: Look) -> None:
    height, width = canvas.shape[:2]
    if look.across:
        x = round(look.gate * width)
        ends = (x, 0), (x, height)
    else:
        y = round(look.gate * height)
        ends = (0, y), (width, y)
    cv2.line(canvas, *ends, (20, 20, 20), 5, cv2.LINE_AA)
    cv2.line(canvas, *ends, GATE, 2, cv2.LINE_AA)


def _draw_box(canvas: Image, box: Box, scale: float, decision: Decision | None) -> None:
    left, top = round(box.left_px * scale), round(box.top_px * scale)
    right, bottom = round((box.left_px + box.width_px) * scale), round((box.top_px + box.height_px) * scale)
    thick = 2 if decision is None else 4
    cv2.rectangle(canvas, (left, top), (right, bottom), (20, 20, 20), thick + 3, cv2.LINE_AA)
    cv2.rectangle(canvas, (left, top), (right, bottom), COLORS[decision], thick, cv2.LINE_AA)
    if decision is not None:
        _draw_sign(canvas, (left, top), decision)


def _draw_sign(canvas: Image, corner: tuple[int, int], decision: Decision) -> None:
    """The verdict's word on its colour, so that nobody needs to tell the colours apart."""
    word = decision.value.upper()
    (width, height), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 0.6, 1)
    left, top = max(0, corner[0] - 2), max(0, corner[1] - height - 14)
    cv2.rectangle(canvas, (left, top), (left + width + 12, top + height + 12), COLORS[decision], cv2.FILLED)
    cv2.putText(canvas, word, (left + 6, top + height + 6), cv2.FONT_HERSHEY_DUPLEX, 0.6, (16, 16, 16), 1, cv2.LINE_AA)


def _resized(image: Image, scale: float) -> Image:
    height, width = (max(1, round(each * scale)) for each in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _encoded(image: Image) -> bytes:
    done, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"a picture of shape {image.shape} cannot be encoded")
    return jpeg.tobytes()
