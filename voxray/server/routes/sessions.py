"""`POST /start`: prepare a call, and tell the client where to place it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voxray.errors import StoreError
from voxray.protocols.carrier import PhoneCall
from voxray.protocols.rooms import Rooms
from voxray.server.arrivals import Arrivals
from voxray.server.bodies import json_object, read_body
from voxray.server.envelope import (
    ErrorCode,
    Receive,
    Refusal,
    Scope,
    Send,
    bare,
    merged_success,
    respond,
)
from voxray.server.guard import given_key, header
from voxray.server.idempotency import Idempotency
from voxray.server.routes.endpoint import Endpoint
from voxray.server.routes.start_doc import start_doc
from voxray.server.sessions import Sessions
from voxray.server.telephony.announced import DIAL_SECS, Announcement
from voxray.server.telephony.lines import Lines, Origin

logger = logging.getLogger(__name__)

SOCKET = "/ws"
MAX_IDEMPOTENCY_KEY = 255
WEBRTC = ("", "webrtc", "smallwebrtc", "small_webrtc")
FORMATS = {"json": "", "protobuf": "format=protobuf", "rtvi": "rtvi=1"}
BOTH = {
    "createDailyRoom": "create_daily_room",
    "enableDefaultIceServers": "enable_default_ice_servers",
}  # the name, and the other convention's


@dataclass(frozen=True, slots=True)
class StartRequest:
    """What a client asks of `POST /start`. `transport` is "" for WebRTC."""

    transport: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    enable_default_ice_servers: bool = False
    format: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How calls reach this server. `formats` are the queries of the installed serializers."""

    origin: Callable[[Scope], tuple[str, str]]
    socket: bool = True
    formats: Collection[str] = ("",)
    ice_servers: Sequence[Mapping[str, Any]] = ()
    lines: Lines | None = None
    rooms: Mapping[str, Rooms] = field(default_factory=dict)
    arrivals: Arrivals | None = None  # wherever there are rooms

    def names(self) -> list[str]:
        """What clients may say for `transport`."""
        carriers = self.lines.carriers if self.lines else {}
        rooms = self.rooms if self.arrivals else {}
        return ["webrtc", *(["websocket"] if self.socket else []), *carriers, *rooms]


def start_endpoint(sessions: Sessions, ways: Ways) -> Endpoint:
    """`/start` and its twin below /api/v1."""
    formats = sorted(_installed(ways.formats), key="protobuf".__ne__)  # the default is told first
    doc = start_doc(transports=ways.names(), formats=formats, max_key=MAX_IDEMPOTENCY_KEY)
    return Endpoint(
        name="start",
        path="/start",
        versioned="/start",
        handlers={"POST": _Start(sessions, ways, Idempotency()).post},
        docs={"POST": doc},
        keyed=True,
        cors=True,
        plain_errors=True,
    )


class _Start:
    def __init__(self, sessions: Sessions, ways: Ways, idempotency: Idempotency) -> None:
        self._sessions = sessions
        self._ways = ways
        self._idempotency = idempotency

    async def post(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def make() -> bytes:
            request = parse_start(await read_body(receive))
            try:
                return await self._answer(scope, request)
            except RecursionError as error:
                raise Refusal(ErrorCode.BAD_REQUEST, "The body is nested too deeply") from error
            except StoreError as error:
                logger.error("a session could not be kept", extra={"error": str(error)})
                raise Refusal(ErrorCode.INTERNAL_ERROR, "Internal server error") from error

        key = header(scope, b"idempotency-key").strip()
        if len(key) > MAX_IDEMPOTENCY_KEY:
            raise Refusal(ErrorCode.BAD_REQUEST, f"Idempotency-Key is longer than {MAX_IDEMPOTENCY_KEY} characters")
        answer = await (self._idempotency.answer(given_key(scope), key, make) if key else make())
        await respond(scope, send, 201, answer)

    async def _answer(self, scope: Scope, request: StartRequest) -> bytes:
        origin = Origin(*self._ways.origin(scope))
        carriers = self._ways.lines.carriers if self._ways.lines else {}
        query = socket_query(request.format, self._ways.formats)
        if request.transport == "":
            return merged_success(scope, await self._webrtc(request))
        if request.transport == "websocket" and self._ways.socket:
            return bare(await self._websocket(request, origin, query))
        if self._ways.lines is not None and request.transport in carriers:
            return merged_success(scope, await self._phone(request, self._ways.lines, origin))
        if self._ways.arrivals is not None and request.transport in self._ways.rooms:
            rooms = self._ways.rooms[request.transport]
            return merged_success(scope, await self._ways.arrivals.in_room(scope, rooms, request.body))
        message = f'This server has no transport "{request.transport[:40]}"'
        raise Refusal(
            ErrorCode.VALIDATION_ERROR, message, details=[("transport", f"one of {', '.join(self._ways.names())}")]
        )

    async def _webrtc(self, request: StartRequest) -> dict[str, Any]:
        ice = request.enable_default_ice_servers
        record = await self._sessions.create(request.body, enable_default_ice_servers=ice)
        data: dict[str, Any] = {"sessionId": record.session_id}
        if ice:
            data["iceConfig"] = {"iceServers": list(self._ways.ice_servers)}
        return data

    async def _websocket(self, request: StartRequest, origin: Origin, query: str) -> dict[str, Any]:
        url = origin.socket(SOCKET) + (f"?{query}" if query else "")
        return {"wsUrl": url, "token": await self._sessions.issue(request.body)}

    async def _phone(self, request: StartRequest, lines: Lines, origin: Origin) -> dict[str, Any]:
        token = lines.announced.token()
        announcement = Announcement(PhoneCall(carrier=request.transport, call_id=""), request.body)
        await lines.announced.put(token, announcement, ttl_secs=DIAL_SECS)
        offer = lines.offer(lines.carriers[request.transport], origin, token)
        return {"wsUrl": offer.url, "token": offer.token}


def socket_query(wanted: str, formats: Collection[str]) -> str:
    """The query that chooses the format of a websocket's messages. Official clients speak protobuf only, so that is
    the default. Raises Refusal: it is not installed."""
    installed = _installed(formats)
    if wanted and wanted not in installed:
        details = [("format", f"one of {', '.join(installed)}")]
        raise Refusal(ErrorCode.VALIDATION_ERROR, "This message format is not installed", details=details)
    return installed.get(wanted or "protobuf", "")


def _installed(formats: Collection[str]) -> dict[str, str]:
    return {name: query for name, query in FORMATS.items() if query.partition("=1")[0] in formats}


def parse_start(raw: bytes) -> StartRequest:
    """The body of `POST /start`; an empty one asks for nothing special. Raises Refusal."""
    given = {name: value for name, value in json_object(raw).items() if value is not None}
    for name, other in BOTH.items():
        if other in given:
            given.setdefault(name, given[other])
    wrong = _wrong_fields(given)
    if wrong:
        raise Refusal(ErrorCode.VALIDATION_ERROR, wrong[0][0] + " " + wrong[0][1], details=wrong)
    transport = given.get("transport", "").strip().lower()
    if given.get("createDailyRoom"):
        transport = "daily"
    body = dict(given.get("body", {}))
    if "context" in given:
        body.setdefault("context", given["context"])
    return StartRequest(
        transport="" if transport in WEBRTC else transport,
        body=body,
        enable_default_ice_servers=given.get("enableDefaultIceServers", False),
        format=given.get("format", ""),
    )


def _wrong_fields(given: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds: dict[str, tuple[type | tuple[type, ...], str]] = {
        "transport": (str, "a string"),
        "format": (str, "a string"),
        "body": (dict, "an object"),
        "context": ((dict, str), "an object or a string"),
        **dict.fromkeys(BOTH, (bool, "true or false")),
    }
    return [
        (name, f"must be {what}")
        for name, (kind, what) in kinds.items()
        if name in given and not isinstance(given[name], kind)
    ]
