"""What may be asked of the shelf over MQTT: to flash a bundle from one place, and to go back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from queue import Empty, Full, Queue
from threading import Event
from typing import Any

from edge.bundle import Bundle, BundleError
from edge.changeover import Flasher
from edge.sinks.commands import Command, Refused, Tell

log = logging.getLogger(__name__)

JOBS = 4
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Remote:
    """Takes requests in the sending thread and carries them out in one of its own, `run`."""

    def __init__(self, flasher: Flasher, place: str, on_refused: Callable[[], None]) -> None:
        """`place`: the folder or address from which bundles may come; empty: nothing may be asked for."""
        self._flasher = flasher
        self._place = place
        self._on_refused = on_refused
        self._jobs: Queue[tuple[Callable[[], Bundle], Tell]] = Queue(JOBS)

    @property
    def commands(self) -> tuple[Command, ...]:
        """What may be asked for."""
        if not self._place:
            return ()
        return (
            Command(name="flash", example={"bundle": "casting-2.0.zip"}, carry_out=self._flash),
            Command(name="rollback", example={}, carry_out=self._roll_back),
        )

    def run(self, stopping: Event) -> None:
        """Carry out what was asked for, one after the other, as the body of a thread."""
        while not stopping.is_set():
            try:
                job, tell = self._jobs.get(timeout=0.2)
            except Empty:
                continue
            try:
                tell({"slot": job().slot})
            except (BundleError, OSError) as error:
                log.error("refused over MQTT: %s", error)
                self._on_refused()
                tell({"ok": False, "detail": str(error)})

    def _flash(self, request: Mapping[str, Any], tell: Tell) -> None:
        name = request.get("bundle")
        if not isinstance(name, str) or not PLAIN.fullmatch(name) or ".." in name:
            raise Refused("bundle: the name of a bundle below model.flash_from, without any folder")
        source = f"{self._place.rstrip('/')}/{name}"
        self._enqueue(lambda: self._flasher.flash(source, by="MQTT"), tell)

    def _roll_back(self, _request: Mapping[str, Any], tell: Tell) -> None:
        self._enqueue(lambda: self._flasher.rollback(by="MQTT"), tell)

    def _enqueue(self, job: Callable[[], Bundle], tell: Tell) -> None:
        try:
            self._jobs.put_nowait((job, tell))
        except Full:
            raise Refused("the station is busy with earlier requests; ask again later") from None
