"""What the tests of `deploy/` share: the tools they need, and the metric names that dashboards may rely on."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"

PROMISED = frozenset(
    f"linegate_{name}"
    for name in (
        *("inference_seconds", "frame_to_verdict_seconds", "stage_seconds", "frames_total", "frames_dropped_total"),
        *("frame_age_seconds", "parts_total", "parts_entered_total", "verdicts_late_total", "camera_up", "mqtt_up"),
        *("outbox_pending", "outbox_oldest_seconds", "model_info", "model_swaps_total", "tpu_up", "drift_score"),
        *("soc_temperature_celsius", "build_info", "journal_up", "disk_written_bytes_total"),
    )
)
"""Names that stay: dashboards and alerts of other people are built on them."""
GENERAL = frozenset({"up", "process_start_time_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes"})
"""What Prometheus itself and every process of its client library tells."""


def need(tool: str, package: str) -> str:
    """Where a tool is; skips the test, with the way to get it, when it is not there."""
    path = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{tool} is not installed (apt-get install {package})")
    return path


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a tool and keep what it says."""
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=60, check=False)


def metric_names(expression: str) -> set[str]:
    """The metrics an expression reads, histograms by their family's name."""
    found = re.findall(r"\b(?:linegate|process)_\w+|\bup\b", expression)
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in found}


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
