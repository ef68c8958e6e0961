"""`/telephony/ws`: the media socket that all carriers share."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import anyio

from voxray.builtin.websocket import CLOSE_SECS, POLICY, WebSocketTransport
from voxray.errors import StoreError, TransportFailedError
from voxray.events import CallEnded, Cause, DtmfRequested, EndRequested, Inbound, Outbound, TransferRequested
from voxray.protocols.call import CallInfo
from voxray.protocols.carrier import Carrier, PhoneCall, StreamRefusedError, StreamStart
from voxray.protocols.transport import Answer
from voxray.server.envelope import Receive, Scope, Send
from voxray.server.telephony.announced import Announcement, joined
from voxray.server.telephony.lines import Lines, facts

logger = logging.getLogger(__name__)

START_SECS = 10.0  # for the messages that say who calls
OPENING_MESSAGES = 2
PROBE_SECS = 10.0


class Unwelcome(Exception):  # noqa: N818  a decision, not a fault
    """This socket is not taken; the text says why, and is safe to send. `farewell` goes before the close."""

    def __init__(self, reason: str, farewell: Sequence[str | bytes] = ()) -> None:
        super().__init__(reason)
        self.farewell = farewell


class MediaSocket:
    """Recognises the carrier, checks that the call was announced, and has it answered. `origin` gives scheme and host
    under which the world reaches this server."""

    def __init__(
        self, lines: Lines, answer: Answer, origin: Callable[[Scope], tuple[str, str]], *, idle_secs: float
    ) -> None:
        self._lines = lines
        self._answer = answer
        self._origin = origin
        self._idle_secs = idle_secs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        opening: list[str | bytes] = []
        try:
            with anyio.fail_after(START_SECS):
                carrier, start = await self._recognized(opening, _headers(scope, self._origin(scope)[1]), receive)
            announcement = await self._announcement(scope, carrier, start)
        except (Unwelcome, TimeoutError, StoreError) as error:
            reason = str(error) or f"no start within {START_SECS:g} s"
            logger.warning("a media socket was refused", extra={"reason": reason})
            for message in error.farewell if isinstance(error, Unwelcome) else ():
                await send({"type": "websocket.send", "bytes" if isinstance(message, bytes) else "text": message})
            await send({"type": "websocket.close", "code": POLICY, "reason": reason[:120]})
            return
        except anyio.EndOfStream:
            return
        call = joined(announcement.call, start.call)
        transport = PhoneTransport(receive, send, start, carrier, self._lines, call, idle_secs=self._idle_secs)
        if start.probe:
            await transport.hold_probe(PROBE_SECS)
            return
        await self._answer(transport, _info(scope, call, announcement.body))
        await transport.part()
        transport.hang_up()

    async def _recognized(
        self, opening: list[str | bytes], headers: Mapping[str, str], receive: Receive
    ) -> tuple[Carrier, StreamStart]:
        while len(opening) < OPENING_MESSAGES:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                raise anyio.EndOfStream
            payload = message.get("bytes")
            opening.append(payload if payload is not None else message.get("text") or "")
            for carrier in self._lines.carriers.values():
                try:
                    start = carrier.recognize(opening, headers)
                except ValueError as error:
                    farewell = error.farewell if isinstance(error, StreamRefusedError) else ()
                    raise Unwelcome(f"{carrier.name}: {error}", farewell) from error
                if start is not None:
                    return carrier, start
        raise Unwelcome("no carrier of this server speaks like this")

    async def _announcement(self, scope: Scope, carrier: Carrier, start: StreamStart) -> Announcement:
        """What the webhook said; for calls without one, what the socket says."""
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        token = start.call.parameters.get("token") or query.get("token", "")
        found = await self._lines.announced.take(token)
        if found is not None:
            known = found.call.call_id
            if found.call.carrier != carrier.name or (known and start.call.call_id and known != start.call.call_id):
                raise Unwelcome("the token belongs to another call")
            return found
        if carrier.proves_streams or start.probe or self._lines.settings.allow_unannounced:
            return Announcement(start.call, {})
        raise Unwelcome("the stream was never announced" if not token else "the token is unknown, used or too old")


class PhoneTransport(WebSocketTransport):
    """A carrier's media socket: a websocket that can also transfer, send keys and hang up through the carrier."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        start: StreamStart,
        carrier: Carrier,
        lines: Lines,
        call: PhoneCall,
        *,
        idle_secs: float,
    ) -> None:
        super().__init__(receive, send, start.serializer, idle_secs=idle_secs, lead_secs=lines.settings.lead_ms / 1000)
        self.transfers = carrier.transfers
        self.sends_dtmf = carrier.sends_dtmf
        self._carrier = carrier
        self._lines = lines
        self._call = call
        self._left = False  # the carrier ended the call, or took the caller elsewhere
        self._carrier_closes = start.carrier_closes
        self._keys = anyio.Lock()  # keys in another order are other keys
        self._closing: tuple[str, str] | None = None  # cause and detail, once the call is over
        for message in start.answers:
            self._writer.respond(message)

    async def receive(self) -> bytes | Inbound:
        item = await super().receive()
        if isinstance(item, EndRequested):  # the carrier says that they hung up
            self._left = True
            raise anyio.EndOfStream
        return item

    def send(self, event: Outbound) -> None:
        match event:
            case TransferRequested(to):
                self._left = self._request(self._carrier.transfer(self._call, to), "transfer")
            case DtmfRequested(digit):
                self._request(self._carrier.send_dtmf(self._call, digit), "dtmf", in_turn=self._keys)
        super().send(event)

    async def close(self, cause: str, detail: str) -> None:
        self._left = self._left or cause in (Cause.CALLER_LEFT, Cause.CLIENT_ASKED, Cause.TRANSFERRED)
        if not self._carrier_closes:
            await super().close(cause, detail)
        elif self._closing is None:
            self._closing = (cause, detail)
            self.send(CallEnded(cause, detail))  # a call that was refused has had none

    async def part(self) -> None:
        """Where the carrier is to close the socket: say the last words, give it time to, then close."""
        if self._closing is None:
            return
        with anyio.move_on_after(CLOSE_SECS, shield=True):
            try:
                while True:
                    await self._writer.flush()
                    await self._take_in()
            except (anyio.EndOfStream, TransportFailedError):
                pass
        await super().close(*self._closing)

    def hang_up(self) -> None:
        """Closing the socket does not end a phone call at most carriers."""
        if not self._left:
            self._request(self._carrier.hang_up(self._call), "hang_up")

    async def hold_probe(self, secs: float) -> None:
        """Answer a carrier that only tests the address."""
        with anyio.move_on_after(secs):
            try:
                while True:
                    await self._writer.flush()
                    await self._take_in()
            except (anyio.EndOfStream, TransportFailedError):
                return
        await super().close("probe", "")

    def _request(self, request: Any, purpose: str, in_turn: anyio.Lock | None = None) -> bool:
        call_id = self._call.call_id
        return self._lines.send(self._carrier.name, request, purpose=purpose, call_id=call_id, in_turn=in_turn)


def _headers(scope: Scope, authority: str) -> dict[str, str]:
    """The handshake's headers, with the two pseudo entries that message signatures cover."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    path = scope.get("raw_path", scope["path"].encode()).split(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return {**headers, "@request-target": f"{path}?{query}" if query else path, "@authority": authority}


def _info(scope: Scope, call: PhoneCall, body: Mapping[str, Any]) -> CallInfo:
    client = scope.get("client")
    return CallInfo(
        session_id=str(uuid.uuid4()),
        transport="telephony",
        started_at=time.time(),
        request_id=scope.get("state", {}).get("request_id", ""),
        remote=client[0] if client else "",
        carrier=call.carrier,
        caller=call.caller,
        callee=call.callee,
        direction=call.direction,
        body={**body, "phone": facts(call), **{k: v for k, v in call.parameters.items() if k != "token"}},
    )
