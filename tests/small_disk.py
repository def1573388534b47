"""A real file system of a few megabytes, to be filled."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a tmpfs; skips the test where that is not allowed."""
    folder.mkdir(exist_ok=True)
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("mounting a small disk needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def small_ext4(folder: Path) -> Iterator[Path]:
    """Mount an ext4 that can be frozen; skips the test where that is not allowed."""
    with mounted_ext4(folder) as disk:
        if disk is None:
            pytest.skip("mounting an ext4 that can be frozen needs root and a loop device")
        yield disk


@contextmanager
def mounted_ext4(folder: Path, megabytes: int = 16) -> Iterator[Path | None]:
    """The same from a file in `folder`; None where that is not allowed."""
    image, disk = folder / "image", folder / "ext4"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    steps = [["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(disk)]]
    tools = all(map(shutil.which, ("mkfs.ext4", "fsfreeze")))
    if not (tools and os.geteuid() == 0 and all(_succeeds(step) for step in steps)):
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextmanager
def frozen(disk: Path) -> Iterator[None]:
    """Every write to it waits, as on a card that died: the kernel never says that anything is wrong."""
    subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
