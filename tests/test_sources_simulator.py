"""The simulated belt: the same for every seed, and true to what it says of itself."""

import dataclasses
import hashlib
import itertools
import threading
import time

import cv2
import numpy as np
import pytest

from edge.config import SimulatorSource
from edge.domain import SourceError
from edge.sources.simulation.belt import Leg, Motion
from edge.sources.simulation.defects import DEFECTS
from edge.sources.simulation.scenario import SCENARIOS
from edge.sources.simulation.sprite import lay, render
from edge.sources.simulator import Simulator

pytestmark = pytest.mark.wall_clock

SMALL = SimulatorSource(width_px=320, height_px=160, part_px=60.0, parts_per_minute=90.0)
STILL = dataclasses.replace(SMALL, noise=0.0, vibration_px=0.0, lighting=0.0)


def digest(config: SimulatorSource, indices: range) -> str:
    simulator = Simulator(config, paced=False)
    return hashlib.sha256(b"".join(simulator.picture(index).tobytes() for index in indices)).hexdigest()


def test_a_seed_is_a_story_and_another_seed_is_another() -> None:
    assert digest(SMALL, range(40, 60)) == digest(SMALL, range(40, 60))
    assert digest(SMALL, range(40, 60)) != digest(dataclasses.replace(SMALL, seed=2), range(40, 60))


def test_the_pictures_are_the_ones_they_always_were() -> None:
    """Held over machines and versions: stories that changed unnoticed would make every reference replay worthless."""
    assert digest(SMALL, range(0, 400, 20))[:16] == "b908507741c78c57"


def test_a_picture_does_not_depend_on_which_were_asked_for_before() -> None:
    straight, jumping = Simulator(SMALL, paced=False), Simulator(SMALL, paced=False)
    wanted = {index: straight.picture(index) for index in range(0, 400, 40)}
    for index in (360, 0, 200, 40, 320):
        assert np.array_equal(jumping.picture(index), wanted[index])


LAMP_PX = 1.7
"""The far edge of a part lies in its own shade, so that its lit outline is this much off its middle, at most."""


@pytest.mark.parametrize("direction", ["right", "left", "down", "up"])
def test_a_part_is_where_the_truth_says(direction: str) -> None:
    """What is measured in the pictures crosses the gate when the truth says, for every sound part of a while."""
    config = dataclasses.replace(STILL, direction=direction, defect_share=0.0, fps=60.0)
    if direction in ("down", "up"):
        config = dataclasses.replace(config, width_px=160, height_px=320)
    full, empty = Simulator(config, paced=False, seconds=7.0), Simulator(config, paced=False, parts=0)
    axis, gate_px = (0, 128.0) if direction in ("right", "left") else (1, 128.0)
    seen: dict[int, list[tuple[float, float]]] = {}
    for frame in full.frames(threading.Event()):
        near = [each for each in full.boxes(frame.index) if abs(each[1].center_px[axis] - gate_px) < 12]
        for placement, box in near:
            measured = lit_center(frame.image, empty.picture(frame.index), box.center_px, config.part_px)
            assert measured == pytest.approx(box.center_px, abs=LAMP_PX)
            seen.setdefault(placement.number, []).append((frame.at_s, measured[axis] - gate_px))
    parts = full.truth(0.4).parts
    assert parts is not None
    assert len(parts) == len(seen) >= 6
    for part in parts:
        times, offsets = np.transpose(seen[part.number])
        slope, offset = np.polyfit(times, offsets, 1)
        assert np.abs(offsets - slope * times - offset).max() < 0.5
        assert abs(slope) == pytest.approx(part.speed_px_s, rel=0.02)
        assert -offset / slope == pytest.approx(part.crossed_at_s, abs=LAMP_PX / part.speed_px_s)


def lit_center(image: np.ndarray, bare: np.ndarray, near: tuple[float, float], part_px: float) -> tuple[float, float]:
    """The middle of the lit outline nearest to a place, found in the picture alone."""
    mask = (image.astype(int) - bare > 12).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    circles = [cv2.minEnclosingCircle(each)[0] for each in outlines if len(each) > part_px]
    x, y = min(circles, key=lambda center: np.hypot(center[0] - near[0], center[1] - near[1]))
    return x + 0.5, y + 0.5


def test_a_part_covers_the_belt_evenly_around_its_middle() -> None:
    """To a fifth of a pixel, whatever fraction of a pixel it lies at; what shows through tells metal from belt."""
    sprite = render("ok", 110.0, np.random.Generator(np.random.PCG64(1)))
    rows, columns = np.mgrid[0:200, 0:200] + 0.5
    for x, y in ((100.0, 100.0), (100.5, 99.25), (100.875, 100.125)):
        dark, bright = np.zeros((200, 200), np.uint8), np.full((200, 200), 200, np.uint8)
        lay(sprite, dark, x, y)
        lay(sprite, bright, x, y)
        metal = bright.astype(int) - dark < 4
        assert columns[metal].mean() == pytest.approx(x, abs=0.2)
        assert rows[metal].mean() == pytest.approx(y, abs=0.2)
        assert np.sqrt(metal.sum() / np.pi) == pytest.approx(54.0, abs=1.0)


def test_defects_come_as_often_as_configured_and_every_kind_does() -> None:
    simulator = Simulator(dataclasses.replace(SMALL, defect_share=0.3), paced=False)
    labels = [placement.label for placement in itertools.islice(simulator.story(), 2000)]
    assert sum(label != "ok" for label in labels) / 2000 == pytest.approx(0.3, abs=0.04)
    assert set(labels) == {"ok", *DEFECTS}


def test_balanced_stories_are_half_good_with_every_defect_in_turn() -> None:
    simulator = Simulator(SMALL, paced=False, parts=20, balanced=True)
    labels = [placement.label for placement in simulator.story()]
    assert labels.count("ok") == 10
    assert all(labels.count(kind) == 2 for kind in DEFECTS)


@pytest.mark.parametrize("label", sorted(DEFECTS))
def test_every_defect_can_be_seen(label: str) -> None:
    """A defective part differs from the same part without its defect, where light falls, by what an eye notices."""
    for seed in range(20):
        bad, good = (render(kind, 110.0, np.random.Generator(np.random.PCG64(seed))) for kind in (label, "ok"))
        change = np.abs(bad.light.astype(int) - good.light) / 16 + np.abs(bad.through.astype(int) - good.through) / 4
        assert np.count_nonzero(change > 15) >= 5, seed


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_every_scenario_runs_and_its_truth_is_in_order(scenario: str) -> None:
    seconds = 34.0 if scenario == "empty" else 12.0
    simulator = Simulator(dataclasses.replace(SMALL, scenario=scenario), paced=False, seconds=seconds)
    frames = list(simulator.frames(threading.Event()))
    parts = simulator.truth(0.5).parts
    assert parts is not None
    times = [part.crossed_at_s for part in parts]
    assert len(parts) >= 5
    assert times == sorted(times)
    assert times[-1] <= frames[-1].at_s
    gaps = max(b.index - a.index for a, b in itertools.pairwise(frames))
    assert 2 <= gaps <= 9 if scenario == "dropped" else gaps == 1


def test_parts_keep_their_distance_unless_they_are_to_touch() -> None:
    for scenario, closest in (("clean", 1.1), ("touching", 0.99)):
        simulator = Simulator(dataclasses.replace(SMALL, scenario=scenario, parts_per_minute=3000.0), paced=False)
        along = [placement.along_px for placement in itertools.islice(simulator.story(), 200)]
        assert np.diff(along).min() >= closest * SMALL.part_px
        if scenario == "touching":
            assert np.diff(along).max() <= 1.07 * SMALL.part_px


def test_a_limited_story_ends_with_an_empty_belt() -> None:
    simulator = Simulator(SMALL, paced=False, parts=3)
    last = list(simulator.frames(threading.Event()))[-1]
    assert simulator.boxes(last.index) == []
    assert simulator.truth(0.9).count == 3


def test_a_belt_without_parts_stays_empty() -> None:
    simulator = Simulator(SMALL, paced=False, parts=0)
    frames = list(simulator.frames(threading.Event()))
    assert len(frames) > 30
    assert simulator.truth().count == 0


def test_the_story_waits_for_a_late_taker_and_then_catches_up() -> None:
    frames = Simulator(SMALL, paced=True).frames(threading.Event())
    first = next(frames)
    threading.Event().wait(0.4)
    began_s = time.monotonic()
    burst = list(itertools.islice(frames, 10))
    assert [frame.index for frame in burst] == list(range(first.index + 1, first.index + 11))
    assert burst[-1].at_s - first.at_s == pytest.approx(10 / SMALL.fps)
    assert time.monotonic() - began_s < 10 / SMALL.fps


def test_lanes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SourceError, match="3 lane"):
        Simulator(dataclasses.replace(SMALL, lanes=3))


def test_a_belt_that_stops_and_reverses_is_reached_when_it_is_reached() -> None:
    motion = Motion(100.0, (Leg(seconds=2.0), Leg(seconds=1.0, end=-1.0), Leg(seconds=1.0, start=-1.0, end=0.0)))
    assert motion.travel_px(2.0) == pytest.approx(200.0)
    assert motion.travel_px(4.0) == pytest.approx(150.0)
    for way in (0.5, 199.0, 210.0, 340.0, 1234.5):
        at_s = motion.reaches(way)
        assert motion.travel_px(at_s) == pytest.approx(way, abs=1e-6)
        assert max(motion.travel_px(each) for each in np.linspace(0, at_s - 1e-6, 4000)) < way
