"""The example gateway: a real broker on one side, a real Modbus server as the PLC on the other."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from brokers import Mosquitto, eventually, free_port, needs_mosquitto
from test_sinks_mqtt import Running, running

pytestmark = pytest.mark.wall_clock

GATEWAY = Path(__file__).parents[1] / "deploy" / "plc" / "gateway.py"
TOPIC = "linegate/plant1/line3/cam1"
FIRST_REGISTER = 100


@pytest.fixture(scope="module")
def gateway() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gateway", GATEWAY)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verdict(sequence: int) -> dict[str, int]:
    return {"sequence": sequence, "evaluation": sequence % 3 + 1}


def test_repetitions_and_disorder_become_every_sequence_once(gateway: ModuleType) -> None:
    written: list[int] = []
    follower = gateway.Follower(10, lambda sequence, _evaluation: written.append(sequence))
    for sequence in (9, 10, 11, 11, 14, 12, 14, 16):
        follower.verdict(verdict(sequence))
    assert written == [11, 12]
    assert follower.missing() == {"from": 13, "to": 13}
    assert follower.missing() is None, "not again at once"
    follower.verdict(verdict(13))
    assert written == [11, 12, 13, 14]


def test_what_the_station_no_longer_has_is_not_decidable(gateway: ModuleType) -> None:
    written: list[tuple[int, int]] = []
    follower = gateway.Follower(1, lambda *each: written.append(each))
    follower.verdict(verdict(5))
    follower.reply({"ok": True, "missing": [[2, 4]]})
    assert written == [(2, 3), (3, 3), (4, 3), (5, 3)]


def test_a_new_plc_begins_with_the_first_verdict(gateway: ModuleType) -> None:
    written: list[int] = []
    follower = gateway.Follower(0, lambda sequence, _evaluation: written.append(sequence))
    assert follower.missing() is None
    follower.verdict(verdict(70_000))
    assert written == [70_000]


class Plc:
    """A Modbus server that remembers every write to its registers."""

    def __init__(self) -> None:
        self.port = free_port()
        self.written: list[list[int]] = []
        self._registers = [0, 0, 0]

    @contextmanager
    def powered(self) -> Iterator[None]:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        async def note(_code: int, _start: int, _address: int, _count: int, _now: Any, values: Any) -> None:
            if values:
                self.written.append(list(values))
                self._registers = list(values)

        data = SimData(FIRST_REGISTER, values=self._registers, datatype=DataType.REGISTERS)
        loop = asyncio.new_event_loop()
        server: list[ModbusTcpServer] = []

        async def serve() -> None:
            server.append(ModbusTcpServer(SimDevice(1, [data], action=note), address=("127.0.0.1", self.port)))
            await server[0].serve_forever()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
        thread.start()
        eventually(lambda: server)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(server[0].shutdown(), loop).result(10)
            thread.join(10)

    @property
    def sequences(self) -> list[int]:
        return [values[0] << 16 | values[1] for values in list(self.written)]


@contextmanager
def process(command: list[str]) -> Iterator[None]:
    """A process that is killed at the end, as a power cut does."""
    with subprocess.Popen(command) as running:
        try:
            yield
        finally:
            running.kill()


@needs_mosquitto
def test_the_plc_gets_every_verdict_though_gateway_broker_and_plc_fail(tmp_path: Path) -> None:
    pytest.importorskip("pymodbus")
    plc = Plc()
    broker = Mosquitto(tmp_path)
    gateway = [sys.executable, str(GATEWAY), f"127.0.0.1:{broker.port}", TOPIC]
    gateway += [f"127.0.0.1:{plc.port}", str(FIRST_REGISTER)]

    def append(line: Running, count: int) -> None:
        line.append(count)
        eventually(lambda: plc.sequences[-1:] == [line.journal.last_sequence], 20, "the newest verdict at the PLC")

    with broker, running(tmp_path, broker.port, commands=True) as line:
        with process(gateway), plc.powered():
            while not plc.written:  # until the gateway has subscribed
                line.append()
                time.sleep(0.1)
            append(line, 20)
        line.append(30)
        eventually(lambda: line.journal.backlog()[0] == 0)
        with process(gateway):
            with plc.powered():
                append(line, 1)
                broker.kill()
                line.append(20)
                broker.start()
                append(line, 1)
            line.append(5)
            with plc.powered():
                append(line, 1)
        last = line.journal.last_sequence
    assert list(dict.fromkeys(plc.sequences)) == list(range(plc.sequences[0], last + 1))
    assert {values[2] for values in plc.written} == {1, 2, 3}
