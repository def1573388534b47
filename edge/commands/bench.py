"""`linegate bench`: what every stage costs on this machine, beside the bare interpreter call."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.config import Config
    from edge.domain import Frame

ENOUGH_S = 0.2
"""CPU time after which a stage has been measured long enough."""
REPEATED = 3
"""So often all frames are run through, by the tracker alone and by the whole line in turn."""
BUSY: dict[str, Any] = {"speed_px_s": 640.0, "parts_per_minute": 1200.0, "part_px": 48.0, "lanes": 2}
"""Twenty parts per second, about twenty of them in the picture."""


def add(subparsers: Any) -> None:
    """Offer the command."""
    parser = subparsers.add_parser("bench", help="measure every stage beside the bare interpreter call")
    parser.add_argument("--config", type=Path, default=None, help="default: config.yaml when there is one")
    parser.add_argument("--model", type=Path, help="a bundle; default: the live one on the shelf")
    parser.add_argument("--frames", type=int, default=600, help="simulated pictures to run through (default 600)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure CPU time in one process and one thread of OpenCV; print a table or JSON."""
    import json

    import cv2

    from edge.assembly import open_bundle
    from edge.commands.settings import find_config

    cv2.setNumThreads(1)
    config, base = find_config(args.config)
    bundle = open_bundle(config.model, base, args.model)
    result = _on_belt(config, bundle, args.frames)
    result["busy"] = _on_belt(_busy(config), bundle, args.frames)
    print(json.dumps(result, indent=2) if args.json else _table(result))
    return 0


def _busy(config: Config) -> Config:
    from dataclasses import replace

    simulator = replace(config.source.simulator, width_px=640, height_px=480, **BUSY)
    return replace(config, source=replace(config.source, simulator=simulator))


def _on_belt(config: Config, bundle: Bundle, count: int) -> dict[str, Any]:
    frames, sensor_us = _rendered(config, count)
    return _measured(config, bundle, frames) | {"simulated_camera_us": sensor_us}


def _rendered(config: Config, count: int) -> tuple[list[Frame], float]:
    """Frames of the simulated belt, all in memory, and what rendering one cost in µs."""
    import itertools
    from threading import Event

    from edge.sources.simulator import Simulator

    began = time.process_time()
    frames = list(itertools.islice(Simulator(config.source.simulator, paced=False).frames(Event()), count))
    return frames, (time.process_time() - began) / max(1, len(frames)) * 1e6


def _measured(config: Config, bundle: Bundle, frames: list[Frame]) -> dict[str, Any]:
    """Stage by stage, then the whole; CPU time of this process in µs.

    `line_to_bare_stages`: the whole line over the sum of its parts, which are tracker, crops to tensors, and invoke.
    """
    import statistics

    from edge.assembly import build_judge, build_line, build_tracker, replay_encoder
    from edge.bundle import prepare
    from edge.classify import TfliteClassifier
    from edge.domain import Part, Scores, Verdict

    classifier = TfliteClassifier(bundle, config.model.runtime, config.model.threads)
    judge, encode = build_judge(bundle), replay_encoder(config)
    tracked: list[float] = []
    inspected: list[float] = []
    for _ in range(REPEATED):
        parts: list[Part] = []
        looked_s: set[float] = set()
        verdicts: list[Verdict] = []
        tracker, line = build_tracker(config), build_line(config, bundle)

        def follow(frame: Frame) -> None:
            parts.extend(tracker.update(frame))  # noqa: B023
            looked_s.add(tracker.looked_s)  # noqa: B023

        tracked.append(_round(follow, frames) * 1e6)
        inspected.append(_round(lambda frame: verdicts.extend(line.inspect(frame)), frames) * 1e6)  # noqa: B023
    crops = [view.crop for part in parts for view in part.views]
    if not crops:
        raise OSError("no part reached the gate in these frames; raise --frames")
    spec = bundle.manifest.input
    one = classifier.scores(crops[:1]).outputs
    invoke_us = _each(lambda _: classifier.invoke(), crops)
    prepare_us = _each(lambda crop: prepare(crop, spec), crops)
    track_us, whole_us = statistics.median(tracked), statistics.median(inspected)
    bare_us = track_us + len(crops) / len(frames) * (prepare_us + invoke_us)
    return {
        "model": bundle.slot,
        "runtime": classifier.backend,
        "frames": len(frames),
        "frames_looked_at": len(looked_s),
        "picture": "x".join(str(each) for each in reversed(frames[0].image.shape[:2])),
        "parts": len(parts),
        "views_per_part": round(len(crops) / len(parts), 2),
        "bare_invoke_us": invoke_us,
        "prepare_us": prepare_us,
        "classify_us": _each(lambda crop: classifier.scores([crop]), crops),
        "judge_us": _each(lambda part: judge.decide(part, Scores(outputs=one)), parts),
        "encode_us": _each(lambda verdict: encode(verdict, 1, 0.0), verdicts),
        "track_us_per_frame": track_us,
        "line_us_per_frame": whole_us,
        "line_to_bare_stages": whole_us / bare_us,
    }


def _each(work: Callable[[Any], object], items: list[Any]) -> float:
    """CPU µs per item, warm: the median of several rounds over all items."""
    import statistics

    _round(work, items)
    rounds: list[float] = []
    began = time.process_time()
    while len(rounds) < 3 or time.process_time() - began < ENOUGH_S:
        rounds.append(_round(work, items))
    return statistics.median(rounds) * 1e6


def _round(work: Callable[[Any], object], items: list[Any]) -> float:
    began = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - began) / len(items)


def _table(result: dict[str, Any]) -> str:
    bare, busy = result["bare_invoke_us"], result["busy"]
    rows = [
        ("interpreter invoke, bare", "bare_invoke_us", "per view"),
        ("crop to int8 tensor", "prepare_us", "per view"),
        ("classify (both)", "classify_us", "per view"),
        ("judge", "judge_us", "per part"),
        ("encode the verdict", "encode_us", "per part"),
        ("segment, track and cut", "track_us_per_frame", "per frame"),
        ("the whole line", "line_us_per_frame", "per frame"),
        ("simulated camera", "simulated_camera_us", "per frame"),
    ]
    head = (
        f"{result['model']} on {result['runtime']}; {result['frames']} frames; CPU time of one thread; "
        f"{result['picture']} with {result['parts']} parts of {result['views_per_part']} views, "
        f"and {busy['picture']} with {busy['parts']}, 20 a second; "
        f"looked at {result['frames_looked_at']} and {busy['frames_looked_at']} of the frames\n\n"
        f"{'stage':28}{'µs':>9}  {'':10}{'× bare invoke':>14}{'µs at 20 parts/s':>20}\n"
    )
    body = (
        f"{name:28}{result[key]:9.1f}  {per:10}{result[key] / bare:14.2f}{busy[key]:20.1f}\n" for name, key, per in rows
    )
    ratios = f"{result['line_to_bare_stages']:.2f} and {busy['line_to_bare_stages']:.2f}"
    return head + "".join(body) + f"\nthe whole line is {ratios} times the sum of tracker, crops to tensors, and invoke"
