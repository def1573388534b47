"""Archives from anywhere: what is unpacked lies inside, is plain, and is no larger than a bundle; or nothing is."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.bundle import Bundle, BundleError, unpack
from edge.bundle.unpack import FILES, TOTAL_BYTES


def zipped(folder: Path, path: Path, below: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, f"{below}{each.relative_to(folder)}")
    return path


def taped(folder: Path, path: Path, mode: str = "w:gz", below: str = ".") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, below)
    return path


@pytest.mark.parametrize("below", ["", "demo-d48be446/"])
def test_a_zip_holds_a_bundle(tmp_path: Path, shipped: Path, below: str) -> None:
    folder = unpack(zipped(shipped, tmp_path / "b.zip", below), tmp_path / "out")
    assert Bundle.open(folder).sha256 == Bundle.open(shipped).sha256


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("below", [".", "demo-d48be446"])
def test_a_tar_holds_a_bundle(tmp_path: Path, shipped: Path, mode: str, below: str) -> None:
    folder = unpack(taped(shipped, tmp_path / "b.tar", mode, below), tmp_path / "out")
    assert Bundle.open(folder).sha256 == Bundle.open(shipped).sha256


def tar_with(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def zip_with(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def linked_zip() -> bytes:
    info = zipfile.ZipInfo("manifest.json")
    info.external_attr = 0o120777 << 16
    return zip_with((info, b"/etc/passwd"))


def encrypted_zip() -> bytes:
    raw = bytearray(zip_with(("manifest.json", b"{}")))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + place] |= 1
    return bytes(raw)


def lying_zip() -> bytes:
    """It says that its one file has ten bytes."""
    raw = bytearray(zip_with(("manifest.json", bytes(TOTAL_BYTES + 1))))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = raw.index(mark) + place
        raw[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(raw)


def long_header_tar() -> bytes:
    """A header that would be read into memory whole."""
    info = member("x" * 10, tarfile.XHDTYPE)
    info.size = TOTAL_BYTES * 4
    return gzip.compress(info.tobuf() + bytes(TOTAL_BYTES + 1024), 1)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "zip slip": (lambda: zip_with(("../evil", b"x")), "no plain name"),
    "zip absolute": (lambda: zip_with(("/etc/evil", b"x")), "no plain name"),
    "zip backslash": (lambda: zip_with(("..\\evil", b"x")), "no plain name"),
    "zip drive": (lambda: zip_with(("C:evil", b"x")), "no plain name"),
    "zip deep": (lambda: zip_with(("a/b/c/d/e/f", b"x")), "no plain name"),
    "zip newline": (lambda: zip_with(("a\nb", b"x")), "no plain name"),
    "zip link": (linked_zip, "link or device"),
    "zip encrypted": (encrypted_zip, "encrypted"),
    "zip bomb": (lambda: zip_with(("a", bytes(TOTAL_BYTES)), ("b", b"x")), "MiB"),
    "zip that lies": (lying_zip, ""),
    "zip of many": (lambda: zip_with(*((f"f{i}", b"") for i in range(FILES + 1))), "entries"),
    "zip twice": (lambda: zip_with(("a", b"1"), ("./a", b"2")), "twice"),
    "zip cut": (lambda: zip_with(("manifest.json", b"{}"))[:-10], "damaged"),
    "zip empty": (lambda: zip_with(), ""),
    "zip without a manifest": (lambda: zip_with(("readme", b"x")), "holds no bundle"),
    "zip of two bundles": (lambda: zip_with(("a/manifest.json", b"{}"), ("b/manifest.json", b"{}")), "several"),
    "tar slip": (lambda: tar_with((member("../evil"), b"x")), "no plain name"),
    "tar absolute": (lambda: tar_with((member("/etc/evil"), b"x")), "no plain name"),
    "tar symlink": (lambda: tar_with((member("manifest.json", tarfile.SYMTYPE, "/etc/passwd"), b"")), "link or device"),
    "tar hard link": (lambda: tar_with((member("a", tarfile.LNKTYPE, "/etc/passwd"), b"")), "link or device"),
    "tar device": (lambda: tar_with((member("a", tarfile.CHRTYPE), b"")), "link or device"),
    "tar fifo": (lambda: tar_with((member("a", tarfile.FIFOTYPE), b"")), "link or device"),
    "tar bomb": (lambda: tar_with((member("a"), bytes(TOTAL_BYTES + 1))), "MiB"),
    "tar header bomb": (long_header_tar, "MiB"),
    "tar of many": (lambda: tar_with(*((member(f"f{i}"), b"") for i in range(FILES + 1))), "entries"),
    "tar cut": (lambda: tar_with((member("manifest.json"), bytes(100_000)))[:-50], "damaged"),
    "no archive": (lambda: b"hello, this is no archive at all", "damaged"),
    "nothing": (lambda: b"", "damaged"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_archive_is_refused_in_one_line_and_leaves_nothing_outside(tmp_path: Path, kind: str) -> None:
    make, says = BAD[kind]
    archive, out = tmp_path / "bundle.archive", tmp_path / "inner" / "out"
    archive.write_bytes(make())
    out.mkdir(parents=True)
    with pytest.raises(BundleError) as caught:
        unpack(archive, out)
    told = str(caught.value)
    assert told.startswith(f"{archive}: ") or told.startswith(str(out))
    assert "\n" not in told
    assert says in told
    assert sorted(each.name for each in (tmp_path).iterdir()) == ["bundle.archive", "inner"]
    assert [each.name for each in out.parent.iterdir()] == ["out"]
    assert not any(each.is_symlink() for each in out.rglob("*"))
    assert sum(each.stat().st_size for each in out.rglob("*") if each.is_file()) <= TOTAL_BYTES
