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
    frames, sensor_us = _rendered(config, args.frames)
    result = _measured(config, bundle, frames) | {"simulated_camera_us": sensor_us}
    print(json.dumps(result, indent=2) if args.json else _table(result))
    return 0


def _rendered(config: Config, count: int) -> tuple[list[Frame], float]:
    """Frames of the simulated belt, all in memory, and what rendering one cost in µs."""
    import itertools
    from threading import Event

    from edge.sources.simulator import Simulator

    began = time.process_time()
    frames = list(itertools.islice(Simulator(config.source.simulator, paced=False).frames(Event()), count))
    return frames, (time.process_time() - began) / max(1, len(frames)) * 1e6


def _measured(config: Config, bundle: Bundle, frames: list[Frame]) -> dict[str, Any]:
    """Stage by stage, then the whole; CPU time of this process in µs."""
    from edge.assembly import build_judge, build_line, replay_encoder
    from edge.bundle import prepare
    from edge.classify import TfliteClassifier
    from edge.domain import Part, Scores, Verdict
    from edge.tracking import open_tracker

    classifier = TfliteClassifier(bundle, config.model.runtime, config.model.threads)
    judge, encode, tracker = build_judge(bundle), replay_encoder(config), open_tracker(config.tracking)
    parts: list[Part] = []
    track_us = _round(lambda frame: parts.extend(tracker.update(frame)), frames) * 1e6
    crops = [view.crop for part in parts for view in part.views]
    if not crops:
        raise OSError("no part reached the gate in these frames; raise --frames")
    line = build_line(config, bundle)
    verdicts: list[Verdict] = []
    whole_us = _round(lambda frame: verdicts.extend(line.inspect(frame)), frames) * 1e6
    spec = bundle.manifest.input
    one = classifier.scores(crops[:1]).outputs
    return {
        "model": bundle.slot,
        "runtime": classifier.backend,
        "frames": len(frames),
        "picture": "x".join(str(each) for each in reversed(frames[0].image.shape[:2])),
        "parts": len(parts),
        "views_per_part": round(len(crops) / len(parts), 2),
        "bare_invoke_us": _each(lambda _: classifier.invoke(), crops),
        "prepare_us": _each(lambda crop: prepare(crop, spec), crops),
        "classify_us": _each(lambda crop: classifier.scores([crop]), crops),
        "judge_us": _each(lambda part: judge.decide(part, Scores(outputs=one)), parts),
        "encode_us": _each(lambda verdict: encode(verdict, 1, 0.0), verdicts),
        "track_us_per_frame": track_us,
        "line_us_per_frame": whole_us,
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
    bare = result["bare_invoke_us"]
    rows = [
        ("interpreter invoke, bare", bare, "per view"),
        ("crop to int8 tensor", result["prepare_us"], "per view"),
        ("classify (both)", result["classify_us"], "per view"),
        ("judge", result["judge_us"], "per part"),
        ("encode the verdict", result["encode_us"], "per part"),
        ("segment and track", result["track_us_per_frame"], "per frame"),
        ("the whole line", result["line_us_per_frame"], "per frame"),
        ("simulated camera", result["simulated_camera_us"], "per frame"),
    ]
    head = (
        f"{result['model']} on {result['runtime']}; {result['frames']} frames of {result['picture']},"
        f" {result['parts']} parts, {result['views_per_part']} views each; CPU time\n\n"
        f"{'stage':28}{'µs':>9}  {'':10}{'× bare invoke':>14}\n"
    )
    return head + "\n".join(f"{name:28}{us:9.1f}  {per:10}{us / bare:14.2f}" for name, us, per in rows)
