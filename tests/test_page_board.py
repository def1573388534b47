"""The board: what the line leaves on it is counted exactly, told truthfully, and cheap to leave."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import pytest

from edge.domain import Box, Decision, Frame, Part, Verdict, View
from edge.page import About, StatusBoard
from edge.page.board import KEPT_PARTS
from edge.page.picture import COLORS, Pictures, drawn

pytestmark = pytest.mark.wall_clock

ABOUT = About(site="plant1", line="line1", station="cam1", recipe="ring", version="0.1.0", simulated=True, mqtt=True)


class Clock:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def frame(index: int, *, at_s: float | None = None) -> Frame:
    image = np.full((120, 160), 40, dtype=np.uint8)
    return Frame(index=index, at_s=index / 30 if at_s is None else at_s, image=image)


def part(number: int, *, at_s: float = 0.0, crop: int = 20) -> Part:
    """At the middle of the picture at `at_s`, coming from the left with 100 px/s."""
    now = Box(left_px=70, top_px=50, width_px=20, height_px=20)
    before = Box(left_px=60, top_px=50, width_px=20, height_px=20)
    image = np.full((crop, crop), number % 256, dtype=np.uint8)
    views = (View(crop=image, box=now, at_s=at_s), View(crop=image, box=before, at_s=at_s - 0.1))
    return Part(number=number, at_s=at_s, views=views, center_px=(80.0, 60.0), speed_px_s=100.0)


def verdict(number: int, decision: Decision = Decision.PASS, label: str = "ok") -> Verdict:
    return Verdict(
        number=number,
        decision=decision,
        label=label,
        reason="between the limits" if decision is Decision.REVIEW else "",
        score=0.1,
        limits=(0.2, 0.6),
        views=2,
        captured_at_s=0.0,
        speed_px_s=100.0,
    )


def told(board: StatusBoard) -> dict[str, Any]:
    """The snapshot as a client reads it."""
    read: dict[str, Any] = json.loads(json.dumps(board.snapshot()))
    return read


def decide(board: StatusBoard, *verdicts: Verdict) -> None:
    for each in verdicts:
        board.decided(each, latency_s=0.02, wall_s=1_800_000_000.0)


def test_counts_by_decision_and_label() -> None:
    board = StatusBoard(ABOUT)
    board.frame(frame(0), (), 5)
    decide(
        board,
        verdict(1),
        verdict(2, Decision.REJECT, "hole"),
        verdict(3, Decision.REJECT, "hole"),
        verdict(4, Decision.REVIEW, ""),
    )
    parts = told(board)["parts"]
    assert {key: parts[key] for key in ("entered", "decided", "on_the_way", "pass", "reject", "review")} == {
        "entered": 5, "decided": 4, "on_the_way": 1, "pass": 1, "reject": 2, "review": 1,
    }  # fmt: skip
    assert parts["by_label"] == {"pass": {"ok": 1}, "reject": {"hole": 2}, "review": {"": 1}}
    assert parts["latency_ms"] == 20.0


@pytest.mark.parametrize(
    ("numbers", "entered", "conserved"),
    [((1, 2, 3), 3, True), ((1, 2), 4, True), ((1, 2, 2), 3, False), ((1, 3), 3, False), ((1, 2), 1, False)],
)
def test_a_part_without_a_verdict_or_with_two_is_noticed(
    numbers: tuple[int, ...], entered: int, conserved: bool
) -> None:
    board = StatusBoard(ABOUT)
    board.frame(frame(0), (), entered)
    decide(board, *(verdict(number) for number in numbers))
    assert told(board)["conservation"] is conserved


def test_the_last_parts_are_told_newest_first_and_their_pictures_kept_as_long() -> None:
    board = StatusBoard(ABOUT)
    for number in range(1, KEPT_PARTS + 11):
        board.seen(part(number))
        board.frame(frame(number), (), number)
        decide(board, verdict(number))
    numbers = [each["number"] for each in told(board)["verdicts"]]
    assert numbers == list(range(KEPT_PARTS + 10, 10, -1))
    assert all(each["picture"] for each in told(board)["verdicts"])
    assert board.crop(10) is None
    crop = board.crop(KEPT_PARTS + 10)
    assert crop is not None
    assert int(crop[0, 0]) == KEPT_PARTS + 10


def test_a_part_without_a_look_has_no_picture() -> None:
    board = StatusBoard(ABOUT)
    board.seen(Part(number=1, at_s=0.0, views=(), reason="it vanished"))
    board.frame(frame(0), (), 1)
    decide(board, verdict(1, Decision.REVIEW, ""))
    assert told(board)["verdicts"][0]["picture"] is False


def test_frames_that_stop_are_noticed_without_anybody_saying_so() -> None:
    clock = Clock()
    board = StatusBoard(ABOUT, clock=clock)
    board.journal(True)
    board.golden(True)
    assert board.readiness()["frames"] == "no frame yet"
    assert told(board)["state"] == "starting"
    for index in range(31):
        clock.now_s += 0.1
        board.frame(frame(index), (), 0)
    assert told(board)["camera"] | {"up": True} == {
        "up": True, "moving": True, "age_s": 0.0, "frames": 31, "per_second": 10.0, "dropped": {},
    }  # fmt: skip
    assert not any(board.readiness().values())
    clock.now_s += 4.0
    assert board.frame_age_s() == pytest.approx(4.0)
    assert board.readiness()["frames"] == "no frame for 4.0 s"
    camera = told(board)["camera"]
    assert (camera["moving"], camera["per_second"]) == (False, 0.0)


def test_the_state_in_one_word() -> None:
    board = StatusBoard(ABOUT)
    board.frame(frame(0), (), 0)
    board.camera(True)
    assert told(board)["state"] == "running"
    board.camera(False)
    assert told(board)["state"] == "camera lost"
    board.stopping()
    assert told(board)["state"] == "stopping"


def test_the_rate_does_not_pretend_to_a_minute_it_has_not_seen() -> None:
    clock = Clock()
    board = StatusBoard(ABOUT, clock=clock)
    board.frame(frame(0), (), 1000)
    for number in range(1, 4):
        decide(board, verdict(number))
        clock.now_s += 1.0
    assert told(board)["parts"]["per_minute"] is None
    for number in range(4, 101):
        decide(board, verdict(number))
        clock.now_s += 1.0
    assert told(board)["parts"]["per_minute"] == pytest.approx(60.0, abs=1.0)
    clock.now_s += 60.0
    assert told(board)["parts"]["per_minute"] == 0.0


def test_what_waits_and_who_judges_is_told() -> None:
    board = StatusBoard(ABOUT)
    assert told(board)["model"] is None
    board.outbox(lambda: 7, lambda: 3.5)
    board.broker(True)
    board.dropped("overload", 2)
    board.dropped("overload", 1)
    board.model(name="ring", version="1", hash8="3fa91c07", backend="litert")
    read = told(board)
    assert read["outbox"] == {"pending": 7, "oldest_s": 3.5}
    assert read["mqtt"] == {"wanted": True, "up": True}
    assert read["camera"]["dropped"] == {"overload": 3}
    assert read["model"]["hash8"] == "3fa91c07"


def test_ready_needs_golden_picture_and_journal() -> None:
    board = StatusBoard(ABOUT)
    assert board.readiness()["model"]
    assert board.readiness()["journal"]
    board.golden(True)
    board.journal(True)
    assert board.readiness() == {"frames": "no frame yet", "model": "", "journal": ""}
    board.journal(False)
    assert board.readiness()["journal"] == "the journal cannot write"


def colored(picture: np.ndarray[Any, Any], decision: Decision | None) -> tuple[int, int] | None:
    """Left-most and right-most column of a colour in a picture."""
    columns = np.flatnonzero((picture == np.array(COLORS[decision])).all(axis=2).any(axis=0))
    return (int(columns[0]), int(columns[-1])) if len(columns) else None


def test_an_outline_takes_the_colour_of_its_verdict_and_keeps_it_on_its_way() -> None:
    board = StatusBoard(ABOUT)
    waiting = Box(left_px=5, top_px=50, width_px=20, height_px=20)
    board.seen(part(1, at_s=1.0))
    board.frame(frame(30, at_s=1.0), (waiting, Box(left_px=70, top_px=50, width_px=20, height_px=20)), 2)
    decide(board, verdict(1, Decision.REJECT, "hole"))
    board.frame(frame(39, at_s=1.3), (waiting, Box(left_px=102, top_px=50, width_px=20, height_px=20)), 2)
    look = board.look()
    assert look is not None
    picture = drawn(look)
    found = colored(picture, Decision.REJECT)
    assert found is not None
    assert 98 <= found[0] <= 102
    still = colored(picture, None)
    assert still is not None
    assert still[1] < 40
    assert (look.frame.image == 40).all(), "the frame itself must stay as it is"


def test_a_judged_part_that_the_tracker_forgot_is_followed_for_a_while() -> None:
    board = StatusBoard(ABOUT)
    board.seen(part(1, at_s=1.0))
    board.frame(frame(30, at_s=1.0), (), 1)
    decide(board, verdict(1))
    board.frame(frame(36, at_s=1.2), (), 1)
    near, far = board.look(), None
    board.frame(frame(99, at_s=9.0), (), 1)
    far = board.look()
    assert near is not None
    assert far is not None
    found = colored(drawn(near), Decision.PASS)
    assert found is not None
    assert 86 <= found[0] <= 92
    assert colored(drawn(far), Decision.PASS) is None


@pytest.mark.parametrize(("direction", "upright"), [("right", True), ("auto", True), ("down", False), ("up", False)])
def test_the_gate_stands_across_the_direction_of_travel(direction: str, upright: bool) -> None:
    about = About(**{each: getattr(ABOUT, each) for each in ("site", "line", "station", "recipe", "version")},
                  simulated=False, mqtt=False, direction=direction, gate=0.25)  # fmt: skip
    board = StatusBoard(about)
    board.frame(frame(0), (), 0)
    look = board.look()
    assert look is not None
    line = (drawn(look) == (255, 200, 110)).all(axis=2)
    assert line[:, 40].all() == upright
    assert line[30, :].all() != upright


def test_the_live_picture_is_encoded_once_for_all_who_ask() -> None:
    clock = Clock()
    board = StatusBoard(ABOUT)
    pictures = Pictures(board, per_second=8, clock=clock)
    assert pictures.live() is None
    board.frame(frame(0), (), 0)
    first = pictures.live()
    assert first is not None
    assert first[:2] == b"\xff\xd8"
    board.frame(frame(1), (Box(left_px=5, top_px=5, width_px=50, height_px=50),), 0)
    assert pictures.live() is first
    clock.now_s += 0.2
    assert pictures.live() not in (None, first)


def test_a_frame_that_was_passed_over_counts_and_leaves_the_picture_that_its_outlines_fit() -> None:
    board = StatusBoard(ABOUT)
    shown, outlines = frame(0), (Box(left_px=5, top_px=5, width_px=50, height_px=50),)
    board.frame(shown, outlines, 1)
    board.passed_over()
    look = board.look()
    assert look is not None
    assert (look.frame, look.outlines) == (shown, outlines)
    assert told(board)["camera"]["frames"] == 2


def test_leaving_a_frame_is_cheap() -> None:
    board = StatusBoard(ABOUT)
    ready, outlines = frame(0), (Box(left_px=5, top_px=5, width_px=50, height_px=50),)
    began = time.thread_time()
    for number in range(5000):
        board.frame(ready, outlines, number)
    assert (time.thread_time() - began) / 5000 < 20e-6


def test_readers_do_not_disturb_the_counting() -> None:
    board, done = StatusBoard(ABOUT), threading.Event()
    seen: list[bool] = []

    def read() -> None:
        while not done.is_set():
            time.sleep(0.001)
            status = board.snapshot()
            parts = status["parts"]
            seen.append(
                status["conservation"] and parts["decided"] == parts["pass"] + parts["reject"] + parts["review"]
            )

    readers = [threading.Thread(target=read) for _ in range(3)]
    for each in readers:
        each.start()
    for number in range(1, 301):
        board.seen(part(number, crop=2))
        board.frame(frame(0), (), number)
        decide(board, verdict(number, Decision.REJECT if number % 3 == 0 else Decision.PASS))
    done.set()
    for each in readers:
        each.join()
    assert seen
    assert all(seen)
    assert told(board)["parts"]["reject"] == 100
