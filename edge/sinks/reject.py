"""The reject gate: a pulse on a GPIO pin while a part lies before it, wherever the belt has taken it by then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

from edge import config
from edge.belt import Belt, Place
from edge.domain import Decision, Part, Verdict
from edge.pins import Output, Wish, open_output
from edge.sinks.procession import Coming, Procession

log = logging.getLogger(__name__)

PIN = Wish(key="reject.pin", off="reject.enabled: false")
STOP_PIN = Wish(key="reject.stop_pin", off="it to -1")
TURN_S = 0.25
"""How long nothing needs to be looked at when no part is to be ejected."""
SLOWEST_S, FASTEST_S = 0.02, 0.0005
"""How often the belt is looked at while one is."""
CREEPING = 0.05
"""A belt at less than this share of its usual speed is expected to go on at its usual one."""
STEADY = 0.1
"""So is one whose speed of the moment is off by no more than this share: it is measured over a few frames only."""
FARTHEST_S = 1e6
NOWHERE = "its place on the belt is not known"
AGAINST = "its lane runs the other way and does not come to the reject gate"
PASSED = "it was before the reject gate already"
STOPPED = "the station stopped before it came to the reject gate"
UNSURE = "its pulse may have missed it, for nobody knew well enough where the belt was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What is known about a part's way to the reject gate when its verdict falls."""

    at_s: float | None
    """When it will be there if the belt runs on as it does now, at its usual speed if it stands; None: nobody knows."""
    late: bool
    """It is beyond it already."""


class RejectOutput:
    """Pulses for rejected and reviewed parts, or, with `drives: pass`, for passed ones only.

    The second is the fail-safe: what nobody vouches for in time is rejected, even when this process is killed and the
    pin falls back to an input. A pulse that would come too late, or that might hit a part it is not meant for, is left
    out and told to `on_late`. Pulses that touch become one; a pulse ends halfway to the next part that shall stay.
    `expect` and `give` may be called from any thread, `run` is the body of one.
    """

    def __init__(
        self,
        settings: config.Reject,
        belt: Belt,
        *,
        on_late: Callable[[Verdict, str], None],
        clock: Callable[[], float] = time.monotonic,
        factory: Any = None,
    ) -> None:
        """Take the pins and set them to rest; raises `NoPin`. `factory`: gpiozero's, when not the machine's own."""
        self._settings = settings
        self._belt = belt
        self._on_late = on_late
        self._clock = clock
        self._parts = Procession()
        self._late: list[tuple[Verdict, str]] = []
        self._against: set[int] = set()
        self._looked_s = -1.0
        self._changed = threading.Condition()
        self._until_s = self._stopped_until_s = 0.0
        self._device = open_output(PIN, settings.pin, active_high=settings.active_high, factory=factory)
        self._stop_device: Output | None = None
        if settings.stop_pin >= 0:
            try:
                self._stop_device = open_output(STOP_PIN, settings.stop_pin, factory=factory)
            except OSError:
                self._device.close()
                raise

    def expect(self, part: Part) -> None:
        """A part passed the camera's gate and is about to be judged: no pulse for another may hit it."""
        if part.is_against:
            with self._changed:
                self._against.add(part.number)
            return
        goal_px = self._part_goal_px(part)
        if goal_px is not None:
            with self._changed:
                self._parts.insert(Coming(number=part.number, goal_px=goal_px))

    def looked(self, at_s: float) -> None:
        """Every part that passed the camera's gate by then is expected."""
        self._looked_s = at_s

    def forecast(self, verdict: Verdict) -> Forecast:
        """When the part will be before the gate, on the clock of the frames; the best guess now."""
        with self._changed:
            if verdict.number in self._against:
                return Forecast(at_s=None, late=True)
            known = self._parts.find(verdict.number)
        goal_px = self._goal_px(verdict.captured_at_s, verdict.speed_px_s) if known is None else known.goal_px
        now_s = self._clock()
        place = self._belt.at(now_s)
        if goal_px is None or place is None:
            return Forecast(at_s=None, late=True)
        return Forecast(at_s=self._reaches_s(goal_px, place, now_s), late=self._has_passed(goal_px, place))

    def eject_s(self, part: Part) -> float | None:
        """When a part will be before the gate; the best guess now, None when nobody knows."""
        if part.is_against:
            return None
        now_s = self._clock()
        goal_px, place = self._part_goal_px(part), self._belt.at(now_s)
        return None if goal_px is None or place is None else self._reaches_s(goal_px, place, now_s)

    def give(self, verdict: Verdict) -> None:
        """Note a verdict; when it comes too late for its part, `on_late` is told by `run`."""
        driven = (verdict.decision is Decision.PASS) == (self._settings.drives == "pass")
        with self._changed:
            if verdict.number in self._against:
                self._against.discard(verdict.number)
                self._late.append((verdict, AGAINST))
                self._changed.notify()
                return
            part = self._parts.find(verdict.number)
            if part is None:
                goal_px = self._goal_px(verdict.captured_at_s, verdict.speed_px_s)
                if goal_px is None:
                    self._late.append((verdict, NOWHERE))
                    self._changed.notify()
                    return
                part = Coming(number=verdict.number, goal_px=goal_px)
                self._parts.insert(part)
            part.verdict, part.due, part.yields = verdict, driven, driven
            if not driven:
                place = self._belt.at(self._clock())
                if place is not None and self._has_passed(part.goal_px, place):
                    self._late.append((verdict, PASSED))
            self._changed.notify()

    def run(self, stopping: Event) -> None:
        """Pulse until `stopping` is set; the pins are at rest then, and whoever was to be ejected is told late."""
        try:
            while not stopping.is_set():
                wait_s = self.step()
                with self._changed:
                    if not self._late:
                        self._changed.wait(wait_s)
        finally:
            self._set(self._device, False)
            if self._stop_device is not None:
                self._set(self._stop_device, False)
        for verdict, why in self._abandoned():
            self._tell_late(verdict, why, self._clock())

    def close(self) -> None:
        """Let go of the pins; call it when `run` has ended."""
        self._device.close()
        if self._stop_device is not None:
            self._stop_device.close()

    def step(self) -> float:
        """Do what is to be done now; how long there is nothing more to do, if no verdict comes."""
        now_s = self._clock()
        place = self._belt.at(now_s)
        with self._changed:
            if place is not None:
                for part in self._parts:
                    self._look_after(part, place, now_s)
                self._parts.forget(place.px)
            late, self._late = self._late, []
            wait_s = self._wait_s(place, now_s)
        self._set(self._device, now_s < self._until_s)
        for verdict, why in late:
            self._tell_late(verdict, why, now_s)
        if self._stop_device is not None:
            self._set(self._stop_device, now_s < self._stopped_until_s)
        return wait_s

    def _look_after(self, part: Coming, place: Place, now_s: float) -> None:
        if part.pulse_s is not None:
            self._confirm(part, place)
        if not part.due:
            return
        beyond_px = place.px - part.goal_px
        if 0 <= beyond_px <= self._tolerance_px() and self._is_safe(part, place):
            part.due = False
            self._until_s = max(self._until_s, now_s + self._pulse_s(part, place))
            if place.off_px > self._tolerance_px():
                part.pulse_s = (now_s, self._until_s)
        elif self._has_passed(part.goal_px, place):
            self._give_up(part)

    def _is_safe(self, part: Coming, place: Place) -> bool:
        """Wherever the belt may really be, this part or one like it is the nearest to the gate."""
        low_px, high_px = place.px - place.off_px, place.px + place.off_px
        behind_px, ahead_px = self._parts.room_px(part, self._beside_px())
        if low_px < behind_px or high_px >= ahead_px:
            return False
        if place.off_px <= self._tolerance_px():
            return True
        # A guess so rough may only be used where every part is known: those that passed the camera since the last
        # frame are not.
        unknown_px = self._goal_px(self._looked_s, self._belt.usual_px_s)
        return unknown_px is not None and high_px + self._settings.pulse_s * place.speed_px_s < unknown_px

    def _pulse_s(self, part: Coming, place: Place) -> float:
        _, ahead_px = self._parts.room_px(part, self._beside_px())
        room_px = ahead_px - place.px - place.off_px
        return min(self._settings.pulse_s, room_px / place.speed_px_s if place.speed_px_s > 0 else 1e9)

    def _beside_px(self) -> float:
        """With a part that must be ejected goes what lies side by side with it: none must get by. None does when a
        pulse lets pass."""
        return self._tolerance_px() if self._settings.drives == "reject" else -1.0

    def _confirm(self, part: Coming, place: Place) -> None:
        """Now that the belt was read again: was the part before the gate during its pulse?"""
        assert part.pulse_s is not None
        if place.read_s < part.pulse_s[1]:
            return
        part.guessed = True
        began, ended = (self._belt.at(at_s) for at_s in part.pulse_s)
        part.pulse_s = None
        tolerance_px = self._tolerance_px()
        came = ended is not None and ended.px - ended.off_px >= part.goal_px - tolerance_px
        was_there = began is not None and began.px + began.off_px <= part.goal_px + tolerance_px
        part.due = not (came and was_there)  # another pulse does no harm where this one hit

    def _give_up(self, part: Coming) -> None:
        part.due = False
        if part.verdict is not None:
            self._late.append((part.verdict, UNSURE if part.guessed else PASSED))

    def _abandoned(self) -> list[tuple[Verdict, str]]:
        with self._changed:
            late, self._late = self._late, []
            return late + [(each.verdict, STOPPED) for each in self._parts if each.due and each.verdict is not None]

    def _reaches_s(self, goal_px: float, place: Place, now_s: float) -> float | None:
        usual = self._belt.usual_px_s
        is_usual = place.speed_px_s <= CREEPING * usual or abs(place.speed_px_s - usual) <= STEADY * usual
        speed = usual if is_usual else place.speed_px_s
        if speed <= 0 or abs(goal_px - place.px) > FARTHEST_S * speed:
            return None
        return now_s + (goal_px - place.px) / speed

    def _has_passed(self, goal_px: float, place: Place) -> bool:
        return place.px - place.off_px > goal_px + self._tolerance_px()

    def _tolerance_px(self) -> float:
        return self._settings.tolerance_s * self._belt.usual_px_s

    def _part_goal_px(self, part: Part) -> float | None:
        return self._goal_px(part.at_s, part.speed_px_s, part.ahead_px)

    def _goal_px(self, captured_s: float, speed_px_s: float, ahead_px: float = 0.0) -> float | None:
        way_px = self._belt.way_px(self._settings.distance_px, self._settings.delay_s, ahead_px, speed_px_s)
        began_px = self._belt.passed_px(captured_s)
        return None if began_px is None or way_px is None else began_px + way_px

    def _wait_s(self, place: Place | None, now_s: float) -> float:
        waits = [TURN_S]
        if now_s < self._until_s:
            waits.append(self._until_s - now_s)
        if now_s < self._stopped_until_s:
            waits.append(self._stopped_until_s - now_s)
        due = [each.goal_px for each in self._parts if each.due or each.pulse_s is not None]
        if due:
            waits.append(SLOWEST_S)
        if due and place is not None and place.speed_px_s > 0:
            ahead = [px - place.px for px in due if px > place.px]
            waits.append(max(FASTEST_S, min(ahead, default=0.0) / place.speed_px_s))
        return min(waits)

    def _tell_late(self, verdict: Verdict, why: str, now_s: float) -> None:
        log.error("part %d (%s): %s; no pulse", verdict.number, verdict.decision.value, why)
        if verdict.decision is not Decision.PASS and self._settings.drives == "reject":
            self._stopped_until_s = now_s + self._settings.stop_s
        self._on_late(verdict, why)

    def _set(self, device: Output, active: bool) -> None:
        if bool(device.value) != active:
            device.value = active
