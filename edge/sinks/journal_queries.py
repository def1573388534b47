"""The questions that the journal asks its SQLite file."""

from __future__ import annotations

import sqlite3

from edge.message import Record

Row = tuple[int, int, bytes]
"""`(sequence, kept_s, payload)`; `kept_s` is the wall clock at the commit, seconds since 1970."""


def marks(database: sqlite3.Connection) -> tuple[int, int]:
    """The last sequence in use and the last acknowledged one."""
    values = dict(database.execute("SELECT name, value FROM mark"))
    top = database.execute("SELECT max(sequence) FROM verdict").fetchone()[0] or 0
    return max(top, values.get("floor", 0)), values.get("acknowledged", 0)


def insert(database: sqlite3.Connection, rows: list[Row]) -> None:
    """Insert a few rows, or put them in place of those of the same sequence, and commit, in one call.

    Each call gives up the interpreter and must wait for it afterwards, up to 5 ms beside a busy thread; BEGIN, INSERT
    and COMMIT would be three.
    """
    values = ", ".join(["(?, ?, ?)"] * len(rows))
    database.execute(f"INSERT OR REPLACE INTO verdict VALUES {values}", [each for row in rows for each in row])


def insert_many(database: sqlite3.Connection, rows: list[Row]) -> None:
    """Insert any number of rows; belongs in a transaction."""
    database.executemany("INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)", rows)


def after(database: sqlite3.Connection, sequence: int, limit: int) -> list[Record]:
    """Those above `sequence`, in order."""
    query = "SELECT sequence, payload FROM verdict WHERE sequence > ? ORDER BY 1 LIMIT ?"
    return [Record(sequence=each, payload=payload) for each, payload in database.execute(query, (sequence, limit))]


def between(database: sqlite3.Connection, first: int, last: int) -> list[Record]:
    """Both included, in order."""
    query = "SELECT sequence, payload FROM verdict WHERE sequence BETWEEN ? AND ? ORDER BY 1"
    return [Record(sequence=each, payload=payload) for each, payload in database.execute(query, (first, last))]


def count_after(database: sqlite3.Connection, sequence: int) -> int:
    """How many there are above `sequence`."""
    return int(database.execute("SELECT count(*) FROM verdict WHERE sequence > ?", (sequence,)).fetchone()[0])


def kept_s_after(database: sqlite3.Connection, sequence: int) -> int | None:
    """When the first above `sequence` was kept; None when there is none."""
    query = "SELECT kept_s FROM verdict WHERE sequence > ? ORDER BY sequence LIMIT 1"
    row = database.execute(query, (sequence,)).fetchone()
    return None if row is None else int(row[0])


def first_since(database: sqlite3.Connection, at_s: float) -> int | None:
    """The lowest sequence that was kept at `at_s` or later."""
    query = "SELECT sequence FROM verdict WHERE kept_s >= ? ORDER BY sequence LIMIT 1"
    row = database.execute(query, (at_s,)).fetchone()
    return None if row is None else int(row[0])


def remove(database: sqlite3.Connection, until: int, limit: int) -> int:
    """Forget the oldest `limit` of those up to `until`; how many. Belongs in a transaction."""
    old = "SELECT sequence FROM verdict WHERE sequence <= ? ORDER BY sequence LIMIT ?"
    return database.execute(f"DELETE FROM verdict WHERE sequence IN ({old})", (until, limit)).rowcount


def used_bytes(database: sqlite3.Connection) -> int:
    """What the records take; the file itself keeps the room of removed ones and uses it again."""
    names = ("page_count", "freelist_count", "page_size")
    total, free, page_bytes = (int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in names)
    return (total - free) * page_bytes


def write_mark(database: sqlite3.Connection, name: str, value: int) -> None:
    """Remember a number; belongs in a transaction."""
    database.execute("INSERT OR REPLACE INTO mark VALUES (?, ?)", (name, value))
