"""Keeps frames coming: opens the source, and opens it again when the world takes it away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from threading import Event

from edge.domain import Frame, Source, SourceLost
from edge.mailbox import Mailbox

log = logging.getLogger(__name__)

BACK_OFF_S = (0.5, 1.0, 2.0, 5.0)


class Capture:
    """The first thread's work. Frames that nobody has time for are dropped, oldest first, and counted."""

    def __init__(
        self,
        open_source: Callable[[], Source],
        mailbox: Mailbox[Frame],
        *,
        on_up: Callable[[bool], None],
        on_frame: Callable[[Frame], None],
        on_drop: Callable[[str, int], None],
        patient: bool = False,
    ) -> None:
        """`patient`: the source can wait (a clip, a simulated belt), so nothing is dropped for lack of time.

        `on_drop` is told a reason (`overload`: taken but too late; `camera`: never arrived) and how many."""
        self._open = open_source
        self._mailbox = mailbox
        self._on_up = on_up
        self._on_frame = on_frame
        self._on_drop = on_drop
        self._patient = patient
        self.looking = False
        """The source is lost and being looked for; no frames are to be expected."""

    def run(self, stopping: Event) -> None:
        """Pump until the input ends or `stopping` is set; a source that can never deliver raises `SourceError`."""
        failures = 0
        try:
            while not stopping.is_set():
                try:
                    for frame in self._arriving(stopping):
                        failures = 0
                        while self._patient and not stopping.is_set() and not self._mailbox.wait_for_room(0.2):
                            pass
                        self._hand_over(frame)
                    return
                except SourceLost as lost:
                    self._lost(lost)
                    stopping.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                    failures += 1
        finally:
            self._on_up(False)
            self._mailbox.close()

    def _arriving(self, stopping: Event) -> Iterator[Frame]:
        expected: int | None = None
        for frame in self._open().frames(stopping):
            if expected is None:
                self._found()
            elif frame.index > expected:
                self._on_drop("camera", frame.index - expected)
            expected = frame.index + 1
            yield frame

    def _hand_over(self, frame: Frame) -> None:
        self._on_frame(frame)
        if not self._mailbox.put(frame):
            self._on_drop("overload", 1)

    def _found(self) -> None:
        if self.looking:
            log.warning("the camera is back")
        self.looking = False
        self._on_up(True)

    def _lost(self, reason: SourceLost) -> None:
        if not self.looking:
            log.error("the camera is lost: %s; looking for it", reason)
        self.looking = True
        self._on_up(False)
