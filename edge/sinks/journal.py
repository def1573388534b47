"""Verdicts on disk before anyone else sees them: SQLite in WAL mode, synced at every commit.

One connection behind one lock serves all threads. A second connection would spare the sender from waiting for the
writer's sync; but the sender hardly ever reads the disk, because what was just written is also kept in memory.
Acknowledgements are remembered in memory and written along with a later commit, which spares the SD card: after a
crash the last few seconds are sent twice, which a receiver must expect anyway.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from edge.domain import SinkDown
from edge.message import Record
from edge.sinks import journal_file as file
from edge.sinks import journal_queries as queries
from edge.sinks.ceiling import Ceiling
from edge.sinks.tail import Tail

log = logging.getLogger(__name__)

T = TypeVar("T")

MARK_EVERY_S = 5.0
"""How often the acknowledged sequence is written along with records: one more page each time."""

PRUNED_AT_ONCE = 500
ONE_STATEMENT = 30
LOCK_S = 2.0
"""How long one thread waits while another is at the disk: then the disk hangs."""


class Journal:
    """Every verdict once, in order of `sequence`.

    Promised: what `append` took is on disk when it returns and outlives a power cut (as far as the disk tells the
    truth about syncing); a sequence is never used twice, even when the file is destroyed; as long as the file can be
    read there is no gap. A damaged file is moved aside, at start or as soon as the damage shows, and what can be read
    of it and was not acknowledged is kept; after damage found at start, numbers go on above everything that may have
    been used, so that a gap shows the loss. `on_damage` is told, in any thread, in one line.
    Safe to use from several threads. Raises `SinkDown`, one line, when the file cannot be opened, read or written.
    """

    def __init__(
        self,
        path: Path,
        keep_days: float,
        keep_mb: float = 1000.0,
        *,
        wall_s: Callable[[], float] = time.time,
        on_damage: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._keep_s = keep_days * 86400
        self._keep_bytes = keep_mb * 1e6
        self._wall_s = wall_s
        self._on_damage = on_damage
        self._lock = threading.Lock()
        self._tail = Tail()
        self._tail_lock = threading.Lock()
        self._last = self._acknowledged = self._marked = 0
        self._marked_at_s = time.monotonic()
        self._rescued: list[queries.Row] | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._ceiling = Ceiling(path.with_name(path.name + ".mark"))
        except OSError as error:
            raise SinkDown(
                f"journal {path}: cannot be kept there ({error.strerror}); "
                "make its directory writable for this user or set another journal.path"
            ) from None
        try:
            with file.failures(self._path):
                self._open()
        except SinkDown:
            self._ceiling.close()
            raise

    def _open(self) -> None:
        is_new = not self._path.exists() or not self._path.stat().st_size
        self._database = sqlite3.connect(":memory:")
        try:
            self._database = file.connect(self._path)
            self._inode = file.inode(self._path)
            file.check(self._database, self._path)
            self._last, self._acknowledged = queries.marks(self._database)
            uncertain = is_new or self._last < self._ceiling.base
        except sqlite3.DatabaseError as error:
            if not file.is_damage(error):
                raise
            self._begin_afresh(error)
            uncertain = True
        if uncertain and self._last < self._ceiling.reserved:
            self._skip_to(self._ceiling.reserved)
        self._marked = self._acknowledged
        count = queries.count_after(self._database, self._acknowledged)
        self._skipped_until, self._skipped = self._last, self._last - self._acknowledged - count

    def _skip_to(self, reserved: int) -> None:
        self._tell(
            f"journal {self._path} holds numbers up to {self._last}, but others up to {reserved} may have been used: "
            "it goes on above them"
        )
        with file.transaction(self._database):
            queries.write_mark(self._database, "floor", reserved)
        self._last = reserved

    def _begin_afresh(self, error: sqlite3.Error) -> None:
        """Move the damaged file aside; begin a new one with what is unsent and still known."""
        open_rows, acknowledged = file.readable(self._database, max(self._acknowledged, self._ceiling.acknowledged))
        self._database.close()
        if self._last:
            self._ceiling.pin(self._last, acknowledged)
        aside = file.move_aside(self._path)
        rows, acknowledged = file.salvage(aside, acknowledged)
        kept_s = int(self._wall_s())
        with self._tail_lock:
            known = {record.sequence: (record.sequence, kept_s, record.payload) for record in self._tail.all()}
        known |= {row[0]: row for row in (*open_rows, *rows)}
        unconfirmed = self._last or max(known, default=0)  # the last commit, when `append` has not returned
        self._rescued = [known[sequence] for sequence in sorted(known) if acknowledged < sequence <= unconfirmed]
        self._acknowledged = acknowledged
        self._last = max(self._last, acknowledged, *(row[0] for row in self._rescued[-1:]))
        self._tell(
            f"journal {self._path} was damaged ({error}) and is now {aside.name}; "
            f"a fresh one begins with {len(self._rescued)} unsent records that are still known"
        )
        self._refill(self._rescued)

    def _refill(self, rescued: list[queries.Row]) -> None:
        """Put into the fresh file what belongs there; when the disk fails, the next use of the journal tries again."""
        self._database = file.connect(self._path)
        with file.transaction(self._database):
            queries.insert_many(self._database, rescued)
            queries.write_mark(self._database, "acknowledged", self._acknowledged)
            queries.write_mark(self._database, "floor", self._last)
        self._rescued, self._inode = None, file.inode(self._path)

    def _tell(self, text: str) -> None:
        log.error("%s", text)
        self._on_damage(text)

    @contextmanager
    def _locked(self, patience_s: float) -> Iterator[None]:
        """One at a time, but nobody waits for ever for somebody whose disk hangs; raises `SinkDown`."""
        if not self._lock.acquire(timeout=patience_s):
            raise SinkDown(f"journal {self._path}: its disk has not answered for {patience_s:g} s; check the disk")
        try:
            with file.failures(self._path):
                yield
        finally:
            self._lock.release()

    @contextmanager
    def _using(self, patience_s: float = LOCK_S) -> Iterator[None]:
        """What the disk or SQLite raises becomes one line."""
        with self._locked(patience_s):
            if self._rescued is not None:
                self._database.close()
                self._refill(self._rescued)
            yield

    def _healing(self, work: Callable[[], T]) -> T:
        """Do it, and once more with a fresh file when this one turns out to be damaged."""
        with self._using():
            try:
                return work()
            except sqlite3.DatabaseError as error:
                if not file.is_damage(error):
                    raise
                self._begin_afresh(error)
                return work()

    @property
    def last_sequence(self) -> int:
        """The highest sequence ever used; 0 at first."""
        return self._last

    @property
    def acknowledged(self) -> int:
        """Everything up to this sequence has reached the broker."""
        return self._acknowledged

    def append(self, records: Sequence[Record], amended: Callable[[], Sequence[Record]] | None = None) -> None:
        """Keep all of them in one synced commit, or none and raise `SinkDown`. They must follow `last_sequence`.

        `amended` is asked when they are on disk and before anyone can read them. When it gives other records than
        `records` itself, those are kept in their place.
        """
        if not records:
            return
        if [each.sequence for each in records] != list(range(self._last + 1, self._last + 1 + len(records))):
            raise ValueError(f"records must follow sequence {self._last} without a gap")
        self._healing(lambda: self._keep(records, amended))

    def announce(self, count: int) -> None:
        """So many verdicts wait for a disk that fails. Should they be lost, their numbers are not given to others.

        Never raises: this is all that can be done, and it needs no room on the disk.
        """
        try:
            with self._locked(LOCK_S):
                self._ceiling.pin(self._last + count, self._acknowledged)
        except SinkDown as error:
            log.debug("verdicts in memory would be lost without a gap: %s", error)

    def _keep(self, records: Sequence[Record], amended: Callable[[], Sequence[Record]] | None) -> None:
        self._write(records)
        if amended is not None and (final := amended()) is not records:
            self._write(final)
            records = final
        with self._tail_lock:
            self._tail.add(records)
            self._last = records[-1].sequence

    def _write(self, records: Sequence[Record]) -> None:
        acknowledged = self._acknowledged
        self._ceiling.cover(records[0].sequence, records[-1].sequence, acknowledged)
        marking = acknowledged != self._marked and time.monotonic() - self._marked_at_s >= MARK_EVERY_S
        kept_s = int(self._wall_s())
        rows = [(each.sequence, kept_s, each.payload) for each in records]
        if len(rows) <= ONE_STATEMENT and not marking:
            queries.insert(self._database, rows)
            return
        with file.transaction(self._database):
            queries.insert_many(self._database, rows)
            if marking:
                queries.write_mark(self._database, "acknowledged", acknowledged)
        if marking:
            self._marked, self._marked_at_s = acknowledged, time.monotonic()

    def pending(self, after: int, limit: int) -> list[Record]:
        """The next unacknowledged records above `after`, in order, at most `limit`."""
        return self.since(max(after, self._acknowledged), limit)

    def since(self, after: int, limit: int) -> list[Record]:
        """The next records above `after`, in order, at most `limit`, acknowledged or not."""
        with self._tail_lock:
            if after >= self._last:
                return []
            known = self._tail.after(after, limit)
            if known is not None:
                return known
        return self._healing(lambda: queries.after(self._database, after, limit))

    def range(self, first: int, last: int) -> list[Record]:
        """The records from `first` to `last`, both included, acknowledged or not, as far as they are still kept."""
        return self._healing(lambda: queries.between(self._database, first, last))

    def acknowledge(self, sequence: int) -> None:
        """Everything up to `sequence` has reached the broker. Costs no disk access; see `settle`."""
        with self._tail_lock:
            self._acknowledged = max(self._acknowledged, min(sequence, self._last))
            if self._acknowledged >= self._skipped_until:
                self._skipped = 0

    def settle(self) -> None:
        """Write down what was acknowledged, if that is not on disk yet, and see whether the file is still there."""
        self._healing(self._settle)

    def _settle(self) -> None:
        if file.inode(self._path) != self._inode:
            raise file.damage("somebody removed or replaced it")
        acknowledged = self._acknowledged
        if acknowledged != self._marked:
            with file.transaction(self._database):
                queries.write_mark(self._database, "acknowledged", acknowledged)
            self._marked, self._marked_at_s = acknowledged, time.monotonic()

    def backlog(self) -> tuple[int, float]:
        """How many records wait for the broker, and the age of the oldest in seconds. Never raises.

        While the disk cannot be read, the age is that of the oldest record in memory.
        """
        with self._tail_lock:
            after, waiting = self._acknowledged, self._last - self._acknowledged
            if waiting <= 0:
                return 0, 0.0
            at_least_s, is_known = self._tail.age_s(after + 1)
            if is_known:
                return waiting, at_least_s
            waiting -= self._skipped
        try:
            with self._using(0.2):
                kept_s = queries.kept_s_after(self._database, after)
        except SinkDown:
            return waiting, at_least_s
        return (max(1, waiting), max(at_least_s, self._wall_s() - kept_s)) if kept_s is not None else (0, 0.0)

    def prune(self, now_s: float) -> int:
        """Forget acknowledged records kept for longer than `keep_days`, or too many for `keep_mb`; how many.

        `now_s`: seconds since 1970. Goes from the oldest to the first that is young enough. Unacknowledged ones always
        stay, and so does the newest: it remembers the number. A few hundred at once; call it until there are none.
        """
        gone = self._remove(self._old_until(now_s))
        if not gone and self._is_too_big():
            gone = self._remove(min(self._acknowledged, self._last - 1))
        return gone

    def _is_too_big(self) -> bool:
        with self._using():
            return queries.used_bytes(self._database) > self._keep_bytes

    @property
    def free_bytes(self) -> int:
        """Room on the journal's disk for an ordinary user; raises `SinkDown`."""
        with file.failures(self._path):
            room = os.statvfs(self._path.parent)
        return room.f_bavail * room.f_frsize

    def _old_until(self, now_s: float) -> int:
        with self._using():
            youngest = queries.first_since(self._database, now_s - self._keep_s)
        return min(self._acknowledged, self._last - 1, youngest - 1 if youngest else self._last)

    def _remove(self, until: int) -> int:
        """A few at a time, so that a verdict never waits long for the lock."""
        with self._using(), file.transaction(self._database):
            return queries.remove(self._database, until, PRUNED_AT_ONCE)

    def close(self) -> None:
        """Write down what was acknowledged and let go of the file. A disk that fails now is only logged."""
        try:
            self.settle()
            with self._locked(LOCK_S):
                self._database.close()
                self._ceiling.close()
        except SinkDown as error:
            log.error("%s", error)
