"""Frames keep coming: a source that is lost is opened again, one that never can is an error, drops are counted."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest

from edge import capture
from edge.capture import Capture
from edge.domain import Frame, SourceError, SourceLost
from edge.mailbox import Mailbox

pytestmark = pytest.mark.wall_clock


class Scripted:
    """A source that plays frame numbers, and raises what it is told to."""

    def __init__(self, *script: int | Exception) -> None:
        self.script = script

    def frames(self, stopping: Event) -> Iterator[Frame]:
        for each in self.script:
            if isinstance(each, Exception):
                raise each
            if stopping.is_set():
                return
            yield Frame(index=each, at_s=each / 30, image=np.zeros((2, 2), np.uint8))


class Watched:
    """A capture over sources that come one after the other, with everything it told."""

    def __init__(self, *sources: Scripted, capacity: int = 100, patient: bool = False) -> None:
        self.box: Mailbox[Frame] = Mailbox(capacity)
        self.up: list[bool] = []
        self.drops: Counter[str] = Counter()
        self.frames = 0
        coming = iter(sources)
        self.capture = Capture(
            lambda: next(coming),
            self.box,
            on_up=self.up.append,
            on_frame=self._count,
            on_drop=lambda reason, count: self.drops.update({reason: count}),
            patient=patient,
        )

    def _count(self, _frame: Frame) -> None:
        self.frames += 1

    def taken(self) -> list[int]:
        taken = []
        while not self.box.ended:
            frame = self.box.take(1)
            if frame is not None:
                taken.append(frame.index)
        return taken


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "BACK_OFF_S", (0.01,))


def test_the_end_of_the_input_closes_the_box() -> None:
    watched = Watched(Scripted(0, 1, 2))
    watched.capture.run(Event())
    assert watched.taken() == [0, 1, 2]
    assert watched.up == [True, False]


def test_a_lost_camera_is_found_again_and_both_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    lost = SourceLost("the cable is out")
    watched = Watched(Scripted(0, lost), Scripted(lost), Scripted(lost), Scripted(0, 1))
    watched.capture.run(Event())
    assert watched.taken() == [0, 0, 1]
    assert watched.up == [True, False, False, False, True, False]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "the cable is out" in caplog.text


def test_while_the_camera_is_looked_for_the_capture_says_so() -> None:
    stopping = Event()

    class Gone:
        def frames(self, _stopping: Event) -> Iterator[Frame]:
            stopping.set()
            raise SourceLost("gone")

    watched = Watched(Gone())  # type: ignore[arg-type]
    watched.capture.run(stopping)
    assert watched.capture.looking
    assert watched.box.ended


def test_what_can_never_work_is_not_tried_again() -> None:
    watched = Watched(Scripted(SourceError("no such clip")), Scripted(0))
    with pytest.raises(SourceError, match="no such clip"):
        watched.capture.run(Event())
    assert watched.box.ended


def test_frames_that_the_camera_skipped_are_counted() -> None:
    watched = Watched(Scripted(0, 1, 5, 6, 8))
    watched.capture.run(Event())
    assert watched.drops == {"camera": 4}


def test_frames_that_nobody_took_in_time_are_counted_and_the_newest_stay() -> None:
    watched = Watched(Scripted(*range(10)), capacity=2)
    watched.capture.run(Event())
    assert watched.taken() == [8, 9]
    assert watched.drops == {"overload": 8}
    assert watched.frames == 10


def test_a_source_that_can_wait_loses_nothing() -> None:
    watched = Watched(Scripted(*range(30)), capacity=2, patient=True)
    pump = threading.Thread(target=watched.capture.run, args=(Event(),))
    pump.start()
    assert watched.taken() == list(range(30))
    pump.join(5)
    assert watched.drops == {}


def test_a_patient_source_still_hears_the_stop() -> None:
    stopping = Event()
    watched = Watched(Scripted(*range(30)), capacity=2, patient=True)
    pump = threading.Thread(target=watched.capture.run, args=(stopping,))
    pump.start()
    stopping.set()
    pump.join(5)
    assert not pump.is_alive()
