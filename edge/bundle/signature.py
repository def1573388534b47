"""Who vouches for a bundle: Ed25519 over its manifest (which vouches for every file), and the keys a device trusts.

A signature says when it was made, and that moment is signed too. A key's last day is compared with it and never with
the device's clock: a line without a clock, or with a wrong one, still takes what was signed in time. What was signed
in a stolen key's name can bear any date; such a key is revoked, not waited for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from edge.bundle.manifest import Bundle, BundleError

SIGNATURE = "linegate-signature/1"
SECRET = "linegate-secret-key/1"
PUBLIC = "linegate-public-key/1"
LIMIT_BYTES = 4096
ID_DIGITS = 16
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """One key that a device may trust; `expires` is the last day on which it signs, empty when there is none."""

    name: str
    raw: bytes
    expires: str = ""

    @property
    def id(self) -> str:
        """The key's name for machines: sixteen hex digits of its sha256."""
        return hashlib.sha256(self.raw).hexdigest()[:ID_DIGITS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signed a bundle and when, as the signature says; an empty name: nobody did, and that is allowed here."""

    name: str = ""
    id: str = ""
    signed_at: str = ""

    def __str__(self) -> str:
        return f"signed by {self.name} at {self.signed_at}" if self.name else "UNSIGNED"


class Trust:
    """A folder of keys: `*.pub` are trusted, `*.revoked` are not, whatever else says so.

    It is read anew for each question, so that a key can come and go while the line runs.
    """

    def __init__(self, folder: Path, *, unsigned: bool = False) -> None:
        """`unsigned` lets bundles without any signature through; a signature that is there must be good."""
        self.folder = folder
        self.unsigned = unsigned

    def trusted(self) -> list[PublicKey]:
        """The trusted keys by name; what is no key is left out."""
        revoked = self.revoked()
        return [each for each in _read_all(self.folder, "*.pub") if each.id not in revoked]

    def revoked(self) -> dict[str, str]:
        """The names of revoked keys, by id."""
        return {each.id: each.name for each in _read_all(self.folder, "*.revoked")}

    def revoke(self, name: str) -> None:
        """Trust `name` no longer; raises `BundleError`."""
        path = self.folder / f"{name}.pub"
        if not path.is_file():
            known = ", ".join(each.name for each in self.trusted()) or "none"
            raise BundleError(f"{path}: there is no such key; trusted here: {known}")
        path.rename(path.with_suffix(".revoked"))

    def check(self, bundle: Bundle) -> Signer:
        """Who vouches for this bundle; raises `BundleError` when nobody trusted does."""
        path = bundle.folder / "signature"
        if not path.exists() and not path.is_symlink():
            if self.unsigned:
                return Signer()
            raise BundleError(
                f"{bundle.folder}: is unsigned; sign it where it was made (linegate models sign BUNDLE --key FILE)"
            )
        manifest = (bundle.folder / "manifest.json").read_bytes()
        reason = "holds no signature"
        for line in _lines(path):
            signer, reason = self._weighed(line, manifest)
            if signer is not None:
                return signer
        raise BundleError(f"{path}: {reason}")

    def _weighed(self, line: str, manifest: bytes) -> tuple[Signer | None, str]:
        """One line of a signature: its signer, or what is wrong with it."""
        words = line.split()
        if len(words) != 4 or words[0] != SIGNATURE or not _is_moment(words[2]):
            return None, "is damaged; copy the bundle again as a whole"
        _, identifier, moment, code = words
        if identifier in (revoked := self.revoked()):
            return None, f"was made with the key {revoked[identifier]}, which is revoked here; sign it with another"
        key = next((each for each in self.trusted() if each.id == identifier), None)
        if key is None:
            return None, f"was made with the key {identifier[:ID_DIGITS]}, which is not trusted in {self.folder}"
        if not _verifies(key, _message(identifier, moment, manifest), code):
            return None, f"does not fit the manifest (key {key.name}); copy the bundle again as a whole"
        if key.expires and moment[:10] > key.expires:
            return (
                None,
                f"was made on {moment[:10]}, after the last day of the key {key.name}, {key.expires}; use a new key",
            )
        return Signer(name=key.name, id=key.id, signed_at=moment), ""


def generate(folder: Path, name: str, expires: str = "") -> tuple[Path, Path]:
    """Make a pair of keys, `NAME.key` (secret, for its owner alone) and `NAME.pub`; never overwrites one.

    Raises `BundleError` or `OSError`.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}", name):
        raise BundleError(f"{name!r}: is no name for a key; allowed: letters, digits, - _ .")
    if expires and not _is_day(expires):
        raise BundleError(f"{expires!r}: is no day; write it as 2027-12-31")
    secret = Ed25519PrivateKey.generate()
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"{name}.key", folder / f"{name}.pub"
    last_day = f" {expires}" if expires else ""
    _write_new(paths[0], f"{SECRET} {name} {_text(secret.private_bytes_raw())}{last_day}\n", 0o600)
    _write_new(paths[1], f"{PUBLIC} {name} {_text(secret.public_key().public_bytes_raw())}{last_day}\n", 0o644)
    return paths


def sign(bundle: Bundle, key: Path, now: datetime | None = None) -> Signer:
    """Add a signature to a bundle's folder, in place of an earlier one by the same key; raises `BundleError`.

    A bundle may bear several: while keys are changed, devices that trust only the old one take it as well.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    name, raw, expires = _fields(_lines(key), SECRET, key)
    secret = Ed25519PrivateKey.from_private_bytes(raw)
    public = PublicKey(name=name, raw=secret.public_key().public_bytes_raw(), expires=expires)
    moment = (now or datetime.now(UTC)).strftime(MOMENT)
    if expires and moment[:10] > expires:
        raise BundleError(f"{key}: expired on {expires}; make a new one: linegate models keygen NAME")
    manifest = (bundle.folder / "manifest.json").read_bytes()
    line = f"{SIGNATURE} {public.id} {moment} {_text(secret.sign(_message(public.id, moment, manifest)))}"
    path = bundle.folder / "signature"
    others = [each for each in _lines(path) if f" {public.id} " not in each] if path.is_file() else []
    fresh = path.with_name(".signature")
    fresh.write_text("\n".join([*others, line]) + "\n", encoding="ascii")
    fresh.replace(path)
    return Signer(name=name, id=public.id, signed_at=moment)


def _message(identifier: str, moment: str, manifest: bytes) -> bytes:
    return f"{SIGNATURE} {identifier} {moment}\n".encode() + manifest


def _verifies(key: PublicKey, message: bytes, code: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(base64.b64decode(code, validate=True), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read_all(folder: Path, pattern: str) -> list[PublicKey]:
    keys = []
    for path in sorted(folder.glob(pattern)):
        try:
            name, raw, expires = _fields(_lines(path), PUBLIC, path)
        except BundleError:
            continue
        keys.append(PublicKey(name=name, raw=raw, expires=expires))
    return keys


def _fields(lines: list[str], kind: str, path: Path) -> tuple[str, bytes, str]:
    """`(name, 32 bytes, last day or empty)` of a key's file; raises `BundleError`."""
    words = lines[0].split() if lines else []
    try:
        if len(words) not in (3, 4) or words[0] != kind or not all(_is_day(each) for each in words[3:]):
            raise ValueError
        raw = base64.b64decode(words[2], validate=True)
        if len(raw) != 32:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BundleError(f"{path}: is no {kind.split('/')[0]}; make one: linegate models keygen NAME") from None
    return words[1], raw, words[3] if len(words) == 4 else ""


def _lines(path: Path) -> list[str]:
    """The lines of a small text file; raises `BundleError`."""
    try:
        if path.is_symlink() and path.name == "signature":
            raise BundleError(f"{path}: is a link; copy the bundle again as a whole")
        with path.open("rb") as file:
            raw = file.read(LIMIT_BYTES + 1)
        if len(raw) > LIMIT_BYTES:
            raise BundleError(f"{path}: is larger than {LIMIT_BYTES} bytes; copy the bundle again as a whole")
        return raw.decode("ascii").splitlines()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BundleError(f"{path}: is damaged; copy the bundle again as a whole") from None


def _write_new(path: Path, text: str, mode: int) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise BundleError(f"{path}: is there already; take another name, or remove it first") from None
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(text)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _is_moment(text: str) -> bool:
    try:
        return datetime.strptime(text, MOMENT).strftime(MOMENT) == text
    except ValueError:
        return False


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
