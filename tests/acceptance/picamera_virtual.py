"""Linegate's camera source on the real picamera2 and libcamera; picamera-virtual.sh runs it."""

from __future__ import annotations

import gc
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from threading import Event, Timer

import cv2
import numpy as np
import virtual_camera

from edge.config import PicameraSource
from edge.domain import Frame, Image, SourceLost
from edge.sources import open_source

WIDTH_PX, HEIGHT_PX = virtual_camera.SIZES[0]
PATIENCE_S = 5.0
"""How long the source waits for a picture of a camera that should give them by itself: five periods, so that a
pause of a busy machine is not taken for a dead camera."""
SMALL = PicameraSource(width_px=WIDTH_PX, height_px=HEIGHT_PX, fps=5 / PATIENCE_S, exposure_us=0, gain=0.0)
SLOW_S = 3.0
"""What a busy machine may take beyond what the code asks for."""


def taken(config: PicameraSource, count: int) -> list[Frame]:
    with closing(open_source(config).frames(Event())) as frames:  # type: ignore[type-var]
        return list(islice(frames, count))


@contextmanager
def streaming(config: PicameraSource) -> Iterator[tuple[Iterator[Frame], Event]]:
    """Frames that flow already, and what stops them."""
    stopping = Event()
    with closing(open_source(config).frames(stopping)) as frames:  # type: ignore[type-var]
        for _ in range(5):
            next(frames)
        yield frames, stopping


def distances(image: Image, pictures: list[Image]) -> list[float]:
    """Mean difference of an image to each of the pictures that were fed, in levels."""
    return [cv2.norm(image, picture, cv2.NORM_L1) / image.size for picture in pictures]


def frames_are_the_pictures_fed(fed: list[Image]) -> str:
    """Size, content and order of time of 300 gray frames, which 6 buffers give only if each comes back."""
    gray = [np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), dtype=np.uint8) for picture in fed]
    began = time.monotonic()
    frames = taken(SMALL, 300)
    ended = time.monotonic()
    slowest_s = max(b.at_s - a.at_s for a, b in pairwise(frames))
    assert len(frames) == 300
    assert all(frame.image.shape == (HEIGHT_PX, WIDTH_PX) and frame.image.dtype == np.uint8 for frame in frames)
    apart = [distances(frame.image, gray) for frame in frames]
    assert max(min(each) for each in apart) < 1.0, max(min(each) for each in apart)
    assert {int(np.argmin(each)) for each in apart} == set(range(len(fed)))
    assert min(sorted(each)[1] for each in apart) > 10.0, "the pictures are too alike for this to prove anything"
    assert all(a.at_s < b.at_s and a.index < b.index for a, b in pairwise(frames))
    assert began < frames[0].at_s
    assert frames[-1].at_s < ended
    worst = max(min(each) for each in apart)
    return (
        f"{len(frames)} frames in {ended - began:.1f} s, at most {slowest_s:.2f} s apart and"
        f" {worst:.2f} levels from the picture fed"
    )


def a_frame_stays_as_it_was(fed: list[Image]) -> str:
    """The camera writes its buffers again and again; a frame that was handed out must not change with them."""
    with streaming(SMALL) as (frames, _):
        kept = next(frames)
        copy = kept.image.copy()
        for _ in range(40):
            next(frames)
        assert np.array_equal(kept.image, copy)
    return "unchanged after 40 more"


def color_is_the_color_fed(fed: list[Image]) -> str:
    frames = taken(replace(SMALL, color=True), 40)
    assert all(frame.image.shape == (HEIGHT_PX, WIDTH_PX, 3) for frame in frames)
    worst = max(min(distances(frame.image, fed)) for frame in frames)
    assert worst < 3.0, worst
    return f"at most {worst:.2f} levels from the picture fed"


def a_size_the_camera_has_not_is_said_and_kept_true(fed: list[Image]) -> str:
    (frame,) = taken(replace(SMALL, width_px=352, height_px=200), 1)
    height, width = frame.image.shape
    assert (width, height) in virtual_camera.SIZES
    gray = np.asarray(cv2.cvtColor(cv2.resize(fed[0], (width, height)), cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    assert distances(frame.image, [gray])[0] < 3.0
    return f"352 x 200 px became {width} x {height} px"


def stop_returns_at_once_while_pictures_come(fed: list[Image]) -> str:
    with streaming(SMALL) as (frames, stopping):
        began = time.monotonic()
        stopping.set()
        rest = list(frames)
        took_s = time.monotonic() - began
    assert len(rest) <= 1
    assert took_s < SLOW_S
    return f"{took_s:.2f} s"


def stop_returns_at_once_while_none_comes(fed: list[Image]) -> str:
    with streaming(SMALL) as (frames, stopping):
        camera_class.latest.silent = True
        Timer(0.5, stopping.set).start()
        began = time.monotonic()
        for _ in frames:
            continue
        took_s = time.monotonic() - began
    assert took_s < 0.5 + SLOW_S
    return f"{took_s:.2f} s, 0.50 of them before the stop"


def silence_is_loss(fed: list[Image]) -> str:
    with streaming(SMALL) as (frames, _):
        camera_class.latest.silent = True
        said, took_s = lost_with(frames)
    assert f"no picture for {PATIENCE_S:.1f} s" in said
    assert PATIENCE_S * 0.9 < took_s < PATIENCE_S + SLOW_S
    assert len(taken(SMALL, 10)) == 10, "it opens again"
    return f"after {took_s:.1f} s: {said}"


def a_triggered_camera_may_be_silent(fed: list[Image]) -> str:
    triggered = replace(SMALL, triggered=True)
    with streaming(triggered) as (frames, stopping):
        camera_class.latest.silent = True
        Timer(PATIENCE_S * 1.5, stopping.set).start()
        began = time.monotonic()
        rest = list(frames)
        assert time.monotonic() - began > PATIENCE_S * 1.4
        assert len(rest) <= 1
    return f"no loss in {PATIENCE_S * 1.5:.0f} s"


def a_camera_that_vanishes_is_lost(fed: list[Image]) -> str:
    """libcamera stops beneath picamera2, whose thread then fails when it gives a buffer back."""
    with streaming(SMALL) as (frames, _):
        camera_class.latest.camera.stop()
        said, took_s = lost_with(frames)
    assert took_s < PATIENCE_S + SLOW_S
    assert len(taken(SMALL, 10)) == 10, "it opens again"
    return f"after {took_s:.1f} s: {said}"


def lost_with(frames: Iterator[Frame]) -> tuple[str, float]:
    """What the loss says and how long it took."""
    began = time.monotonic()
    try:
        for _ in frames:
            continue
    except SourceLost as lost:
        return str(lost), time.monotonic() - began
    raise AssertionError("the stream ended without a word")


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def a_camera_in_use_is_lost_and_the_user_keeps_it(fed: list[Image]) -> str:
    with streaming(SMALL) as (frames, _):
        before = open_files()
        for _ in range(5):
            said, _ = lost_with(open_source(SMALL).frames(Event()))
            assert "Device or resource busy" in said, said
        assert open_files() == before, f"{before} files were open, now {open_files()}"
        assert len(list(islice(frames, 10))) == 10
    return said


def a_camera_that_is_not_there_is_lost(fed: list[Image]) -> str:
    said, _ = lost_with(open_source(replace(SMALL, index=5)).frames(Event()))
    assert "no camera 5, 1 found" in said
    return said


def opening_again_leaves_nothing_behind(fed: list[Image]) -> str:
    taken(SMALL, 5)
    before = open_files()
    for _ in range(10):
        taken(SMALL, 5)
    after = open_files()
    assert after == before, f"{before} files were open, now {after}"
    return f"{before} open files, after 10 openings {after}"


CHECKS = (
    frames_are_the_pictures_fed,
    a_frame_stays_as_it_was,
    color_is_the_color_fed,
    a_size_the_camera_has_not_is_said_and_kept_true,
    stop_returns_at_once_while_pictures_come,
    stop_returns_at_once_while_none_comes,
    silence_is_loss,
    a_triggered_camera_may_be_silent,
    a_camera_that_vanishes_is_lost,
    a_camera_in_use_is_lost_and_the_user_keeps_it,
    a_camera_that_is_not_there_is_lost,
    opening_again_leaves_nothing_behind,
)

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="  %(name)s: %(message)s")
    fed = virtual_camera.feed(Path("/tmp/pictures"), 5)
    camera_class = virtual_camera.install()
    for check in CHECKS:
        print(f"{check.__name__}: {check(fed)}", flush=True)
