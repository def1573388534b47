"""The reject gate: a pulse on a GPIO pin at the moment a part lies before it. The only file that knows gpiozero."""

from __future__ import annotations

import heapq
import logging
import threading
import time
from collections.abc import Callable
from threading import Event
from typing import Any

from edge import config
from edge.domain import Decision, Verdict

log = logging.getLogger(__name__)

TURN_S = 0.25


class NoOutput(OSError):
    """There is no such pin on this machine; one line that says what to do."""


def eject_at_s(settings: config.Reject, verdict: Verdict) -> float:
    """When the part is before the gate, on the clock of the frames: by distance and its speed, or by a fixed delay."""
    if settings.distance_px and verdict.speed_px_s > 0:
        return verdict.captured_at_s + settings.distance_px / verdict.speed_px_s
    return verdict.captured_at_s + settings.delay_s


class RejectOutput:
    """Pulses for rejected and reviewed parts, or, with `drives: pass`, for passed ones only.

    The second is the fail-safe: what nobody vouches for in time is rejected, even when this process is killed and the
    pin falls back to an input. A pulse that would come too late, and so hit another part, is left out and told to
    `on_late`. Pulses that touch become one. `give` may be called from any thread, `run` is the body of one.
    """

    def __init__(
        self,
        settings: config.Reject,
        *,
        on_late: Callable[[Verdict], None],
        clock: Callable[[], float] = time.monotonic,
        factory: Any = None,
    ) -> None:
        """Take the pin and set it to rest; raises `NoOutput`. `factory`: gpiozero's, when not the machine's own."""
        self._settings = settings
        self._on_late = on_late
        self._clock = clock
        self._coming: list[tuple[float, int, Verdict]] = []
        self._changed = threading.Condition()
        self._until_s = 0.0
        self._device = _open(settings, factory)

    def give(self, verdict: Verdict) -> bool:
        """Note a verdict; False when it comes too late for its part."""
        drives = verdict.decision is Decision.PASS
        if drives != (self._settings.drives == "pass"):
            return self._clock() <= eject_at_s(self._settings, verdict)
        at_s = eject_at_s(self._settings, verdict)
        if self._is_late(at_s):
            self._tell_late(verdict)
            return False
        with self._changed:
            heapq.heappush(self._coming, (at_s, verdict.number, verdict))
            self._changed.notify()
        return True

    def run(self, stopping: Event) -> None:
        """Pulse until `stopping` is set; pulses that are due later are left out, and the pin is at rest."""
        try:
            while not stopping.is_set():
                with self._changed:
                    due, wait_s = self._due()
                    if not due:
                        self._changed.wait(wait_s)
                for at_s, verdict in due:
                    self._begin(at_s, verdict)
                self._set(self._clock() < self._until_s)
        finally:
            self._set(False)

    def close(self) -> None:
        """Let go of the pin; call it when `run` has ended."""
        self._device.close()

    def _due(self) -> tuple[list[tuple[float, Verdict]], float]:
        """What is to begin now, and how long there is nothing to do."""
        now_s = self._clock()
        due = []
        while self._coming and self._coming[0][0] <= now_s:
            at_s, _, verdict = heapq.heappop(self._coming)
            due.append((at_s, verdict))
        ends = [self._until_s] if self._device.value else []
        events = [*ends, *(at_s for at_s, _, _ in self._coming[:1])]
        return due, max(0.0, min([TURN_S, *(at_s - now_s for at_s in events)]))

    def _begin(self, at_s: float, verdict: Verdict) -> None:
        if self._is_late(at_s):
            self._tell_late(verdict)
        else:
            self._until_s = max(self._until_s, at_s + self._settings.pulse_s)

    def _is_late(self, at_s: float) -> bool:
        return self._clock() > at_s + self._settings.tolerance_s

    def _tell_late(self, verdict: Verdict) -> None:
        log.error("part %d (%s) was before the reject gate already; no pulse", verdict.number, verdict.decision.value)
        self._on_late(verdict)

    def _set(self, active: bool) -> None:
        if bool(self._device.value) != active:
            self._device.value = active


def _open(settings: config.Reject, factory: Any) -> Any:
    try:
        from gpiozero import GPIOZeroError, OutputDevice
    except ImportError:
        raise NoOutput(
            "reject.enabled: gpiozero is not installed; pip install 'linegate[gpio]', or set it false"
        ) from None
    try:
        return OutputDevice(settings.pin, active_high=settings.active_high, initial_value=False, pin_factory=factory)
    except (GPIOZeroError, OSError) as error:
        reason = " ".join(str(error).split())
        raise NoOutput(
            f"reject.pin: GPIO {settings.pin} cannot be used ({reason}); run on a Raspberry Pi with python3-lgpio, "
            "as a user of group gpio, or set reject.enabled: false"
        ) from None
