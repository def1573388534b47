"""Pictures of rejected and reviewed parts, and of a sample of passed ones, as JPEG with the verdict beside them.

Beside a reject or a review also lies, when the model can show it, the picture under a map of where it saw the defect.

Each class has its share of a fixed number of bytes and forgets its own oldest, so that a flood of one never pushes out
another.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event

import cv2
import numpy as np
from numpy.typing import NDArray

from edge import config
from edge.domain import Decision, Image, Part, Verdict
from edge.message import Record

log = logging.getLogger(__name__)

SHARES = {Decision.REJECT: 0.6, Decision.REVIEW: 0.3, Decision.PASS: 0.1}
EXPENDABLE = (Decision.PASS, Decision.REVIEW, Decision.REJECT)
"""In this order they go when other programs fill the disk."""
WAITING = 16
"""Pictures that may wait for a slow disk; what comes on top is left out and counted."""
UNDECIDED = 256
"""Pictures remembered of parts whose verdict is not on disk yet; more pile up only while the journal cannot write."""
TURN_S = 0.25
MAP = ".map.jpg"
RED = (30, 30, 235)
HEAT_AT_MOST = 0.65
"""So much of the red covers the surest place: the picture stays to be seen below."""

Heat = NDArray[np.float32]
Explain = Callable[[Image, str], tuple[Image, Heat] | None]
"""Takes a crop and the `hash8` of the model that judged it; gives the picture as the model was shown it, gray or RGB,
and the probability of a defect at each place of a coarse grid. None when there is nothing to show."""


def picture_name(settings: config.Archive, verdict: Verdict, *, sequence: int, day: str, part_id: str) -> str | None:
    """Where the picture of a part will be, below the archive's folder; None when none is kept of it.

    Says where to look, not that it is there: pictures are left out when the disk is too slow, and forgotten in time.
    """
    sampled = verdict.decision is not Decision.PASS or (settings.pass_every and sequence % settings.pass_every == 0)
    if not (settings.enabled and verdict.views and sampled):
        return None
    return f"{verdict.decision.value}/{day}/{part_id}.jpg"


class ImageArchive:
    """A ring on the disk. `seen` and `committed` never block; `run` is the body of a thread."""

    def __init__(self, settings: config.Archive, folder: Path, explain: Explain = lambda _crop, _hash8: None) -> None:
        """`explain` is called in the thread of `run`. Raises `OSError` when the folder cannot be made."""
        self._settings = settings
        self._explain = explain
        self._folder = folder
        self._crops: dict[int, Image] = {}
        self._waiting: queue.Queue[tuple[bytes, Image]] = queue.Queue(WAITING)
        self._kept: dict[Decision, deque[tuple[str, int]]] = {each: deque() for each in Decision}
        self._bytes = dict.fromkeys(Decision, 0)
        self._failing = ""
        self.left_out = 0
        """Pictures that could not be kept since the start."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"archive {folder}: cannot be made ({error.strerror}); set another archive.folder") from None

    def seen(self, part: Part) -> None:
        """A part is about to be judged; its best view is remembered until `committed`."""
        if part.views:
            self._crops[part.number] = part.views[0].crop
        if len(self._crops) > UNDECIDED:
            self._crops.pop(next(iter(self._crops)), None)

    def committed(self, verdict: Verdict, record: Record) -> None:
        """The verdict on a part that was seen is on disk; its record says whether a picture belongs to it."""
        crop = self._crops.pop(verdict.number, None)
        if crop is None or b'"image":null' in record.payload:
            return
        try:
            self._waiting.put_nowait((record.payload, crop))
        except queue.Full:
            self.left_out += 1

    def run(self, stopping: Event) -> None:
        """Write pictures until `stopping` is set and none waits."""
        self._look_around()
        while not (stopping.is_set() and self._waiting.empty()):
            try:
                payload, crop = self._waiting.get(timeout=TURN_S)
            except queue.Empty:
                continue
            try:
                self._keep(payload, crop)
            except OSError as error:
                self._fail(f"cannot be written ({error.strerror}); free its disk or set another archive.folder")

    def _look_around(self) -> None:
        """Find what earlier runs have left. Names sort by time: the day, then the part's time-ordered id.

        What belongs to no picture was left by a crash in the middle of writing, and goes.
        """
        for decision in Decision:
            for path in sorted((self._folder / decision.value).glob("*/*")):
                picture = path.with_name(path.name.partition(".")[0] + ".jpg")
                if path == picture:
                    size = sum(each.stat().st_size for each in _files(path) if each.exists())
                    self._remember(decision, str(path.relative_to(self._folder)), size)
                elif path.suffix == ".part" or not picture.exists():
                    path.unlink()
            self._shrink(decision, 0)

    def _keep(self, payload: bytes, crop: Image) -> None:
        document = json.loads(payload)
        decision, name = Decision(document["decision"]), document["image"]
        shown = None if decision is Decision.PASS else self._explain(crop, document["model"]["hash8"])
        contents = {".json": payload}
        if shown is not None:
            contents[MAP] = _jpeg(under_heat(*shown), self._settings.quality)
        contents[".jpg"] = _jpeg(crop, self._settings.quality)
        size = sum(map(len, contents.values()))
        self._shrink(decision, size)
        if not self._has_room(size):
            self._fail(f"leaves out pictures: the disk has less than {self._settings.free_mb:g} MB free")
            return
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, content in contents.items():  # the picture last: what has none is not complete
            _place(path.with_suffix(suffix), content)
        self._remember(decision, name, size)
        self._failing = ""

    def _remember(self, decision: Decision, name: str, size: int) -> None:
        self._kept[decision].append((name, size))
        self._bytes[decision] += size

    def _shrink(self, decision: Decision, coming: int) -> None:
        allowed = self._settings.keep_mb * 1e6 * SHARES[decision]
        while self._kept[decision] and self._bytes[decision] + coming > allowed:
            self._forget(decision)

    def _has_room(self, coming: int) -> bool:
        """Whether others leave enough of the disk; what matters least goes first."""
        while shutil.disk_usage(self._folder).free - coming < self._settings.free_mb * 1e6:
            decision = next((each for each in EXPENDABLE if self._kept[each]), None)
            if decision is None:
                return False
            self._forget(decision)
        return True

    def _forget(self, decision: Decision) -> None:
        name, size = self._kept[decision].popleft()
        self._bytes[decision] -= size
        path = self._folder / name
        for each in _files(path):
            each.unlink(missing_ok=True)
        if not any(path.parent.iterdir()):
            path.parent.rmdir()

    def _fail(self, problem: str) -> None:
        self.left_out += 1
        if problem != self._failing:
            log.error("archive %s %s", self._folder, problem)
        self._failing = problem


def under_heat(picture: Image, heat: Heat) -> Image:
    """The picture in gray, BGR, with red over the places that speak for a defect, the stronger the likelier."""
    gray = picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    strength = HEAT_AT_MOST * cv2.resize(heat, gray.shape[::-1], interpolation=cv2.INTER_LINEAR)[:, :, None]
    below = gray[:, :, None].astype(np.float32)
    return np.asarray(below * (1 - strength) + np.array(RED, np.float32) * strength, np.uint8)


def _jpeg(picture: Image, quality: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _files(picture: Path) -> tuple[Path, ...]:
    """The picture and all that may lie beside it."""
    return picture, picture.with_suffix(".json"), picture.with_suffix(MAP)


def _place(path: Path, content: bytes) -> None:
    """Whole or not at all. Not synced: a picture is worth less than the SD card."""
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    os.replace(part, path)
