"""Round parts, from the folder to the verdict: registered, judged fold by fold, packed, replayed on the device."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import TINY_RING, draw_ring, fill_rings, film

from edge.__main__ import main as device
from edge.bundle import Bundle, Unregistered, prepare, readable_image
from trainer.__main__ import main
from trainer.runtime import Model


@pytest.fixture(scope="session")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve good and twelve defective round parts in two folds, and the recipe beside them."""
    home = tmp_path_factory.mktemp("rings")
    (home / "ring.yaml").write_text(TINY_RING, encoding="utf-8")
    fill_rings(home / "data", parts=12, folds=2)
    return home


@pytest.fixture(scope="session")
def judged(rings: Path) -> Path:
    """The folder of one run of all steps, and of the protocol before them."""
    asked = [str(rings / "ring.yaml"), "--data", str(rings / "data"), "--out", str(rings / "out")]
    assert main(["protocol", *asked]) == 0
    assert main(["run", *asked]) == 0
    return rings / "out"


@pytest.fixture(scope="session")
def bundle(judged: Path) -> Bundle:
    return Bundle.open(next(judged.glob("ring-????????")))


def test_every_part_is_judged_once_by_a_network_that_never_saw_it(judged: Path) -> None:
    got = json.loads((judged / "protocol" / "protocol.json").read_text())
    assert got["folds"] == 2
    assert got["escape_rate"]["of"] == got["overkill_rate"]["of"] == 12
    assert got["balanced_accuracy"] >= 0.8
    assert got["drawn_holes_flagged"]["of"] == 24
    assert got["transplants_flagged"]["of"] == got["heals_passed"]["of"] >= 12
    assert {cell["kind"] for cell in got["grid"]} >= {"gain", "offset", "noise", "blur"}
    at = got["at_limits"]
    assert at["review_rate"]["of"] == 24
    assert at["escape_rate"]["count"] + at["overkill_rate"]["count"] + at["review_rate"]["count"] <= 24
    parts = [
        {row[0] for row in json.loads((judged / "protocol" / f"fold-{fold}.json").read_text())["pictures"]}
        for fold in (0, 1)
    ]
    assert not parts[0] & parts[1]


def test_the_figures_travel_with_the_run(judged: Path) -> None:
    assert json.loads((judged / "metrics.json").read_text())["protocol"]["folds"] == 2
    assert "Fold by fold" in (judged / "report.html").read_text(encoding="utf-8")


def test_a_protocol_that_was_stopped_goes_on_with_the_fold_that_is_missing(
    judged: Path, rings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(judged, out)
    (out / "protocol" / "fold-1.json").unlink()
    before = json.loads((out / "protocol" / "protocol.json").read_text())
    asked = [str(rings / "ring.yaml"), "--data", str(rings / "data"), "--out", str(out)]
    assert main(["protocol", *asked]) == 0
    said = capsys.readouterr().err
    assert "fold 0 already done" in said
    assert "fold 1 already done" not in said
    after = json.loads((out / "protocol" / "protocol.json").read_text())
    for key in ("balanced_accuracy", "wrong_parts", "auroc", "transplants_flagged", "heals_passed", "grid"):
        assert after[key] == before[key]


def test_a_protocol_is_kept_for_what_its_folds_depend_on(judged: Path) -> None:
    from trainer import protocol
    from trainer.run import Run

    run = Run.open(judged)
    data, wanted = run.part("grouped").pictures(), run.recipe
    beside = replace(wanted, split=replace(wanted.split, official=False), compare=replace(wanted.compare, epochs=3))
    assert protocol.kept(beside, data, judged / "protocol") is not None
    longer = replace(wanted, training=replace(wanted.training, epochs=7))
    assert protocol.kept(longer, data, judged / "protocol") is None


def test_golden_pictures_are_whole_and_registered_on_the_device(bundle: Bundle) -> None:
    model, spec = Model(bundle.model), bundle.manifest.input
    assert spec.registration is not None
    for golden in bundle.manifest.golden:
        crop = readable_image(bundle.folder / golden.file, 1)
        assert crop.shape == (96, 96)
        assert model.raw(prepare(crop, spec)[0].view(np.uint8) ^ np.uint8(0x80)).tolist() == list(golden.outputs)
    with pytest.raises(Unregistered):
        prepare(np.full((96, 96), 120, np.uint8), spec)


def belt(path: Path) -> Path:
    """A clip of round parts, and one square that nobody can register, drawn past a camera."""
    parts = [draw_ring(5000, "ok"), draw_ring(6000, "hole"), np.full((96, 96), 45, np.uint8), draw_ring(5001, "ok")]
    cv2.rectangle(parts[2], (10, 10), (85, 85), 170, -1)
    return film(path, parts, size=(320, 160), gap_px=140, ground=45, frames=60, seed=5)


def test_the_line_takes_the_bundle_and_reviews_what_it_cannot_register(bundle: Bundle, tmp_path: Path) -> None:
    asked = ["replay", str(belt(tmp_path / "belt.avi")), "--model", str(bundle.folder), "--out", str(tmp_path / "out")]
    assert device(asked) == 0
    verdicts = [json.loads(line) for line in (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()]
    assert len(verdicts) == 4
    lost = verdicts[2]
    assert lost["decision"] == "review"
    assert lost["reason"].startswith("no usable view: no ring")
    assert all(not each["reason"].startswith("no usable view") for each in verdicts[:2] + verdicts[3:])
    assert verdicts[1]["decision"] != "pass"
