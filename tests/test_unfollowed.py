"""Belt that nobody could follow is told: over MQTT, as a metric, and in the summary of a replay."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from edge import config
from edge.app import Daemon
from edge.domain import Frame
from edge.notify import Notifier
from edge.sources.simulator import Simulator
from tests.brokers import Listener, Mosquitto, eventually

pytestmark = pytest.mark.wall_clock

ROOT = Path(__file__).parents[1]
BELT = config.SimulatorSource(
    width_px=320, height_px=240, part_px=50.0, speed_px_s=150.0, parts_per_minute=90.0, scenario="clean", seed=5
)
GONE_S = 8.0, 12.0
"""Of sixteen seconds; meanwhile the belt moves on by nearly two pictures."""


class Blinking:
    """A camera that gives nothing for a while, in time with the clock of the daemon."""

    def frames(self, stopping: Event) -> Iterator[Frame]:
        """As from the simulator, less those that went missing."""
        for frame in Simulator(BELT, paced=True, seconds=16.0).frames(stopping):
            self.begun_s = getattr(self, "begun_s", frame.at_s)
            if not GONE_S[0] <= frame.at_s - self.begun_s < GONE_S[1]:
                yield frame


@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs mosquitto")
def test_a_camera_that_gives_no_frames_for_a_while_is_told(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, Listener(broker.port) as listener:
        daemon = Daemon(
            config.Config(
                source=config.Sources(simulator=BELT), mqtt=config.Mqtt(port=broker.port),
                http=config.Http(enabled=False), journal=config.Journal(path=str(tmp_path / "journal.sqlite")),
            ),
            ROOT, open_frames=Blinking, patient=True,
        )  # fmt: skip
        thread = threading.Thread(target=daemon.run, args=(Notifier({}),))
        thread.start()
        eventually(lambda: [each for each in listener.on("event") if each["event"] == "parts_unfollowed"])
        thread.join(60)
        assert not thread.is_alive()
        told = [each for each in listener.on("event") if each["event"] == "parts_unfollowed"]
    assert all(each["from"] < each["to"] and each["detail"] for each in told)
    seconds = daemon.metrics.belt_unfollowed_seconds._value.get()
    assert GONE_S[1] - GONE_S[0] - 2 < seconds < 10
    schema = json.loads((ROOT / "edge" / "station.schema.json").read_text())
    jsonschema = pytest.importorskip("jsonschema")
    for each in told:
        jsonschema.validate(each, {"$ref": "#/$defs/event", "$defs": schema["$defs"]})
