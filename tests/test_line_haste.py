"""Too much to judge: the best view of a part is never shed for load; what cannot be judged in time goes to review."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from edge.domain import Box, Decision, Frame, Image, Part, Scores, Verdict, View
from edge.haste import MOST_WAITING, Haste
from edge.judge import Judge
from edge.line import NO_TIME, Line

JUDGE = Judge(labels=("bad", "ok"), good=frozenset({"ok"}), pass_steps=-20, reject_steps=30, log_odds_per_step=0.1)
PICTURE = np.zeros((8, 8), np.uint8)
VIEW = View(crop=PICTURE, box=Box(left_px=0, top_px=0, width_px=8, height_px=8), at_s=0.0)


class Clock:
    """Time that passes only while the model computes."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Model:
    """Says ok, after a while."""

    def __init__(self, clock: Clock, view_s: float) -> None:
        self.clock, self.view_s = clock, view_s
        self.asked: list[int] = []
        self.told = lambda _took_s: None

    def scores(self, crops: Sequence[Image]) -> Scores:
        self.asked.append(len(crops))
        self.clock.now_s += self.view_s * len(crops)
        self.told(self.view_s)
        return Scores(outputs=np.array([[-100, 100]] * len(crops), dtype=np.int8))


class Belt:
    """Settles the parts it was given, in one frame."""

    entered, lapses, outlines, travelled, looked_s, speed_px_s = 0, (), (), (), 0.0, 0.0

    def __init__(self, *parts: Part) -> None:
        self.parts = list(parts)

    def finish(self) -> list[Part]:
        return []

    def update(self, frame: Frame) -> list[Part]:
        return self.parts


def part(at_s: float = 100.0, views: int = 3) -> Part:
    return Part(number=0, at_s=at_s, views=(VIEW,) * views)


def judged(
    *parts: Part, view_s: float, frame_s: float = 100.0, hurry_s: float = 0.1, deadline_s: float = 0.0
) -> tuple[list[Verdict], Model]:
    clock = Clock()
    model = Model(clock, view_s)
    haste = Haste(hurry_s, deadline_s, clock=clock)
    haste.took(view_s)
    model.told = haste.took
    line = Line(Belt(*parts), model, JUDGE, budget=haste)
    return list(line.inspect(Frame(index=0, at_s=frame_s, image=PICTURE))), model


def test_with_time_enough_every_view_is_judged() -> None:
    verdicts, model = judged(part(), part(), view_s=0.005)
    assert model.asked == [3, 3]
    assert [each.decision for each in verdicts] == [Decision.PASS] * 2


def test_of_an_old_frame_only_the_best_view_of_each_part_is_judged() -> None:
    verdicts, model = judged(part(), part(), view_s=0.005, frame_s=99.8)
    assert model.asked == [1, 1]
    assert [each.views for each in verdicts] == [1, 1]


def test_a_frame_grows_old_while_its_first_parts_are_judged() -> None:
    _, model = judged(part(), part(), part(), view_s=0.05)
    assert model.asked == [3, 1, 1]


def test_a_deadline_is_shared_among_the_parts_of_a_frame() -> None:
    verdicts, model = judged(*[part()] * 4, view_s=0.03, hurry_s=9.0, deadline_s=0.2)
    assert all(asked >= 1 for asked in model.asked)
    assert [each.decision for each in verdicts] == [Decision.PASS] * 4
    assert 4 <= sum(model.asked) <= 6


def test_parts_of_later_frames_wait_their_turn_and_are_counted_as_waiting() -> None:
    clock = Clock()
    model = Model(clock, 0.03)
    haste = Haste(9.0, 0.2, clock=clock)
    haste.took(0.03)
    line = Line(Belt(part(), part()), model, JUDGE, budget=haste)
    waiting = [line.inspect(Frame(index=index, at_s=100.0, image=PICTURE)) for index in range(2)]
    assert [each.number for verdicts in waiting for each in verdicts] == [1, 2, 3, 4]
    assert 4 <= sum(model.asked) <= 6, "the deadline is shared among all four"


def test_no_more_than_so_many_parts_are_kept_waiting() -> None:
    verdicts, _ = judged(*[part()] * (MOST_WAITING + 5), view_s=0.0)
    assert [each.reason for each in verdicts] == [NO_TIME] * 5 + [""] * MOST_WAITING


def test_what_cannot_be_judged_in_time_is_reviewed_at_once() -> None:
    verdicts, model = judged(part(at_s=99.0), part(), view_s=0.05, deadline_s=0.5)
    assert model.asked[0] >= 1
    assert len(model.asked) == 1
    assert (verdicts[0].decision, verdicts[0].reason) == (Decision.REVIEW, NO_TIME)
    assert verdicts[1].decision is Decision.PASS


def test_a_verdict_that_falls_too_late_is_none() -> None:
    clock = Clock()
    model = Model(clock, 0.4)
    line = Line(Belt(part(views=1)), model, JUDGE, budget=Haste(0.1, 0.3, clock=clock))
    (verdict,) = line.inspect(Frame(index=0, at_s=100.0, image=PICTURE))
    assert model.asked == [1]
    assert (verdict.decision, verdict.reason) == (Decision.REVIEW, NO_TIME)


def test_a_model_that_was_slow_for_a_while_is_tried_again() -> None:
    clock = Clock()
    model = Model(clock, 0.01)
    haste = Haste(0.1, 0.3, clock=clock)
    for _ in range(15):
        haste.took(1.0)
    line = Line(Belt(part(views=1)), model, JUDGE, budget=haste)
    decisions = []
    for _ in range(30):
        clock.now_s = 100.0
        decisions += [each.decision for each in line.inspect(Frame(index=0, at_s=100.0, image=PICTURE))]
    assert decisions[0] is Decision.REVIEW
    assert decisions[-1] is Decision.PASS


def test_without_a_budget_nothing_depends_on_the_time() -> None:
    model = Model(Clock(), 99.0)
    line = Line(Belt(part(at_s=-1e6), part(at_s=-1e6)), model, JUDGE)
    list(line.inspect(Frame(index=0, at_s=0.0, image=PICTURE)))
    assert model.asked == [3, 3]


class Eye:
    def __init__(self, *unseen: Part) -> None:
        self.heard: list[Part] = []
        self._unseen = list(unseen)

    def settled(self, part: Part) -> None:
        self.heard.append(part)

    def unseen(self, now_s: float) -> list[Part]:
        found, self._unseen = self._unseen, []
        return found


@pytest.mark.parametrize("unseen", [0, 2])
def test_parts_of_the_witness_are_numbered_and_counted_with_the_others(unseen: int) -> None:
    eye = Eye(*[Part(number=0, at_s=1.0, views=(), reason="only the eye")] * unseen)
    line = Line(Belt(part()), Model(Clock(), 0.0), JUDGE, witness=eye)
    verdicts = [each for at_s in (0.0, 1.0) for each in line.inspect(Frame(index=0, at_s=at_s, image=PICTURE))]
    assert [each.number for each in verdicts] == list(range(1, 3 + unseen))
    assert len(eye.heard) == 2
    assert line.entered == unseen
    assert sum(each.decision is Decision.REVIEW for each in verdicts) == unseen
