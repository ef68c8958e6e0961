"""`/ws`: a browser or program that talks over a websocket. On plain ASGI messages: audio passes here."""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import anyio
from starlette.routing import BaseRoute, WebSocketRoute

from voxray.builtin.paced import LEAD_SECS, PacedWriter
from voxray.errors import ClientIdleError, TransportFailedError
from voxray.events import CallEnded, Cause, Inbound, Outbound, ProviderFailed
from voxray.protocols.call import CallInfo
from voxray.protocols.context import ListenerContext
from voxray.protocols.serializer import AnnouncesReady, Response, Serializer
from voxray.protocols.transport import Answer, AudioSource

logger = logging.getLogger(__name__)

ASGIMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIMessage]]
Send = Callable[[ASGIMessage], Awaitable[None]]
Scope = MutableMapping[str, Any]

PATHS = ("/ws", "/api/v1/ws", "/ws-client")  # the last one is what samples of RTVI clients use
BAD_MESSAGES = 100  # that cannot be understood, then the client is not ours
CLOSE_SECS = 2.0  # for the last events and the goodbye
NORMAL, GOING_AWAY, POLICY, INTERNAL, TRY_AGAIN = 1000, 1001, 1008, 1011, 1013
CLOSE_CODES = {
    Cause.DRAINED: GOING_AWAY,
    Cause.ERROR: INTERNAL,
    Cause.PROVIDER_FAILED: INTERNAL,
    Cause.TRANSPORT_FAILED: INTERNAL,
    "full": TRY_AGAIN,
}
MAX_REASON_BYTES = 123  # RFC 6455: a close frame holds 125 bytes, two of them the code


class WebSocketListener:
    def __init__(self, context: ListenerContext) -> None:
        self._context = context

    def routes(self, answer: Answer) -> Sequence[BaseRoute]:
        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            await self._call(answer, scope, receive, send)

        return [WebSocketRoute(path, _Endpoint(call), name="ws") for path in PATHS]

    async def _call(self, answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        serializer = self._context.serializer(query)
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        transport = WebSocketTransport(
            receive,
            send,
            serializer,
            idle_secs=self._context.idle_secs,
            coalesce_ms=self._context.write_coalesce_ms,
            coalesce_max_frames=self._context.write_coalesce_max_frames,
        )
        client = scope.get("client")
        session = scope.get("state", {}).get("session")  # of /start, if the address had its token
        info = CallInfo(
            session_id=session.session_id if session else str(uuid.uuid4()),
            transport="websocket",
            started_at=time.time(),
            request_id=scope.get("state", {}).get("request_id", ""),
            remote=client[0] if client else "",
            body=session.body if session else {},
            waits_for_client=isinstance(serializer, AnnouncesReady) and serializer.announces_ready,
        )
        await answer(transport, info)


class _Endpoint:
    """Starlette takes a function for one that wants its WebSocket class; an object gets the plain messages."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class WebSocketTransport:
    """An accepted websocket as a `Transport`."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        serializer: Serializer,
        *,
        idle_secs: float = 300.0,
        coalesce_ms: float = 0.0,
        coalesce_max_frames: int = 10,
        lead_secs: float = LEAD_SECS,
    ) -> None:
        self.audio_in = serializer.audio_in
        self.audio_out = serializer.audio_out
        self.transfers = False
        self.sends_dtmf = True
        self.answers_marks = serializer.answers_marks
        self._receive = receive
        self._send = send
        self._serializer = serializer
        self._idle_secs = idle_secs
        self._writer = PacedWriter(
            self._write,
            serializer,
            coalesce_ms=coalesce_ms,
            coalesce_max_frames=coalesce_max_frames,
            lead_secs=lead_secs,
        )
        self._arrived: deque[bytes | Inbound] = deque()
        self._last = anyio.current_time()
        self._bad_messages = 0
        self._code = 0  # set when the protocol was broken
        self._gone = False
        self._closed = False
        self._end_told = False

    async def receive(self) -> bytes | Inbound:
        while not self._arrived:
            await self._take_in()
        return self._arrived.popleft()

    def send(self, event: Outbound) -> None:
        if not self._gone:
            self._end_told = self._end_told or isinstance(event, CallEnded)
            self._writer.send(event)

    async def play(self, source: AudioSource) -> None:
        failures: list[TransportFailedError] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch)
                await self._writer.play(source)
        except* TransportFailedError as group:
            failures += [failure for failure in group.exceptions if isinstance(failure, TransportFailedError)]
        if failures:
            raise failures[0]

    async def close(self, cause: str, detail: str) -> None:
        if self._closed:
            return
        self._closed = True
        if self._gone:
            return
        if not self._end_told:
            self.send(CallEnded(cause, detail))  # a call that was refused has had none
        code = self._code or CLOSE_CODES.get(cause, NORMAL)
        reason = f"{cause}: {detail}" if detail else cause
        with anyio.move_on_after(CLOSE_SECS, shield=True):
            try:
                await self._writer.flush()
            except TransportFailedError:
                logger.debug("the last events did not reach the client")
            await self._send({"type": "websocket.close", "code": code, "reason": _shortened(reason)})

    async def _take_in(self) -> None:
        """Read one message."""
        message = await self._next()
        payload = message.get("bytes")
        if payload is None:
            payload = message.get("text") or ""
        try:
            for item in self._serializer.decode(payload):
                if isinstance(item, Response):
                    self._writer.respond(item.message)
                else:
                    self._arrived.append(item)
        except ValueError as error:
            self._misunderstood(str(error))

    async def _next(self) -> ASGIMessage:
        message = await self._receive()
        self._last = anyio.current_time()
        if message["type"] == "websocket.disconnect":
            self._gone = True
            raise anyio.EndOfStream
        return message

    def _misunderstood(self, error: str) -> None:
        self._bad_messages += 1
        if self._bad_messages > BAD_MESSAGES:
            self._code = POLICY
            raise TransportFailedError(f"more than {BAD_MESSAGES} messages could not be understood")
        self.send(ProviderFailed(stage="client", provider="", error=error, retryable=False))

    async def _watch(self) -> None:
        """One timer for the whole call: a deadline on each message would cost more than the message."""
        deadline = self._last + self._idle_secs
        while deadline > anyio.current_time():
            await anyio.sleep_until(deadline)
            deadline = self._last + self._idle_secs
        raise ClientIdleError(f"nothing came from the client for {self._idle_secs:g} s")

    async def _write(self, message: str | bytes) -> None:
        key = "bytes" if isinstance(message, bytes) else "text"
        try:
            await self._send({"type": "websocket.send", key: message})
        except OSError as error:
            raise TransportFailedError("the connection broke while sending") from error


def _shortened(reason: str) -> str:
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
