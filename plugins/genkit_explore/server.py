"""The server of the page: it answers to its own names, on its own paths, and to nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from genkit import GenkitError
from genkit.errors import RunError
from genkit_explore.explorer import Explorer
from genkit_explore.page import SCRIPT, STYLE, page, policy, text_of
from genkit_explore.requests import MapRequest, MoveRequest, PathRequest, Request

LARGEST = 2**23
"""The largest number of bytes of a question."""
HEADERS = {
    "content-security-policy": policy(),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
PORT = 8642
"""The port that is tried first."""


def application(explorer: Explorer, host: str = "127.0.0.1") -> ASGIApp:
    """The page and its answers for an explorer, behind a guard for the host it is served on."""
    html = page(explorer.space(), whole=False)
    thumbnails, _ = explorer.view.thumbnails(explorer.points.x)
    files: dict[str, tuple[str | bytes, str]] = {
        "/": (html, "text/html"),
        f"/{STYLE}": (text_of(STYLE), "text/css"),
        f"/{SCRIPT}": (text_of(SCRIPT), "text/javascript"),
        "/thumbnails": (thumbnails, "application/octet-stream"),
    }
    answers: list[tuple[str, type[Request], Callable[[Any], dict[str, Any]]]] = [
        ("/move", MoveRequest, explorer.move),
        ("/plane", MoveRequest, explorer.seen_in),
        ("/path", PathRequest, explorer.path),
        ("/decoded", MapRequest, explorer.decoded_map),
    ]
    routes = [Route(path, _sending(content, kind)) for path, (content, kind) in files.items()]
    lock = threading.Lock()
    routes += [Route(path, _answering(kind, function, lock), methods=["POST"]) for path, kind, function in answers]
    return Guard(Starlette(routes=routes), host)


def _sending(content: str | bytes, kind: str) -> Callable[[HttpRequest], Awaitable[Response]]:
    async def send(_: HttpRequest) -> Response:
        return Response(content, media_type=kind, headers=HEADERS)

    return send


def _answering(
    kind: type[Request], function: Callable[[Any], dict[str, Any]], lock: threading.Lock
) -> Callable[[HttpRequest], Awaitable[Response]]:
    """An answer in JSON, one at a time; what cannot be answered gets 400 and the reason as plain text."""

    def locked(request: Request) -> dict[str, Any]:
        with lock:
            return function(request)

    async def answer(request: HttpRequest) -> Response:
        try:
            body = b""
            async for part in request.stream():
                body += part
                if len(body) > LARGEST:
                    return PlainTextResponse("the question is too large", 413, HEADERS)
            values = await run_in_threadpool(locked, kind.model_validate_json(body))
        except ValidationError as error:
            return PlainTextResponse(f"{error.error_count()} faults: {error.errors()[0]['msg']}", 400, HEADERS)
        except GenkitError as error:
            return PlainTextResponse(str(error), 400, HEADERS)
        return Response(json.dumps(values, allow_nan=False), media_type="application/json", headers=HEADERS)

    return answer


class Guard:
    """Refuses what is asked under another host's name, or by another site's page.

    A page elsewhere can let its own name point here (DNS rebinding), and would read the answers: it then asks under
    that name. An address is no such name.

    Args:
        app: what is guarded.
        host: the host that is served on.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app, self.host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse with 403."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = [(name, value.decode("latin-1")) for name, value in scope.get("headers", [])]
        hosts, origins = ([value for name, value in headers if name == wanted] for wanted in (b"host", b"origin"))
        if len(hosts) != 1 or not is_own(name_of(hosts[0]), self.host):
            refusal = PlainTextResponse("another host's name: open the address that genkit explore prints", 403)
            return await refusal(scope, receive, send)
        if any(origin.lower() != f"http://{hosts[0].lower()}" for origin in origins):
            return await PlainTextResponse("asked by another site's page", 403)(scope, receive, send)
        return await self.app(scope, receive, send)


def name_of(authority: str) -> str:
    """The name in a Host header, without its port and the brackets of an IPv6 address."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return authority.partition(":")[0].lower()


def is_own(name: str, host: str) -> bool:
    """Whether a name in a Host header is this server's, which is served on a host."""
    if name == "localhost" or name == host.lower():
        return True
    if _is_loopback(host):
        return _is_loopback(name)
    with contextlib.suppress(ValueError):
        return bool(ipaddress.ip_address(name))
    return name in (socket.gethostname().lower(), socket.getfqdn().lower())


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int | None) -> socket.socket:
    """A socket that listens on a port: the one that is asked for, else the usual one or any that is free.

    Raises:
        RunError: the host or the port cannot be had.
    """
    for each in (PORT, 0) if port is None else (port,):
        try:
            family = socket.getaddrinfo(host, each, type=socket.SOCK_STREAM)[0][0]
            return _bound(family, (host, each))
        except OSError as error:
            if each == 0 or port is not None or isinstance(error, socket.gaierror):
                where = f"--host {host}" if isinstance(error, socket.gaierror) or port is None else f"--port {port}"
                reason = error.strerror or str(error)
                raise RunError(f"{where}: cannot be listened on: {reason}; leave it out, or choose another") from None
    raise AssertionError


def _bound(family: int, where: tuple[str, int]) -> socket.socket:
    """A socket that listens; asyncio sends at once, not 40 ms later, where the socket is said to be of TCP."""
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # a port is free again as soon as its server has ended
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def address(listener: socket.socket) -> str:
    """The address of the page."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(explorer: Explorer, listener: socket.socket, host: str, browser: bool) -> None:
    """Serve the page until Ctrl-C."""
    config = uvicorn.Config(
        application(explorer, host), log_level="error", access_log=False, timeout_graceful_shutdown=1, lifespan="off"
    )
    if browser:  # the socket listens already; a browser of text may last as long as the page is open
        threading.Thread(target=webbrowser.open, args=(address(listener),), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        uvicorn.Server(config).run(sockets=[listener])
