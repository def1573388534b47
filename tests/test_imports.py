"""Who may know whom: the table of docs/architecture.md, held by reading the code."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EDGE = ROOT / "edge"

MAY = {
    "domain": set(),
    "config": {"domain"},
    "line": {"domain", "judge"},
    "judge": {"domain"},
    "message": {"domain"},
    "truth": {"domain"},
    "sources": {"domain", "config", "truth"},
    "tracking": {"domain", "config"},
    "classify": {"domain", "config", "bundle"},
    "pins": set(),
    "belt": {"domain", "config", "pins"},
    "sinks": {"domain", "config", "message", "belt", "pins"},
    "bundle": set(),
    "changeover": {"domain", "config", "bundle", "classify", "judge"},
    "page": {"domain", "metrics"},
    "mailbox": set(),
    "crew": set(),
    "notify": set(),
    "metrics": set(),
    "capture": {"domain", "mailbox"},
    "delivery": {"domain", "message"},
    "timed": {"domain"},
    "clock": set(),
    "haste": {"domain"},
    "telling": {"domain", "message", "metrics", "page"},
}
"""Room: what it may import from edge besides itself. The others (app, commands) are the composition."""

ONE_FILE = {
    "paho": "edge/sinks/connection.py",
    "picamera2": "edge/sources/picamera.py",
    "ai_edge_litert": "edge/classify/tflite.py",
    "tflite_runtime": "edge/classify/tflite.py",
    "gpiozero": "edge/pins.py",
    "amqtt": "edge/demo_broker.py",
}
KINDS = {"sources": {"clip", "picamera", "simulator"}, "sinks": {"journal", "mqtt", "reject", "archive", "sparkplug"}}
"""The kinds of a room's seam, which never import each other; what they share stands beside them."""


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{each.name}" for each in node.names}
    return names


def room_of(path: Path) -> str:
    """`edge/sinks/mqtt.py` lives in the room `sinks`, `edge/line.py` in `line`."""
    return path.relative_to(EDGE).parts[0].removesuffix(".py")


def files() -> list[Path]:
    return sorted(EDGE.rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_knows_only_what_it_may(path: Path) -> None:
    room = room_of(path)
    names = imported(path)
    assert not {name for name in names if name.split(".")[0] == "trainer"}
    if room not in MAY:
        return
    rooms = {name.split(".")[1] for name in names if name.startswith("edge.")}
    assert rooms - {room, "__version__"} <= MAY[room]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_heavy_library_is_known_to_one_file(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    for name in imported(path):
        assert ONE_FILE.get(name.split(".")[0], relative) == relative


@pytest.mark.parametrize("room", KINDS)
def test_kinds_of_one_seam_do_not_import_each_other(room: str) -> None:
    kinds = {path.stem: imported(path) for path in (EDGE / room).glob("*.py") if path.stem in KINDS[room]}
    assert len(kinds) >= 2
    for kind, names in kinds.items():
        assert not names & {f"edge.{room}.{other}" for other in KINDS[room] - {kind}}


def test_the_trainer_enters_by_the_bundle_only() -> None:
    for path in (ROOT / "trainer").rglob("*.py"):
        if "build" in path.relative_to(ROOT / "trainer").parts:
            continue
        for name in imported(path):
            assert name.split(".")[0] != "edge" or name.startswith("edge.bundle"), f"{path}: {name}"


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sorted(sys.modules)))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
    )


def test_the_bundle_room_loads_nothing_heavy() -> None:
    loaded = loaded_by("import edge.bundle")
    assert "cv2" in loaded
    heavy = {"ai_edge_litert", "tflite_runtime", "paho", "picamera2", "prometheus_client", "bottle", "yaml"}
    assert not loaded & (heavy | {"cryptography"})


def test_the_command_line_starts_without_numpy_or_opencv() -> None:
    loaded = loaded_by("import edge.__main__ as m; m._parser()")
    assert not loaded & {"numpy", "cv2", "yaml", "ai_edge_litert", "paho", "prometheus_client", "bottle"}
