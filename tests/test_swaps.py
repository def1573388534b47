"""Two dozen changes of the model under twenty parts a second; the long run is `make soak-models`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.swaps import run

pytestmark = pytest.mark.wall_clock


def test_no_part_is_missed_and_none_is_judged_by_two_models(tmp_path: Path) -> None:
    outcome = run(tmp_path, swaps=24)
    print(outcome)
    assert outcome.swaps == 24
    assert (outcome.compared.missed, outcome.compared.duplicates, outcome.torn) == (0, 0, 0)
    assert set(outcome.by_model) == {"1.0", "2.0"}
