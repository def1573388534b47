"""Verdicts on disk before anyone else sees them: SQLite in WAL mode, synced at every commit.

One connection behind one lock serves all threads. A second connection would spare the sender from waiting for the
writer's sync; but the sender hardly ever reads the disk, because what was just written is also kept in memory.
Acknowledgements are remembered in memory and written along with a later commit, which spares the SD card: after a
crash the last few seconds are sent twice, which a receiver must expect anyway.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from edge.domain import SinkDown
from edge.message import Record
from edge.sinks import journal_file as file
from edge.sinks.ceiling import Ceiling

log = logging.getLogger(__name__)

TAIL = 1024
"""Records kept in memory after they were written; about 1 MB."""

MARK_EVERY_S = 5.0
"""How often the acknowledged sequence is written along with records: one more page each time."""

PRUNED_AT_ONCE = 500
ONE_STATEMENT = 30


class Journal:
    """Every verdict once, in order of `sequence`.

    Promised: what `append` took is on disk when it returns and outlives a power cut (as far as the disk tells the
    truth about syncing); a sequence is never used twice, even when the file is destroyed; as long as the file can be
    read there is no gap. A damaged file is moved aside, and what can be read of it and was not acknowledged is kept;
    after damage found at start, numbers go on above everything that may have been used, so that a gap shows the loss.
    Safe to use from several threads. Raises `SinkDown`, one line, when the file cannot be opened, read or written.
    """

    def __init__(
        self, path: Path, keep_days: float, keep_mb: float = 1000.0, *, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._keep_s = keep_days * 86400
        self._keep_bytes = keep_mb * 1e6
        self._wall_s = wall_s
        self._lock = threading.Lock()
        self._tail: deque[tuple[Record, float]] = deque(maxlen=TAIL)
        self._tail_lock = threading.Lock()
        self._last = self._acknowledged = self._marked = 0
        self._marked_at_s = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._ceiling = Ceiling(path.with_name(path.name + ".mark"))
        except OSError as error:
            raise SinkDown(
                f"journal {path}: cannot be kept there ({error.strerror}); "
                "make its directory writable for this user or set another journal.path"
            ) from None
        try:
            with self._failures():
                self._open()
        except SinkDown:
            self._ceiling.close()
            raise

    def _open(self) -> None:
        try:
            self._database = file.connect(self._path)
            file.check(self._database, self._path)
            self._last, self._acknowledged = file.marks(self._database)
            uncertain = self._last < self._ceiling.base
        except sqlite3.DatabaseError as error:
            if not file.is_damage(error):
                raise
            self._begin_afresh(error)
            uncertain = True
        if uncertain and self._last < self._ceiling.reserved:
            self._skip_to(self._ceiling.reserved)
        self._marked = self._acknowledged
        waiting = "SELECT count(*) FROM verdict WHERE sequence > ?"
        count = int(self._database.execute(waiting, (self._acknowledged,)).fetchone()[0])
        self._skipped_until, self._skipped = self._last, self._last - self._acknowledged - count

    def _skip_to(self, reserved: int) -> None:
        log.error(
            "journal %s holds numbers up to %d, but others up to %d may have been used: it goes on above them",
            self._path, self._last, reserved,
        )  # fmt: skip
        with file.transaction(self._database):
            file.write_mark(self._database, "floor", reserved)
        self._last = reserved

    def _begin_afresh(self, error: sqlite3.Error) -> None:
        """Move the damaged file aside; begin a new one with what is unsent and still known."""
        if hasattr(self, "_database"):
            self._database.close()
        aside = file.move_aside(self._path)
        rows, acknowledged = file.salvage(aside, max(self._acknowledged, self._ceiling.acknowledged))
        kept_s = int(self._wall_s())
        known = {record.sequence: (record.sequence, kept_s, record.payload) for record, _ in self._tail}
        known |= {row[0]: row for row in rows}
        unsent = [known[sequence] for sequence in sorted(known) if sequence > acknowledged]
        self._database = file.connect(self._path)
        with file.transaction(self._database):
            self._database.executemany("INSERT INTO verdict VALUES (?, ?, ?)", unsent)
            file.write_mark(self._database, "acknowledged", acknowledged)
        self._acknowledged = acknowledged
        self._last = max(self._last, acknowledged, *(row[0] for row in unsent[-1:]))
        log.error(
            "journal %s was damaged (%s) and is now %s; a fresh one begins with %d unsent records that are still known",
            self._path, error, aside.name, len(unsent),
        )  # fmt: skip

    @property
    def last_sequence(self) -> int:
        """The highest sequence ever used; 0 at first."""
        return self._last

    @property
    def acknowledged(self) -> int:
        """Everything up to this sequence has reached the broker."""
        return self._acknowledged

    def append(self, records: Sequence[Record]) -> None:
        """Keep all of them in one synced commit, or none and raise `SinkDown`. They must follow `last_sequence`."""
        if not records:
            return
        if [each.sequence for each in records] != list(range(self._last + 1, self._last + 1 + len(records))):
            raise ValueError(f"records must follow sequence {self._last} without a gap")
        with self._lock, self._failures():
            self._ceiling.cover(records[0].sequence, records[-1].sequence, self._acknowledged)
            try:
                self._write(records)
            except sqlite3.DatabaseError as error:
                if not file.is_damage(error):
                    raise
                self._begin_afresh(error)
                self._write(records)
        with self._tail_lock:
            now_s = time.monotonic()
            self._tail.extend((record, now_s) for record in records)
            self._last = records[-1].sequence

    def _write(self, records: Sequence[Record]) -> None:
        acknowledged = self._acknowledged
        marking = acknowledged != self._marked and time.monotonic() - self._marked_at_s >= MARK_EVERY_S
        kept_s = int(self._wall_s())
        rows = [(each.sequence, kept_s, each.payload) for each in records]
        if len(rows) <= ONE_STATEMENT and not marking:
            file.insert(self._database, rows)
            return
        with file.transaction(self._database):
            self._database.executemany("INSERT INTO verdict VALUES (?, ?, ?)", rows)
            if marking:
                file.write_mark(self._database, "acknowledged", acknowledged)
        if marking:
            self._marked, self._marked_at_s = acknowledged, time.monotonic()

    def pending(self, after: int, limit: int) -> list[Record]:
        """The next unacknowledged records above `after`, in order, at most `limit`."""
        with self._tail_lock:
            after = max(after, self._acknowledged)
            if after >= self._last:
                return []
            place = self._place_in_tail(after + 1)
            if place is not None:
                return [record for record, _ in islice(self._tail, place, place + limit)]
        return self._records(
            "SELECT sequence, payload FROM verdict WHERE sequence > ? ORDER BY 1 LIMIT ?", after, limit
        )

    def range(self, first: int, last: int) -> list[Record]:
        """The records from `first` to `last`, both included, acknowledged or not, as far as they are still kept."""
        return self._records(
            "SELECT sequence, payload FROM verdict WHERE sequence BETWEEN ? AND ? ORDER BY 1", first, last
        )

    def _records(self, query: str, *values: int) -> list[Record]:
        with self._lock, self._failures():
            rows = self._database.execute(query, values).fetchall()
        return [Record(sequence=sequence, payload=payload) for sequence, payload in rows]

    def _place_in_tail(self, sequence: int) -> int | None:
        """Sequences in memory have no gap, so the place follows from the first of them."""
        if not self._tail or sequence < self._tail[0][0].sequence:
            return None
        return sequence - self._tail[0][0].sequence

    def acknowledge(self, sequence: int) -> None:
        """Everything up to `sequence` has reached the broker. Costs no disk access; see `settle`."""
        with self._tail_lock:
            self._acknowledged = max(self._acknowledged, min(sequence, self._last))
            if self._acknowledged >= self._skipped_until:
                self._skipped = 0

    def settle(self) -> None:
        """Write down what was acknowledged, if that is not on disk yet."""
        with self._lock, self._failures():
            acknowledged = self._acknowledged
            if acknowledged != self._marked:
                with file.transaction(self._database):
                    file.write_mark(self._database, "acknowledged", acknowledged)
                self._marked, self._marked_at_s = acknowledged, time.monotonic()

    def backlog(self) -> tuple[int, float]:
        """How many records wait for the broker, and the age of the oldest in seconds. Never raises.

        While the disk cannot be read, the age is that of the oldest record in memory.
        """
        with self._tail_lock:
            after, waiting = self._acknowledged, self._last - self._acknowledged
            if waiting <= 0:
                return 0, 0.0
            place = self._place_in_tail(after + 1)
            at_least_s = time.monotonic() - self._tail[place or 0][1] if self._tail else 0.0
            if place is not None:
                return waiting, at_least_s
            waiting -= self._skipped
        oldest = "SELECT kept_s FROM verdict WHERE sequence > ? ORDER BY sequence LIMIT 1"
        try:
            with self._lock, self._failures():
                row = self._database.execute(oldest, (after,)).fetchone()
        except SinkDown:
            return waiting, at_least_s
        return (max(1, waiting), max(at_least_s, self._wall_s() - row[0])) if row else (0, 0.0)

    def prune(self, now_s: float) -> int:
        """Forget acknowledged records kept for longer than `keep_days`, or too many for `keep_mb`; how many.

        `now_s`: seconds since 1970. Goes from the oldest to the first that is young enough. Unacknowledged ones always
        stay, and so does the newest: it remembers the number. A disk that fails is logged; the next call tries again.
        """
        removed = 0
        try:
            self.settle()
            until = self._old_until(now_s)
            while (gone := self._remove(until)) > 0:
                removed += gone
            until = min(self._acknowledged, self._last - 1)
            while self._is_too_big() and (gone := self._remove(until)) > 0:
                removed += gone
        except SinkDown as error:
            log.error("old verdicts cannot be removed: %s", error)
        return removed

    def _is_too_big(self) -> bool:
        with self._lock, self._failures():
            return file.used_bytes(self._database) > self._keep_bytes

    def _old_until(self, now_s: float) -> int:
        young = "SELECT sequence FROM verdict WHERE kept_s >= ? ORDER BY sequence LIMIT 1"
        with self._lock, self._failures():
            row = self._database.execute(young, (now_s - self._keep_s,)).fetchone()
        return min(self._acknowledged, self._last - 1, row[0] - 1 if row else self._last)

    def _remove(self, until: int) -> int:
        """A few at a time, so that a verdict never waits long for the lock."""
        old = "SELECT sequence FROM verdict WHERE sequence <= ? ORDER BY sequence LIMIT ?"
        with self._lock, self._failures(), file.transaction(self._database):
            query = f"DELETE FROM verdict WHERE sequence IN ({old})"
            return self._database.execute(query, (until, PRUNED_AT_ONCE)).rowcount

    def close(self) -> None:
        """Write down what was acknowledged and let go of the file. A disk that fails now is only logged."""
        try:
            self.settle()
        except SinkDown as error:
            log.error("%s", error)
        with self._lock:
            self._database.close()
            self._ceiling.close()

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Whatever the disk or SQLite raises becomes one line that says what, where and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            raise SinkDown(f"journal {self._path}: {error}; {file.ADVICE.get(code, 'check the disk')}") from None
        except OSError as error:
            raise SinkDown(f"journal {self._path}: {error.strerror}; check its disk and the space on it") from None
