"""The API's documents, and Swagger UI to read them and try them; nothing is fetched from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio

from voxray.server.envelope import ErrorCode, Receive, Refusal, Scope, Send, respond
from voxray.server.openapi import unversioned
from voxray.server.routes.endpoint import Doc, Endpoint

PACKAGE = "swagger_ui"  # of swagger-ui-py, which would import template engines: only its files are read
PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Voxray's API</title>
<link rel="icon" type="image/png" href="favicon-32x32.png">
<link rel="stylesheet" href="swagger-ui.css">
<link rel="stylesheet" href="index.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="swagger-ui-bundle.js"></script>
<script src="swagger-ui-standalone-preset.js"></script>
<script src="start.js"></script>
</body>
</html>
"""
START = b"""SwaggerUIBundle({
  urls: [{url: "doc.json", name: "/api/v1"}, {url: "unversioned.json", name: "without a version"}],
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: "StandaloneLayout",
});
"""
FILES = {
    "index.html": "text/html; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui-standalone-preset.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "index.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
OURS = {"index.html": PAGE, "start.js": START}
SECURITY = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KEPT = b"max-age=3600"  # the files of the package are large, and change with it alone
ASKED_AGAIN = b"no-cache"

_TAGS = ("operations",)
_DOCUMENT = {"type": "object", "required": ["swagger", "paths"], "properties": {"swagger": {"type": "string"}}}


def docs_endpoints(document: Callable[[], Mapping[str, Any]]) -> list[Endpoint]:
    """`document` makes the OpenAPI document; it is asked once, when the first reader comes."""
    made: list[Mapping[str, Any]] = []

    def whole() -> Mapping[str, Any]:
        if not made:
            made.append(document())
        return made[0]

    page = Doc(
        summary="The API's documents as a page, where they can be tried",
        tags=_TAGS,
        produces="text/html",
        enveloped=False,
        responses={200: ("The page", {"type": "string"})},
    )
    there = Doc(
        summary="To the page",
        tags=_TAGS,
        produces="text/html",
        responses={308: ("It is at /swagger/; see Location", None)},
    )
    part = Doc(
        summary="A file of the page",
        tags=_TAGS,
        path={"file": {"description": "its name", "enum": list(FILES)}},
        produces=tuple(sorted({kind.partition(";")[0] for kind in FILES.values()})),
        enveloped=False,
        responses={200: ("The file", None), 404: ("The page has no such file", None)},
    )
    return [
        Endpoint(name="swagger", path="/swagger", handlers={"GET": _redirect}, docs={"GET": there}),
        Endpoint(name="swagger_page", path="/swagger/", handlers={"GET": _page}, docs={"GET": page}),
        _document("swagger_doc", "doc.json", "The document of /api/v1", whole),
        _document(
            "swagger_unversioned", "unversioned.json", "That of paths without a version", lambda: unversioned(whole())
        ),
        Endpoint(name="swagger_file", path="/swagger/{file}", handlers={"GET": _file}, docs={"GET": part}),
    ]


def _document(name: str, file: str, summary: str, document: Callable[[], Mapping[str, Any]]) -> Endpoint:
    made: list[bytes] = []

    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        if not made:
            made.append(json.dumps(document(), indent=2).encode())
        await _send(scope, send, made[0], "application/json", ASKED_AGAIN)

    doc = Doc(summary=summary, tags=_TAGS, enveloped=False, responses={200: ("OpenAPI 2.0", _DOCUMENT)})
    return Endpoint(name=name, path=f"/swagger/{file}", handlers={"GET": get}, docs={"GET": doc})


async def _redirect(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(scope, send, 308, b"", [(b"location", b"swagger/")], content_type="text/html")  # behind any prefix


async def _page(scope: Scope, receive: Receive, send: Send) -> None:
    await _send(scope, send, PAGE, FILES["index.html"], ASKED_AGAIN)


async def _file(scope: Scope, receive: Receive, send: Send) -> None:
    name = scope["path_params"]["file"]
    if name not in FILES:
        raise Refusal(ErrorCode.NOT_FOUND, "Not found")
    ours = OURS.get(name)
    body = await anyio.to_thread.run_sync(_packaged(name).read_bytes) if ours is None else ours
    await _send(scope, send, body, FILES[name], KEPT if ours is None else ASKED_AGAIN)


def _packaged(name: str) -> Path:
    """A file of the package, found without importing it."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Refusal(ErrorCode.NOT_FOUND, "swagger-ui-py is not installed")
    return Path(spec.submodule_search_locations[0], "static", name)


async def _send(scope: Scope, send: Send, body: bytes, media_type: str, caching: bytes) -> None:
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", caching),
        (b"content-security-policy", SECURITY),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
