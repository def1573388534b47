"""Every verdict is on disk before anyone else sees it: the hand-over from the inspecting thread to the world."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Protocol

from edge.domain import SinkDown, Verdict
from edge.message import Record

log = logging.getLogger(__name__)

WAITING_LIMIT = 10_000
"""Verdicts that may wait in memory for a journal that cannot write; some minutes of a fast line."""
RETRY_S = 1.0
"""How often a journal that cannot write is tried again."""


class Recorder(Protocol):
    """Where records are kept for good: the journal."""

    @property
    def last_sequence(self) -> int:
        """The highest sequence that was ever written; 0 at first."""

    def append(self, records: Sequence[Record]) -> None:
        """Keep all of them, or none and raise `SinkDown`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A verdict with the two clocks read when it fell, and what was known of its part's way to the reject gate."""

    verdict: Verdict
    steady_s: float
    wall_s: float
    eject_s: float | None = None
    """On the steady clock."""
    late: bool = False


class Delivery:
    """Numbers verdicts without a gap and commits them in groups; then, and only then, tells others."""

    def __init__(
        self,
        journal: Recorder,
        encode: Callable[[Decided, int], Record],
        *,
        on_committed: Callable[[Decided, Record], None],
        on_journal: Callable[[bool], None],
    ) -> None:
        self._journal = journal
        self._encode = encode
        self._on_committed = on_committed
        self._on_journal = on_journal
        self._waiting: queue.Queue[Decided | None] = queue.Queue(WAITING_LIMIT)
        self.aborted = Event()

    def give(self, decided: Decided) -> None:
        """Hand over a verdict; raises `SinkDown` when the journal has been failing for so long that memory is full."""
        try:
            self._waiting.put_nowait(decided)
        except queue.Full:
            raise SinkDown(
                f"{WAITING_LIMIT} verdicts wait for the journal; free its disk or move journal.path"
            ) from None

    def close(self) -> None:
        """Nothing more will be given."""
        self._waiting.put(None)

    def run(self) -> None:
        """Commit until closed and empty."""
        for group in self._groups():
            first = self._journal.last_sequence + 1
            records = [self._encode(decided, first + place) for place, decided in enumerate(group)]
            self._commit(records)
            for decided, record in zip(group, records, strict=True):
                self._on_committed(decided, record)

    def _groups(self) -> Iterator[list[Decided]]:
        """Whatever has piled up since the last commit shares the next one."""
        ended = False
        while not ended:
            group = []
            item = self._waiting.get()
            while item is not None:
                group.append(item)
                if self._waiting.empty():
                    break
                item = self._waiting.get()
            ended = item is None
            if group:
                yield group

    def _commit(self, records: list[Record]) -> None:
        failing = False
        while True:
            try:
                self._journal.append(records)
            except SinkDown as error:
                if not failing:
                    log.error("the journal cannot write: %s; verdicts wait in memory", error)
                    self._on_journal(False)
                failing = True
                if self.aborted.wait(RETRY_S):
                    raise
            else:
                if failing:
                    log.warning("the journal writes again")
                    self._on_journal(True)
                return
