"""`linegate calibrate`: watch ordinary production and propose how to track it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.domain import Frame
    from edge.tracking.calibrate import Proposal


def add(subparsers: Any) -> None:
    """Offer the command."""
    parser = subparsers.add_parser("calibrate", help="propose direction, speed, part size and gate from a clip")
    parser.add_argument("source", help=".mp4, .avi, .gif, a folder of pictures, or `camera`: the configured source")
    parser.add_argument("--gate", type=_gate, default=(None, None), help="where a part counts: x=0.50 or y=0.50")
    parser.add_argument("--config", type=Path, default=None, help="whose source `camera` is; default: config.yaml")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to watch a camera (default 60)")
    parser.add_argument("--write", type=Path, help="write the proposal as configuration, and a picture beside it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was understood and what not; 0 when it can be used, 1 when no moving belt was found."""
    from edge.tracking.calibrate import calibrate, confirm

    frames, repeatable = _frames(args)
    axis, gate = args.gate
    proposal = calibrate(frames(), gate, axis)
    if proposal.understood and repeatable:
        proposal = confirm(proposal, frames())
    print(_told(proposal))
    if proposal.understood and args.write:
        args.write.parent.mkdir(parents=True, exist_ok=True)
        args.write.write_text(_yaml(proposal, args.source), encoding="utf-8")
        picture = args.write.with_suffix(".png")
        _draw(proposal, picture)
        print(f"written: {args.write}, and what was understood as {picture}")
    return 0 if proposal.understood else 1


def _gate(text: str) -> tuple[str | None, float]:
    axis, equals, share = text.rpartition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if axis not in ("x", "y", "") or (equals and not axis) or not 0.05 <= value <= 0.95:
        raise argparse.ArgumentTypeError(f"{text!r} is no gate; write x=0.50 or y=0.50, from 0.05 to 0.95")
    return axis or None, value


def _frames(args: argparse.Namespace) -> tuple[Callable[[], Iterator[Frame]], bool]:
    """What opens the source, and whether it may be opened again."""
    from threading import Event

    from edge.commands.settings import find_config
    from edge.config import ClipSource
    from edge.sources import open_source

    if args.source != "camera":
        source = open_source(ClipSource(path=args.source, paced=False))
        return lambda: source.frames(Event()), True
    config, _ = find_config(args.config)

    def watched() -> Iterator[Frame]:
        stopping, first_s = Event(), None
        for frame in open_source(config.source.chosen).frames(stopping):
            first_s = frame.at_s if first_s is None else first_s
            if frame.at_s - first_s > args.seconds:
                stopping.set()
                return
            yield frame

    return watched, False


def _told(proposal: Proposal) -> str:
    tracking = proposal.tracking
    lines = [f"watched {proposal.frames} frames, {proposal.seconds:.1f} s"]
    if proposal.understood:
        wide, high = proposal.part_px
        lines += [
            f"belt: runs {tracking.direction} at {tracking.speed_px_s:.0f} px/s",
            f"parts: {proposal.parts} passed the gate at {tracking.gate:g}; usually {wide:.0f} x {high:.0f} px;"
            f" against the belt they are: {proposal.polarity}",
            f"region: {list(tracking.region)}; smaller than {tracking.part_min_px:.0f} px is no part",
        ]
    lines += [f"unsure: {doubt}" for doubt in proposal.doubts] or ["nothing to doubt"]
    return "\n".join(lines)


def _yaml(proposal: Proposal, source: str) -> str:
    tracking = proposal.tracking
    lines = [
        f"# Proposed by linegate calibrate from {Path(source).name}:",
        f"# {proposal.parts} parts in {proposal.seconds:.1f} s.",
        *(f"# Unsure: {doubt}" for doubt in proposal.doubts),
        "tracking:",
        f"  direction: {tracking.direction}",
        f"  gate: {tracking.gate:g}",
        f"  region: [{', '.join(f'{share:g}' for share in tracking.region)}]",
        f"  part_min_px: {tracking.part_min_px:.1f}",
        f"  speed_px_s: {tracking.speed_px_s:.1f}",
    ]
    return "\n".join(lines) + "\n"


def _draw(proposal: Proposal, path: Path) -> None:
    """The region in yellow, the gate in blue with an arrow for the way of travel, parts in green."""
    import cv2
    import numpy as np

    if proposal.picture is None:
        return
    shown = proposal.picture if proposal.picture.ndim == 3 else cv2.cvtColor(proposal.picture, cv2.COLOR_GRAY2BGR)
    canvas = np.ascontiguousarray(shown).copy()
    height, width = canvas.shape[:2]
    tracking = proposal.tracking
    left, top, right, bottom = (round(s * n) for s, n in zip(tracking.region, (width, height) * 2, strict=True))
    cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), (0, 220, 255), 2)
    for box in proposal.outlines:
        corner = round(box.left_px + box.width_px), round(box.top_px + box.height_px)
        cv2.rectangle(canvas, (round(box.left_px), round(box.top_px)), corner, (0, 200, 0), 2)
    step = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}[tracking.direction]
    at = round(tracking.gate * (width if step[0] else height))
    begin, end = ((at, 0), (at, height)) if step[0] else ((0, at), (width, at))
    cv2.line(canvas, begin, end, (255, 80, 0), 2)
    middle = (at, height // 2) if step[0] else (width // 2, at)
    length = max(20, min(width, height) // 6)
    tip = middle[0] + step[0] * length, middle[1] + step[1] * length
    cv2.arrowedLine(canvas, middle, tip, (255, 80, 0), 3, tipLength=0.3)
    cv2.imwrite(str(path), canvas)
