"""A bundle that came as a .zip, .tar or .tar.gz, unpacked so that nothing it says can do harm.

Only plain files with plain relative names come out, no more of them and no larger than a line's model needs; what is
counted is what was really unpacked, not what the archive claims.
"""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from edge.bundle.manifest import BundleError

TOTAL_BYTES = 64 * 1024 * 1024
FILES = 256
DEPTH = 4
CHUNK = 64 * 1024
HOW = "pack the bundle's folder again, plain files only"
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Readable(Protocol):
    """What bytes come out of."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def unpack(archive: Path, into: Path) -> Path:
    """Unpack an archive below the empty folder `into`; the folder that holds its manifest. Raises `BundleError`."""
    try:
        with archive.open("rb") as file:
            for member, source in _members(archive, file):
                _write(archive, into, member, source)
    except OSError as error:
        raise BundleError(f"{archive}: cannot be unpacked ({error.strerror or error}); copy it again") from None
    # NotImplementedError is what zipfile raises for a compression that it does not know.
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise BundleError(f"{archive}: is damaged ({_short(error)}); copy it again") from None
    return bundle_below(into, archive)


def bundle_below(folder: Path, named: Path | None = None) -> Path:
    """`folder` when it holds a manifest, else the one folder in it that does; raises `BundleError`."""
    if (folder / "manifest.json").is_file():
        return folder
    found = sorted(each.parent for each in folder.glob("*/manifest.json") if not each.parent.is_symlink())
    if len(found) == 1:
        return found[0]
    several = f"holds several bundles ({', '.join(each.name for each in found)}); name one"
    what = several if found else "holds no bundle: there is no manifest.json in it"
    raise BundleError(f"{named or folder}: {what}")


def _members(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, Readable]]:
    """The plain files in an archive with what they hold, one after the other."""
    magic = file.read(4)
    file.seek(0)
    if magic == b"PK\x03\x04":
        yield from _zipped(archive, file)
    elif magic[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=file) as plain:
            yield from _taped(archive, _Counted(plain, archive))
    else:
        yield from _taped(archive, _Counted(file, archive))


def _zipped(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, Readable]]:
    with zipfile.ZipFile(file) as zipped:
        count = Count(archive)
        for info in zipped.infolist():
            if info.is_dir():
                count.entry()
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise BundleError(f"{archive}: {info.filename!r} is a link or device; {HOW}")
            if info.flag_bits & 1 or info.compress_type not in ZIP_METHODS:
                raise BundleError(f"{archive}: {info.filename!r} is encrypted or compressed in a rare way; {HOW}")
            count.entry()
            with zipped.open(info) as source:
                yield info.orig_filename, _Counted(source, archive, count)


def _taped(archive: Path, stream: Readable) -> Iterator[tuple[str, Readable]]:
    count = Count(archive)
    with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r|", encoding="utf-8", errors="strict") as tape:
        for info in tape:
            count.entry()
            if info.isdir():
                continue
            if not info.isreg() or info.sparse is not None:
                raise BundleError(f"{archive}: {info.name!r} is a link or device; {HOW}")
            source = tape.extractfile(info)
            if source is not None:
                yield info.name, source


class Count:
    """How much came out of one archive so far."""

    def __init__(self, archive: Path) -> None:
        self._archive = archive
        self._entries = self._bytes = 0

    def entry(self) -> None:
        """One more entry; raises `BundleError` when there are too many."""
        self._entries += 1
        if self._entries > FILES:
            raise BundleError(f"{self._archive}: holds more than {FILES} entries; a bundle never does")

    def bytes(self, number: int) -> None:
        """So many more bytes; raises `BundleError` when there are too many."""
        self._bytes += number
        if self._bytes > TOTAL_BYTES:
            raise BundleError(f"{self._archive}: holds more than {TOTAL_BYTES >> 20} MiB; a line's model never does")


class _Counted:
    """A stream that ends with an error when more comes out of it than a bundle may hold."""

    def __init__(self, stream: Readable, archive: Path, count: Count | None = None) -> None:
        self._stream = stream
        self._count = count or Count(archive)

    def read(self, size: int, /) -> bytes:
        chunk = self._stream.read(min(size, CHUNK))
        self._count.bytes(len(chunk))
        return chunk


def _write(archive: Path, into: Path, member: str, source: Readable) -> None:
    path = into / _plain(archive, member)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
    except FileExistsError:
        raise BundleError(f"{archive}: {member!r} is in it twice; {HOW}") from None


def _plain(archive: Path, member: str) -> PurePosixPath:
    """A relative path below the bundle; raises `BundleError` for any other."""
    path = PurePosixPath(member)
    name = member.encode(errors="replace")
    strange = len(name) > 200 or not member.isprintable() or any(each in member for each in "\\:")
    outside = path.is_absolute() or ".." in path.parts or not 1 <= len(path.parts) <= DEPTH
    if strange or outside:
        raise BundleError(f"{archive}: {member[:80]!r} is no plain name below a bundle; {HOW}")
    return path


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:80]
