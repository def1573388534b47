"""Who may vouch for a bundle: signing, trusting, changing keys, taking trust back; and no clock in between."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import repack

from edge.bundle import Bundle, BundleError, Trust
from edge.bundle.signature import generate, sign
from edge.bundle.versions import is_older

NOW = datetime(2026, 11, 24, 9, 31, 7, tzinfo=UTC)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder that the device trusts."""
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys"


def made(tmp_path: Path, name: str, expires: str = "") -> tuple[Path, Path]:
    return generate(tmp_path / "office", name, expires)


def trusted(keys: Path, public: Path) -> None:
    (keys / public.name).write_bytes(public.read_bytes())


@pytest.fixture
def bundle(copied: Path) -> Bundle:
    (copied / "signature").unlink(missing_ok=True)
    return Bundle.open(copied)


def refusal(trust: Trust, bundle: Bundle) -> str:
    with pytest.raises(BundleError) as caught:
        trust.check(Bundle.open(bundle.folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_signed_bundle_names_its_signer(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    secret, public = made(tmp_path, "plant")
    trusted(keys, public)
    sign(bundle, secret, NOW)
    signer = Trust(keys).check(bundle)
    assert (signer.name, signer.signed_at) == ("plant", "2026-11-24T09:31:07Z")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_an_unsigned_bundle_is_refused_unless_that_is_allowed(keys: Path, bundle: Bundle) -> None:
    assert "is unsigned" in refusal(Trust(keys), bundle)
    assert str(Trust(keys, unsigned=True).check(bundle)) == "UNSIGNED"
    (bundle.folder / "signature").write_bytes(b"")
    assert "no signature" in refusal(Trust(keys, unsigned=True), bundle)


def test_a_key_that_is_not_trusted_is_named(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    sign(bundle, made(tmp_path, "stranger")[0])
    assert "is not trusted" in refusal(Trust(keys), bundle)
    assert "is not trusted" in refusal(Trust(tmp_path / "no-such-folder"), bundle)


def test_any_change_of_the_manifest_breaks_the_signature(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    secret, public = made(tmp_path, "plant")
    trusted(keys, public)
    sign(bundle, secret)
    repack(bundle.folder, lambda document: document["limits"].update({"pass": document["limits"]["pass"] + 1}))
    assert "does not fit the manifest" in refusal(Trust(keys), bundle)


def test_any_flipped_bit_of_the_signature_is_found(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    secret, public = made(tmp_path, "plant")
    trusted(keys, public)
    sign(bundle, secret, NOW)
    path = bundle.folder / "signature"
    raw = path.read_bytes()
    for place in range(len(raw) - 1):  # the last one is the end of the line
        path.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        refusal(Trust(keys), bundle)
    path.write_bytes(raw)
    assert Trust(keys).check(bundle).name == "plant"


def test_the_moment_of_signing_cannot_be_changed(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    secret, public = made(tmp_path, "plant", expires="2026-12-31")
    trusted(keys, public)
    sign(bundle, secret, NOW)
    path = bundle.folder / "signature"
    path.write_text(path.read_text().replace("2026-11-24", "2026-11-25"))
    assert "does not fit" in refusal(Trust(keys), bundle)


def test_an_expired_key_signs_nothing_more_but_what_it_signed_stays_good(
    tmp_path: Path, keys: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, public = made(tmp_path, "plant", expires="2026-11-30")
    trusted(keys, public)
    sign(bundle, secret, NOW)
    assert Trust(keys).check(bundle).name == "plant", "the device's own clock is not asked"
    with pytest.raises(BundleError, match="expired on"):
        sign(bundle, secret, datetime(2026, 12, 1, tzinfo=UTC))
    secret.write_text(secret.read_text().replace("2026-11-30", "2099-01-01"))
    sign(bundle, secret, datetime(2026, 12, 1, tzinfo=UTC))
    assert "after the last day of the key plant" in refusal(Trust(keys), bundle)


def test_keys_are_changed_with_two_signatures(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    old, new = made(tmp_path, "old"), made(tmp_path, "new")
    trusted(keys, old[1])
    sign(bundle, new[0])
    refusal(Trust(keys), bundle)
    sign(bundle, old[0])
    assert Trust(keys).check(bundle).name == "old"
    trusted(keys, new[1])
    Trust(keys).revoke("old")
    assert Trust(keys).check(bundle).name == "new"
    sign(bundle, new[0])
    assert len((bundle.folder / "signature").read_text().splitlines()) == 2, "one line for each key"


def test_a_revoked_key_is_worth_nothing_under_any_name(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    secret, public = made(tmp_path, "plant")
    trusted(keys, public)
    sign(bundle, secret)
    Trust(keys).revoke("plant")
    assert "is revoked here" in refusal(Trust(keys), bundle)
    (keys / "again.pub").write_bytes(public.read_bytes())
    assert "is revoked here" in refusal(Trust(keys), bundle)
    with pytest.raises(BundleError, match="no such key"):
        Trust(keys).revoke("plant")


def test_what_is_no_key_locks_nobody_out(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    secret, public = made(tmp_path, "plant")
    trusted(keys, public)
    (keys / "broken.pub").write_bytes(b"\xff\x00")
    (keys / "short.pub").write_text("linegate-public-key/1 short AAAA\n")
    (keys / "secret.pub").write_bytes(secret.read_bytes())
    sign(bundle, secret)
    assert [each.name for each in Trust(keys).trusted()] == ["plant"]
    assert Trust(keys).check(bundle).name == "plant"


def test_keys_are_never_overwritten_and_names_stay_names(tmp_path: Path) -> None:
    made(tmp_path, "plant")
    for name, expires, says in (("plant", "", "already"), ("../x", "", "no name"), ("y", "soon", "no day")):
        with pytest.raises(BundleError, match=says):
            generate(tmp_path / "office", name, expires)


def test_a_public_key_does_not_sign(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no linegate-secret-key"):
        sign(bundle, made(tmp_path, "plant")[1])
    assert not (bundle.folder / "signature").exists()


def test_a_linked_or_huge_signature_is_refused(tmp_path: Path, keys: Path, bundle: Bundle) -> None:
    path = bundle.folder / "signature"
    path.write_bytes(b"x" * 5000)
    assert "larger than" in refusal(Trust(keys, unsigned=True), bundle)
    path.unlink()
    os.symlink("/dev/zero", path)
    assert "is a link" in refusal(Trust(keys, unsigned=True), bundle)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1", "2"),
        ("1.9", "1.10"),
        ("1.0", "1.0.1"),
        ("1.0-rc2", "1.0"),
        ("1.0-beta", "1.0-rc1"),
        ("2026.9.30", "2026.11.24"),
        ("v1.2", "v1.3"),
    ],
)
def test_versions_are_ordered_as_people_read_them(old: str, new: str) -> None:
    assert is_older(old, new)
    assert not is_older(new, old)
    assert not is_older(new, new)
