"""A camera that waits for a trigger sends nothing while no part comes: that is no fault."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from edge import config
from edge.app import Daemon
from edge.domain import Frame
from edge.notify import Notifier
from edge.page import board
from edge.sources.simulator import Simulator

pytestmark = pytest.mark.wall_clock

ROOT = Path(__file__).parents[1]


class Idle:
    """One picture, then silence."""

    def frames(self, stopping: Event) -> Iterator[Frame]:
        picture = Simulator(config.SimulatorSource(width_px=320, height_px=240, part_px=60.0), paced=False).picture(0)
        yield Frame(index=0, at_s=time.monotonic(), image=picture)
        stopping.wait()


@pytest.mark.parametrize("triggered", [True, False])
def test_silence_is_a_fault_unless_the_camera_waits_for_a_trigger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, triggered: bool
) -> None:
    monkeypatch.setattr(board, "STALE_S", 0.3)
    settings = config.Config(
        source=config.Sources(kind="picamera", picamera=config.PicameraSource(triggered=triggered)),
        mqtt=config.Mqtt(enabled=False), http=config.Http(enabled=False),
        journal=config.Journal(path=str(tmp_path / "journal.sqlite")),
    )  # fmt: skip
    daemon = Daemon(settings, ROOT, open_frames=Idle)
    assert (daemon.board.readiness()["frames"] == "") is triggered
    thread = Thread(target=daemon.run, args=(Notifier({}),))
    thread.start()
    try:
        give_up_s = time.monotonic() + 30
        while daemon.board.frame_age_s() is None and time.monotonic() < give_up_s:
            time.sleep(0.05)
        time.sleep(0.6)
        assert (daemon.board.readiness()["frames"] == "") is triggered
        assert daemon.board.snapshot()["camera"]["moving"] is triggered
    finally:
        daemon._crew.stopping.set()
        thread.join(30)
    assert not thread.is_alive()
