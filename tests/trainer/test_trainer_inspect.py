"""A look at the data: what a person should notice before training is noticed, and every odd folder gets clear words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from drawn import draw, fill

from trainer import inspect, suspects, trivial
from trainer.__main__ import main


def test_the_table_has_a_line_per_picture_in_both_formats(parts: Path, tmp_path: Path) -> None:
    assert main(["inspect", "--data", str(parts), "--out", str(tmp_path)]) == 0
    text, packed = pd.read_csv(tmp_path / "pictures.csv"), pd.read_parquet(tmp_path / "pictures.parquet")
    assert len(text) == len(packed) == 120
    assert list(text.columns) == list(packed.columns)
    assert {"file", "label", "part", "near_copy_of", "doubt", *trivial.FEATURES} <= set(text.columns)
    assert text["part"].nunique() == 60


def test_the_page_needs_nothing_beside_it(parts: Path, tmp_path: Path) -> None:
    assert main(["inspect", "--data", str(parts), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "overview.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 5
    assert page.count("data:image/png") >= 3
    assert 'src="http' not in page
    assert str(parts.parent) not in page


def test_a_lighting_shortcut_is_red_and_said_first(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 12, "hole": 12})
    for path in (tmp_path / "ok").iterdir():
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(path), np.clip(image.astype(int) + 60, 0, 255).astype(np.uint8))
    found = inspect.look(tmp_path, ())
    assert found.telling["brightness"] == {"auroc": 1.0, "higher_when": "good", "red": True}
    assert "brightness" in found.findings["telling_features"]
    inspect.save(found, tmp_path / "out")
    assert "alone tells good from defective with AUROC 1.00" in (tmp_path / "out" / "overview.html").read_text()


def test_copies_and_contradictions_are_named_and_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, {"ok": 6, "hole": 6})
    shutil.copy(tmp_path / "ok" / "ok-000-0.png", tmp_path / "hole" / "same.png")
    found = inspect.look(tmp_path, ())
    assert found.findings["identical_files"] == [["hole/same.png", "ok/ok-000-0.png"]]
    assert len(found.findings["parts_with_several_labels"]) == 1
    assert (tmp_path / "hole" / "same.png").is_file()


def test_a_wrong_label_is_among_the_doubtful_ones() -> None:
    random = np.random.default_rng(4)
    rows = np.concatenate([random.normal(0, 1, (20, 8)), random.normal(6, 1, (20, 8))]).astype(np.float32)
    labels = ["ok"] * 20 + ["hole"] * 20
    labels[3] = "hole"
    doubt = suspects.doubts(rows, labels, [str(i) for i in range(40)])
    assert int(doubt.argmax()) == 3
    assert (doubt >= suspects.DOUBT).sum() == 1


def test_copies_of_the_part_itself_do_not_vouch_for_its_label() -> None:
    rows = np.array([[0.0], [0.1], [0.2], [5.0], [5.1]], np.float32)
    doubt = suspects.doubts(rows, ["ok", "ok", "bad", "bad", "bad"], ["a", "a", "b", "c", "d"])
    assert doubt[0] > 0.5


@pytest.mark.parametrize("name", ["one class", "no good name", "three pictures", "colour, sizes, unicode"])
def test_odd_folders_can_be_looked_at(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    if name == "one class":
        fill(folder, {"ok": 4})
    elif name == "no good name":
        fill(folder, {"left": 3, "right": 3})
    elif name == "three pictures":
        fill(folder, {"ok": 2, "hole": 1})
    else:
        fill(folder, {"gut 好": 3, "Löcher": 3})
        colour = cv2.cvtColor(cv2.resize(draw(1, "ok"), (97, 31)), cv2.COLOR_GRAY2BGR)
        cv2.imencode(".jpg", colour)[1].tofile(folder / "Löcher" / "ä.jpg")
        (folder / "Löcher" / "kaputt.png").write_bytes(b"\x89PNG")
    assert main(["inspect", "--data", str(folder), "--out", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "overview.json").read_text(encoding="utf-8"))
    assert found["pictures"] == sum(found["classes"].values())
    if name == "colour, sizes, unicode":
        assert found["unreadable"] == ["Löcher/kaputt.png"]
        assert len(found["sizes"]) == 2


def test_an_empty_folder_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--data", str(tmp_path)]) == 1
    assert "holds no readable picture" in capsys.readouterr().err
    assert main(["inspect"]) == 1
    assert "--data DIR" in capsys.readouterr().err
