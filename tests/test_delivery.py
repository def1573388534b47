"""Verdicts are on disk before anyone is told, numbered without a gap, whatever the journal does."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from brokers import eventually

from edge import delivery
from edge.delivery import Decided, Delivery
from edge.domain import Decision, SinkDown, Verdict
from edge.message import Record

pytestmark = pytest.mark.wall_clock


class Disk:
    """A journal in memory that can be made to fail."""

    def __init__(self, last_sequence: int = 0) -> None:
        self.records: list[Record] = []
        self.commits = 0
        self.failing = False
        self.announced: list[int] = []
        self._last = last_sequence

    @property
    def last_sequence(self) -> int:
        return self._last

    def append(self, records: Sequence[Record], amended: Callable[[], Sequence[Record]]) -> None:
        if self.failing:
            raise SinkDown("disk full")
        records = amended()
        self.records.extend(records)
        self._last = records[-1].sequence
        self.commits += 1

    def tidy(self) -> None:
        if self.failing:
            raise SinkDown("disk full")

    def announce(self, count: int) -> None:
        self.announced.append(count)


def decided(number: int, decision: Decision = Decision.PASS) -> Decided:
    verdict = Verdict(
        number=number,
        decision=decision,
        label="ok",
        reason="",
        score=0.1,
        limits=(0.2, 0.6),
        views=1,
        captured_at_s=0.0,
    )
    return Decided(verdict=verdict, steady_s=0.0, wall_s=0.0)


class Delivered:
    """A delivery in a thread of its own, with what it told others."""

    def __init__(self, disk: Disk, commits_per_s: float = 50.0) -> None:
        self.disk = disk
        self.told: list[tuple[int, int]] = []
        self.became: list[tuple[Decision, str]] = []
        self.given: list[tuple[int, Decision]] = []
        self.journal: list[str] = []
        self.delivery = Delivery(
            disk,
            lambda each, sequence: Record(sequence=sequence, payload=str(each.verdict.number).encode()),
            on_committed=self._committed,
            on_journal=self.journal.append,
            on_given=lambda verdict: self.given.append((verdict.number, verdict.decision)),
            on_idle=lambda: self.disk.tidy(),
            commits_per_s=commits_per_s,
        )
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _committed(self, each: Decided, record: Record) -> None:
        assert record in self.disk.records, "told before it was on disk"
        self.told.append((each.verdict.number, record.sequence))
        self.became.append((each.verdict.decision, each.verdict.reason))

    def _run(self) -> None:
        try:
            self.delivery.run()
        except SinkDown as error:
            self.error = error


def test_numbers_go_on_where_the_journal_ended() -> None:
    running = Delivered(Disk(last_sequence=41))
    for number in (1, 2, 3):
        running.delivery.give(decided(number))
    running.delivery.close()
    running.thread.join(5)
    assert running.told == [(1, 42), (2, 43), (3, 44)]


def test_what_piled_up_shares_a_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    entered, leave = threading.Event(), threading.Event()
    plain = disk.append

    def slow(records: Sequence[Record], amended: Callable[[], Sequence[Record]]) -> None:
        entered.set()
        leave.wait(5)
        plain(records, amended)

    monkeypatch.setattr(disk, "append", slow)
    running = Delivered(disk)
    running.delivery.give(decided(1))
    entered.wait(5)
    for number in range(2, 30):
        running.delivery.give(decided(number))
    leave.set()
    running.delivery.close()
    running.thread.join(5)
    assert [number for number, _ in running.told] == list(range(1, 30))
    assert disk.commits == 2


def test_while_the_journal_fails_every_part_becomes_review_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "RETRY_S", 0.02)
    disk = Disk()
    running = Delivered(disk)
    assert running.delivery.give(decided(1)).decision is Decision.PASS
    eventually(lambda: running.told)
    disk.failing = True
    assert running.delivery.give(decided(2)).decision is Decision.PASS, "nobody can know yet"
    eventually(lambda: running.journal == ["disk full"])
    seemed_to_pass = [(1, Decision.PASS), (2, Decision.PASS), (2, Decision.REVIEW)]
    eventually(lambda: running.given == seemed_to_pass, what="telling the gate about the part that seemed to pass")
    assert running.delivery.give(decided(3)).decision is Decision.REVIEW
    assert running.delivery.give(decided(4, Decision.REJECT)).decision is Decision.REVIEW
    eventually(lambda: disk.announced[-1:] == [3])
    assert running.told == [(1, 1)]
    disk.failing = False
    eventually(lambda: running.journal == ["disk full", ""])
    assert running.delivery.give(decided(5)).decision is Decision.PASS
    running.delivery.close()
    running.thread.join(5)
    assert running.told == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
    passed, rejected = "the model said pass", "the model said reject"
    assert running.became == [
        (Decision.PASS, ""),
        (Decision.REVIEW, f"the journal could not write; {passed}"),
        (Decision.REVIEW, f"the journal could not write; {passed}"),
        (Decision.REVIEW, f"the journal could not write; {rejected}"),
        (Decision.PASS, ""),
    ]
    assert running.given[3:] == [(3, Decision.REVIEW), (4, Decision.REVIEW), (5, Decision.PASS)]


def test_a_verdict_that_falls_in_the_moment_of_the_failure_is_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "RETRY_S", 0.02)
    disk = Disk()
    entered, leave = threading.Event(), threading.Event()

    def fails_slowly(_records: Sequence[Record], _amended: Callable[[], Sequence[Record]]) -> None:
        entered.set()
        leave.wait(5)
        raise SinkDown("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(disk, "append", fails_slowly)
        running = Delivered(disk)
        running.delivery.give(decided(1))
        entered.wait(5)
        assert running.delivery.give(decided(2)).decision is Decision.PASS
        leave.set()
        eventually(lambda: running.given[2:] == [(1, Decision.REVIEW), (2, Decision.REVIEW)])
    running.delivery.close()
    running.thread.join(5)
    assert [decision for decision, _ in running.became] == [Decision.REVIEW] * 2


def test_a_stop_does_not_wait_for_a_journal_that_never_writes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "RETRY_S", 0.02)
    disk = Disk()
    disk.failing = True
    running = Delivered(disk)
    running.delivery.give(decided(1))
    running.delivery.aborted.set()
    running.thread.join(5)
    assert str(running.error) == "disk full"
    assert running.told == []


def test_when_memory_is_full_too_the_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "WAITING_LIMIT", 3)
    disk = Disk()
    disk.failing = True
    running = Delivered(disk)
    with pytest.raises(SinkDown, match="free its disk"):
        for number in range(10):
            running.delivery.give(decided(number))
    running.delivery.aborted.set()
    running.thread.join(5)


def test_a_disk_that_does_not_answer_counts_as_failed_before_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was under way is review everywhere, although in the end it was written."""
    monkeypatch.setattr(delivery, "PATIENCE_S", 0.05)
    disk = Disk()
    answers = threading.Event()
    plain = disk.append

    def hangs(records: Sequence[Record], amended: Callable[[], Sequence[Record]]) -> None:
        assert answers.wait(20)
        plain(records, amended)

    monkeypatch.setattr(disk, "append", hangs)
    running = Delivered(disk)
    assert running.delivery.give(decided(1)).decision is Decision.PASS

    def noticed() -> list[str]:
        running.delivery.mind()
        return running.journal

    eventually(noticed)
    assert "has not answered" in running.journal[0]
    assert running.given == [(1, Decision.PASS), (1, Decision.REVIEW)]
    assert running.delivery.give(decided(2)).decision is Decision.REVIEW
    answers.set()
    eventually(lambda: running.journal[1:] == [""])
    monkeypatch.undo()
    assert running.delivery.give(decided(3)).decision is Decision.PASS
    running.delivery.close()
    running.thread.join(5)
    assert running.told == [(1, 1), (2, 2), (3, 3)]
    assert [decision for decision, _ in running.became] == [Decision.REVIEW, Decision.REVIEW, Decision.PASS]


def test_a_disk_that_fails_between_verdicts_is_noticed_and_so_is_its_return(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "RETRY_S", 0.02)
    monkeypatch.setattr(delivery, "IDLE_S", 0.02)
    disk = Disk()
    disk.failing = True
    running = Delivered(disk)
    running.delivery.give(decided(0))
    eventually(lambda: running.journal == ["disk full"])
    disk.failing = False
    eventually(lambda: running.journal == ["disk full", ""])
    disk.failing = True
    eventually(lambda: running.journal == ["disk full", "", "disk full"])
    assert running.delivery.give(decided(1)).decision is Decision.REVIEW
    disk.failing = False
    eventually(lambda: running.journal[3:] == [""])
    running.delivery.close()
    running.thread.join(5)


def test_however_fast_verdicts_fall_commits_are_bounded() -> None:
    disk = Disk()
    running = Delivered(disk, commits_per_s=10.0)
    began_s = time.monotonic()
    for number in range(500):
        running.delivery.give(decided(number))
        time.sleep(0.001)
    running.delivery.close()
    running.thread.join(5)
    took_s = time.monotonic() - began_s
    assert len(running.told) == 500
    assert disk.commits <= 10 + 10 * took_s + 2


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_disk_does_what_the_gate_was_told_last_is_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """A disk that fails, hangs and is quick by turns, while another thread minds it."""
    monkeypatch.setattr(delivery, "RETRY_S", 0.002)
    monkeypatch.setattr(delivery, "PATIENCE_S", 0.004)
    chance, disk = random.Random(seed), Disk()
    plain = disk.append

    def moody(records: Sequence[Record], amended: Callable[[], Sequence[Record]]) -> None:
        mood = chance.random()
        if mood < 0.2:
            time.sleep(chance.uniform(0, 0.012))
        if mood < 0.1 or 0.2 < mood < 0.3:
            raise SinkDown("disk full")

        def late() -> Sequence[Record]:
            found = amended()
            if mood > 0.9:
                time.sleep(0.006)
            return found

        plain(records, late)

    monkeypatch.setattr(disk, "append", moody)
    running, done = Delivered(disk, commits_per_s=1000.0), threading.Event()

    def mind() -> None:
        while not done.wait(0.001):
            running.delivery.mind()

    minding = threading.Thread(target=mind)
    minding.start()
    for number in range(1, 801):
        running.delivery.give(decided(number))
        time.sleep(chance.choice((0, 0, 0.001, 0.002)))
    running.delivery.close()
    running.thread.join(30)
    done.set()
    minding.join()
    assert running.told == [(number, number) for number in range(1, 801)]
    last_word = dict(running.given)
    kept = {number: decision for (number, _), (decision, _) in zip(running.told, running.became, strict=True)}
    assert kept == last_word
    assert {Decision.PASS, Decision.REVIEW} == set(kept.values())
    assert running.journal[-1] == ""
