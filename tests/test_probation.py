"""When a new model must go, and when what it was shown has drifted: decided by counts, without a clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle, readable_image
from edge.changeover.drift import ENOUGH, Drift
from edge.changeover.history import History, Tally
from edge.changeover.observed import Look
from edge.changeover.probation import Probation
from edge.domain import Scores

BEFORE = Tally(parts=1000, reject=100, review=50)
USUAL = Probation(before=BEFORE, parts=200, budget_ms=30.0)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (Tally(parts=100, reject=10, review=5), ""),
        (Tally(parts=100, reject=17, review=8), ""),
        (Tally(parts=10, reject=10), ""),
        (Tally(parts=20, reject=20), "reject fell on 100 %"),
        (Tally(parts=60, reject=20), "reject fell on 33 %"),
        (Tally(parts=190, reject=0, review=10), "reject fell on 0 %"),
        (Tally(parts=40, reject=4, review=20), "review fell on 50 %"),
        (Tally(parts=2, failed=3), "no answer for 3"),
        (Tally(parts=100, failed=2, reject=10, review=5), ""),
        (Tally(parts=100, late=11, reject=10, review=5), "11 of 100 answers took longer than 30 ms"),
        (Tally(parts=100, late=9, reject=10, review=5), ""),
    ],
)
def test_a_model_is_held_against_the_one_before(now: Tally, says: str) -> None:
    why = USUAL.worse(now)
    assert says in why
    assert bool(why) == bool(says)


def test_chance_alone_hardly_ever_sends_a_model_back() -> None:
    """Two thousand probations of a model that is as good as the one before, looked at after every part."""
    random = np.random.default_rng(1)
    sent_back = 0
    for _ in range(2000):
        now = Tally()
        for decision in random.choice(3, 200, p=(0.85, 0.10, 0.05)):
            now.parts += 1
            now.reject += decision == 1
            now.review += decision == 2
            if USUAL.worse(now):
                sent_back += 1
                break
    assert sent_back <= 40, "2 % at most"


def test_without_a_history_only_failures_and_delays_count() -> None:
    alone = Probation(before=Tally(parts=10), parts=200, budget_ms=30.0)
    assert not alone.worse(Tally(parts=100, reject=100))
    assert alone.worse(Tally(parts=100, failed=3))


def test_answers_that_drift_while_the_pictures_do_not_are_the_models_fault() -> None:
    now = Tally(parts=100, reject=10, review=5)
    drifted = {"evidence": 5.0, "brightness": 1.0, "contrast": 0.5}
    assert "standard deviations" in USUAL.worse(now, drifted.get)
    assert not USUAL.worse(now, (drifted | {"brightness": 6.0}).get), "it is the light"
    assert not USUAL.worse(now, lambda _: None)


def test_on_a_machine_that_is_slow_for_other_reasons_delays_are_held_against_the_former_ones() -> None:
    busy = Probation(before=Tally(parts=1000, reject=100, review=50, late=200), parts=200, budget_ms=30.0)
    assert not busy.worse(Tally(parts=100, reject=10, review=5, late=30))
    assert "took longer" in busy.worse(Tally(parts=100, reject=10, review=5, late=45))


def test_it_ends_after_so_many_parts() -> None:
    assert not USUAL.over(Tally(parts=199))
    assert USUAL.over(Tally(parts=200))


def test_drift_is_near_0_on_pictures_as_in_training_and_rises_with_the_light(shipped: Path) -> None:
    bundle = Bundle.open(shipped)
    golden = bundle.manifest.golden[0]
    crop = readable_image(bundle.folder / golden.file, 1)
    scores = Scores(outputs=np.array([golden.outputs], dtype=np.int8))
    drift, dark = Drift(bundle), Drift(bundle)
    for _ in range(ENOUGH):
        assert drift.score("brightness") is None
        drift.look(Look(crops=(crop,), scores=scores))
        dark.look(Look(crops=(crop // 2,), scores=scores))
    assert max(drift.score(each) for each in ("brightness", "contrast", "evidence")) < 3
    assert dark.score("brightness") > 8
    assert drift.score("nothing") is None


def test_a_bundle_without_a_reference_has_no_drift(shipped: Path) -> None:
    bundle = Bundle.open(shipped)
    bundle.manifest.document.pop("reference")
    drift = Drift(bundle)
    for _ in range(2 * ENOUGH):
        drift.look(Look(crops=(np.zeros((9, 9), np.uint8),), scores=Scores(outputs=np.zeros((1, 6), np.int8))))
    assert drift.score("brightness") is None


def test_the_history_survives_torn_lines_and_does_not_grow_for_ever(tmp_path: Path, monkeypatch) -> None:
    from edge.bundle import Shelf
    from edge.changeover import history as module

    history = History(Shelf(tmp_path))
    history.add("live", "a", how="flash")
    with history.path.open("ab") as file:
        file.write(b'{"at": 1, "event": "ran", "slot": "a", "parts": 7, "reject": "many"}\n{"torn\n\xff\n[]\n')
    history.add("ran", "a", parts=5, reject=1)
    assert history.tally("a") == Tally(parts=12, reject=1)
    assert history.tally("a", newest=5).parts == 5
    assert history.went_live("a")["how"] == "flash"
    monkeypatch.setattr(module, "LIMIT_BYTES", 2000)
    for number in range(200):
        history.add("ran", "b", parts=number)
    assert history.path.stat().st_size < 2200
    assert next(iter(reversed(list(history.events()))))["parts"] == 199
