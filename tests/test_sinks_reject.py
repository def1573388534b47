"""The reject output on gpiozero's own mock pins, which note every change with its time."""

from __future__ import annotations

import builtins
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

gpiozero = pytest.importorskip("gpiozero")
from gpiozero.pins.mock import MockFactory  # noqa: E402 - only when gpiozero is here

from edge import config  # noqa: E402
from edge.belt import Belt, Clockwork  # noqa: E402
from edge.domain import Decision, Verdict  # noqa: E402
from edge.pins import NoPin  # noqa: E402
from edge.sinks.reject import RejectOutput  # noqa: E402

pytestmark = pytest.mark.wall_clock

PIN = 17


def verdict(number: int, decision: Decision, captured_s: float, speed_px_s: float = 0.0) -> Verdict:
    return Verdict(
        number=number, decision=decision, label="", reason="", score=0.5, limits=(0.2, 0.6), views=1,
        captured_at_s=captured_s, speed_px_s=speed_px_s,
    )  # fmt: skip


class Gate:
    """An output in its thread, with a pin that remembers."""

    def __init__(self, belt: Belt | None = None, **settings: Any) -> None:
        self.factory = MockFactory()
        self.late: list[int] = []
        self.output = RejectOutput(
            config.Reject(pin=PIN, **settings),
            belt or Clockwork(),
            on_late=lambda each, _why: self.late.append(each.number),
            factory=self.factory,
        )
        self.pin = self.factory.pin(PIN)
        self.pin.clear_states()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.output.run, args=(self._stopping,))

    def pulses(self) -> list[tuple[float, float]]:
        """`(begin, length)` of each, in seconds since the pin was taken."""
        at_s, pulses, began = 0.0, [], None
        for state in self.pin.states:
            at_s += state.timestamp
            if state.state:
                began = at_s
            elif began is not None:
                pulses.append((began, at_s - began))
                began = None
        return pulses

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            self._thread.join(5)
            assert not self._thread.is_alive()
            self.output.close()
            self.factory.reset()


def test_rejected_and_reviewed_parts_get_a_pulse_and_passed_ones_none() -> None:
    gate = Gate(delay_s=0.1, pulse_s=0.05, tolerance_s=0.05)
    with gate.running():
        now_s = time.monotonic()
        for number, decision in enumerate((Decision.REJECT, Decision.PASS, Decision.REVIEW)):
            gate.output.give(verdict(number, decision, now_s + number * 0.12))
        time.sleep(0.6)
        pulses = gate.pulses()
    assert len(pulses) == 2
    assert pulses[1][0] - pulses[0][0] == pytest.approx(0.24, abs=0.03)
    assert [length for _, length in pulses] == pytest.approx([0.05, 0.05], abs=0.03)
    assert gate.late == []


def test_the_fail_safe_drives_passed_parts_only() -> None:
    gate = Gate(drives="pass", delay_s=0.05, tolerance_s=0.05)
    with gate.running():
        now_s = time.monotonic()
        for number, decision in enumerate((Decision.REJECT, Decision.PASS, Decision.REVIEW)):
            gate.output.give(verdict(number, decision, now_s + number * 0.1))
        time.sleep(0.45)
        assert len(gate.pulses()) == 1


def test_pulses_that_touch_become_one() -> None:
    gate = Gate(delay_s=0.05, pulse_s=0.1, tolerance_s=0.05)
    with gate.running():
        now_s = time.monotonic()
        gate.output.give(verdict(1, Decision.REJECT, now_s))
        gate.output.give(verdict(2, Decision.REJECT, now_s + 0.06))
        time.sleep(0.4)
        pulses = gate.pulses()
    assert [length for _, length in pulses] == pytest.approx([0.16], abs=0.03)


def test_verdicts_out_of_order_come_at_their_own_time() -> None:
    gate = Gate(distance_px=100, pulse_s=0.02, tolerance_s=0.05)
    with gate.running():
        now_s = time.monotonic()
        gate.output.give(verdict(1, Decision.REJECT, now_s, speed_px_s=250))
        gate.output.give(verdict(2, Decision.REJECT, now_s, speed_px_s=1000))
        time.sleep(0.6)
        pulses = gate.pulses()
    assert pulses[1][0] - pulses[0][0] == pytest.approx(0.3, abs=0.03)


def test_a_late_verdict_gets_no_pulse_and_is_told() -> None:
    gate = Gate(delay_s=0.05)
    with gate.running():
        gate.output.give(verdict(7, Decision.REJECT, time.monotonic() - 1))
        time.sleep(0.1)
        assert gate.pulses() == []
    assert gate.late == [7]


def test_the_pin_is_at_rest_after_a_stop_in_the_middle_of_a_pulse() -> None:
    gate = Gate(delay_s=0.0, pulse_s=5.0, tolerance_s=1.0)
    with gate.running():
        gate.output.give(verdict(1, Decision.REJECT, time.monotonic() + 0.01))
        time.sleep(0.1)
        assert gate.pin.state
    assert len(gate.pulses()) == 1
    assert not gate.pin.state


def test_parts_on_their_way_at_a_stop_are_told() -> None:
    gate = Gate(delay_s=60.0)
    with gate.running():
        gate.output.give(verdict(1, Decision.REJECT, time.monotonic()))
        gate.output.give(verdict(2, Decision.PASS, time.monotonic()))
    assert gate.late == [1]
    assert not gate.pin.state


def test_low_active_outputs_rest_high() -> None:
    gate = Gate(active_high=False, delay_s=0.0, pulse_s=0.05, tolerance_s=1.0)
    with gate.running():
        assert gate.pin.state
        gate.output.give(verdict(1, Decision.REJECT, time.monotonic()))
        time.sleep(0.15)
        assert [bool(each.state) for each in gate.pin.states] == [True, False, True]


def test_speed_and_distance_give_the_moment_and_a_standing_belt_the_delay() -> None:
    output = Gate(distance_px=300, delay_s=0.5).output
    now_s = time.monotonic()
    assert output.forecast(verdict(1, Decision.REJECT, now_s, speed_px_s=200)).at_s == pytest.approx(now_s + 1.5)
    assert output.forecast(verdict(1, Decision.REJECT, now_s)).at_s == pytest.approx(now_s + 0.5)
    assert not output.forecast(verdict(1, Decision.REJECT, now_s)).late
    assert output.forecast(verdict(1, Decision.REJECT, now_s - 1)).late


def test_a_machine_without_gpio_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    with pytest.raises(NoPin, match=r"^reject\.pin: GPIO 17 cannot be used .*reject\.enabled: false$") as refusal:
        RejectOutput(config.Reject(), Clockwork(), on_late=lambda *_: None)
    assert "\n" not in str(refusal.value)


def test_without_gpiozero_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "gpiozero":
            raise ImportError(name)
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NoPin, match=r"pip install 'linegate\[gpio\]'"):
        RejectOutput(config.Reject(), Clockwork(), on_late=lambda *_: None)
