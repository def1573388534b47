"""From wherever a bundle comes to the model that is live: every check in order, and nothing half."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.bundle import Bundle, BundleError, Shelf, Signer, Trust
from edge.changeover.fetch import fetched
from edge.changeover.fit import check_input, check_labels, check_version, trial_budget_ms
from edge.changeover.history import History
from edge.classify.trial import Trial, try_in_child
from edge.config import Config

log = logging.getLogger(__name__)


class Flasher:
    """The shelf of one line with everything a model is held against. One at a time, in whatever process."""

    def __init__(self, config: Config, base: Path, *, say: Callable[[str], None] = lambda _: None) -> None:
        """`base` is the folder that the configuration's paths count from; `say` hears of each step that went well."""
        self._config = config
        self._say = say
        self.shelf = Shelf(base / config.model.shelf)
        keys = base / config.model.keys if config.model.keys else self.shelf.root / "keys"
        self.trust = Trust(keys, unsigned=config.model.unsigned == "allow")
        self.history = History(self.shelf)

    def flash(self, source: str, *, allow_downgrade: bool = False, by: str = "") -> Bundle:
        """Check a bundle and make it live; raises `BundleError`, and then nothing has changed.

        `source`: a folder, archive, stick or address. `by`: who asked for it, for the history.
        """
        self._tidy()
        with self._proven(source, allow_downgrade=allow_downgrade) as proven, self.shelf.locked():
            if not allow_downgrade:
                check_version(proven, self.shelf)
            bundle = Bundle.open(self.shelf.place(proven))
            self._make_live(bundle, "flash", by)
            self._retain()
        return bundle

    def shadow(self, source: str) -> Bundle:
        """Check a bundle and let it judge beside the live one; raises `BundleError`."""
        self._tidy()
        with self._proven(source, allow_downgrade=True) as proven, self.shelf.locked():
            bundle = Bundle.open(self.shelf.place(proven))
            if bundle.folder == self.shelf.linked("current"):
                raise BundleError(f"{bundle.slot}: is live already; shadow another one")
            self.shelf.link("shadow", bundle.folder)
            self.history.note("shadow", bundle.slot)
            self._retain()
        return bundle

    def unshadow(self) -> None:
        """No model judges beside the live one from now on."""
        with self.shelf.locked():
            self.shelf.link("shadow", None)

    def promote(self) -> Bundle:
        """Make the shadow live; raises `BundleError`."""
        with self.shelf.locked():
            slot = self.shelf.linked("shadow")
            if slot is None:
                raise BundleError(f"{self.shelf.root / 'shadow'}: no model is shadowing; linegate models shadow BUNDLE")
            bundle = Bundle.open(slot)
            self.trust.check(bundle)
            self._make_live(bundle, "promote", "")
            self.shelf.link("shadow", None)
        return bundle

    def rollback(self, *, by: str = "", why: str = "") -> Bundle:
        """Make the previous model live again; raises `BundleError`."""
        with self.shelf.locked():
            bundle = self.earlier()
            self.trust.check(bundle)
            self._make_live(bundle, "rollback", by, why)
        return bundle

    def earlier(self) -> Bundle:
        """What was live before, verified; raises `BundleError`.

        Two links cannot change at once: when the power failed between them, the history knows better.
        """
        try:
            return self.shelf.before_current()
        except BundleError:
            current = self.shelf.linked("current")
            for name in self.history.lived():
                slot = self.shelf.root / name
                if slot.is_dir() and slot.resolve() != current:
                    return Bundle.open(slot)
            raise

    def examine(self, folder: Path) -> tuple[Bundle, Signer, Trial]:
        """Every check but the version's; nothing changes. Raises `BundleError`."""
        bundle = Bundle.open(folder)
        signer = self.trust.check(bundle)
        if not signer.name:
            log.warning("%s: is UNSIGNED, and model.unsigned allows it: anybody may have made it", bundle.slot)
        self._say(f"{bundle.slot}: {len(bundle.manifest.files)} files whole, {signer}")
        check_labels(bundle, self._config.model.labels)
        check_input(bundle, self._config)
        model = self._config.model
        if model.delegate == "edgetpu":
            self._say(f"{bundle.edgetpu_model.name}: is there; the daemon tries it on the Edge TPU")
        trial = try_in_child(bundle.folder, model.runtime, model.threads, trial_budget_ms(self._config))
        self._say(str(trial))
        return bundle, signer, trial

    def _tidy(self) -> None:
        with self.shelf.locked():
            self.shelf.tidy()

    @contextmanager
    def _proven(self, source: str, *, allow_downgrade: bool) -> Iterator[Bundle]:
        """A bundle that has passed every check. The shelf is not locked meanwhile: a rollback must not wait."""
        with fetched(source, self.shelf) as folder:
            bundle = Bundle.open(folder)
            self.trust.check(bundle)
            if not allow_downgrade:
                check_version(bundle, self.shelf)
            yield self.examine(folder)[0]

    def _make_live(self, bundle: Bundle, how: str, by: str, why: str = "") -> None:
        """The history is told first: a daemon that sees the link finds there how it came to be."""
        if self.shelf.linked("current") == bundle.folder:
            return
        said = {"by": by, "why": why}
        self.history.note("live", bundle.slot, how=how, **{key: value for key, value in said.items() if value})
        self.shelf.make_live(bundle.folder)

    def _retain(self) -> None:
        for name in self.shelf.retain(self._config.model.keep):
            self._say(f"{name}: removed, because model.keep is {self._config.model.keep}")
