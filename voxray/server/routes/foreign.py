"""Routes that are no endpoints of ours: calls' sockets, and what listeners serve. Told to the API's document."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute, Route, WebSocketRoute

from voxray.server.envelope import ErrorCode, Receive, Refusal, Scope, Send
from voxray.server.routes.endpoint import PREFIX, Doc, Endpoint, Handler

_REFUSED: Mapping[int, tuple[str, None]] = {
    403: ("The page's origin is not allowed", None),
    426: ("The request asks for no websocket", None),
    503: ("No call can be taken now", None),
}
SOCKET = Doc(
    summary="A call over a websocket",
    description="Binary messages are PCM16 mono: 16 kHz in, 24 kHz out. Text messages are frames in JSON.",
    tags=("calls",),
    query={
        "rtvi": "anything but 0 and false: RTVI messages",
        "format": {"enum": ["json", "protobuf"], "description": "json is the default"},
        "token": "instead of the key: the one-time token that POST /start gave",
    },
    responses={101: ("The call begins", None), 400: ("The format is not installed", None), **_REFUSED},
)
MEDIA = Doc(
    summary="The sound of a phone call",
    description="Opened by carriers, which are told apart by their first messages. One that brings neither the token "
    "of its call nor a proof of its own is closed.",
    tags=("telephony",),
    responses={101: ("The carrier may begin", None), **_REFUSED},
)
_UNKNOWN = {"responses": {"default": {"description": "Whatever the plugin answers"}}}


def socket_endpoints(routes: Sequence[BaseRoute], *, media: str = "") -> list[Endpoint]:
    """For the paths of `routes` that are calls' websockets, and `media`, the carriers': what the document says of them,
    and an answer to who comes there without asking for one."""
    paths = [route.path for route in routes if isinstance(route, WebSocketRoute)]
    found = [
        _endpoint(path, path if PREFIX + path in paths else "", {"GET": _upgrade}, {"GET": SOCKET})
        for path in paths
        if not path.startswith(PREFIX)
    ]
    if media:
        found.append(_endpoint(media, "", {"GET": _upgrade}, {"GET": MEDIA}, keyed=False))
    return found


def listener_docs(routes: Sequence[BaseRoute]) -> list[Endpoint]:
    """What the document says of listeners' HTTP routes."""
    return [
        _endpoint(route.path, "", {}, {method: _described(route) for method in _methods(route)}, cors=True)
        for route in routes
        if isinstance(route, Route)
    ]


def _endpoint(
    path: str,
    versioned: str,
    handlers: Mapping[str, Handler],
    docs: Mapping[str, Doc],
    *,
    keyed: bool = True,
    cors: bool = False,
) -> Endpoint:
    name = "".join(character if character.isalnum() else "_" for character in path.strip("/"))
    return Endpoint(name=name, path=path, versioned=versioned, handlers=handlers, docs=docs, keyed=keyed, cors=cors)


async def _upgrade(scope: Scope, receive: Receive, send: Send) -> None:
    asked = {"Upgrade": "websocket", "Connection": "Upgrade"}
    raise Refusal(ErrorCode.BAD_REQUEST, "This path is for websockets", status=426, headers=asked)


def _methods(route: Route) -> list[str]:
    return sorted(set(route.methods or ()) - {"HEAD", "OPTIONS"})


def _described(route: Route) -> Doc:
    """From the docstring of the route's function: see `voxray.protocols.transport.Listener`."""
    text, _, below = (inspect.getdoc(route.endpoint) or "").partition("\n---")
    summary, _, description = text.partition("\n")
    return Doc(
        summary=summary or f"{route.name} of a plugin",
        description=description.strip(),
        tags=("plugins",),
        operation=_mapping(below) or _UNKNOWN,
    )


def _mapping(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        return {}  # a plugin's slip must not cost the whole document
    return parsed if isinstance(parsed, dict) else {}
