"""`linegate simulate` as it is called, from the words on the command line to the files."""

import csv
import itertools
import json
from pathlib import Path
from threading import Event

import cv2
import pytest

from edge import truth
from edge.__main__ import main
from edge.config import ClipSource
from edge.sources.clip import Clip

pytestmark = pytest.mark.wall_clock

SMALL = """
source:
  simulator: {width_px: 320, height_px: 160, part_px: 60, fps: 20, speed_px_s: 150, seed: 5}
tracking: {gate: 0.4}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_a_clip_and_its_truth_agree(tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--out", str(tmp_path / "a"), "--config", str(config), "--seconds", "8"]) == 0
    about = json.loads((tmp_path / "a" / "truth.json").read_text())["about"]
    known = truth.read(tmp_path / "a" / "truth.json", "clip.avi")
    capture = cv2.VideoCapture(str(tmp_path / "a" / "clip.avi"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == about["frames"] == 161
    assert about["simulator"]["seed"] == 5
    assert known.gate == 0.4
    assert known.count >= 3
    assert f"{known.count} parts" in capsys.readouterr().out


def test_the_same_words_give_the_same_truth_and_another_seed_another(tmp_path: Path, config: Path) -> None:
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        out = str(tmp_path / name)
        assert main(["simulate", "--out", out, "--config", str(config), "--seconds", "4", "--seed", seed]) == 0
    first, second, third = ((tmp_path / name / "truth.json").read_text() for name in "abc")
    assert first == second != third


def test_a_lost_frame_is_shown_as_the_one_before_so_that_time_stays_true(tmp_path: Path, config: Path) -> None:
    words = ["simulate", "--out", str(tmp_path), "--config", str(config), "--seconds", "4", "--scenario", "dropped"]
    assert main(words) == 0
    frames = list(Clip(ClipSource(path=str(tmp_path / "clip.avi"), paced=False)).frames(Event()))
    same = sum((a.image == b.image).all() for a, b in itertools.pairwise(frames))
    assert 73 <= len(frames) <= 81  # the last ones may be among the lost
    assert 2 <= same <= 24


def test_crops_are_balanced_and_grouped_by_part(tmp_path: Path, config: Path) -> None:
    assert main(["simulate", "--out", str(tmp_path / "a"), "--config", str(config), "--crops", "20"]) == 0
    with (tmp_path / "a" / "groups.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    parts = {row["group"]: row["label"] for row in rows}
    assert list(parts.values()).count("ok") == 10
    assert {list(parts.values()).count(kind) for kind in set(parts.values()) - {"ok"}} == {2}
    for row in rows:
        image = cv2.imread(str(tmp_path / "a" / row["label"] / row["file"]), cv2.IMREAD_UNCHANGED)
        assert image.ndim == 2
        assert image.shape[0] == image.shape[1]
        assert 60 <= image.shape[0] <= 85


def test_crops_may_follow_the_configured_share(tmp_path: Path, config: Path) -> None:
    config.write_text(SMALL.replace("seed: 5", "seed: 5, defect_share: 0"))
    words = ["simulate", "--out", str(tmp_path / "a"), "--config", str(config), "--crops", "6", "--no-balanced"]
    assert main(words) == 0
    assert [each.name for each in sorted((tmp_path / "a").iterdir())] == ["groups.csv", "ok"]


def test_mistakes_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for words, said in [
        (["--out", str(tmp_path / "a"), "--scenario", "storm"], "--scenario: is 'storm'; allowed: clean, "),
        (["--out", str(tmp_path / "file" / "a")], "Not a directory"),
        (["--out", str(tmp_path / "a"), "--config", str(tmp_path / "none.yaml")], "cannot be read"),
    ]:
        assert main(["simulate", *words]) in (1, 78)
        error = capsys.readouterr().err
        assert said in error
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize("words", [["--crops", "0"], ["--seconds", "0"], ["--seed", "-1"], ["--seed", "x"]])
def test_numbers_out_of_range_are_a_mistake_of_usage(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["simulate", "--out", str(tmp_path), *words])
