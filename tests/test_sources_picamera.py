"""What can be held without a Raspberry Pi: the buffer, the clock, the controls, and the way out without picamera2."""

import importlib.util
import logging
import time

import cv2
import numpy as np
import pytest

from edge.config import PicameraSource
from edge.domain import SourceError, SourceLost
from edge.sources import open_source
from edge.sources.picamera import FrameClock, Layout, Repeats, controls, unpack

RNG = np.random.default_rng(4)


def planes(bgr: np.ndarray, stride: int, *, interleaved: bool) -> np.ndarray:
    """A picture as a camera leaves it in memory: full range, rows padded to `stride`, rubbish in the padding."""
    height, width = bgr.shape[:2]
    luma, red, blue = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
    half = width // 2, height // 2
    chroma = [cv2.resize(plane, half, interpolation=cv2.INTER_AREA) for plane in (blue, red)]
    padded = RNG.integers(0, 255, (height * 3 // 2, stride), dtype=np.uint8)
    padded[:height, :width] = luma
    if interleaved:
        padded[height:, :width] = cv2.merge(chroma).reshape(height // 2, width)
    else:
        padded[height:].reshape(height, stride // 2)[:, : width // 2] = np.concatenate(chroma)
    return padded


def soft(height: int, width: int) -> np.ndarray:
    """A soft picture from black to white, so that colour at half the size loses little."""
    noise = cv2.GaussianBlur(RNG.uniform(0, 255, (height, width, 3)), (0, 0), 10)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


@pytest.mark.parametrize("stride", [96, 128])
@pytest.mark.parametrize("interleaved", [False, True])
def test_gray_is_the_y_plane_without_its_padding(stride: int, interleaved: bool) -> None:
    bgr = soft(66, 96)
    layout = Layout(width_px=96, height_px=66, interleaved=interleaved)
    gray = unpack(planes(bgr, stride, interleaved=interleaved), layout, color=False)
    assert gray.shape == (66, 96)
    assert gray.flags.c_contiguous
    assert np.array_equal(gray, cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb)[..., 0])


@pytest.mark.parametrize("stride", [96, 128])
@pytest.mark.parametrize("interleaved", [False, True])
def test_color_comes_back_as_it_went_in(stride: int, interleaved: bool) -> None:
    bgr = soft(66, 96)
    layout = Layout(width_px=96, height_px=66, interleaved=interleaved)
    back = unpack(planes(bgr, stride, interleaved=interleaved), layout, color=True)
    assert back.shape == (66, 96, 3)
    assert np.abs(back.astype(int) - bgr).mean() < 2


def boottime_ns(monotonic_s: float) -> int:
    asleep = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return round((monotonic_s + asleep) * 1e9)


def test_the_sensor_decides_when_a_picture_was_taken_and_gaps_show_in_the_number() -> None:
    clock, now = FrameClock(50.0, even=True), time.monotonic()
    taken = [now + offset for offset in (0.0, 0.0201, 0.0399, 0.1199, 0.14)]
    placed = [clock.place(boottime_ns(each), each + 0.015) for each in taken]
    assert [index for index, _ in placed] == [0, 1, 2, 6, 7]
    assert [at_s for _, at_s in placed] == pytest.approx(taken, abs=1e-4)


def test_a_trigger_leaves_no_gaps() -> None:
    clock, now = FrameClock(50.0, even=False), time.monotonic()
    assert [clock.place(boottime_ns(now + each), now + each + 0.01)[0] for each in (0.0, 3.0, 3.5)] == [0, 1, 2]


@pytest.mark.parametrize("taken_ns", [None, 5_000_000, 2**62])
def test_a_stamp_of_another_clock_is_replaced_by_the_arrival(taken_ns: int | None) -> None:
    clock, now = FrameClock(50.0, even=True), 1_000.0
    assert [clock.place(taken_ns, now + each) for each in (0.0, 0.02)] == [(0, now), (1, pytest.approx(now + 0.02))]


def test_time_never_runs_backwards() -> None:
    clock, now = FrameClock(50.0, even=True), 1_000.0
    (_, first), (index, second) = clock.place(None, now), clock.place(None, now - 0.5)
    assert second > first
    assert index == 1


EVERYTHING = dict.fromkeys(("AeEnable", "AnalogueGain", "ExposureTime", "FrameDurationLimits"), (0, 1, 0))


@pytest.mark.parametrize("picture", [soft(64, 96), np.zeros((64, 96), np.uint8)], ids=["hangs", "covered"])
def test_a_camera_that_gives_one_picture_for_ever_is_lost(picture: np.ndarray) -> None:
    repeats = Repeats()
    repeats.check(picture + 1, 0.0)
    for step in range(20):
        repeats.check(picture.copy(), 1 + step / 10)
    with pytest.raises(SourceLost, match="one and the same picture for 2 s"):
        repeats.check(picture.copy(), 3.01)


def test_one_grey_level_in_one_pixel_is_another_picture() -> None:
    repeats, picture = Repeats(), soft(64, 96)
    for step in range(100):
        picture = picture.copy()
        picture[5, 7, 0] ^= 1
        repeats.check(picture, step / 10)
    with pytest.raises(SourceLost):
        for step in range(100, 200):  # and no level is another one
            repeats.check(picture.copy(), step / 10)


def test_a_few_equal_pictures_are_borne_however_far_apart() -> None:
    repeats, picture = Repeats(), soft(64, 96)
    for step in range(5):
        repeats.check(picture.copy(), 10.0 * step)
    with pytest.raises(SourceLost):
        repeats.check(picture.copy(), 50.0)


def test_exposure_gain_and_spacing_are_fixed() -> None:
    assert controls(PicameraSource(fps=40.0, exposure_us=1500, gain=2.0), EVERYTHING) == {
        "FrameDurationLimits": (25000, 25000),
        "ExposureTime": 1500,
        "AnalogueGain": 2.0,
        "AeEnable": False,
    }
    assert controls(PicameraSource(fps=40.0, exposure_us=0, gain=0.0, triggered=True), EVERYTHING) == {}


def test_a_control_that_the_camera_does_not_have_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    known = {"ExposureTime": (1, 2, 1)}
    with caplog.at_level(logging.WARNING):
        assert controls(PicameraSource(), known) == {"ExposureTime": 2000}
    assert "has no control AnalogueGain" in caplog.text
    assert "has no control FrameDurationLimits" in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("picamera2") is not None, reason="picamera2 is installed here")
def test_without_picamera2_it_is_said_how_to_get_it() -> None:
    with pytest.raises(SourceError, match=r"apt install python3-picamera2.*--system-site-packages") as caught:
        open_source(PicameraSource())
    assert "\n" not in str(caught.value)
