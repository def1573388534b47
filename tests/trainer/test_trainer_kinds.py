"""Kinds of defects without any good part: they are told apart, and nothing passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import TINY

from edge.bundle import Bundle
from trainer.__main__ import main


def drawn(seed: int, kind: str) -> np.ndarray:
    random = np.random.default_rng(seed)
    image = random.normal(130, 6, (48, 48))
    at = random.integers(14, 34, 2)
    if kind == "pit":
        image -= 90 * np.exp(-((np.arange(48) - at[0]) ** 2 + (np.arange(48)[:, None] - at[1]) ** 2) / 18)
    elif kind == "scratch":
        image[at[0] : at[0] + 2, 6:42] += 80
        image = image if seed % 2 else image.T
    else:
        image += 60 * np.exp(-((np.arange(48) - at[0]) ** 2 + (np.arange(48)[:, None] - at[1]) ** 2) / 200)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def sorted_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three kinds of defects with nothing said about good ones."""
    home = tmp_path_factory.mktemp("kinds")
    for number, kind in enumerate(("pit", "scratch", "stain")):
        (home / "data" / kind).mkdir(parents=True)
        for part in range(16):
            cv2.imwrite(str(home / "data" / kind / f"{part:02d}.png"), drawn(100 * number + part, kind))
    recipe = TINY.replace("good: [ok]\n", "").replace("epochs: 8", "epochs: 12, aware: 0")
    (home / "kinds.yaml").write_text(recipe, encoding="utf-8")
    assert main(["run", str(home / "kinds.yaml"), "--data", str(home / "data"), "--out", str(home / "out")]) == 0
    return home / "out"


def test_the_kinds_are_told_apart(sorted_out: Path) -> None:
    got = json.loads((sorted_out / "metrics.json").read_text())
    int8 = got["int8_ptq"]["grouped"]
    assert int8["accuracy"] == int8["kinds"]["accuracy"] >= 0.75
    assert int8["confusion"]["labels"] == ["no_defect", "pit", "scratch", "stain"]
    assert set(got["baselines"]["grouped"]) == {"nearest_neighbour_pixels", "brightness_trees", "thumbnail_16_trees"}
    assert "No class of the data is good" in (sorted_out / "report.html").read_text(encoding="utf-8")


def test_nothing_passes(sorted_out: Path) -> None:
    bundle = Bundle.open(next(sorted_out.glob("tiny-????????")))
    assert bundle.manifest.good == {"no_defect"}
    assert bundle.manifest.limits.pass_steps == -255
    at = json.loads((sorted_out / "metrics.json").read_text())["int8_ptq"]["grouped"]["at_limits"]
    assert at["escape_rate"]["count"] == 0


def test_each_step_can_be_repeated_alone(sorted_out: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(sorted_out, out)
    before = json.loads((out / "metrics.json").read_text())["int8_ptq"]["grouped"]
    for step in ("quantize", "measure", "explain", "report", "pack"):
        assert main([step, "--out", str(out)]) == 0
    after = json.loads((out / "metrics.json").read_text())["int8_ptq"]["grouped"]
    assert {**after, "latency_ms": 0} == {**before, "latency_ms": 0}
    assert len(list(out.glob("tiny-????????/manifest.json"))) >= 1
