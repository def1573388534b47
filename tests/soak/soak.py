"""Ten thousand verdicts while everything fails; run by `make soak`, and in small by tests/test_soak.py.

    python -m tests.soak.soak --parts 10000 --rate 20 --seeds 1 2 3

The delivering half of the daemon dies at random steps and at random instants, and its clock jumps by hours; the broker
is stopped, killed, frozen, cut off without a word, and forbids the login; the disk hangs (as root, because one that can
be frozen must be mounted). The gateway of deploy/plc books verdicts on the other side. In the end it must have booked
every sequence once, in order, and each with the content that the journal holds.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edge import config
from edge.delivery import UNKEPT
from edge.sinks.journal import Journal
from edge.sinks.mqtt import topic_prefix

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from brokers import Mosquitto, free_port  # noqa: E402 - helpers of the tests beside
from small_disk import frozen, mounted_ext4  # noqa: E402

_spec = importlib.util.spec_from_file_location("gateway", ROOT / "deploy" / "plc" / "gateway.py")
assert _spec
assert _spec.loader
gateway: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gateway)


class Wire:
    """Carries bytes between the station and the broker; when cut, it keeps the connection and carries nothing."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._whole = threading.Event()
        self._whole.set()
        self._door = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on every packet is lost, and nobody is told."""
        self._whole.clear()

    def mend(self) -> None:
        """Carry again."""
        self._whole.set()

    def _accept(self) -> None:
        while True:
            near, _ = self._door.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            while True:
                for each in select.select([near, far], [], [])[0]:
                    self._whole.wait()
                    try:
                        data = each.recv(65536)
                        (far if each is near else near).sendall(data)
                    except OSError:
                        return
                    if not data:
                        return


class World:
    """The broker, the wire, the station's process, and what goes wrong with them."""

    def __init__(self, folder: Path, disk: Path | None, parts: int, rate: int, seed: int) -> None:
        """`disk`: one that can be frozen, where there is such."""
        self._folder, self._disk, self._parts, self._rate = folder, disk, parts, rate
        self._frozen = ExitStack()
        self._random = random.Random(seed)
        self._users = folder / "users"
        self._log = folder / "station.log"
        (folder / "password").write_text("secret\n")
        self._allow("secret")
        self.broker = Mosquitto(folder, ["allow_anonymous true", f"password_file {self._users}"])
        self.wire = Wire(self.broker.port)
        self.happened: Counter[str] = Counter()
        self._starts = seed * 1000
        self._station: subprocess.Popen[bytes] | None = None

    def _allow(self, password: str) -> None:
        self._users.unlink(missing_ok=True)
        self._users.touch(mode=0o600)
        subprocess.run(["mosquitto_passwd", "-b", str(self._users), "cam1", password], check=True)

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return (self._disk or self._folder) / "journal.sqlite"

    def keep_station(self) -> None:
        """Start it when it does not run, as systemd does."""
        if self._station is not None and self._station.poll() is None:
            return
        if self._station is not None:
            self.happened["station died"] += 1
        self._starts += 1
        numbers = [self.wire.port, self._parts, self._rate, self._starts]
        with open(self._log, "ab") as output:
            self._station = subprocess.Popen(
                [sys.executable, "-m", "tests.soak.station", str(self._folder), str(self.journal), *map(str, numbers)],
                cwd=ROOT, stdout=output, stderr=output,
            )  # fmt: skip

    def kill_station(self) -> None:
        """At any instant whatsoever."""
        assert self._station
        self._station.kill()
        self._station.wait()

    def fail(self) -> None:
        """One thing goes wrong for a while."""
        kinds = {
            "broker stopped": (lambda: self.broker.signal(signal.SIGTERM), self.broker.start),
            "broker killed": (self.broker.kill, self.broker.start),
            "broker frozen": (lambda: self.broker.signal(signal.SIGSTOP), lambda: self.broker.signal(signal.SIGCONT)),
            "wire cut": (self.wire.cut, self.wire.mend),
            "login revoked": (lambda: self._login("other"), lambda: self._login("secret")),
            "station killed": (self.kill_station, lambda: None),
        }
        if self._disk is not None:
            disk = self._disk
            kinds["disk hung"] = lambda: self._frozen.enter_context(frozen(disk)), self._frozen.close
        kind = self._random.choice(list(kinds))
        begin, end = kinds[kind]
        begin()
        time.sleep(self._random.uniform(0.1, 2.5))
        end()
        self.happened[kind] += 1

    def _login(self, password: str) -> None:
        self._allow(password)
        self.broker.signal(signal.SIGHUP)

    def pause_s(self) -> float:
        """Until the next failure."""
        return self._random.expovariate(0.7)

    def told(self) -> Counter[str]:
        """What befell the station: the steps at which it killed itself, jumps of its clock, refused logins."""
        lines = self._log.read_text().splitlines()
        told = Counter(line for line in lines if line.startswith(("dies ", "clock ")))
        return told + Counter({"login refused": sum("not authorized" in line for line in lines)})


class Books(gateway.Follower):  # type: ignore[misc]
    """The gateway, and what every copy of every verdict said."""

    def __init__(self) -> None:
        self.booked: list[int] = []
        self.contents: dict[int, set[str]] = {}
        self.copies: Counter[str] = Counter()
        super().__init__(0, lambda sequence, _evaluation: self.booked.append(sequence))

    def verdict(self, document: dict[str, Any]) -> None:
        """Remember it, then book it."""
        self.copies["replayed" if document.pop("replayed") else "fresh"] += 1
        self.contents.setdefault(document["sequence"], set()).add(json.dumps(document))
        super().verdict(document)


def soak(folder: Path, parts: int, rate: int, seed: int) -> str:
    """Raises `AssertionError` when a verdict was lost, invented, changed, repeated or out of order."""
    with mounted_ext4(folder, megabytes=64) as disk:
        return soaked(World(folder, disk, parts, rate, seed), parts, rate, seed)


def soaked(world: World, parts: int, rate: int, seed: int) -> str:
    """What became of one world."""
    books, done = Books(), threading.Event()
    topic = topic_prefix("linegate/{site}/{line}/{station}", config.Station())
    address = "127.0.0.1", world.broker.port
    follower = threading.Thread(target=gateway.follow, args=(address, topic, books, lambda: not done.is_set()))
    began_s = time.monotonic()
    deadline_s = began_s + 5 * parts / rate + 120
    with world.broker:
        follower.start()
        time.sleep(1.0)
        next_s = 0.0
        while books.last < parts and time.monotonic() < deadline_s:
            world.keep_station()
            next_s = next_s or (time.monotonic() + world.pause_s() if books.last else 0.0)
            if next_s and time.monotonic() > next_s:
                world.fail()
                next_s = 0.0
            time.sleep(0.05)
        world.kill_station()
        done.set()
        follower.join()
    journal = Journal(world.journal, 30)
    kept = {each.sequence: json.loads(each.payload) for each in journal.range(1, parts + 1)}
    journal.close()
    assert books.booked == list(range(1, parts + 1)), f"booked {len(books.booked)}, last {books.last}"
    assert sorted(kept) == books.booked
    for document in kept.values():
        document.pop("replayed")
    assert all(books.contents[each] == {json.dumps(kept[each])} for each in kept)
    assert len({document["part_id"] for document in kept.values()}) == parts
    reviewed = sum(document["reason"].startswith(UNKEPT) for document in kept.values())
    took = (
        f"{parts} verdicts ({reviewed} reviewed, because the disk did not answer) in {time.monotonic() - began_s:.0f} s"
    )
    failures = ", ".join(f"{kind} {count}" for kind, count in sorted((world.happened + world.told()).items()))
    return f"seed {seed}: {took}, all booked once and in order; {dict(books.copies)}; {failures}"


def main() -> None:
    """One line for each seed."""
    options = argparse.ArgumentParser()
    options.add_argument("--parts", type=int, default=10_000)
    options.add_argument("--rate", type=int, default=20, help="verdicts per second")
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    given = options.parse_args()
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder:
            print(soak(Path(folder), given.parts, given.rate, seed), flush=True)


if __name__ == "__main__":
    main()
