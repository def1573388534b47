"""A run's bundle, vouched for where it was made, is taken by a device that trusts the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.bundle import Bundle, BundleError, Trust
from edge.bundle.signature import generate
from trainer.__main__ import main


def test_the_bundle_of_a_run_is_signed(trained: Path, tmp_path: Path) -> None:
    secret, public = generate(tmp_path / "office", "plant")
    keys = tmp_path / "keys"
    keys.mkdir()
    bundle = Bundle.open(next(trained.glob("tiny-????????")))
    with pytest.raises(BundleError, match="is unsigned"):
        Trust(keys).check(bundle)
    assert main(["sign", "--out", str(trained), "--key", str(secret)]) == 0
    (keys / public.name).write_bytes(public.read_bytes())
    try:
        assert Trust(keys).check(bundle).name == "plant"
    finally:
        (bundle.folder / "signature").unlink()


def test_packing_signs_when_it_is_given_a_key(trained: Path, tmp_path: Path) -> None:
    secret, public = generate(tmp_path / "office", "plant")
    assert main(["pack", "--out", str(trained), "--key", str(secret), "--shelf", str(tmp_path / "shelf")]) == 0
    bundle = Bundle.open(next(trained.glob("tiny-????????")))
    (bundle.folder / "signature").unlink()
    assert Trust(public.parent).check(Bundle.open(tmp_path / "shelf" / "current")).name == "plant"


def test_a_golden_picture_says_what_it_shows(trained: Path) -> None:
    bundle = Bundle.open(next(trained.glob("tiny-????????")))
    assert {golden.label for golden in bundle.manifest.golden} == set(bundle.manifest.labels)


def test_a_missing_key_or_bundle_is_one_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sign", "--out", str(trained), "--key", str(tmp_path / "none.key")]) == 1
    assert "none.key: cannot be read" in capsys.readouterr().err
