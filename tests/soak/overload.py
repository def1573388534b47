"""A daemon with ten times too slow a model and 120 frames a second: late or early, every part has its verdict in time.

The belt is simulated, four lanes with twenty parts a second together; threads, journal and clock are the real ones.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any

from edge import app, config, engine, truth
from edge.domain import Decision, Frame, Image, Lapse, Scores, Verdict
from edge.line import NO_TIME
from edge.message import Record
from edge.notify import Notifier
from edge.sources.simulator import Simulator

ROOT = Path(__file__).parents[2]
VIEW_S = 0.025
"""Ten times 2.5 ms, which a small network takes per view on a small computer."""
DEADLINE_S = 0.5
SLACK_S = 0.02
"""From the last look at the clock to the moment that the verdict says."""
LEARNING_S = 5.0
"""What passes while the tracker learns the belt is judged later than anything else, and frames of it are missing."""


class SlowModel:
    """The shipped model, as slow as one on a busy accelerator: the thread waits and the processor is free."""

    def __init__(self, model: Any, view_s: float) -> None:
        self._model, self._view_s = model, view_s
        self.backend: str = model.backend

    def scores(self, crops: Sequence[Image]) -> Scores:
        """As the model says, late."""
        until_s = time.perf_counter() + self._view_s * len(crops)
        scores: Scores = self._model.scores(crops)
        time.sleep(max(0.0, until_s - time.perf_counter()))
        return scores


class Camera:
    """The simulated belt as a camera sees it: it does not wait for a slow machine, it skips."""

    def __init__(self, belt: config.SimulatorSource, seconds: float) -> None:
        self._fps, self._seconds = belt.fps, seconds
        self.simulator = Simulator(belt, paced=False, seconds=seconds, start_at_s=time.monotonic())
        self.skipped = 0

    def frames(self, stopping: Event) -> Iterator[Frame]:
        """In real time."""
        began_s = self.simulator._start_s = time.monotonic()
        index = 0
        while index / self._fps <= self._seconds and not stopping.is_set():
            at_s = began_s + index / self._fps
            stopping.wait(max(0.0, at_s - time.monotonic()))
            self.simulator._last_s = at_s
            yield Frame(index=index, at_s=at_s, image=self.simulator.picture(index))
            newest = max(index + 1, int((time.monotonic() - began_s) * self._fps))
            self.skipped += newest - index - 1
            index = newest


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was seen from outside."""

    slower: float
    settled: int
    verdicts: list[tuple[Verdict, float, float]]
    """Each with its latency and the moment of its capture since the start."""
    compared: truth.Comparison
    """After the belt was learned."""
    untold: int
    """Of the missed, those that no event `parts_unfollowed` speaks of."""
    unfollowed_s: float
    """For so long such events say that parts may have passed."""
    skipped: int
    """Frames that the simulated camera itself had no processor for."""
    dropped: int
    deepest: int
    """Verdicts that waited for the journal at one time, at most."""
    grown_bytes: int

    @property
    def late(self) -> list[float]:
        """Latencies of parts that were passed or rejected after their deadline."""
        judged = [took_s for each, took_s, _ in self.verdicts if each.decision is not Decision.REVIEW]
        return [took_s for took_s in judged if took_s > DEADLINE_S * self.slower + SLACK_S]

    def latencies_s(self, first: float, last: float) -> list[float]:
        """Of the verdicts from one share of the time to another, learning aside."""
        steady = [each for each in self.verdicts if each[2] > LEARNING_S * self.slower]  # in order of decision
        return sorted(took_s for _, took_s, _ in steady[int(first * len(steady)) : int(last * len(steady))])

    def __str__(self) -> str:
        halves = [self.latencies_s(0.0, 0.5), self.latencies_s(0.5, 1.0)]
        told = ", ".join(
            f"{which} half p50 {1000 * median(each):.0f} ms, p99 {1000 * each[int(0.99 * len(each))]:.0f} ms"
            for which, each in zip(("first", "second"), halves, strict=True)
            if each
        )
        views = Counter(each.views for each, _, _ in self.verdicts)
        no_time = sum(each.reason == NO_TIME for each, _, _ in self.verdicts)
        return (
            f"{self.settled} parts settled, {len(self.verdicts)} verdicts, {len(self.late)} after the deadline, "
            f"{no_time} reviewed for want of time; {told}; views {dict(sorted(views.items()))}; {self.dropped} frames "
            f"dropped, {self.skipped} skipped; of {self.compared.parts} parts missed {self.compared.missed}, "
            f"{self.untold} of them without an event (events for {self.unfollowed_s:.1f} s), "
            f"duplicates {self.compared.duplicates}, phantoms {self.compared.phantom}; "
            f"at most {self.deepest} verdicts waited; memory {self.grown_bytes / 1e6:+.1f} MB"
        )


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(folder: Path, seconds: float, *, shedding: bool = True, seed: int = 1, slower: float = 1.0) -> Outcome:
    """Run the daemon for so long; `shedding` False takes the haste out of it, for comparison.

    `slower` stretches belt, camera, model and deadline alike, so that other work on the machine matters less.
    """
    belt = config.SimulatorSource(
        width_px=320, height_px=240, part_px=40.0, speed_px_s=300.0 / slower, parts_per_minute=1200.0 / slower,
        lanes=4, fps=120.0 / slower, seed=seed,
    )  # fmt: skip
    camera = Camera(belt, seconds)
    verdicts: list[tuple[Verdict, float, float]] = []
    began_s = time.monotonic()

    def heard(verdict: Verdict, record: Record) -> None:
        import json

        took_s = json.loads(record.payload)["latency_ms"] / 1000
        verdicts.append((verdict, took_s, verdict.captured_at_s - began_s))

    settings = config.Config(
        source=config.Sources(simulator=belt), mqtt=config.Mqtt(enabled=False), http=config.Http(enabled=False),
        model=config.Model(deadline_s=DEADLINE_S * slower, hurry_s=config.Model().hurry_s * slower),
        journal=config.Journal(path=str(folder / "journal.sqlite")),
    )  # fmt: skip
    original = engine.build_classifier
    engine.build_classifier = lambda *given: SlowModel(original(*given), VIEW_S * slower)  # type: ignore[assignment,return-value]
    try:
        daemon = app.Daemon(settings, ROOT, open_frames=lambda: camera, on_verdict=heard)
    finally:
        engine.build_classifier = original
    if not shedding:
        daemon.line.budget = None
    lapses: list[Lapse] = []
    daemon.line._lapsed = lapses.append
    deepest, sizes, done = [0], [], Event()

    def watch() -> None:
        while not done.wait(0.05):
            deepest[0] = max(deepest[0], len(daemon._delivery._waiting))
            sizes.append(resident_bytes())

    watcher = Thread(target=watch)
    watcher.start()
    code = daemon.run(Notifier({}))
    done.set()
    watcher.join()
    assert code == 0
    third = len(sizes) // 3
    true, said, from_s = camera.simulator.truth(), [each for each, _, _ in verdicts], began_s + LEARNING_S * slower
    return Outcome(
        slower=slower,
        settled=daemon.line._settled,
        verdicts=verdicts,
        compared=_compared(said, true, from_s),
        untold=_compared(said, _answered_for(true, lapses), from_s).missed,
        unfollowed_s=sum(each.to_s - each.from_s for each in lapses),
        skipped=camera.skipped,
        dropped=daemon.board.snapshot()["camera"]["dropped"].get("overload", 0),
        deepest=deepest[0],
        grown_bytes=round(median(sizes[2 * third :]) - median(sizes[third : 2 * third])),
    )


def _answered_for(true: truth.Truth, lapses: list[Lapse]) -> truth.Truth:
    """Without the parts that crossed while an event says that parts may have passed unfollowed."""
    parts = [
        part
        for part in true.parts or ()
        if not any(lapse.from_s <= part.crossed_at_s <= lapse.to_s for lapse in lapses)
    ]
    return replace(true, count=len(parts), parts=tuple(parts))


def _compared(verdicts: list[Verdict], true: truth.Truth, from_s: float) -> truth.Comparison:
    """Verdicts and parts that crossed after a moment."""
    late = tuple(part for part in true.parts or () if part.crossed_at_s > from_s)
    judged = [each for each in verdicts if each.captured_at_s > from_s]
    return truth.compare(judged, replace(true, count=len(late), parts=late))


def main() -> None:
    """With shedding, and without."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=300.0)
    options.add_argument("--slower", type=float, default=1.0, help="stretch all times, for a busy machine")
    given = options.parse_args()
    for shedding in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            seconds = given.seconds if shedding else min(given.seconds, 60.0)
            outcome = run(Path(folder), seconds, shedding=shedding, slower=given.slower)
            print(f"{'views shed' if shedding else 'all views'}: {outcome}", flush=True)


if __name__ == "__main__":
    main()
