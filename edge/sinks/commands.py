"""What others may ask of the station over MQTT. Off unless `mqtt.commands` is on; only `resend` exists."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from edge.message import Record, as_replayed
from edge.sinks.outbox import Letter, encoded

REQUEST_BYTES = 1024
AT_ONCE = 1000
"""Verdicts that one request may ask for; whoever misses more asks again."""
CHUNK = 50
BURST = 20
PER_SECOND = 2.0
"""So many requests may come at once, and so many per second for ever; what exceeds it gets no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One message that came on `command/resend`. `correlation`: the property of MQTT 5, given back as it came."""

    payload: bytes
    correlation: bytes = b""


class Kept(Protocol):
    """The journal, as the one who answers sees it."""

    @property
    def last_sequence(self) -> int:
        """The highest sequence ever used."""

    def range(self, first: int, last: int) -> list[Record]:
        """Those that are still kept; raises `SinkDown`."""


class Refused(Exception):
    """A request that cannot be met; one line for who asked."""


class Desk:
    """Checks requests and answers them; used by one thread."""

    def __init__(self, journal: Kept, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal = journal
        self._clock = clock
        self._allowance = float(BURST)
        self._refilled_s = clock()

    def answer(self, request: Request) -> Iterator[Letter]:
        """The letters that answer it: the verdicts asked for, then the reply. Reads the journal while it is consumed,
        which may raise `SinkDown`. Empty when too many requests came."""
        if not self._allowed():
            return iter(())
        identifier = ""
        try:
            identifier, first, last = _understood(request.payload)
            last = min(last, self._journal.last_sequence)
        except Refused as refusal:
            reply = {"command": "resend", "id": identifier, "ok": False, "detail": str(refusal)}
            return iter([_reply(request, reply)])
        return self._resent(request, identifier, first, last)

    def _allowed(self) -> bool:
        now_s = self._clock()
        self._allowance = min(float(BURST), self._allowance + (now_s - self._refilled_s) * PER_SECOND)
        self._refilled_s = now_s
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _resent(self, request: Request, identifier: str, first: int, last: int) -> Iterator[Letter]:
        missing: list[tuple[int, int]] = []
        sent = 0
        expected = first
        for begin in range(first, last + 1, CHUNK):
            for record in self._journal.range(begin, min(last, begin + CHUNK - 1)):
                if record.sequence > expected:
                    missing.append((expected, record.sequence - 1))
                expected = record.sequence + 1
                sent += 1
                yield Letter(topic="verdict", payload=as_replayed(record.payload))
        if expected <= last:
            missing.append((expected, last))
        reply = {"command": "resend", "id": identifier, "ok": True, "from": first, "to": last, "sent": sent}
        yield _reply(request, reply | {"missing": missing})


def _reply(request: Request, document: dict[str, Any]) -> Letter:
    return Letter(topic="reply/resend", payload=encoded(document), correlation=request.correlation)


def _understood(payload: bytes) -> tuple[str, int, int]:
    """`(id, from, to)`; raises `Refused` with what is allowed."""
    if len(payload) > REQUEST_BYTES:
        raise Refused(f"the request is longer than {REQUEST_BYTES} bytes")
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        raise Refused('the request is not JSON; send {"id": "…", "from": 1, "to": 9}') from None
    if not isinstance(document, dict) or set(document) - {"id", "from", "to"}:
        raise Refused('send {"id": "…", "from": 1, "to": 9} and nothing else')
    identifier, first, last = document.get("id", ""), document.get("from"), document.get("to")
    if not isinstance(identifier, str) or len(identifier) > 64 or not identifier.isprintable():
        raise Refused("id: allowed is text of at most 64 printable characters")
    if type(first) is not int or type(last) is not int or not 1 <= first <= last:
        raise Refused("from, to: allowed are whole numbers with 1 <= from <= to")
    if last - first >= AT_ONCE:
        raise Refused(f"from, to: at most {AT_ONCE} verdicts at a time")
    return identifier, first, last
