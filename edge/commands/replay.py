"""`linegate replay`: a clip through the same line as a camera's frames; same input, same bytes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.domain import Frame, Lapse, Part, Verdict


def add(subparsers: Any) -> None:
    """Offer the command."""
    parser = subparsers.add_parser("replay", help="judge a clip or a folder of pictures; same input, same bytes")
    parser.add_argument("source", type=Path, help=".mp4, .avi, .gif or a folder of pictures")
    parser.add_argument("--config", type=Path, default=None, help="default: config.yaml when there is one")
    parser.add_argument("--model", type=Path, help="a bundle; default: the live one on the shelf")
    parser.add_argument("--truth", type=Path, help="what really passed: truth.json or ground_truth.csv")
    parser.add_argument("--crops", type=Path, help="also keep every look at every part here, to label and train with")
    parser.add_argument("--out", type=Path, required=True, help="folder for verdicts.jsonl and summary.json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write both files; what they hold follows from the clip, the model and the configuration alone."""
    import json
    from threading import Event

    from edge import truth
    from edge.assembly import build_line, open_bundle, replay_encoder
    from edge.commands.settings import find_config
    from edge.config import ClipSource
    from edge.sources import open_source

    config, base = find_config(args.config)
    known = truth.read(args.truth, args.source.name) if args.truth else None
    source = open_source(ClipSource(path=str(args.source), paced=False, fps=config.source.clip.fps))
    bundle = open_bundle(config.model, base, args.model)
    lapses: list[Lapse] = []
    line = build_line(config, bundle, seen=_keeper(args.crops) if args.crops else None, lapsed=lapses.append)
    encode = replay_encoder(config)
    args.out.mkdir(parents=True, exist_ok=True)
    counter = _Progress()
    verdicts: list[Verdict] = []
    with (args.out / "verdicts.jsonl").open("wb") as file:
        for frame in counter.watched(source.frames(Event())):
            for verdict in line.inspect(frame):
                verdicts.append(verdict)
                file.write(encode(verdict, len(verdicts), frame.at_s).payload + b"\n")
        for verdict in line.finish():
            verdicts.append(verdict)
            file.write(encode(verdict, len(verdicts), counter.last_s).payload + b"\n")
    summary = _summary(counter.frames, line.tracker.entered, verdicts)
    if lapses:
        summary["unfollowed"] = [{"from_s": each.from_s, "to_s": each.to_s, "why": each.reason} for each in lapses]
    if known is not None:
        summary |= truth.compare(verdicts, known, until_s=counter.last_s).summary()
    text = json.dumps(summary, indent=2)
    (args.out / "summary.json").write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


def _summary(frames: int, entered: int, verdicts: list[Verdict]) -> dict[str, Any]:
    counts = {name: sum(each.decision == name for each in verdicts) for name in ("pass", "reject", "review")}
    return {"frames": frames, "entered": entered, "parts": len(verdicts), **counts}


def _keeper(folder: Path) -> Any:
    """What writes every view of a part as a picture, named so that sorting keeps parts together."""
    import cv2

    folder.mkdir(parents=True, exist_ok=True)

    def keep(part: Part) -> None:
        for place, view in enumerate(part.views, start=1):
            cv2.imwrite(str(folder / f"part{part.number:05d}-{place}.png"), view.crop)

    return keep


class _Progress:
    """Counts the frames, and shows a person at a terminal that they move."""

    def __init__(self) -> None:
        self.frames = 0
        self.last_s = 0.0

    def watched(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        shown = sys.stderr.isatty()
        for frame in frames:
            self.frames += 1
            self.last_s = frame.at_s
            if shown and self.frames % 50 == 0:
                print(f"\r{self.frames} frames", end="", file=sys.stderr, flush=True)
            yield frame
        if shown:
            print("\r", end="", file=sys.stderr)
