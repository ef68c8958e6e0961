"""A simulator of LiveKit's server API: rooms and telephones, by Twirp with JSON, with real tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import anyio

from voxray.testing.faults import Fault, FaultScript, spoil, strike_first
from voxray.testing.http_server import Exchange, FakeServer, Request

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

PREFIX = "/twirp/livekit."
STATUS = {
    "malformed": 400,
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "bad_route": 404,
}
CREATE_KEYS = {"name", "empty_timeout", "departure_timeout", "max_participants", "metadata"}
TRANSFER_KEYS = {"room_name", "participant_identity", "transfer_to", "play_dialtone", "headers", "ringing_timeout"}


def claims_of(token: str, key: str, secret: str, *, now: float) -> dict[str, Any]:
    """The claims of a token that `secret` signed for `key` and that is good `now`. Raises ValueError."""
    try:
        head, body, proof = token.split(".")
        header, claims = _decoded(head), _decoded(body)
        given = base64.urlsafe_b64decode(proof + "==")
    except (ValueError, RecursionError):
        raise ValueError("no token") from None
    if header.get("alg") != "HS256":
        raise ValueError("not signed with HS256")
    if not hmac.compare_digest(hmac.digest(secret.encode(), f"{head}.{body}".encode(), hashlib.sha256), given):
        raise ValueError("wrong signature")
    if claims.get("iss") != key:
        raise ValueError("another key")
    expires, begins = claims.get("exp"), claims.get("nbf", 0)
    if not isinstance(expires, int) or expires <= now or not isinstance(begins, int) or begins > now + 60:
        raise ValueError("expired, or not yet good")
    return claims


def _decoded(part: str) -> dict[str, Any]:
    data = json.loads(base64.urlsafe_b64decode(part + "=="))
    if not isinstance(data, dict):
        raise ValueError("no object")
    return data


@dataclass(frozen=True, slots=True)
class Transfer:
    """A telephone that was handed on."""

    room: str
    identity: str
    to: str


class _RejectedError(ValueError):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class LiveKitApi:
    """Speaks LiveKit's server API on loopback while its `async with` block runs.

    `rooms` has the rooms that exist with what was asked for, `deleted` the names of those that did. `phones` are the
    telephones in rooms, as (room, identity), to be filled by the test; `on_transfer` is called when one is handed on,
    and noted in `transfers`. `rejected` is what was refused as a mistake of the client.

    `faults`: see `Fault`, all but those of streams and sound; paths end with "/CreateRoom", "/DeleteRoom",
    "/TransferSIPParticipant".
    """

    def __init__(
        self,
        *,
        key: str = "devkey",
        secret: str = "secretsecretsecretsecretsecret12",
        faults: Sequence[Fault] = (),
        on_transfer: Callable[[Transfer], None] = lambda transfer: None,
        transfer_status: str = "STS_TRANSFER_SUCCESSFUL",
        host: str = "127.0.0.1",
        port: int = 0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.key = key
        self.secret = secret
        self.faults = FaultScript(faults)
        self.on_transfer = on_transfer
        self.transfer_status = transfer_status
        self.rooms: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.phones: set[tuple[str, str]] = set()
        self.transfers: list[Transfer] = []
        self.rejected: list[str] = []
        self._now = now
        self._emptied = anyio.Event()
        self.server = FakeServer(self._answer, host=host, port=port)

    @property
    def base_url(self) -> str:
        return self.server.url

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

    def claims(self, token: str) -> dict[str, Any]:
        """What a token of this server's key says. Raises ValueError."""
        return claims_of(token, self.key, self.secret, now=self._now())

    async def emptied(self) -> None:
        """Wait until rooms were made and none is left."""
        await self._emptied.wait()

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        fault = self.faults.take(request.path)
        failure = {"code": fault.code or "internal", "msg": fault.message} if fault else {}
        if await strike_first(exchange, fault, failure):
            return
        if fault is not None and await spoil(exchange, fault):
            return
        try:
            exchange.json(200, self._called(request))
        except _RejectedError as error:
            self.rejected.append(f"{request.path}: {error}")
            exchange.json(STATUS[error.code], {"code": error.code, "msg": str(error)})

    def _called(self, request: Request) -> dict[str, Any]:
        methods = {
            "RoomService/CreateRoom": (self._create, CREATE_KEYS),
            "RoomService/DeleteRoom": (self._delete, {"room"}),
            "SIP/TransferSIPParticipant": (self._transfer, TRANSFER_KEYS),
        }
        found = methods.get(request.path.removeprefix(PREFIX))
        if found is None or request.method != "POST":
            raise _RejectedError("bad_route", f"no handler for {request.path}")
        bearer = request.headers.get("authorization", "")
        try:
            claims = self.claims(bearer.removeprefix("Bearer "))
        except ValueError as error:
            raise _RejectedError("unauthenticated", f"invalid token: {error}") from None
        method, keys = found
        return method(_object(request, keys), claims)

    def _create(self, body: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        _need(claims, "video", "roomCreate")
        name = _string(body, "name")
        for option in ("empty_timeout", "departure_timeout", "max_participants"):
            if not isinstance(body.get(option, 0), int):
                raise _RejectedError("malformed", f"{option} must be a number")
        self._emptied = anyio.Event()
        self.rooms.setdefault(name, body)  # one that exists is answered as it is
        return {"sid": f"RM_{name}", "name": name, "empty_timeout": self.rooms[name].get("empty_timeout", 300)}

    def _delete(self, body: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        _need(claims, "video", "roomCreate")
        name = _string(body, "room")
        if self.rooms.pop(name, None) is None:
            raise _RejectedError("not_found", "requested room does not exist")
        self.deleted.append(name)
        if not self.rooms:
            self._emptied.set()
        return {}

    def _transfer(self, body: dict[str, Any], claims: dict[str, Any]) -> dict[str, Any]:
        _need(claims, "sip", "call")
        room, identity = _string(body, "room_name"), _string(body, "participant_identity")
        _need(claims, "video", "roomAdmin")
        if claims["video"].get("room") != room:
            raise _RejectedError("permission_denied", "the token is for another room")
        to = _string(body, "transfer_to")
        if not to.startswith(("tel:", "sip:", "sips:")):
            raise _RejectedError("invalid_argument", "transfer_to must be a tel: or sip: address")
        if (room, identity) not in self.phones:
            raise _RejectedError("not_found", "participant does not exist")
        if self.transfer_status == "STS_TRANSFER_SUCCESSFUL":
            self.phones.remove((room, identity))
            self.transfers.append(Transfer(room, identity, to))
            self.on_transfer(self.transfers[-1])
        return {"transfer_id": "ST_1", "status": self.transfer_status, "reason": "STR_UNKNOWN"}


def _need(claims: dict[str, Any], kind: str, grant: str) -> None:
    grants = claims.get(kind)
    if not isinstance(grants, dict) or grants.get(grant) is not True:
        raise _RejectedError("permission_denied", f"the token lacks {kind}.{grant}")


def _string(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise _RejectedError("invalid_argument", f"{name} is required")
    return value


def _object(request: Request, keys: set[str]) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise _RejectedError("bad_route", "unexpected Content-Type")
    try:
        body = request.json()
    except ValueError:
        raise _RejectedError("malformed", "the json request could not be decoded") from None
    if not isinstance(body, dict) or set(body) - keys:
        raise _RejectedError("malformed", "the json request could not be decoded")
    return body
