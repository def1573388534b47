"""Where a run's pictures come from: a folder that is given, or the device's own simulator."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from trainer.errors import Refused
from trainer.recipe import Rendered

LONGEST_S = 1800


def rendered(wanted: Rendered, folder: Path) -> Path:
    """Have the simulator write crops of single parts, one folder per class, unless the same are there already."""
    stamp = folder / ".rendered.json"
    order = json.dumps({"crops": wanted.crops, "seed": wanted.seed})
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == order:
        return folder
    command = ["simulate", "--out", str(folder), "--crops", str(wanted.crops), "--seed", str(wanted.seed)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "edge", *command], capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"linegate {' '.join(command)}: took longer than {LONGEST_S} s; ask for fewer crops") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise Refused(f"linegate {' '.join(command)}: failed ({said})")
    stamp.write_text(order, encoding="utf-8")
    return folder
