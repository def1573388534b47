"""Models made ready to judge: trusted, tried where nobody has yet, and asked their golden pictures in this process."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from edge.assembly import build_classifier, build_judge
from edge.bundle import Bundle
from edge.changeover.fit import budget_ms, trial_budget_ms
from edge.changeover.flash import Flasher
from edge.changeover.observed import Work, Works
from edge.changeover.shadow import Side
from edge.classify import TfliteClassifier
from edge.classify.edgetpu import EdgeTpu
from edge.classify.golden import check_latency
from edge.classify.trial import try_in_child
from edge.config import Config
from edge.judge import Judge

log = logging.getLogger(__name__)

KNOWN_BY = "live", "shadow", "judges"
"""Words of the history that only a model gets that a command has tried, or that has judged before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A model that is ready to judge, and what it has done."""

    bundle: Bundle
    classifier: TfliteClassifier
    judge: Judge
    work: Work

    @property
    def slot(self) -> str:
        """Its place on the shelf."""
        return self.bundle.slot

    @property
    def side(self) -> Side:
        """As a shadow compares it."""
        return Side(slot=self.slot, judge=self.judge, input=self.bundle.manifest.input)


class Engines:
    """Makes them, all by the same checks."""

    def __init__(self, config: Config, flasher: Flasher, works: Works) -> None:
        self._config = config
        self._flasher = flasher
        self._works = works

    def of(self, bundle: Bundle, device: EdgeTpu | None) -> Engine:
        """A trusted model that has answered its golden pictures in this process; raises `BundleError`."""
        if not self._flasher.trust.check(bundle).name:
            log.warning("%s: is UNSIGNED, and model.unsigned allows it: anybody may have made it", bundle.slot)
        classifier = build_classifier(self._config.model, bundle, device)
        return Engine(bundle=bundle, classifier=classifier, judge=build_judge(bundle), work=self._works.of(bundle.slot))

    def tried(self, slot: Path, device: EdgeTpu | None) -> Engine:
        """A model that a link points at now; one that was put there by hand has its trial first.

        Raises `BundleError`.
        """
        bundle = Bundle.open(slot)
        self._flasher.trust.check(bundle)
        if not self._is_proven(bundle.slot):
            model = self._config.model
            try_in_child(slot, model.runtime, model.threads, trial_budget_ms(self._config))
        engine = self.of(bundle, device)
        if device is not None:
            check_latency(engine.classifier, bundle, budget_ms(self._config))
        return engine

    def _is_proven(self, slot: str) -> bool:
        return any(each["event"] in KNOWN_BY and each["slot"] == slot for each in self._flasher.history.events())
