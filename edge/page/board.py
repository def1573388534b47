"""Where the inspecting thread leaves what people may see. It keeps references and counts; others do the drawing."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from edge.domain import Box, Frame, Image, Part, Verdict
from edge.page.counts import PartCounts
from edge.page.follow import Track, track_of

KEPT_PARTS = 24
STALE_S = 3.0
"""Without a new frame for so long, frames do not move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What does not change while the process runs."""

    site: str
    line: str
    station: str
    recipe: str
    version: str
    simulated: bool
    mqtt: bool
    """Whether a broker is wanted at all."""
    waits: bool = False
    """The camera waits for a trigger, so that silence is no fault."""
    direction: str = "auto"
    """Of travel, as the configuration says: right, left, down, up, or auto."""
    gate: float = 0.5
    """Where the gate is, as a share of the picture along the direction of travel, from the left or the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The live model."""

    name: str
    version: str
    hash8: str
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All that a picture for people is drawn from."""

    frame: Frame
    outlines: tuple[Box, ...]
    tracks: tuple[Track, ...]
    across: bool
    """The gate line stands upright: parts travel to the right or left."""
    gate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    verdict: Verdict
    latency_s: float
    wall_s: float


class StatusBoard:
    """Thread-safe. The inspecting thread calls, for each frame and in this order, `seen` (for each part, through
    the line) and `frame`, or only `passed_over`; then a verdict may be `decided`, in any thread. Anybody may call the
    rest."""

    def __init__(self, about: About, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.about = about
        self._clock = clock
        self._lock = threading.Lock()
        self._started_s = clock()
        self._started_wall_s = time.time()
        self._latest: tuple[Frame, tuple[Box, ...]] | None = None
        self._arrivals_s: deque[float] = deque(maxlen=60)
        self._frames = 0
        self._dropped: Counter[str] = Counter()
        self._settled: list[Part] = []
        self._crops: dict[int, Image] = {}
        self._tracks: deque[Track] = deque(maxlen=KEPT_PARTS)
        self._across = about.direction not in ("down", "up")
        self._parts = PartCounts()
        self._shown: deque[_Shown] = deque(maxlen=KEPT_PARTS)
        self._up: dict[str, bool | None] = {"camera": None, "broker": None, "journal": None, "golden": None}
        self._model: Model | None = None
        self._stopping = False
        self._late = 0
        self._pending: Callable[[], int] = lambda: 0
        self._oldest_s: Callable[[], float | None] = lambda: None

    def seen(self, part: Part) -> None:
        """A part is settled and about to be judged; fits `Line(seen=…)`."""
        with self._lock:
            self._settled.append(part)
            if part.views:
                self._crops[part.number] = part.views[0].crop
            self._crops.pop(part.number - KEPT_PARTS, None)

    def frame(self, frame: Frame, outlines: tuple[Box, ...], entered: int) -> None:
        """A frame was inspected. `entered` is the tracker's count of parts noticed so far."""
        with self._lock:
            self._latest = frame, outlines
            self._arrivals_s.append(self._clock())
            self._frames += 1
            self._parts.entered = entered
            for part in self._settled:
                self._follow(part, frame.at_s)
            self._settled.clear()

    def passed_over(self) -> None:
        """A frame came that nobody needed to look at; the one before is shown on, for its outlines fit it."""
        with self._lock:
            self._arrivals_s.append(self._clock())
            self._frames += 1

    def _follow(self, part: Part, at_s: float) -> None:
        track = track_of(part, at_s, self.about.direction)
        if track is not None:
            self._tracks.append(track)
            if self.about.direction == "auto":
                self._across = track.is_across

    def decided(self, verdict: Verdict, *, latency_s: float, wall_s: float) -> None:
        """A verdict fell, `latency_s` after the part crossed the gate, at `wall_s` seconds since 1970."""
        with self._lock:
            self._parts.add(verdict, latency_s, self._clock())
            self._shown.append(_Shown(verdict=verdict, latency_s=latency_s, wall_s=wall_s))
            for place, track in enumerate(self._tracks):
                if track.number == verdict.number:
                    self._tracks[place] = replace(track, decision=verdict.decision)

    def late(self) -> None:
        """A part was beyond the reject gate when its verdict fell, or could not be ejected there."""
        with self._lock:
            self._late += 1

    def dropped(self, reason: str, count: int) -> None:
        """Frames were lost; fits `Capture(on_drop=…)`."""
        with self._lock:
            self._dropped[reason] += count

    def camera(self, up: bool) -> None:
        """The camera delivers, or is being looked for."""
        self._up["camera"] = up

    def broker(self, up: bool) -> None:
        """The broker is connected, or not."""
        self._up["broker"] = up

    def journal(self, up: bool) -> None:
        """The journal writes, or cannot; not ready before it was said once."""
        self._up["journal"] = up

    def golden(self, up: bool) -> None:
        """The model answered its golden pictures, or failed to."""
        self._up["golden"] = up

    def model(self, *, name: str, version: str, hash8: str, backend: str) -> None:
        """Which model judges from now on."""
        self._model = Model(name=name, version=version, hash8=hash8, backend=backend)

    def outbox(self, pending: Callable[[], int], oldest_s: Callable[[], float | None]) -> None:
        """Whom to ask what waits for the broker; both are called from other threads and must not raise."""
        self._pending, self._oldest_s = pending, oldest_s

    def stopping(self) -> None:
        """The stop was heard; the page says so until it loses the device."""
        self._stopping = True

    def frame_age_s(self) -> float | None:
        """Seconds since the newest frame was inspected; None before the first."""
        with self._lock:
            return self._clock() - self._arrivals_s[-1] if self._arrivals_s else None

    def readiness(self) -> dict[str, str]:
        """Each condition of being ready, with what is wrong with it; empty text means met."""
        age_s = self.frame_age_s()
        frames = "no frame yet" if age_s is None else f"no frame for {age_s:.1f} s" if age_s > STALE_S else ""
        if self.about.waits:
            frames = "the camera is lost" if self._up["camera"] is False else ""
        golden = {True: "", False: "a golden picture got the wrong answer", None: "no golden picture was asked yet"}
        journal = {True: "", False: "the journal cannot write", None: "the journal is not open yet"}
        return {"frames": frames, "model": golden[self._up["golden"]], "journal": journal[self._up["journal"]]}

    def look(self) -> Look | None:
        """The newest frame with what is drawn on it; None before the first."""
        with self._lock:
            if self._latest is None:
                return None
            frame, outlines = self._latest
            tracks = tuple(self._tracks)
            return Look(frame=frame, outlines=outlines, tracks=tracks, across=self._across, gate=self.about.gate)

    def crop(self, number: int) -> Image | None:
        """The best look at one of the last parts; None when it is gone or there was none."""
        with self._lock:
            return self._crops.get(number)

    def snapshot(self) -> dict[str, Any]:
        """Everything in words and numbers, ready for JSON; `docs/page.md` names the fields."""
        pending, oldest_s = self._pending(), self._oldest_s()
        ready = self.readiness()
        about = self.about
        with self._lock:
            return {
                "schema": "linegate.status/1",
                "station": {"site": about.site, "line": about.line, "station": about.station, "recipe": about.recipe},
                "version": about.version,
                "started": round(self._started_wall_s * 1000),
                "now": _iso(time.time()),
                "uptime_s": round(self._clock() - self._started_s, 1),
                "simulated": about.simulated,
                "state": self._state(),
                "ready": ready,
                "camera": self._camera_now(),
                "mqtt": {"wanted": about.mqtt, "up": bool(self._up["broker"])},
                "outbox": {"pending": pending, "oldest_s": oldest_s},
                "model": None if self._model is None else asdict(self._model),
                "belt": {"speed_px_s": round(self._shown[-1].verdict.speed_px_s, 1) if self._shown else None},
                "parts": self._parts.told(self._clock()) | {"late": self._late},
                "conservation": self._parts.is_conserved,
                "verdicts": [self._told(each) for each in reversed(self._shown)],
            }

    def _state(self) -> str:
        if self._stopping:
            return "stopping"
        if self._up["camera"] is False:
            return "camera lost"
        return "running" if self._frames else "starting"

    def _camera_now(self) -> dict[str, object]:
        arrivals_s = self._arrivals_s
        age_s = self._clock() - arrivals_s[-1] if arrivals_s else None
        span_s = arrivals_s[-1] - arrivals_s[0] if arrivals_s else 0.0
        is_moving = (age_s is not None and age_s <= STALE_S) or (self.about.waits and bool(self._up["camera"]))
        return {
            "up": bool(self._up["camera"]),
            "moving": is_moving,
            "age_s": None if age_s is None else round(age_s, 2),
            "frames": self._frames,
            "per_second": round((len(arrivals_s) - 1) / span_s, 1) if is_moving and span_s > 0 else 0.0,
            "dropped": dict(self._dropped),
        }

    def _told(self, shown: _Shown) -> dict[str, object]:
        verdict = shown.verdict
        return {
            "number": verdict.number,
            "decision": verdict.decision.value,
            "label": verdict.label,
            "reason": verdict.reason,
            "score": verdict.score,
            "limits": {"pass": verdict.limits[0], "reject": verdict.limits[1]},
            "views": verdict.views,
            "latency_ms": round(shown.latency_s * 1000, 1),
            "decided_at": _iso(shown.wall_s),
            "picture": verdict.number in self._crops,
        }


def _iso(at_s: float) -> str:
    return datetime.fromtimestamp(round(at_s, 3), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
