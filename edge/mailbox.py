"""A bounded hand-over between two threads that never blocks the giver."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Holds the newest `capacity` items; a newer one pushes out the oldest.

    Closing lets the taker finish what is inside and then end, so that a stop drains like the end of input.
    """

    def __init__(self, capacity: int) -> None:
        self._items: deque[T] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, item: T) -> bool:
        """Leave an item; False when the oldest was pushed out for it."""
        with self._changed:
            had_room = len(self._items) < (self._items.maxlen or 0)
            self._items.append(item)
            self._changed.notify()
            return had_room

    def wait_for_room(self, timeout_s: float) -> bool:
        """For a giver that can wait: True as soon as the next `put` pushes nothing out, False when time is up."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._items) < (self._items.maxlen or 0), timeout_s)

    def take(self, timeout_s: float | None = None) -> T | None:
        """Wait for an item; None when time is up, or when the box is closed and empty (`ended`)."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            self._changed.notify_all()
            return self._items.popleft() if self._items else None

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Closed, and everything taken."""
        with self._changed:
            return self._closed and not self._items
