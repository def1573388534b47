"""Whether a daemon looks at this shelf, and what it said to a change."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edge.bundle import Shelf
from edge.bundle.shelf import is_held
from edge.changeover.history import History

PATIENCE_S = 10.0
TURN_S = 0.02


@contextmanager
def present(shelf: Shelf) -> Iterator[None]:
    """This process judges with what is live on the shelf."""
    try:
        handle = os.open(shelf.root / ".daemon", os.O_RDONLY | os.O_CREAT, 0o644)
    except OSError:
        yield  # a shelf that nobody can change needs no watching
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        shelf.entrust(shelf.root / ".daemon")
        yield
    finally:
        os.close(handle)


def is_watched(shelf: Shelf) -> bool:
    """Whether some process is present."""
    return is_held(shelf.root / ".daemon")


def answered(shelf: Shelf, slot: str, since_s: float) -> str | None:
    """What the daemon says to a change made after `since_s` (since 1970): `live`, or why not; None: none runs."""
    if not is_watched(shelf):
        return None
    history = History(shelf)
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        for each in history.events():
            if each["slot"] == slot and each["at"] >= since_s and each["event"] in ("judges", "refused"):
                return "live" if each["event"] == "judges" else str(each.get("why", "refused"))
        time.sleep(TURN_S)
    return f"the daemon has not taken it within {PATIENCE_S:.0f} s; see its log"
