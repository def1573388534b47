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
from edge.belt.tracked import TrackedBelt
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


class Counting(Protocol):
    """A count that can be asked where it was."""

    def at(self, at_s: float) -> Place | None:
        """Where the belt was."""


def passed_px(encoder: Counting, tracked: TrackedBelt, at_s: float) -> float | None:
    """Where the encoder was when a part passed the camera's gate.

    The tracker interpolates that moment between two frames, and a belt that stopped between them makes it wrong. Where
    the part was in the later of both is what was really seen, so only what it was beyond the gate then is taken off.
    """
    seen, crossed_px = tracked.first_after(at_s), tracked.passed_px(at_s)
    place = encoder.at(at_s if seen is None else seen[0])
    if place is None:
        return None
    return place.px - (0.0 if seen is None or crossed_px is None else seen[1] - crossed_px)


class EncoderBelt:
    """Counts pulses. Without a second channel it cannot tell backwards from forwards.

    `on_silent` hears True when the encoder seems dead, whereupon everything on the way is out of reach, and False
    when it counts again.
    """

    def __init__(
        self,
        settings: config.Encoder,
        tracked: TrackedBelt,
        *,
        on_silent: Callable[[bool], None],
        clock: Callable[[], float] = time.monotonic,
        factory: Any = None,
    ) -> None:
        """Take the pins; raises `NoPin`. `tracked`: the same belt as the camera sees it.

        `factory`: gpiozero's, when not the machine's own.
        """
        self._tracked = tracked
        self._step_px = settings.px_per_pulse
        self._on_silent = on_silent
        self._clock = clock
        self._history = History()
        self._lock = threading.Lock()
        self._px = self._leapt_px = 0.0
        self._valid_from_s = clock()
        self._history.add(self._valid_from_s, 0.0)
        self._silent = False
        self._checked: tuple[float, float] | None = None
        self._unmoved = 0
        self._ratios: deque[float] = deque(maxlen=COMPARED)
        second = None if settings.pin_b < 0 else settings.pin_b
        self._input = open_counter(PIN, settings.pin, second, self.pulse, factory=factory)

    @property
    def usual_px_s(self) -> float:
        """As the tracker learned it; where it never does (a triggered camera), the speed of the moment."""
        if self._tracked.usual_px_s:
            return self._tracked.usual_px_s
        with self._lock:
            return max(0.0, self._history.speed(self._clock(), SPEED_S)[0])

    def close(self) -> None:
        """Let go of the pins."""
        self._input.close()

    def pulse(self, step: int, at_s: float) -> None:
        """One pulse forwards (1) or backwards (-1)."""
        with self._lock:
            self._px += step * self._step_px
            self._history.add(at_s, self._px)

    def at(self, at_s: float) -> Place | None:
        """As counted, up to one pulse beyond the last; None before the count began, and while the encoder is silent."""
        with self._lock:
            if self._silent or at_s < self._valid_from_s:
                return None
            px, (speed, _) = self._history.at(at_s), self._history.speed(at_s, SPEED_S)
            if px is None:
                px = self._px + min(self._step_px, max(0.0, speed * (at_s - self._history.times[-1])))
            return Place(px=px + self._leapt_px, off_px=self._step_px, speed_px_s=speed, read_s=at_s)

    def passed_px(self, at_s: float) -> float | None:
        """As counted at the first frame that saw the part beyond the gate, less what it was beyond it then."""
        return passed_px(self, self._tracked, at_s)

    def when(self, px: float) -> float | None:
        """When the belt was there."""
        with self._lock:
            return self._history.when(px)

    def way_px(self, distance_px: float, delay_s: float, ahead_px: float, speed_px_s: float) -> float | None:  # noqa: ARG002
        """The distance."""
        return distance_px + ahead_px

    def passed(self, at_s: float) -> None:
        """A part passed the camera's gate: hold both counts together."""
        tracked_px = self._tracked.passed_px(at_s)
        if tracked_px is None:
            return
        with self._lock:
            counted_px = self._history.at(at_s)
            changed = self._compare(self._px if counted_px is None else counted_px, tracked_px)
            if changed and self._silent:
                self._leapt_px += GONE_PX
            elif changed:
                self._valid_from_s = at_s
        if changed:
            self._on_silent(self._silent)

    def _compare(self, counted_px: float, tracked_px: float) -> bool:
        """Whether the encoder fell silent by this part, or counts again."""
        before, self._unmoved = self._checked, self._unmoved + 1
        was_silent = self._silent
        if before is not None and abs(counted_px - before[0]) <= 2 * self._step_px:
            self._silent |= self._unmoved > SILENT_PARTS and tracked_px - before[1] > SILENT_PX
            return self._silent != was_silent
        if before is not None and not was_silent and counted_px > before[0] and tracked_px > before[1]:
            self._weigh((counted_px - before[0]) / (tracked_px - before[1]))
        self._checked, self._silent, self._unmoved = (counted_px, tracked_px), False, 0
        return was_silent

    def _weigh(self, ratio: float) -> None:
        """Both counts should go equally fast."""
        self._ratios.append(ratio)
        if len(self._ratios) < COMPARED:
            return
        usual = median(self._ratios)
        self._ratios.clear()
        if abs(usual - 1) > WRONG:
            log.warning(
                "encoder.px_per_pulse is %g; the picture says %.4g, so parts would be ejected at the wrong place",
                self._step_px,
                self._step_px / usual,
            )


class SimulatedEncoder:
    """The same seam for the simulated belt: counts whole pulses of the way that the simulator knows."""

    def __init__(self, settings: config.Encoder, tracked: TrackedBelt, usual_px_s: float) -> None:
        self._step_px = settings.px_per_pulse
        self._tracked = tracked
        self._source: Travelling | None = None
        self.usual_px_s = usual_px_s

    def watch(self, source: Travelling) -> None:
        """Count for this belt from now on."""
        self._source = source

    def at(self, at_s: float) -> Place | None:
        """As the simulator moved, but for a pulse."""
        if self._source is None:
            return None
        px, before_px = (
            self._source.travelled_px(each_s) // self._step_px * self._step_px for each_s in (at_s, at_s - SPEED_S)
        )
        return Place(px=px, off_px=self._step_px, speed_px_s=(px - before_px) / SPEED_S, read_s=at_s)

    def passed_px(self, at_s: float) -> float | None:
        """As the encoder on a pin."""
        return passed_px(self, self._tracked, at_s)

    def way_px(self, distance_px: float, delay_s: float, ahead_px: float, speed_px_s: float) -> float | None:  # noqa: ARG002
        """The distance."""
        return distance_px + ahead_px
