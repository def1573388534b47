"""A model changes while the line runs: through the daemon's own doors, on the simulator, with every verdict counted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import repack
from test_run import ROOT, Listener, broker, daemon, ended, status, until, written

from edge.demo_broker import DemoBroker
from edge.sinks.journal import Journal

pytestmark = pytest.mark.wall_clock

__all__ = ["broker"]


@pytest.fixture
def shelf(tmp_path: Path, shipped: Path) -> Path:
    """A shelf of its own with the shipped model live and its key trusted."""
    root = tmp_path / "shelf"
    shutil.copytree(shipped, root / shipped.name)
    shutil.copytree(shipped.parent / "keys", root / "keys")
    (root / "current").symlink_to(shipped.name)
    return root


def other(tmp_path: Path, shipped: Path, version: str = "2.0", **changes: Any) -> Path:
    """The same network as another model, unsigned."""
    folder = Path(shutil.copytree(shipped, tmp_path / f"bundle-{version}"))
    (folder / "signature").unlink()
    return repack(folder, lambda document: document.update(version=version, **changes))


def settings(tmp_path: Path, shelf: Path, **model: Any) -> Path:
    sections: dict[str, Any] = {
        "model": {"shelf": str(shelf), "unsigned": "allow", "shadow_folder": str(tmp_path / "shadow"), **model},
    }
    return written(tmp_path, **sections)


def models(config: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "edge", "models", "--config", str(config), *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def judged(folder: Path) -> list[dict[str, Any]]:
    """The verdicts that were written down, in order."""
    journal = Journal(folder / "journal.sqlite", 30)
    try:
        return [json.loads(record.payload) for record in journal.range(1, 10_000)]
    finally:
        journal.close()


def test_a_flash_and_a_rollback_reach_the_running_line(tmp_path: Path, shelf: Path, shipped: Path) -> None:
    config = settings(tmp_path, shelf)
    bundle = other(tmp_path, shipped)
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 2, "verdicts of the first model")
        code, told = models(config, "flash", str(bundle))
        assert code == 0, told
        assert ": live\n" in told
        until(lambda: status(config)["model"]["version"] == "2.0", "the page's word on the new model")
        before = status(config)["parts"]["decided"]
        until(lambda: status(config)["parts"]["decided"] >= before + 2, "verdicts of the second model")
        began_s = time.monotonic()
        assert models(config, "rollback")[0] == 0
        took_s = time.monotonic() - began_s
        until(lambda: status(config)["model"]["version"] == "1.0", "the first model again")
        process.terminate()
        code, told = ended(process)
    assert code == 0, told
    print(f"rollback command to its answer: {took_s:.2f} s, start of Python included")
    versions = [each["model"]["version"] for each in judged(tmp_path)]
    changes = [new for old, new in zip(["", *versions], versions, strict=False) if new != old]
    assert changes[:2] == ["1.0", "2.0"]
    assert changes[2:] in (["1.0"], [])
    assert "model_flashed" not in told
    assert f"{shipped.name} judges from now on, in place of demo-" in told
    listing = models(config, "list")[1]
    assert "judged here" in listing


def test_what_was_put_in_the_place_of_the_live_model_by_hand_is_held_against_its_keys(
    tmp_path: Path, shelf: Path, shipped: Path
) -> None:
    config = settings(tmp_path, shelf, unsigned="refuse")
    stranger = other(tmp_path, shipped)
    shutil.copytree(stranger, shelf / "demo-stranger")
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 1, "a verdict")
        (shelf / "fresh").symlink_to("demo-stranger")
        (shelf / "fresh").replace(shelf / "current")
        until(lambda: (shelf / "current").resolve().name == shipped.name, "the link is put back")
        before = status(config)["parts"]["decided"]
        until(lambda: status(config)["parts"]["decided"] > before, "the line goes on")
        process.terminate()
        code, told = ended(process)
    assert code == 0
    assert "is unsigned" in told
    assert f"{shipped.name} goes on" in told


@pytest.mark.parametrize("broken", ["damaged", "unsigned", "gone"])
def test_a_live_model_that_may_not_judge_is_replaced_at_start_by_the_one_before(
    tmp_path: Path, shelf: Path, shipped: Path, broken: str
) -> None:
    shutil.copytree(other(tmp_path, shipped), shelf / "demo-00000000")
    if broken == "damaged":
        (shelf / "demo-00000000" / "model.tflite").write_bytes(b"TFL3")
    (shelf / "current").rename(shelf / "previous")
    (shelf / "current").symlink_to("demo-00000000" if broken != "gone" else "nowhere")
    config = settings(tmp_path, shelf, unsigned="refuse")
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 1, "a verdict")
        process.terminate()
        code, told = ended(process)
    assert code == 0
    assert f"the model before it judges instead: {shipped.name}" in told
    assert (shelf / "current").resolve().name == shipped.name


def test_without_any_model_that_may_judge_there_is_one_line(tmp_path: Path, shelf: Path) -> None:
    (shelf / "keys" / "linegate-demo.pub").rename(shelf / "keys" / "linegate-demo.revoked")
    with daemon(settings(tmp_path, shelf, unsigned="refuse")) as process:
        code, told = ended(process)
    assert code == 1
    assert "is revoked here" in told.splitlines()[-1]
    assert "Traceback" not in told


def test_a_model_that_does_worse_is_taken_back_by_itself(
    tmp_path: Path, shelf: Path, shipped: Path, broker: DemoBroker
) -> None:
    """Its limits make it reject everything; its golden answers are as good as those of the first."""
    simulator = {"speed_px_s": 700.0, "parts_per_minute": 260.0, "fps": 40.0}
    config = written(
        tmp_path,
        source={"kind": "simulator", "simulator": simulator},
        model={"shelf": str(shelf), "unsigned": "allow", "shadow_folder": str(tmp_path / "shadow"), "budget_ms": 5000},
        mqtt={"port": broker.port},
    )
    listener = Listener(broker.port)
    strict = other(tmp_path, shipped, limits={"pass": -200, "reject": -199})
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 55, "a history to compare with")
        assert models(config, "flash", str(strict))[0] == 0
        until(lambda: status(config)["model"]["version"] == "1.0", "the first model again")
        process.terminate()
        code, told = ended(process)
    assert code == 0
    assert "does worse than the model before: reject fell on" in told
    until(lambda: any(each["event"] == "model_rolled_back" for each in listener.of("event")), "the event")
    events = [each["event"] for each in listener.of("event") if each["event"].startswith("model")]
    listener.close()
    assert events == ["model_flashed", "model_rolled_back"]
    count = sum(each["model"]["version"] == "2.0" for each in judged(tmp_path))
    assert 20 <= count < 60, "it was noticed soon"


def test_a_candidate_shadows_the_live_model_and_is_promoted(tmp_path: Path, shelf: Path, shipped: Path) -> None:
    config = settings(tmp_path, shelf)
    strict = other(tmp_path, shipped, limits={"pass": -200, "reject": -199})
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 1, "a verdict")
        code, told = models(config, "shadow", str(strict))
        assert code == 0, told
        summary = tmp_path / "shadow"
        until(lambda: [json.loads(each.read_text()) for each in summary.glob("*/summary.json")
                       if json.loads(each.read_text())["disagreements"] >= 2], "two disagreements")  # fmt: skip
        assert status(config)["model"]["version"] == "1.0", "it has no say"
        code, told = models(config, "compare", "--out", str(tmp_path / "report.html"))
        assert code == 0, told
        assert "live / candidate" in told
        code, told = models(config, "promote")
        assert code == 0, told
        until(lambda: status(config)["model"]["version"] == "2.0", "the candidate at work")
        process.terminate()
        code, told = ended(process)
    assert code == 0
    assert (tmp_path / "report.html").read_text().count("<figure>") >= 2
    assert not (shelf / "shadow").is_symlink()
    verdicts = judged(tmp_path)
    assert {each["model"]["version"] for each in verdicts} <= {"1.0", "2.0"}
    assert "pass" in {each["decision"] for each in verdicts if each["model"]["version"] == "1.0"}


def test_a_flash_over_mqtt_takes_what_lies_in_one_place_and_nothing_else(
    tmp_path: Path, shelf: Path, shipped: Path, broker: DemoBroker
) -> None:
    place = tmp_path / "inbox"
    place.mkdir()
    shutil.make_archive(str(place / "demo-2"), "zip", other(tmp_path, shipped))
    config = written(
        tmp_path,
        model={"shelf": str(shelf), "unsigned": "allow", "flash_from": str(place)},
        mqtt={"port": broker.port, "commands": True},
    )
    listener = Listener(broker.port)
    prefix = "linegate/plant1/line1/cam1"
    with daemon(config) as process:
        until(lambda: status(config)["parts"]["decided"] >= 1 and status(config)["mqtt"]["up"], "a verdict")

        def asked(command: str, **request: Any) -> dict[str, Any]:
            def replies() -> list[dict[str, Any]]:
                return [each for each in listener.of(command) if "ok" in each]

            count = len(replies())
            listener.client.publish(f"{prefix}/command/{command}", json.dumps(request), qos=1)
            until(lambda: len(replies()) > count, f"a reply to {command}")
            return replies()[-1]

        time.sleep(0.5)
        for bad in ("../demo-2.zip", "/etc/passwd", "a/b.zip", "", 7):
            answer = asked("flash", bundle=bad)
            assert answer["ok"] is False
            assert "without any folder" in answer["detail"]
        answer = asked("flash", bundle="none.zip")
        assert answer["ok"] is False
        assert "no such bundle" in answer["detail"]
        answer = asked("flash", bundle="demo-2.zip")
        assert answer["ok"] is True, answer
        until(lambda: status(config)["model"]["version"] == "2.0", "the second model")
        assert asked("rollback")["slot"] == shipped.name
        until(lambda: status(config)["model"]["version"] == "1.0", "the first model")
        process.terminate()
        assert ended(process)[0] == 0
    listener.close()
