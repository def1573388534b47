"""Verdicts to the broker, in order and at least once, and never in the way of the line.

One thread owns everything here: it opens the connection, sends, reads the answers, and opens it again.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any, Protocol

from edge import config
from edge.domain import SinkDown
from edge.message import iso
from edge.sinks.bell import Bell
from edge.sinks.commands import Command, Desk, Kept
from edge.sinks.connection import VERSIONS, Answer, Connection
from edge.sinks.credentials import login, tls_context
from edge.sinks.outbox import Ledger, Letter, Outbox, encoded
from edge.sinks.trouble import Lost

log = logging.getLogger(__name__)

BACK_OFF_S = (1.0, 2.0, 4.0, 5.0)
STEADY_S = 10.0
"""A connection that lasted this long makes the back-off begin anew."""
TURN_S = 0.25
DRAIN_S = 2.0
"""How long an orderly stop may take to deliver what is left; the rest stays in the journal."""
HOLD_S = 5.0
"""Pause after a verdict was refused, or the journal could not be read."""
BREAKS = 3
BREAKING = "accepts us and drops us again and again; have two stations the same site, line and station? See its log"
"""mosquitto gives no reason when another client takes our name."""
NO_SUBSCRIBERS = 0x10
REFUSED = 0x80


def topic_prefix(template: str, station: config.Station) -> str:
    """`mqtt.prefix` with the station's names put in; raises `edge.config.ConfigError`."""
    names = {"site": station.site, "line": station.line, "station": station.station}
    try:
        prefix = template.format(**names).rstrip("/")
    except (KeyError, ValueError, IndexError, AttributeError):
        raise config.ConfigError(
            [f"mqtt.prefix: is {template!r}; allowed names: {{site}}, {{line}}, {{station}}"]
        ) from None
    if not prefix or any(each in prefix for each in "+#\0"):
        raise config.ConfigError([f"mqtt.prefix: is {template!r}; it must not be empty nor hold + or #"])
    return prefix


class Journal(Ledger, Kept, Protocol):
    """What a publisher needs of the journal."""


class MqttPublisher:
    """Sends what the journal holds. `run` is the body of a thread; the other methods may be called from any thread.

    Make it before the first new verdict is written: what the journal holds unsent by then goes out as `replayed`.
    Raises `edge.config.ConfigError` at once when `mqtt.prefix`, the password file or the TLS files cannot be used.
    `on_up` is told, from this thread, when verdicts can flow and when they cannot. `commands`: what others may ask for
    beside `resend` while `mqtt.commands` is on.
    """

    def __init__(
        self,
        settings: config.Mqtt,
        station: config.Station,
        journal: Journal,
        on_up: Callable[[bool], None],
        commands: Sequence[Command] = (),
    ) -> None:
        self._settings = settings
        self._client_id = f"linegate-{station.site}-{station.line}-{station.station}"
        self._prefix = topic_prefix(settings.prefix, station)
        login(settings)
        tls_context(settings.tls)
        self._where = f"broker {settings.host}:{settings.port}"
        self._journal = journal
        self._outbox = Outbox(journal)
        self._desk = Desk(journal, commands, later=self.say_letter)
        self._on_up = on_up
        self._sayings: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._bell = Bell()
        self._trouble = self._version = ""
        self._broken_off = 0
        self._since_s = 0.0
        self._complaints: set[str] = set()
        self._hold_until_s = 0.0
        self.say_state({})

    def wake(self) -> None:
        """There is something new in the journal. Never blocks."""
        self._bell.ring()

    def say_state(self, document: Mapping[str, Any]) -> None:
        """What belongs beside `"state": "online"`, which is added here; retained, repeated at each connect."""
        self._say("state", {"state": "online"} | dict(document) | {"state": "online"}, retain=True)

    def say_counters(self, document: Mapping[str, Any]) -> None:
        """The shift counters; retained, repeated at each connect."""
        self._say("counters", document, retain=True)

    def say_letter(self, letter: Letter) -> None:
        """Anything else; a retained one is repeated at each connect."""
        self._sayings.put(letter)
        self.wake()

    def say_event(self, document: Mapping[str, Any]) -> None:
        """Something happened just now. Kept until the broker has it, but only the newest 100, not beyond a restart."""
        self._say("event", {**document, "at": iso(time.time())}, retain=False)

    def _say(self, topic: str, document: Mapping[str, Any], *, retain: bool) -> None:
        self.say_letter(Letter(topic=topic, payload=encoded(document), retain=retain))

    def run(self, stopping: Event) -> None:
        """Connect and send until `stopping` is set; then deliver what is left, for at most two seconds.

        Set it after the last verdict is in the journal, so that the last one goes out too.
        """
        failures = 0
        while not stopping.is_set():
            try:
                self._serve(self._connect(stopping), stopping)
            except Lost as lost:
                failures = 0 if self._steady else failures
                self._outbox.interrupted()
                if not stopping.is_set():
                    self._tell_down(str(lost))
            stopping.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
            failures += 1
        self._on_up(False)

    @property
    def _steady(self) -> bool:
        return bool(self._version) and time.monotonic() - self._since_s > STEADY_S

    def _connect(self, stopping: Event) -> Connection:
        """The newest version that the broker accepts."""
        will = offline("connection lost")
        commands = [f"command/{each}" for each in self._desk.names] if self._settings.commands else []
        for version in VERSIONS:
            try:
                connection = Connection(self._settings, self._prefix, self._client_id, will, version, commands)
                connection.open(stopping)
            except config.ConfigError as error:
                raise Lost(f"was not asked: {error}") from None
            except Lost as lost:
                last = lost
                if not lost.other_version:
                    break
            else:
                self._tell_up(version)
                return connection
        raise last

    def _serve(self, connection: Connection, stopping: Event) -> None:
        self._outbox.connected()
        self._complaints.clear()
        self._hold_until_s = 0.0
        try:
            while not stopping.is_set():
                self._step(connection, TURN_S)
            self._drain(connection)
        finally:
            connection.close(orderly=stopping.is_set())

    def _drain(self, connection: Connection) -> None:
        deadline_s = time.monotonic() + DRAIN_S
        while not self._finished(connection) and time.monotonic() < deadline_s:
            self._step(connection, 0.02)
        connection.send(offline("stopped"))
        while not connection.silent and time.monotonic() < deadline_s + 0.5:
            self._hear(connection.turn(None, 0.02))

    def _finished(self, connection: Connection) -> bool:
        try:
            return connection.silent and self._sayings.empty() and self._outbox.idle
        except SinkDown:
            return True

    def _step(self, connection: Connection, timeout_s: float) -> None:
        """Send what may be sent, then wait a moment for answers or for something new to send."""
        while not self._sayings.empty():
            self._outbox.say(self._sayings.get())
        if self._trouble and self._steady:
            self._tell_back()
        try:
            self._send(connection)
            if connection.woken:
                # Sent first and emptied second: every system call gives up the interpreter, which a busy thread
                # then keeps for a while. What came before the emptying is looked for once more.
                self._bell.hush()
                self._send(connection)
        except SinkDown as error:
            self._complain("journal", f"{error}; sending waits")
            self._hold_until_s = time.monotonic() + HOLD_S
        self._hear(connection.turn(self._bell.ear, timeout_s))
        self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        while connection.requests:
            if not self._outbox.answer(self._desk.answer(connection.requests.pop(0))):
                self._complain("requests", "brings more requests than can be answered; some are left out")

    def _send(self, connection: Connection) -> None:
        held = time.monotonic() < self._hold_until_s
        while connection.room > 0 and (letter := self._outbox.next(verdicts=not held)) is not None:
            connection.send(letter)

    def _hear(self, answers: list[Answer]) -> None:
        for answer in answers:
            letter = answer.letter
            if letter.sequence and answer.code >= REFUSED:
                self._refused(answer)
                continue
            if answer.code >= REFUSED:
                topic = letter.topic if letter.elsewhere else f"{self._prefix}/{letter.topic}"
                self._complain(letter.topic, f"refuses {topic} ({answer.text}); check its access list")
            elif letter.sequence:
                self._accepted(answer)
            self._outbox.delivered(letter)

    def _refused(self, answer: Answer) -> None:
        """Nothing behind a refused verdict may overtake it: all wait, then it is tried again."""
        topic = f"{self._prefix}/verdict"
        if self._complain(
            "verdict", f"refuses {topic} ({answer.text}); check its access list; verdicts wait in the journal"
        ):
            self.say_event({"event": "verdict_refused", "detail": answer.text, "at_sequence": answer.letter.sequence})
            self._on_up(False)
        self._hold_until_s = time.monotonic() + HOLD_S
        self._outbox.rewind()

    def _accepted(self, answer: Answer) -> None:
        if "verdict" in self._complaints:
            self._complaints.discard("verdict")
            log.warning("%s takes verdicts again", self._where)
            self._on_up(True)
        if answer.code == NO_SUBSCRIBERS:
            if self._complain(
                "nobody", f"has no subscriber to {self._prefix}/verdict: no gateway listens to this station"
            ):
                self.say_event({"event": "no_subscribers", "detail": "no gateway listens to verdicts"})
        elif "nobody" in self._complaints:
            self._complaints.discard("nobody")
            log.warning("%s has a subscriber to verdicts again", self._where)

    def _complain(self, about: str, text: str) -> bool:
        """Log it unless that was done before; whether it was new."""
        if about in self._complaints:
            return False
        self._complaints.add(about)
        log.error("%s %s", self._where, text)
        return True

    def _tell_up(self, version: str) -> None:
        """Said once; a connection that keeps breaking is only called back when it has held for a while."""
        self._version, self._since_s = version, time.monotonic()
        self._on_up(True)
        if not self._trouble:
            log.info("%s is connected (%s)", self._where, version)
        elif self._broken_off < BREAKS:
            self._tell_back()

    def _tell_back(self) -> None:
        log.warning("%s is back (%s)", self._where, self._version)
        self._trouble = ""

    def _tell_down(self, reason: str) -> None:
        """The same reason is said once until the connection is back."""
        if self._version:
            self._broken_off = 0 if self._steady else self._broken_off + 1
        if self._broken_off >= BREAKS:
            reason = BREAKING
        if reason != self._trouble:
            log.error("%s %s; verdicts wait in the journal", self._where, reason)
        if self._version or not self._trouble:
            self._on_up(False)
        self._trouble, self._version = reason, ""


def offline(reason: str) -> Letter:
    """What `state` says when the station is not there: as last will, or as the last word of an orderly stop."""
    return Letter(topic="state", payload=encoded({"state": "offline", "reason": reason}), retain=True)
