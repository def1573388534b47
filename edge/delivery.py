"""Every verdict is on disk before anyone else sees it: the hand-over from the inspecting thread to the world."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
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
PATIENCE_S = 2.0
"""A commit that takes longer counts as failed: nobody can say whether the disk will ever answer. SD cards that tidy
themselves up pause for some tenths of a second."""
IDLE_S = 10.0
"""So often `on_idle` is called while no verdict waits."""
UNKEPT = "the journal could not write"


class Recorder(Protocol):
    """Where records are kept for good: the journal."""

    @property
    def last_sequence(self) -> int:
        """The highest sequence that was ever written; 0 at first."""

    def append(self, records: Sequence[Record], amended: Callable[[], Sequence[Record]]) -> None:
        """Keep all of them, or none and raise `SinkDown`.

        `amended` is asked when they are on disk and nobody has read them; what it gives is kept, in their place when it
        is something else.
        """

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


@dataclass(slots=True)
class Allowance:
    """How many commits may be made now: as many at once as in a second for ever.

    Each commit writes whole pages, whatever it holds; verdicts that fall faster share them, which bounds what a line
    can write to an SD card.
    """

    per_s: float
    _left: float = field(init=False)
    _at_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._left = self._most

    @property
    def _most(self) -> float:
        return max(1.0, self.per_s)

    def wait_s(self) -> float:
        """Seconds until the next may be made."""
        now_s = time.monotonic()
        self._left = min(self._most, self._left + (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        return max(0.0, (1 - self._left) / self.per_s)

    def spend(self) -> None:
        """One is made."""
        self._left -= 1


class Delivery:
    """Numbers verdicts without a gap and commits them in groups; then, and only then, tells others.

    While the journal cannot write, or does not answer, verdicts wait in memory and all of them become REVIEW, also
    those that fell just before it was noticed. `on_given` is told what each verdict is, at once, and again when a PASS
    becomes REVIEW afterwards; it must not block. `on_journal` is told what the trouble is and, with an empty text, that
    it is over. `on_idle` is called now and then by `run` while no verdict waits, for what else is to be written; it may
    raise `SinkDown`.
    """

    def __init__(
        self,
        journal: Recorder,
        encode: Callable[[Decided, int], Record],
        *,
        on_committed: Callable[[Decided, Record], None],
        on_journal: Callable[[str], None],
        on_given: Callable[[Verdict], None] = lambda _: None,
        on_idle: Callable[[], None] = lambda: None,
        commits_per_s: float = 50.0,
    ) -> None:
        self._journal = journal
        self._encode = encode
        self._on_committed = on_committed
        self._on_journal = on_journal
        self._on_given = on_given
        self._on_idle = on_idle
        self._changed = Condition()
        self._waiting: deque[Decided] = deque()
        self._failing = self._closed = False
        self._began_s: float | None = None
        self._idle_at_s = time.monotonic() + IDLE_S
        self._commits = Allowance(commits_per_s)
        self.aborted = Event()

    def give(self, decided: Decided) -> Verdict:
        """Hand over a verdict; what it has become, REVIEW while the journal cannot write.

        Raises `SinkDown` when the journal has been failing for so long that memory is full.
        """
        self.mind()
        with self._changed:
            if len(self._waiting) >= WAITING_LIMIT:
                raise SinkDown(f"{WAITING_LIMIT} verdicts wait for the journal; free its disk or move journal.path")
            if self._failing:
                decided = replace(decided, verdict=unkept(decided.verdict))
            self._waiting.append(decided)
            self._on_given(decided.verdict)
            self._changed.notify()
        return decided.verdict

    def mind(self) -> None:
        """Notice a disk that does not answer; to be called now and then from any thread but that of `run`."""
        began_s = self._began_s
        if began_s is not None and time.monotonic() - began_s > PATIENCE_S and not self._failing:
            self._doubt(f"the journal's disk has not answered for {PATIENCE_S:g} s; check the disk", began_s)

    def close(self) -> None:
        """Nothing more will be given."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def run(self) -> None:
        """Commit until closed and empty. Raises `SinkDown` when `aborted` is set while the journal cannot write."""
        while (group := self._next_group()) is not None:
            try:
                self._commit(group) if group else self._idle()
            except SinkDown as error:
                self._doubt(str(error))
                self._journal.announce(len(self._waiting))
                if self.aborted.wait(RETRY_S):
                    raise

    def _next_group(self) -> list[Decided] | None:
        """Whatever has piled up since the last commit shares the next one; it waits until that has succeeded.

        Empty when nothing waits and it is time for `on_idle`; None at the end.
        """
        with self._changed:
            self._changed.wait_for(self._due, max(0.0, self._idle_at_s - time.monotonic()))
            if self._waiting and not self._failing and (wait_s := self._commits.wait_s()):
                self._changed.wait_for(lambda: self._closed, wait_s)
            if self._closed and not self._waiting:
                return None
            return list(islice(self._waiting, COMMITTED_AT_ONCE))

    def _due(self) -> bool:
        return bool(self._waiting) or self._closed

    def _commit(self, group: list[Decided]) -> None:
        self._commits.spend()
        first = self._journal.last_sequence + 1
        records = self._encoded(group, first)

        def amended() -> Sequence[Record]:
            """The disk has answered. What was given up in the meantime is review, here too."""
            nonlocal group, records
            answered = self._answered(len(group))
            if any(was is not now for was, now in zip(group, answered, strict=True)):
                group, records = answered, self._encoded(answered, first)
            return records

        self._began_s = time.monotonic()
        try:
            self._journal.append(records, amended)
        finally:
            self._began_s = None
        self._succeeded(len(group))
        for decided, record in zip(group, records, strict=True):
            self._on_committed(decided, record)

    def _encoded(self, group: Sequence[Decided], first: int) -> list[Record]:
        return [self._encode(decided, first + place) for place, decided in enumerate(group)]

    def _answered(self, count: int) -> list[Decided]:
        """From here on nobody gives these up."""
        with self._changed:
            self._began_s = None
            return list(islice(self._waiting, count))

    def _idle(self) -> None:
        self._idle_at_s = time.monotonic() + IDLE_S
        self._began_s = time.monotonic()
        try:
            self._on_idle()
        finally:
            self._began_s = None
        self._succeeded(0)

    def _doubt(self, trouble: str, began_s: float | None = None) -> None:
        """From now on nothing passes. `began_s`: only if the work that began then is still not done."""
        with self._changed:
            is_new = not self._failing and (began_s is None or began_s == self._began_s)
            if not is_new:
                return
            self._failing = True
            before = self._waiting
            self._waiting = deque(replace(each, verdict=unkept(each.verdict)) for each in before)
            for was, now in zip(before, self._waiting, strict=True):
                if was.verdict.decision is Decision.PASS:
                    self._on_given(now.verdict)
        log.error("the journal cannot write: %s; verdicts wait in memory and become review", trouble)
        self._on_journal(trouble)

    def _succeeded(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._waiting.popleft()
            was_failing, self._failing = self._failing, False
        if was_failing:
            log.warning("the journal writes again")
            self._on_journal("")
