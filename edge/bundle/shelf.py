"""The shelf of models: one folder per bundle, `current` and `previous` as links that change atomically."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.bundle.manifest import Bundle, BundleError

SPARE_BYTES = 16 * 1024 * 1024
"""What must be left on the disk when a bundle stands on it."""


class Shelf:
    """A folder with bundles in it. Every change is complete or did not happen, also when the power fails meanwhile.

    A bundle's folder is written under another name, synced, and renamed; a link is made under another name and renamed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def slots(self) -> list[Path]:
        """All bundles that stand here, by name."""
        if not self.root.is_dir():
            return []
        folders = (each for each in self.root.iterdir() if each.is_dir() and not each.is_symlink())
        return sorted(each for each in folders if not each.name.startswith(".") and (each / "manifest.json").is_file())

    def linked(self, link: str) -> Path | None:
        """The slot that `current`, `previous` or `shadow` points at; None when there is none."""
        path = self.root / link
        return path.resolve() if path.is_symlink() and path.exists() else None

    def current(self) -> Bundle:
        """The live bundle, verified; raises `BundleError`."""
        slot = self.linked("current")
        if slot is None:
            raise BundleError(f"{self.root / 'current'}: no model is live; flash one: linegate models flash BUNDLE")
        return Bundle.open(slot)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes the shelf meanwhile, in whatever process."""
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root / ".lock", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self.entrust(self.root / ".lock")
            yield
        finally:
            os.close(handle)

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """An empty folder on the shelf's disk, gone afterwards; `tidy` leaves it alone while it is in use."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=self.root) as folder:
            handle = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield Path(folder)
            finally:
                os.close(handle)

    def room_for(self, size: int) -> None:
        """Raise `BundleError` unless `size` bytes fit on the shelf's disk with some to spare."""
        self.root.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.root).free
        if free < size + SPARE_BYTES:
            raise BundleError(
                f"{self.root}: has {free >> 20} MiB left, {(size + SPARE_BYTES) >> 20} MiB are needed; free some space"
            )

    def place(self, bundle: Bundle) -> Path:
        """Copy a verified bundle onto the shelf, all of it or nothing; it does not become live yet."""
        slot = self.root / bundle.slot
        if slot.is_dir() and self._is_same(slot, bundle):
            return slot
        names = ["manifest.json", *bundle.manifest.files]
        names += ["signature"] if (bundle.folder / "signature").is_file() else []
        self.room_for(sum((bundle.folder / name).stat().st_size for name in names))
        with self.incoming() as incoming:
            fresh = incoming / bundle.slot
            for name in names:
                (fresh / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.folder / name, fresh / name)
            if Bundle.open(fresh).sha256 != bundle.sha256:
                raise BundleError(f"{bundle.folder}: changed while it was copied; flash it again")
            self.entrust(fresh)
            _sync_tree(fresh)
            if slot.is_dir():
                slot.rename(incoming / "damaged")
            fresh.rename(slot)
            _sync(self.root)
        return slot

    def _is_same(self, slot: Path, bundle: Bundle) -> bool:
        """Whether this bundle stands there already, whole and as well signed; a damaged one is to be replaced."""
        try:
            there = Bundle.open(slot)
        except BundleError:
            return False
        if there.sha256 != bundle.sha256:
            raise BundleError(f"{slot}: another bundle has this name; give the new one another version")
        return _signature(slot) == _signature(bundle.folder)

    def make_live(self, slot: Path) -> None:
        """Point `current` at a slot and `previous` at what was live before."""
        before = self.linked("current")
        if before == slot.resolve():
            return
        if before is not None:
            self.link("previous", before)
        self.link("current", slot)

    def before_current(self) -> Bundle:
        """What a rollback would make live, verified; raises `BundleError`."""
        previous = self.linked("previous")
        if previous is None or previous == self.linked("current"):
            others = ", ".join(each.name for each in self.slots() if each != self.linked("current"))
            what = f"flash one that stands here: {others}" if others else "flash another one first"
            raise BundleError(f"{self.root / 'previous'}: there is no earlier model to go back to; {what}")
        return Bundle.open(previous)

    def retain(self, keep: int) -> list[str]:
        """Remove the oldest slots but `keep`, never one that a link points at; their names."""
        linked = {self.linked(each) for each in ("current", "previous", "shadow")}
        loose = sorted((each for each in self.slots() if each.resolve() not in linked), key=_age)
        removed = loose[: max(0, len(self.slots()) - keep)]
        for slot in removed:
            with self.incoming() as grave:
                slot.rename(grave / "old")
        return [each.name for each in removed]

    def tidy(self) -> None:
        """Remove what an interrupted change has left; only while the shelf is `locked`."""
        for each in self.root.glob(".link-*"):
            each.unlink(missing_ok=True)
        for each in self.root.glob(".incoming-*"):
            if not is_held(each):
                shutil.rmtree(each, ignore_errors=True)

    def link(self, link: str, slot: Path | None) -> None:
        """Let `current`, `previous` or `shadow` point at a slot, or at none."""
        if slot is None:
            (self.root / link).unlink(missing_ok=True)
        else:
            fresh = self.root / f".link-{link}-{os.getpid()}"
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(slot.name)
            fresh.replace(self.root / link)
        _sync(self.root)

    def entrust(self, path: Path) -> None:
        """Give what root has put here to the shelf's owner, the daemon, for reading and for removing."""
        if os.geteuid() != 0:
            return
        owner = self.root.stat()
        for each in [path, *(path.rglob("*") if path.is_dir() else ())]:
            os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)
            if not each.is_symlink():
                each.chmod(0o755 if each.is_dir() else 0o644)


def is_held(path: Path) -> bool:
    """Whether some process holds a lock on a file or folder."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _signature(folder: Path) -> bytes:
    path = folder / "signature"
    return path.read_bytes() if path.is_file() else b""


def _age(slot: Path) -> float:
    return slot.stat().st_mtime


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
