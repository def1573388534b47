"""A candidate beside the live model: it has no say, costs the line nothing, and every disagreement is shown."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from conftest import repack

from edge.assembly import build_judge
from edge.bundle import Bundle, BundleError, readable_image
from edge.changeover.compare import comparisons
from edge.changeover.observed import Look
from edge.changeover.shadow import KEPT, WAITING, Shadow, Side
from edge.classify import TfliteClassifier
from edge.domain import ModelFailed

pytestmark = pytest.mark.wall_clock


@pytest.fixture
def live(shipped: Path) -> Bundle:
    return Bundle.open(shipped)


@pytest.fixture
def candidate(copied: Path) -> Bundle:
    """The same network with limits that pass nothing and reject hardly anything."""
    limits = {"pass": -200, "reject": 60}
    return Bundle.open(repack(copied, lambda document: document.update(version="2.0", limits=limits)))


def side(bundle: Bundle) -> Side:
    return Side(slot=bundle.slot, judge=build_judge(bundle), input=bundle.manifest.input)


def looks(bundle: Bundle) -> list[Look]:
    model = TfliteClassifier(bundle)
    crops = [readable_image(bundle.folder / each.file, 1) for each in bundle.manifest.golden]
    return [Look(crops=(crop,), scores=model.scores([crop])) for crop in crops]


def test_the_two_are_compared_and_each_disagreement_is_kept_with_pictures(
    live: Bundle, candidate: Bundle, tmp_path: Path
) -> None:
    shadow = Shadow(side(live), side(candidate), TfliteClassifier(candidate), tmp_path, 1.0)
    for look in looks(live):
        shadow.offer(look)
        assert shadow.work(1.0)
    assert not shadow.work(0.01)
    (found,) = comparisons(tmp_path)
    assert found.counts["parts"] == 6
    assert found.cell("pass", "review") == 1
    assert found.cell("reject", "review") + found.cell("reject", "reject") + found.cell("review", "review") == 5
    kept = list(found.disagreements())
    assert len(kept) == found.counts["disagreements"] == 6 - found.agreed > 0
    for each in kept:
        for kind in ("part", "live", "candidate"):
            assert readable_image(found.folder / f"{each['name']}-{kind}.png", 1).shape == (128, 128)
    page = found.page()
    assert page.count("<figure>") == len(kept)
    assert page.count("data:image/png;base64,") == 3 * len(kept)
    assert "6 parts" in "\n".join(found.lines())


def test_a_restart_goes_on_counting(live: Bundle, candidate: Bundle, tmp_path: Path) -> None:
    for _ in range(2):
        shadow = Shadow(side(live), side(candidate), TfliteClassifier(candidate), tmp_path, 1.0)
        shadow.offer(looks(live)[0])
        shadow.work(1.0)
        shadow.save()
    assert comparisons(tmp_path)[0].counts["parts"] == 2


@pytest.mark.parametrize(("share", "parts"), [(1.0, 10), (0.5, 5), (0.1, 1), (0.0, 0)])
def test_it_takes_its_share_of_parts(live: Bundle, candidate: Bundle, tmp_path: Path, share: float, parts: int) -> None:
    shadow = Shadow(side(live), side(candidate), TfliteClassifier(candidate), tmp_path, share)
    look = looks(live)[0]
    for _ in range(10):
        shadow.offer(look)
    while shadow.work(0.0):
        pass
    assert comparisons(tmp_path)[0].counts["parts"] == parts


class Stuck:
    """A candidate that never comes back by itself."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def scores(self, crops: object) -> None:
        self.free.wait(30)
        raise ModelFailed("it was stuck")


def test_a_candidate_that_hangs_never_holds_the_line_up(live: Bundle, candidate: Bundle, tmp_path: Path) -> None:
    stuck = Stuck()
    shadow = Shadow(side(live), side(candidate), stuck, tmp_path, 1.0)  # type: ignore[arg-type]
    look = looks(live)[0]
    worker = threading.Thread(target=shadow.work, args=(5.0,))
    worker.start()
    began_s = time.process_time()
    for _ in range(1000):
        shadow.offer(look)
    assert time.process_time() - began_s < 1.0
    stuck.free.set()
    worker.join()
    while shadow.work(0.0):
        pass
    counts = comparisons(tmp_path)[0].counts
    assert counts["left_out"] >= 1000 - WAITING - 1
    assert counts["parts"] == 0
    assert counts["unanswered"] == 1000 - counts["left_out"]


def test_disagreements_do_not_fill_the_disk(
    live: Bundle, candidate: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.changeover.shadow.KEPT", 3)
    assert KEPT >= 3
    shadow = Shadow(side(live), side(candidate), TfliteClassifier(candidate), tmp_path, 1.0)
    look = looks(live)[0]
    for _ in range(5):
        shadow.offer(look)
        shadow.work(1.0)
    shadow.save()
    (found,) = comparisons(tmp_path)
    assert found.counts["disagreements"] == 5
    assert len(list(found.disagreements())) == 3


def test_nothing_to_compare_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "summary.json").write_text("{")
    with pytest.raises(BundleError, match="no model has shadowed"):
        comparisons(tmp_path)


def test_texts_from_outside_do_no_harm_in_the_report(live: Bundle, candidate: Bundle, tmp_path: Path) -> None:
    shadow = Shadow(side(live), side(candidate), TfliteClassifier(candidate), tmp_path, 1.0)
    shadow.offer(looks(live)[0])
    shadow.work(1.0)
    shadow.save()
    (found,) = comparisons(tmp_path)
    path = next(found.folder.glob("0*.json"))
    document = json.loads(path.read_text())
    document["live"]["label"] = "<script>"
    path.write_text(json.dumps(document))
    assert "<script>" not in found.page()
    assert "&lt;script&gt;" in found.page()
