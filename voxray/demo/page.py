"""The page at `/`: static files of this package, and a description of the agent behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from voxray.server.envelope import Receive, Scope, Send
from voxray.server.routes.endpoint import Doc, Endpoint, Handler

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
HEADERS = [
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", POLICY),
    (b"permissions-policy", b"microphone=(self)"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


def page_endpoints(about: Mapping[str, Any]) -> Sequence[Endpoint]:
    """`about` fills the page's words: title, heading, text and a list of sayings. Blocks while it reads the files."""
    folder = files("voxray.demo").joinpath("page")
    sources = {entry.name: entry.read_bytes() for entry in folder.iterdir() if _suffix(entry.name) in TYPES}
    sources["agent.json"] = json.dumps(dict(about)).encode()
    index = sources.pop("index.html")
    doc = Doc(summary="A page to talk to the agent", tags=("calls",), produces="text/html", responses={200: ("", None)})
    return [
        Endpoint(name="page", path="/", handlers={"GET": _sender(index, TYPES[".html"])}, docs={"GET": doc}),
        *(
            Endpoint(name="page", path=f"/page/{name}", handlers={"GET": _sender(body, TYPES[_suffix(name)])}, docs={})
            for name, body in sorted(sources.items())
        ),
    ]


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _sender(body: bytes, media_type: bytes) -> Handler:
    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return get
