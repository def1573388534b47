"""What others may ask of the station over MQTT. Off unless `mqtt.commands` is on.

`resend` is answered here; whatever else there is to ask for is registered as a `Command`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
EXAMPLE = {"from": 1, "to": 9}


Tell = Callable[[Mapping[str, Any]], None]
"""Takes what a reply says beside `command`, `id` and `ok`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One message that came on `command/<command>`. `correlation`: the property of MQTT 5, given back as it came."""

    payload: bytes
    command: str = "resend"
    correlation: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something that can be asked for on `command/<name>` and is answered on `reply/<name>`."""

    name: str
    example: Mapping[str, Any]
    """A good request; it is shown to whoever sends a wrong one, and no other keys (but `id`) are let through."""
    carry_out: Callable[[Mapping[str, Any], Tell], None]
    """Takes the request, a JSON object, and `tell`, which sends the reply and is to be called once, from any thread.
    It is called in the sending thread and must return at once, so anything slow needs a thread of its own.
    Raises `Refused` with one line for who asked; what comes too late for that is told as `{"ok": False, "detail": …}`.
    """


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
    """Checks requests and answers them; used by one thread, the one that sends."""

    def __init__(
        self,
        journal: Kept,
        commands: Sequence[Command] = (),
        *,
        later: Callable[[Letter], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`later` takes replies that come from another thread or at another time; it must not block."""
        self._journal = journal
        self._commands = {each.name: each for each in commands}
        self._later = later
        self._clock = clock
        self._allowance = float(BURST)
        self._refilled_s = clock()

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked for."""
        return ("resend", *self._commands)

    def answer(self, request: Request) -> Iterator[Letter]:
        """The letters that answer it at once. Reads the journal while it is consumed, which may raise `SinkDown`.
        Empty when too many requests came, or when the reply comes later."""
        if not self._allowed():
            return iter(())
        identifier = ""
        try:
            document = _parsed(request.payload, self._example(request.command))
            identifier = _identifier(document)
            _check_keys(document, self._example(request.command))
            if request.command == "resend":
                return self._resent(request, identifier, *_range(document))
            self._carry_out(request, identifier, document)
        except Refused as refusal:
            return iter([_reply(request, identifier, {"ok": False, "detail": str(refusal)})])
        return iter(())

    def _example(self, command: str) -> Mapping[str, Any]:
        return EXAMPLE if command == "resend" else self._commands[command].example

    def _carry_out(self, request: Request, identifier: str, document: Mapping[str, Any]) -> None:
        def tell(result: Mapping[str, Any]) -> None:
            self._later(_reply(request, identifier, {"ok": True, **result}))

        wanted = {key: value for key, value in document.items() if key != "id"}
        self._commands[request.command].carry_out(wanted, tell)

    def _allowed(self) -> bool:
        now_s = self._clock()
        self._allowance = min(float(BURST), self._allowance + (now_s - self._refilled_s) * PER_SECOND)
        self._refilled_s = now_s
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _resent(self, request: Request, identifier: str, first: int, last: int) -> Iterator[Letter]:
        """The verdicts asked for, then the reply."""
        missing: list[tuple[int, int]] = []
        sent = 0
        expected = first
        last = min(last, self._journal.last_sequence)
        for begin in range(first, last + 1, CHUNK):
            for record in self._journal.range(begin, min(last, begin + CHUNK - 1)):
                if record.sequence > expected:
                    missing.append((expected, record.sequence - 1))
                expected = record.sequence + 1
                sent += 1
                yield Letter(topic="verdict", payload=as_replayed(record.payload))
        if expected <= last:
            missing.append((expected, last))
        yield _reply(request, identifier, {"ok": True, "from": first, "to": last, "sent": sent, "missing": missing})


def _reply(request: Request, identifier: str, result: Mapping[str, Any]) -> Letter:
    document = {"command": request.command, "id": identifier, **result}
    return Letter(topic=f"reply/{request.command}", payload=encoded(document), correlation=request.correlation)


def _parsed(payload: bytes, example: Mapping[str, Any]) -> dict[str, Any]:
    if len(payload) > REQUEST_BYTES:
        raise Refused(f"the request is longer than {REQUEST_BYTES} bytes")
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        raise Refused(f"the request is not JSON; send {_shown(example)}") from None
    if not isinstance(document, dict):
        raise Refused(f"send {_shown(example)} and nothing else")
    return document


def _identifier(document: Mapping[str, Any]) -> str:
    identifier = document.get("id", "")
    if not isinstance(identifier, str) or len(identifier) > 64 or not identifier.isprintable():
        raise Refused("id: allowed is text of at most 64 printable characters")
    return identifier


def _check_keys(document: Mapping[str, Any], example: Mapping[str, Any]) -> None:
    if set(document) - {"id", *example}:
        raise Refused(f"send {_shown(example)} and nothing else")


def _shown(example: Mapping[str, Any]) -> str:
    return json.dumps({"id": "…", **example}, ensure_ascii=False)


def _range(document: Mapping[str, Any]) -> tuple[int, int]:
    """`(from, to)`; raises `Refused` with what is allowed."""
    first, last = document.get("from"), document.get("to")
    if type(first) is not int or type(last) is not int or not 1 <= first <= last:
        raise Refused("from, to: allowed are whole numbers with 1 <= from <= to")
    if last - first >= AT_ONCE:
        raise Refused(f"from, to: at most {AT_ONCE} verdicts at a time")
    return first, last
