"""How long a verdict takes to a subscriber in another process, while this one is busy; beside bare paho.

    python -m benchmarks.publish_latency [--seconds N] [--rate PARTS_PER_SECOND]

Each way is measured with three loads: nothing else; the pipeline (simulated pictures, tracking, classification, as fast
as it goes); and one thread of pure Python that never waits, the worst neighbour a thread can have. `linegate` is the
whole way: hand-over, synced commit to the journal, MQTT. `paho` publishes at once, keeps nothing, and loses what a
crash catches. `commit` is the part of the way until the journal had it on disk, `publish` the rest. `bare sync` is what
the disk alone takes: 2 KB written and synced, nothing around it; no journal can be faster.

Only rows of one run can be compared, and only on a machine that is idle besides: the load average stands below.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles
from threading import Event

import paho.mqtt.client as paho

from benchmarks.journal_cost import record
from edge import config
from edge.app import SWITCH_S
from edge.assembly import build_line, open_bundle
from edge.delivery import Decided, Delivery
from edge.demo_broker import DemoBroker
from edge.domain import Decision, Verdict
from edge.message import Record
from edge.sinks.journal import Journal
from edge.sinks.mqtt import MqttPublisher
from edge.sources import open_source

SUBSCRIBER = """
import json, sys, time
import paho.mqtt.client as paho
client = paho.Client(paho.CallbackAPIVersion.VERSION2)
client.on_connect = lambda *_: client.subscribe("linegate/+/+/+/verdict", qos=1)
client.on_subscribe = lambda *_: print("ready", flush=True)
client.on_message = lambda _c, _d, message: print(
    time.monotonic_ns(), json.loads(message.payload)["sequence"], flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""

MODELS_ARE_IN = Path(os.environ.get("LINEGATE_HOME", "."))
"""The folder that holds `models/`."""

TOPIC = "linegate/plant1/line1/cam1/verdict"


class Subscriber:
    """Another process that notes when each sequence arrived, on the clock that all processes share."""

    def __init__(self, port: int) -> None:
        self.arrived: dict[int, int] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SUBSCRIBER, str(port)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def finish(self, count: int) -> None:
        """Read until `count` verdicts have come."""
        assert self._process.stdout is not None
        while len(self.arrived) < count:
            at_ns, sequence = map(int, self._process.stdout.readline().split())
            self.arrived.setdefault(sequence, at_ns)
        self._process.kill()
        self._process.wait()


@contextmanager
def load(kind: str) -> Iterator[None]:
    """Keep another thread of this process busy."""
    stopping = Event()
    work = {"pipeline": pipeline, "pure Python": spin}.get(kind)
    thread = threading.Thread(target=work, args=(stopping,), daemon=True) if work else None
    if thread:
        thread.start()
        time.sleep(1.0)
    yield
    stopping.set()
    if thread:
        thread.join()


def spin(stopping: Event) -> None:
    """Never wait, never release the interpreter of one's own accord."""
    while not stopping.is_set():
        sum(range(2000))


def pipeline(stopping: Event) -> None:
    """The shipped line on simulated pictures, as fast as it goes."""
    settings = config.Config()
    line = build_line(settings, open_bundle(settings.model, MODELS_ARE_IN))
    frames = [frame for frame, _ in zip(open_source(settings.source.chosen).frames(stopping), range(60), strict=False)]
    while not stopping.is_set():
        for frame in frames:
            list(line.inspect(frame))


def bare_paho(port: int, folder: Path, given: Callable[[Callable[[int], None]], int]) -> dict[int, int]:
    """Publish from the thread that has the verdict, paho's own thread does the rest."""
    del folder
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.connect("127.0.0.1", port)
    client.loop_start()
    time.sleep(0.3)
    given(lambda sequence: client.publish(TOPIC, record(sequence).payload, qos=1))
    client.disconnect()
    client.loop_stop()
    return {}


def linegate(port: int, folder: Path, given: Callable[[Callable[[int], None]], int]) -> dict[int, int]:
    """As the daemon does it. Gives when each sequence was on disk."""
    committed: dict[int, int] = {}
    journal = Journal(folder / f"{time.monotonic_ns()}.sqlite", 30)
    publisher = MqttPublisher(config.Mqtt(port=port), config.Station(), journal, lambda _up: None)
    verdict = Verdict(
        number=1, decision=Decision.PASS, label="ok", reason="", score=0.1, limits=(0.2, 0.6), views=3, captured_at_s=0
    )

    def on_committed(_decided: Decided, record: Record) -> None:
        publisher.wake()
        committed[record.sequence] = time.monotonic_ns()

    delivery = Delivery(
        journal, lambda _d, sequence: record(sequence), on_committed=on_committed, on_journal=lambda _ok: None
    )
    leaving = Event()
    threads = [threading.Thread(target=delivery.run), threading.Thread(target=publisher.run, args=(leaving,))]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    given(lambda _sequence: delivery.give(Decided(verdict=verdict, steady_s=0.0, wall_s=0.0)))
    delivery.close()
    threads[0].join()
    leaving.set()
    threads[1].join()
    journal.close()
    return committed


def bare_sync(_port: int, folder: Path, given: Callable[[Callable[[int], None]], int]) -> dict[int, int]:
    """What a journal at least has to wait for. Gives when each write was on disk."""
    written: dict[int, int] = {}
    with (folder / "bare").open("wb", buffering=0) as file:

        def write(sequence: int) -> None:
            file.write(bytes(2048))
            os.fdatasync(file.fileno())
            written[sequence] = time.monotonic_ns()

        given(write)
    return written


WAYS = {"bare sync": bare_sync, "paho": bare_paho, "linegate": linegate}


def measure(way: str, kind: str, seconds: float, rate: float, disk: str | None) -> str:
    """One row of the table."""
    count = int(seconds * rate)
    left: dict[int, int] = {}

    def give(send: Callable[[int], None]) -> int:
        began_s = time.monotonic()
        for sequence in range(1, count + 1):
            time.sleep(max(0.0, began_s + sequence / rate - time.monotonic()))
            left[sequence] = time.monotonic_ns()
            send(sequence)
        time.sleep(0.3)
        return count

    with tempfile.TemporaryDirectory(dir=disk) as folder, DemoBroker() as broker:
        subscriber = Subscriber(broker.port)
        with load(kind):
            committed = WAYS[way](broker.port, Path(folder), give)
        subscriber.finish(0 if way == "bare sync" else count)
    arrived = subscriber.arrived
    took = [(at_ns - left[each]) / 1e6 for each, at_ns in arrived.items()]
    commit = [(at_ns - left[each]) / 1e6 for each, at_ns in committed.items()]
    publish = [(arrived[each] - at_ns) / 1e6 for each, at_ns in committed.items() if each in arrived]
    return f"| {way} | {kind} | {row(took)} | {row(commit)} | {row(publish)} |"


def row(values: list[float]) -> str:
    """p50, p99 and the largest; nothing for nothing."""
    if not values:
        return "–"
    cuts = quantiles(values, n=100)
    return f"{cuts[49]:.2f} / {cuts[98]:.2f} / {max(values):.1f}"


def main() -> None:
    """Print a table in Markdown."""
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=15.0, help="for each row")
    options.add_argument("--rate", type=float, default=20.0, help="parts per second")
    options.add_argument(
        "--switch-ms", type=float, default=SWITCH_S * 1000, help="sys.setswitchinterval; Python's own is 5"
    )
    options.add_argument("--folder", help="on the disk to measure; default: a temporary folder")
    given = options.parse_args()
    sys.setswitchinterval(given.switch_ms / 1000)
    print("| way | load | to the subscriber: ms p50 / p99 / max | commit | publish |\n|---|---|---|---|---|")
    for kind in ("nothing", "pipeline", "pure Python"):
        for way in WAYS:
            print(measure(way, kind, given.seconds, given.rate, given.folder), flush=True)
    print(f"\nload average: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
