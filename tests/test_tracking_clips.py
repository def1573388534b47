"""Real belts, counted the way the product does: calibrate at the given line, then track."""

from __future__ import annotations

import csv
from pathlib import Path
from threading import Event

import pytest

from benchmarks import count_changed, count_clips
from edge.config import ClipSource
from edge.sources.clip import Clip
from edge.tracking import open_tracker
from edge.tracking.calibrate import calibrate


@pytest.mark.parametrize("name", ["rice_package.mp4", "fruit_vegetables.gif", "bolt.gif", "composited_screws.mp4"])
def test_counted_exactly(data: Path, name: str) -> None:
    rows = csv.DictReader((data / "clips" / "ground_truth.csv").open(encoding="utf-8"))
    row = next(row for row in rows if row["file"] == name)
    axis, _, gate = row["line"].partition("=")
    frames = list(Clip(ClipSource(path=str(data / "clips" / name), paced=False)).frames(Event()))
    proposal = calibrate(frames, float(gate), axis)
    assert {"right-to-left": "left", "left-to-right": "right"}[row["direction"]] == proposal.tracking.direction
    tracker = open_tracker(proposal.tracking)
    parts = [part for frame in frames for part in tracker.update(frame)]
    assert len(parts) == int(row["parts_crossing_line"])
    assert [part.reason for part in parts if part.reason] == []
    assert all(part.views for part in parts)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rice_package.mp4", "exposure follows the scene"),
        ("rice_package.mp4", "half the frames"),
        ("bolt.gif", "hand-held 4 px"),
    ],
)
def test_counted_exactly_though_the_light_or_the_camera_is_another(data: Path, name: str, change: str) -> None:
    rows = csv.DictReader((data / "clips" / "ground_truth.csv").open(encoding="utf-8"))
    clip = count_clips.read(data / "clips", next(row for row in rows if row["file"] == name))
    counted, twice, *_ = count_changed.count(clip, change)
    assert (counted, twice) == (clip.true, 0)
