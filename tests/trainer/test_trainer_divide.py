"""The first step of a run as a whole: what it says of labels, and what it does with a person's decision."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn import TINY, fill

from trainer import claims, divide, recipe
from trainer.run import Run


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    """Parts of two views; one view of part ok3 lies among the defective ones."""
    root = fill(tmp_path / "data", {"ok": 10, "hole": 10}, views=2)
    (root / "ok" / "ok-003-1.png").rename(root / "hole" / "ok-003-1.png")
    listed = root / "groups.csv"
    listed.write_text(listed.read_text().replace("ok3,ok,ok-003-1.png", "ok3,hole,ok-003-1.png"))
    return root


def divided(root: Path, out: Path, more: str = "") -> tuple[dict[str, object], set[str]]:
    """The facts of the run, and the labels of part ok3 after it."""
    run = Run.begin(out, root, recipe.parse(TINY + more))
    divide.divide(run)
    mine = {each.label for each in run.part("grouped").pictures().pictures if each.group == "ok3"}
    return json.loads((run.out / "data.json").read_text()), mine


def test_a_part_under_two_labels_is_named_and_kept_as_it_is(
    torn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts, mine = divided(torn, tmp_path / "out")
    assert mine == {"ok", "hole"}
    assert facts["contradictory"] == {"ok3": {"ok": 1, "hole": 1}}
    assert facts["decided"] == []
    assert "part ok3 is called hole (1 pictures) and ok (1 pictures)" in capsys.readouterr().err
    assert "1 parts carry more than one label (ok3)" in " ".join(claims.labels_told(facts))


def test_what_a_person_decided_is_done_and_said(torn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts, mine = divided(torn, tmp_path / "out", "decided: {ok3: ok}\n")
    assert mine == {"ok"}
    assert facts["contradictory"] == {}
    assert facts["decided"] == ["part ok3 is ok, also in 1 pictures called hole"]
    assert "decided by a person: part ok3 is ok" in capsys.readouterr().err
    assert "Labels were decided by a person" in " ".join(claims.labels_told(facts))
