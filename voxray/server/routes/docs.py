"""The API's document, and a page that shows it without fetching anything from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from voxray.server.envelope import Receive, Scope, Send
from voxray.server.routes.endpoint import Doc, Endpoint, Handler


def docs_endpoints(document: Callable[[], Mapping[str, Any]]) -> list[Endpoint]:
    """`document` makes the OpenAPI document; it is asked once, when the first reader comes."""
    made: list[bytes] = []

    def doc_json() -> bytes:
        if not made:
            made.append(json.dumps(document(), indent=2).encode())
        return made[0]

    def page() -> bytes:
        return files("voxray.server").joinpath("swagger.html").read_bytes()

    html = Doc(
        summary="This document as a page", tags=("operations",), produces="text/html", responses={200: ("", None)}
    )
    data = Doc(summary="This document", tags=("operations",), responses={200: ("OpenAPI 2.0", None)})
    show = _sender(page, b"text/html; charset=utf-8")
    return [
        Endpoint(name="swagger", path="/swagger/", handlers={"GET": show}, docs={"GET": html}),
        Endpoint(name="swagger", path="/swagger/index.html", handlers={"GET": show}, docs={}),
        Endpoint(
            name="swagger_doc",
            path="/swagger/doc.json",
            handlers={"GET": _sender(doc_json, b"application/json")},
            docs={"GET": data},
        ),
    ]


def _sender(content: Callable[[], bytes], media_type: bytes) -> Handler:
    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        body = content()
        headers = [
            (b"content-type", media_type),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-cache"),
            (
                b"content-security-policy",
                b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
            ),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return get
