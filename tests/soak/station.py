"""The delivering half of the daemon as a process that may be killed: `station.py FOLDER JOURNAL PORT PARTS RATE SEED`.

It kills itself at a random step of a verdict's way, and is to be started again then. Its wall clock jumps back and
forth by hours. When all parts are given it stays to answer requests.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.journal_cost import SPEAKER
from edge import config
from edge import delivery as delivering
from edge.delivery import Decided, Delivery
from edge.domain import Decision, Verdict
from edge.message import Record, Times, encode, live_part_id
from edge.sinks import connection, mqtt
from edge.sinks import journal_queries as queries
from edge.sinks.ceiling import Ceiling
from edge.sinks.journal import Journal

VERDICT = Verdict(
    number=1, decision=Decision.PASS, label="ok", reason="", score=0.1, limits=(0.2, 0.6), views=3, captured_at_s=0
)  # fmt: skip


def dies_at(step: str, owner: Any, name: str, *, after: bool, calls: int = 200) -> None:
    """Replace a method by one that kills the process before or after its work, after so many calls on average."""
    original: Callable[..., Any] = getattr(owner, name)
    left = int(random.expovariate(1 / calls)) + 1

    def mortal(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        result = original(*arguments, **named) if after or left else None
        if not left:
            print(f"dies {step}", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, mortal)


STEPS: list[Callable[[], None]] = [
    lambda: dies_at("before the verdict waits for its commit", Delivery, "give", after=False),
    lambda: dies_at("before the commit", Journal, "append", after=False),
    lambda: dies_at("while numbers are reserved", Ceiling, "_write", after=False, calls=2),
    lambda: dies_at("after numbers were reserved, before the commit", Ceiling, "_write", after=True, calls=2),
    lambda: dies_at("after the commit, before the journal knows", queries, "insert", after=True),
    lambda: dies_at("after the commit, before anyone is told", Journal, "append", after=True),
    lambda: dies_at("before sending", connection.Connection, "send", after=False),
    lambda: dies_at("after sending", connection.Connection, "send", after=True),
    lambda: dies_at("after the broker's answer, before it is noted", mqtt.MqttPublisher, "_hear", after=False),
    lambda: dies_at("after the acknowledgement was noted", Journal, "acknowledge", after=True),
    lambda: dies_at("before acknowledgements are written down", Journal, "settle", after=False, calls=1),
    lambda: dies_at("after acknowledgements were written down", Journal, "settle", after=True, calls=1),
    lambda: dies_at("after old verdicts were forgotten", Journal, "prune", after=True, calls=2),
]


class Jumping:
    """A wall clock that somebody sets wrong again and again."""

    def __init__(self, every: int = 300) -> None:
        self._every = every
        self._true_s = time.time
        self._off_s = 0.0

    def __call__(self) -> float:
        if random.randrange(self._every) == 0:
            self._off_s = random.uniform(-30, 30) * 3600
            print("clock jumped", flush=True)
        return self._true_s() + self._off_s


def encoded(decided: Decided, sequence: int) -> Record:
    """As the daemon does it, on the wall clock."""
    now_s = time.time()
    times = Times(captured_s=now_s - 0.02, decided_s=now_s, eject_s=now_s + 0.5)
    return encode(decided.verdict, SPEAKER, times, sequence=sequence, part_id=live_part_id(time.time))


def main() -> None:
    """Give verdicts until the journal holds `PARTS`."""
    folder, path = Path(sys.argv[1]), Path(sys.argv[2])
    port, parts, rate, seed = map(int, sys.argv[3:])
    random.seed(seed)
    if (step := random.randrange(len(STEPS) + 1)) < len(STEPS):
        STEPS[step]()
    mqtt.BACK_OFF_S = (0.1, 0.2, 0.5)
    delivering.IDLE_S = 2.0
    time.time = Jumping()  # type: ignore[assignment]
    journal = Journal(path, 30, wall_s=time.time)
    settings = config.Mqtt(
        port=port, keepalive_s=2, commands=True, username="cam1", password_file=str(folder / "password")
    )
    publisher = mqtt.MqttPublisher(settings, config.Station(), journal, lambda _up: None)

    def tidy() -> None:
        journal.settle()
        journal.prune(time.time())

    delivery = Delivery(
        journal,
        encoded,
        on_committed=lambda *_: publisher.wake(),
        on_journal=lambda trouble: print("journal:", trouble or "writes again", flush=True),
        on_idle=tidy,
    )
    leaving = threading.Event()
    threads = [threading.Thread(target=delivery.run), threading.Thread(target=publisher.run, args=(leaving,))]
    for thread in threads:
        thread.daemon = True
        thread.start()
    began_s, first = time.monotonic(), journal.last_sequence
    for count in range(1, parts - first + 1):
        time.sleep(max(0.0, began_s + count / rate - time.monotonic()))
        delivery.give(Decided(verdict=VERDICT, steady_s=0.0, wall_s=0.0))
    leaving.wait()


if __name__ == "__main__":
    main()
