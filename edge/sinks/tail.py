"""The newest records of the journal, in memory: what was just written is sent without reading the disk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from itertools import islice

from edge.message import Record

KEPT = 1024
"""About 1 MB."""


class Tail:
    """Records of consecutive sequences, the oldest forgotten first. Not safe against threads by itself."""

    def __init__(self) -> None:
        self._records: deque[tuple[Record, float]] = deque(maxlen=KEPT)

    def add(self, records: Sequence[Record]) -> None:
        """They follow those that are here."""
        now_s = time.monotonic()
        self._records.extend((record, now_s) for record in records)

    def after(self, sequence: int, limit: int) -> list[Record] | None:
        """Those above `sequence`, None when not all of them are here."""
        place = self._place(sequence + 1)
        return None if place is None else [record for record, _ in islice(self._records, place, place + limit)]

    def age_s(self, sequence: int) -> tuple[float, bool]:
        """How long ago `sequence` was written, and whether that is known; else the age of the oldest that is here."""
        place = self._place(sequence)
        at_s = self._records[place or 0][1] if self._records else time.monotonic()
        return time.monotonic() - at_s, place is not None

    def all(self) -> list[Record]:
        """In order."""
        return [record for record, _ in self._records]

    def _place(self, sequence: int) -> int | None:
        """There is no gap, so the place follows from the first of them."""
        if not self._records or sequence < self._records[0][0].sequence:
            return None
        return sequence - self._records[0][0].sequence
