"""Masks that come with the data: they follow their pictures wherever these are laid, moved or judged."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import layouts
import numpy as np
import outlines
import pytest
from drawn import TINY

from edge.bundle import InputSpec, laid
from trainer import counterfactual, laying, masks
from trainer.__main__ import main
from trainer.augment import moved_with
from trainer.dataset import Picture
from trainer.layout import Layout
from trainer.recipe import Augment


@pytest.fixture(scope="module")
def sorted_tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on tiles with masks beside them and nothing said but how small a network is wanted."""
    home = tmp_path_factory.mktemp("tiles")
    layouts.tiles(home / "data", 10, exposures=2)
    small = TINY.replace("good: [ok]\n", "").replace("epochs: 8", "epochs: 10, aware: 0").replace("drawn", "drawn")
    (home / "tiles.yaml").write_text(small.replace("height_px: 32, width_px: 32", "height_px: 64, width_px: 64"))
    assert main(["run", str(home / "tiles.yaml"), "--data", str(home / "data"), "--out", str(home / "out")]) == 0
    return home / "out"


def test_a_run_uses_the_masks(sorted_tiles: Path) -> None:
    got = json.loads((sorted_tiles / "metrics.json").read_text())
    assert got["trials"]["placed_by"] == "masks"
    assert got["trials"]["transplants_flagged"]["of"] >= 4
    pointed = json.loads((sorted_tiles / "explained.json").read_text())["masked_flaws_pointed_at"]
    assert set(pointed) == {"map", "occlusion", "lime"}
    assert all(each["of"] >= 4 for each in pointed.values())
    assert got["int8_ptq"]["grouped"]["confusion"]["labels"] == ["MT_Free", "MT_Blowhole", "MT_Crack"]


def test_good_classes_groups_and_masks_are_named(sorted_tiles: Path) -> None:
    facts = json.loads((sorted_tiles / "data.json").read_text())
    assert facts["good"] == ["MT_Free"]
    assert facts["grouped_by"].startswith("num in the file names")


def test_a_mask_is_laid_out_as_its_part_is(tmp_path: Path) -> None:
    good = [outlines.bracket(i, "good", 128)[0] for i in range(16)]
    found, said = laying.choose(good, (64, 64), 1)
    assert found is not None, said
    spec = InputSpec(height=64, width=64, channels=1, registration=found.template)
    layout = Layout(spec=spec)
    level = counterfactual.usual([laid(each, spec) for each in good], layout)
    for seed in range(6):
        crop, mask = outlines.bracket(700 + seed, "pit", 128)
        cv2.imwrite(str(tmp_path / "m.png"), mask)
        picture = Picture(file="x.png", label="pit", group="x", sha256="", mask="m.png")
        where = masks.laid_out(tmp_path, picture, crop, spec)
        assert where is not None
        part = laid(crop, spec)
        off = np.abs(layout.difference(part))
        assert off[where > 0.6].mean() > 3 * off[where < 0.1].mean()
        (flaw,) = counterfactual.given(where, layout)
        assert counterfactual.covered([flaw], part.shape)[where > 0.6].min() > 0.3
        pair = counterfactual.pair(part, [part], level, np.random.default_rng(1), [flaw])
        assert pair is not None


def test_a_mask_moves_with_its_picture_and_stays_inside() -> None:
    crop, mask = np.full((60, 80), 150, np.uint8), np.zeros((60, 80), np.float32)
    cv2.circle(crop, (66, 12), 5, 20, -1)
    cv2.circle(mask, (66, 12), 5, 1.0, -1)
    how, random = Augment(rotation_deg=180, shift=0.1, flip=True), np.random.default_rng(5)
    kept = 0
    for _ in range(40):
        shown, where = moved_with(crop, mask, how, random)
        assert where is not None
        if where.max() > 0.5:
            kept += where.sum() >= 0.7 * mask.sum()
            assert shown[where > 0.9].max() < 60
            assert shown[where < 0.01].min() > 100
    assert kept >= 30


def test_a_marked_flaw_lands_somewhere_on_another_picture() -> None:
    random = np.random.default_rng(3)
    donor, mask, places = np.full((50, 50), 100, np.uint8), np.zeros((50, 50), np.uint8), set()
    cv2.circle(donor, (10, 10), 4, 20, -1)
    cv2.circle(mask, (10, 10), 4, 255, -1)
    for _ in range(10):
        whole = np.full((40, 64), 180, np.uint8)
        spoilt, where = masks.transplanted(donor, mask, whole, random)
        assert spoilt.shape == where.shape == whole.shape
        assert spoilt[where > 0.9].max() < 155
        assert np.abs(spoilt[where < 0.01].astype(int) - 180).max() < 12
        places.add(int(np.argmax(where)))
    assert len(places) >= 5


def test_a_mask_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_bytes(b"no picture")
    picture = Picture(file="x.png", label="pit", group="x", sha256="", mask="m.png")
    assert masks.of(tmp_path, picture, np.zeros((9, 9), np.uint8)) is None
