"""What the journal costs: milliseconds from a verdict to its commit, and bytes written to the disk per verdict.

    python -m benchmarks.journal_cost [--folder DIR] [--seconds N]

The last rows go through `Delivery`, which bounds commits per second: that is what a daemon writes.

Bytes are what this process caused to be sent to the storage layer (`write_bytes` in /proc/self/io): whole pages of
4 KiB, without what the file system adds for its own journal.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
import uuid
from pathlib import Path
from statistics import median, quantiles

from edge.delivery import Decided, Delivery
from edge.domain import Decision, Verdict
from edge.message import Record, Speaker, Times, encode
from edge.sinks.journal import Journal

SPEAKER = Speaker(
    site="plant1",
    line="line3",
    station="cam1",
    recipe="casting-60mm",
    simulated=False,
)


VERDICT = Verdict(
    number=1,
    decision=Decision.REJECT,
    label="def_front",
    reason="",
    score=0.93,
    limits=(0.21, 0.62),
    views=5,
    captured_at_s=1.0,
)


def record(sequence: int) -> Record:
    """A verdict as the line makes it."""
    times = Times(captured_s=time.time(), decided_s=time.time(), eject_s=time.time())
    return encode(VERDICT, SPEAKER, times, sequence=sequence, part_id=uuid.uuid4())


def written_bytes() -> int:
    """By this process so far."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["write_bytes"])


def measure(folder: Path, per_second: float, group: int, seconds: float) -> str:
    """One row: `group` verdicts per commit, `per_second` verdicts in a second (0: as fast as possible)."""
    journal = Journal(folder / f"{per_second}-{group}.sqlite", 30)
    journal.append([record(1)])
    before, took_ms, began_s = written_bytes(), [], time.monotonic()
    while time.monotonic() - began_s < seconds:
        first = journal.last_sequence + 1
        records = [record(sequence) for sequence in range(first, first + group)]
        commit_s = time.perf_counter()
        journal.append(records)
        took_ms.append((time.perf_counter() - commit_s) * 1000)
        journal.acknowledge(journal.last_sequence)
        if per_second:
            time.sleep(max(0.0, began_s + len(took_ms) * group / per_second - time.monotonic()))
    count = journal.last_sequence - 1
    journal.close()
    each = (written_bytes() - before) / count
    p99 = quantiles(took_ms, n=100)[98]
    rate = f"{per_second:.0f}/s" if per_second else f"max ({count / seconds:.0f}/s)"
    return f"| {rate} | {group} | {count} | {each:.0f} | {median(took_ms):.2f} | {p99:.2f} | {max(took_ms):.2f} |"


def delivered(folder: Path, per_second: int, seconds: float) -> str:
    """One row: verdicts that fall one by one, as the daemon hands them over; the time is that until the commit."""
    journal = Journal(folder / f"delivered-{per_second}.sqlite", 30)
    took_ms: list[float] = []
    delivery = Delivery(
        journal,
        lambda _decided, sequence: record(sequence),
        on_committed=lambda decided, _record: took_ms.append((time.monotonic() - decided.steady_s) * 1000),
        on_journal=lambda trouble: print(trouble or "writes again"),
    )
    thread = threading.Thread(target=delivery.run)
    thread.start()
    before, began_s, count = written_bytes(), time.monotonic(), int(seconds * per_second)
    for number in range(1, count + 1):
        time.sleep(max(0.0, began_s + number / per_second - time.monotonic()))
        delivery.give(Decided(verdict=VERDICT, steady_s=time.monotonic(), wall_s=time.time()))
        journal.acknowledge(journal.last_sequence)
    delivery.close()
    thread.join()
    journal.close()
    each = (written_bytes() - before) / count
    p99 = quantiles(took_ms, n=100)[98]
    times = f"{median(took_ms):.2f} | {p99:.2f} | {max(took_ms):.2f}"
    return f"| {per_second}/s | as they fall | {count} | {each:.0f} | {times} |"


def main() -> None:
    """Print a table in Markdown."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--folder", type=Path, help="on the disk to measure; default: a temporary folder")
    options.add_argument("--seconds", type=float, default=20.0, help="for each row")
    given = options.parse_args()
    print("| verdicts | per commit | count | bytes each | commit ms p50 | p99 | max |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for per_second, group in ((1, 1), (20, 1), (0, 1), (0, 20)):
            print(measure(Path(folder), per_second, group, given.seconds), flush=True)
        for per_second in (20, 200):
            print(delivered(Path(folder), per_second, given.seconds), flush=True)
    print(f"\nload average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
