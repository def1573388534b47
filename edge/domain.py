"""The nouns of an inspection line. Frozen, dependency-free, with the unit in each name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from threading import Event
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Gray `(height, width)` or BGR `(height, width, 3)`, 0 to 255. Whoever receives one only reads it."""


class Decision(StrEnum):
    """What becomes of a part. REVIEW is the fail-safe: it never means "probably good"."""

    PASS = "pass"
    REJECT = "reject"
    REVIEW = "review"

    @property
    def evaluation(self) -> int:
        """The `resultEvaluation` of OPC 40100: 1 OK, 2 NotOK, 3 NotDecidable."""
        return {"pass": 1, "reject": 2, "review": 3}[self.value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One picture from a source."""

    index: int
    """Counts every picture the source took, so that a gap shows how many were dropped."""
    at_s: float
    """When the picture was taken, on the source's steady clock (a live source: `time.monotonic()`)."""
    image: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An upright rectangle in pixels of the full-size frame. It may reach beyond the picture."""

    left_px: float
    top_px: float
    width_px: float
    height_px: float

    @property
    def center_px(self) -> tuple[float, float]:
        """`(x, y)` of the middle."""
        return self.left_px + self.width_px / 2, self.top_px + self.height_px / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One look at a part: a square crop with a margin, copied out of its frame."""

    crop: Image
    box: Box
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One physical part whose centre has reached the gate (or was lost on its way there)."""

    number: int
    """1, 2, 3 … in the order of arrival at the gate."""
    at_s: float
    """When its centre crossed the gate, on the clock of the frames."""
    views: tuple[View, ...]
    """The best looks at it, best first; empty when there was none to be had."""
    reason: str = ""
    """Why it cannot be judged by its views; a part with a reason becomes REVIEW."""
    speed_px_s: float = 0.0
    """Belt speed at the crossing, along the direction of travel."""
    ahead_px: float = 0.0
    """At `at_s` it still had so far to go to the gate, where it was never seen to arrive."""
    center_px: tuple[float, float] = (0.0, 0.0)
    """Where its centre was, `(x, y)`, in the frame that settled the crossing."""
    is_against: bool = False
    """It is on a lane that runs against the one whose way the tracker tells as `travelled`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """A stretch of time in which parts may have passed the gate without being followed."""

    from_s: float
    to_s: float
    """On the clock of the frames, when that stretch of belt passed the gate."""
    reason: str
    """Why, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What the model said: raw int8 outputs, one row per usable view, one column per label."""

    outputs: NDArray[np.int8]
    unusable: str = ""
    """Why a view has no row; empty when each has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelId:
    """Which model it was."""

    name: str
    version: str
    hash8: str

    @property
    def slot(self) -> str:
        """Its place on the shelf."""
        return f"{self.name}-{self.hash8}"


NO_MODEL = ModelId(name="none", version="0", hash8="00000000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The one decision about one part."""

    number: int
    decision: Decision
    label: str
    """The class that speaks loudest; empty when nothing was classified."""
    reason: str
    """Why the decision is REVIEW; empty otherwise."""
    score: float
    """Probability of a defect after fusing the views, 0 to 1."""
    limits: tuple[float, float]
    """`(pass, reject)` on the scale of `score`: pass at or below the first, reject at or above the second."""
    views: int
    captured_at_s: float
    """When the part's centre crossed the gate, on the clock of the frames."""
    speed_px_s: float = 0.0
    model: ModelId = NO_MODEL
    """Whose operating point and, where there are views, whose answers it rests on."""


class SourceLost(Exception):
    """The camera or stream is gone for now; whoever pumps it may open it again."""


class SourceError(Exception):
    """This source can never deliver: one line that says what, where and what to do."""


class ModelFailed(Exception):
    """The model did not answer for a part; that part becomes REVIEW."""

    reason = "the model did not answer"


class DeviceLost(ModelFailed):
    """The device that runs the model answers no more."""

    reason = "the Edge TPU did not answer"


class DelegateError(Exception):
    """The device that should run the model cannot be used: one line that says what, where and what to do."""


class SinkDown(Exception):
    """A receiver cannot take a verdict now; nothing was lost."""


class Source(Protocol):
    """Where frames come from. Ends when `stopping` is set or the input ends; raises `SourceLost`."""

    def frames(self, stopping: Event) -> Iterator[Frame]:
        """Yield frames in order of time."""


class Tracker(Protocol):
    """What turns frames into parts, each exactly once."""

    def update(self, frame: Frame) -> list[Part]:
        """Take one frame; give the parts that are settled by it."""

    def finish(self) -> list[Part]:
        """No frame comes any more: the parts that had crossed the gate and were not settled yet.

        What is still before the gate has not passed, and is not given.
        """

    @property
    def lapses(self) -> tuple[Lapse, ...]:
        """What the latest `update` or `finish` found that nobody can answer for."""

    @property
    def entered(self) -> int:
        """Parts noticed so far, settled or still on the way; never less than before, nor than the parts given."""

    @property
    def outlines(self) -> tuple[Box, ...]:
        """Where parts are in the latest frame, for people to look at."""

    @property
    def travelled(self) -> tuple[tuple[float, float], ...]:
        """How far the belt had come, `(at_s, px)`, in each frame that the latest update went through.

        Pixels of the full picture along the travel, falling when the belt runs back; nothing while that is unknown.
        """

    @property
    def looked_s(self) -> float:
        """When the latest frame was taken that was looked at; those since were passed over, which settles no part."""

    @property
    def speed_px_s(self) -> float:
        """The belt's usual speed; 0 until it is known."""


class Classifier(Protocol):
    """A model that answers. Called from one thread only."""

    def scores(self, crops: Sequence[Image]) -> Scores:
        """Classify each crop, best view first; raises `ModelFailed`."""
