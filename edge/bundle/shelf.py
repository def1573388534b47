"""The shelf of models: one folder per bundle, `current` and `previous` as links that change atomically."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from edge.bundle.manifest import Bundle, BundleError


class Shelf:
    """A folder with bundles in it. Every change is complete or did not happen."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def slots(self) -> list[Path]:
        """All bundles that stand here, by name."""
        if not self.root.is_dir():
            return []
        folders = (each for each in self.root.iterdir() if each.is_dir() and not each.is_symlink())
        return sorted(each for each in folders if not each.name.startswith(".") and (each / "manifest.json").is_file())

    def linked(self, link: str) -> Path | None:
        """The slot that `current` or `previous` points at; None when there is none."""
        path = self.root / link
        return path.resolve() if path.is_symlink() and path.exists() else None

    def current(self) -> Bundle:
        """The live bundle, verified; raises `BundleError`."""
        slot = self.linked("current")
        if slot is None:
            raise BundleError(f"{self.root / 'current'}: no model is live; flash one: linegate models flash BUNDLE")
        return Bundle.open(slot)

    def place(self, bundle: Bundle) -> Path:
        """Copy a verified bundle onto the shelf, all of it or nothing; it does not become live yet."""
        slot = self.root / bundle.slot
        if slot.is_dir():
            Bundle.open(slot)
            return slot
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self.root) as incoming:
            fresh = Path(incoming) / bundle.slot
            for name in ("manifest.json", *bundle.manifest.files):
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.folder / name, fresh / name)
            signature = bundle.folder / "signature"
            if signature.is_file():
                shutil.copyfile(signature, fresh / "signature")
            _sync_tree(fresh)
            if Bundle.open(fresh).hash8 != bundle.hash8:
                raise BundleError(f"{bundle.folder}: changed while it was copied; flash it again")
            fresh.rename(slot)
        _sync(self.root)
        return slot

    def make_live(self, slot: Path) -> None:
        """Point `current` at a slot and `previous` at what was live before."""
        before = self.linked("current")
        if before == slot.resolve():
            return
        if before is not None:
            self._link("previous", before)
        self._link("current", slot)

    def rollback(self) -> Bundle:
        """Make `previous` live again, verified first; the two change places. Raises `BundleError`."""
        previous = self.linked("previous")
        if previous is None:
            raise BundleError(f"{self.root / 'previous'}: there is no earlier model to go back to")
        bundle = Bundle.open(previous)
        self.make_live(previous)
        return bundle

    def _link(self, link: str, slot: Path) -> None:
        fresh = self.root / f".{link}-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(slot.name)
        fresh.replace(self.root / link)
        _sync(self.root)


def _sync_tree(folder: Path) -> None:
    for each in sorted(folder.rglob("*")):
        _sync(each)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
