"""Reference replays: what the whole line said of these belts when it was last looked at by a person.

A change of the tracker, the model or the judge shows here as a difference to be explained. To accept it:
`LINEGATE_WRITE_REFERENCE=1 make test-device`, and read the diff before committing it.

Decisions must be the same everywhere; times and scores may differ in the last digits between processors.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import Event

import pytest

from edge import truth
from edge.assembly import build_line, open_bundle, replay_encoder
from edge.config import Config, SimulatorSource, Sources
from edge.domain import Verdict
from edge.sources.simulator import Simulator

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "reference"
BELTS = {
    "clean": SimulatorSource(seed=21, parts_per_minute=90.0),
    "left": SimulatorSource(seed=22, direction="left", speed_px_s=260.0, parts_per_minute=100.0),
    "dropped": SimulatorSource(seed=23, scenario="dropped"),
    "flicker": SimulatorSource(seed=24, scenario="flicker"),
    "stop": SimulatorSource(seed=27, scenario="stop"),  # no part stops within a pixel of the gate
}
SECONDS = 14.0
EXACT = ("sequence", "part_id", "decision", "evaluation", "label", "reason", "views", "model", "simulated")


def judged(belt: SimulatorSource) -> tuple[list[bytes], list[Verdict], truth.Comparison]:
    """The payloads of one belt, its verdicts, and how they agree with what was on it."""
    config = Config(source=Sources(simulator=belt))
    bundle = open_bundle(config.model, ROOT)
    line, encode = build_line(config, bundle), replay_encoder(config)
    simulator = Simulator(belt, paced=False, seconds=SECONDS)
    verdicts: list[Verdict] = []
    payloads: list[bytes] = []
    for frame in simulator.frames(Event()):
        for verdict in line.inspect(frame):
            verdicts.append(verdict)
            payloads.append(encode(verdict, len(verdicts), frame.at_s).payload)
    return payloads, verdicts, truth.compare(verdicts, simulator.truth(config.tracking.gate), until_s=frame.at_s)


@pytest.mark.parametrize("name", BELTS)
def test_the_line_says_what_it_said(name: str) -> None:
    payloads, verdicts, found = judged(BELTS[name])
    assert (found.missed, found.duplicates, found.phantom) == (0, 0, 0)
    assert found.parts == len(verdicts) >= 5
    path = FOLDER / f"{name}.jsonl"
    if os.environ.get("LINEGATE_WRITE_REFERENCE"):
        path.write_bytes(b"".join(payload + b"\n" for payload in payloads))
    known = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    said = [json.loads(payload) for payload in payloads]
    assert [{key: each[key] for key in EXACT} for each in said] == [{key: each[key] for key in EXACT} for each in known]
    for now, then in zip(said, known, strict=True):
        assert now["score"] == pytest.approx(then["score"], abs=0.05)
        assert now["captured_at"][:-3] == then["captured_at"][:-3]


def test_the_same_belt_gives_the_same_bytes() -> None:
    assert judged(BELTS["clean"])[0] == judged(BELTS["clean"])[0]
