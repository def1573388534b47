"""The whole daemon while its clock is set back and forth by hours and it is killed at any instant."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from brokers import Mosquitto, needs_mosquitto
from test_run import daemon, until, written

from edge.sinks.journal import Journal
from tests.soak.soak import Books, gateway

pytestmark = pytest.mark.wall_clock

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
TOPIC = "linegate/plant1/line1/cam1"
HOURS = (0, 7, -5, 30, -49, 2)


class Clock:
    """What time the daemon believes it is: libfaketime reads it from a file at every look at the wall clock."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, hours: int) -> None:
        """Whole at once, because it is read all the time."""
        part = self._file.with_name("clock.part")
        part.write_text(f"{hours:+d}h\n")
        part.replace(self._file)


@needs_mosquitto
@pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed (apt install faketime)")
def test_order_and_identity_hold_whatever_the_clock_says_and_whenever_it_is_killed(tmp_path: Path) -> None:
    clock, books, done, chance = Clock(tmp_path), Books(), threading.Event(), random.Random(3)
    with Mosquitto(tmp_path) as broker:
        config = written(tmp_path, mqtt={"port": broker.port, "commands": True})
        address: tuple[str, int] = ("127.0.0.1", broker.port)
        goes_on: Callable[[], bool] = lambda: not done.is_set()  # noqa: E731
        follower = threading.Thread(target=gateway.follow, args=(address, TOPIC, books, goes_on))
        follower.start()
        try:
            for hours in HOURS:
                with daemon(config, **clock.environment):
                    before = books.last
                    until(lambda before=before: books.last >= before + 2, "two verdicts")
                    clock.set(hours)
                    until(lambda before=before: books.last >= before + 5, "three more")
                    time.sleep(chance.uniform(0, 0.7))
            with daemon(config, **clock.environment) as process:
                before = books.last
                until(lambda: books.last > before, "one more")
                process.terminate()
                assert process.wait(20) == 0
            journal = Journal(tmp_path / "journal.sqlite", 30)
            last = journal.last_sequence
            kept: list[dict[str, Any]] = [json.loads(each.payload) for each in journal.range(1, last)]
            journal.close()
            until(lambda: books.last == last, "the rest")
        finally:
            done.set()
            follower.join()
    assert books.booked == list(range(1, last + 1))
    assert [each["sequence"] for each in kept] == books.booked
    for document in kept:
        document.pop("replayed")
        assert books.contents[document["sequence"]] == {json.dumps(document)}
        assert abs(document["latency_ms"]) < 30_000
    assert len({each["part_id"] for each in kept}) == last
    moments = [datetime.fromisoformat(each["decided_at"]) for each in kept]
    steps_h = {round((later - earlier).total_seconds() / 3600) for earlier, later in itertools.pairwise(moments)}
    assert {7, -12, 35, -79, 51} <= steps_h, "the clock was really set"
