"""The operator's page in a real browser, beside a server that a simulated belt feeds."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edge.config import SimulatorSource
from edge.domain import Decision, Part, Verdict, View
from edge.page import About, StatusBoard, open_server
from edge.sources.simulator import Simulator
from edge.tracking.views import square_crop

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr"),
)
CONSOLE = re.compile(r":CONSOLE[:(].*")
"""What a page's script says on its console, errors included, stands so in Chromium's log."""

pytestmark = [
    pytest.mark.wall_clock,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt install chromium)"),
]


def decide(board: StatusBoard, number: int, decision: Decision) -> None:
    verdict = Verdict(
        number=number, decision=decision, label="burr", reason="", score=0.5, limits=(0.2, 0.6), views=1,
        captured_at_s=0.0, speed_px_s=180.0,
    )  # fmt: skip
    board.decided(verdict, latency_s=0.02, wall_s=time.time())


def fed() -> StatusBoard:
    """A board that has seen a simulated belt until three parts had passed the gate; then its clock stands still."""
    config = SimulatorSource(seed=3, defect_share=0.5)
    simulator = Simulator(config, paced=False)
    about = About(
        site="plant1", line="line7", station="cam9", recipe="ring", version="0.1.0", simulated=True, mqtt=True
    )
    board = StatusBoard(about, clock=lambda: 100.0)
    board.camera(True)
    board.broker(True)
    board.journal(True)
    board.golden(True)
    board.model(name="ring", version="2026.11", hash8="3fa91c07", backend="litert")
    decisions = itertools.cycle((Decision.PASS, Decision.REJECT, Decision.REVIEW))
    judged: set[int] = set()
    for frame in simulator.frames(threading.Event()):
        boxes = simulator.boxes(frame.index)
        fell = [each for each in boxes if each[0].number not in judged and each[1].center_px[0] > config.width_px / 2]
        for placement, box in fell:
            judged.add(placement.number)
            view = View(crop=square_crop(frame.image, box, 0.08), box=box, at_s=frame.at_s)
            board.seen(Part(number=len(judged), at_s=frame.at_s, views=(view,), center_px=box.center_px))
        board.frame(frame, tuple(box for _, box in boxes), len(judged))
        for _ in fell:
            decide(board, len(judged), next(decisions))
        if len(judged) == 3:
            return board
    raise AssertionError("the simulated belt ended early")


@contextmanager
def serving(board: StatusBoard) -> Iterator[int]:
    server = open_server(board, CollectorRegistry(), "127.0.0.1", 0)
    stopping = threading.Event()
    thread = threading.Thread(target=server.run, args=(stopping,))
    thread.start()
    try:
        yield server.port
    finally:
        stopping.set()
        thread.join(5)


def browse(folder: Path, url: str, virtual_ms: int = 2500) -> tuple[str, list[str]]:
    """The page's elements after some seconds of its life, and what it said on the console."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder}", f"--virtual-time-budget={virtual_ms}", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return done.stdout, CONSOLE.findall(done.stderr)


def text_of(dom: str, identity: str) -> str:
    found = re.search(rf'id="{identity}"[^>]*>([^<]*)<', dom)
    assert found is not None, identity
    return found.group(1)


def test_the_page_shows_the_counts_and_complains_about_nothing(tmp_path: Path) -> None:
    with serving(fed()) as port:
        dom, console = browse(tmp_path, f"http://127.0.0.1:{port}/")
    assert console == []
    assert [text_of(dom, f"count-{each}") for each in ("parts", "pass", "reject", "review")] == ["3", "1", "1", "1"]
    assert text_of(dom, "found") == "Rejected for: burr 1"
    assert 'data-link="live"' in dom
    assert text_of(dom, "verdict-word") == "REVIEW"
    assert dom.count('src="/api/part/') == 3
    assert "Simulation" in dom
    assert "<b>cam9</b>" in dom


def test_a_page_that_lost_its_station_shows_no_verdict_as_if_it_were_live(tmp_path: Path) -> None:
    board, answers = fed(), itertools.count()

    def answers_twice() -> int:
        if next(answers) >= 2:
            raise RuntimeError("the station does not answer any more")
        return 0

    board.outbox(answers_twice, lambda: None)
    with serving(board) as port:
        dom, _ = browse(tmp_path, f"http://127.0.0.1:{port}/", virtual_ms=8000)
    assert 'data-link="lost"' in dom
    assert text_of(dom, "verdict-word") == "NO DATA"
    assert text_of(dom, "link-word") == "no connection"
    assert text_of(dom, "count-parts") == "3", "old figures stay, under the banner that says so"
    assert "All figures below are old" in dom


def test_a_reject_between_two_looks_is_shown_although_a_good_part_came_after_it(tmp_path: Path) -> None:
    board, answers = fed(), itertools.count()

    def goes_on() -> int:
        if next(answers) == 1:
            for number, decision in ((4, Decision.PASS), (5, Decision.REJECT), (6, Decision.PASS)):
                decide(board, number, decision)
        return 0

    board.outbox(goes_on, lambda: None)
    with serving(board) as port:
        dom, _ = browse(tmp_path, f"http://127.0.0.1:{port}/")
    assert text_of(dom, "verdict-word") == "REJECT"
    assert text_of(dom, "verdict-meta").startswith("Part 5")
    assert re.findall(r'class="number">(\d+)<', dom) == ["6", "5", "4", "3", "2", "1"]


def test_a_lost_camera_takes_the_place_of_the_last_verdict(tmp_path: Path) -> None:
    board = fed()
    board.camera(False)
    with serving(board) as port:
        dom, _ = browse(tmp_path, f"http://127.0.0.1:{port}/")
    assert text_of(dom, "verdict-word") == "NO PICTURE"
    assert "Camera lost" in dom
    assert 'data-state="stale"' in dom


def test_a_script_error_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "broken.html"
    page.write_text("<!doctype html><script>nowhere.to.be.found()</script>", encoding="utf-8")
    _, console = browse(tmp_path / "profile", page.as_uri())
    assert any("nowhere is not defined" in line for line in console)
