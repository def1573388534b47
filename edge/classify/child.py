"""What may crash the process is tried in another one first."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

REFUSED = 3
"""Exit code of a child that says why in its last line."""


class ChildFailed(Exception):
    """How a child came to no answer: `SIGSEGV`, `exit code 1`, `no answer within 60 s`."""


class ChildRefused(Exception):
    """Why a child says no, in one line."""


def ask_child(module: str, *words: str, deadline_s: float) -> str:
    """Run a module of ours in a process of its own; its last line. Raises `ChildRefused` and `ChildFailed`."""
    command = [sys.executable, "-m", module, *words]
    root = Path(__file__).resolve().parents[2]
    try:
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=deadline_s, check=False)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"no answer within {deadline_s:.0f} s") from None
    line = (ran.stdout.strip().splitlines() or [""])[-1]
    if ran.returncode == REFUSED:
        raise ChildRefused(line)
    if ran.returncode:
        raise ChildFailed(signal.Signals(-ran.returncode).name if ran.returncode < 0 else f"exit code {ran.returncode}")
    return line
