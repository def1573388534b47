"""The belt as an encoder or a tachometer counts it: exact at every moment, whatever the pictures are doing."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import Any, Protocol

from edge import config
from edge.belt.history import GONE_PX, History
from edge.belt.place import Place
from edge.pins import Wish, open_counter

log = logging.getLogger(__name__)

PIN = Wish(key="encoder.pin", off="encoder.kind: none")
SPEED_S = 0.1
"""The speed of the moment is measured over about this time."""
SILENT_PX, SILENT_PARTS = 300.0, 3
"""So many parts passed the gate while the picture moved so far, and the encoder gave no pulse: it is dead."""
COMPARED = 15
WRONG = 0.1
"""Encoder and picture may differ by this share before somebody is told."""


class Travelling(Protocol):
    """Something that knows how far its belt came, such as the simulator."""

    def travelled_px(self, at_s: float) -> float:
        """Since the beginning, at a moment on the clock of its frames."""


class EncoderBelt:
    """Counts pulses. Without a second channel it cannot tell backwards from forwards.

    `on_silent` hears True when the encoder seems dead, whereupon everything on the way is out of reach, and False
    when it counts again.
    """

    def __init__(
        self,
        settings: config.Encoder,
        *,
        on_silent: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
        factory: Any = None,
    ) -> None:
        """Take the pins; raises `NoPin`. `factory`: gpiozero's, when not the machine's own."""
        self._step_px = settings.px_per_pulse
        self._on_silent = on_silent
        self._history = History()
        self._lock = threading.Lock()
        self._px = self._usual_px_s = 0.0
        self._history.add(clock(), 0.0)
        self._silent = False
        self._checked: tuple[float, float] | None = None
        self._unmoved = 0
        self._ratios: deque[float] = deque(maxlen=COMPARED)
        second = None if settings.pin_b < 0 else settings.pin_b
        self._input = open_counter(PIN, settings.pin, second, self.pulse, factory=factory)

    @property
    def usual_px_s(self) -> float:
        """A running mean of the speeds at which parts passed."""
        return self._usual_px_s

    def close(self) -> None:
        """Let go of the pins."""
        self._input.close()

    def pulse(self, step: int, at_s: float) -> None:
        """One pulse forwards (1) or backwards (-1)."""
        with self._lock:
            self._px += step * self._step_px
            self._history.add(at_s, self._px)

    def at(self, at_s: float) -> float | None:
        """As counted; None for moments before the count began, and while the encoder is silent."""
        with self._lock:
            if self._silent or at_s < self._history.times[0]:
                return None
            read = self._history.at(at_s)
            return self._px if read is None else read

    def when(self, px: float) -> float | None:
        """When the belt was there."""
        with self._lock:
            return self._history.when(px)

    def now(self, now_s: float) -> Place | None:
        """Up to one pulse beyond the last one."""
        with self._lock:
            speed, _ = self._history.speed(now_s, SPEED_S)
            further = min(self._step_px, max(0.0, speed * (now_s - self._history.times[-1])))
            return Place(px=self._px + further, off_px=self._step_px, speed_px_s=speed, read_s=now_s)

    def way_px(self, distance_px: float, delay_s: float, ahead_px: float, speed_px_s: float) -> float | None:  # noqa: ARG002
        """The distance, or what the belt usually goes in that time."""
        return (distance_px or delay_s * self._usual_px_s) + ahead_px if distance_px or self._usual_px_s else None

    def passed(self, at_s: float, tracked_px: float, usual_px_s: float) -> None:
        """A part passed the camera's gate, where the tracker counts `tracked_px`: hold both counts together."""
        with self._lock:
            self._usual_px_s = usual_px_s or self._usual_px_s
            counted_px = self._history.at(at_s)
            counted_px = self._px if counted_px is None else counted_px
            before, self._unmoved = self._checked, self._unmoved + 1
            if before is not None and abs(counted_px - before[0]) <= 2 * self._step_px:
                is_dead = self._unmoved > SILENT_PARTS and tracked_px - before[1] > SILENT_PX
                changed = is_dead and not self._silent
                self._silent = self._silent or is_dead
                self._px += GONE_PX if changed else 0.0
            else:
                changed, self._silent, self._unmoved = self._silent, False, 0
                if before is not None and 0 < counted_px - before[0] < GONE_PX / 2 and tracked_px > before[1]:
                    self._compare((counted_px - before[0]) / (tracked_px - before[1]))
                self._checked = counted_px, tracked_px
        if changed:
            self._on_silent(self._silent)

    def _compare(self, ratio: float) -> None:
        self._ratios.append(ratio)
        if len(self._ratios) == COMPARED:
            usual = median(self._ratios)
            if abs(usual - 1) > WRONG:
                log.warning(
                    "encoder.px_per_pulse is %g; the picture says %.4g, so parts would be ejected at the wrong place",
                    self._step_px,
                    self._step_px / usual,
                )
            self._ratios.clear()


class SimulatedEncoder:
    """The same seam for the simulated belt: counts whole pulses of the way that the simulator knows."""

    def __init__(self, settings: config.Encoder, usual_px_s: float) -> None:
        self._step_px = settings.px_per_pulse
        self._source: Travelling | None = None
        self.usual_px_s = usual_px_s

    def watch(self, source: Travelling) -> None:
        """Count for this belt from now on."""
        self._source = source

    def at(self, at_s: float) -> float | None:
        """As the simulator moved."""
        if self._source is None:
            return None
        return self._source.travelled_px(at_s) // self._step_px * self._step_px

    def now(self, now_s: float) -> Place | None:
        """Exact but for a pulse."""
        px, before_px = self.at(now_s), self.at(now_s - SPEED_S)
        if px is None or before_px is None:
            return None
        return Place(px=px, off_px=self._step_px, speed_px_s=(px - before_px) / SPEED_S, read_s=now_s)

    def way_px(self, distance_px: float, delay_s: float, ahead_px: float, speed_px_s: float) -> float | None:  # noqa: ARG002
        """The distance, or what the belt usually goes in that time."""
        return (distance_px or delay_s * self.usual_px_s) + ahead_px
