"""A second, unrelated broker: aedes on Node.js."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Listener, eventually, free_port
from npm_packages import installed
from test_sinks_mqtt import running, unique

pytestmark = pytest.mark.wall_clock

SERVER = """
const { Aedes } = require("aedes");
Aedes.createBroker().then(broker => require("net").createServer(broker.handle).listen(+process.argv[1], "127.0.0.1"));
"""


@contextmanager
def aedes(folder: Path, port: int) -> Iterator[None]:
    """The broker, killed at the end."""
    with subprocess.Popen(["node", "-e", SERVER, str(port)], cwd=folder) as process:

        def listening() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        try:
            eventually(listening, 20, "aedes' start")
            yield
        finally:
            process.kill()


def test_verdicts_state_and_requests_work_with_aedes_too(tmp_path: Path) -> None:
    folder, port = installed("brokers"), free_port()
    with running(tmp_path, port, commands=True) as line:
        with aedes(folder, port), Listener(port) as listener:
            eventually(lambda: line.up)
            line.append(100)
            eventually(lambda: listener.sequences() == list(range(1, 101)))
            listener.publish("linegate/plant1/line3/cam1/command/resend", b'{"id": "a", "from": 5, "to": 9}')
            eventually(lambda: listener.on("reply/resend"))
            assert listener.on("reply/resend")[0]["sent"] == 5
        eventually(lambda: not line.up)
        line.append(50)
        time.sleep(0.2)
        with aedes(folder, port), Listener(port) as listener:
            eventually(lambda: line.journal.acknowledged == 150)
            line.append()
            eventually(lambda: 151 in listener.sequences())
            assert unique(listener.sequences()) == sorted(unique(listener.sequences()))
            eventually(lambda: listener.on("state")[-1] == {"state": "online"})
            line.stopping.set()
            eventually(lambda: listener.on("state")[-1] == {"state": "offline", "reason": "stopped"})
