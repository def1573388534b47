"""Replays: the same input gives the same bytes, today's bytes are the reference's, and truth is counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge.__main__ import main

pytestmark = pytest.mark.wall_clock

ROOT = Path(__file__).parents[1]


def replay(source: Path, out: Path, *more: str) -> dict:
    assert main(["replay", str(source), "--config", str(ROOT / "config.yaml"), "--out", str(out), *more]) == 0
    return json.loads((out / "summary.json").read_text())


@pytest.fixture(scope="module")
def belt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated clip with its truth."""
    folder = tmp_path_factory.mktemp("belt")
    assert main(["simulate", "--out", str(folder), "--seed", "11", "--seconds", "15"]) == 0
    return folder


def test_every_part_of_a_simulated_clip_gets_one_verdict(belt: Path, tmp_path: Path) -> None:
    summary = replay(belt / "clip.avi", tmp_path, "--truth", str(belt / "truth.json"))
    assert summary["parts"] == summary["pass"] + summary["reject"] + summary["review"] >= 8
    assert (summary["missed"], summary["duplicates"], summary["phantom"]) == (0, 0, 0)
    assert summary["wrong"] <= 1


def test_the_same_clip_gives_the_same_bytes(belt: Path, tmp_path: Path) -> None:
    replay(belt / "clip.avi", tmp_path / "here")
    command = [sys.executable, "-m", "edge", "replay", str(belt / "clip.avi"), "--out", str(tmp_path / "there")]
    subprocess.run([*command, "--config", "config.yaml"], cwd=ROOT, check=True, capture_output=True)
    for name in ("verdicts.jsonl", "summary.json"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_every_look_can_be_kept_to_train_with(belt: Path, tmp_path: Path) -> None:
    summary = replay(belt / "clip.avi", tmp_path / "out", "--crops", str(tmp_path / "crops"))
    parts = {each.name.split("-")[0] for each in (tmp_path / "crops").glob("*.png")}
    assert len(parts) == summary["parts"]


@pytest.mark.parametrize(
    ("source", "says"),
    [("none.mp4", "no such clip"), ("text.mp4", "no readable clip"), ("empty", "holds no pictures")],
)
def test_what_is_no_clip_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, says: str
) -> None:
    (tmp_path / "text.mp4").write_text("no clip")
    (tmp_path / "empty").mkdir()
    code = main(["replay", str(tmp_path / source), "--config", str(ROOT / "config.yaml"), "--out", str(tmp_path / "o")])
    told = capsys.readouterr().err.strip().splitlines()
    assert code == 1
    assert len(told) == 1
    assert says in told[0]


def test_a_truncated_model_is_one_line(copied: Path, belt: Path, tmp_path: Path, capsys) -> None:
    (copied / "model.tflite").write_bytes((copied / "model.tflite").read_bytes()[:1000])
    code = main(["replay", str(belt / "clip.avi"), "--model", str(copied), "--out", str(tmp_path / "o")])
    assert code == 1
    assert "is damaged" in capsys.readouterr().err


def test_a_real_clip_is_replayed_and_counted(data: Path, tmp_path: Path) -> None:
    clips = data / "clips"
    summary = replay(clips / "rice_package.mp4", tmp_path, "--truth", str(clips / "ground_truth.csv"))
    assert summary["frames"] == 654
    assert summary["entered"] >= summary["parts"] == summary["pass"] + summary["reject"] + summary["review"]
