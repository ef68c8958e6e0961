"""A simulator of Daily's REST API: rooms, tokens, and phone calls that wait to be put through."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import anyio

from voxray.testing.faults import Fault, FaultScript, spoil, strike_first
from voxray.testing.http_server import Exchange, FakeServer, Request

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

PREFIX = "/v1"
NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
PRIVACY = ("public", "private")
ROOM_KEYS = {"name", "privacy", "properties"}
CALL_KEYS = {"callId", "callDomain", "sipUri"}


@dataclass(slots=True)
class DailyRoom:
    """A room that was made, with the properties asked for and the tokens given out."""

    name: str
    url: str
    privacy: str
    properties: dict[str, Any]
    sip_endpoint: str = ""
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)  # token → its properties


class _RejectedError(ValueError):
    pass


class DailyApi:
    """Speaks Daily's REST API on loopback while its `async with` block runs; `base_url` is what plugins need.

    `rooms` has the rooms that exist, `deleted` the names of those that did, `rejected` what was refused as a mistake of
    the client. Phone calls: `hold` says that one waits; the first update that names a SIP endpoint which `ready` has
    announced puts it through (`connected`), any other loses it (`lost`), as with the real service.

    `faults`: see `Fault`, all but those of streams and sound; paths end with "/rooms", "/meeting-tokens",
    "/dialin/pinlessCallUpdate" or a room's name.
    `key`: any other is answered 401.
    """

    def __init__(
        self,
        *,
        key: str = "daily-key",
        faults: Sequence[Fault] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self.faults = FaultScript(faults)
        self.rooms: dict[str, DailyRoom] = {}
        self.deleted: list[str] = []
        self.rejected: list[str] = []
        self.held: set[str] = set()
        self.connected: dict[str, str] = {}  # call → SIP endpoint
        self.lost: list[str] = []
        self._ready: set[str] = set()
        self._now = now
        self._emptied = anyio.Event()
        self._tokens = 0
        self.server = FakeServer(self._answer, host=host, port=port)

    @property
    def base_url(self) -> str:
        return self.server.url + PREFIX

    @property
    def requests(self) -> deque[Request]:
        return self.server.requests

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self.server.__aexit__(kind, error, trace)

    async def emptied(self) -> None:
        """Wait until rooms were made and none is left."""
        await self._emptied.wait()

    # ── the telephone side ──

    def hold(self, call_id: str) -> None:
        """A caller hears music until the call is put through."""
        self.held.add(call_id)

    def ready(self, sip_endpoint: str) -> None:
        """The room of this endpoint takes calls from now on: what the SDK tells by dialin-ready."""
        self._ready.add(sip_endpoint)

    # ── HTTP ──

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        fault = self.faults.take(request.path)
        if await strike_first(exchange, fault, {"error": fault.code if fault else "", "info": "simulated fault"}):
            return
        if request.headers.get("authorization") != f"Bearer {self.key}":
            exchange.json(401, {"error": "authentication-error", "info": "invalid api key"})
            return
        if fault is not None and await spoil(exchange, fault):
            return
        try:
            await self._route(request.method, request.path.removeprefix(PREFIX))(exchange)
        except _RejectedError as error:
            self.rejected.append(f"{request.method} {request.path}: {error}")
            exchange.json(400, {"error": "invalid-request-error", "info": str(error)})

    def _route(self, method: str, path: str) -> Callable[[Exchange], Awaitable[None]]:
        routes = {
            ("POST", "/rooms"): self._create,
            ("POST", "/meeting-tokens"): self._token,
            ("POST", "/dialin/pinlessCallUpdate"): self._put_through,
        }
        if path.startswith("/rooms/"):
            return self._one
        return routes.get((method, path), self._unknown)

    async def _unknown(self, exchange: Exchange) -> None:
        exchange.json(404, {"error": "not-found", "info": "no such endpoint"})

    async def _create(self, exchange: Exchange) -> None:
        body = _object(exchange.request, ROOM_KEYS)
        name, properties = body.get("name", f"room{len(self.rooms)}"), body.get("properties", {})
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise _RejectedError("name must be 1 to 128 letters, digits, - and _")
        if name in self.rooms:
            raise _RejectedError(f"a room named {name} already exists")
        if body.get("privacy", "public") not in PRIVACY:
            raise _RejectedError("privacy must be public or private")
        if not isinstance(properties, dict):
            raise _RejectedError("properties must be an object")
        self._check_expiry(properties)
        room = DailyRoom(name, f"https://example.daily.co/{name}", body.get("privacy", "public"), properties)
        config = dict(properties)
        if "sip" in properties:
            room.sip_endpoint = f"{100000000 + len(self.rooms)}.0@example.sip.daily.co"
            config["sip_uri"] = {"endpoint": room.sip_endpoint}
        self._emptied = anyio.Event()
        self.rooms[name] = room
        answer = {"id": f"id-{name}", "name": name, "api_created": True, "privacy": room.privacy, "url": room.url}
        exchange.json(200, {**answer, "created_at": "2026-01-01T00:00:00.000Z", "config": config})

    async def _token(self, exchange: Exchange) -> None:
        properties = _object(exchange.request, {"properties"}).get("properties")
        if not isinstance(properties, dict):
            raise _RejectedError("properties must be an object")
        room = self.rooms.get(str(properties.get("room_name")))
        if room is None:
            raise _RejectedError("room_name names no room")
        if not isinstance(properties.get("is_owner", False), bool):
            raise _RejectedError("is_owner must be true or false")
        self._check_expiry(properties)
        self._tokens += 1
        token = f"eyJhbGciOiJIUzI1NiJ9.{self._tokens}.simulated"
        room.tokens[token] = properties
        exchange.json(200, {"token": token})

    async def _one(self, exchange: Exchange) -> None:
        name = exchange.request.path.rpartition("/")[2]
        room = self.rooms.get(name)
        if room is None:
            exchange.json(404, {"error": "not-found", "info": f"room {name} not found"})
        elif exchange.request.method == "DELETE":
            del self.rooms[name]
            self.deleted.append(name)
            if not self.rooms:
                self._emptied.set()
            exchange.json(200, {"deleted": True, "name": name})
        elif exchange.request.method == "GET":
            exchange.json(200, {"name": name, "url": room.url, "privacy": room.privacy, "config": room.properties})
        else:
            raise _RejectedError("GET or DELETE")

    async def _put_through(self, exchange: Exchange) -> None:
        body = _object(exchange.request, CALL_KEYS)
        wrong = [name for name in sorted(CALL_KEYS) if not isinstance(body.get(name), str) or not body[name]]
        if wrong:
            raise _RejectedError(f"{', '.join(wrong)} must be a string")
        call_id, uri = body["callId"], body["sipUri"]
        if not uri.startswith("sip:"):
            raise _RejectedError("sipUri must begin with sip:")
        if call_id not in self.held:
            raise _RejectedError(f"call {call_id} is not held")
        self.held.remove(call_id)
        if uri.removeprefix("sip:") in self._ready:
            self.connected[call_id] = uri.removeprefix("sip:")
        else:
            self.lost.append(call_id)
        exchange.json(200, {})

    def _check_expiry(self, properties: dict[str, Any]) -> None:
        expires = properties.get("exp")
        if expires is not None and (not isinstance(expires, int) or expires <= self._now()):
            raise _RejectedError("exp must be a time to come, in seconds since 1970")


def _object(request: Request, keys: set[str]) -> dict[str, Any]:
    try:
        body = request.json()
    except ValueError:
        raise _RejectedError("the body is no JSON") from None
    if not isinstance(body, dict):
        raise _RejectedError("the body is no object")
    unknown = sorted(set(body) - keys)
    if unknown:
        raise _RejectedError(f"unknown: {', '.join(unknown)}")
    return body
