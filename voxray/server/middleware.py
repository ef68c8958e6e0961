"""What surrounds every request, as plain ASGI: its id, its metrics and log line, and a net for faults."""

from __future__ import annotations

import logging
import uuid

import anyio

from voxray import log_context
from voxray.boundary import boundary
from voxray.server.envelope import ASGIApp, ErrorCode, Message, Receive, Refusal, Scope, Send, refuse
from voxray.server.metrics import Metrics

logger = logging.getLogger(__name__)

MAX_REQUEST_ID = 128
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # others share one label
ANSWERS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept", "websocket.close"})
TIMEOUT = 408


class RequestIds:
    """Takes the client's `X-Request-ID` or makes one; it goes into the state, the logs and the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = given_request_id(scope) or str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = found
        log_context.request_id.set(found)
        header = (b"x-request-id", found.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] in ANSWERS and message["type"] != "websocket.close":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        await self._app(scope, receive, send_with_id)


def given_request_id(scope: Scope) -> str:
    """The client's id, at most 128 characters; "" if there is none or it would not be safe to repeat."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = str(value.decode("latin-1").strip()[:MAX_REQUEST_ID])
            return text if text.isascii() and text.isprintable() else ""
    return ""


class Observed:
    """Counts and times requests by route, and writes the access log at debug: never the query, it may hold a key."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = anyio.current_time()
        status = 0
        is_socket = scope["type"] == "websocket"

        async def observed_send(message: Message) -> None:
            nonlocal status
            if status == 0 and message["type"] in ANSWERS:
                status = {"websocket.accept": 101, "websocket.close": 403}.get(message["type"]) or message["status"]
                self._answered(scope, status, anyio.current_time() - started)
            await send(message)

        self._metrics.change("http_active_connections", 1, "all", "http", "ingress", "", "")
        if is_socket:
            self._metrics.change("ws_connections_active", 1)
        try:
            await self._app(scope, receive, observed_send)
        finally:
            self._metrics.change("http_active_connections", -1, "all", "http", "ingress", "", "")
            if is_socket:
                self._metrics.change("ws_connections_active", -1)

    def _answered(self, scope: Scope, status: int, secs: float) -> None:
        method = scope.get("method", "GET")
        method = method if method in METHODS else "OTHER"
        route = scope["state"].get("route", "other")
        outcome = "success" if status < 400 else "error"
        labels = (method, route, str(status), "", "http", "ingress", outcome, "")
        self._metrics.count("http_requests_total", *labels)
        self._metrics.observe("http_request_duration_seconds", secs, *labels)
        if status >= 400:
            self._metrics.count("http_errors_total", method, route, "5xx" if status >= 500 else "4xx")
        if status == TIMEOUT:
            self._metrics.count("http_timeout_total", method, route)
        logger.debug(
            "request",
            extra={"method": method, "path": scope["path"], "status": status, "duration_ms": round(secs * 1000, 1)},
        )


class Recovery:
    """Answers refusals with their envelope, and faults with 500 after logging them with their stack."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answered = False

        async def noted_send(message: Message) -> None:
            nonlocal answered
            answered = answered or message["type"] in ANSWERS
            await send(message)

        refusal: Refusal | None = None
        with boundary("answering a request") as fault:
            try:
                await self._app(scope, receive, noted_send)
            except Refusal as raised:
                refusal = raised
        if fault.error is not None:
            refusal = Refusal(ErrorCode.INTERNAL_ERROR, "Internal server error")
        if refusal is not None and not answered:
            await refuse(scope, receive, send, refusal)
