"""Setting verdicts against the truth: every way of being wrong is counted once, and as what it is."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from edge.domain import Decision, SourceError, Verdict
from edge.truth import Comparison, TruePart, Truth, compare, read, write


def true_part(number: int, at_s: float, *, good: bool = True, lane: int = 0) -> TruePart:
    return TruePart(number=number, label="ok" if good else "burr", good=good, crossed_at_s=at_s, lane=lane)


def verdict(at_s: float, decision: Decision = Decision.PASS) -> Verdict:
    return Verdict(
        number=1,
        decision=decision,
        label="",
        reason="",
        score=0.5,
        limits=(0.2, 0.8),
        views=1,
        captured_at_s=at_s,
    )


def truth_of(*parts: TruePart) -> Truth:
    return Truth(count=len(parts), parts=parts, gate=0.5)


FIVE = truth_of(*(true_part(number, float(number), good=number % 2 == 1) for number in range(1, 6)))
"""Parts 1, 3 and 5 are good, one a second."""

ALL_RIGHT = [verdict(each.crossed_at_s, Decision.PASS if each.good else Decision.REJECT) for each in FIVE.parts or ()]


def found(verdicts: list[Verdict], truth: Truth = FIVE) -> dict[str, int]:
    """Only what is not zero, beside the number of parts."""
    result = dataclasses.asdict(compare(verdicts, truth))
    return {name: value for name, value in result.items() if value and name != "parts"}


def test_verdicts_that_are_right_leave_nothing_over() -> None:
    assert found(ALL_RIGHT) == {}
    assert found([dataclasses.replace(each, captured_at_s=each.captured_at_s + 0.3) for each in ALL_RIGHT]) == {}
    assert found(list(reversed(ALL_RIGHT))) == {}


@pytest.mark.parametrize("lost", range(5))
def test_a_lost_part_is_missed_and_shifts_no_other(lost: int) -> None:
    assert found(ALL_RIGHT[:lost] + ALL_RIGHT[lost + 1 :]) == {"missed": 1}


@pytest.mark.parametrize("twice", range(5))
def test_a_second_verdict_is_a_duplicate_and_shifts_no_other(twice: int) -> None:
    again = dataclasses.replace(ALL_RIGHT[twice], captured_at_s=ALL_RIGHT[twice].captured_at_s + 0.2)
    assert found([*ALL_RIGHT, again]) == {"duplicates": 1}


def test_a_verdict_about_nothing_is_a_phantom() -> None:
    assert found([*ALL_RIGHT, verdict(9.0)]) == {"phantom": 1}


def test_a_lost_part_is_not_made_up_for_by_a_phantom_elsewhere() -> None:
    assert found([*ALL_RIGHT[1:], verdict(9.0)]) == {"missed": 1, "phantom": 1}


def test_escapes_and_overkill_are_wrong_and_review_never_is() -> None:
    bad_passed = [*ALL_RIGHT[:1], verdict(2.0, Decision.PASS), *ALL_RIGHT[2:]]
    good_rejected = [verdict(1.0, Decision.REJECT), *ALL_RIGHT[1:]]
    assert found(bad_passed) == {"escapes": 1}
    assert found(good_rejected) == {"overkill": 1}
    assert compare(bad_passed, FIVE).wrong == compare(good_rejected, FIVE).wrong == 1
    left_to_people = [verdict(each.captured_at_s, Decision.REVIEW) for each in ALL_RIGHT]
    assert found(left_to_people) == {"review": 5}
    assert compare(left_to_people, FIVE).wrong == 0


def test_parts_side_by_side_may_come_in_either_order() -> None:
    pairs = truth_of(
        *itertools.chain.from_iterable(
            (true_part(2 * n, n + 0.0, lane=0), true_part(2 * n + 1, n + 0.01, good=False, lane=1)) for n in range(4)
        )
    )
    swapped = []
    for n in range(4):
        swapped += [verdict(n + 0.0, Decision.REJECT), verdict(n + 0.005, Decision.PASS)]
    assert found(swapped, pairs) == {}
    assert found([verdict(each.captured_at_s, Decision.PASS) for each in swapped], pairs) == {"escapes": 4}
    assert found(swapped[1:], pairs)["missed"] == 1


def test_lanes_that_run_apart_do_not_narrow_the_reach() -> None:
    lanes = truth_of(*(true_part(n, n * 0.5 + (0.2 if n % 2 else 0.0), lane=n % 2) for n in range(10)))
    late = [verdict(each.crossed_at_s + 0.15) for each in lanes.parts or ()]
    assert found(late, lanes) == {}


def test_parts_after_the_last_frame_do_not_count() -> None:
    assert compare(ALL_RIGHT[:3], FIVE, until_s=3.5) == Comparison(
        parts=3, missed=0, duplicates=0, phantom=0, escapes=0, overkill=0, review=0
    )


def test_an_empty_belt_has_nothing_to_miss() -> None:
    assert found([], truth_of()) == {}
    assert found([verdict(1.0)], truth_of()) == {"phantom": 1}


def test_a_count_alone_tells_missed_and_double() -> None:
    assert found(ALL_RIGHT, Truth(count=7)) == {"missed": 2}
    assert found(ALL_RIGHT, Truth(count=4)) == {"duplicates": 1}
    assert compare(ALL_RIGHT, Truth(count=5)).summary() == {
        "true_parts": 5,
        "missed": 0,
        "duplicates": 0,
        "phantom": 0,
        "wrong": 0,
        "escapes": 0,
        "overkill": 0,
    }


def test_ten_thousand_parts_are_compared_in_no_time() -> None:
    many = truth_of(*(true_part(n, n * 0.05) for n in range(10_000)))
    verdicts = [verdict(each.crossed_at_s + 0.01) for each in many.parts or ()]
    assert found(verdicts[:5000] + verdicts[5001:], many) == {"missed": 1}


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "truth.json", FIVE, {"seed": 3})
    assert read(tmp_path / "truth.json", "clip.avi") == FIVE


def test_a_table_of_counts_is_read_by_the_name_of_the_clip(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("file,line,parts_crossing_line\na.mp4,x=0.40,25\nb.gif,,4\n")
    assert read(path, "a.mp4") == Truth(count=25, gate=0.4)
    assert read(path, "b.gif") == Truth(count=4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no truth"),
        ('{"schema": "other/1", "parts": [], "gate": 0.5}', "other/1"),
        ('{"schema": "linegate.truth/1", "gate": 0.5, "parts": [{"number": 1}]}', "is no truth"),
        ("file,parts\na.mp4,3\n", "needs the columns"),
        ("", "needs the columns"),
        ("file,parts_crossing_line\nb.mp4,3\n", "says nothing about a.mp4"),
        ("file,parts_crossing_line\na.mp4,many\n", "give a whole number"),
        ("file,parts_crossing_line\na.mp4\n", "give a whole number"),
    ],
)
def test_a_truth_that_is_none_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "truth"
    path.write_text(text)
    with pytest.raises(SourceError, match=said) as caught:
        read(path, "a.mp4")
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_truth_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read(tmp_path / "absent.json", "a.mp4")
