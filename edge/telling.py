"""What the world hears of the line besides its verdicts: events, state, counters, readiness, metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from queue import SimpleQueue
from typing import Any, Protocol

from edge.domain import Lapse, Part, Verdict
from edge.message import iso
from edge.metrics import Metrics
from edge.page import StatusBoard

log = logging.getLogger(__name__)

DISK_LOW_MB = 200.0
"""With less free on the journal's disk an event warns; what becomes of verdicts on a full disk says docs/mqtt.md."""


class View(Protocol):
    """Where state and counters are shown; the latest counts."""

    def say_state(self, state: Mapping[str, Any]) -> None:
        """How the line is."""

    def say_counters(self, counters: Mapping[str, Any]) -> None:
        """What it has judged."""


class EventView(View, Protocol):
    """A view that can tell single events too."""

    def say_event(self, event: Mapping[str, Any]) -> None:
        """Something happened."""


class Telling:
    """Each method is something that happened, and may be called from any thread; nothing here waits."""

    def __init__(self, board: StatusBoard, metrics: Metrics, station: str) -> None:
        self._board = board
        self._metrics = metrics
        self._station = station
        self._views: list[View] = []
        self._events: list[EventView] = []
        self._damages: SimpleQueue[str] = SimpleQueue()
        self._disk_low = False
        self._state: dict[str, object] = {}
        self._counters: dict[str, object] = {}
        self.encoder_up = True

    def show(self, view: View) -> None:
        """State and counters are told to this view, too."""
        self._views.append(view)

    def send(self, view: EventView) -> None:
        """State, counters and events are told to this view, too."""
        self._events.append(view)
        self._views.append(view)

    def event(self, **event: str) -> None:
        """Tell an event; docs/mqtt.md lists them."""
        for view in self._events:
            view.say_event(event)

    def late(self, verdict: Verdict, why: str) -> None:
        """A part could not be treated as its verdict says."""
        self._metrics.verdicts_late.inc()
        self._board.late()
        self.event(event="late", decision=verdict.decision.value, captured_at=_wall(verdict.captured_at_s), detail=why)

    def disputed(self, seen_by: str, part: Part) -> None:
        """Camera and photo-eye do not agree about a part; `seen_by` is `camera` or `eye`."""
        self._metrics.parts_disputed(seen_by).inc()
        log.warning("part %d was seen by the %s only", part.number, seen_by)
        self.event(event="part_disputed", seen_by=seen_by, captured_at=_wall(part.at_s))

    def unfollowed(self, lapse: Lapse) -> None:
        """Parts may have passed without a verdict."""
        self._metrics.belt_unfollowed_seconds.inc(max(0.0, lapse.to_s - lapse.from_s))
        log.warning("for %.1f s parts may have passed unfollowed: %s", lapse.to_s - lapse.from_s, lapse.reason)
        self.event(
            **{
                "event": "parts_unfollowed",
                "from": _wall(lapse.from_s),
                "to": _wall(lapse.to_s),
                "detail": lapse.reason,
            }
        )

    def encoder(self, up: bool) -> None:
        """The encoder counts again, or does not while parts pass."""
        self.encoder_up = up
        if up:
            log.warning("the encoder counts again")
        else:
            log.error("the encoder is silent while parts pass: check its cable; no part is ejected until it counts")
        self.event(event="encoder_up" if up else "encoder_silent")

    def camera(self, up: bool) -> None:
        """Frames come, or do not."""
        self._board.camera(up)
        self._metrics.camera_up(self._station).set(up)
        self.event(event="camera_up" if up else "camera_lost")

    def dropped(self, reason: str, count: int) -> None:
        """Frames that nobody looked at."""
        self._board.dropped(reason, count)
        self._metrics.frames_dropped(reason).inc(count)

    def broker(self, up: bool) -> None:
        """Verdicts reach the broker, or wait."""
        self._board.broker(up)
        self._metrics.mqtt_up.set(up)

    def journal(self, trouble: str) -> None:
        """What the journal's trouble is; an empty text when it is over."""
        self._board.journal(not trouble)
        self._metrics.journal_up.set(not trouble)
        if trouble:
            self.event(event="journal_down", detail=trouble)
        else:
            self.event(event="journal_writes")

    def damaged(self, detail: str) -> None:
        """The journal's file was damaged; told at the next `state`, for it is found before anybody can hear."""
        self._damages.put(detail)

    def disk(self, free_bytes: int) -> None:
        """How much room there is for the journal; told when it becomes too little, and when that is over."""
        free_mb = free_bytes / 1e6
        if (low := free_mb < DISK_LOW_MB) == self._disk_low:
            return
        self._disk_low = low
        if low:
            log.error("the journal's disk has only %.0f MB left: free space on it", free_mb)
        self.event(event="disk_low" if low else "disk_has_room", detail=f"{free_mb:.0f} MB free")

    def state(self) -> str:
        """Tell what changed since the last time; one line for `systemctl status`."""
        status = self._board.snapshot()
        parts = status["parts"]
        state = {"line": status["state"], "simulated": status["simulated"], "model": status["model"]}
        counters = {"parts": parts["decided"]} | {key: parts[key] for key in ("pass", "reject", "review", "by_label")}
        for view in self._views:
            if state != self._state:
                view.say_state(state)
            if counters != self._counters:
                view.say_counters(counters)
        self._state, self._counters = state, counters
        while not self._damages.empty():
            self.event(event="journal_damaged", detail=self._damages.get())
        return f"{status['state']}, {parts['decided']} verdicts"


def _wall(steady_s: float) -> str:
    """The wall clock's time of a moment on the steady clock."""
    return iso(time.time() - (time.monotonic() - steady_s))
