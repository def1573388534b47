"""A short run of the soak: some hundred verdicts while broker, wire and station fail. `make soak` runs the long one."""

from __future__ import annotations

from pathlib import Path

import pytest
from brokers import needs_mosquitto

from tests.soak.soak import soak

pytestmark = pytest.mark.wall_clock


@needs_mosquitto
@pytest.mark.parametrize("seed", [5])
def test_every_verdict_is_booked_once_and_in_order_whatever_fails(tmp_path: Path, seed: int) -> None:
    report = soak(tmp_path, parts=400, rate=100, seed=seed)
    assert "400 verdicts" in report
