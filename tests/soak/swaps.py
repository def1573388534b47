"""Two models change places hundreds of times while parts pass: none is missed, none is judged by both.

The belt is simulated, four lanes with twenty parts a second together at 60 frames a second; daemon, threads, journal,
shelf and clock are the real ones. The belt waits for a machine that is too busy, so that a part can only be lost by us.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

from edge import app, config, engine, truth
from edge.bundle import BundleError
from edge.changeover import Flasher
from edge.domain import Frame, Image, Scores, Verdict
from edge.notify import Notifier
from edge.sources.simulator import Simulator

SHIPPED = (Path(__file__).parents[2] / "models" / "current").resolve()
BETWEEN_PARTS = 3
"""Parts that each model judges at least before the next change."""
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was seen from outside, times in seconds."""

    swaps: int
    parts: int
    by_model: dict[str, int]
    compared: truth.Comparison
    torn: int
    """Parts whose classifier and whose operating point belong to different models."""
    change_s: list[float]
    """How long the assignment in the line took."""
    heed_s: list[float]
    """From the change of the link to the new model at work."""
    frames_s: list[float]
    """How long each frame was inspected, judging included."""
    frames_in_change_s: list[float]
    """Of these the ones during which a new model was loaded, tested and put in place."""

    def __str__(self) -> str:
        found = self.compared
        return (
            f"{self.swaps} swaps, {self.parts} parts of {found.parts}: missed {found.missed}, duplicates"
            f" {found.duplicates}, judged by two models {self.torn}; by model {self.by_model};\n"
            f"the line is changed in at most {1e6 * max(self.change_s):.0f} us; link to model at work: median"
            f" {1e3 * median(self.heed_s):.0f} ms, at most {1e3 * max(self.heed_s):.0f} ms;\n"
            f"a frame's inspection: {told(self.frames_s)}; while a model is loaded: {told(self.frames_in_change_s)};"
            f" load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )


def told(times_s: Sequence[float]) -> str:
    """Median, 99th percentile and worst in ms."""
    times = sorted(times_s) or [0.0]
    worst = (median(times), times[int(0.99 * (len(times) - 1))], times[-1])
    return "p50 {:.1f}, p99 {:.1f}, worst {:.1f} ms".format(*(1e3 * each for each in worst))


class Named:
    """A model that leaves its name behind with each answer."""

    def __init__(self, model: Any, slot: str, last: list[str]) -> None:
        self._model, self._slot, self._last = model, slot, last
        self.backend: str = model.backend

    def scores(self, crops: Sequence[Image]) -> Scores:
        """As the model says."""
        self._last[0] = self._slot
        scores: Scores = self._model.scores(crops)
        return scores


class Watched:
    """The line, with a stopwatch around each frame and an eye on who judged each part."""

    def __init__(self, line: Any, last: list[str]) -> None:
        self.line, self._last = line, last
        self.torn = 0
        self.spans: list[tuple[float, float]] = []
        self.change_s: list[float] = []
        self._inspect, self._change = line.inspect, line.change
        line.inspect, line.change = self.inspect, self.change

    def inspect(self, frame: Frame) -> Iterator[Verdict]:
        """As the line inside, all at once."""
        began_s = time.perf_counter()
        verdicts = []
        for verdict in self._inspect(frame):
            self.torn += bool(verdict.views) and verdict.model.slot != self._last[0]
            verdicts.append(verdict)
        self.spans.append((began_s, time.perf_counter()))
        return iter(verdicts)

    def change(self, *model: Any) -> None:
        """As the line inside."""
        began_s = time.perf_counter()
        self._change(*model)
        self.change_s.append(time.perf_counter() - began_s)


def furnished(base: Path) -> Path:
    """A shelf below `base` with two models that differ in nothing but their name."""
    shelf = base / "shelf"
    shutil.copytree(SHIPPED, shelf / SHIPPED.name)
    shutil.copytree(SHIPPED.parent / "keys", shelf / "keys")
    document = json.loads((SHIPPED / "manifest.json").read_bytes()) | {"version": "2.0"}
    raw = json.dumps(document).encode()
    twin = shelf / f"demo-{hashlib.sha256(raw).hexdigest()[:8]}"
    shutil.copytree(SHIPPED, twin, ignore=shutil.ignore_patterns("signature"))
    (twin / "manifest.json").write_bytes(raw)
    (shelf / "current").symlink_to(SHIPPED.name)
    (shelf / "previous").symlink_to(twin.name)
    return shelf


def run(base: Path, swaps: int, seed: int = 1) -> Outcome:
    """Run a daemon until its models have changed places `swaps` times."""
    furnished(base)
    belt = config.SimulatorSource(
        width_px=320, height_px=240, part_px=40.0, speed_px_s=300.0, parts_per_minute=1200.0, lanes=4, fps=60.0,
        seed=seed,
    )  # fmt: skip
    settings = config.Config(
        source=config.Sources(simulator=belt), mqtt=config.Mqtt(enabled=False), http=config.Http(enabled=False),
        model=config.Model(shelf="shelf", unsigned="allow", probation_parts=0, shadow_folder="shadow"),
        journal=config.Journal(path=str(base / "journal.sqlite")),
    )  # fmt: skip
    simulator = Simulator(belt, paced=True)
    verdicts: list[Verdict] = []
    last, original = [""], engine.build_classifier
    engine.build_classifier = lambda settings, bundle, *device: Named(
        original(settings, bundle, *device), bundle.slot, last
    )  # type: ignore[assignment,return-value]
    try:
        daemon = app.Daemon(
            settings, base, open_frames=lambda: simulator, patient=True,
            on_verdict=lambda verdict, _record: verdicts.append(verdict),
        )  # fmt: skip
        watched = Watched(daemon.line, last)
        flasher = Flasher(settings, base)
        loading: list[tuple[float, float]] = []
        failures: list[Exception] = []
        swapper = Thread(target=_swap, args=(daemon, flasher, swaps, verdicts, loading, failures))
        swapper.start()
        code = daemon.run(Notifier({}))
        swapper.join()
    finally:
        engine.build_classifier = original
    assert code == 0
    assert not failures, failures
    by_model: dict[str, int] = {}
    for verdict in verdicts:
        by_model[verdict.model.version] = by_model.get(verdict.model.version, 0) + 1
    return Outcome(
        swaps=len(loading),
        parts=len(verdicts),
        by_model=by_model,
        compared=truth.compare(verdicts, simulator.truth(gate=0.5)),
        torn=watched.torn,
        change_s=watched.change_s,
        heed_s=[end - begin for begin, end in loading],
        frames_s=[end - begin for begin, end in watched.spans],
        frames_in_change_s=[
            end - begin
            for begin, end in watched.spans
            if any(begin < ready and end > asked for asked, ready in loading)
        ],
    )


def _swap(
    daemon: app.Daemon,
    flasher: Flasher,
    swaps: int,
    verdicts: list[Verdict],
    loading: list[tuple[float, float]],
    failures: list[Exception],
) -> None:
    """Change the models' places again and again, each time after some parts; then stop the daemon."""
    try:
        _wait(lambda: len(verdicts) > 10)
        for _ in range(swaps):
            began_s = time.perf_counter()
            slot = flasher.rollback().slot
            _wait(lambda slot=slot: daemon.models.live.slot == slot)
            loading.append((began_s, time.perf_counter()))
            _wait(lambda slot=slot: sum(each.model.slot == slot for each in verdicts[-20:]) >= BETWEEN_PARTS)
    except (OSError, BundleError) as error:
        failures.append(error)
    finally:
        daemon._crew.stopping.set()


def _wait(condition: Any) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until_s:
            raise TimeoutError("nothing happened")
        time.sleep(0.005)


def main() -> None:
    """Say how it went; exit code 1 when a part was missed, doubled or judged by two models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), asked.swaps, asked.seed)
    print(outcome)
    found = outcome.compared
    raise SystemExit(bool(found.missed or found.duplicates or outcome.torn or outcome.swaps < asked.swaps))


if __name__ == "__main__":
    main()
