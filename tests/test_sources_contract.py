"""One suite for every kind of source that can run without a camera."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.config import ClipSource, SimulatorSource
from edge.domain import Source
from edge.sources import open_source
from edge.sources.clip import Clip
from edge.sources.simulator import Simulator

FPS, FRAMES = 25.0, 26
BELT = SimulatorSource(width_px=160, height_px=120, part_px=40.0, fps=FPS)

Make = Callable[[bool], Source]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same second of belt as a clip and as a folder."""
    root = tmp_path_factory.mktemp("recording")
    (root / "pictures").mkdir()
    clip = cv2.VideoWriter(str(root / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (160, 120), isColor=False)
    for frame in Simulator(BELT, paced=False, seconds=1.0).frames(threading.Event()):
        clip.write(frame.image)
        cv2.imwrite(str(root / "pictures" / f"view{frame.index}.png"), frame.image)
    clip.release()
    return root


@pytest.fixture(params=["simulator", "clip", "folder"])
def make(request: pytest.FixtureRequest, recording: Path) -> Make:
    """Opens the source, paced or not."""
    if request.param == "simulator":
        return lambda paced: Simulator(BELT, paced=paced, seconds=1.0)
    path = recording / ("clip.avi" if request.param == "clip" else "pictures")
    return lambda paced: Clip(ClipSource(path=str(path), paced=paced, fps=FPS))


def test_frames_come_whole_in_order_of_time_and_end(make: Make) -> None:
    frames = list(make(False).frames(threading.Event()))
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.at_s for frame in frames] == pytest.approx([index / FPS for index in range(FRAMES)], abs=1e-6)
    for frame in frames:
        assert frame.image.dtype == np.uint8
        assert frame.image.shape[:2] == (120, 160)


def test_the_same_source_gives_the_same_pictures_again(make: Make) -> None:
    first, second = (list(make(False).frames(threading.Event())) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) and a.at_s == b.at_s for a, b in zip(first, second, strict=True))


def test_a_frame_stays_as_it_was_while_the_next_ones_are_made(make: Make) -> None:
    frames = make(False).frames(threading.Event())
    kept = next(frames)
    copy = kept.image.copy()
    for _ in range(5):
        next(frames)
    assert np.array_equal(kept.image, copy)


def test_paced_frames_keep_the_steady_clock(make: Make) -> None:
    began = time.monotonic()
    late = [time.monotonic() - frame.at_s for frame in make(True).frames(threading.Event())]
    assert 0.95 < time.monotonic() - began < 3.0
    assert min(late) >= 0.0
    assert sorted(late)[len(late) // 2] < 0.1


def test_stopping_ends_it_promptly(make: Make) -> None:
    stopping = threading.Event()
    frames = make(True).frames(stopping)
    next(frames)
    timer = threading.Timer(0.1, stopping.set)
    timer.start()
    began = time.monotonic()
    taken = list(frames)
    assert time.monotonic() - began < 0.6
    assert len(taken) < FRAMES - 5


def test_a_source_that_is_stopped_before_it_begins_gives_nothing(make: Make) -> None:
    stopping = threading.Event()
    stopping.set()
    assert list(make(False).frames(stopping)) == []


def test_the_door_opens_what_the_section_asks_for(recording: Path) -> None:
    assert isinstance(open_source(BELT), Simulator)
    assert isinstance(open_source(ClipSource(path=str(recording / "clip.avi"))), Clip)
