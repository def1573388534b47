"""`linegate calibrate`: what it proposes, what it doubts, and that its file can be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

from edge.__main__ import main
from edge.config import SimulatorSource, Tracking, load
from edge.domain import Frame
from edge.sources.simulator import Simulator
from edge.tracking.calibrate import calibrate, confirm

BELT = SimulatorSource(width_px=320, height_px=240, part_px=56, speed_px_s=130, parts_per_minute=70, fps=20, seed=3)


def frames(config: SimulatorSource, seconds: float) -> list[Frame]:
    return list(Simulator(config, paced=False, seconds=seconds).frames(Event()))


@pytest.mark.parametrize("direction", ["left", "down"])
def test_proposes_what_the_belt_does(direction: str) -> None:
    seen = frames(replace(BELT, direction=direction), 14)
    proposal = calibrate(seen)
    assert proposal.understood
    assert proposal.tracking.direction == direction
    assert proposal.tracking.speed_px_s == pytest.approx(130, rel=0.05)
    assert proposal.part_px[0] == pytest.approx(56, rel=0.2)
    assert 20 < proposal.tracking.part_min_px < 40
    across = proposal.tracking.region[1::2] if direction == "left" else proposal.tracking.region[0::2]
    assert across[0] < 0.4
    assert across[1] > 0.6
    assert confirm(proposal, seen).parts == proposal.parts


def test_says_what_it_is_unsure_of() -> None:
    few = calibrate(frames(BELT, 5))
    assert any("part(s) passed" in doubt for doubt in few.doubts)
    fast = calibrate(frames(replace(BELT, speed_px_s=900, parts_per_minute=300), 3))
    assert any("times before the gate" in doubt for doubt in fast.doubts)


def test_a_picture_that_stands_still_is_not_understood() -> None:
    still = [Frame(index=i, at_s=i / 20, image=np.full((120, 160), 80, np.uint8)) for i in range(60)]
    proposal = calibrate(still, 0.4)
    assert not proposal.understood
    assert proposal.doubts
    assert proposal.tracking == Tracking(gate=0.4, views=1)


def test_the_command_writes_a_configuration_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    for frame in frames(BELT, 8):
        cv2.imwrite(str(clip / f"{frame.index:05d}.png"), frame.image)
    target = tmp_path / "line.yaml"
    assert main(["calibrate", str(clip), "--gate", "x=0.40", "--write", str(target)]) == 0
    told = capsys.readouterr().out
    assert "runs right" in told
    config = load(target)
    assert config.tracking.direction == "right"
    assert config.tracking.gate == pytest.approx(0.4)
    assert cv2.imread(str(tmp_path / "line.png")).shape == (240, 320, 3)


def test_mistakes_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path / "none.mp4")]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    with pytest.raises(SystemExit) as stop:
        main(["calibrate", "clip.mp4", "--gate", "z=2"])
    assert stop.value.code == 2
    assert "is no gate" in capsys.readouterr().err
