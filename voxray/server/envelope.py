"""What every JSON answer looks like: `{"data", "meta"}` or `{"error"}`, with the request's id."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from enum import Enum
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

TRY_AGAIN_LATER = 1013
POLICY_VIOLATION = 1008


class ErrorCode(Enum):
    """The ten codes of the API, each with the HTTP status that goes with it unless the case says otherwise."""

    BAD_REQUEST = ("BAD_REQUEST", 400)
    UNAUTHORIZED = ("UNAUTHORIZED", 401)
    FORBIDDEN = ("FORBIDDEN", 403)
    NOT_FOUND = ("NOT_FOUND", 404)
    CONFLICT = ("CONFLICT", 409)
    VALIDATION_ERROR = ("VALIDATION_ERROR", 422)
    UNPROCESSABLE_ENTITY = ("UNPROCESSABLE_ENTITY", 422)
    RATE_LIMIT_EXCEEDED = ("RATE_LIMIT_EXCEEDED", 429)
    INTERNAL_ERROR = ("INTERNAL_ERROR", 500)
    SERVICE_UNAVAILABLE = ("SERVICE_UNAVAILABLE", 503)

    @property
    def status(self) -> int:
        return self.value[1]


class Refusal(Exception):  # noqa: N818  an answer, not a fault
    """An answer other than success: raised by a handler, returned by a check.

    `details` are pairs of field and message, for validation errors. `status` 0 means the code's own.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        details: Sequence[tuple[str, str]] = (),
        status: int = 0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.status = status or code.status
        self.headers = headers or {}


def come_again(message: str) -> Refusal:
    """Not now, but soon."""
    return Refusal(ErrorCode.SERVICE_UNAVAILABLE, message, headers={"Retry-After": "5"})


def request_id(scope: Scope) -> str:
    found: str = scope.get("state", {}).get("request_id", "")
    return found


def success(scope: Scope, data: Any) -> bytes:
    return _json({"data": data, "meta": {"requestId": request_id(scope)}})


def merged_success(scope: Scope, data: Mapping[str, Any]) -> bytes:
    """The same with the fields of `data` at the top as well, where RTVI clients look."""
    return _json({**data, "data": data, "meta": {"requestId": request_id(scope)}})


def bare(data: Mapping[str, Any]) -> bytes:
    """`data` alone, for clients that take nothing else."""
    return _json(data)


def failure(scope: Scope, refusal: Refusal) -> bytes:
    error: dict[str, Any] = {
        "code": refusal.code.name,
        "message": refusal.message,
        "requestId": request_id(scope),
    }
    if refusal.details:
        error["details"] = [{"field": field, "message": message} for field, message in refusal.details]
    if scope.get("state", {}).get("plain_errors"):
        return _json({"error": error, "info": refusal.message, "detail": refusal.message})
    return _json({"error": error})


async def respond(
    scope: Scope,
    send: Send,
    status: int,
    body: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    content_type: str = "application/json",
) -> None:
    """Send one answer, JSON unless said otherwise; to a websocket that was not accepted yet, as an HTTP answer where
    the server can."""
    prefix = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send(
        {
            "type": f"{prefix}.start",
            "status": status,
            "headers": [
                (b"content-type", content_type.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                *headers,
            ],
        }
    )
    await send({"type": f"{prefix}.body", "body": b"" if scope.get("method") == "HEAD" else body})


async def no_content(send: Send) -> None:
    """Done, and nothing to say."""
    await send({"type": "http.response.start", "status": 204, "headers": [(b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": b""})


async def refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Answer with an error envelope. A websocket gets it before the upgrade, or a close code if the server cannot."""
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in scope.get("extensions", {}):
            busy = refusal.code is ErrorCode.SERVICE_UNAVAILABLE
            if busy:
                await send({"type": "websocket.accept"})
            code = TRY_AGAIN_LATER if busy else POLICY_VIOLATION
            await send({"type": "websocket.close", "code": code, "reason": refusal.message})
            return
    await respond(scope, send, refusal.status, failure(scope, refusal), headers)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
