"""Mailbox, crew and notifier: dropping, failing and stopping."""

import socket
import threading
import time
from pathlib import Path

import pytest

from edge.crew import Crew
from edge.mailbox import Mailbox
from edge.notify import Notifier

pytestmark = pytest.mark.wall_clock


def test_the_newest_frames_win() -> None:
    box: Mailbox[int] = Mailbox(2)
    assert [box.put(each) for each in range(5)] == [True, True, False, False, False]
    assert [box.take(), box.take()] == [3, 4]


def test_a_closed_box_drains_and_then_ends() -> None:
    box: Mailbox[int] = Mailbox(2)
    box.put(1)
    box.close()
    assert not box.ended
    assert box.take() == 1
    assert box.ended
    assert box.take() is None


def test_taking_from_an_open_empty_box_times_out() -> None:
    box: Mailbox[int] = Mailbox(2)
    assert box.take(0.01) is None
    assert not box.ended


def test_a_taker_is_woken_by_an_item_and_by_closing() -> None:
    box: Mailbox[int] = Mailbox(2)
    taken: list[int | None] = []
    taker = threading.Thread(target=lambda: taken.extend([box.take(5), box.take(5)]))
    taker.start()
    box.put(1)
    box.close()
    taker.join(2)
    assert taken == [1, None]


def test_the_first_failure_stops_all_and_is_kept() -> None:
    crew = Crew()

    def fail() -> None:
        raise ValueError("first")

    def follow() -> None:
        crew.stopping.wait(5)
        raise RuntimeError("second")

    crew.start("follower", follow)
    crew.start("failing", fail)
    assert crew.join(2) == []
    assert crew.failure is not None
    assert crew.failure.thread == "failing"
    assert str(crew.failure.error) == "first"


def test_survivors_are_named_at_the_deadline() -> None:
    crew = Crew()
    release = threading.Event()
    crew.start("stubborn", lambda: release.wait(5) and None)
    began = time.monotonic()
    assert crew.join(0.05) == ["stubborn"]
    assert time.monotonic() - began < 2
    release.set()
    assert crew.join(2) == []


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_us(tmp_path: Path, abstract: bool) -> None:
    name = f"linegate-test-{tmp_path.name}"
    address = "@" + name if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name if abstract else address)
        notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000"})
        notifier.ready("inspecting")
        notifier.alive()
        notifier.stopping()
        heard = [systemd.recv(200).decode() for _ in range(3)]
    assert heard == ["READY=1\nSTATUS=inspecting", "WATCHDOG=1", "STOPPING=1"]
    assert notifier.watchdog_s == 3.0


def test_without_systemd_nothing_happens() -> None:
    notifier = Notifier({})
    notifier.ready("x")
    assert notifier.watchdog_s == 0.0
