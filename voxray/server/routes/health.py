"""Is the process alive, and may calls be sent to it?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from voxray.errors import StoreError
from voxray.server.envelope import ErrorCode, Receive, Refusal, Scope, Send, respond, success
from voxray.server.routes.endpoint import Doc, Endpoint

PING_SECS = 3.0
_STATUS = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string", "enum": ["ok"]}},
    "example": {"status": "ok"},
}


def health() -> Endpoint:
    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(scope, send, 200, success(scope, {"status": "ok"}))

    doc = Doc(
        summary="Is the process alive?",
        description="Never touches what the server depends on.",
        tags=("health",),
        responses={200: ("It is", _STATUS)},
    )
    return Endpoint(name="health", path="/health", versioned="/health", handlers={"GET": get}, docs={"GET": doc})


def ready(ping: Callable[[], Awaitable[None]] | None, is_draining: Callable[[], bool]) -> Endpoint:
    """`ping` asks the session store, and raises StoreError if it does not answer."""

    async def get(scope: Scope, receive: Receive, send: Send) -> None:
        if is_draining():
            raise Refusal(ErrorCode.SERVICE_UNAVAILABLE, "the server is stopping")
        if ping is not None:
            try:
                with anyio.fail_after(PING_SECS):
                    await ping()
            except (StoreError, TimeoutError):
                raise Refusal(ErrorCode.SERVICE_UNAVAILABLE, "session store unavailable") from None
        await respond(scope, send, 200, success(scope, {"status": "ok"}))

    doc = Doc(
        summary="May calls be sent here?",
        tags=("health",),
        responses={200: ("They may", _STATUS), 503: ("The server is stopping, or the session store is away", None)},
    )
    return Endpoint(name="ready", path="/ready", versioned="/ready", handlers={"GET": get}, docs={"GET": doc})
