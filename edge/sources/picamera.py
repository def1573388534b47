"""A Raspberry Pi camera through picamera2: fixed exposure, even spacing, and no frame held longer than a copy takes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import PicameraSource
from edge.domain import Frame, Image, SourceError, SourceLost

log = logging.getLogger(__name__)

BUFFERS = 6
SLICE_S = 0.2
"""The longest wait before looking whether to stop."""

REPEATS, REPEATS_S = 5, 2.0
"""A picture that comes so often again, and for so long, comes from no sensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What the camera really delivers, read back after it was configured."""

    width_px: int
    height_px: int
    interleaved: bool = False
    """U and V by turns below the Y plane (NV12), not one plane after the other (YUV420)."""


class Picamera:
    """Frames of a camera that libcamera knows, gray or BGR.

    `Frame.at_s` is when the sensor took the picture; `Frame.index` counts pictures that were missed too.
    Raises `SourceError` when picamera2 is not there, `SourceLost` when the camera is not, or falls silent.
    """

    def __init__(self, config: PicameraSource) -> None:
        self._config = config
        self._camera_class = _picamera2()

    def frames(self, stopping: Event) -> Iterator[Frame]:
        """Yield pictures until `stopping` is set; the camera is closed however this ends."""
        clock, repeats = FrameClock(self._config.fps, even=not self._config.triggered), Repeats()
        with _opened(self._camera_class, self._config) as camera:
            layout = _configured(camera, self._config)
            for picture, taken_ns in _pictures(camera, self._config, stopping):
                index, at_s = clock.place(taken_ns, time.monotonic())
                image = unpack(picture, layout, color=self._config.color)
                repeats.check(image, at_s)
                yield Frame(index=index, at_s=at_s, image=image)


class FrameClock:
    """From sensor timestamps to steady seconds and to numbers that show gaps."""

    def __init__(self, fps: float, *, even: bool) -> None:
        """`even`: pictures come at this rate by themselves; otherwise a trigger decides and gaps say nothing."""
        self._period_s = 1 / fps
        self._even = even
        self._index = -1
        self._last_s = 0.0

    def place(self, taken_ns: int | None, now_s: float) -> tuple[int, float]:
        """`(index, at_s)` on `time.monotonic()`; libcamera stamps on CLOCK_BOOTTIME, which also runs in suspend."""
        asleep_s = time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
        at_s = now_s if taken_ns is None else taken_ns / 1e9 - asleep_s
        if not -5.0 < at_s - now_s <= 0.01:
            # A driver that stamps on a clock of its own: arrival is late by the readout, but steady.
            at_s = now_s
        if self._index < 0:
            self._index = 0
        else:
            at_s = max(at_s, self._last_s + 1e-6)
            self._index += max(1, round((at_s - self._last_s) / self._period_s)) if self._even else 1
        self._last_s = at_s
        return self._index, at_s


class Repeats:
    """Notices a camera that gives one and the same picture: to the tracker that is a belt that stands, and is no fault.

    Noise makes every picture that a sensor takes another one, except in the dark.
    """

    def __init__(self) -> None:
        self._picture: Image | None = None
        self._since_s, self._again = 0.0, 0

    def check(self, image: Image, at_s: float) -> None:
        """Raise `SourceLost` when nothing but this picture has come for long, to the last pixel."""
        if self._picture is None or not _same(image, self._picture):
            self._picture, self._since_s, self._again = image, at_s, 0
            return
        self._again += 1
        if self._again >= REPEATS and at_s - self._since_s >= REPEATS_S:
            raise SourceLost(f"one and the same picture for {REPEATS_S:.0f} s; it hangs, or its lens is covered")


def _same(one: Image, other: Image) -> bool:
    """Whether two pictures are equal; one pixel in 256 mostly says that they are not."""
    return np.array_equal(one[::16, ::16], other[::16, ::16]) and np.array_equal(one, other)


def unpack(planes: NDArray[np.uint8], layout: Layout, *, color: bool) -> Image:
    """The picture in a full-range buffer of shape `(height * 3 / 2, at least width)`: its Y plane, or BGR."""
    luma = planes[: layout.height_px, : layout.width_px]
    if not color:
        return np.ascontiguousarray(luma)
    size = layout.width_px, layout.height_px
    blue, red = (cv2.resize(np.ascontiguousarray(plane), size) for plane in _chroma(planes, layout))
    # OpenCV's own conversions from YUV expect limited range; of the full-range ones there is only this.
    return np.asarray(cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2BGR), dtype=np.uint8)


def _chroma(planes: NDArray[np.uint8], layout: Layout) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """U and V at half the size."""
    below, half = planes[layout.height_px :], layout.height_px // 2
    if layout.interleaved:
        return below[:, : layout.width_px : 2], below[:, 1 : layout.width_px : 2]
    rows = below.reshape(layout.height_px, -1)[:, : layout.width_px // 2]
    return rows[:half], rows[half:]


def controls(config: PicameraSource, known: dict[str, tuple[Any, Any, Any]]) -> dict[str, Any]:
    """What to set, as far as this camera knows it; `known` is picamera2's `camera_controls`."""
    wanted: dict[str, Any] = {}
    if not config.triggered:
        period_us = round(1_000_000 / config.fps)
        wanted["FrameDurationLimits"] = (period_us, period_us)
    if config.exposure_us:
        wanted["ExposureTime"] = config.exposure_us
    if config.gain:
        wanted["AnalogueGain"] = config.gain
    if config.exposure_us and config.gain:
        wanted["AeEnable"] = False
    for name in sorted(wanted.keys() - known.keys()):
        log.warning("source.picamera: camera %d has no control %s; it stays as it is", config.index, name)
    return {name: value for name, value in wanted.items() if name in known}


def _picamera2() -> Any:
    try:
        from picamera2 import Picamera2
    except (ImportError, ValueError) as error:
        # ValueError: a module of the system was built for another major version of numpy.
        raise SourceError(
            f"source.kind: picamera needs picamera2, which does not load ({error}); sudo apt install python3-picamera2"
            " and make the environment with python3 -m venv --system-site-packages"
        ) from None
    return Picamera2


@contextmanager
def _opened(camera_class: Any, config: PicameraSource) -> Iterator[Any]:
    found = len(camera_class.global_camera_info())
    if config.index >= found:
        raise SourceLost(
            f"source.picamera.index: no camera {config.index}, {found} found; check cable and rpicam-hello"
        )
    # In two steps, for a camera that does not open leaves a pipe behind, and it is tried again and again.
    camera = camera_class.__new__(camera_class)
    try:
        camera.__init__(config.index)
    except (RuntimeError, IndexError) as error:
        os.close(camera.notifyme_w)
        # picamera2 wraps what libcamera said in words that tell nothing.
        reason = error.__cause__ or error
        raise SourceLost(f"camera {config.index} does not open ({reason}); does another program use it?") from None
    try:
        yield camera
    finally:
        # A job that still waits for a picture would keep close() waiting for ever when the camera is dead.
        camera.cancel_all_and_flush()
        camera.close()


def _configured(camera: Any, config: PicameraSource) -> Layout:
    """Configure and start; without the queue each picture is the next one taken, never one that lay about."""
    from libcamera import ColorSpace

    wanted = camera.create_video_configuration(
        main={"format": "YUV420", "size": (config.width_px, config.height_px)},
        # Full range, as pictures in files are; what picamera2 has for videos squeezes gray into 16 to 235.
        colour_space=ColorSpace.Sycc(),
        buffer_count=BUFFERS,
        queue=False,
        controls=controls(config, camera.camera_controls),
    )
    try:
        camera.configure(wanted)
        layout = _layout(camera.camera_configuration()["main"], config)
        camera.start()
    except RuntimeError as error:
        raise SourceLost(f"camera {config.index} does not start ({error})") from None
    return layout


def _layout(main: dict[str, Any], config: PicameraSource) -> Layout:
    """What picamera2 says the main stream became; libcamera adjusts what it cannot do."""
    width, height = main["size"]
    if main["format"] not in ("YUV420", "NV12"):
        raise SourceError(
            f"source.picamera: camera {config.index} gives {main['format']}, not YUV420; use another camera"
        )
    if (width, height) != (config.width_px, config.height_px):
        log.warning("source.picamera: the camera gives %d x %d px instead of what was configured", width, height)
    return Layout(width_px=width, height_px=height, interleaved=main["format"] == "NV12")


def _pictures(camera: Any, config: PicameraSource, stopping: Event) -> Iterator[tuple[NDArray[np.uint8], int | None]]:
    """Copies of the planes, with the sensor's timestamp; one request is always on order, so that none is missed."""
    silence_s = max(2.0, 5 / config.fps)
    job = camera.capture_request(wait=False)
    try:
        while (request := _arrived(camera, job, stopping, None if config.triggered else silence_s)) is not None:
            job = camera.capture_request(wait=False)
            try:
                picture, taken_ns = request.make_array("main"), request.get_metadata().get("SensorTimestamp")
            finally:
                request.release()
            yield picture, taken_ns
    finally:
        _give_back(camera, job)


def _arrived(camera: Any, job: Any, stopping: Event, silence_s: float | None) -> Any:
    """The request that a job waits for; `None` when it is time to stop. The job outlives a timeout of its wait."""
    patient_until = None if silence_s is None else time.monotonic() + silence_s
    while not stopping.is_set():
        try:
            return camera.wait(job, timeout=SLICE_S)
        except TimeoutError:
            if patient_until is not None and time.monotonic() > patient_until:
                raise SourceLost(f"no picture for {silence_s:.1f} s; check the cable and dmesg") from None
    return None


def _give_back(camera: Any, job: Any) -> None:
    """A picture that arrived when nobody wanted it any more must still be released."""
    try:
        camera.wait(job, timeout=0).release()
    except (TimeoutError, CancelledError):
        return
