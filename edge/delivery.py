"""Every verdict is on disk before anyone else sees it: the hand-over from the inspecting thread to the world."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Condition, Event
from typing import Protocol

from edge.domain import Decision, SinkDown, Verdict
from edge.message import Record

log = logging.getLogger(__name__)

WAITING_LIMIT = 10_000
"""Verdicts that may wait in memory for a journal that cannot write; some minutes of a fast line."""
COMMITTED_AT_ONCE = 500
RETRY_S = 1.0
"""How often a journal that cannot write is tried again."""
UNKEPT = "the journal could not write"


class Recorder(Protocol):
    """Where records are kept for good: the journal."""

    @property
    def last_sequence(self) -> int:
        """The highest sequence that was ever written; 0 at first."""

    def append(self, records: Sequence[Record]) -> None:
        """Keep all of them, or none and raise `SinkDown`."""

    def announce(self, count: int) -> None:
        """So many verdicts exist only in memory; should they be lost, their numbers are not given to others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A verdict with the two clocks read when it fell, and what was known of its part's way to the reject gate."""

    verdict: Verdict
    steady_s: float
    wall_s: float
    eject_s: float | None = None
    """On the steady clock."""
    late: bool = False


def unkept(verdict: Verdict) -> Verdict:
    """What becomes of a verdict that cannot be written down: REVIEW, because nobody could later show it."""
    said = verdict.reason or f"the model said {verdict.decision.value}"
    return replace(verdict, decision=Decision.REVIEW, reason=f"{UNKEPT}; {said}")


class Delivery:
    """Numbers verdicts without a gap and commits them in groups; then, and only then, tells others.

    While the journal cannot write, verdicts wait in memory and all of them become REVIEW, also those that fell just
    before it was noticed. `on_unkept` is told of each of the latter that was a PASS, `on_journal` what the trouble is
    and, with an empty text, that it is over; both in the thread of `run`.
    """

    def __init__(
        self,
        journal: Recorder,
        encode: Callable[[Decided, int], Record],
        *,
        on_committed: Callable[[Decided, Record], None],
        on_journal: Callable[[str], None],
        on_unkept: Callable[[Verdict], None] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._encode = encode
        self._on_committed = on_committed
        self._on_journal = on_journal
        self._on_unkept = on_unkept
        self._changed = Condition()
        self._waiting: deque[Decided] = deque()
        self._failing = self._closed = False
        self.aborted = Event()

    def give(self, decided: Decided) -> Verdict:
        """Hand over a verdict; what it has become, REVIEW while the journal cannot write.

        Raises `SinkDown` when the journal has been failing for so long that memory is full.
        """
        with self._changed:
            if len(self._waiting) >= WAITING_LIMIT:
                raise SinkDown(f"{WAITING_LIMIT} verdicts wait for the journal; free its disk or move journal.path")
            if self._failing:
                decided = replace(decided, verdict=unkept(decided.verdict))
            self._waiting.append(decided)
            self._changed.notify()
        return decided.verdict

    def close(self) -> None:
        """Nothing more will be given."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """Commit until closed and empty. Raises `SinkDown` when `aborted` is set while the journal cannot write."""
        while group := self._next_group():
            first = self._journal.last_sequence + 1
            records = [self._encode(decided, first + place) for place, decided in enumerate(group)]
            try:
                self._journal.append(records)
            except SinkDown as error:
                self._failed(error)
                if self.aborted.wait(RETRY_S):
                    raise
                continue
            self._succeeded(len(group))
            for decided, record in zip(group, records, strict=True):
                self._on_committed(decided, record)

    def _next_group(self) -> list[Decided]:
        """Whatever has piled up since the last commit shares the next one; it waits until that has succeeded."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return list(islice(self._waiting, COMMITTED_AT_ONCE))

    def _failed(self, error: SinkDown) -> None:
        with self._changed:
            is_new, self._failing = not self._failing, True
            passed = []
            if is_new:
                passed = [each.verdict for each in self._waiting if each.verdict.decision is Decision.PASS]
                self._waiting = deque(replace(each, verdict=unkept(each.verdict)) for each in self._waiting)
            count = len(self._waiting)
        if is_new:
            log.error("the journal cannot write: %s; verdicts wait in memory and become review", error)
            self._on_journal(str(error))
        for verdict in passed:
            self._on_unkept(unkept(verdict))
        self._journal.announce(count)

    def _succeeded(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._waiting.popleft()
            was_failing, self._failing = self._failing, False
        if was_failing:
            log.warning("the journal writes again")
            self._on_journal("")
