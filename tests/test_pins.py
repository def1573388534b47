"""What is told of a machine's pins, and what becomes of them when the daemon ends or is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

gpiozero = pytest.importorskip("gpiozero")

from edge.__main__ import main  # noqa: E402
from edge.pins import NoPin, Wish, keeps_levels, look  # noqa: E402

pytestmark = pytest.mark.wall_clock

ROOT = Path(__file__).parents[1]
WISH = Wish(key="reject.pin", off="reject.enabled: false")


@pytest.fixture
def factory(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def chosen(name: str) -> None:
        monkeypatch.setenv("GPIOZERO_PIN_FACTORY", name)
        monkeypatch.setattr(gpiozero.Device, "pin_factory", None)

    return chosen


def test_a_machine_with_pins_says_what_works_them(factory: Callable[[str], None]) -> None:
    factory("mock")
    assert look(WISH).endswith(" by MockFactory")


def test_a_machine_without_pins_says_so_in_one_line(factory: Callable[[str], None]) -> None:
    factory("native")
    with pytest.raises(NoPin, match=r"^reject\.pin: GPIO pins cannot be used .*set reject\.enabled: false$") as caught:
        look(WISH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("told", "keeps"), [("Y\n", True), ("1\n", True), ("N\n", False), (None, False)])
def test_whether_the_kernel_lets_go_of_a_dead_process_pins(tmp_path: Path, told: str | None, keeps: bool) -> None:
    parameters = tmp_path / "pinctrl_rp1" / "parameters"
    parameters.mkdir(parents=True)
    if told is not None:
        (parameters / "persist_gpio_outputs").write_text(told)
    assert keeps_levels(tmp_path) is keeps


def pins_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], sections: str) -> dict[str, object]:
    path = tmp_path / "config.yaml"
    path.write_text(sections)
    main(["doctor", "--json", "--config", str(path)])
    return next(each for each in json.loads(capsys.readouterr().out) if each["what"] == "pins")


def test_the_doctor_looks_at_pins_that_are_wanted(
    tmp_path: Path, factory: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = "reject: {enabled: true, distance_px: 900}"
    assert pins_found(tmp_path, capsys, "")["well"]
    factory("native")
    found = pins_found(tmp_path, capsys, gate)
    assert not found["well"]
    assert "gpio" in str(found["do"])
    factory("mock")
    assert "reject.pin 17" in str(pins_found(tmp_path, capsys, gate)["found"])
    monkeypatch.setattr("edge.pins.keeps_levels", lambda: True)
    found = pins_found(tmp_path, capsys, gate)
    assert not found["well"]
    assert "strict_gpiod" in str(found["do"])
    assert pins_found(tmp_path, capsys, "photo_eye: {enabled: true}")["well"], "an input drives nothing"


STATION = """
import sys
from pathlib import Path
import gpiozero
from gpiozero.pins.mock import MockFactory, MockPin

class Told(MockPin):
    def _change_state(self, value):
        changed = super()._change_state(value)
        print(int(self.state), flush=True)
        return changed

gpiozero.Device.pin_factory = MockFactory(pin_class=Told)
from edge import config
from edge.app import Daemon
from edge.notify import Notifier

folder = Path(sys.argv[1])
belt = config.SimulatorSource(width_px=320, height_px=240, part_px=60.0, parts_per_minute=110.0, defect_share=1.0)
settings = config.Config(
    source=config.Sources(simulator=belt), mqtt=config.Mqtt(enabled=False), http=config.Http(enabled=False),
    journal=config.Journal(path=str(folder / "journal.sqlite")),
    reject=config.Reject(enabled=True, follow="time", delay_s=0.5, pulse_s=9.0, tolerance_s=0.4),
)
sys.exit(Daemon(settings, Path(sys.argv[2])).run(Notifier({})))
"""
"""A daemon whose every change of the pin is told; its pulses are so long that it dies within one."""


@contextmanager
def station(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    with subprocess.Popen(
        [sys.executable, "-c", STATION, str(folder), str(ROOT)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            levels = [process.stdout.readline().strip()]  # type: ignore[union-attr]
            yield process, levels
        finally:
            process.kill()


def until_active(process: subprocess.Popen[str], levels: list[str]) -> None:
    give_up_s = time.monotonic() + 60
    while levels[-1] != "1":
        assert time.monotonic() < give_up_s
        assert process.poll() is None, "it ended before a pulse"
        levels.append(process.stdout.readline().strip())  # type: ignore[union-attr]


def test_a_daemon_that_is_told_to_end_within_a_pulse_leaves_the_pin_at_rest(tmp_path: Path) -> None:
    with station(tmp_path) as (process, levels):
        until_active(process, levels)
        process.terminate()
        levels += process.stdout.read().split()  # type: ignore[union-attr]
        assert process.wait(30) == 0
    assert levels[0] == "0"
    assert levels[-1] == "0"


def test_a_killed_daemon_can_do_nothing_for_its_pin_and_the_next_one_begins_at_rest(tmp_path: Path) -> None:
    """What the pin does in between is up to the kernel and the wiring: docs/reject.md says what they must do."""
    with station(tmp_path) as (process, levels):
        until_active(process, levels)
        os.kill(process.pid, signal.SIGKILL)
        levels += process.stdout.read().split()  # type: ignore[union-attr]
        process.wait(30)
    assert levels[-1] == "1"
    with station(tmp_path) as (_, levels):
        assert levels == ["0"], "before any verdict"
