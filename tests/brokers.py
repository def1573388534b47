"""Real brokers and listeners for tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
import pytest

from edge.demo_broker import SEARCHED, DemoBroker

MOSQUITTO = shutil.which("mosquitto", path=SEARCHED)
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed (apt install mosquitto)")


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(holds: Callable[[], Any], timeout_s: float = 60.0, what: str = "it") -> None:
    """Wait until `holds()`; fails the test when it does not within the time."""
    deadline_s = time.monotonic() + timeout_s
    while not _already(holds):
        assert time.monotonic() < deadline_s, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.01)


def _already(holds: Callable[[], Any]) -> bool:
    """The newest of what came, asked for before anything came, is not there yet."""
    try:
        return bool(holds())
    except LookupError:
        return False


class Mosquitto:
    """A mosquitto that can be stopped, killed, frozen and started again on the same port."""

    def __init__(self, folder: Path, extra: Iterable[str] = ("allow_anonymous true",)) -> None:
        self.port = free_port()
        self._file = folder / "mosquitto.conf"
        user = ["user root"] if os.geteuid() == 0 else []
        self._file.write_text("\n".join([f"listener {self.port} 127.0.0.1", "persistence false", *user, *extra, ""]))
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until it listens."""
        assert MOSQUITTO
        with open(self._log, "ab") as output:
            self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._file)], stdout=output, stderr=output)

        def listening() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(listening, what=f"mosquitto's start ({self._log.read_text()[-300:]})")
        return self

    def signal(self, number: int) -> None:
        """Send a signal; after SIGTERM and SIGKILL, wait for the end."""
        assert self._process
        self._process.send_signal(number)
        if number in (signal.SIGTERM, signal.SIGKILL):
            self._process.wait(60)

    def kill(self) -> None:
        """As a power cut does."""
        self.signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(60)


class Listener:
    """A second client, as a PLC gateway is one: remembers every message in the order of arrival.

    With a `client_id` the broker keeps messages for it while it is away. It may be entered again.
    """

    def __init__(self, port: int, topic: str = "linegate/#", *, client_id: str = "") -> None:
        self.messages: list[paho.MQTTMessage] = []
        self._port = port
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, clean_session=not client_id)
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self.messages.append(message)

    def __enter__(self) -> Self:
        self._subscribed.clear()
        self._client.connect("127.0.0.1", self._port, 60)
        self._client.loop_start()
        assert self._subscribed.wait(60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something to the station."""
        self._client.publish(topic, payload, qos=1)

    def on(self, name: str) -> list[Any]:
        """The documents that came on the topic whose last part is `name`."""
        ending = "/" + name
        return [json.loads(each.payload) for each in list(self.messages) if each.topic.endswith(ending)]

    def sequences(self) -> list[int]:
        """Of all verdicts that came, repeated ones included."""
        return [each["sequence"] for each in self.on("verdict")]


__all__ = ["DemoBroker", "Listener", "Mosquitto", "eventually", "free_port", "needs_mosquitto"]
