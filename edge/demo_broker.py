"""A broker for the demo alone: mosquitto when the machine has it, otherwise the small one from the `demo` extra."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

READY_S = 10.0
STOP_S = 3.0
ATTEMPTS = 3
"""Another program may take the free port between our look and the broker's start."""

SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"])
"""Debian puts mosquitto where the PATH of ordinary users does not look."""

CONNECT = bytes.fromhex("100c 0004 4d515454 04 02 000a 0000")
"""The shortest greeting of MQTT 3.1.1: no name, clean session, keep-alive 10 s."""
CONNACK = b"\x20"


class NoBroker(Exception):
    """There is no broker to be had; one line that says what to do."""


class DemoBroker:
    """A context manager: inside, a broker without passwords answers on `127.0.0.1`.

    It ends with the block, and also when this process is killed. Raises `NoBroker`.
    """

    def __init__(self, *, embedded: bool = False) -> None:
        """`embedded`: do not even look for mosquitto."""
        self._mosquitto = None if embedded else shutil.which("mosquitto", path=SEARCHED)
        self._stack = ExitStack()
        self.port = 0
        self.name = ""
        """For people, such as `mosquitto 2.0.11`."""

    def __enter__(self) -> Self:
        if not self._mosquitto and importlib.util.find_spec("amqtt") is None:
            raise NoBroker(
                "no MQTT broker found; install one with: apt install mosquitto, or: pip install 'linegate[demo]'"
            )
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="linegate-broker-")))
            said = self._start_any(stack, folder / "broker.log")
            if not self.port:
                raise NoBroker(f"the demo's broker ({self.name}) did not start: {said or 'it said nothing'}")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_any(self, stack: ExitStack, log_file: Path) -> str:
        """Start and set `port`; otherwise the last thing that the broker said."""
        for _ in range(ATTEMPTS):
            port = _free_port()
            command = self._command(log_file.with_name("mosquitto.conf"), port)
            with open(log_file, "w", encoding="utf-8") as output:
                # The embedded broker ends when its standard input does, mosquitto when its parent dies (setpriv).
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output)
            if _answers(port, process):
                stack.callback(_end, process)
                self.port = port
                return ""
            _end(process)
        return " ".join(log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-1:])

    def _command(self, settings: Path, port: int) -> list[str]:
        if not self._mosquitto:
            self.name = f"amqtt {importlib.metadata.version('amqtt')} (embedded)"
            return [sys.executable, "-m", "edge.demo_broker", "--port", str(port)]
        found = re.search(r"version (\S+)", _output([self._mosquitto, "-h"]))
        self.name = f"mosquitto {found.group(1)}" if found else "mosquitto"
        settings.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nlog_type warning\n"
            + ("user root\n" if os.geteuid() == 0 else "")
        )
        setpriv = shutil.which("setpriv", path=SEARCHED)
        tied = [setpriv, "--pdeathsig", "TERM"] if setpriv else []
        return [*tied, self._mosquitto, "-c", str(settings)]


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False).stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a broker accepts a client; False when the process ends before, or says nothing in time."""
    deadline_s = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0) as probe:
            probe.sendall(CONNECT)
            if probe.recv(1) == CONNACK:
                return True
        time.sleep(0.02)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def serve(port: int) -> None:
    """The embedded broker, until standard input ends."""
    from amqtt.broker import Broker

    logging.disable(logging.CRITICAL)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[sys.argv.index("--port") + 1])))
