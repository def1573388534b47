"""Where the belt is: counted on gpiozero's mock pins, read from the tracker, and what a photo-eye says beside it."""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

pytest.importorskip("gpiozero")
from gpiozero.pins.mock import MockFactory

from edge import config
from edge.belt import EncoderBelt, PhotoEye, TrackedBelt, Witness
from edge.belt.witness import UNSEEN
from edge.domain import Decision, Part, Verdict
from edge.machine import Machine
from edge.pins import NoPin
from edge.sinks.reject import AGAINST, RejectOutput
from edge.sources.simulator import Simulator
from edge.tracking import open_tracker

pytestmark = pytest.mark.wall_clock

FULL_PX_S = 200.0


class Shaft:
    """An encoder's two channels, turned by hand."""

    PHASES = ((1, 1), (0, 1), (0, 0), (1, 0))
    """Of the pins, which are pulled up: one full cycle forwards."""

    def __init__(self, factory: MockFactory, a: int, b: int) -> None:
        self._pins = factory.pin(a), factory.pin(b)
        self._phase = 0

    def turn(self, cycles: int) -> None:
        for _ in range(4 * abs(cycles)):
            self._phase = (self._phase + (1 if cycles > 0 else -1)) % 4
            for pin, level in zip(self._pins, self.PHASES[self._phase], strict=True):
                if pin.state != bool(level):
                    pin.drive_high() if level else pin.drive_low()


def followed(speed_px_s: float = FULL_PX_S, seconds: float = 2.0, fps: float = 30.0) -> TrackedBelt:
    belt = TrackedBelt(stop_s=0.3)
    frames = range(int(seconds * fps))
    belt.follow(tuple((frame / fps, frame / fps * speed_px_s) for frame in frames), speed_px_s, 400.0)
    return belt


def test_an_encoder_counts_forwards_and_backwards() -> None:
    factory = MockFactory()
    belt = EncoderBelt(
        config.Encoder(kind="gpio", pin=5, pin_b=6, px_per_pulse=2.5), followed(), on_silent=print, factory=factory
    )
    shaft = Shaft(factory, 5, 6)
    shaft.turn(40)
    first_s = time.monotonic()
    assert belt.at(first_s).px == pytest.approx(100.0, abs=2.5)
    shaft.turn(-30)
    assert belt.at(time.monotonic()).px == pytest.approx(25.0, abs=2.5)
    assert belt.at(first_s).px == pytest.approx(100.0, abs=2.5)
    belt.close()
    factory.reset()


def test_a_tachometer_counts_every_pulse() -> None:
    factory = MockFactory()
    belt = EncoderBelt(
        config.Encoder(kind="gpio", pin=5, px_per_pulse=10.0), followed(), on_silent=print, factory=factory
    )
    for _ in range(7):
        factory.pin(5).drive_low()
        factory.pin(5).drive_high()
    place = belt.at(time.monotonic())
    assert 70.0 <= place.px <= 80.0
    assert place.off_px == 10.0
    belt.close()
    factory.reset()


def test_an_encoder_that_is_silent_while_parts_pass_is_noticed_and_nothing_is_ejected_by_it() -> None:
    heard: list[bool] = []
    factory = MockFactory()
    tracked = followed(seconds=20.0)
    belt = EncoderBelt(
        config.Encoder(kind="gpio", pin=5, px_per_pulse=10.0), tracked, on_silent=heard.append, factory=factory,
        clock=lambda: 0.0,
    )  # fmt: skip
    for number in range(6):
        belt.passed(1.0 + number)
    assert heard == [True]
    assert belt.at(8.0) is None
    for number in range(100):
        belt.pulse(1, 8.0 + number / 50)
    belt.passed(9.5)
    assert heard == [True, False]
    assert belt.at(9.0) is None  # whoever passed before is nobody knows where
    assert belt.at(9.6).px > 1e6  # and whoever was on the way is out of reach


def test_parts_beside_each_other_are_no_silence() -> None:
    heard: list[bool] = []
    belt = EncoderBelt(
        config.Encoder(kind="gpio", pin=5, px_per_pulse=10.0), followed(), on_silent=heard.append,
        factory=MockFactory(), clock=lambda: 0.0,
    )  # fmt: skip
    for _ in range(6):
        belt.passed(1.0)
    assert heard == []


def test_a_wrong_scale_is_told_with_the_right_one(caplog: pytest.LogCaptureFixture) -> None:
    belt = EncoderBelt(
        config.Encoder(kind="gpio", pin=5, px_per_pulse=2.0), followed(seconds=40.0), on_silent=print,
        factory=MockFactory(), clock=lambda: 0.0,
    )  # fmt: skip
    for number in range(1, 3000):
        belt.pulse(1, number / 80)  # 80 pulses/s of 2 px are 160 px/s; the picture says 200
    for number in range(17):
        belt.passed(1.0 + 2 * number)
    assert "encoder.px_per_pulse is 2; the picture says 2.5" in caplog.text


def test_an_estimate_grows_as_uncertain_as_the_belt_can_brake() -> None:
    belt = followed(seconds=2.0)
    last_s = 59 / 30
    fresh, stale = belt.at(last_s + 0.01), belt.at(last_s + 0.5)
    assert fresh.px == pytest.approx(FULL_PX_S * (last_s + 0.01))
    assert fresh.off_px < 2.0
    braked_px = FULL_PX_S * 0.15  # a full stop within 0.3 s
    assert stale.px - stale.off_px <= FULL_PX_S * last_s + braked_px
    assert stale.speed_px_s == pytest.approx(FULL_PX_S)


@pytest.mark.parametrize("gap_s", [2.5, 10.0], ids=["too far for the picture", "too long"])
def test_what_was_on_the_way_is_out_of_reach_when_the_count_breaks(gap_s: float) -> None:
    belt = followed()
    place_px = belt.passed_px(1.0)
    belt.follow(((59 / 30 + gap_s, 700.0), (60 / 30 + gap_s, 706.0)), FULL_PX_S, 400.0)
    assert belt.at(60 / 30 + gap_s).px > place_px + 1e6


def test_a_camera_that_is_silent_for_long_lets_nothing_be_ejected() -> None:
    now_s = [2.0]
    late: list[int] = []
    factory = MockFactory()
    output = RejectOutput(
        config.Reject(distance_px=400.0), followed(), on_late=lambda each, _why: late.append(each.number),
        clock=lambda: now_s[0], factory=factory,
    )  # fmt: skip
    output.give(verdict(1, 1.5))
    output.step()
    assert late == []
    now_s[0] = 6.0
    output.step()
    assert late == [1]
    assert not factory.pin(17).state


def verdict(number: int, captured_s: float, decision: Decision = Decision.REJECT) -> Verdict:
    return Verdict(
        number=number, decision=decision, label="", reason="", score=0.5, limits=(0.2, 0.6), views=1,
        captured_at_s=captured_s, speed_px_s=FULL_PX_S,
    )  # fmt: skip


def test_a_pulse_ends_halfway_to_a_part_that_shall_stay() -> None:
    now_s = [2.0]
    factory = MockFactory()
    belt = followed(seconds=8.0)
    output = RejectOutput(
        config.Reject(distance_px=200.0, pulse_s=1.0), belt, on_late=lambda *_: None, clock=lambda: now_s[0],
        factory=factory,
    )  # fmt: skip
    output.give(verdict(1, 2.0))
    output.give(verdict(2, 2.2, Decision.PASS))
    on = []
    while now_s[0] < 4.0:
        output.step()
        if factory.pin(17).state:
            on.append(now_s[0])
        now_s[0] += 0.005
    assert on[0] == pytest.approx(3.0, abs=0.01)
    assert on[-1] == pytest.approx(3.1, abs=0.02)


def test_a_reject_beside_a_good_part_is_ejected_with_it_but_a_good_part_beside_a_reject_does_not_pass() -> None:
    for drives, decisions, wanted in (
        ("reject", (Decision.REJECT, Decision.PASS), True),
        ("pass", (Decision.PASS, Decision.REJECT), False),
    ):
        now_s, late = [2.0], []
        factory = MockFactory()
        output = RejectOutput(
            config.Reject(distance_px=200.0, drives=drives), followed(seconds=8.0),
            on_late=lambda each, _why, late=late: late.append(each.number), clock=lambda now_s=now_s: now_s[0],
            factory=factory,
        )  # fmt: skip
        for number, decision in enumerate(decisions, start=1):
            output.give(verdict(number, 2.0 + number / 1000, decision))
        pulsed = False
        while now_s[0] < 4.0:
            output.step()
            pulsed |= bool(factory.pin(17).state)
            now_s[0] += 0.005
        assert pulsed is wanted
        assert late == ([] if wanted else [1])


def test_a_part_that_vanished_before_the_gate_is_ejected_where_it_must_be() -> None:
    now_s = [2.0]
    factory = MockFactory()
    output = RejectOutput(
        config.Reject(distance_px=200.0), followed(seconds=8.0), on_late=lambda *_: None, clock=lambda: now_s[0],
        factory=factory,
    )  # fmt: skip
    output.expect(Part(number=1, at_s=2.0, views=(), reason="vanished", ahead_px=100.0))
    lost = replace(verdict(1, 2.0), decision=Decision.REVIEW)
    assert output.forecast(lost).at_s == pytest.approx(3.5, abs=0.01)
    output.give(lost)
    while not factory.pin(17).state:
        output.step()
        now_s[0] += 0.005
    assert now_s[0] == pytest.approx(3.5, abs=0.02)


class Eye:
    """A photo-eye 100 px behind the camera's gate, over a belt at full speed."""

    def __init__(self, distance_px: float = 100.0) -> None:
        self.belt = followed(seconds=30.0)
        self.unwitnessed: list[int] = []
        self.witness = Witness(
            config.PhotoEye(enabled=True, distance_px=distance_px, match_px=20.0), self.belt,
            on_unwitnessed=lambda part: self.unwitnessed.append(part.number),
        )  # fmt: skip
        self.delay_s = distance_px / FULL_PX_S

    def passes(self, at_s: float) -> None:
        """A part of 40 px that crosses the camera's gate then."""
        middle_s = at_s + self.delay_s
        self.witness.interrupted(middle_s - 0.1, middle_s + 0.1)

    def settles(self, number: int, at_s: float) -> None:
        self.witness.settled(Part(number=number, at_s=at_s, views=()))


@pytest.mark.parametrize("distance_px", [-300.0, 0.0, 100.0])
def test_a_part_that_only_the_eye_saw_comes_for_review_and_no_other(distance_px: float) -> None:
    eye = Eye(distance_px)
    unseen = []
    for number in range(1, 10):
        at_s = 2.0 * number
        eye.passes(at_s)
        if number != 4:
            eye.settles(number, at_s + 0.05)
        unseen += eye.witness.unseen(at_s + 1.9)
    unseen += eye.witness.unseen(29.0)
    assert [part.reason for part in unseen] == [UNSEEN]
    assert unseen[0].at_s == pytest.approx(8.0, abs=0.05)
    assert unseen[0].views == ()
    assert eye.unwitnessed == []
    assert eye.witness.counted == 9


def test_a_part_that_the_eye_missed_is_told() -> None:
    eye = Eye()
    eye.settles(1, 3.0)
    assert eye.witness.unseen(3.1) == []
    assert eye.unwitnessed == []
    assert eye.witness.unseen(6.0) == []
    assert eye.unwitnessed == [1]


def test_touching_parts_interrupt_once_and_are_both_witnessed() -> None:
    eye = Eye()
    eye.witness.interrupted(3.5 - 0.1, 3.7 + 0.1)
    eye.settles(1, 3.0)
    eye.settles(2, 3.2)
    assert eye.witness.unseen(9.0) == []
    assert eye.unwitnessed == []


def test_the_eye_on_its_pin_tells_when_the_light_was_interrupted() -> None:
    factory = MockFactory()
    heard: list[tuple[float, float]] = []

    class Listening(Witness):
        def interrupted(self, begin_s: float, end_s: float) -> None:
            heard.append((begin_s, end_s))

    settings = config.PhotoEye(enabled=True)
    eye = PhotoEye(settings, Listening(settings, followed()), factory=factory)
    factory.pin(settings.pin).drive_high()
    time.sleep(0.05)
    factory.pin(settings.pin).drive_low()
    eye.close()
    ((begin_s, end_s),) = heard
    assert end_s - begin_s == pytest.approx(0.05, abs=0.03)


def machine(**sections: Any) -> Machine:
    return Machine(
        config.Config(**sections), on_late=lambda *_: None, on_unwitnessed=lambda _: None, on_encoder=lambda _: None
    )


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"encoder": config.Encoder(kind="gpio")}, r"^encoder\.pin: GPIO 23 .*set encoder\.kind: none$"),
        ({"photo_eye": config.PhotoEye(enabled=True)}, r"^photo_eye\.pin: GPIO 25 .*set photo_eye\.enabled: false$"),
    ],
)
def test_an_input_without_gpio_is_one_line(
    sections: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpiozero

    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    with pytest.raises(NoPin, match=says):
        machine(**sections)


@pytest.mark.parametrize("drives", ["reject", "pass"])
def test_a_part_on_a_lane_that_runs_against_the_gate_is_told_late_and_never_pulsed_for(drives: str) -> None:
    now_s, late = [2.0], []
    factory = MockFactory()
    output = RejectOutput(
        config.Reject(distance_px=200.0, drives=drives), followed(seconds=8.0), on_late=lambda *told: late.append(told),
        clock=lambda: now_s[0], factory=factory,
    )  # fmt: skip
    other = Part(number=1, at_s=2.0, views=(), is_against=True)
    output.expect(other)
    assert output.eject_s(other) is None
    given = replace(verdict(1, 2.0), decision=Decision.REJECT if drives == "reject" else Decision.PASS)
    assert output.forecast(given).at_s is None
    output.give(given)
    while now_s[0] < 6.0:
        output.step()
        assert not factory.pin(17).state
        now_s[0] += 0.005
    assert [(each.number, why) for each, why in late] == [(1, AGAINST)]


@pytest.mark.parametrize("direction", ["right", "left"])
def test_the_tracker_says_which_parts_run_against_the_way_that_was_set(direction: str) -> None:
    belt = config.SimulatorSource(scenario="opposed", part_px=100.0, seed=5)
    simulator = Simulator(belt, paced=False, seconds=14.0)
    tracker = open_tracker(config.Tracking(direction=direction))
    parts = [part for frame in simulator.frames(Event()) for part in tracker.update(frame)]
    lanes = [part.lane for part in simulator.truth().parts or ()]
    against = [part.is_against for part in parts]
    assert sorted((against.count(True), against.count(False))) == sorted((lanes.count(0), lanes.count(1)))
    # Lanes are told apart across the belt, and each has one way.
    above = {part.is_against for part in parts if part.center_px[1] < belt.height_px / 2}
    below = {part.is_against for part in parts if part.center_px[1] >= belt.height_px / 2}
    assert above | below == {True, False}
    assert not above & below
