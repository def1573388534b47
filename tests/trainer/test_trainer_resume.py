"""A training that was killed goes on where it was, and ends where it would have ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn import TINY

from trainer import dataset, fit, recipe, watch
from trainer.__main__ import main

SHORT = TINY.replace("epochs: 8", "epochs: 4, coarse: 2, aware: 0")


class PowerCut(Exception):
    """The machine went off."""


@pytest.fixture
def data(parts: Path) -> dataset.Dataset:
    found = dataset.scan(parts)
    return dataset.divide(found, ("ok",), recipe.Split(), 1)


@pytest.mark.parametrize("at", [("coarse", 1), ("fine", 3)])
def test_a_killed_training_ends_as_if_nothing_had_been(
    data: dataset.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: tuple[str, int]
) -> None:
    how = recipe.parse(SHORT)
    labels = ("ok", "hole")
    whole = fit.train(how, data, labels, ("ok",))
    monkeypatch.setattr(watch, "SAVE_EVERY_S", 0.0)
    real = watch.Watch.epoch

    def cut(self: watch.Watch, stage: str, standing: watch.Standing) -> None:
        real(self, stage, standing)
        if (stage, len(standing.history)) == at:
            raise PowerCut

    monkeypatch.setattr(watch.Watch, "epoch", cut)
    with pytest.raises(PowerCut):
        fit.train(how, data, labels, ("ok",), watch.Watch(tmp_path / "kept", tmp_path / "logs"))
    monkeypatch.setattr(watch.Watch, "epoch", real)
    again = fit.train(how, data, labels, ("ok",), watch.Watch(tmp_path / "kept", tmp_path / "logs"))
    assert again.history == whole.history
    for mine, theirs in zip(again.model.get_weights(), whole.model.get_weights(), strict=True):
        assert np.array_equal(mine, theirs)
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_a_broken_checkpoint_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "fine.npz").write_bytes(b"PK half a file")
    assert watch.Watch(tmp_path, tmp_path).resume("fine") is None


def test_what_was_done_is_not_done_again(
    trained: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "again"
    shutil.copytree(trained, out)
    (tmp_path / "tiny.yaml").write_text(TINY, encoding="utf-8")
    arguments = ["run", str(tmp_path / "tiny.yaml"), "--data", str(parts), "--out", str(out)]
    bundles = {each.name for each in out.glob("tiny-*")}
    assert main(arguments) == 0
    said = capsys.readouterr().err
    for step in ("divide", "train", "quantize", "measure", "explain"):
        assert f"{step}: already done" in said
    assert {each.name for each in out.glob("tiny-*")} == bundles
    assert list((out / "logs").rglob("events.out.tfevents.*"))
    assert not (out / "checkpoints").exists()


def test_another_recipe_or_another_file_begins_anew(trained: Path, parts: Path, tmp_path: Path) -> None:
    from trainer.run import Run

    out = tmp_path / "again"
    shutil.copytree(trained, out)
    assert Run.begin(out, parts, recipe.parse(TINY)).done()
    assert not Run.begin(out, parts, recipe.parse(TINY.replace("epochs: 8", "epochs: 9"))).done()
