"""One MQTT connection. The only file that knows paho.

paho runs without its own thread and resends nothing itself: the outbox alone decides what is sent again.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge import config
from edge.sinks.commands import Request
from edge.sinks.credentials import login, tls_context
from edge.sinks.outbox import Letter
from edge.sinks.trouble import Lost, from_broker, from_connect

PATIENCE_S = 5.0
"""With a broker that takes a connection or a message and then says nothing."""

CONNECT_S = 3.0
"""With a network that says nothing at all. Shorter than the time that a stop may take."""

BRIEF_PATIENCE_S = 2.0
"""With a greeting in a version that the broker may not know: some, amqtt among them, then wait for ever."""

VERSIONS = {"MQTT 5": paho.MQTTv5, "MQTT 3.1.1": paho.MQTTv311}
"""In the order to try them: only MQTT 5 says why something was refused."""

LARGEST_BYTES = 64 * 1024
"""A broker that speaks MQTT 5 keeps larger packets away from us."""

OK = MQTTErrorCode.MQTT_ERR_SUCCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the broker said to a letter; `code` from 0x80 on is a refusal."""

    letter: Letter
    code: int
    text: str


class Connection:
    """From CONNECT to its end; used by one thread. Every method raises `Lost` with one line."""

    def __init__(
        self,
        settings: config.Mqtt,
        prefix: str,
        client_id: str,
        will: Letter,
        version: str,
        commands: Sequence[str] = (),
    ) -> None:
        """`commands`: what may be asked of us.

        Raises `edge.config.ConfigError` when the password or the TLS files cannot be used.
        """
        self._settings = settings
        self._prefix = prefix
        self._commands = commands
        self._newest = VERSIONS[version] == paho.MQTTv5
        self.woken = False
        """The waker was heard by the latest `turn`; whoever gave it reads it empty."""
        self.requests: list[Request] = []
        """What was asked of us and is not answered yet; whoever answers removes it."""
        self._on_way: dict[int, tuple[Letter, float]] = {}
        self._answers: list[Answer] = []
        self._refusal: tuple[int, str] | None = None
        self._accepted = False
        self._complaint = ""
        self._limit = settings.inflight
        self._client = client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=VERSIONS[version], reconnect_on_failure=False
        )
        client.max_inflight_messages = 0  # no limit there: what is on its way is limited here
        client.connect_timeout = CONNECT_S
        client.on_connect = self._heard_connack
        client.on_publish = self._heard_puback
        client.on_disconnect = self._heard_disconnect
        client.on_log = self._heard_complaint
        client.on_message = self._heard_request
        client.will_set(f"{prefix}/{will.topic}", will.payload, qos=1, retain=will.retain)
        if (name := login(settings)) is not None:
            client.username_pw_set(name.username, name.password)
        context = tls_context(settings.tls)
        if context is not None:
            client.tls_set_context(context)

    def open(self, stopping: Event) -> None:
        """Connect and wait for the broker's word, but not when `stopping` is set."""
        try:
            resolve(self._settings.host)
            address = self._settings.host, self._settings.port, self._settings.keepalive_s
            self._client.connect(*address, properties=self._greeting())
            self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ValueError) as error:
            raise from_connect(error) from None
        deadline_s = time.monotonic() + (BRIEF_PATIENCE_S if self._newest else PATIENCE_S)
        while not self._accepted:
            if stopping.is_set():
                raise Lost("was left, because we stop")
            if time.monotonic() > deadline_s:
                raise Lost("takes connections but does not answer; it may be frozen, restart it", other_version=True)
            self.turn(None, 0.1)
        self._client.on_log = None  # it costs time for every packet
        if self._commands:
            self._client.subscribe([(f"{self._prefix}/command/{each}", 1) for each in self._commands])

    @property
    def room(self) -> int:
        """How many more letters may be on their way."""
        return self._limit - len(self._on_way)

    @property
    def silent(self) -> bool:
        """Nothing waits for an answer."""
        return not self._on_way

    def send(self, letter: Letter) -> None:
        """Put a letter on its way; the answer comes out of `turn`."""
        topic, properties = f"{self._prefix}/{letter.topic}", self._properties(letter)
        sent = self._client.publish(topic, letter.payload, qos=1, retain=letter.retain, properties=properties)
        if sent.rc != OK:
            raise self._lost()
        self._on_way[sent.mid] = letter, time.monotonic()

    def _greeting(self) -> Properties | None:
        """Only who takes requests needs it, and a broker that knows no MQTT 5 may wait for ever over a property."""
        if not (self._newest and self._commands):
            return None
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.MaximumPacketSize = LARGEST_BYTES
        return properties

    def _properties(self, letter: Letter) -> Properties | None:
        expires = letter.sequence and self._settings.expiry_s
        if not self._newest or not (letter.correlation or expires):
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if letter.correlation:
            properties.CorrelationData = letter.correlation
        if expires:
            properties.MessageExpiryInterval = self._settings.expiry_s
        return properties

    def turn(self, waker: socket.socket | None, timeout_s: float) -> list[Answer]:
        """Wait for the network or for `waker`, do what there is to do, give the answers that came."""
        own = self._socket()
        buffered = own.pending() if hasattr(own, "pending") else 0  # TLS may hold what select cannot see
        reading = [own] if waker is None else [own, waker]
        writing = [own] if self._client.want_write() else []
        readable, writable, _ = select.select(reading, writing, [], 0.0 if buffered else timeout_s)
        self.woken = waker in readable
        code = self._client.loop_read() if buffered or own in readable else OK
        if code == OK and writable:
            code = self._client.loop_write()
        if code == OK:
            code = self._client.loop_misc()
        if code != OK or self._refusal or self._client.socket() is None:
            raise self._lost()
        self._mind_silence()
        answers, self._answers = self._answers, []
        return answers

    def close(self, *, orderly: bool) -> None:
        """End it; the broker sends the last will unless `orderly`."""
        if orderly:
            self._client.disconnect()
        own = self._client.socket()
        if own is not None:
            own.close()

    def _socket(self) -> Any:
        own = self._client.socket()
        if own is None:
            raise self._lost()
        return own

    def _mind_silence(self) -> None:
        oldest_s = next(iter(self._on_way.values()))[1] if self._on_way else time.monotonic()
        if time.monotonic() - oldest_s > max(PATIENCE_S, self._settings.keepalive_s):
            raise Lost("acknowledges nothing any more; it may be frozen, restart it")

    def _lost(self) -> Lost:
        if self._refusal:
            return from_broker(*self._refusal)
        if self._accepted:
            return Lost("is gone; start it again or check the network")
        if self._complaint:
            return Lost(
                f"broke off before it let us in ({self._complaint}); check mqtt.tls and its client certificates"
            )
        return Lost("broke off before it let us in; check mqtt.port, mqtt.tls and its log", other_version=True)

    def _heard_connack(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._refusal = reason.value, str(reason)
        else:
            self._accepted = True
            self._limit = min(self._limit, getattr(properties, "ReceiveMaximum", self._limit))

    def _heard_puback(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        letter, _ = self._on_way.pop(mid)
        self._answers.append(Answer(letter=letter, code=reason.value, text=str(reason)))

    def _heard_request(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        """A retained one would be carried out again at every connect, so it is not heard at all."""
        if not message.retain:
            correlation = getattr(message.properties, "CorrelationData", b"")
            command = message.topic.rsplit("/", 1)[1]
            self.requests.append(Request(payload=message.payload, command=command, correlation=correlation))

    def _heard_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        """paho gives 0 for a reason without properties, which is why 0 says nothing."""
        if flags.is_disconnect_packet_from_server and reason.value and not self._refusal:
            self._refusal = reason.value, str(reason)

    def _heard_complaint(self, _client: Any, _data: Any, _level: int, text: str) -> None:
        """TLS alerts that come with the first read are told nowhere else."""
        before, _, complaint = text.partition("on socket: ")
        if complaint and before.startswith("failed"):
            self._complaint = complaint


def resolve(host: str) -> None:
    """Look the name up; raises `OSError`. Another thread asks: a name server that is away would take half a minute."""
    answer: list[OSError | None] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            answer.append(None)
        except OSError as error:
            answer.append(error)

    asking = Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(CONNECT_S)
    error = answer[0] if answer else socket.gaierror("no answer")
    if error is not None:
        raise error


class Listener:
    """A subscriber that counts different verdicts: proof, for the demo, that they really arrive somewhere."""

    def __init__(self, port: int, prefix: str) -> None:
        """Connect to a broker on this machine that asks for no password; raises `OSError`."""
        self._heard: set[bytes] = set()
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_connect = lambda subscriber, *_: subscriber.subscribe(f"{prefix}/verdict", qos=1)
        client.on_message = lambda _client, _data, message: self._heard.add(message.payload)
        client.connect("127.0.0.1", port)
        client.loop_start()

    @property
    def count(self) -> int:
        """How many verdicts have come."""
        return len(self._heard)

    def close(self) -> None:
        """Hear no more."""
        self._client.disconnect()
        self._client.loop_stop()
