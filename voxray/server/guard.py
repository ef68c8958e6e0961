"""Who may come in: key, origin, admission, method and the size and pace of a request's body."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

import anyio

from voxray.errors import StoreError
from voxray.protocols.storage import SessionRecord
from voxray.server.envelope import (
    ASGIApp,
    ErrorCode,
    Message,
    Receive,
    Refusal,
    Scope,
    Send,
    come_again,
    no_content,
    refuse,
)

logger = logging.getLogger(__name__)

BODY_SECS = 10.0  # for the whole body; who is slower holds a connection for nothing
ALLOWED_HEADERS = b"Content-Type, Authorization, X-API-Key, Idempotency-Key, X-Request-ID"
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

Redeem = Callable[[str], Awaitable[SessionRecord | None]]


@dataclass(frozen=True, slots=True)
class Gate:
    """What the configuration says about visitors. `refusal` answers why no call can be taken now, "" if one can."""

    api_key: str = ""
    origins: tuple[str, ...] | None = None  # None: not configured
    loopback: bool = True  # bound to this machine only
    max_body_bytes: int = 262_144
    body_secs: float = BODY_SECS
    refusal: Callable[[], str] = lambda: ""


class Guarded:
    """A route behind the gate.

    `methods` None leaves them to the app. `keyed` asks for the API key, `call` says that a websocket here is a call
    and needs admission, `cors` answers preflights and lets browsers read the answers. `plain_errors` makes errors say
    their text at the top as well. `redeem` takes the one-time token of a websocket, which replaces the key; the session
    that it gives goes into the state.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        *,
        name: str,
        methods: Collection[str] | None = None,
        keyed: bool = False,
        cors: bool = False,
        call: bool = False,
        plain_errors: bool = False,
        redeem: Redeem | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._name = name
        self._methods = methods
        self._keyed = keyed
        self._cors = cors
        self._call = call
        self._plain_errors = plain_errors
        self._redeem = redeem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = self._name
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = query_value(scope, "token") if self._redeem else ""
        refusal = (
            (check_key(scope, self._gate.api_key) if self._keyed and not token else None)
            or check_origin(scope, self._gate)
            or (check_admission(self._gate) if self._call else None)
        )
        if refusal is None and token and self._redeem:
            refusal = await take_token(scope, token, self._redeem)
        if refusal is not None:
            await refuse(scope, receive, send, refusal)
            return
        await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["plain_errors"] = self._plain_errors
        cors = cors_headers(scope, self._gate, self._methods or ()) if self._cors else []
        if cors:
            send = _with_headers(send, cors)
        if self._cors and scope["method"] == "OPTIONS":
            await no_content(send)
            return
        refusal = check_method(scope, self._methods) or (check_key(scope, self._gate.api_key) if self._keyed else None)
        if refusal is None:
            try:
                await self._app(scope, bounded_body(scope, receive, self._gate), send)
            except Refusal as raised:
                refusal = raised
        if refusal is not None:
            await refuse(scope, receive, send, refusal)


def check_key(scope: Scope, key: str) -> Refusal | None:
    """Whether the visitor has the key, if there is one."""
    if not key or hmac.compare_digest(given_key(scope).encode(), key.encode()):
        return None
    return unauthorized("Unauthorized")


def given_key(scope: Scope) -> str:
    """`X-API-Key`, else `Authorization: Bearer`; websockets may say `?api_key=`, since browsers set no headers."""
    given = header(scope, b"x-api-key").strip()
    if not given:
        scheme, _, token = header(scope, b"authorization").strip().partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
    if not given and scope["type"] == "websocket":
        given = query_value(scope, "api_key")
    return given


def query_value(scope: Scope, name: str) -> str:
    """The first value of this name in the address, "" if there is none."""
    query: str = scope["query_string"].decode("latin-1")
    return parse_qs(query).get(name, [""])[0]


async def take_token(scope: Scope, token: str, redeem: Redeem) -> Refusal | None:
    """Use up a one-time token, after all other checks: who comes too early may come again with it."""
    try:
        session = await redeem(token)
    except StoreError as error:
        logger.error("a token could not be looked up", extra={"error": str(error)})
        return come_again("Session store unavailable")
    if session is None:
        return unauthorized("The token is unknown, used or too old")
    scope["state"]["session"] = session
    return None


def unauthorized(message: str) -> Refusal:
    return Refusal(ErrorCode.UNAUTHORIZED, message, headers={"WWW-Authenticate": "Bearer"})


def check_origin(scope: Scope, gate: Gate) -> Refusal | None:
    """Pages of other sites may not open sockets here: a browser sends its user's cookies and address along."""
    origin = header(scope, b"origin")
    if not origin or origin in (gate.origins or ()) or "*" in (gate.origins or ()):
        return None
    host = _host(origin)
    if host and host == _host("//" + header(scope, b"host")):
        return None
    if gate.loopback and host in LOCAL_HOSTS:
        return None
    return Refusal(ErrorCode.FORBIDDEN, "Origin not allowed")


def check_admission(gate: Gate) -> Refusal | None:
    reason = gate.refusal()
    return no_call(reason) if reason else None


def no_call(reason: str) -> Refusal:
    return come_again(f"No call can be taken now: {reason}")


def check_method(scope: Scope, methods: Collection[str] | None) -> Refusal | None:
    if methods is None or scope["method"] in methods:
        return None
    allow = ", ".join(sorted(methods))
    return Refusal(ErrorCode.BAD_REQUEST, "Method not allowed", status=405, headers={"Allow": allow})


def cors_headers(scope: Scope, gate: Gate, methods: Collection[str]) -> list[tuple[bytes, bytes]]:
    """Origins not configured: everybody, unless there is a key. A list: who is on it. An empty list: nobody."""
    headers = [
        (b"access-control-allow-methods", ", ".join(sorted({*methods, "OPTIONS"} - {"HEAD"})).encode()),
        (b"access-control-allow-headers", ALLOWED_HEADERS),
        (b"vary", b"Origin"),
    ]
    origin = header(scope, b"origin")
    if gate.origins is None:
        if not gate.api_key:
            headers.append((b"access-control-allow-origin", b"*"))
    elif origin and origin in gate.origins:
        headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
    return headers


def bounded_body(scope: Scope, receive: Receive, gate: Gate) -> Receive:
    """`receive` that gives up on a body that is too large or too slow."""
    too_large = Refusal(ErrorCode.BAD_REQUEST, f"Request body is larger than {gate.max_body_bytes} bytes")
    length = header(scope, b"content-length")
    announced = int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0
    deadline = anyio.current_time() + gate.body_secs
    size, complete = 0, False

    async def bounded() -> Message:
        nonlocal size, complete
        if complete:
            return await receive()
        if announced > gate.max_body_bytes:
            raise too_large
        with anyio.move_on_at(deadline) as scope:
            message = await receive()
        if scope.cancelled_caught:
            late = {"Connection": "close"}
            raise Refusal(ErrorCode.BAD_REQUEST, "Request body did not arrive in time", status=408, headers=late)
        size += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if size > gate.max_body_bytes:
            raise too_large
        return message

    return bounded


def header(scope: Scope, name: bytes) -> str:
    """The first header of this name (lower case), "" if there is none."""
    for key, value in scope["headers"]:
        if key.lower() == name:
            return str(value.decode("latin-1"))
    return ""


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send, headers: Sequence[tuple[bytes, bytes]]) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return sending
