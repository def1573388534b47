"""The shipped flow in a real Node-RED: verdicts of a station reach a Modbus server, each once and in order."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Mosquitto, eventually, needs_mosquitto
from npm_packages import installed
from test_gateway import FIRST_REGISTER, TOPIC, Plc
from test_sinks_mqtt import running

pytestmark = pytest.mark.wall_clock

FLOW = Path(__file__).parents[1] / "deploy" / "node-red" / "flows.json"
SETTINGS = "module.exports = {httpAdminRoot: false, httpNodeRoot: false, flowFile: 'flows.json', uiPort: 0};"


def placed(folder: Path, packages: Path, broker: int, plc: int) -> Path:
    """A user folder of Node-RED with the flow, changed in the places that its manual names."""
    user = folder / "node-red"
    user.mkdir()
    (user / "node_modules").symlink_to(packages / "node_modules")
    (user / "settings.js").write_text(SETTINGS)
    nodes = {each["id"]: each for each in json.loads(FLOW.read_text(encoding="utf-8"))}
    nodes["broker"]["port"], nodes["plc"]["tcpPort"] = str(broker), str(plc)
    for each in ("verdicts", "replies", "ask"):
        nodes[each]["topic"] = nodes[each]["topic"].replace("linegate/plant1/line1/cam1", TOPIC)
    (user / "flows.json").write_text(json.dumps(list(nodes.values())))
    return user


@contextmanager
def node_red(user: Path, packages: Path) -> Iterator[None]:
    """Killed at the end, as a power cut does."""
    command = ["node", str(packages / "node_modules" / "node-red" / "red.js"), "--userDir", str(user)]
    with (user / "log").open("ab") as log, subprocess.Popen(command, cwd=user, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.kill()


@needs_mosquitto
def test_every_verdict_reaches_the_plc_once_in_order_though_everything_fails(tmp_path: Path) -> None:
    pytest.importorskip("pymodbus")
    packages, plc, broker = installed("node-red"), Plc(), Mosquitto(tmp_path)
    user = placed(tmp_path, packages, broker.port, plc.port)

    def newest_arrives(within_s: float = 60) -> None:
        newest = line.journal.last_sequence
        try:
            eventually(lambda: plc.sequences[-1:] == [newest], within_s, f"{newest} at the PLC")
        except AssertionError:
            print((user / "log").read_text()[-3000:], plc.sequences[-5:])
            raise

    with broker, running(tmp_path, broker.port, commands=True) as line:
        with node_red(user, packages), plc.powered():
            eventually(lambda: line.append() or time.sleep(0.5) or plc.written, 90, "the first verdict at the PLC")
            for _ in range(60):
                line.append()
                time.sleep(0.02)
            newest_arrives()
            broker.kill()
            line.append(100)
            broker.start()
            line.append()
            newest_arrives()
        line.append(50)
        eventually(lambda: line.journal.backlog()[0] == 0)
        with node_red(user, packages):
            with plc.powered():
                newest_arrives()
            line.append(30)
            with plc.powered():
                newest_arrives()
        last = line.journal.last_sequence
        kept = {each.sequence: json.loads(each.payload)["evaluation"] for each in line.journal.range(1, last)}
    assert list(dict.fromkeys(plc.sequences)) == list(range(plc.sequences[0], last + 1))
    assert plc.sequences == sorted(plc.sequences), "an old one never overwrites a newer one"
    assert {(high << 16 | low): evaluation for high, low, evaluation in plc.written} == {
        each: kept[each] for each in range(plc.sequences[0], last + 1)
    }
    assert FIRST_REGISTER == 100, "as the flow has it"
