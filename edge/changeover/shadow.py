"""A candidate beside the live model: the same parts, no say, and a record of where the two do not agree."""

from __future__ import annotations

import json
import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import InputSpec, prepare
from edge.changeover.observed import Look
from edge.domain import Classifier, ModelFailed, Part, Scores, Verdict

log = logging.getLogger(__name__)

WAITING = 16
"""Parts that wait for the candidate; more are left out, so that it can never slow the line."""
KEPT = 500
"""Disagreements with pictures; later ones are only counted."""
FREE_BYTES = 200 * 1024 * 1024
SAVE_EVERY_S = 5.0


class Decider(Protocol):
    """Scores to a verdict: the judge of one model."""

    def decide(self, part: Part, scores: Scores | None) -> Verdict:
        """Judge one part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two models."""

    slot: str
    judge: Decider
    input: InputSpec


class Shadow:
    """One candidate's work, in `folder`: `summary.json` and a picture of each disagreement.

    `offer` may be called from the inspecting thread; everything else from one other thread.
    """

    def __init__(self, live: Side, candidate: Side, classifier: Classifier, folder: Path, share: float) -> None:
        self.live, self.candidate = live, candidate
        self._classifier = classifier
        self._share = share
        self._folder = folder / f"{candidate.slot}-beside-{live.slot}"
        self._looks: Queue[Look] = Queue(WAITING)
        self._offered = 0
        self._saved_s = 0.0
        self._counts: dict[str, Any] = _read(self._folder / "summary.json") or {
            "schema": "linegate.shadow/1",
            "live": live.slot,
            "candidate": candidate.slot,
            "since": round(time.time(), 3),
            "parts": 0,
            "left_out": 0,
            "unanswered": 0,
            "took_ms": 0.0,
            "table": {},
            "disagreements": 0,
        }

    def offer(self, look: Look) -> None:
        """The live model has judged a part; take it along when its turn is and there is time. Never blocks."""
        self._offered += 1
        if int(self._offered * self._share) == int((self._offered - 1) * self._share):
            return
        try:
            self._looks.put_nowait(look)
        except Full:
            self._counts["left_out"] += 1

    def work(self, timeout_s: float) -> bool:
        """Let the candidate judge one part that waits; whether there was one."""
        try:
            look = self._looks.get(timeout=timeout_s)
        except Empty:
            self.save()
            return False
        self._judge(look)
        if time.monotonic() - self._saved_s > SAVE_EVERY_S:
            self.save()
        return True

    def save(self) -> None:
        """Write the counts down; what cannot be written is only logged."""
        self._saved_s = time.monotonic()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            fresh = self._folder / ".summary"
            fresh.write_text(json.dumps(self._counts, indent=1) + "\n", encoding="utf-8")
            fresh.replace(self._folder / "summary.json")
        except OSError as error:
            log.warning("%s: the shadow's counts cannot be written (%s)", self._folder, error.strerror)

    def _judge(self, look: Look) -> None:
        counts = self._counts
        began_s = time.perf_counter()
        try:
            scores = self._classifier.scores(look.crops)
        except ModelFailed:
            counts["unanswered"] += 1
            return
        counts["took_ms"] += 1000 * (time.perf_counter() - began_s) / len(look.crops)
        counts["parts"] += 1
        part = Part(number=counts["parts"], at_s=0.0, views=())
        said = self.live.judge.decide(part, look.scores), self.candidate.judge.decide(part, scores)
        pair = f"{said[0].decision.value}/{said[1].decision.value}"
        counts["table"][pair] = counts["table"].get(pair, 0) + 1
        if said[0].decision is not said[1].decision:
            counts["disagreements"] += 1
            if counts["disagreements"] <= KEPT:
                self._keep(look, said)
                self.save()

    def _keep(self, look: Look, said: tuple[Verdict, Verdict]) -> None:
        """The part's best view, and what each of the two models was shown of it, with what they said."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self._folder).free < FREE_BYTES:
                return
            name = f"{self._counts['disagreements']:04d}"
            pictures = [look.crops[0], *(_shown(look.crops[0], each.input) for each in (self.live, self.candidate))]
            for kind, picture in zip(("part", "live", "candidate"), pictures, strict=True):
                cv2.imwrite(str(self._folder / f"{name}-{kind}.png"), picture)
            document = {
                kind: {"decision": each.decision.value, "label": each.label, "score": each.score}
                for kind, each in zip(("live", "candidate"), said, strict=True)
            }
            document["at"] = {"s": round(time.time(), 3)}
            (self._folder / f"{name}.json").write_text(json.dumps(document) + "\n", encoding="utf-8")
        except (OSError, cv2.error) as error:
            log.warning("%s: a disagreement cannot be kept (%s)", self._folder, error)


def _shown(crop: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """What a network is shown of a crop, as a picture in gray or BGR."""
    try:
        shown = prepare(crop, spec)[0].view(np.uint8) ^ np.uint8(0x80)
    except ValueError:
        return crop
    return np.ascontiguousarray(shown[:, :, ::-1]) if shown.shape[2] == 3 else shown[:, :, 0]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and document.get("schema") == "linegate.shadow/1" else None
