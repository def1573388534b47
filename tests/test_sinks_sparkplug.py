"""The Sparkplug view against an independent decoder and a real broker."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from brokers import Mosquitto, eventually, needs_mosquitto
from hypothesis import given, settings
from hypothesis import strategies as st
from npm_packages import installed
from test_sinks_mqtt import STATION, verdict

from edge import config
from edge.sinks import sparkplug
from edge.sinks.connection import Connection
from edge.sinks.journal import Journal
from edge.sinks.sparkplug import SparkplugView
from edge.sinks.sparkplug_node import REBIRTH, EdgeNode
from edge.sinks.sparkplug_wire import DataType, Garbled, Metric, booleans, encode
from edge.sinks.trouble import Lost

pytestmark = pytest.mark.wall_clock

DECODER = """
const payloads = require("sparkplug-payload").get("spBv1.0");
const answer = line => {
  const given = JSON.parse(line);
  if (given.encode) return Buffer.from(payloads.encodePayload(given.encode)).toString("base64");
  const payload = payloads.decodePayload(Buffer.from(given.decode, "base64"));
  const show = (key, value) => typeof value === "object" && value !== null && "unsigned" in value && "low" in value
    ? Number(BigInt.asIntN(64, (BigInt(value.high) << 32n) + BigInt(value.low >>> 0))) : value;
  return JSON.parse(JSON.stringify(payload, show));
};
const lines = require("readline").createInterface({input: process.stdin});
lines.on("line", line => console.log(JSON.stringify(answer(line))));
"""


class Independent:
    """npm's `sparkplug-payload` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            ["node", "-e", DECODER], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def decode(self, payload: bytes) -> dict[str, Any]:
        found: dict[str, Any] = self._ask({"decode": base64.b64encode(payload).decode()})
        return found

    def encode(self, payload: dict[str, Any]) -> bytes:
        return base64.b64decode(self._ask({"encode": payload}))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            pipe.close()


@pytest.fixture(scope="module")
def independent() -> Iterator[Independent]:
    decoder = Independent(installed("brokers"))
    yield decoder
    decoder.close()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparkplug, "BACK_OFF_S", (0.05, 0.1))


def test_an_independent_decoder_reads_every_type(independent: Independent) -> None:
    values: list[tuple[DataType, Any]] = [
        (DataType.INT64, 5), (DataType.INT64, 2**40), (DataType.UINT64, 2**50), (DataType.DOUBLE, 0.1),
        (DataType.DOUBLE, -1e300), (DataType.BOOLEAN, True), (DataType.BOOLEAN, False), (DataType.STRING, ""),
        (DataType.STRING, "Gußteil Nr. 7 – läuft"), (DataType.DATETIME, 1_764_000_000_000),
    ]  # fmt: skip
    metrics = [
        Metric(name=f"Maß {place}", type=kind, value=value, at_ms=1_764_000_000_000 + place, historical=place % 2 == 1)
        for place, (kind, value) in enumerate(values)
    ]
    metrics.append(Metric(name="nothing", type=DataType.STRING, value=None, at_ms=7))
    found = independent.decode(encode(metrics, at_ms=1_764_000_000_123, seq=255))
    assert (found["timestamp"], found["seq"]) == (1_764_000_000_123, 255)
    assert [(each["name"], each["timestamp"]) for each in found["metrics"]] == [(m.name, m.at_ms) for m in metrics]
    assert [each["type"] for each in found["metrics"]] == [
        "Int64", "Int64", "UInt64", "Double", "Double", "Boolean", "Boolean", "String", "String", "DateTime", "String",
    ]  # fmt: skip
    assert [each["value"] for each in found["metrics"]] == [value for _, value in values] + [None]
    assert [bool(each.get("isHistorical")) for each in found["metrics"]] == [m.historical for m in metrics]


def test_a_negative_number_is_its_twos_complement(independent: Independent) -> None:
    metrics = [Metric(name="low", type=DataType.INT64, value=-5, at_ms=1)]
    assert independent.decode(encode(metrics, at_ms=1, seq=0))["metrics"][0]["value"] in (-5, 2**64 - 5)


def test_commands_of_an_independent_encoder_are_read(independent: Independent) -> None:
    payload = independent.encode(
        {
            "timestamp": 1_764_000_000_000,
            "metrics": [
                {"name": REBIRTH, "type": "Boolean", "value": True, "timestamp": 1},
                {"name": "Other", "type": "Boolean", "value": False},
                {"name": "Text", "type": "String", "value": "x"},
                {"name": "Float", "type": "Double", "value": 1.5},
            ],
        }
    )
    assert booleans(payload) == {REBIRTH: True, "Other": False}


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_whatsoever_do_more_than_be_refused(payload: bytes) -> None:
    try:
        found = booleans(payload)
    except Garbled:
        return
    assert all(isinstance(name, str) and isinstance(value, bool) for name, value in found.items())


@pytest.mark.parametrize("wrong", [{"group": "a/b"}, {"node": "{plant}"}, {"device": ""}, {"node": "a#"}])
def test_a_wrong_name_is_a_configuration_error(tmp_path: Path, wrong: dict[str, str]) -> None:
    journal = Journal(tmp_path / "journal.sqlite", 30)
    with pytest.raises(config.ConfigError, match=rf"^sparkplug\.{next(iter(wrong))}: is "):
        SparkplugView(
            config.Sparkplug(**wrong), config.Mqtt(), STATION, journal, memory=tmp_path / "memory", version="1"
        )
    journal.close()


def test_the_sequence_of_messages_wraps_after_255_and_begins_anew_with_a_birth(independent: Independent) -> None:
    node = EdgeNode(node="n", device="d", version="1", birth=3)
    letters = [*node.births(1), *(node.verdict(verdict(each), 2, historical=False) for each in range(1, 300))]
    letters += node.births(3)
    seqs = [independent.decode(each.payload)["seq"] for each in letters]
    assert seqs == [each % 256 for each in range(301)] + [0, 1]


class Host:
    """A host application: every Sparkplug message in the order of arrival."""

    def __init__(self, port: int, independent: Independent) -> None:
        self._independent = independent
        self.raw: list[paho.MQTTMessage] = []
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]
        self._client.on_message = lambda _client, _data, message: self.raw.append(message)
        subscribed = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe("spBv1.0/#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """`(kind, payload)` of all but commands."""
        messages = [each for each in list(self.raw) if "/NCMD/" not in each.topic]
        return [(each.topic.split("/")[2], self._independent.decode(each.payload)) for each in messages]

    def sequences(self, *, historical: bool = False) -> list[int]:
        """Of the verdicts in DDATA."""
        return [
            metric["value"]
            for kind, payload in self.heard()
            for metric in payload["metrics"]
            if kind == "DDATA"
            and metric["name"] == "Verdict/Sequence"
            and bool(metric.get("isHistorical")) is historical
        ]

    def births(self) -> list[int]:
        """The `bdSeq` of each NBIRTH."""
        return [values(payload)["bdSeq"] for kind, payload in self.heard() if kind == "NBIRTH"]

    def command(self, payload: bytes) -> None:
        self._client.publish("spBv1.0/plant1/NCMD/line3-cam1", payload, qos=0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def values(payload: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in payload["metrics"]}


class Viewed:
    """A journal and the view of it in a thread, as the daemon runs them."""

    def __init__(self, folder: Path, port: int) -> None:
        self.journal = Journal(folder / "journal.sqlite", 30)
        self.view = SparkplugView(
            config.Sparkplug(), config.Mqtt(port=port), STATION, self.journal,
            memory=folder / "memory", version="9.9",
        )  # fmt: skip
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.view.run, args=(self._stopping,), daemon=True)
        self._thread.start()

    def append(self, count: int = 1) -> None:
        first = self.journal.last_sequence + 1
        self.journal.append([verdict(sequence) for sequence in range(first, first + count)])
        self.view.wake()

    def stop(self) -> None:
        self._stopping.set()
        self.view.wake()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.journal.close()


@contextmanager
def viewed(folder: Path, port: int) -> Iterator[Viewed]:
    line = Viewed(folder, port)
    try:
        yield line
    finally:
        line.stop()


@contextmanager
def hosted(port: int, independent: Independent) -> Iterator[Host]:
    host = Host(port, independent)
    try:
        yield host
    finally:
        host.close()


class Gate:
    """Holds the view's connections back, shut at first: what is said with QoS 0 before a host listens is lost to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open, self._before_it = threading.Event(), threading.Event()
        connect = SparkplugView._connect

        def once_open(view: SparkplugView, node: EdgeNode, stopping: threading.Event) -> Connection:
            self._before_it.set()
            while not self._open.wait(0.01):
                if stopping.is_set():
                    raise Lost("was stopped before the gate")
            return connect(view, node, stopping)

        monkeypatch.setattr(SparkplugView, "_connect", once_open)

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._before_it.clear()
        self._open.clear()

    def reached(self) -> None:
        """Wait until the view has lost its connection and wants a new one."""
        assert self._before_it.wait(60)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


@needs_mosquitto
def test_birth_data_and_death_as_the_specification_wants_them(
    tmp_path: Path, broker: Mosquitto, independent: Independent
) -> None:
    with hosted(broker.port, independent) as host:
        with viewed(tmp_path, broker.port) as line:
            eventually(lambda: len(host.raw) >= 2)
            line.append(5)
            line.view.say_counters({"parts": 5, "pass": 3, "reject": 1, "review": 1})
            line.view.say_state({"line": "running", "model": {"name": "ring", "version": "1", "hash8": "0"}})
            eventually(lambda: len(host.raw) >= 9)
        eventually(lambda: host.heard()[-1][0] == "NDEATH")
        assert [each.topic for each in host.raw[:3]] == [
            "spBv1.0/plant1/NBIRTH/line3-cam1",
            "spBv1.0/plant1/DBIRTH/line3-cam1/inspection",
            "spBv1.0/plant1/DDATA/line3-cam1/inspection",
        ]
        heard = host.heard()
        assert [kind for kind, _ in heard] == ["NBIRTH", "DBIRTH", *["DDATA"] * 7, "NDEATH"]
        assert [payload.get("seq") for _, payload in heard[:-1]] == list(range(9))
        assert not any(each.retain for each in host.raw)
        assert {each.qos for each in host.raw[:-1]} == {0}
        assert values(heard[0][1]) == {"bdSeq": 0, REBIRTH: False, "Properties/Program": "linegate 9.9"}
        assert values(heard[-1][1]) == {"bdSeq": 0}
        assert "seq" not in heard[-1][1]
        told = {name for kind, payload in heard if kind == "DDATA" for name in values(payload)}
        assert told <= set(values(heard[1][1])), "what data tell must be in the birth"
        assert host.sequences() == [1, 2, 3, 4, 5]
        decisions = [values(payload).get("Verdict/Decision") for kind, payload in heard if kind == "DDATA"]
        assert [each for each in decisions if each] == ["reject", "review", "pass", "reject", "review"]


@needs_mosquitto
def test_without_its_camera_the_device_is_dead_and_tells_no_verdict(
    tmp_path: Path, broker: Mosquitto, independent: Independent
) -> None:
    lost, running = ({"line": each, "model": None} for each in ("camera lost", "running"))
    with hosted(broker.port, independent) as host, viewed(tmp_path, broker.port) as line:
        eventually(lambda: len(host.raw) == 2)
        line.view.say_state(lost)
        eventually(lambda: [kind for kind, _ in host.heard()[2:]] == ["DDATA", "DDEATH"])
        line.append(2)
        line.view.say_counters({"parts": 2, "pass": 1, "reject": 1, "review": 0})
        host.command(
            independent.encode({"timestamp": 1, "metrics": [{"name": REBIRTH, "type": "Boolean", "value": True}]})
        )
        eventually(lambda: len(host.births()) == 2)
        assert host.heard()[-1][0] == "NBIRTH"
        line.view.say_state(running)
        eventually(lambda: host.sequences() == [1, 2])
        heard = host.heard()
        assert [kind for kind, _ in heard[4:]] == ["NBIRTH", "DBIRTH", "DDATA", "DDATA"]
        assert [payload["seq"] for _, payload in heard] == [0, 1, 2, 3, 0, 1, 2, 3]
        born = values(heard[5][1])
        assert (born["State/Line"], born["Counters/Parts"], born["Verdict/Sequence"]) == ("running", 2, None)


@needs_mosquitto
def test_a_rebirth_says_everything_anew_with_the_same_bdseq_and_a_flood_of_them_does_not(
    tmp_path: Path, broker: Mosquitto, independent: Independent, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = independent.encode({"timestamp": 1, "metrics": [{"name": REBIRTH, "type": "Boolean", "value": True}]})
    monkeypatch.setattr(sparkplug, "REBIRTH_EVERY_S", 0.4)
    with hosted(broker.port, independent) as host, viewed(tmp_path, broker.port) as line:
        eventually(lambda: len(host.raw) == 2)
        line.append(3)
        time.sleep(0.4)
        for garbage in (b"", b"\xff" * 50, encode([], at_ms=1, seq=None)):
            host.command(garbage)
        host.command(command)
        eventually(lambda: [kind for kind, _ in host.heard()[-2:]] == ["NBIRTH", "DBIRTH"] and len(host.births()) == 2)
        _, payload = host.heard()[-1]
        assert payload["seq"] == 1
        assert values(payload)["Verdict/Sequence"] == 3
        began_s = time.monotonic()
        for _ in range(50):
            host.command(command)
        line.append(2)
        eventually(lambda: host.sequences() == [1, 2, 3, 4, 5] and len(host.births()) >= 3)
        time.sleep(1.0)
        assert len(host.births()) <= 2 + min(25, (time.monotonic() - began_s) / sparkplug.REBIRTH_EVERY_S)


@needs_mosquitto
def test_verdicts_of_an_interruption_come_as_historical_and_bdseq_goes_on(
    tmp_path: Path, broker: Mosquitto, independent: Independent, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    with viewed(tmp_path, broker.port) as line:
        with hosted(broker.port, independent) as host:
            gate.open()
            eventually(lambda: host.births() == [0])
            line.append(3)
            eventually(lambda: host.sequences() == [1, 2, 3])
        gate.close()
        broker.kill()
        gate.reached()
        line.append(120)
        broker.start()
        with hosted(broker.port, independent) as host:
            gate.open()
            eventually(lambda: host.sequences(historical=True) == list(range(4, 124)))
            line.append(2)
            eventually(lambda: host.sequences() == [124, 125])
            kinds = [kind for kind, _ in host.heard()]
            assert kinds == ["NBIRTH", "DBIRTH", *["DDATA"] * 122]
            assert [payload["seq"] for _, payload in host.heard()] == list(range(124))
    birth = line.view._memory.birth
    assert birth == 1
    with hosted(broker.port, independent) as host, viewed(tmp_path, broker.port) as again:
        eventually(lambda: host.births())
        assert host.births() == [birth + 1]
        assert again.view._memory.shown == 125


SHOW_UNTIL_KILLED = """
import sys, pathlib
sys.path[:0] = sys.argv[3:]
import test_sinks_sparkplug as t
line = t.Viewed(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
line.append(3)
t.time.sleep(60)
"""


@needs_mosquitto
def test_kill_9_makes_the_broker_say_the_death_that_belongs_to_the_birth(
    tmp_path: Path, broker: Mosquitto, independent: Independent
) -> None:
    command = [sys.executable, "-c", SHOW_UNTIL_KILLED, str(tmp_path), str(broker.port), str(Path(__file__).parent)]
    with hosted(broker.port, independent) as host:
        for turn in range(2):
            with subprocess.Popen(command) as process:
                eventually(lambda turn=turn: len(host.births()) == turn + 1)
                process.kill()
            eventually(lambda: host.heard()[-1][0] == "NDEATH")
            assert values(host.heard()[-1][1]) == {"bdSeq": turn}
            assert host.births() == list(range(turn + 1))
            assert host.raw[-1].qos == 1


def test_a_damaged_memory_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "memory").write_bytes(b"\xff\xfe nonsense")
    memory = sparkplug.Memory(tmp_path / "memory", newest=7)
    memory.next_birth()
    assert (memory.birth, memory.shown) == (0, 7)
    assert "cannot be read; sparkplug begins anew" in caplog.text
    again = sparkplug.Memory(tmp_path / "memory", newest=9)
    for _ in range(256):
        again.next_birth()
    assert (again.birth, again.shown) == (0, 7)
