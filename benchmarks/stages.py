"""Where the time of one frame goes: every stage of the line on its own, beside the sum of the bare ones.

    python -m benchmarks.stages

CPU time of one thread on the simulated belt with twenty parts a second, learned. Each stage is charged what it takes
itself, less the stages that it calls, when every frame is looked at. The whole line is shown that way, and with frames
passed over as the configuration says; every figure is per frame that the camera took.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import cv2

from edge.assembly import build_line, open_bundle
from edge.classify import TfliteClassifier, tflite
from edge.commands.bench import BUSY
from edge.commands.settings import find_config
from edge.domain import Frame
from edge.judge import Judge
from edge.line import Line
from edge.sources.simulator import Simulator
from edge.tracking import background, coverage, gallery, hidden, lane, measure, pace, sight, sightings, unrolled

BARE = "half size", "empty belt", "split", "crops", "crop to tensor", "invoke"
"""What any tracker of this kind cannot do without."""
STAGES: list[tuple[str, Any, str]] = [
    ("half size", sight.Sight, "look"),
    ("empty belt", background.EmptyBelt, "evidence"),
    ("empty belt", background.EmptyBelt, "learn"),
    ("belt's motion", lane, "profiles"),
    ("belt's motion", pace.Pace, "step"),
    ("unrolled belt", unrolled.Unrolled, "move"),
    ("unrolled belt", unrolled.Unrolled, "see"),
    ("split", sightings, "groups"),
    ("split", sightings, "split"),
    ("who is who", sightings.Sightings, "look"),
    ("crops", gallery, "best_views"),
    ("known again", gallery, "resembles"),
    ("known again", gallery, "portrait_of"),
    ("the usual part", measure.Measure, "_usual_of"),
    ("what hides", hidden.Hidden, "see"),
    ("what is told", coverage.Coverage, "passed"),
    ("handed out", lane.Lane, "_search"),
    ("judge", Judge, "decide"),
    ("crop to tensor", tflite, "prepare"),
    ("invoke", TfliteClassifier, "scores"),
]


@dataclass
class Stopwatch:
    """Charges each stage with its own time."""

    spent_s: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    running: bool = False
    _inner_s: list[float] = field(default_factory=list)

    def around(self, stage: str, owner: Any, name: str) -> None:
        """Put it around a function or method, for good."""
        work: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(work)
        def timed(*args: Any, **named: Any) -> Any:
            if not self.running:
                return work(*args, **named)
            self._inner_s.append(0.0)
            began_s = time.thread_time()
            result = work(*args, **named)
            took_s = time.thread_time() - began_s
            self.spent_s[stage] += took_s - self._inner_s.pop()
            self.calls[stage] += 1
            if self._inner_s:
                self._inner_s[-1] += took_s
            return result

        setattr(owner, name, timed)


def main() -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--frames", type=int, default=900, help="the first third is not counted (default 900)")
    options.add_argument("--rounds", type=int, default=3, help="with and without stopwatches by turns (default 3)")
    given = options.parse_args()
    cv2.setNumThreads(1)
    config, base = find_config(None)
    simulator = replace(config.source.simulator, width_px=640, height_px=480, **BUSY)
    frames = list(itertools.islice(Simulator(simulator, paced=False).frames(Event()), given.frames))
    learning, counted = frames[: given.frames // 3], frames[given.frames // 3 :]
    watch = Stopwatch()
    for stage, owner, name in STAGES:
        watch.around(stage, owner, name)
    every = replace(config, tracking=replace(config.tracking, look_at="all"))
    plain: dict[str, list[tuple[float, float]]] = {}
    for running, kind in ((True, every), (False, every), (False, config)) * given.rounds:
        line = build_line(kind, open_bundle(config.model, base))
        _inspected(line, learning)
        watch.running = running
        took = _inspected(line, counted)
        watch.running = False
        if not running:
            plain.setdefault(kind.tracking.look_at, []).append(took)
    print(table(watch, given.rounds * len(counted), plain))


def _inspected(line: Line, frames: list[Frame]) -> tuple[float, float]:
    """CPU in µs per frame for a line to judge all parts of these frames, and the share of them that it looked at."""
    looked = 0
    began_s = time.thread_time()
    for frame in frames:
        for _ in line.inspect(frame):
            pass
        looked += line.tracker.looked_s == frame.at_s
    return (time.thread_time() - began_s) / len(frames) * 1e6, looked / len(frames)


def table(watch: Stopwatch, frames: int, plain: dict[str, list[tuple[float, float]]]) -> str:
    """The stages, dearest first, and the whole as it is without a stopwatch."""
    own_us = {name: watch.spent_s[name] / frames * 1e6 for name in watch.calls}
    bare_us = sum(own_us[name] for name in BARE)
    lines = [
        f"{name:18}{own_us[name]:9.0f} µs  {watch.calls[name] / frames:6.2f} calls a frame{'   bare' * (name in BARE)}"
        for name in sorted(own_us, key=lambda name: -own_us[name])
    ]
    for rounds in plain.values():
        whole_us, looked = (statistics.median(values) for values in zip(*rounds, strict=True))
        times = f"{whole_us / bare_us:.2f} times its bare stages ({bare_us:.0f} µs)"
        lines.append(f"{'the whole line':18}{whole_us:9.0f} µs  {times}, looking at {looked:.0%} of the frames")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
