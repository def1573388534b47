"""Too much to judge for a few seconds, with the daemon's real threads and clock; `make soak-line`: for minutes."""

from __future__ import annotations

from pathlib import Path

from edge.line import NO_TIME
from tests.soak.overload import run

SLOWER = 3.0
"""Than in earnest, so that what else the machine does matters less."""
FEW = 0.02
"""Share of verdicts that a busy machine may hold up after their last look at the clock."""


def test_under_overload_every_part_is_judged_in_time_or_reviewed(tmp_path: Path) -> None:
    outcome = run(tmp_path, 40.0, slower=SLOWER)
    print(outcome)
    assert len(outcome.verdicts) == outcome.settled > 0
    assert [each.number for each, _, _ in outcome.verdicts] == list(range(1, outcome.settled + 1))
    assert len(outcome.late) <= FEW * outcome.settled
    assert all(each.views >= 1 for each, _, _ in outcome.verdicts if not each.reason), "the first view is never shed"
    assert any(each.views < 3 for each, _, _ in outcome.verdicts), "later views are"
    assert all(each.views or each.reason for each, _, _ in outcome.verdicts)
    assert outcome.deepest <= 40, "two seconds' worth"


def test_without_shedding_verdicts_come_after_their_deadline(tmp_path: Path) -> None:
    """The proof that the load is one."""
    outcome = run(tmp_path, 30.0, slower=SLOWER, shedding=False)
    print(outcome)
    assert len(outcome.late) > 0.2 * outcome.settled
    assert not any(each.reason == NO_TIME for each, _, _ in outcome.verdicts)
