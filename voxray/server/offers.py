"""WebRTC offers as the clients of two conventions write them, and which connection belongs to which session."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from voxray.errors import ProviderUnavailable
from voxray.protocols.peers import Accepted, Candidate, Offer, Peers
from voxray.server.arrivals import Arrivals, facts_of
from voxray.server.bodies import json_object
from voxray.server.envelope import ErrorCode, Refusal, Scope, come_again
from voxray.server.sessions import Sessions, canonical, not_found

MAX_NAME = 128  # characters of a connection's id
MAX_CANDIDATES = 64  # in one request
MAX_CANDIDATE = 1024  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRequest:
    """What a client sends. `form` is how it writes descriptions, and wants to read ours: "raw" SDP, a "string" of JSON,
    or an "object"."""

    sdp: str = field(repr=False)
    form: str
    pc_id: str = ""
    restart: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)


class Offers:
    """Answers offers. A session has one connection at a time: a further offer of it goes on with its call."""

    def __init__(self, peers: Peers, arrivals: Arrivals, sessions: Sessions) -> None:
        self._peers = peers
        self._arrivals = arrivals
        self._sessions = sessions
        self._connections: dict[str, str] = {}  # session id → pc_id, while the call lasts
        self._answering: set[str] = set()

    async def answer(self, scope: Scope, request: OfferRequest) -> Accepted:
        """Connect a peer that needs no session. Raises Refusal."""
        return await self._accept(scope, request, str(uuid.uuid4()), {}, owner="")

    async def answer_session(self, scope: Scope, session_id: str, request: OfferRequest) -> Accepted:
        """Connect the peer of a session. Raises Refusal, StoreError."""
        session_id = canonical(session_id)
        if session_id in self._answering:
            raise Refusal(ErrorCode.CONFLICT, "Another offer of this session is being answered")
        self._answering.add(session_id)
        try:
            known = self._connections.get(session_id, "")
            if known:
                restart = request.restart or request.pc_id != known
                return await self._go_on(Offer(sdp=request.sdp, pc_id=known, restart=restart, owner=session_id))
            body = (await self._sessions.find(session_id)).body
            return await self._accept(scope, request, session_id, body, owner=session_id)
        finally:
            self._answering.discard(session_id)

    async def _accept(
        self, scope: Scope, request: OfferRequest, session_id: str, body: Mapping[str, Any], *, owner: str
    ) -> Accepted:
        if not (request.pc_id and self._peers.knows(request.pc_id, owner)):
            self._arrivals.admit()
        accepted = await self._asked(Offer(sdp=request.sdp, pc_id=request.pc_id, restart=request.restart, owner=owner))
        if accepted.transport is not None:
            if owner:
                self._connections[owner] = accepted.pc_id
            info = facts_of(scope, session_id, "webrtc", {**body, **request.data})
            self._arrivals.by_peer(accepted.transport, info, lambda: self._over(owner, accepted.pc_id))
        return accepted

    async def _go_on(self, offer: Offer) -> Accepted:
        """With the call of a session. Its connection is lost a little earlier than the call is over; a second call must
        not begin beside it."""
        if self._peers.knows(offer.pc_id, offer.owner):
            accepted = await self._asked(offer)
            if accepted.transport is None:
                return accepted
            await accepted.transport.close("", "")
        raise not_found()

    async def _asked(self, offer: Offer) -> Accepted:
        try:
            return await self._peers.accept(offer)
        except ValueError as error:
            details = [("sdp", str(error))]
            raise Refusal(ErrorCode.VALIDATION_ERROR, "The offer cannot be used", details=details) from error
        except ProviderUnavailable as error:
            raise come_again(str(error)) from error

    async def trickle(self, pc_id: str, candidates: Sequence[Candidate]) -> None:
        """Candidates of a peer without a session. Raises Refusal: no such connection."""
        await self._add(pc_id, "", candidates)

    async def trickle_session(self, session_id: str, pc_id: str, candidates: Sequence[Candidate]) -> None:
        """The same for the peer of a session. Raises Refusal, StoreError."""
        session_id = canonical(session_id)
        if session_id not in self._connections:
            await self._sessions.find(session_id)
        await self._add(pc_id or self._connections.get(session_id, ""), session_id, candidates)

    async def _add(self, pc_id: str, owner: str, candidates: Sequence[Candidate]) -> None:
        if candidates and not await self._peers.add_candidates(pc_id, owner, candidates):
            raise Refusal(ErrorCode.NOT_FOUND, "Connection not found", details=[("pc_id", "unknown")])

    def _over(self, owner: str, pc_id: str) -> None:
        if self._connections.get(owner) == pc_id:
            del self._connections[owner]


def parse_offer(raw: bytes, named: str) -> OfferRequest:
    """The body of an offer; `named` is the field that the route's own convention has for it, "offer" or "sdp". Raises
    Refusal."""
    given = json_object(raw)
    value = next((given[name] for name in (named, "sdp", "offer") if given.get(name)), "")
    form = "object" if isinstance(value, Mapping) else "raw"
    if isinstance(value, str) and value.lstrip().startswith("{"):
        form, value = "string", json_object(value)
    kind = given.get("type")
    if isinstance(value, Mapping):
        kind, value = value.get("type", kind), value.get("sdp")
    wrong = [
        (name, f"must be {what}")
        for name, kinds, what in (
            ("pc_id", str, "a string"),
            ("restart_pc", bool, "true or false"),
            ("request_data", Mapping, "an object"),
            ("requestData", Mapping, "an object"),
        )
        if given.get(name) is not None and not isinstance(given[name], kinds)
    ]
    pc_id = given.get("pc_id") or ""
    if isinstance(pc_id, str) and len(pc_id) > MAX_NAME:
        wrong.append(("pc_id", f"must have at most {MAX_NAME} characters"))
    if kind not in (None, "offer"):
        wrong.append(("type", 'must be "offer"'))
    if not isinstance(value, str) or not value.strip():
        what = {"sdp": "SDP"}.get(named, named)
        raise Refusal(ErrorCode.VALIDATION_ERROR, f"Missing or empty {what}", details=[(named, "required"), *wrong])
    if wrong:
        raise Refusal(ErrorCode.VALIDATION_ERROR, " ".join(wrong[0]), details=wrong)
    data = given.get("request_data")
    return OfferRequest(
        sdp=value,
        form=form,
        pc_id=pc_id,
        restart=given.get("restart_pc") or False,
        data=(given.get("requestData") or {}) if data is None else data,
    )


def description(sdp: str, form: str) -> Any:
    """Our answer in the form that the client uses."""
    if form == "raw":
        return sdp
    written = {"type": "answer", "sdp": sdp}
    return json.dumps(written) if form == "string" else written


def parse_candidates(raw: bytes) -> tuple[str, list[Candidate]]:
    """The connection's id and the candidates of a PATCH; "" and none where they are left out. Odd candidates are
    skipped. Raises Refusal."""
    given = json_object(raw)
    given = {"pc_id": "", "candidates": [], **{name: value for name, value in given.items() if value is not None}}
    pc_id, listed = given["pc_id"], given["candidates"]
    if not isinstance(pc_id, str) or len(pc_id) > MAX_NAME:
        details = [("pc_id", f"must be a string of at most {MAX_NAME} characters")]
        raise Refusal(ErrorCode.VALIDATION_ERROR, "pc_id is wrong", details=details)
    if not isinstance(listed, list) or len(listed) > MAX_CANDIDATES:
        details = [("candidates", f"must be a list of at most {MAX_CANDIDATES}")]
        raise Refusal(ErrorCode.VALIDATION_ERROR, "candidates is wrong", details=details)
    found = [_candidate(entry) for entry in listed if isinstance(entry, Mapping)]
    return pc_id, [each for each in found if each is not None]


def _candidate(entry: Mapping[str, Any]) -> Candidate | None:
    text = entry.get("candidate")
    mid = entry.get("sdp_mid", entry.get("sdpMid"))
    line = entry.get("sdp_mline_index", entry.get("sdpMLineIndex"))
    if not isinstance(text, str) or len(text) > MAX_CANDIDATE:
        return None
    return Candidate(
        candidate=text,
        sdp_mid=mid if isinstance(mid, str) else None,
        sdp_mline_index=line if isinstance(line, int) and not isinstance(line, bool) else None,
    )
