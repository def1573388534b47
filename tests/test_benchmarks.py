"""What `make bench` measures is still there to be measured."""

from __future__ import annotations

from benchmarks import stages


def test_every_stage_exists() -> None:
    assert all(callable(getattr(owner, name)) for _, owner, name in stages.STAGES)
    assert set(stages.BARE) <= {stage for stage, _, _ in stages.STAGES}
