"""A small folder of drawn parts and one true training on it for the whole session."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn import TINY, fill

pytest.importorskip("trainer.errors", reason="the trainer is not installed here: make setup-trainer")


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty drawn parts, two views each."""
    return fill(tmp_path_factory.mktemp("parts"), {"ok": 30, "hole": 30}, views=2)


@pytest.fixture(scope="session")
def trained(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one finished run: trained, converted, measured, packed and shelved by the real tools."""
    from trainer.__main__ import main

    home = tmp_path_factory.mktemp("run")
    (home / "tiny.yaml").write_text(TINY, encoding="utf-8")
    arguments = ["run", str(home / "tiny.yaml"), "--data", str(parts), "--out", str(home / "out")]
    assert main([*arguments, "--shelf", str(home / "shelf")]) == 0
    return home / "out"
