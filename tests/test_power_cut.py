"""The process is killed, or the power fails, before every single step on the disk: then a whole model judges."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import repack

from edge.bundle import readable_image
from edge.changeover import Flasher, flash
from edge.classify.trial import Trial
from edge.config import Config, Model
from edge.models import Models, Outside

pytestmark = pytest.mark.wall_clock

WATCHED = {"os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.truncate"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ALL_DONE = 7
OUTSIDE = Outside(
    dress=lambda _, classifier: classifier, live=lambda _: None, event=lambda _: None, swapped=lambda _: None
)


@pytest.fixture
def base(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a shelf on which the shipped model is live, and two more bundles beside it.

    In memory where that can be had: hundreds of real syncs would take minutes and prove nothing more.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        _furnish(Path(folder), shipped, monkeypatch)
        yield Path(folder)


def _furnish(base: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = Trial(slot="", backend="", pictures=0, off_steps=0, latency_ms=0.0)
    monkeypatch.setattr(flash, "try_in_child", lambda *_: done)  # it only reads, and takes most of the time
    shelf = base / "shelf"
    shutil.copytree(shipped, shelf / shipped.name)
    shutil.copytree(shipped.parent / "keys", shelf / "keys")
    (shelf / "current").symlink_to(shipped.name)
    for version in ("2.0", "3.0"):
        folder = Path(shutil.copytree(shipped, base / version))
        (folder / "signature").unlink()
        repack(folder, lambda document, version=version: document.update(version=version))


def config(**model: int) -> Config:
    return Config(model=Model(shelf="shelf", unsigned="allow", **model))


class Fuse:
    """Ends this process just before the n-th step that changes the disk below a folder.

    With `power`, what was written there but not synced is lost first: names are there, contents are not.
    """

    def __init__(self, folder: Path, steps: int, *, power: bool) -> None:
        self._folder = str(folder)
        self._left = steps
        self._power = power
        self._before = {each.stat().st_ino: each.stat().st_size for each in folder.rglob("*") if each.is_file()}
        self._synced: set[int] = set()
        self._sync = os.fsync

    def light(self) -> None:
        sys.addaudithook(self._heard)
        os.fsync = self._synchronize

    def _heard(self, event: str, given: tuple) -> None:
        if self._left <= 0:
            return
        if (event == "open" and given[2] & WRITES) or event in WATCHED:
            paths = [str(each) for each in given[:2] if isinstance(each, str | os.PathLike)]
            relative = event in ("os.remove", "os.rmdir") and not paths[0].startswith("/")
            if relative or any(each.startswith(self._folder) for each in paths):
                self._step()

    def _synchronize(self, handle: int) -> None:
        self._step()
        self._sync(handle)
        self._synced.add(os.fstat(handle).st_ino)

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._left = -1
            if self._power:
                self._lose()
            os.kill(os.getpid(), signal.SIGKILL)

    def _lose(self) -> None:
        for each in Path(self._folder).rglob("*"):
            if each.is_file() and not each.is_symlink() and each.stat().st_ino not in self._synced:
                os.truncate(each, min(each.stat().st_size, self._before.get(each.stat().st_ino, 0)))


def cut_short(base: Path, work: Callable[[], object], steps: int, *, power: bool) -> bool:
    """Do `work` in a child that ends before step number `steps`; whether it came to its end first."""
    child = os.fork()
    if child == 0:
        try:
            Fuse(base / "shelf", steps, power=power).light()
            work()
        finally:
            os._exit(ALL_DONE)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == ALL_DONE
    return True


def restarted(base: Path) -> str:
    """What a daemon judges with when it starts now: the version, after a part was judged."""
    models = Models(config(), base, OUTSIDE)
    bundle = models.live.bundle
    golden = bundle.manifest.golden[0]
    scores = models.live.classifier.scores([readable_image(bundle.folder / golden.file, 1)])
    assert tuple(scores.outputs[0].tolist()) == golden.outputs
    assert not list((base / "shelf").glob(".incoming*"))
    assert not list((base / "shelf").glob(".link*"))
    return bundle.manifest.version


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("what", ["flash that makes room", "rollback", "promotion", "mending flash"])
def test_whenever_it_ends_a_whole_model_answers(base: Path, what: str, power: bool) -> None:
    shelf = base / "shelf"
    flasher = Flasher(config(keep=2 if what == "flash that makes room" else 5), base)
    allowed, goal = {"1.0", "2.0"}, "1.0" if what == "rollback" else "2.0"
    if what in ("flash that makes room", "rollback"):
        flasher.flash(str(base / "2.0"))
    if what == "flash that makes room":
        allowed, goal = {"2.0", "3.0"}, "3.0"
    if what == "promotion":
        flasher.shadow(str(base / "2.0"))
    if what == "mending flash":
        flasher.flash(str(base / "2.0"))
        flasher.rollback()
        (flasher.shelf.linked("previous") / "model.tflite").write_bytes(b"")
    work = {
        "flash that makes room": lambda: flasher.flash(str(base / "3.0")),
        "rollback": flasher.rollback,
        "promotion": flasher.promote,
        "mending flash": lambda: flasher.flash(str(base / "2.0")),
    }[what]
    shutil.copytree(shelf, base / "kept", symlinks=True)
    steps, seen = 0, set()
    while True:
        steps += 1
        complete = cut_short(base, work, steps, power=power)
        version = restarted(base)
        assert version in allowed, f"step {steps}"
        seen.add(version)
        if complete:
            break
        if version != goal or "flash" in what:
            work()
        assert restarted(base) == goal, f"done again after step {steps}"
        shutil.rmtree(shelf)
        shutil.copytree(base / "kept", shelf, symlinks=True)
    print(f"{what}: {steps - 1} steps")
    assert seen == allowed, "both sides of the change were seen"
    assert steps > 5
