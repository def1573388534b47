"""Frames are passed over while the belt runs on as ever, and only then; what comes out is the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from threading import Event

import cv2
import numpy as np
import pytest

from edge.assembly import build_tracker
from edge.config import Config, Encoder, Reject, SimulatorSource, Tracking
from edge.domain import Frame, Part
from edge.sources.simulator import Simulator
from edge.tracking import open_tracker
from edge.tracking.attention import LONGEST_S
from edge.tracking.calibrate import calibrate

BELT = SimulatorSource(width_px=320, height_px=240, part_px=56, speed_px_s=130, parts_per_minute=90, fps=50, seed=4)
LEARNED_S = 7.0
"""By then the belt is known, and three parts have passed."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """OpenCV's threads only cost time on pictures this small."""
    cv2.setNumThreads(1)


def filmed(config: SimulatorSource = BELT, seconds: float = 12) -> list[Frame]:
    return list(Simulator(config, paced=False, seconds=seconds).frames(Event()))


def followed(frames: Iterable[Frame], config: Tracking | None = None) -> tuple[list[Part], list[float]]:
    """The parts, and when the frames were taken that were looked at."""
    tracker = open_tracker(config or Tracking())
    parts, looked_s = [], []
    for frame in frames:
        parts += tracker.update(frame)
        if tracker.looked_s == frame.at_s:
            looked_s.append(frame.at_s)
    return parts + tracker.finish(), looked_s


def share_looked(frames: list[Frame], looked_s: list[float], from_s: float, to_s: float) -> float:
    """How many of the frames taken meanwhile were looked at."""
    return sum(from_s <= at_s < to_s for at_s in looked_s) / sum(from_s <= frame.at_s < to_s for frame in frames)


def test_a_belt_that_runs_on_as_ever_is_looked_at_now_and_then_and_gives_the_same_parts() -> None:
    frames = filmed()
    parts, looked_s = followed(frames)
    of_all, all_s = followed(frames, Tracking(look_at="all"))
    assert share_looked(frames, looked_s, 0.0, 2.0) == 1.0
    assert share_looked(frames, looked_s, LEARNED_S, 12.0) < 0.35
    assert np.diff(looked_s).max() < LONGEST_S + 0.01
    assert all_s == [frame.at_s for frame in frames]
    assert [part.at_s for part in parts] == pytest.approx([part.at_s for part in of_all], abs=0.02)
    assert [len(part.views) for part in parts] == [len(part.views) for part in of_all]


def test_a_part_is_settled_no_later_than_the_longest_pause_allows() -> None:
    tracker = open_tracker(Tracking())
    for frame in filmed():
        for part in tracker.update(frame):
            assert part.at_s < 4 or frame.at_s - part.at_s < LONGEST_S + 0.05


def test_a_hand_over_the_belt_is_watched() -> None:
    frames = filmed()
    for frame in frames:
        if 8 < frame.at_s < 9.5:
            frame.image[60:, 130:175] = 170
    _, looked_s = followed(frames)
    assert share_looked(frames, looked_s, LEARNED_S, 8.0) < 0.5
    assert share_looked(frames, looked_s, 8.0 + LONGEST_S, 9.5) > 0.9


def test_a_belt_that_stops_is_watched() -> None:
    running = [frame for frame in filmed() if frame.at_s < 9]
    last = running[-1]
    stands = [replace(last, index=last.index + i, at_s=last.at_s + i / BELT.fps) for i in range(1, 50)]
    _, looked_s = followed([*running, *stands])
    assert share_looked(running, looked_s, LEARNED_S, last.at_s) < 0.5
    assert share_looked(stands, looked_s, last.at_s + LONGEST_S + 0.02, 10.0) == 1.0


def test_what_was_passed_over_is_looked_at_after_all_when_the_next_frame_is_late() -> None:
    """So frames that are lost cost no more than before: the last one that came is known."""
    coming = iter(filmed())
    tracker = open_tracker(Tracking())
    for over in coming:
        tracker.update(over)
        if over.at_s > LEARNED_S and tracker.looked_s < over.at_s:
            break
    late = next(frame for frame in coming if frame.at_s > over.at_s + 0.15)
    tracker.update(late)
    assert [at_s for at_s, _ in tracker.travelled] == [over.at_s, late.at_s]


def test_what_crossed_in_a_frame_that_was_passed_over_comes_out_at_the_end() -> None:
    frames = filmed()
    true_s = [part.at_s for part in followed(frames, Tracking(look_at="all"))[0]]
    for cut_s in np.arange(true_s[-2] + 0.02, true_s[-2] + 0.12, 0.02):
        parts, _ = followed([frame for frame in frames if frame.at_s <= cut_s])
        assert len(parts) == len(true_s) - 1


@pytest.mark.parametrize(
    ("follow", "encoder", "look_at"), [("belt", "none", "all"), ("belt", "gpio", "needed"), ("time", "none", "needed")]
)
def test_every_frame_is_looked_at_where_the_gate_knows_the_belt_from_the_camera_alone(
    follow: str, encoder: str, look_at: str
) -> None:
    """Between two looks the belt's place is an estimate, and a pulse must not hit a neighbour."""
    gate = Config(reject=Reject(enabled=True, follow=follow, distance_px=300), encoder=Encoder(kind=encoder))
    assert build_tracker(gate).config.look_at == look_at
    assert build_tracker(Config()).config.look_at == "needed"


def test_calibration_looks_at_every_frame_and_proposes_to_look_as_needed() -> None:
    proposal = calibrate(filmed(replace(BELT, fps=25), 8))
    assert proposal.understood
    assert proposal.tracking.look_at == "needed"
