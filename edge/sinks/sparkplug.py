"""Sparkplug B: an optional view of verdicts, counters and state for SCADA systems, over a connection of its own.

Its data have QoS 0, as the specification says, so it shows and does not promise; the promise is kept on `verdict`.
"""

from __future__ import annotations

import logging
import os
import queue
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Event
from typing import Any, Protocol

from edge import config
from edge.domain import SinkDown
from edge.message import Record
from edge.sinks.bell import Bell
from edge.sinks.connection import VERSIONS, Connection
from edge.sinks.credentials import login, tls_context
from edge.sinks.sparkplug_node import REBIRTH, EdgeNode
from edge.sinks.sparkplug_wire import Garbled, booleans
from edge.sinks.trouble import Lost

log = logging.getLogger(__name__)

BACK_OFF_S = (1.0, 2.0, 4.0, 5.0)
TURN_S = 0.25
REBIRTH_EVERY_S = 1.0
"""Commands that come faster are answered by one birth."""
HISTORY = 10_000
"""Verdicts of an interruption that are shown afterwards; older ones stay in the journal."""
CHUNK = 50


class Kept(Protocol):
    """The journal, as the view sees it."""

    @property
    def last_sequence(self) -> int:
        """The highest sequence ever used."""

    def since(self, after: int, limit: int) -> list[Record]:
        """Those above `after`, in order; raises `SinkDown`."""


class SparkplugView:
    """Shows what the journal holds. `run` is the body of a thread; the other methods may be called from any thread.

    Raises `edge.config.ConfigError` at once when a name, the password file or the TLS files cannot be used.
    """

    def __init__(
        self,
        settings: config.Sparkplug,
        mqtt: config.Mqtt,
        station: config.Station,
        journal: Kept,
        *,
        memory: Path,
        version: str,
    ) -> None:
        """`memory`: a small file that keeps `bdSeq` and how far verdicts were shown."""
        self._mqtt = mqtt
        names = {"site": station.site, "line": station.line, "station": station.station}
        group, self._node, self._device = (
            _name(key, getattr(settings, key), names) for key in ("group", "node", "device")
        )
        login(mqtt)
        tls_context(mqtt.tls)
        self._prefix = f"spBv1.0/{group}"
        self._client_id = f"linegate-sparkplug-{group}-{self._node}"
        self._journal = journal
        self._memory = Memory(memory, journal.last_sequence)
        self._version = version
        self._sayings: queue.SimpleQueue[tuple[str, Mapping[str, Any]]] = queue.SimpleQueue()
        self._latest: dict[str, Mapping[str, Any]] = {}
        self._bell = Bell()
        self._reborn_s = 0.0
        self._trouble = ""

    def wake(self) -> None:
        """There is something new in the journal."""
        self._bell.ring()

    def say_counters(self, document: Mapping[str, Any]) -> None:
        """The shift counters."""
        self._sayings.put(("counters", document))
        self.wake()

    def say_state(self, document: Mapping[str, Any]) -> None:
        """What the station does and with which model."""
        self._sayings.put(("state", document))
        self.wake()

    def run(self, stopping: Event) -> None:
        """Connect and show until `stopping` is set."""
        failures = 0
        while not stopping.is_set():
            try:
                self._serve(stopping)
                failures = 0
            except Lost as lost:
                if not stopping.is_set():
                    self._tell_down(str(lost))
            self._memory.write()
            stopping.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
            failures += 1

    def _serve(self, stopping: Event) -> None:
        self._memory.next_birth()
        node = EdgeNode(node=self._node, device=self._device, version=self._version, birth=self._memory.birth)
        connection = self._connect(node, stopping)
        try:
            self._greet(connection, node)
            self._tell_up()
            fresh_after = self._journal.last_sequence
            while not stopping.is_set():
                self._step(connection, node, fresh_after)
            connection.send(node.death(_now_ms()))
            for _ in range(25):
                if not connection.silent:
                    connection.turn(None, 0.02)
        finally:
            connection.close(orderly=stopping.is_set())

    def _connect(self, node: EdgeNode, stopping: Event) -> Connection:
        """The newest version that the broker accepts."""
        for version in VERSIONS:
            try:
                will, heard = node.death(_now_ms()), [f"NCMD/{self._node}"]
                connection = Connection(self._mqtt, self._prefix, self._client_id, will, version, heard)
                connection.open(stopping)
            except config.ConfigError as error:
                raise Lost(f"was not asked: {error}") from None
            except Lost as lost:
                last = lost
                if not lost.other_version:
                    break
            else:
                return connection
        raise last

    def _greet(self, connection: Connection, node: EdgeNode) -> None:
        now_ms = _now_ms()
        self._remember(node)
        if "counters" in self._latest:
            node.counters(self._latest["counters"], now_ms)
        if "state" in self._latest:
            node.state(self._latest["state"], now_ms)
        for letter in node.births(now_ms):
            connection.send(letter)
        self._reborn_s = time.monotonic()

    def _remember(self, node: EdgeNode) -> None:
        try:
            for record in self._journal.since(self._memory.shown - 1, 1):
                if record.sequence == self._memory.shown:
                    node.remember(record)
        except SinkDown as error:
            log.debug("sparkplug: %s", error)

    def _step(self, connection: Connection, node: EdgeNode, fresh_after: int) -> None:
        """Send what there is, as fast as the network takes it; then wait a moment for something new."""
        while not self._sayings.empty():
            kind, document = self._sayings.get()
            self._latest[kind] = document
            for letter in (node.counters if kind == "counters" else node.state)(document, _now_ms()):
                connection.send(letter)
        more = connection.flushed and self._show(connection, node, fresh_after)
        if connection.woken:
            self._bell.hush()
            more = True
        connection.turn(self._bell.ear, 0.0 if more else TURN_S)
        self._obey(connection, node)

    def _show(self, connection: Connection, node: EdgeNode, fresh_after: int) -> bool:
        """Whether there may be more."""
        if not node.alive:
            return False
        after = max(self._memory.shown, fresh_after - HISTORY)
        try:
            records = self._journal.since(after, CHUNK)
        except SinkDown as error:
            log.debug("sparkplug: %s", error)  # the publisher of verdicts tells it
            return False
        for record in records:
            connection.send(node.verdict(record, _now_ms(), historical=record.sequence <= fresh_after))
            self._memory.shown = record.sequence
        return len(records) == CHUNK

    def _obey(self, connection: Connection, node: EdgeNode) -> None:
        """The only command is a rebirth; whatever else comes is ignored."""
        wanted = False
        for request in connection.requests:
            try:
                wanted |= booleans(request.payload).get(REBIRTH, False)
            except Garbled as error:
                log.debug("sparkplug: a command that is none (%s)", error)
        if not wanted:
            connection.requests.clear()
        elif time.monotonic() - self._reborn_s >= REBIRTH_EVERY_S:
            connection.requests.clear()
            for letter in node.births(_now_ms()):
                connection.send(letter)
            self._reborn_s = time.monotonic()
        else:
            del connection.requests[1:]

    def _tell_down(self, reason: str) -> None:
        if reason != self._trouble:
            log.warning("sparkplug: broker %s:%d %s", self._mqtt.host, self._mqtt.port, reason)
        self._trouble = reason

    def _tell_up(self) -> None:
        if self._trouble:
            log.warning("sparkplug: broker %s:%d is back", self._mqtt.host, self._mqtt.port)
        self._trouble = ""


class Memory:
    """`bdSeq` and the last verdict shown, in a file, so that births after a restart can be told from those before."""

    def __init__(self, path: Path, newest: int) -> None:
        """`newest`: where to begin when there is no file."""
        self._path = path
        self.birth, self.shown = 255, newest
        try:
            words = path.read_text(encoding="ascii").split()
            self.birth, self.shown = int(words[0]) % 256, min(int(words[1]), newest)
        except FileNotFoundError:
            pass  # the first start
        except (OSError, ValueError, IndexError):
            log.warning("%s cannot be read; sparkplug begins anew", path)

    def next_birth(self) -> None:
        """A connection is about to be made."""
        self.birth = (self.birth + 1) % 256
        self.write()

    def write(self) -> None:
        """Replace the file; a disk that fails costs the number only, and is logged."""
        part = self._path.with_name(self._path.name + ".part")
        try:
            with part.open("w", encoding="ascii") as file:
                file.write(f"{self.birth} {self.shown}\n")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written (%s); after a restart sparkplug repeats itself", part, error.strerror)


def _name(key: str, template: str, names: Mapping[str, str]) -> str:
    """A template with the station's names put in; raises `edge.config.ConfigError`."""
    try:
        name = template.format(**names)
    except (KeyError, ValueError, IndexError, AttributeError):
        name = ""
    if not name or any(each in name for each in "/+#\0"):
        raise config.ConfigError(
            [f"sparkplug.{key}: is {template!r}; allowed is text without / + #, with {{site}}, {{line}}, {{station}}"]
        )
    return name


def _now_ms() -> int:
    return round(time.time() * 1000)
