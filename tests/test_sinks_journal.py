"""The journal: durable, gap-free, and honest when its file is damaged or its disk is full."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import frozen, small_disk, small_ext4

from edge.domain import SinkDown
from edge.message import Record
from edge.sinks import tail as module
from edge.sinks.ceiling import BLOCK
from edge.sinks.journal import Journal

pytestmark = pytest.mark.wall_clock

PAYLOAD = b'{"replayed":false,"padding":"' + b"x" * 600 + b'"}'


def records(first: int, last: int) -> list[Record]:
    return [Record(sequence=each, payload=PAYLOAD) for each in range(first, last + 1)]


def sequences(journal: Journal, after: int = 0, limit: int = 10_000) -> list[int]:
    return [record.sequence for record in journal.pending(after, limit)]


def pruned(journal: Journal, now_s: float) -> int:
    """Forget all that may be forgotten; how many."""
    return sum(iter(lambda: journal.prune(now_s), 0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, 30)
    yield journal
    journal.close()


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.last_sequence == 0
    assert journal.pending(0, 10) == []
    assert journal.backlog() == (0, 0.0)


def test_what_was_appended_is_pending_in_order(journal: Journal) -> None:
    journal.append(records(1, 3))
    journal.append(records(4, 4))
    assert sequences(journal) == [1, 2, 3, 4]
    assert sequences(journal, after=2, limit=1) == [3]
    assert journal.pending(3, 9) == [Record(sequence=4, payload=PAYLOAD)]


def test_acknowledged_records_are_no_longer_pending_but_kept(journal: Journal) -> None:
    journal.append(records(1, 5))
    journal.acknowledge(3)
    assert sequences(journal) == [4, 5]
    assert journal.backlog()[0] == 2
    assert [record.sequence for record in journal.range(2, 4)] == [2, 3, 4]


def test_acknowledging_never_goes_back_nor_beyond_the_last(journal: Journal) -> None:
    journal.append(records(1, 5))
    journal.acknowledge(4)
    journal.acknowledge(2)
    assert journal.acknowledged == 4
    journal.acknowledge(99)
    assert journal.acknowledged == 5


def test_a_gap_or_a_repeated_number_is_refused(journal: Journal) -> None:
    journal.append(records(1, 2))
    for wrong in (records(2, 3), records(4, 4), [*records(3, 3), *records(5, 5)]):
        with pytest.raises(ValueError, match="without a gap"):
            journal.append(wrong)
    assert journal.last_sequence == 2


def test_numbers_and_acknowledgements_survive_a_restart(path: Path) -> None:
    first = Journal(path, 30)
    first.append(records(1, 7))
    first.acknowledge(4)
    first.close()
    second = Journal(path, 30)
    assert second.last_sequence == 7
    assert sequences(second) == [5, 6, 7]
    second.append(records(8, 8))
    assert sequences(second) == [5, 6, 7, 8]
    second.close()


def test_a_long_backlog_comes_from_the_disk_and_then_from_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    journal = Journal(path, 30)
    journal.append(records(1, 35))
    seen: list[int] = []
    while batch := sequences(journal, after=seen[-1] if seen else 0, limit=4):
        seen += batch
    assert seen == list(range(1, 36))
    assert journal.backlog()[0] == 35
    journal.acknowledge(20)
    assert journal.backlog()[0] == 15
    journal.close()


def test_pruning_forgets_what_is_old_and_acknowledged_only(path: Path) -> None:
    now_s = 1_700_000_000.0
    journal = Journal(path, keep_days=1, wall_s=lambda: now_s)
    journal.append(records(1, 1200))
    now_s += 2 * 86400
    journal.append(records(1201, 1210))
    journal.acknowledge(1100)
    assert pruned(journal, now_s) == 1100
    assert [record.sequence for record in journal.range(1, 1101)] == [1101]
    journal.acknowledge(1210)
    assert pruned(journal, now_s + 10 * 86400) == 109
    journal.close()
    again = Journal(path, keep_days=1)
    assert again.last_sequence == 1210
    again.close()


def test_delivered_records_are_kept_up_to_a_size_and_undelivered_ones_always(path: Path) -> None:
    journal = Journal(path, keep_days=30, keep_mb=1)
    for first in range(1, 4000, 100):
        journal.append(records(first, first + 99))
    assert journal.prune(time.time()) == 0
    journal.acknowledge(3500)
    assert 2500 < pruned(journal, time.time()) < 3500
    kept = [record.sequence for record in journal.range(1, 4000)]
    assert kept == list(range(kept[0], 4001))
    journal.close()
    size = path.stat().st_size
    journal = Journal(path, keep_days=30, keep_mb=1)
    journal.acknowledge(4000)
    for first in range(4001, 8000, 100):
        journal.append(records(first, first + 99))
        journal.acknowledge(first + 99)
        pruned(journal, time.time())
    journal.close()
    assert path.stat().st_size <= size, "the room of forgotten records is used again"


def test_a_clock_set_back_changes_neither_order_nor_numbers(path: Path) -> None:
    clock = [1_700_000_000.0]
    journal = Journal(path, 30, wall_s=lambda: clock[0])
    for step, jump_s in enumerate((0, -7200, 86400, -3e8), start=1):
        clock[0] += jump_s
        journal.append(records(step, step))
        assert journal.backlog()[1] >= 0
    assert sequences(journal) == [1, 2, 3, 4]
    journal.close()


def test_a_second_process_is_kept_off(journal: Journal, path: Path) -> None:
    with pytest.raises(SinkDown, match="another linegate uses this journal; stop it"):
        Journal(path, 30)
    journal.append(records(1, 1))


@pytest.mark.parametrize("garbage", [b"not a database at all, sorry" * 200, b"SQLite format 3\0" + b"\xff" * 9000])
def test_a_destroyed_file_is_moved_aside_and_no_number_is_used_twice(
    path: Path, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first = Journal(path, 30)
    first.append(records(1, 7))
    first.close()
    path.write_bytes(garbage)
    second = Journal(path, 30)
    assert second.last_sequence == BLOCK
    assert "was damaged" in caplog.text
    aside = list(path.parent.glob("journal.sqlite.damaged-*"))
    assert [each.read_bytes() for each in aside if not each.name.endswith(("-wal", "-shm"))] == [garbage]
    assert second.backlog() == (0, 0.0)
    second.append(records(BLOCK + 1, BLOCK + 2))
    assert sequences(second) == [BLOCK + 1, BLOCK + 2]
    second.acknowledge(BLOCK + 2)
    assert second.backlog() == (0, 0.0)
    second.close()
    third = Journal(path, 30)
    assert third.last_sequence == BLOCK + 2
    third.close()


def test_unsent_records_are_saved_from_a_file_with_a_broken_page(path: Path) -> None:
    first = Journal(path, 30)
    first.append(records(1, 400))
    first.acknowledge(100)
    first.close()
    with open(path, "r+b") as handle:
        handle.seek(40 * 4096)
        handle.write(b"\xa5" * 4096)
    second = Journal(path, 30)
    saved = sequences(second)
    assert 280 <= len(saved) < 300
    assert saved == sorted(set(saved))
    assert saved[0] == 101
    assert saved[-1] == 400
    assert second.backlog()[0] == len(saved)
    assert second.last_sequence == BLOCK
    second.close()
    third = Journal(path, 30)
    assert third.last_sequence == BLOCK, "a restart before the next verdict must not go back"
    assert sequences(third) == saved
    third.close()


def test_damage_while_running_loses_nothing_that_is_in_memory(path: Path) -> None:
    journal = Journal(path, 30)
    journal.append(records(1, 300))
    journal.acknowledge(10)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with open(path, "r+b") as handle:
        handle.seek(4096)
        handle.write(b"\xa5" * (os.path.getsize(path) - 4096))
    other.close()
    for sequence in range(301, 306):
        journal.append(records(sequence, sequence))
    assert sequences(journal) == list(range(11, 306))
    journal.close()
    again = Journal(path, 30)
    assert sequences(again) == list(range(11, 306))
    again.close()


def test_a_deleted_or_older_file_does_not_bring_old_numbers_back(path: Path) -> None:
    journal = Journal(path, 30)
    journal.append(records(1, 10))
    journal.close()
    backup = path.read_bytes()
    journal = Journal(path, 30)
    journal.append(records(11, 900))
    journal.append(records(901, BLOCK + 5))
    journal.close()
    path.write_bytes(backup)
    journal = Journal(path, 30)
    assert journal.last_sequence == 900 + BLOCK
    journal.close()
    path.unlink()
    journal = Journal(path, 30)
    assert journal.last_sequence == 900 + BLOCK
    journal.close()


def test_a_file_deleted_before_its_first_block_is_full_does_not_bring_old_numbers_back(path: Path) -> None:
    journal = Journal(path, 30)
    journal.append(records(1, 10))
    journal.close()
    path.unlink()
    told: list[str] = []
    journal = Journal(path, 30, on_damage=told.append)
    assert journal.last_sequence == BLOCK
    assert "may have been used: it goes on above them" in told[0]
    journal.close()


def test_a_start_that_died_before_the_first_verdict_leaves_no_gap(path: Path) -> None:
    Journal(path, 30).close()
    journal = Journal(path, 30)
    assert journal.last_sequence == 0
    journal.append(records(1, 1))
    journal.close()


def test_verdicts_that_were_in_memory_only_leave_a_gap_when_the_process_dies(path: Path) -> None:
    journal = Journal(path, 30)
    journal.append(records(1, 10))
    journal.announce(3)
    journal.announce(5)
    journal.close()
    journal = Journal(path, 30)
    assert journal.last_sequence == 15
    journal.append(records(16, 16))
    assert [each.sequence for each in journal.range(9, 16)] == [9, 10, 16]
    journal.close()


def test_announced_verdicts_that_were_written_after_all_leave_no_gap(path: Path) -> None:
    journal = Journal(path, 30)
    journal.append(records(1, 10))
    journal.announce(5)
    journal.append(records(11, 15))
    journal.close()
    journal = Journal(path, 30)
    assert journal.last_sequence == 15
    journal.append(records(16, 16))
    assert sequences(journal) == list(range(1, 17))
    journal.close()


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_removed_or_replaced_while_running_is_noticed_and_costs_nothing_unsent(path: Path, how: str) -> None:
    told: list[str] = []
    journal = Journal(path, 30, on_damage=told.append)
    journal.append(records(1, 3000))
    journal.acknowledge(1000)
    for each in path.parent.glob("journal.sqlite*"):
        if not each.name.endswith(".mark"):
            each.unlink()
    if how == "replaced":
        path.write_bytes(b"something else")
    journal.append(records(3001, 3001))
    journal.settle()
    assert len(told) == 1
    assert "somebody removed or replaced it" in told[0]
    journal.append(records(3002, 3002))
    journal.close()
    again = Journal(path, 30)
    assert sequences(again) == list(range(1001, 3003))
    again.close()


def test_damage_found_while_reading_does_not_stop_the_sender_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    told: list[str] = []
    journal = Journal(path, 30, on_damage=told.append)
    journal.append(records(1, 300))
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    with open(path, "r+b") as handle:
        handle.seek(20 * 2048)
        handle.write(b"\xa5" * 2048)
    journal.append(records(301, 301))
    found = sequences(journal)
    assert len(told) == 1
    assert found[0] == 1
    assert found[-1] == 301
    assert 280 < len(found) < 301
    assert journal.last_sequence == 301
    journal.append(records(302, 302))
    journal.close()


def test_a_damaged_file_on_a_full_disk_is_healed_when_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        path = disk / "journal.sqlite"
        journal = Journal(path, 30)
        journal.append(records(1, 900))
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        with open(path, "r+b") as handle:
            handle.seek(2048)
            handle.write(b"\xa5" * (path.stat().st_size - 2048))
        filler = disk / "other"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as other_file:
            while True:
                other_file.write(bytes(4096))
        for _ in range(3):
            with pytest.raises(SinkDown):
                journal.append(records(901, 901))
        filler.unlink()
        journal.append(records(901, 901))
        assert sequences(journal) == list(range(1, 902))
        journal.close()
        again = Journal(path, 30)
        assert sequences(again) == list(range(1, 902))
        again.close()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE verdict (guilty TEXT)")
    other.close()
    with pytest.raises(SinkDown, match="is not a journal of this linegate"):
        Journal(path, 30)
    assert list(path.parent.glob("*damaged*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_directory_that_may_not_be_written_says_so_in_one_line(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o755)
    for each in (tmp_path, *tmp_path.parents[:-1]):
        each.chmod(each.stat().st_mode | 0o055)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            Journal(locked / "journal.sqlite", 30)
        except SinkDown as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as handle:
        said = handle.read()
    assert said.endswith(
        "cannot be kept there (Permission denied); "
        "make its directory writable for this user or set another journal.path"
    )


@pytest.mark.parametrize("blocked", ["file", "file/deeper"])
def test_a_path_through_a_file_says_so_in_one_line(tmp_path: Path, blocked: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkDown, match="cannot be kept there"):
        Journal(tmp_path / blocked / "journal.sqlite", 30)


def test_a_full_disk_is_said_and_nothing_is_lost_when_there_is_room_again(path: Path) -> None:
    """A file size limit of the kernel stands for the full disk: the writes fail in the same place."""
    journal = Journal(path, 30)
    journal.append(records(1, 50))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    wal = path.with_name(path.name + "-wal")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 5000, hard))
        with pytest.raises(SinkDown, match=r"journal .*journal\.sqlite: .*disk") as refusal:
            journal.append(records(51, 90))
        assert "\n" not in str(refusal.value)
        assert journal.last_sequence == 50
        with pytest.raises(SinkDown):
            journal.append(records(51, 90))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    journal.append(records(51, 90))
    assert sequences(journal) == list(range(1, 91))
    journal.close()


KILLED = """
import sys, pathlib
from edge.message import Record
from edge.sinks.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]), 30)
while True:
    first = journal.last_sequence + 1
    journal.append([Record(sequence=first + place, payload=b"x" * 700) for place in range(3)])
    print(journal.last_sequence, flush=True)
"""


def test_what_append_returned_for_survives_kill_9(path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        claimed = [int(process.stdout.readline()) for _ in range(40)]
        process.kill()
        claimed += [int(line) for line in process.stdout.read().splitlines() if line]
        process.wait()
        process.stdout.close()
        journal = Journal(path, 30)
        assert claimed[-1] <= journal.last_sequence <= claimed[-1] + 3
        found = [record.sequence for record in journal.range(1, 10**9)]
        journal.close()
        assert found == list(range(1, len(found) + 1))


def test_two_threads_write_and_read_at_once(journal: Journal) -> None:
    seen: list[int] = []

    def send() -> None:
        while len(seen) < 300:
            batch = journal.pending(seen[-1] if seen else 0, 20)
            seen.extend(record.sequence for record in batch)
            if batch:
                journal.acknowledge(seen[-1])
            time.sleep(0.001)

    sender = threading.Thread(target=send)
    sender.start()
    for sequence in range(1, 301):
        journal.append(records(sequence, sequence))
    sender.join(20)
    assert seen == list(range(1, 301))
    assert journal.backlog() == (0, 0.0)


def test_a_disk_filled_by_others_costs_no_verdict(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 6) as disk:
        journal = Journal(disk / "journal.sqlite", 30)
        refused = 0
        journal.append(records(1, 10))
        filler = disk / "other"
        filler.write_bytes(bytes(5_500_000))
        for sequence in range(11, 800):
            try:
                journal.append(records(sequence, sequence))
            except SinkDown as error:
                assert "free space on its disk" in str(error)  # noqa: PT017 - only some of many may fail
                refused += 1
                filler.unlink(missing_ok=True)
                journal.append(records(sequence, sequence))
        assert refused == 1
        assert sequences(journal) == list(range(1, 800))
        journal.close()
        again = Journal(disk / "journal.sqlite", 30)
        assert sequences(again) == list(range(1, 800))
        again.close()


def test_amended_records_take_the_place_of_what_was_written(journal: Journal, path: Path) -> None:
    changed = [Record(sequence=each, payload=b"amended") for each in (1, 2)]
    journal.append(records(1, 2), lambda: changed)
    assert journal.pending(0, 9) == changed
    assert journal.range(1, 9) == changed
    journal.append(records(3, 3))
    assert sequences(journal) == [1, 2, 3]


def test_a_disk_that_hangs_keeps_nobody_but_the_writer(tmp_path: Path) -> None:
    with small_ext4(tmp_path) as disk:
        journal = Journal(disk / "journal.sqlite", 30)
        journal.append(records(1, 5))
        writer = threading.Thread(target=lambda: journal.append(records(6, 6)))
        with frozen(disk):
            writer.start()
            time.sleep(0.3)
            assert writer.is_alive()
            assert sequences(journal) == [1, 2, 3, 4, 5]
            assert journal.backlog()[0] == 5
            with pytest.raises(SinkDown, match="its disk has not answered for 2 s; check the disk"):
                journal.settle()
        writer.join(10)
        assert sequences(journal) == [1, 2, 3, 4, 5, 6]
        journal.close()
