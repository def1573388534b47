"""What many tests share: where the data is, the shipped model, and a copy of it that may be spoiled."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

with contextlib.suppress(ImportError):  # the trainer's environment and the one of tflite-runtime do without
    from hypothesis import HealthCheck, settings

    settings.register_profile("patient", suppress_health_check=[HealthCheck.too_slow], deadline=None)
    settings.load_profile("patient")  # a busy machine is no mistake of the code

ROOT = Path(__file__).parents[1]
REPEATS = int(os.environ.get("LINEGATE_TEST_REPEATS", "0"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where strangers share the processor, a test against the clock may be told to try again; the summary names it."""
    if REPEATS and config.pluginmanager.hasplugin("rerunfailures"):
        for item in items:
            if item.get_closest_marker("wall_clock"):
                item.add_marker(pytest.mark.flaky(reruns=REPEATS))


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def data() -> Path:
    """Real pictures and clips, which are not part of the project."""
    folder = Path(os.environ.get("LINEGATE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is not here: {folder} (set LINEGATE_DATA)")
    return folder


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The bundle that comes with the project."""
    return (ROOT / "models" / "current").resolve()


def repack(folder: Path, change: Callable[[dict[str, Any]], None] | None = None) -> Path:
    """Make the manifest vouch for the files as they are now, so that only the spoiled thing is wrong."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for name in document["files"]:
        document["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if change is not None:
        change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture
def copied(shipped: Path, tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to spoil."""
    return Path(shutil.copytree(shipped, tmp_path / "bundle"))
