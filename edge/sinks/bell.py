"""Wakes a thread that waits for the network."""

from __future__ import annotations

import socket
from contextlib import suppress


class Bell:
    """`ear` becomes readable when somebody rings, until it is hushed."""

    def __init__(self) -> None:
        self.ear, self._rope = socket.socketpair()
        self.ear.setblocking(False)
        self._rope.setblocking(False)

    def ring(self) -> None:
        """From any thread; never blocks."""
        with suppress(BlockingIOError):
            self._rope.send(b"!")

    def hush(self) -> None:
        """It was heard."""
        with suppress(BlockingIOError):
            self.ear.recv(4096)
