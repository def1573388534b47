"""The HTTP door, asked as clients ask: real requests to a real server on a port of its own."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from edge.domain import Box, Decision, Frame, Part, Verdict, View
from edge.metrics import Metrics
from edge.page import About, AddressError, PageServer, StatusBoard, open_server

pytestmark = pytest.mark.wall_clock

ROOT = Path(__file__).parents[1]
ABOUT = About(site="plant1", line="line1", station="cam1", recipe="ring", version="0.1.0", simulated=True, mqtt=True)


def filled() -> StatusBoard:
    """A board with one frame, and one part that was rejected; its clock stands still, so the frame stays new."""
    board = StatusBoard(ABOUT, clock=lambda: 100.0)
    image = np.full((240, 320), 90, dtype=np.uint8)
    box = Box(left_px=100, top_px=80, width_px=60, height_px=60)
    board.seen(Part(number=1, at_s=0.0, views=(View(crop=image[:300, :50].copy(), box=box, at_s=0.0),)))
    board.frame(Frame(index=0, at_s=0.0, image=image), (box,), 1)
    verdict = Verdict(
        number=1, decision=Decision.REJECT, label="hole", reason="", score=0.9, limits=(0.2, 0.6), views=1,
        captured_at_s=0.0,
    )  # fmt: skip
    board.decided(verdict, latency_s=0.015, wall_s=time.time())
    board.golden(True)
    board.journal(True)
    return board


@contextmanager
def serving(board: StatusBoard, registry: CollectorRegistry | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that is up while the block runs."""
    server = open_server(board, registry or CollectorRegistry(), host, 0, names=("inspection.example",))
    stopping = threading.Event()
    thread = threading.Thread(target=server.run, args=(stopping,))
    thread.start()
    try:
        yield server.port
    finally:
        stopping.set()
        thread.join(5)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(filled()) as port:
        yield port


def ask(
    port: int, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=names)
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_the_page_and_what_it_is_made_of(port: int) -> None:
    answer, body = ask(port, "/")
    assert answer.status == 200
    assert b"Linegate" in body
    for path, kind in (("/page.css", "text/css"), ("/page.js", "text/javascript"), ("/icon.svg", "image/svg+xml")):
        assert path.encode() in body
        answer, _ = ask(port, path)
        assert (answer.status, answer.headers.get_content_type()) == (200, kind)


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for each in (ROOT / "edge" / "page").iterdir():
        if each.suffix in (".html", ".css", ".js", ".svg"):
            text = each.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
            assert "http://" not in text
            assert "https://" not in text
            assert "//cdn" not in text


def test_the_status_in_json(port: int) -> None:
    answer, body = ask(port, "/api/status")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    status = json.loads(body)
    assert status["station"]["station"] == "cam1"
    assert status["parts"]["reject"] == 1
    assert status["verdicts"][0]["label"] == "hole"


def decoded(body: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_the_live_picture_is_a_picture_with_the_outline_on_it(port: int) -> None:
    answer, body = ask(port, "/api/picture.jpg")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    picture = decoded(body)
    assert picture.shape == (240, 320, 3)
    assert int(picture[110, 130, 1]) == pytest.approx(90, abs=4)
    assert int(picture[110, 100].max()) > 180


def test_the_crop_of_a_part(port: int) -> None:
    answer, body = ask(port, "/api/part/1.jpg")
    assert answer.status == 200
    assert decoded(body).shape == (240, 50, 3)
    assert ask(port, "/api/part/2.jpg")[0].status == 404


def test_no_picture_before_the_first_frame() -> None:
    with serving(StatusBoard(ABOUT)) as port:
        answer, body = ask(port, "/api/picture.jpg")
        assert (answer.status, body) == (503, b"no frame yet\n")


def test_metrics_in_both_formats() -> None:
    registry = CollectorRegistry()
    Metrics(registry).declare_labels(["ok"])
    with serving(filled(), registry) as port:
        answer, body = ask(port, "/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        names = {family.name for family in plain_text(body.decode())}
        answer, body = ask(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        assert {family.name for family in openmetrics(body.decode())} == names
    assert "linegate_parts" in names


def test_alive_and_ready(port: int) -> None:
    assert ask(port, "/healthz")[1] == b"ok\n"
    answer, body = ask(port, "/readyz")
    assert (answer.status, json.loads(body)["ready"]) == (200, True)


def test_not_ready_says_what_is_missing() -> None:
    board = filled()
    board.journal(False)
    with serving(board) as port:
        answer, body = ask(port, "/readyz")
        assert answer.status == 503
        assert json.loads(body) == {
            "ready": False,
            "conditions": {"frames": "", "model": "", "journal": "the journal cannot write"},
        }
        assert ask(port, "/healthz")[0].status == 200


def test_a_port_in_use_is_told_before_anything_runs(port: int) -> None:
    with pytest.raises(AddressError) as told:
        open_server(StatusBoard(ABOUT), CollectorRegistry(), "127.0.0.1", port)
    assert str(told.value) == f"127.0.0.1:{port} is in use by another program; set http.port"


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("192.0.2.1", "192.0.2.1:0 is not an address of this machine; set http.host"),
        ("no-such-host.invalid", "no-such-host.invalid:0: the host name is not known; set http.host to an address,"),
    ],
)
def test_a_wrong_address_is_told_in_one_line(host: str, told: str) -> None:
    with pytest.raises(AddressError) as error:
        open_server(StatusBoard(ABOUT), CollectorRegistry(), host, 0)
    assert str(error.value).startswith(told)
    assert "\n" not in str(error.value)


def test_an_address_can_be_given_back_unused_and_taken_again() -> None:
    first = open_server(StatusBoard(ABOUT), CollectorRegistry(), "127.0.0.1", 0)
    with pytest.raises(AddressError):
        open_server(StatusBoard(ABOUT), CollectorRegistry(), "127.0.0.1", first.port)
    first.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", first.port)) != 0, "nobody listens there any more"
    again: PageServer = open_server(StatusBoard(ABOUT), CollectorRegistry(), "127.0.0.1", first.port)
    assert again.port == first.port
    with socket.create_connection(("127.0.0.1", again.port), timeout=5):
        again.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/", "/api/status", "/nowhere"])
def test_nothing_can_be_changed(port: int, method: str, path: str) -> None:
    answer, _ = ask(port, path, method, body=b"x" if method in ("POST", "PUT") else None)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "/api/status", "/api/picture.jpg", "/metrics"])
def test_head_is_get_without_the_body(port: int, path: str) -> None:
    answer, body = ask(port, path, "HEAD")
    assert (answer.status, body) == (200, b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "localhost.evil"])
def test_a_foreign_host_name_is_refused(port: int, host: str) -> None:
    answer, body = ask(port, "/api/status", Host=host)
    assert answer.status == 421
    assert b"verdicts" not in body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8080", "LOCALHOST", "[::1]:8080", "inspection.example:80"])
def test_our_own_names_are_answered(port: int, host: str) -> None:
    assert ask(port, "/api/status", Host=host)[0].status == 200


def test_on_the_plant_network_any_name_may_be_used() -> None:
    with serving(filled(), host="0.0.0.0") as port:
        assert ask(port, "/api/status", Host="line3.plant.example")[0].status == 200


@pytest.mark.parametrize("path", ["/", "/api/status", "/nowhere", "/api/part/x.jpg", "/metrics"])
def test_every_answer_carries_the_security_headers(port: int, path: str) -> None:
    answer, _ = ask(port, path)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/nowhere", "/api/part/x.jpg", "/../edge/app.py", "/page.py"])
def test_what_is_not_there_is_not_found(port: int, path: str) -> None:
    answer, body = ask(port, path)
    assert (answer.status, body) == (404, b"404 Not Found\n")


def test_a_fault_tells_no_internals() -> None:
    board = filled()

    def broken() -> int:
        raise RuntimeError("secret detail")

    board.outbox(broken, lambda: None)
    with serving(board) as port:
        answer, body = ask(port, "/api/status")
        assert (answer.status, body) == (500, b"500 Internal Server Error\n")
        assert ask(port, "/healthz")[0].status == 200


def test_oversized_requests_are_refused(port: int) -> None:
    answer, _ = ask(port, "/api/status", Long="x" * 20_000)
    assert answer.status == 431
    answer, _ = ask(port, "/api/status", "POST", body=b"x" * 100_000)
    assert answer.status in (405, 413)


def test_many_clients_at_once_all_get_their_answer(port: int) -> None:
    paths = ["/api/status", "/api/picture.jpg", "/metrics", "/api/part/1.jpg", "/readyz"]

    def client(number: int) -> list[int]:
        return [ask(port, paths[(number + turn) % len(paths)])[0].status for turn in range(10)]

    began = time.monotonic()
    with ThreadPoolExecutor(30) as crowd:
        statuses = [status for each in crowd.map(client, range(30)) for status in each]
    assert statuses == [200] * 300
    assert time.monotonic() - began < 30


def test_clients_that_connect_and_say_nothing_do_not_block_the_others(port: int) -> None:
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    try:
        for each in silent:
            each.sendall(b"GET /api/status HT")
        began = time.monotonic()
        assert ask(port, "/healthz")[0].status == 200
        assert time.monotonic() - began < 4, "they would be served only after the silent ones time out"
    finally:
        for each in silent:
            each.close()


def test_the_web_libraries_are_loaded_when_a_server_opens_and_not_before() -> None:
    code = "import edge.page, sys; print({'bottle', 'waitress'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert told.stdout == "set()\n"
