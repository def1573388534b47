"""The daemon as a process: started, watched through its real doors, killed, starved, and fed mistakes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import paho.mqtt.client as paho
import pytest
from small_disk import small_disk

from edge.demo_broker import DemoBroker
from edge.sinks.journal import Journal

pytestmark = pytest.mark.wall_clock

ROOT = Path(__file__).parents[1]
DEADLINE_S = 120.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def written(folder: Path, **sections: dict[str, Any]) -> Path:
    """A configuration for a fast, busy belt, with its journal in `folder`."""
    config: dict[str, Any] = {
        "source": {"kind": "simulator", "simulator": {"speed_px_s": 400.0, "parts_per_minute": 90.0}},
        "model": {"shelf": str(ROOT / "models")},
        "mqtt": {"enabled": False},
        "http": {"port": free_port()},
        "journal": {"path": str(folder / "journal.sqlite")},
    } | sections
    path = folder / "config.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


@contextmanager
def daemon(config: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "--config", str(config)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def status(config: Path) -> dict[str, Any]:
    port = json.loads(config.read_text())["http"]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def until(condition: Callable[[], Any], what: str) -> Any:
    """Ask until it is true; fail with `what` after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except (OSError, LookupError):
            pass
        time.sleep(0.1)
    pytest.fail(f"not within {DEADLINE_S} s: {what}")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate(timeout=DEADLINE_S)
    return process.returncode, told


class Listener:
    """A subscriber that keeps what it hears, by topic."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, dict[str, Any], bool]] = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = lambda _c, _u, message: self.heard.append(
            (message.topic.rsplit("/", 1)[1], json.loads(message.payload), message.retain)
        )
        subscribed = Event()
        self.client.on_connect = lambda client, *_: client.subscribe("linegate/#", qos=1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert subscribed.wait(DEADLINE_S)

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [document for heard, document, _ in self.heard if heard == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker() -> Iterator[DemoBroker]:
    with DemoBroker() as running:
        yield running


def test_verdicts_state_and_counters_reach_a_subscriber_and_sigterm_loses_nothing(
    tmp_path: Path, broker: DemoBroker
) -> None:
    import jsonschema

    listener = Listener(broker.port)
    config = written(tmp_path, mqtt={"port": broker.port})
    with daemon(config) as process:
        until(lambda: len(listener.of("verdict")) >= 5, "five verdicts")
        process.send_signal(signal.SIGTERM)
        code, told = ended(process)
    assert code == 0, told
    assert "Traceback" not in told
    until(lambda: listener.of("state")[-1]["state"] == "offline", "the farewell")
    verdicts = listener.of("verdict")
    listener.close()
    schema = json.loads((ROOT / "edge" / "verdict.schema.json").read_text())
    for verdict in verdicts:
        jsonschema.validate(verdict, schema, format_checker=jsonschema.FormatChecker())
        assert verdict["simulated"] is True
    others = json.loads((ROOT / "edge" / "station.schema.json").read_text())
    for topic, document, _ in listener.heard:
        if topic != "verdict":
            one = {"$ref": f"#/$defs/{topic}", "$defs": others["$defs"]}
            jsonschema.validate(document, one, format_checker=jsonschema.FormatChecker())
    assert {topic for topic, _, _ in listener.heard} == {"verdict", "state", "counters", "event"}
    assert [verdict["sequence"] for verdict in verdicts] == list(range(1, len(verdicts) + 1))
    assert len({verdict["part_id"] for verdict in verdicts}) == len(verdicts)
    assert listener.of("state")[0]["state"] == "online" or listener.of("state")[1]["state"] == "online"
    counters = listener.of("counters")[-1]
    assert counters["parts"] == counters["pass"] + counters["reject"] + counters["review"]


def test_the_sequence_goes_on_after_a_kill(tmp_path: Path, broker: DemoBroker) -> None:
    listener = Listener(broker.port)
    config = written(tmp_path, mqtt={"port": broker.port})
    for wanted in (3, 6):
        with daemon(config) as process:
            until(lambda wanted=wanted: len({v["sequence"] for v in listener.of("verdict")}) >= wanted, "verdicts")
            process.kill()
    sequences = [verdict["sequence"] for verdict in listener.of("verdict")]
    listener.close()
    assert sorted(set(sequences)) == list(range(1, max(sequences) + 1))


def test_without_a_broker_the_line_goes_on_and_says_so_once(tmp_path: Path) -> None:
    config = written(tmp_path, mqtt={"port": free_port()})
    with daemon(config) as process:
        found = until(lambda: (s := status(config))["parts"]["decided"] >= 3 and s, "three verdicts")
        process.terminate()
        code, told = ended(process)
    assert code == 0
    assert found["outbox"]["pending"] >= 3
    assert found["mqtt"] == {"wanted": True, "up": False}
    assert told.count("broker 127.0.0.1") == 1


def test_systemd_is_told_when_ready_alive_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE_S)
        with daemon(written(tmp_path), NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="10000000") as process:
            assert systemd.recv(500).startswith(b"READY=1")
            while systemd.recv(500) != b"WATCHDOG=1":
                pass
            process.terminate()
            while systemd.recv(500) != b"STOPPING=1":
                pass
            assert ended(process)[0] == 0


def test_a_clip_runs_to_its_end_and_exits_0(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "edge", "simulate", "--out", str(tmp_path), "--seconds", "6"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    clip = {"kind": "clip", "clip": {"path": str(tmp_path / "clip.avi"), "paced": False}}
    with daemon(written(tmp_path, source=clip)) as process:
        code, told = ended(process)
    assert code == 0, told


def mistakes() -> list[tuple[str, dict[str, Any], int, str]]:
    return [
        ("an unknown key", {"mqtt": {"prot": 1}}, 78, "did you mean 'port'"),
        ("a clip that is not there", {"source": {"kind": "clip", "clip": {"path": "/none.mp4"}}}, 1, "/none.mp4"),
        ("no clip named", {"source": {"kind": "clip"}}, 1, "source.clip.path"),
        ("an empty shelf", {"model": {"shelf": "nothing"}}, 1, "no model is live"),
        ("no picamera2", {"source": {"kind": "picamera"}}, 1, "python3-picamera2"),
        ("a prefix with a wildcard", {"mqtt": {"prefix": "a/#"}}, 78, "mqtt.prefix"),
        ("no password file", {"mqtt": {"username": "u", "password_file": "/none"}}, 78, "/none"),
        ("a journal that cannot be", {"journal": {"path": "/proc/none/journal"}}, 1, "journal"),
        ("a host that is none", {"http": {"host": "256.1.1.1"}}, 1, "256.1.1.1"),
    ]


@pytest.mark.parametrize(("what", "sections", "code", "says"), mistakes(), ids=[each[0] for each in mistakes()])
def test_a_mistake_is_one_line(tmp_path: Path, what: str, sections: dict[str, Any], code: int, says: str) -> None:
    with daemon(written(tmp_path, **sections)) as process:
        found, told = ended(process)
    lines = [line for line in told.splitlines() if line.startswith("linegate: ")]
    assert found == code, told
    assert len(lines) == 1, told
    assert says in lines[0], what
    assert "Traceback" not in told


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with daemon(written(tmp_path, http={"port": taken.getsockname()[1]})) as process:
            code, told = ended(process)
    lines = [line for line in told.splitlines() if line.startswith("linegate: ")]
    assert (code, len(lines), "Traceback" in told) == (1, 1, False)
    assert "is in use by another program; set http.port" in lines[0]


def test_verdicts_say_when_their_part_is_before_the_reject_gate(tmp_path: Path) -> None:
    pytest.importorskip("gpiozero")
    config = written(tmp_path, reject={"enabled": True, "follow": "time", "delay_s": 60.0})
    with daemon(config, GPIOZERO_PIN_FACTORY="mock") as process:
        until(lambda: status(config)["parts"]["decided"] >= 2, "two verdicts")
        process.terminate()
        assert ended(process)[0] == 0
    journal = Journal(tmp_path / "journal.sqlite", 30)
    documents = [json.loads(record.payload) for record in journal.range(1, 99)]
    journal.close()
    for document in documents:
        travel = datetime.fromisoformat(document["eject_at"]) - datetime.fromisoformat(document["captured_at"])
        assert abs(travel - timedelta(seconds=60)) <= timedelta(milliseconds=1)
        assert document["late"] is False


def test_a_reject_output_without_gpio_is_one_line_and_exit_1(tmp_path: Path) -> None:
    pytest.importorskip("gpiozero")
    config = written(tmp_path, reject={"enabled": True, "distance_px": 300.0})
    with daemon(config, GPIOZERO_PIN_FACTORY="native") as process:
        code, told = ended(process)
    assert code == 1
    assert "reject.pin: GPIO 17 cannot be used" in told.splitlines()[-1]
    assert "Traceback" not in told


def test_verdicts_say_where_the_picture_of_their_part_is(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    config = written(tmp_path, archive={"enabled": True, "folder": str(archive), "pass_every": 1, "free_mb": 0.0})
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 3, "three verdicts")
        process.terminate()
        assert ended(process)[0] == 0
    journal = Journal(tmp_path / "journal.sqlite", 30)
    documents = [json.loads(record.payload) for record in journal.range(1, 99)]
    journal.close()
    named = [document for document in documents if document["image"]]
    assert len(named) == len([document for document in documents if document["views"]]) > 0
    for document in named:
        assert (archive / document["image"]).read_bytes().startswith(b"\xff\xd8")
        assert json.loads((archive / document["image"]).with_suffix(".json").read_bytes()) == document


def test_a_full_disk_is_seen_from_outside_costs_no_verdict_and_passes_no_part(
    tmp_path: Path, broker: DemoBroker
) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        config = written(disk, mqtt={"port": broker.port})
        listener = Listener(broker.port)
        with daemon(config) as process:
            until(lambda: status(config)["parts"]["decided"] >= 1, "a verdict")
            with (disk / "other").open("wb", buffering=0) as other, contextlib.suppress(OSError):
                while True:
                    other.write(bytes(4096))
            until(lambda: "journal_down" in [each["event"] for each in listener.of("event")], "the event")
            assert readyz(config) == 503
            time.sleep(2.0)
            (disk / "other").unlink()
            until(lambda: readyz(config) == 200, "readiness again")
            process.terminate()
            code, told = ended(process)
        listener.close()
        journal = Journal(disk / "journal.sqlite", 30)
        last = journal.last_sequence
        journal.close()
    assert code == 0
    verdicts = {document["sequence"]: document for document in listener.of("verdict")}
    assert sorted(verdicts) == list(range(1, last + 1))
    held = [each for each in verdicts.values() if each["reason"].startswith("the journal could not write; ")]
    assert len(held) >= 2, "a part comes every 0.67 s"
    assert {each["decision"] for each in held} == {"review"}
    assert [each["sequence"] for each in held] == list(range(held[0]["sequence"], held[0]["sequence"] + len(held)))
    assert "database or disk is full; free space on its disk; verdicts wait in memory and become review" in told
    assert "the journal writes again" in told


def test_a_destroyed_journal_is_put_aside_at_start_and_said_over_mqtt(tmp_path: Path, broker: DemoBroker) -> None:
    config = written(tmp_path, mqtt={"port": broker.port})
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 1, "a verdict")
        process.terminate()
        assert ended(process)[0] == 0
    (tmp_path / "journal.sqlite").write_bytes(b"not a database" * 1000)
    listener = Listener(broker.port)
    with daemon(config) as process:
        until(lambda: listener.of("verdict"), "a verdict from the fresh journal")
        until(lambda: len(listener.of("event")) >= 2, "the events")
        assert readyz(config) == 200
        process.terminate()
        assert ended(process)[0] == 0
    listener.close()
    details = [event["detail"] for event in listener.of("event") if event["event"] == "journal_damaged"]
    assert "was damaged (file is not a database) and is now journal.sqlite.damaged-" in details[0]
    assert "others up to 1000 may have been used: it goes on above them" in details[1]
    assert listener.of("verdict")[0]["sequence"] == 1001
    assert len(list(tmp_path.glob("journal.sqlite.damaged-*"))) == 1


def readyz(config: Path) -> int:
    port = json.loads(config.read_text())["http"]["port"]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
