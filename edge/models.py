"""The daemon's side of the shelf: which model judges, what replaces it between two parts, and how it does there."""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from edge.assembly import open_device
from edge.bundle import Bundle, BundleError
from edge.changeover.drift import Drift
from edge.changeover.fit import budget_ms
from edge.changeover.flash import Flasher
from edge.changeover.observed import Look, Observed, Works
from edge.changeover.presence import present
from edge.changeover.probation import Probation
from edge.config import Config
from edge.domain import Classifier, DelegateError, Verdict
from edge.engine import Engine, Engines
from edge.judge import Judge
from edge.line import Line
from edge.shadowing import Shadowing

log = logging.getLogger(__name__)

TURN_S = 0.05
"""How often the shelf is looked at: a change of the link is two system calls to see."""
NOTE_EVERY_S = 600.0
LOOKS = 32
BEFORE_PARTS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Whom to tell; all of it may be called from any thread."""

    dress: Callable[[Engine, Classifier], Classifier]
    """Put stopwatches around a classifier."""
    live: Callable[[Engine], None]
    """Another model judges from now on."""
    event: Callable[[Mapping[str, str]], None]
    swapped: Callable[[str], None]
    """A change came to an end: `flashed`, `rolled_back` or `refused`."""


class Models:
    """Made by the composition root; `run` and `shadowing.work` are bodies of threads."""

    def __init__(self, config: Config, base: Path, outside: Outside) -> None:
        """Find a model that answers: the live one, or the one before when that is damaged.

        Raises `BundleError` and, where an Edge TPU is configured and not to be used, `DelegateError`.
        """
        self._config = config
        self._outside = outside
        self.flasher = Flasher(config, base)
        self._shelf, self._history = self.flasher.shelf, self.flasher.history
        self._budget_ms = budget_ms(config)
        self._looks: deque[Look] = deque(maxlen=LOOKS)
        self._trouble = ""
        self._untold: Mapping[str, str] = {}
        self._works = Works(self._history)
        self._engines = Engines(config, self.flasher, self._works)
        self.shadowing = Shadowing(
            self._engines, self.flasher, base / config.model.shadow_folder, config.model.shadow_share
        )
        self._device = open_device(config.model, self._trusted())
        self.live = self._first()
        self.drift = Drift(self.live.bundle)
        self._probation = self._unfinished()

    def line(self, build: Callable[[Classifier, Judge], Line]) -> Line:
        """The line with the live model at work in it, which is changed from now on."""
        self._line = build(self._dressed(self.live), self.live.judge)
        self._outside.live(self.live)
        return self._line

    def decided(self, verdict: Verdict) -> None:
        """A verdict was committed."""
        self._works.decided(verdict)

    def run(self, stopping: Event) -> None:
        """Keep the line in step with the shelf until `stopping`."""
        noted_s = time.monotonic()
        with present(self._shelf):
            self._history.note("judges", self.live.slot)
            if self._untold:
                self._outside.event(self._untold)
            while not stopping.wait(TURN_S):
                try:
                    self._follow()
                    self.shadowing.follow(self.live)
                    self._trouble = ""
                except OSError as error:
                    self._complain(error)
                self._look()
                self._watch_device()
                self._watch_over()
                if time.monotonic() - noted_s > NOTE_EVERY_S:
                    noted_s = time.monotonic()
                    self._works.write()
        self._works.write()

    def _trusted(self) -> Bundle | None:
        """The live bundle when nothing speaks against it yet."""
        try:
            bundle = self._shelf.current()
            self.flasher.trust.check(bundle)
        except BundleError:
            return None
        return bundle

    def _first(self) -> Engine:
        with contextlib.suppress(OSError), self._shelf.locked():  # a shelf may be read-only
            self._shelf.tidy()
        try:
            return self._engines.of(self._shelf.current(), self._device)
        except BundleError as error:
            try:
                engine = self._engines.of(self.flasher.earlier(), self._device)
            except BundleError:
                raise error from None
            log.error("%s; the model before it judges instead: %s", error, engine.slot)
            with contextlib.suppress(OSError), self._shelf.locked():
                self._shelf.make_live(engine.bundle.folder)
            self._history.note("live", engine.slot, how="rollback", why=str(error))
            self._outside.swapped("rolled_back")
            self._untold = {"event": "model_rolled_back", "model": engine.slot, "detail": str(error)}
            return engine

    def _dressed(self, engine: Engine) -> Classifier:
        observed = Observed(engine.classifier, engine.work, self._budget_ms, self._show)
        return self._outside.dress(engine, observed)

    def _show(self, look: Look) -> None:
        """In the inspecting thread: leave a part for those who look at it later."""
        self._looks.append(look)
        self.shadowing.offer(look)

    def _follow(self) -> None:
        """Take over what `current` points at now; what cannot judge is not left there."""
        slot = self._shelf.linked("current")
        if slot == self.live.bundle.folder:
            return
        if slot is None and not self.live.bundle.folder.is_dir():
            raise OSError("the folder of the live model is gone")
        try:
            if slot is None:
                raise BundleError(f"{self._shelf.root / 'current'}: points at no model")
            self._change(self._engines.tried(slot, self._device))
        except BundleError as error:
            self._refuse(slot, error)

    def _refuse(self, slot: Path | None, error: BundleError) -> None:
        name = slot.name if slot is not None else "none"
        with self._shelf.locked():
            self._shelf.link("current", self.live.bundle.folder)
        log.error("%s; %s goes on", error, self.live.slot)
        self._history.note("refused", name, why=str(error))
        self._outside.swapped("refused")
        self._outside.event({"event": "model_refused", "model": name, "detail": str(error)})

    def _change(self, engine: Engine) -> None:
        """Between two parts: one assignment, which the inspecting thread reads once for each part."""
        before = self.live
        self._works.write()
        self._works.begin(engine.slot)
        self._line.change(self._dressed(engine), engine.judge)
        self.live, self.drift = engine, Drift(engine.bundle)
        self._looks.clear()
        self.shadowing.drop()
        self._history.note("judges", engine.slot)
        how = self._history.went_live(engine.slot)
        is_back = how.get("how") == "rollback"
        self._probation = None if is_back else self._begun(before.slot)
        self._outside.live(engine)
        self._outside.swapped("rolled_back" if is_back else "flashed")
        why = {"detail": str(how["why"])} if how.get("why") else {}
        event = "model_rolled_back" if is_back else "model_flashed"
        self._outside.event({"event": event, "model": engine.slot, "before": before.slot} | why)
        log.warning("%s judges from now on, in place of %s", engine.slot, before.slot)

    def _begun(self, before: str) -> Probation | None:
        parts = self._config.model.probation_parts
        if not parts:
            return None
        tally = self._history.tally(before, BEFORE_PARTS)
        return Probation(before=tally, parts=parts, budget_ms=self._budget_ms)

    def _unfinished(self) -> Probation | None:
        """After a restart: a model that was still being watched is watched again."""
        slot = self.live.slot
        words = [each for each in self._history.events() if each["slot"] == slot and each["event"] in ("live", "kept")]
        previous = self._shelf.linked("previous")
        if not words or words[-1]["event"] == "kept" or words[-1].get("how") == "rollback" or previous is None:
            return None
        return self._begun(previous.name)

    @property
    def device_up(self) -> float | None:
        """1 while the Edge TPU answers, 0 when it was lost; None without one."""
        return None if self._device is None else float(not self._device.lost)

    def _watch_device(self) -> None:
        """A lost device is opened by a new process only: parts are reviewed until then. Raises `DelegateError`."""
        if self._device is not None and self._device.lost:
            self._outside.event({"event": "tpu_lost", "detail": self._device.lost})
            raise DelegateError(f"the Edge TPU is lost ({self._device.lost}); see to its plug, cable and supply")

    def _complain(self, error: OSError) -> None:
        """A shelf that cannot be read is no reason to stop judging; said once."""
        if str(error) != self._trouble:
            self._trouble = str(error)
            log.error("%s: the shelf cannot be followed (%s); %s goes on", self._shelf.root, error, self.live.slot)

    def _look(self) -> None:
        while self._looks:
            self.drift.look(self._looks.popleft())

    def _watch_over(self) -> None:
        """Send a new model back that does worse than the one before; let one that has shown itself stay."""
        probation, engine = self._probation, self.live
        if probation is None:
            return
        why = probation.worse(engine.work.tally, self.drift.score)
        if why:
            self._watch_device()  # its loss is no fault of the model
            self._probation = None
            self._take_back(why)
        elif probation.over(engine.work.tally):
            self._probation = None
            self._history.note("kept", engine.slot)
            log.info("%s has been watched for %d parts and stays", engine.slot, probation.parts)

    def _take_back(self, why: str) -> None:
        log.error("%s does worse than the model before: %s; it is taken back", self.live.slot, why)
        try:
            self.flasher.rollback(by="probation", why=why)
        except (BundleError, OSError) as error:
            log.error("there is nothing to go back to: %s", error)
            self._outside.event({"event": "model_doubtful", "model": self.live.slot, "detail": why})
