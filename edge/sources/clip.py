"""Recorded clips (mp4, avi, gif) and folders of pictures."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import cv2
import numpy as np

from edge.config import ClipSource
from edge.domain import Frame, Image, SourceError

log = logging.getLogger(__name__)

PICTURES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shot:
    """One picture of a recording, before it has a place on a clock."""

    at_s: float
    image: Image


class Clip:
    """Frames of a recording: BGR from a video, gray or BGR from a folder, as the files are.

    `paced`: at the speed of the recording, on the clock of `time.monotonic()`; otherwise as fast as they are
    taken, from 0. A video brings its own times; a folder is spaced by `fps`. `repeat` plays it for ever.
    Raises `SourceError` at once for a recording that cannot be read.
    """

    def __init__(self, config: ClipSource) -> None:
        self._config = config
        self._path = Path(config.path)
        if not config.path:
            raise SourceError("source.clip.path: is empty; give a clip (.mp4, .avi, .gif) or a folder of pictures")
        if not self._path.exists():
            raise SourceError(f"{self._path}: no such clip or folder; give one that exists")
        self._pictures = _pictures(self._path) if self._path.is_dir() else None
        if next(self._shots(), None) is None:
            raise SourceError(f"{self._path}: holds no frame that can be decoded; record it anew as .mp4, .avi or .gif")

    def frames(self, stopping: Event) -> Iterator[Frame]:
        """Yield the recording from its beginning, in order of time."""
        origin_s = time.monotonic() if self._config.paced else 0.0
        index, at_s, step_s = 0, origin_s, 1 / self._config.fps
        while True:
            round_s = origin_s if index == 0 else at_s + step_s
            for shot in self._shots():
                step_s = round_s + shot.at_s - at_s or step_s
                at_s = round_s + shot.at_s
                if stopping.is_set() or (self._config.paced and stopping.wait(max(0.0, at_s - time.monotonic()))):
                    return
                yield Frame(index=index, at_s=at_s, image=shot.image)
                index += 1
            if not self._config.repeat:
                return

    def _shots(self) -> Iterator[_Shot]:
        if self._pictures is not None:
            return _from_folder(self._pictures, self._config.fps)
        return _from_video(self._path, self._config.fps)


def _pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, 2.png before 10.png."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES and not path.name.startswith(".")]
    if not found:
        raise SourceError(f"{folder}: holds no pictures; allowed: {' '.join(sorted(PICTURES))}")
    return sorted(found, key=lambda path: [(int(n or 0), word) for n, word in re.findall(r"(\d+)|(\D+)", path.name)])


def _from_folder(pictures: list[Path], fps: float) -> Iterator[_Shot]:
    shape = None
    for number, path in enumerate(pictures):
        image = _picture(path)
        shape = shape or image.shape[:2]
        if image.shape[:2] != shape:
            raise SourceError(
                f"{path}: is {image.shape[1]} x {image.shape[0]} px, the first picture {shape[1]} x {shape[0]};"
                " a line needs pictures of one size"
            )
        yield _Shot(at_s=number / fps, image=image)


def _picture(path: Path) -> Image:
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}); mind its permissions") from None
    image = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR) if data.size else None
    if image is None:
        raise SourceError(f"{path}: is no readable picture; replace it or take it out of the folder")
    return np.asarray(image, dtype=np.uint8)


def _from_video(path: Path, fps: float) -> Iterator[_Shot]:
    """Decode a video; a time that does not advance is replaced by the usual distance between frames."""
    # The decoder writes its own complaints to standard error; the one that matters is raised or logged here.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    chatter = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    cv2.utils.logging.setLogLevel(chatter)
    try:
        if not capture.isOpened():
            raise SourceError(f"{path}: is no readable clip; give .mp4, .avi or .gif, or a folder of pictures")
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        declared = capture.get(cv2.CAP_PROP_FPS)
        step_s = 1 / declared if 0 < declared <= 1000 else 1 / fps
        at_s, count = -step_s, 0
        while True:
            there, image = capture.read()
            if not there or image is None:
                break
            own_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            at_s = own_s if own_s > at_s else at_s + step_s
            count += 1
            yield _Shot(at_s=at_s, image=np.asarray(image, dtype=np.uint8))
        # Some containers only estimate their length, so a frame or two is no reason to speak.
        if count and count < 0.99 * promised - 1:
            log.warning("%s: breaks off after %d of %d frames; what follows is lost", path, count, promised)
    finally:
        capture.release()
