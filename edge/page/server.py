"""The HTTP door: the operator's page, picture, state, health and metrics. Nothing can be changed through it.

Bottle and waitress are imported when a server is opened, so that a replay does not pay for them.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from edge.page.board import StatusBoard
from edge.page.picture import Pictures

FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
SECURITY_HEADERS = (
    ("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
LIMITS = {
    "threads": 4,
    "connection_limit": 80,
    "channel_timeout": 30,
    "cleanup_interval": 10,
    "max_request_header_size": 8192,
    "max_request_body_size": 1024,
}
"""For waitress: what clients may take from a small machine."""
WAKE_S = 0.25

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class AddressError(OSError):
    """The page cannot be served at its address: one line that says what, where and what to do."""


class PageServer:
    """A bound server. `run` serves until told to stop; `port` is the one that was bound."""

    def __init__(self, app: Wsgi, listener: socket.socket) -> None:
        import waitress.server

        # Four threads answer in milliseconds; that one more request waits is no news for an operator's log.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self.port: int = listener.getsockname()[1]
        self._sockets: dict[int, Any] = {}
        self._server = waitress.server.create_server(
            app, map=self._sockets, sockets=[listener], ident="", asyncore_use_poll=True, **LIMITS
        )

    def run(self, stopping: Event) -> None:
        """Serve until `stopping` is set, as the body of a thread; then close."""
        from waitress import wasyncore

        try:
            while not stopping.is_set():
                wasyncore.loop(timeout=WAKE_S, use_poll=True, map=self._sockets, count=1)
        finally:
            self.close()

    def close(self) -> None:
        """Give the address back; for a server whose `run` was never called or has returned."""
        from waitress import wasyncore

        self._server.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._sockets)


def open_server(
    board: StatusBoard, registry: CollectorRegistry, host: str, port: int, names: Sequence[str] = ()
) -> PageServer:
    """Bind now, serve later with `PageServer.run`. Port 0 takes a free one. Raises `AddressError`.

    While `host` is this machine alone, requests must name it (or one of `names`, such as a proxy's) in their
    Host header, so that no web page elsewhere can have its own name point here and read along.
    """
    listener = _bound(host, port)
    local = ipaddress.ip_address(listener.getsockname()[0]).is_loopback
    guard = _known_hosts(host, names) if local else None
    return PageServer(_guarded(_application(board, registry), guard), listener)


def _bound(host: str, port: int) -> socket.socket:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
    except OSError:
        raise AddressError(f"{where}: the host name is not known; set http.host to an address, 127.0.0.1") from None
    # A name with two addresses, such as localhost, is meant as people type it: the IPv4 one.
    family, kind, protocol, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise AddressError(_told(where, error)) from None
    return listener


def _told(where: str, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where} is in use by another program; set http.port"
        case errno.EACCES:
            return f"{where}: this user may not open that port; set http.port to 1024 or more"
        case errno.EADDRNOTAVAIL:
            return f"{where} is not an address of this machine; set http.host"
    return f"{where} cannot be opened ({error.strerror}); set http.host and http.port"


def _known_hosts(host: str, names: Sequence[str]) -> frozenset[str]:
    return frozenset(each.lower() for each in ("localhost", "127.0.0.1", "::1", host, *names))


def _guarded(app: Wsgi, hosts: frozenset[str] | None) -> Wsgi:
    """Refuse what no client of ours would send, and give every answer the security headers."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, *SECURITY_HEADERS], *rest)

        if hosts is not None and _host_name(environ.get("HTTP_HOST", "")) not in hosts:
            return _refused(start, "421 Misdirected Request", "this host name is not known here; use localhost\n")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refused(start, "405 Method Not Allowed", "nothing can be changed here\n", ("Allow", "GET, HEAD"))
        return app(environ, start)

    return answer


def _host_name(header: str) -> str:
    """`localhost` of `localhost:8080`, `::1` of `[::1]:8080`."""
    name = header.partition("]")[0].lstrip("[") if header.startswith("[") else header.partition(":")[0]
    return name.lower().rstrip(".")


def _refused(start: Callable[..., Any], status: str, text: str, *headers: tuple[str, str]) -> Iterable[bytes]:
    body = text.encode()
    start(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), *headers])
    return [body]


def _application(board: StatusBoard, registry: CollectorRegistry) -> Wsgi:
    import bottle

    app = bottle.Bottle()
    app.default_error_handler = lambda error: _plain_error(error)
    pictures = Pictures(board)
    for path in FILES:
        app.route(path, "GET", _file(bottle, path))

    def metrics() -> Any:
        encode, content_type = choose_encoder(bottle.request.get_header("Accept", ""))
        return _response(bottle, encode(registry), content_type)

    def ready() -> Any:
        conditions = board.readiness()
        document = {"ready": not any(conditions.values()), "conditions": conditions}
        return _json(bottle, document, 200 if document["ready"] else 503)

    def part(number: int) -> Any:
        jpeg = pictures.crop(number)
        if jpeg is None:
            return _response(bottle, b"there is no picture of this part\n", "text/plain; charset=utf-8", 404)
        return _response(bottle, jpeg, "image/jpeg")

    def live() -> Any:
        jpeg = pictures.live()
        if jpeg is None:
            return _response(bottle, b"no frame yet\n", "text/plain; charset=utf-8", 503)
        return _response(bottle, jpeg, "image/jpeg")

    app.route("/metrics", "GET", metrics)
    app.route("/healthz", "GET", lambda: _response(bottle, b"ok\n", "text/plain; charset=utf-8"))
    app.route("/readyz", "GET", ready)
    app.route("/api/status", "GET", lambda: _json(bottle, board.snapshot()))
    app.route("/api/picture.jpg", "GET", live)
    app.route("/api/part/<number:int>.jpg", "GET", part)
    served: Wsgi = app
    return served


def _file(bottle: Any, path: str) -> Callable[[], Any]:
    name, content_type = FILES[path]
    body = (Path(__file__).parent / name).read_bytes()
    return lambda: _response(bottle, body, content_type)


def _json(bottle: Any, document: dict[str, Any], status: int = 200) -> Any:
    return _response(bottle, json.dumps(document, separators=(",", ":")).encode(), "application/json", status)


def _response(bottle: Any, body: bytes, content_type: str, status: int = 200) -> Any:
    headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
    return bottle.HTTPResponse(body=body, status=status, headers=headers)


def _plain_error(error: Any) -> bytes:
    error.content_type = "text/plain; charset=utf-8"
    return f"{error.status_line}\n".encode()
