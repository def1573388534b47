"""Where a bundle comes from: a folder, an archive, a USB stick with either on it, or an http(s) address."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from edge.bundle import BundleError, Shelf, bundle_below, unpack
from edge.bundle.unpack import TOTAL_BYTES

TIMEOUT_S = 10.0
DEADLINE_S = 120.0
CHUNK = 64 * 1024
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


@contextmanager
def fetched(source: str, shelf: Shelf) -> Iterator[Path]:
    """The bundle's folder while the context lasts; raises `BundleError`. What had to be unpacked stood on the shelf's
    disk and is gone afterwards."""
    if source.startswith(("http://", "https://")):
        with shelf.incoming() as folder:
            archive = folder / "archive"
            shelf.room_for(2 * _download(source, archive, shelf))
            yield unpack(archive, _made(folder / "unpacked"))
        return
    path = _found(Path(source))
    if path.is_dir():
        yield bundle_below(path)
        return
    shelf.room_for(2 * path.stat().st_size)
    with shelf.incoming() as folder:
        yield unpack(path, _made(folder / "unpacked"))


def _found(path: Path) -> Path:
    """A folder or archive; where a stick or folder holds just one archive, that one. Raises `BundleError`."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise BundleError(f"{path}: there is no such bundle; give a folder, a .zip or .tar, or an http(s) address")
    archives = sorted(each for each in path.iterdir() if each.is_file() and each.name.endswith(ARCHIVES))
    folders = [path] if (path / "manifest.json").is_file() else [each.parent for each in path.glob("*/manifest.json")]
    if len(folders) + len(archives) > 1:
        names = ", ".join(each.name for each in [*sorted(folders), *archives])
        raise BundleError(f"{path}: holds several bundles ({names}); name one")
    return archives[0] if archives else path


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _download(address: str, into: Path, shelf: Shelf) -> int:
    """Write what an address serves to a file; its size in bytes. Raises `BundleError`."""
    deadline_s = time.monotonic() + DEADLINE_S
    shelf.room_for(CHUNK)
    size = 0
    try:
        with _opener().open(address, timeout=TIMEOUT_S) as answer, into.open("wb") as file:
            while chunk := answer.read(CHUNK):
                size += len(chunk)
                if size > TOTAL_BYTES:
                    raise BundleError(f"{address}: is larger than {TOTAL_BYTES >> 20} MiB; a line's bundle never is")
                if time.monotonic() > deadline_s:
                    raise BundleError(f"{address}: took longer than {DEADLINE_S:.0f} s; fetch it by other means")
                file.write(chunk)
    except urllib.error.HTTPError as error:
        raise BundleError(f"{address}: the server answers {error.code} {error.reason}; check the address") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise BundleError(f"{address}: cannot be fetched ({reason}); check address and network") from None
    return size


class _Careful(urllib.request.HTTPRedirectHandler):
    """Follows to http(s) addresses only, and never from a protected one to an open one."""

    def redirect_request(self, req: Any, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str) -> Any:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after != "https" and after != before:
            raise urllib.error.HTTPError(newurl, code, f"redirects to {after}, which is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """One that knows http and https and no other way, not file: nor ftp:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Careful(),
    ):
        opener.add_handler(handler)
    return opener
