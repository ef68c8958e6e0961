"""The console at `/`, and the JavaScript client that it and other pages use: static files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import voxray
from voxray.server.envelope import Receive, Scope, Send
from voxray.server.routes.endpoint import Doc, Endpoint, Handler

Headers = Sequence[tuple[bytes, bytes]]

TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".json": b"application/json",
}
# The page fetches nothing from elsewhere, and nobody may frame it: it asks for the microphone.
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
COMMON: Headers = [(b"cache-control", b"no-cache"), (b"x-content-type-options", b"nosniff")]
PAGE: Headers = [
    *COMMON,
    (b"content-security-policy", POLICY),
    (b"permissions-policy", b"microphone=(self), speaker-selection=(self)"),
    (b"referrer-policy", b"no-referrer"),
]
# Pages of other sites may import the client: it holds no secrets, and the server checks what it is asked.
CLIENT: Headers = [
    *COMMON,
    (b"access-control-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
]
DOC = Doc(
    summary="The console: talk to the agent in a browser",
    tags=("calls",),
    produces="text/html",
    responses={200: ("", None)},
)


def console_endpoints(about: Mapping[str, Any]) -> list[Endpoint]:
    """`/`, `/console/…` and `/client/…`. `about` says what `/console/agent.json` tells of the agent and the server:
    title, heading, text, sayings, transports, key. Blocks while it reads the files."""
    page = _read(console_folder())
    page["agent.json"] = json.dumps({**about, "version": voxray.__version__}).encode()
    index = page.pop("index.html")
    return [
        Endpoint(name="console", path="/", handlers={"GET": _sender(index, ".html", PAGE)}, docs={"GET": DOC}),
        *_files("/console/", page, PAGE),
        *_files("/client/", _read(client_folder()), CLIENT),
    ]


def console_folder() -> Path:
    return Path(voxray.__file__).parent / "console"


def client_folder() -> Path:
    """The client's modules, from beside the console (a wheel) or from the repository."""
    beside = console_folder() / "client"
    return beside if beside.exists() else Path(voxray.__file__).parent.parent / "clients" / "js" / "src"


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix in TYPES}


def _files(prefix: str, files: Mapping[str, bytes], headers: Headers) -> list[Endpoint]:
    return [
        Endpoint(
            name="console",
            path=prefix + name,
            handlers={"GET": _sender(body, Path(name).suffix, headers)},
            docs={},
        )
        for name, body in files.items()
    ]


def _sender(body: bytes, suffix: str, more: Headers) -> Handler:
    headers = [(b"content-type", TYPES[suffix]), (b"content-length", str(len(body)).encode()), *more]

    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [*headers]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return get
