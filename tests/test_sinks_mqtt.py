"""The publisher against real brokers: order, birth and will, interruptions, refusals, TLS."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from brokers import DemoBroker, Listener, Mosquitto, eventually, free_port, needs_mosquitto

from edge import config, message
from edge.domain import Decision, Verdict
from edge.message import Record, Speaker, Times
from edge.sinks import mqtt
from edge.sinks.commands import Command
from edge.sinks.credentials import login
from edge.sinks.journal import Journal
from edge.sinks.mqtt import MqttPublisher

STATION = config.Station(site="plant1", line="line3", station="cam1")
SPEAKER = Speaker(
    site="plant1", line="line3", station="cam1", recipe="casting-60mm", simulated=False,
)  # fmt: skip

pytestmark = [pytest.mark.wall_clock, needs_mosquitto]


def verdict(sequence: int) -> Record:
    decision = list(Decision)[sequence % 3]
    fallen = Verdict(
        number=sequence, decision=decision, label="blowhole", reason="between the limits" if sequence % 3 == 2 else "",
        score=0.5, limits=(0.2, 0.6), views=3, captured_at_s=1.0,
    )  # fmt: skip
    now_s = time.time()
    times = Times(captured_s=now_s, decided_s=now_s + 0.02)
    return message.encode(fallen, SPEAKER, times, sequence=sequence, part_id=uuid.uuid4())


class Running:
    """A journal and its publisher in a thread, as the daemon runs them."""

    def __init__(
        self, folder: Path, port: int, station: config.Station = STATION, more: Sequence[Command] = (), **settings: Any
    ) -> None:
        self.journal = Journal(folder / "journal.sqlite", 30)
        self.ups: list[bool] = []
        options = {"keepalive_s": 2, **settings}
        self.publisher = MqttPublisher(
            config.Mqtt(host="127.0.0.1", port=port, **options), station, self.journal, self.ups.append, more
        )
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.publisher.run, args=(self.stopping,), daemon=True)
        self._thread.start()

    @property
    def up(self) -> bool:
        return bool(self.ups) and self.ups[-1]

    def append(self, count: int = 1) -> None:
        first = self.journal.last_sequence + 1
        self.journal.append([verdict(sequence) for sequence in range(first, first + count)])
        self.publisher.wake()

    def stop(self) -> None:
        self.stopping.set()
        self.publisher.wake()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.journal.close()


@contextmanager
def running(folder: Path, port: int, **settings: Any) -> Iterator[Running]:
    line = Running(folder, port, **settings)
    try:
        yield line
    finally:
        line.stop()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule has a test of its own."""
    monkeypatch.setattr(mqtt, "BACK_OFF_S", (0.05, 0.1))
    monkeypatch.setattr(mqtt, "HOLD_S", 0.3)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as broker:
        yield broker


def unique(sequences: list[int]) -> list[int]:
    """Without repetitions, in the order of their first arrival."""
    return list(dict.fromkeys(sequences))


def test_verdicts_arrive_in_order_and_are_acknowledged(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker.port) as listener, running(tmp_path, broker.port, inflight=7) as line:
        for _ in range(50):
            line.append()
        line.append(150)
        eventually(lambda: line.journal.acknowledged == 200)
        eventually(lambda: listener.sequences() == list(range(1, 201)))
        assert not any(each["replayed"] for each in listener.on("verdict"))
        assert {each.topic for each in listener.messages} == {
            "linegate/plant1/line3/cam1/verdict", "linegate/plant1/line3/cam1/state"
        }  # fmt: skip
        assert {(each.qos, each.retain) for each in listener.messages if each.topic.endswith("verdict")} == {(1, False)}


def test_the_prefix_is_a_template(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker.port, "#") as listener, running(tmp_path, broker.port, prefix="{line}/qc/{station}/") as line:
        line.append()
        eventually(
            lambda: [each.topic for each in listener.messages if "verdict" in each.topic] == ["line3/qc/cam1/verdict"]
        )
        assert {each.topic for each in listener.messages} == {"line3/qc/cam1/state", "line3/qc/cam1/verdict"}


@pytest.mark.parametrize("prefix", ["{plant}/x", "a/{}", "{site", "a/#", "", "{site.x}"])
def test_a_wrong_prefix_is_a_configuration_error(prefix: str) -> None:
    with pytest.raises(config.ConfigError, match=r"^mqtt\.prefix: "):
        mqtt.topic_prefix(prefix, STATION)


def test_birth_state_and_counters_are_retained_and_a_stop_says_offline(broker: Mosquitto, tmp_path: Path) -> None:
    with running(tmp_path, broker.port) as line:
        line.publisher.say_state({"camera": "up"})
        line.publisher.say_counters({"parts": 5})
        line.publisher.say_event({"event": "belt stopped"})
        eventually(lambda: line.up)
        with Listener(broker.port) as later:
            eventually(lambda: later.on("state") and later.on("counters"))
            assert later.on("state")[-1] == {"state": "online", "camera": "up"}
            assert later.on("counters")[-1] == {"parts": 5}
            line.append(3)
            line.stopping.set()
            eventually(lambda: later.on("state")[-1]["state"] == "offline")
            assert later.sequences() == [1, 2, 3]
    assert line.ups[-1] is False
    with Listener(broker.port) as latest:
        eventually(lambda: latest.on("state") == [{"state": "offline", "reason": "stopped"}])


PUBLISH_UNTIL_KILLED = """
import sys, pathlib
sys.path[:0] = sys.argv[3:]
import test_sinks_mqtt as t
line = t.Running(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
t.eventually(lambda: line.up)
while True:
    line.append()
    print(line.journal.last_sequence, flush=True)
    t.time.sleep(0.005)
"""


def test_kill_9_makes_the_will_arrive_and_loses_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    arguments = [
        sys.executable,
        "-c",
        PUBLISH_UNTIL_KILLED,
        str(tmp_path),
        str(broker.port),
        str(Path(__file__).parent),
    ]
    with Listener(broker.port) as listener:
        for _ in range(2):
            with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as daemon:
                assert daemon.stdout is not None
                claimed = [int(daemon.stdout.readline()) for _ in range(60)]
                daemon.kill()
                claimed += [int(each) for each in daemon.stdout.read().splitlines() if each]
            eventually(lambda: listener.on("state")[-1] == {"state": "offline", "reason": "connection lost"})
        with running(tmp_path, broker.port) as line:
            last = line.journal.last_sequence
            assert last >= claimed[-1]
            line.append()
            eventually(lambda: last + 1 in listener.sequences())
        assert unique(listener.sequences()) == list(range(1, last + 2))
        again = [each for each in listener.on("verdict") if each["replayed"]]
        assert again, "what was unacknowledged at the kill must come again, marked"
        assert listener.on("verdict")[-1]["replayed"] is False


def test_the_broker_is_killed_and_restarted_while_verdicts_fall(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port) as listener, running(tmp_path, broker.port) as line:
        line.publisher.say_counters({"parts": 7})
        for step in range(400):
            line.append()
            time.sleep(0.002)
            if step in (100, 250):
                eventually(lambda: line.up)
                broker.kill()
            if step in (150, 300):
                broker.start()
        eventually(lambda: line.journal.acknowledged == 400)
        with Listener(broker.port) as later:
            eventually(lambda: later.on("state") == [{"state": "online"}] and later.on("counters") == [{"parts": 7}])
        assert line.ups[:1] == [True]
        assert line.ups.count(False) == 2
        # The listener may itself miss what the broker acknowledged to us while it was away: that is what resend is for.
        arrived = unique(listener.sequences())
        assert arrived == sorted(arrived)
        assert not {each["sequence"] for each in listener.on("verdict") if not each["replayed"]} & set(range(102, 151))


def test_verdicts_made_while_the_broker_is_away_come_late_in_order_and_marked(tmp_path: Path, caplog: Any) -> None:
    broker = Mosquitto(tmp_path)
    with running(tmp_path, broker.port) as line:
        line.append(30)
        eventually(lambda: line.ups == [False])
        time.sleep(0.4)
        line.append(30)
        assert line.journal.backlog()[0] == 60
        with broker, Listener(broker.port) as listener:
            eventually(lambda: line.journal.acknowledged == 60)
            line.append()
            eventually(lambda: listener.sequences()[-1:] == [61])
    lines = [each.message for each in caplog.records if "broker 127" in each.message and each.levelname != "INFO"]
    assert "connection refused" in lines[0]
    assert lines[0].endswith("start it or correct mqtt.host and mqtt.port; verdicts wait in the journal")
    assert lines[1].endswith("is back (MQTT 5)")
    assert len([each for each in lines if "refused" in each]) == 1, "the same trouble is told once"


def test_a_frozen_broker_is_noticed_and_nothing_is_lost(tmp_path: Path, broker: Mosquitto, monkeypatch: Any) -> None:
    monkeypatch.setattr("edge.sinks.connection.PATIENCE_S", 2.0)
    with Listener(broker.port) as listener, running(tmp_path, broker.port) as line:
        line.append(10)
        eventually(lambda: line.journal.acknowledged == 10)
        broker.signal(signal.SIGSTOP)
        began_s = time.monotonic()
        line.append(50)
        assert time.monotonic() - began_s < 1.5, "the line never waits for the broker"
        eventually(lambda: not line.up, what="noticing the frozen broker")
        line.append(10)
        broker.signal(signal.SIGCONT)
        eventually(lambda: line.journal.acknowledged == 70)
        eventually(lambda: unique(listener.sequences()) == list(range(1, 71)))


def test_user_and_password(tmp_path: Path) -> None:
    secret = "s3cret-päss"
    (tmp_path / "users").write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(tmp_path / "users"), "cam1", secret], check=True, timeout=10)
    (tmp_path / "password").write_text(secret + "\n", encoding="utf-8")
    (tmp_path / "wrong").write_text("wrong\n")
    with Mosquitto(tmp_path, ["allow_anonymous false", f"password_file {tmp_path / 'users'}"]) as broker:
        with running(tmp_path, broker.port, username="cam1", password_file=str(tmp_path / "password")) as line:
            line.append()
            eventually(lambda: line.journal.acknowledged == 1)
            assert line.ups == [True]
        for settings in ({"username": "cam1", "password_file": str(tmp_path / "wrong")}, {}):
            with running(tmp_path, broker.port, **settings) as line:
                line.append()
                eventually(lambda: line.ups == [False])
                time.sleep(0.3)
                assert line.journal.acknowledged == 1
                assert line.ups == [False]


def test_user_and_password_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    (tmp_path / "users").write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(tmp_path / "users"), "cam1", "s3cret"], check=True, timeout=10)
    monkeypatch.setenv("LINEGATE_MQTT_USERNAME", "cam1")
    monkeypatch.setenv("LINEGATE_MQTT_PASSWORD", "s3cret")
    (tmp_path / "wrong").write_text("wrong\n")
    with Mosquitto(tmp_path, ["allow_anonymous false", f"password_file {tmp_path / 'users'}"]) as broker:
        with running(tmp_path, broker.port) as line:
            line.append()
            eventually(lambda: line.journal.acknowledged == 1)
        with running(tmp_path, broker.port, password_file=str(tmp_path / "wrong")) as line:
            eventually(lambda: line.ups == [False], what="the file being preferred to the environment")
    assert "s3cret" not in caplog.text
    assert "s3cret" not in repr(login(config.Mqtt()))


def test_a_password_without_a_name_in_the_environment_is_a_configuration_error() -> None:
    with pytest.raises(config.ConfigError, match=r"^LINEGATE_MQTT_PASSWORD: is set, but neither mqtt\.username"):
        login(config.Mqtt(), {"LINEGATE_MQTT_PASSWORD": "x"})


def test_a_refused_login_is_told_once_without_the_password(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "users").write_text("")
    (tmp_path / "wrong").write_text("hunter2\n")
    with (
        Mosquitto(tmp_path, ["allow_anonymous false", f"password_file {tmp_path / 'users'}"]) as broker,
        running(tmp_path, broker.port, username="cam1", password_file=str(tmp_path / "wrong")) as line,
    ):
        eventually(lambda: line.ups == [False])
        time.sleep(0.4)
    told = [each.message for each in caplog.records if each.levelname == "ERROR"]
    assert len(told) == 1
    assert "not authorized" in told[0]
    assert "check mqtt.username, its password" in told[0]
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"username": "a", "password_file": "/nowhere"}, r"password_file: /nowhere cannot be read \(No such file"),
        ({"password_file": "/etc/hostname"}, r"mqtt\.username is not; set both"),
        ({"tls": config.Tls(enabled=True, ca_file="/nowhere")}, r"mqtt\.tls\.ca_file: /nowhere cannot be read"),
        ({"tls": config.Tls(enabled=True, ca_file="/etc/hostname")}, r"holds no certificate in PEM form"),
        ({"tls": config.Tls(enabled=True, cert_file="/nowhere")}, r"mqtt\.tls\.cert_file: /nowhere cannot be read"),
        ({"tls": config.Tls(enabled=True, cert_file="/etc/hostname")}, r"do not fit together, are not PEM"),
    ],
)  # fmt: skip
def test_unusable_files_are_configuration_errors(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    journal = Journal(tmp_path / "journal.sqlite", 30)
    with pytest.raises(config.ConfigError, match=says):
        MqttPublisher(config.Mqtt(**settings), STATION, journal, lambda _up: None)
    journal.close()


def test_a_broker_that_forbids_the_topic_is_noticed_and_later_gets_everything(tmp_path: Path, caplog: Any) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic write linegate/+/+/+/state\ntopic write linegate/+/+/+/event\ntopic read #\n")
    with (
        Mosquitto(tmp_path, ["allow_anonymous true", f"acl_file {rules}"]) as broker,
        Listener(broker.port) as listener,
        running(tmp_path, broker.port, inflight=4) as line,
    ):
        eventually(lambda: line.up)
        line.append(10)
        eventually(lambda: not line.up)
        assert line.journal.acknowledged == 0
        assert "refuses linegate/plant1/line3/cam1/verdict (Not authorized); check its access list" in caplog.text
        rules.write_text("topic readwrite #\n")
        broker.signal(signal.SIGHUP)
        eventually(lambda: line.journal.acknowledged == 10)
        eventually(lambda: line.up)
        eventually(lambda: unique(listener.sequences()) == list(range(1, 11)))
        assert all(each["replayed"] for each in listener.on("verdict")[:4])
        assert caplog.text.count("refuses linegate/plant1/line3/cam1/verdict") == 1
        eventually(lambda: any(each["event"] == "verdict_refused" for each in listener.on("event")))


def test_nobody_listening_counts_as_delivered_and_is_said_once(tmp_path: Path, broker: Mosquitto, caplog: Any) -> None:
    with Listener(broker.port, "linegate/+/+/+/event") as listener, running(tmp_path, broker.port) as line:
        line.append(20)
        eventually(lambda: line.journal.acknowledged == 20)
        eventually(lambda: listener.on("event"))
        assert [each["event"] for each in listener.on("event")] == ["no_subscribers"]
        with Listener(broker.port):
            line.append()
            eventually(lambda: line.journal.acknowledged == 21)
            eventually(lambda: "has a subscriber to verdicts again" in caplog.text)
    assert caplog.text.count("no gateway listens to this station") == 1
    assert caplog.text.count("has a subscriber to verdicts again") == 1


def test_the_brokers_own_limit_of_messages_on_their_way_is_respected(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path, ["allow_anonymous true", "max_inflight_messages 2"]) as broker,
        Listener(broker.port) as listener,
        running(tmp_path, broker.port, inflight=500) as line,
    ):
        line.append(300)
        eventually(lambda: line.journal.acknowledged == 300)
        eventually(lambda: listener.sequences() == list(range(1, 301)))
        assert line.ups == [True]


@pytest.mark.skipif(importlib.util.find_spec("amqtt") is None, reason="amqtt is not installed")
def test_a_broker_without_mqtt_5_is_served_with_3_1_1(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    with DemoBroker(embedded=True) as broker, Listener(broker.port) as listener:
        with running(tmp_path, broker.port) as line:
            line.append(100)
            eventually(lambda: line.journal.acknowledged == 100)
            eventually(lambda: listener.sequences() == list(range(1, 101)))
        eventually(lambda: listener.on("state")[-1] == {"state": "offline", "reason": "stopped"})
    assert "is connected (MQTT 3.1.1)" in caplog.text


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=20)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a server, a client, and a stranger that the authority does not know."""
    folder = tmp_path_factory.mktemp("certificates")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("ca", "stranger"):
        openssl(folder, "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    for name in ("server", "client"):
        openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", f"{name}.pem", "-extfile", "names",
        )  # fmt: skip
    return folder


def test_tls_with_an_own_authority_and_client_certificates(tmp_path: Path, certificates: Path, caplog: Any) -> None:
    files = {name: str(certificates / name) for name in ("ca.pem", "client.pem", "client.key", "stranger.pem")}
    extra = [
        f"cafile {certificates / 'ca.pem'}", f"certfile {certificates / 'server.pem'}",
        f"keyfile {certificates / 'server.key'}", "require_certificate true", "allow_anonymous true",
    ]  # fmt: skip
    good = config.Tls(
        enabled=True, ca_file=files["ca.pem"], cert_file=files["client.pem"], key_file=files["client.key"]
    )
    cases = [
        (config.Tls(enabled=True, ca_file=files["stranger.pem"]), "has a certificate that is not trusted"),
        (config.Tls(enabled=True, ca_file=files["ca.pem"]), "check mqtt.tls and its client certificates"),
        (config.Tls(), "broke off before it let us in"),
    ]
    with Mosquitto(tmp_path, extra) as broker:
        with running(tmp_path, broker.port, tls=good) as line:
            line.append(50)
            eventually(lambda: line.journal.acknowledged == 50)
        for tls, says in cases:
            with running(tmp_path, broker.port, tls=tls) as line:
                eventually(lambda: line.ups == [False])
            assert says in caplog.text


def test_tls_on_a_port_without_tls_says_so(tmp_path: Path, broker: Mosquitto, caplog: Any) -> None:
    with running(tmp_path, broker.port, tls=config.Tls(enabled=True)) as line:
        eventually(lambda: line.ups == [False])
    assert "breaks off at once; check mqtt.port, mqtt.tls" in caplog.text


def test_two_stations_of_one_name_are_told_what_is_wrong(tmp_path: Path, broker: Mosquitto, caplog: Any) -> None:
    (tmp_path / "other").mkdir()
    with running(tmp_path, broker.port), running(tmp_path / "other", broker.port):
        eventually(lambda: "have two stations the same site, line and station?" in caplog.text)
        time.sleep(1)
        assert len(caplog.records) < 20, "a fight for the name must not flood the log"


@pytest.mark.parametrize("kind", ["mute", "mute with TLS", "full", "name server away"])
def test_a_stop_never_waits_long_for_a_broker_that_says_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "name server away":
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(30))
    with socket.socket() as server, contextlib.ExitStack() as held:
        server.bind(("127.0.0.1", 0))
        server.listen(0 if kind == "full" else 5)
        for _ in range(5 if kind == "full" else 0):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        tls = config.Tls(enabled=kind == "mute with TLS")
        line = Running(tmp_path, server.getsockname()[1], keepalive_s=60, tls=tls)
        time.sleep(0.3)
        began_s = time.monotonic()
        line.stop()
        assert time.monotonic() - began_s < 3.6


def test_a_name_that_does_not_resolve_says_so(tmp_path: Path, caplog: Any) -> None:
    journal = Journal(tmp_path / "journal.sqlite", 30)
    stopping = threading.Event()
    publisher = MqttPublisher(config.Mqtt(host="broker.invalid"), STATION, journal, lambda _up: stopping.set())
    publisher.run(stopping)
    assert "broker broker.invalid:1883 has a name that cannot be resolved; check mqtt.host" in caplog.text
    journal.close()


def test_the_back_off_is_1_2_4_5_5_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    journal = Journal(tmp_path / "journal.sqlite", 30)

    class Patient(threading.Event):
        waits: list[float] = []  # noqa: RUF012 - one object only

        def wait(self, timeout: float | None = None) -> bool:
            self.waits.append(timeout or 0)
            if len(self.waits) == 6:
                self.set()
            return self.is_set()

    stopping = Patient()
    MqttPublisher(config.Mqtt(port=free_port()), STATION, journal, lambda _up: None).run(stopping)
    assert stopping.waits == [1, 2, 4, 5, 5, 5]
    journal.close()


def test_a_verdict_that_waited_too_long_for_its_receiver_expires(tmp_path: Path, broker: Mosquitto) -> None:
    listener = Listener(broker.port, client_id="gateway")
    with listener:
        pass
    with running(tmp_path, broker.port, expiry_s=3) as line:
        line.append(3)
        eventually(lambda: line.journal.acknowledged == 3)
        time.sleep(5.1)  # mosquitto counts whole seconds
        line.append(2)
        eventually(lambda: line.journal.acknowledged == 5)
        with listener:
            eventually(lambda: len(listener.sequences()) >= 2)
    assert listener.sequences() == [4, 5]


def test_the_hosts_password_is_read_anew_at_each_connect(tmp_path: Path) -> None:
    (tmp_path / "users").write_text("")
    subprocess.run(["mosquitto_passwd", "-b", str(tmp_path / "users"), "cam1", "new"], check=True, timeout=10)
    secret = tmp_path / "password"
    secret.write_text("old\n")
    with (
        Mosquitto(tmp_path, ["allow_anonymous false", f"password_file {tmp_path / 'users'}"]) as broker,
        running(tmp_path, broker.port, username="cam1", password_file=str(secret)) as line,
    ):
        eventually(lambda: line.ups == [False])
        line.append(3)
        assert line.journal.acknowledged == 0
        secret.write_text("new\n")
        eventually(lambda: line.journal.acknowledged == 3)
        assert line.ups == [False, True]


def test_every_payload_is_under_a_kibibyte_and_valid(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(message.__file__).parent / "verdict.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    broker = Mosquitto(tmp_path)
    with running(tmp_path, broker.port) as line:
        line.append(3)
    with broker, Listener(broker.port) as listener, running(tmp_path, broker.port) as line:
        line.append(6)
        eventually(lambda: len(listener.on("verdict")) == 9)
    assert [each["replayed"] for each in listener.on("verdict")] == [True] * 3 + [False] * 6
    for document in listener.on("verdict"):
        validator.validate(document)
    assert all(len(each.payload) < 1024 for each in listener.messages)
