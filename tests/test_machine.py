"""The daemon with pins: what the reject gate does to a simulated belt that stops, and what a photo-eye adds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

gpiozero = pytest.importorskip("gpiozero")
from gpiozero.pins.mock import MockFactory, MockPin  # noqa: E402

from edge import config  # noqa: E402
from edge.app import Daemon  # noqa: E402
from edge.belt import FollowedTracker, TrackedBelt, Witness  # noqa: E402
from edge.belt.witness import UNSEEN  # noqa: E402
from edge.domain import Decision, Frame, Part, Verdict  # noqa: E402
from edge.judge import Judge  # noqa: E402
from edge.line import Line  # noqa: E402
from edge.message import Record  # noqa: E402
from edge.notify import Notifier  # noqa: E402
from edge.sources.simulator import Simulator  # noqa: E402
from edge.tracking import open_tracker  # noqa: E402

pytestmark = pytest.mark.wall_clock

ROOT = Path(__file__).parents[1]
PIN = 17
WAY_PX = 800.0
"""Four seconds: verdicts of a busy machine come in time, too."""
WIDTH_PX = 320


class NotedPin(MockPin):
    """Notes when it changed."""

    def __init__(self, *given: Any) -> None:
        self.levels: list[tuple[float, bool]] = []
        super().__init__(*given)

    def _change_state(self, value: float) -> bool:
        changed: bool = super()._change_state(value)
        self.levels.append((time.monotonic(), bool(self.state)))
        return changed


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockFactory]:
    factory = MockFactory(pin_class=NotedPin)
    monkeypatch.setattr(gpiozero.Device, "pin_factory", factory)
    yield factory
    factory.reset()


@pytest.mark.parametrize("kind", ["none", "simulator"], ids=["by what the tracker sees", "by an encoder"])
def test_the_gate_pulses_for_rejected_parts_and_no_other_on_a_belt_that_stops(
    pins: MockFactory, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    belt = config.SimulatorSource(
        width_px=WIDTH_PX,
        height_px=240,
        part_px=60.0,
        speed_px_s=200.0,
        parts_per_minute=110.0,
        scenario="stop",
        seed=417,
    )
    simulator = Simulator(belt, seconds=16.0)
    heard: list[tuple[Verdict, Record]] = []
    daemon = Daemon(
        config.Config(
            source=config.Sources(simulator=belt), mqtt=config.Mqtt(enabled=False), http=config.Http(enabled=False),
            journal=config.Journal(path=str(tmp_path / "journal.sqlite")), encoder=config.Encoder(kind=kind),
            reject=config.Reject(
                enabled=True, pin=PIN, distance_px=WAY_PX, pulse_s=0.03, tolerance_s=0.05, belt_stop_s=0.4
            ),
        ),
        ROOT, open_frames=lambda: simulator, on_verdict=lambda *told: heard.append(told), patient=True,
    )  # fmt: skip
    assert daemon.run(Notifier({})) == 0
    end_s = time.monotonic()
    levels = pins.pin(PIN).levels

    def place_px(at_s: float) -> float:
        return simulator.travelled_px(at_s)

    goals = {verdict.number: (place_px(verdict.captured_at_s) + WAY_PX, verdict.decision) for verdict, _ in heard}
    pulses = [
        (place_px(began_s), place_px(ended_s))
        for (began_s, on), (ended_s, _) in zip(levels, [*levels[1:], (end_s, False)], strict=True)
        if on
    ]
    hits = {number for number, (goal_px, _) in goals.items() if any(a - 25 < goal_px < b + 25 for a, b in pulses)}
    reached = {number for number, (goal_px, _) in goals.items() if goal_px < place_px(end_s) - 30}
    rejected = {number for number, (_, decision) in goals.items() if decision is not Decision.PASS}
    told = {int(each.args[0]) for each in caplog.records if each.name == "edge.sinks.reject"}  # type: ignore[index]
    late = int(daemon.metrics.verdicts_late._value.get())
    assert late == len(told)
    assert hits <= rejected
    assert reached & rejected - hits <= told
    assert len(hits) >= 2
    assert daemon.board.snapshot()["parts"]["late"] == late


class Blind:
    """A tracker that settles all parts but some."""

    def __init__(self, tracker: Any, hidden: set[int]) -> None:
        self._tracker, self._hidden = tracker, hidden
        self.lost_s: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tracker, name)

    def finish(self) -> list[Part]:
        return []

    def update(self, frame: Frame) -> list[Part]:
        parts = self._tracker.update(frame)
        self.lost_s += [part.at_s for part in parts if part.number in self._hidden]
        return [part for part in parts if part.number not in self._hidden]


class NoModel:
    def scores(self, crops: Any) -> Any:
        raise AssertionError("no part is judged here")


@pytest.mark.parametrize("distance_px", [-120.0, 120.0], ids=["before the gate", "behind the gate"])
def test_whom_only_the_eye_saw_goes_to_review_on_a_belt_that_stops(distance_px: float) -> None:
    settings = config.SimulatorSource(
        width_px=WIDTH_PX,
        height_px=240,
        part_px=60.0,
        speed_px_s=200.0,
        parts_per_minute=80.0,
        scenario="stop",
        seed=417,
    )
    simulator = Simulator(settings, paced=False, seconds=30.0)
    belt = TrackedBelt(stop_s=0.4)
    disputed: list[Part] = []
    eye = Witness(
        config.PhotoEye(enabled=True, distance_px=distance_px, match_px=25.0), belt, on_unwitnessed=disputed.append
    )
    tracker = Blind(open_tracker(config.Tracking()), hidden={5, 9})
    judge = Judge(labels=("bad", "ok"), good=frozenset({"ok"}), pass_steps=0, reject_steps=1, log_odds_per_step=0.1)
    line = Line(FollowedTracker(tracker, belt), NoModel(), judge, witness=eye)
    line.change(ReviewAll(), judge)
    coming = [
        (placement.along_px + WIDTH_PX / 2 + distance_px - 30, placement.along_px + WIDTH_PX / 2 + distance_px + 30)
        for placement in simulator.story()
    ]
    began: dict[int, float] = {}
    verdicts = []
    for frame in simulator.frames(Event()):
        travel_px = simulator.travelled_px(frame.at_s)
        for number, (begin_px, end_px) in enumerate(coming):
            if number not in began and travel_px >= begin_px:
                began[number] = frame.at_s
            elif began.get(number, -1.0) >= 0 and travel_px >= end_px:
                eye.interrupted(began[number], frame.at_s)
                began[number] = -1.0
        verdicts += line.inspect(frame)
    unseen = [verdict for verdict in verdicts if verdict.reason == UNSEEN]
    # By place: a part that stands at the gate has no moment.
    places_px = [simulator.travelled_px(verdict.captured_at_s) for verdict in unseen]
    assert places_px == pytest.approx([simulator.travelled_px(at_s) for at_s in tracker.lost_s], abs=20.0)
    assert len(unseen) == 2
    assert disputed == []
    assert len(verdicts) == tracker.entered or len(verdicts) == line.entered - 2


class ReviewAll:
    def scores(self, crops: Any) -> Any:
        import numpy as np

        from edge.domain import Scores

        return Scores(outputs=np.zeros((len(crops), 2), dtype=np.int8))
