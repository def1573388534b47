"""A few bytes beside the journal that keep its numbers unique even when the journal itself is destroyed."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from edge.domain import SinkDown

log = logging.getLogger(__name__)

BLOCK = 1000
"""Numbers are reserved in blocks, so that the file is written once per thousand verdicts."""

WIDTH = 19


class Ceiling:
    """Three numbers: no sequence above `reserved` was ever used, `base` was on disk when that was written down, and
    everything up to `acknowledged` had reached the broker by then.

    They have a fixed width and are overwritten in place within one disk sector, so that a power cut leaves the old
    or the new ones. Holding the file open also keeps a second process off the journal.
    Raises `SinkDown` when another process holds it, `OSError` when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.base, self.reserved, self.acknowledged = self._read()
        except BlockingIOError:
            os.close(self._file)
            raise SinkDown(f"{path}: another linegate uses this journal; stop it or set another journal.path") from None
        except OSError:
            os.close(self._file)
            raise

    def _read(self) -> tuple[int, int, int]:
        words = os.pread(self._file, 100, 0).split()
        if len(words) == 3 and all(word.isdigit() and len(word) == WIDTH for word in words):
            return int(words[0]), int(words[1]), int(words[2])
        if words:
            log.error("%s: is damaged and begun anew", self._path)
        return 0, 0, 0

    def cover(self, first: int, last: int, acknowledged: int) -> None:
        """Reserve `first` to `last` and some more, on disk before it returns; raises `OSError`."""
        if last > self.reserved:
            self._write(first - 1, max(last, first + BLOCK - 1), acknowledged)

    def pin(self, last: int, acknowledged: int) -> None:
        """Exactly `last` is the highest number in use, whatever the journal may say later; raises `OSError`.

        Overwrites bytes that are there, so it succeeds on a disk that is full.
        """
        if (last, last) != (self.base, self.reserved):
            self._write(last, last, acknowledged)

    def _write(self, *numbers: int) -> None:
        os.pwrite(self._file, b"%0*d %0*d %0*d\n" % tuple(each for n in numbers for each in (WIDTH, n)), 0)
        os.fsync(self._file)
        self.base, self.reserved, self.acknowledged = numbers

    def close(self) -> None:
        """Let others have the journal."""
        os.close(self._file)
