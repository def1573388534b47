"""The daemon's side of the shelf without a daemon around it: what it makes of what it finds there."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import repack

from edge.bundle import Bundle, BundleError
from edge.changeover import Flasher
from edge.config import Config, Model
from edge.domain import Classifier, Decision, Verdict
from edge.judge import Judge
from edge.models import Models, Outside

pytestmark = pytest.mark.wall_clock


class Line:
    """What the models change."""

    def __init__(self, classifier: Classifier, judge: Judge) -> None:
        self.judges = [judge]

    def change(self, classifier: Classifier, judge: Judge) -> None:
        self.judges.append(judge)


class Place:
    """A shelf with the shipped model live, a second version beside it, and an ear for what is told."""

    def __init__(self, base: Path, shipped: Path) -> None:
        self.base, self.shelf = base, base / "shelf"
        shutil.copytree(shipped, self.shelf / shipped.name)
        shutil.copytree(shipped.parent / "keys", self.shelf / "keys")
        (self.shelf / "current").symlink_to(shipped.name)
        self.second = Path(shutil.copytree(shipped, base / "second"))
        (self.second / "signature").unlink()
        repack(self.second, lambda document: document.update(version="2.0"))
        self.config = Config(model=Model(shelf="shelf", unsigned="allow", shadow_folder="shadow", probation_parts=50))
        self.flasher = Flasher(self.config, base)
        self.events: list[Mapping[str, str]] = []
        self.results: list[str] = []

    def models(self) -> Models:
        models = Models(
            self.config,
            self.base,
            Outside(
                dress=lambda _, classifier: classifier,
                live=lambda _: None,
                event=self.events.append,
                swapped=self.results.append,
            ),
        )
        models.line(Line)  # type: ignore[arg-type]
        return models

    def running(self, models: Models, until: Callable[[], bool]) -> None:
        """Let the thread run until something is so."""
        stopping = threading.Event()
        thread = threading.Thread(target=models.run, args=(stopping,))
        thread.start()
        try:
            for _ in range(600):
                if until():
                    return
                stopping.wait(0.05)
            pytest.fail("it never became so")
        finally:
            stopping.set()
            thread.join()


@pytest.fixture
def place(tmp_path: Path, shipped: Path) -> Place:
    return Place(tmp_path, shipped)


def judged(models: Models, decision: Decision, count: int) -> None:
    """Verdicts of the live model."""
    engine = models.live
    for number in range(count):
        engine.work.asked(0.5, 30.0)
        models.decided(
            Verdict(
                number=number, decision=decision, label="", reason="", score=0.5, limits=(0.2, 0.6), views=1,
                captured_at_s=0.0, model=engine.judge.model,
            )
        )  # fmt: skip


def test_a_model_that_shows_itself_stays_and_is_not_watched_again(place: Place) -> None:
    models = place.models()
    judged(models, Decision.PASS, 60)
    place.flasher.flash(str(place.second))

    def kept() -> bool:
        if models.live.bundle.manifest.version == "2.0" and not models.live.work.tally.parts:
            judged(models, Decision.PASS, 50)
        return any(each["event"] == "kept" for each in place.flasher.history.events())

    place.running(models, kept)
    assert place.results == ["flashed"]
    assert place.models()._probation is None


def test_a_restart_does_not_end_the_watch(place: Place) -> None:
    models = place.models()
    judged(models, Decision.PASS, 60)
    place.flasher.flash(str(place.second))
    place.running(models, lambda: models.live.bundle.manifest.version == "2.0")
    again = place.models()
    assert again._probation is not None
    assert again._probation.before.parts == 60
    judged(again, Decision.REJECT, 30)
    place.running(again, lambda: again.live.bundle.manifest.version == "1.0")
    assert place.results == ["flashed", "rolled_back"]
    assert "reject fell on 100 %" in place.events[-1]["detail"]
    assert place.models()._probation is None, "what was taken back to is not on probation"


def test_a_doubtful_model_stays_when_there_is_nothing_to_go_back_to(place: Place) -> None:
    models = place.models()
    judged(models, Decision.PASS, 60)
    place.flasher.flash(str(place.second))
    place.running(models, lambda: models.live.bundle.manifest.version == "2.0")
    shutil.rmtree(place.flasher.shelf.linked("previous"))
    judged(models, Decision.REJECT, 30)
    place.running(models, lambda: bool(place.events) and place.events[-1]["event"] == "model_doubtful")
    assert models.live.bundle.manifest.version == "2.0"


def test_a_shelf_that_vanishes_does_not_stop_the_line(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    models = place.models()
    place.shelf.rename(place.base / "unmounted")
    place.running(models, lambda: "cannot be followed" in caplog.text)
    assert not place.shelf.exists()
    assert caplog.text.count("cannot be followed") == 1
    (place.base / "unmounted").rename(place.shelf)
    place.flasher.flash(str(place.second))
    place.running(models, lambda: models.live.bundle.manifest.version == "2.0")


def test_what_happened_at_start_is_told_when_somebody_can_hear_it(place: Place) -> None:
    place.flasher.flash(str(place.second))
    (place.shelf / "current" / "model.tflite").write_bytes(b"")
    models = place.models()
    assert models.live.bundle.manifest.version == "1.0"
    assert not place.events
    place.running(models, lambda: bool(place.events))
    assert place.events[0]["event"] == "model_rolled_back"
    assert "is damaged" in place.events[0]["detail"]


def test_a_model_put_there_by_hand_has_its_trial_in_a_child_first(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []
    monkeypatch.setattr("edge.engine.try_in_child", lambda folder, *_: tried.append(folder))
    models = place.models()
    slot = place.flasher.shelf.place(Bundle.open(place.second))
    place.flasher.shelf.link("shadow", slot)
    place.running(models, lambda: models.shadowing.shadow is not None)
    assert tried == [slot.resolve()]
    place.flasher.shelf.make_live(slot)
    place.running(models, lambda: models.live.bundle.folder == slot.resolve())
    assert tried == [slot.resolve()], "it has judged before"


def test_a_history_that_cannot_be_written_does_not_keep_a_model_from_going_back(place: Place) -> None:
    place.flasher.flash(str(place.second))
    place.flasher.history.path.unlink()
    place.flasher.history.path.mkdir()
    assert place.flasher.rollback().manifest.version == "1.0"
    assert place.models().live.bundle.manifest.version == "1.0"


def test_two_who_flash_at_once_leave_a_whole_shelf(place: Place) -> None:
    third = Path(shutil.copytree(place.second, place.base / "third"))
    repack(third, lambda document: document.update(version="3.0"))
    refused: list[str] = []

    def flash(bundle: Path) -> None:
        try:
            Flasher(place.config, place.base).flash(str(bundle))
        except BundleError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=flash, args=(each,)) for each in (place.second, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.models().live.bundle.manifest.version == "3.0"
    assert all("older than 3.0" in each for each in refused)
    assert not list(place.shelf.glob(".incoming*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_flashes_belongs_to_the_daemon(place: Place) -> None:
    os.chown(place.shelf, 12345, 12345)
    before = os.umask(0o077)
    try:
        slot = place.flasher.flash(str(place.second)).folder
    finally:
        os.umask(before)
    for each in (slot, *slot.rglob("*"), place.flasher.history.path, place.shelf / ".lock"):
        assert (each.stat().st_uid, each.stat().st_gid) == (12345, 12345), each
        assert each.stat().st_mode & 0o444 == 0o444, each


def test_flashing_what_is_live_changes_nothing(place: Place) -> None:
    place.flasher.flash(str(place.second))
    before = list(place.flasher.history.events())
    place.flasher.flash(str(place.second))
    assert list(place.flasher.history.events()) == before
    assert place.flasher.shelf.linked("previous") != place.flasher.shelf.linked("current")
