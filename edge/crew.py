"""Threads that fail together: the first failure stops all, and a stop names whoever does not come home."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Which thread failed, and with what."""

    thread: str
    error: BaseException


class Crew:
    """A list of named threads and one `stopping` event that all of them watch."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.failure: Failure | None = None
        self._threads: list[threading.Thread] = []
        self._first = threading.Lock()

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run `work` in a thread of its own until it returns; whatever it raises stops the whole crew."""
        thread = threading.Thread(target=self._guarded, args=(name, work), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            with self._first:
                if self.failure is None:
                    self.failure = Failure(thread=name, error=error)
            log.debug("thread %s failed", name, exc_info=error)
            self.stopping.set()

    def join(self, deadline_s: float) -> list[str]:
        """Wait for all threads until `deadline_s` seconds from now; the names of those still running."""
        until = time.monotonic() + deadline_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]
