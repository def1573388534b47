"""From outputs to decisions: integers, fail-safe, every machine alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.domain import Decision, Part, Scores
from edge.judge import Judge

JUDGE = Judge(
    labels=("blowhole", "ok", "scratch"),
    good=frozenset({"ok"}),
    pass_steps=-20,
    reject_steps=30,
    log_odds_per_step=0.1,
)
PART = Part(number=7, at_s=3.5, views=())


def decided(*rows: tuple[int, int, int], part: Part = PART):
    return JUDGE.decide(part, Scores(outputs=np.array(rows, dtype=np.int8).reshape(-1, 3)))


@pytest.mark.parametrize(
    ("row", "decision", "label"),
    [
        ((-60, 40, -90), Decision.PASS, "ok"),
        ((0, 20, -90), Decision.PASS, "ok"),
        ((1, 20, -90), Decision.REVIEW, "ok"),
        ((49, 20, -90), Decision.REVIEW, "blowhole"),
        ((50, 20, -90), Decision.REJECT, "blowhole"),
        ((-128, -128, 127), Decision.REJECT, "scratch"),
    ],
)
def test_the_limits_are_inclusive(row: tuple[int, int, int], decision: Decision, label: str) -> None:
    verdict = decided(row)
    assert (verdict.decision, verdict.label) == (decision, label)
    assert (verdict.reason == "") == (decision is not Decision.REVIEW)


def test_views_are_averaged_and_not_outvoted() -> None:
    assert decided((-10, 20, -90), (-10, 20, -90), (127, -128, -90)).decision is Decision.REJECT
    assert decided((-100, 100, -90), (-100, 100, -90), (20, 0, -90)).decision is Decision.PASS


@pytest.mark.parametrize("scores", [None, Scores(outputs=np.empty((0, 3), dtype=np.int8))])
def test_nothing_seen_is_never_a_pass(scores: Scores | None) -> None:
    verdict = JUDGE.decide(PART, scores)
    assert verdict.decision is Decision.REVIEW
    assert verdict.reason == "no usable view"
    assert verdict.score == 0.5


def test_a_part_with_a_reason_is_reviewed_however_good_it_looks() -> None:
    part = Part(number=1, at_s=0.0, views=(), reason="vanished before the gate")
    verdict = decided((-128, 127, -128), part=part)
    assert (verdict.decision, verdict.reason) == (Decision.REVIEW, "vanished before the gate")


outputs = st.lists(st.tuples(*[st.integers(-128, 127)] * 3), min_size=1, max_size=9)


@given(outputs)
def test_score_limits_and_decision_tell_the_same_story(rows: list[tuple[int, int, int]]) -> None:
    verdict = decided(*rows)
    low, high = verdict.limits
    if verdict.decision is Decision.PASS:
        assert verdict.score <= low
        assert verdict.label == "ok"
    elif verdict.decision is Decision.REJECT:
        assert verdict.score >= high
        assert verdict.label != "ok"
    else:
        assert low <= verdict.score <= high
        assert verdict.reason


@given(outputs, st.randoms())
def test_the_order_of_views_does_not_matter(rows: list[tuple[int, int, int]], random) -> None:
    shuffled = rows[:]
    random.shuffle(shuffled)
    assert decided(*rows) == decided(*shuffled)
