"""Requests for verdicts: checked, bounded, and answered from the journal."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import paho.mqtt.client as paho
import pytest
from brokers import Listener, Mosquitto, eventually, needs_mosquitto
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from test_sinks_mqtt import running

from edge import message
from edge.message import Record
from edge.sinks.commands import (
    AT_ONCE,
    BURST,
    PER_SECOND,
    REQUEST_BYTES,
    Command,
    Desk,
    Refused,
    Request,
    Tell,
)

pytestmark = pytest.mark.wall_clock

DEFINITIONS = json.loads((Path(message.__file__).parent / "station.schema.json").read_text())["$defs"]
REPLY = jsonschema.Draft202012Validator({"$ref": "#/$defs/reply", "$defs": DEFINITIONS})
COMMAND = "linegate/plant1/line3/cam1/command/resend"


class Kept:
    """A journal that has lost 4 to 6."""

    last_sequence = 5000

    def range(self, first: int, last: int) -> list[Record]:
        return [
            Record(sequence=each, payload=b'{"sequence":%d,"replayed":false}' % each)
            for each in range(first, last + 1)
            if each not in (4, 5, 6) and each <= 5000
        ]


def ask(payload: bytes | dict[str, Any]) -> tuple[list[int], dict[str, Any]]:
    """The sequences that came, and the reply."""
    request = Request(payload=payload if isinstance(payload, bytes) else json.dumps(payload).encode())
    *verdicts, reply = Desk(Kept()).answer(request)
    assert all(each.topic == "verdict" and b'"replayed":true' in each.payload for each in verdicts)
    assert reply.topic == "reply/resend"
    REPLY.validate(json.loads(reply.payload))
    return [json.loads(each.payload)["sequence"] for each in verdicts], json.loads(reply.payload)


def test_a_range_is_sent_again_and_what_is_missing_is_named() -> None:
    sequences, reply = ask({"id": "x1", "from": 2, "to": 120})
    assert sequences == [2, 3, *range(7, 121)]
    assert reply == {
        "command": "resend", "id": "x1", "ok": True, "from": 2, "to": 120, "sent": 116, "missing": [[4, 6]]
    }  # fmt: skip


def test_a_range_beyond_the_newest_ends_there() -> None:
    sequences, reply = ask({"from": 4999, "to": 5300})
    assert sequences == [4999, 5000]
    assert reply["to"] == 5000
    assert reply["missing"] == []
    assert ask({"from": 6000, "to": 6001})[1]["sent"] == 0


def test_what_is_missing_at_the_end_is_named() -> None:
    assert ask({"from": 3, "to": 5})[1]["missing"] == [[4, 5]]


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * REQUEST_BYTES, "not JSON"),
        (b" " * REQUEST_BYTES + b"{}", "longer than"),
        (b"[1, 2]", "nothing else"),
        ({"from": 1, "to": 2, "topic": "x"}, "nothing else"),
        ({"from": 1}, "whole numbers"),
        ({"from": True, "to": 2}, "whole numbers"),
        ({"from": 1.0, "to": 2}, "whole numbers"),
        ({"from": 0, "to": 2}, "1 <= from <= to"),
        ({"from": 3, "to": 2}, "1 <= from <= to"),
        ({"from": 1, "to": AT_ONCE + 1}, "at most"),
        ({"from": 1, "to": 10**400}, "at most"),
        ({"id": 5, "from": 1, "to": 1}, "id:"),
        ({"id": "\ud800", "from": 1, "to": 1}, "id:"),
        ({"id": "x" * 65, "from": 1, "to": 1}, "id:"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_allowed(payload: Any, says: str) -> None:
    sequences, reply = ask(payload)
    assert sequences == []
    assert reply["ok"] is False
    assert says in reply["detail"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "from", "to", "x"]), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000) | anything.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_sent_gets_one_reply_and_no_verdict_that_was_not_asked_for(payload: bytes) -> None:
    sequences, reply = ask(payload)
    assert reply["command"] == "resend"
    if reply["ok"]:
        wanted = json.loads(payload)
        assert set(sequences) <= set(range(wanted["from"], wanted["to"] + 1))
        assert reply["sent"] == len(sequences)
    else:
        assert sequences == []
        assert set(reply) == {"command", "id", "ok", "detail"}
        assert reply["detail"].isprintable()


def echoing(**example: Any) -> tuple[Desk, list[Any], list[dict[str, Any]]]:
    """A desk with a command `echo` that keeps how it was called, and the replies that came later."""
    called: list[Any] = []
    later: list[dict[str, Any]] = []

    def echo(wanted: Mapping[str, Any], tell: Tell) -> None:
        if wanted.get("text") == "no":
            raise Refused("text: not this one")
        called.append((wanted, tell))

    command = Command(name="echo", example=example, carry_out=echo)
    return Desk(Kept(), [command], later=lambda each: later.append(json.loads(each.payload))), called, later


def test_another_command_can_be_registered_and_replies_when_it_is_done() -> None:
    desk, called, later = echoing(text="yes")
    request = Request(command="echo", payload=b'{"id": "e1", "text": "yes"}', correlation=b"c")
    assert desk.names == ("resend", "echo")
    assert list(desk.answer(request)) == []
    [(wanted, tell)] = called
    assert wanted == {"text": "yes"}
    assert later == []
    tell({"said": "yes"})
    tell({"ok": False, "detail": "too late"})
    assert later == [
        {"command": "echo", "id": "e1", "ok": True, "said": "yes"},
        {"command": "echo", "id": "e1", "ok": False, "detail": "too late"},
    ]


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b'{"text": "no"}', "text: not this one"),
        (b'{"words": "yes"}', 'send {"id": "…", "text": "yes"} and nothing else'),
        (b"no", 'the request is not JSON; send {"id": "…", "text": "yes"}'),
        (b" " * REQUEST_BYTES + b"{}", "the request is longer than 1024 bytes"),
    ],
)
def test_a_registered_command_is_guarded_as_resend_is(payload: bytes, says: str) -> None:
    desk, called, _ = echoing(text="yes")
    [reply] = desk.answer(Request(command="echo", payload=payload))
    assert reply.topic == "reply/echo"
    assert json.loads(reply.payload) == {"command": "echo", "id": "", "ok": False, "detail": says}
    assert called == []


def test_too_many_requests_get_no_answer_until_time_has_passed() -> None:
    now = [0.0]
    desk = Desk(Kept(), clock=lambda: now[0])
    answered = [len(list(desk.answer(Request(payload=b"")))) for _ in range(BURST + 5)]
    assert answered == [1] * BURST + [0] * 5
    now[0] += 1 / PER_SECOND
    assert len(list(desk.answer(Request(payload=b"")))) == 1
    assert list(desk.answer(Request(payload=b""))) == []


@needs_mosquitto
def test_a_gateway_fills_its_gap(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, running(tmp_path, broker.port, commands=True, inflight=5) as line:
        line.append(60)
        eventually(lambda: line.journal.acknowledged == 60)
        with Listener(broker.port) as gateway:
            gateway.publish(COMMAND, b'{"id": "gap", "from": 11, "to": 50}')
            line.append(3)
            eventually(lambda: gateway.on("reply/resend"))
            assert [each["sequence"] for each in gateway.on("verdict") if each["sequence"] < 61] == list(range(11, 51))
            eventually(lambda: {61, 62, 63} < set(gateway.sequences()))
            assert gateway.on("reply/resend") == [
                {"command": "resend", "id": "gap", "ok": True, "from": 11, "to": 50, "sent": 40, "missing": []}
            ]


@needs_mosquitto
def test_a_slow_command_is_answered_from_its_own_thread_and_holds_up_no_verdict(tmp_path: Path) -> None:
    done = threading.Event()

    def carry_out(wanted: Mapping[str, Any], tell: Tell) -> None:
        threading.Thread(target=lambda: (done.wait(10), tell({"flashed": wanted["bundle"]}))).start()

    flash = Command(name="flash", example={"bundle": "ring-3fa91c07"}, carry_out=carry_out)
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port) as gateway,
        running(tmp_path, broker.port, commands=True, more=[flash]) as line,
    ):
        eventually(lambda: line.up)
        gateway.publish(COMMAND.replace("resend", "flash"), b'{"id": "f", "bundle": "ring-3fa91c07"}')
        time.sleep(0.2)
        line.append(20)
        eventually(lambda: gateway.sequences() == list(range(1, 21)))
        assert gateway.on("reply/flash") == []
        done.set()
        eventually(lambda: gateway.on("reply/flash"))
        assert gateway.on("reply/flash") == [{"command": "flash", "id": "f", "ok": True, "flashed": "ring-3fa91c07"}]


@needs_mosquitto
def test_correlation_data_comes_back_and_retained_requests_are_not_heard(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        replies: list[tuple[bytes, bytes]] = []
        subscribed = threading.Event()
        gateway = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        gateway.on_message = lambda *each: replies.append((each[2].properties.CorrelationData, each[2].payload))
        gateway.on_subscribe = lambda *_: subscribed.set()
        gateway.connect("127.0.0.1", broker.port)
        gateway.loop_start()
        gateway.subscribe("linegate/+/+/+/reply/#", qos=1)
        assert subscribed.wait(10)
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = b"\x00\x01"
        gateway.publish(COMMAND, b'{"from": 1, "to": 1}', qos=1, retain=True, properties=properties)
        with running(tmp_path, broker.port, commands=True) as line:
            eventually(lambda: line.up)
            line.append(5)
            eventually(lambda: line.journal.acknowledged == 5)
            properties.CorrelationData = b"\x00\x02"
            gateway.publish(COMMAND, b'{"from": 1, "to": 2}', qos=1, properties=properties)
            eventually(lambda: replies)
        gateway.disconnect()
        gateway.loop_stop()
    assert [(correlation, json.loads(payload)["sent"]) for correlation, payload in replies] == [(b"\x00\x02", 2)]


@needs_mosquitto
def test_requests_are_not_even_heard_unless_the_config_says_so(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker, running(tmp_path, broker.port) as line, Listener(broker.port) as gateway:
        line.append(5)
        eventually(lambda: gateway.sequences() == [1, 2, 3, 4, 5])
        gateway.publish(COMMAND, b'{"from": 1, "to": 5}')
        line.append(1)
        eventually(lambda: gateway.sequences()[-1] == 6)
        assert gateway.sequences() == [1, 2, 3, 4, 5, 6]
        assert gateway.on("reply/resend") == []


@needs_mosquitto
def test_garbage_at_any_rate_neither_stops_nor_delays_verdicts(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path) as broker,
        Listener(broker.port) as gateway,
        running(tmp_path, broker.port, commands=True) as line,
    ):
        eventually(lambda: line.up)
        for number in range(300):
            gateway.publish(COMMAND, [b"[" * 900, b"\xff" * 70_000, b"{}", b'{"from":1,"to":1000}'][number % 4])
            if number % 10 == 0:
                line.append()
        eventually(lambda: line.journal.acknowledged == 30)
        eventually(lambda: set(gateway.sequences()) == set(range(1, 31)))
        assert line.ups == [True]
        fresh = [each["sequence"] for each in gateway.on("verdict") if not each["replayed"]]
        assert fresh == list(range(1, 31))
