"""What goes to the broker next, in which order, and what its answers mean. Knows nothing of sockets.

Used by one thread. Verdicts come from the journal in order of sequence; state and counters are only ever worth their
latest value; events are few and kept until the broker has them.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edge.message import Record, as_replayed

EVENTS_KEPT = 100
READ_AHEAD = 64
ANSWERS_WAITING = 8


class Ledger(Protocol):
    """The journal, as the sender sees it."""

    @property
    def last_sequence(self) -> int:
        """The highest sequence ever used."""

    @property
    def acknowledged(self) -> int:
        """Everything up to here has reached the broker."""

    def pending(self, after: int, limit: int) -> list[Record]:
        """Unacknowledged records above `after`, in order; raises `SinkDown`."""

    def acknowledge(self, sequence: int) -> None:
        """Everything up to `sequence` has reached the broker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message on its way: the last part of its topic, and what to do when the broker has it."""

    topic: str
    payload: bytes
    retain: bool = False
    sequence: int = 0
    """Of a verdict; 0 for everything else, and for verdicts that were asked for again."""
    correlation: bytes = b""
    """In a reply: what tells the asker, in MQTT 5, which request it belongs to."""
    qos: int = 1
    elsewhere: bool = False
    """The topic is complete; otherwise it stands below the station's prefix."""


class Outbox:
    """Hands out letters one by one and takes the broker's answers.

    A verdict says `replayed` when it was sent before, or had to wait because there was no connection.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._cursor = ledger.acknowledged
        self._replay_until = ledger.last_sequence
        self._interrupted = False
        self._on_way: deque[int] = deque()
        self._answered: set[int] = set()
        self._waiting: deque[Record] = deque()
        self._latest: dict[str, Letter] = {}
        self._unsaid: dict[str, Letter] = {}
        self._events: deque[Letter] = deque(maxlen=EVENTS_KEPT)
        self._events_on_way: deque[Letter] = deque()
        self._answers: deque[Iterator[Letter]] = deque()

    def say(self, letter: Letter) -> None:
        """Something other than a verdict; a retained topic holds its latest value only."""
        if letter.retain:
            self._latest[letter.topic] = self._unsaid[letter.topic] = letter
        else:
            self._events.append(letter)

    def answer(self, letters: Iterator[Letter]) -> bool:
        """Letters to send while no new verdict waits; False when too many answers wait already."""
        if len(self._answers) >= ANSWERS_WAITING:
            return False
        self._answers.append(letters)
        return True

    def connected(self) -> None:
        """A connection begins: retained values are said again, unacknowledged verdicts are sent again.

        Answers are forgotten: whoever asked gets no reply and asks again.
        """
        self._answers.clear()
        if self._interrupted:
            self._replay_until = max(self._replay_until, self._ledger.last_sequence)
        self._interrupted = False
        self._unsaid = dict(self._latest)
        self._events.extendleft(reversed(self._events_on_way))
        self._events_on_way.clear()
        self.rewind()

    def interrupted(self) -> None:
        """There is no connection, or it ended: what is decided from now until the next one comes late."""
        self._interrupted = True

    def rewind(self) -> None:
        """Begin again at the first unacknowledged verdict."""
        if self._on_way:
            self._replay_until = max(self._replay_until, self._on_way[-1])
        self._on_way.clear()
        self._answered.clear()
        self._waiting.clear()
        self._cursor = self._ledger.acknowledged

    def next(self, *, verdicts: bool = True) -> Letter | None:
        """The next letter to send, None when there is none now; raises `SinkDown` when the journal cannot be read."""
        if self._unsaid:
            return self._unsaid.pop(next(iter(self._unsaid)))
        if self._events:
            self._events_on_way.append(self._events[0])
            return self._events.popleft()
        return (self._next_verdict() or self._next_answer()) if verdicts else None

    def _next_answer(self) -> Letter | None:
        while self._answers:
            letters = self._answers.popleft()
            letter = next(letters, None)
            if letter is not None:
                self._answers.appendleft(letters)
                return letter
        return None

    def _next_verdict(self) -> Letter | None:
        if not self._waiting:
            self._waiting.extend(self._ledger.pending(self._cursor, READ_AHEAD))
        if not self._waiting:
            return None
        record = self._waiting.popleft()
        self._cursor = record.sequence
        self._on_way.append(record.sequence)
        payload = as_replayed(record.payload) if record.sequence <= self._replay_until else record.payload
        return Letter(topic="verdict", payload=payload, sequence=record.sequence)

    def delivered(self, letter: Letter) -> None:
        """The broker has it. A verdict counts only when all before it were delivered too."""
        if not letter.sequence:
            if not letter.retain and letter in self._events_on_way:
                self._events_on_way.remove(letter)
            return
        if letter.sequence > self._ledger.acknowledged:
            self._answered.add(letter.sequence)
        done = 0
        while self._on_way and self._on_way[0] in self._answered:
            done = self._on_way.popleft()
            self._answered.remove(done)
        if done:
            self._ledger.acknowledge(done)

    @property
    def idle(self) -> bool:
        """Everything was delivered; raises `SinkDown` when the journal cannot be read."""
        busy = self._unsaid or self._events or self._events_on_way or self._on_way or self._waiting
        return not busy and not self._ledger.pending(self._cursor, 1)


def encoded(document: Mapping[str, Any]) -> bytes:
    """JSON as all topics carry it."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
