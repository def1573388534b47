"""Pinned packages for Node.js, installed once into a cache outside the project."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

LISTS = Path(__file__).parent / "npm"
INSTALL_S = 300


def installed(name: str) -> Path:
    """The folder that holds `node_modules` for `tests/npm/<name>`; skips the test where they cannot be had."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js is not installed (apt install nodejs npm)")
    lock = (LISTS / name / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "linegate-tests"
    folder = cache / f"{name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(name, folder)
            (folder / "complete").touch()
    return folder


def _install(name: str, folder: Path) -> None:
    for each in ("package.json", "package-lock.json"):
        shutil.copy(LISTS / name / each, folder / each)
    command = ["npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install {name} within {INSTALL_S} s")
    if done.returncode:
        pytest.skip(f"npm could not install {name}: {' '.join(done.stderr.split())[-200:]}")
