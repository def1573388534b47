"""The inspecting thread: takes frames from the mailbox, lets the line look at them, hands its verdicts to delivery."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from math import inf

from edge.delivery import Decided, Delivery
from edge.domain import Frame, Verdict
from edge.line import Line
from edge.machine import Machine
from edge.mailbox import Mailbox
from edge.metrics import Metrics
from edge.page import StatusBoard


class Inspecting:
    """Every frame that is not dropped, in order, and the parts that it settled."""

    def __init__(
        self,
        line: Line,
        mailbox: Mailbox[Frame],
        delivery: Delivery,
        *,
        machine: Machine,
        board: StatusBoard,
        metrics: Metrics,
        patient: bool,
    ) -> None:
        """`patient`: the source waits for a slow machine, so all parts of a frame are judged before the next."""
        self._line = line
        self._mailbox = mailbox
        self._delivery = delivery
        self._machine = machine
        self._board = board
        self._metrics = metrics
        self._patient = patient
        self.frames = 0
        """So many were looked at; the watchdog is fed from it."""

    def run(self) -> None:
        """Inspect until the mailbox ends; then delivery is told that nothing more comes.

        With more to judge than time, a newer frame does not wait until all parts are judged: the tracker, which would
        lose parts without it, and the model then have half of the time each. A source that can wait does so instead.
        """
        waiting: deque[Iterator[Verdict]] = deque()
        try:
            while waiting or not self._mailbox.ended:
                frame = self._mailbox.take(0.0 if waiting else 1.0)
                began_s = time.monotonic()
                if frame is not None:
                    waiting.append(self._looked_at(frame))
                looked_s = time.monotonic()
                self._judge(waiting, until_s=inf if self._patient else looked_s + (looked_s - began_s))
            waiting.append(self._line.finish())
            self._judge(waiting, until_s=inf)
        finally:
            self._delivery.close()

    def _looked_at(self, frame: Frame) -> Iterator[Verdict]:
        """Settle the parts of a frame; their verdicts fall as they are taken."""
        verdicts = self._line.inspect(frame)
        self.frames += 1
        tracker = self._line.tracker
        if tracker.looked_s != frame.at_s:
            self._board.passed_over()
            self._metrics.frames_passed_over.inc()
            return verdicts
        self._machine.looked(frame.at_s)
        entered = self._line.entered
        self._board.frame(frame, tracker.outlines, entered)
        self._metrics.entered(entered)
        return verdicts

    def _judge(self, waiting: deque[Iterator[Verdict]], until_s: float) -> None:
        """Judge what waits, oldest first: at least one part, and no more when the time has come."""
        while waiting:
            verdict = next(waiting[0], None)
            if verdict is None:
                waiting.popleft()
                continue
            self._delivery.give(self._decided(verdict))
            if time.monotonic() >= until_s:
                return

    def _decided(self, verdict: Verdict) -> Decided:
        forecast = self._machine.forecast(verdict)
        return Decided(
            verdict=verdict,
            steady_s=time.monotonic(),
            wall_s=time.time(),
            eject_s=forecast.at_s,
            late=forecast.late,
        )
