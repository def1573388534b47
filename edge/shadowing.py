"""Which candidate judges beside the live model, as the shelf's `shadow` link says."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event

from edge.bundle import BundleError
from edge.changeover.flash import Flasher
from edge.changeover.observed import Look
from edge.changeover.shadow import Shadow
from edge.engine import Engine, Engines

log = logging.getLogger(__name__)

TURN_S = 0.2


class Shadowing:
    """`offer` is called by the inspecting thread, `work` is the body of a thread, the rest belongs to a third."""

    def __init__(self, engines: Engines, flasher: Flasher, folder: Path, share: float) -> None:
        """`share` of the parts are shown to the candidate; what it says otherwise is kept in `folder`."""
        self._engines = engines
        self._shelf, self._history = flasher.shelf, flasher.history
        self._folder = folder
        self._share = share
        self._refused: Path | None = None
        self.shadow: Shadow | None = None

    def offer(self, look: Look) -> None:
        """The live model has judged a part; the candidate may look at it, too."""
        shadow = self.shadow
        if shadow is not None:
            shadow.offer(look)

    def work(self, stopping: Event) -> None:
        """Let the candidate judge what is offered to it, as long as there is one."""
        while not stopping.is_set():
            shadow = self.shadow
            if shadow is None:
                stopping.wait(TURN_S)
            else:
                shadow.work(TURN_S)

    def follow(self, live: Engine) -> None:
        """Begin and end shadowing as the link says; always on the CPU, for the live model owns the device."""
        slot, shadow = self._shelf.linked("shadow"), self.shadow
        if slot is None or slot == live.bundle.folder:
            self._refused = None
            self.drop()
        elif (shadow is None or shadow.candidate.slot != slot.name) and slot != self._refused:
            self.drop()
            try:
                self._begin(live, self._engines.tried(slot, None))
            except BundleError as error:
                self._refused = slot
                log.error("%s; no model shadows", error)
                self._history.note("refused", slot.name, why=str(error))

    def drop(self) -> None:
        """No model shadows, or another one is live: what was found so far is kept."""
        shadow, self.shadow = self.shadow, None
        if shadow is not None:
            shadow.save()

    def _begin(self, live: Engine, engine: Engine) -> None:
        self.shadow = Shadow(live.side, engine.side, engine.classifier, self._folder, self._share)
        self._history.note("judges", engine.slot, as_shadow=True)
        log.info("%s judges beside %s, without a say", engine.slot, live.slot)
