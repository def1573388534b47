"""The demo's own broker: starts, answers, and never stays behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from brokers import Listener, eventually, needs_mosquitto

from edge import demo_broker
from edge.demo_broker import DemoBroker, NoBroker

pytestmark = pytest.mark.wall_clock

needs_amqtt = pytest.mark.skipif(importlib.util.find_spec("amqtt") is None, reason="amqtt is not installed")

kinds = pytest.mark.parametrize(
    "embedded", [pytest.param(False, marks=needs_mosquitto), pytest.param(True, marks=needs_amqtt)]
)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@kinds
def test_it_carries_messages_and_ends_with_the_block(embedded: bool) -> None:
    with DemoBroker(embedded=embedded) as broker:
        assert broker.name.startswith("amqtt" if embedded else "mosquitto ")
        with Listener(broker.port, "a/b") as listener:
            listener._client.publish("a/b", b"hello", qos=1)
            eventually(lambda: [each.payload for each in listener.messages] == [b"hello"])
    assert not listens(broker.port)


@kinds
def test_it_ends_after_an_exception(embedded: bool) -> None:
    broker = DemoBroker(embedded=embedded)

    def fail() -> None:
        with broker:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert broker.port
    assert not listens(broker.port)


@pytest.fixture
def killed() -> Iterator[list[subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


@kinds
def test_it_ends_when_its_parent_is_killed(embedded: bool, killed: list[subprocess.Popen[str]]) -> None:
    script = (
        "import time; from edge.demo_broker import DemoBroker\n"
        f"with DemoBroker(embedded={embedded}) as broker: print(broker.port, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    killed.append(parent)
    assert parent.stdout is not None
    port = int(parent.stdout.readline())
    parent.stdout.close()
    assert listens(port)
    os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: not listens(port), what="the broker's end")


def test_without_any_broker_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_broker, "SEARCHED", "/nowhere")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(NoBroker, match=r"apt install mosquitto, or: pip install 'linegate\[demo\]'$"), DemoBroker():
        pass


@needs_mosquitto
def test_a_broker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(demo_broker, "_free_port", lambda: taken.getsockname()[1])
        monkeypatch.setattr(demo_broker, "ATTEMPTS", 1)
        with pytest.raises(NoBroker, match=r"did not start: .*[Aa]ddress") as refusal, DemoBroker():
            pass
    assert "\n" not in str(refusal.value)
