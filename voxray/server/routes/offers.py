"""WebRTC over HTTP: offers, for sessions and without one, and the candidates that trickle in after them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from voxray.errors import StoreError
from voxray.protocols.peers import Accepted
from voxray.server.bodies import read_body
from voxray.server.envelope import (
    Receive,
    Scope,
    Send,
    come_again,
    merged_success,
    no_content,
    respond,
)
from voxray.server.offers import (
    MAX_CANDIDATES,
    MAX_NAME,
    OfferRequest,
    Offers,
    description,
    parse_candidates,
    parse_offer,
)
from voxray.server.routes.endpoint import Doc, Endpoint, optional

logger = logging.getLogger(__name__)

_SDP = "\r\n".join(
    (
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:EsAw",
        "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1",
        "a=fingerprint:sha-256 " + ":".join(["4F"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "",
    )
)
_PC_ID = {
    "type": "string",
    "maxLength": MAX_NAME,
    "description": "the connection to go on with, as the answer to its first offer named it",
}
_TYPE = {"type": "string", "enum": ["offer"]}
_SESSION = {"session_id": {"format": "uuid", "description": "as POST /start answered it"}}


def _offered(named: str) -> dict[str, Any]:
    """The schema of an offer; `named` is the field that the route's convention has for the description."""
    other = {"offer": "sdp", "sdp": "offer"}[named]
    described = {
        "type": ["string", "object"],
        "pattern": r"\S",
        "required": ["sdp"],
        "properties": {"sdp": {"type": "string", "pattern": r"\S"}, **optional({"type": _TYPE})},
        "description": "SDP, or a session description of type offer, as an object or as JSON in a string",
    }
    more: dict[str, dict[str, Any]] = {
        other: {"description": f"another name of {named}"},
        "type": _TYPE,
        "pc_id": _PC_ID,
        "restart_pc": {"type": "boolean", "description": "replace the connection, keep the call"},
        "request_data": {"type": "object", "description": "reaches the call, over what POST /start was told"},
        "requestData": {"type": "object", "description": "the same; request_data wins"},
    }
    return {
        "type": "object",
        "required": [named],
        "properties": {named: described, **optional(more)},
        "example": {named: _SDP, "type": "offer"},
    }


_ANSWER = {
    "type": "object",
    "required": ["answer", "sdp", "type", "pc_id"],
    "properties": {
        "answer": {"type": ["string", "object"], "description": "our description, in the form of the offer"},
        "sdp": {"type": "string"},
        "type": {"type": "string", "enum": ["answer"]},
        "pc_id": {"type": "string"},
    },
}
_REFUSED = {
    400: ("The body is no JSON object, or the session id no UUID", None),
    422: ("The description is missing or cannot be used", None),
    503: ("No call can be taken now; see Retry-After", None),
}
OFFER = Doc(
    summary="Connect by WebRTC",
    description="All candidates of the server stand in the answer. The same `pc_id` again renegotiates.",
    tags=("calls",),
    request=_offered("offer"),
    responses={200: ("The answer", _ANSWER), **_REFUSED},
    merged=True,
)
SESSION_OFFER = Doc(
    summary="Connect the WebRTC peer of a session",
    description="The session is one of POST /start. Further offers of it go on with its call.",
    tags=("calls",),
    path=_SESSION,
    request=_offered("sdp"),
    responses={
        200: ("The answer", _ANSWER),
        404: ("There is no such session any more", None),
        409: ("Another offer of this session is being answered", None),
        **_REFUSED,
    },
    merged=True,
)
TRICKLE = Doc(
    summary="Candidates of a WebRTC peer",
    description="Candidates that make no sense are skipped; nothing at all is fine.",
    tags=("calls",),
    request={
        "type": "object",
        "properties": {
            "pc_id": {**_PC_ID, "x-nullable": True},
            "candidates": {
                "type": "array",
                "x-nullable": True,
                "maxItems": MAX_CANDIDATES,
                "items": {
                    "type": "object",
                    "properties": {
                        "candidate": {"type": "string", "description": "empty: there are no more"},
                        "sdp_mid": {"type": "string", "description": "or sdpMid"},
                        "sdp_mline_index": {"type": "integer", "description": "or sdpMLineIndex"},
                    },
                },
            },
        },
    },
    responses={
        204: ("Taken", None),
        400: _REFUSED[400],
        404: ("There is no such connection or session", None),
        422: ("pc_id or candidates is of the wrong kind", None),
    },
)


def offer_endpoints(offers: Offers) -> list[Endpoint]:
    """`/webrtc/offer`, its other name `/api/offer`, and the same for the peers of sessions; with their twins."""
    routes = _OfferRoutes(offers)
    plain = {"POST": partial(routes.offer, "offer"), "PATCH": routes.trickle}
    return [
        _endpoint("webrtc_offer", "/webrtc/offer", "/webrtc/offer", plain, OFFER),
        _endpoint("api_offer", "/api/offer", "", plain, OFFER),
        _endpoint(
            "session_offer",
            "/sessions/{session_id}/api/offer",
            "/sessions/{session_id}/offer",
            {"POST": partial(routes.offer, "sdp"), "PATCH": routes.trickle},
            SESSION_OFFER,
        ),
    ]


def _endpoint(name: str, path: str, versioned: str, handlers: dict[str, Any], offer: Doc) -> Endpoint:
    trickle = replace(TRICKLE, path=offer.path)
    docs = {"POST": offer, "PATCH": trickle}
    return Endpoint(
        name=name,
        path=path,
        versioned=versioned,
        handlers=handlers,
        docs=docs,
        keyed=True,
        cors=True,
        plain_errors=True,
    )


class _OfferRoutes:
    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    async def offer(self, named: str, scope: Scope, receive: Receive, send: Send) -> None:
        request = parse_offer(await read_body(receive), named)
        accepted = await self._stored(partial(self._answer, scope, request))
        data = {
            "answer": description(accepted.sdp, request.form),
            "sdp": accepted.sdp,
            "type": "answer",
            "pc_id": accepted.pc_id,
        }
        await respond(scope, send, 200, merged_success(scope, data))

    async def _answer(self, scope: Scope, request: OfferRequest) -> Accepted:
        session_id = _session_id(scope)
        if session_id is None:
            return await self._offers.answer(scope, request)
        return await self._offers.answer_session(scope, session_id, request)

    async def trickle(self, scope: Scope, receive: Receive, send: Send) -> None:
        pc_id, candidates = parse_candidates(await read_body(receive))
        session_id = _session_id(scope)
        if session_id is None:
            await self._offers.trickle(pc_id, candidates)
        else:
            await self._stored(lambda: self._offers.trickle_session(session_id, pc_id, candidates))
        await no_content(send)

    async def _stored(self, work: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await work()
        except StoreError as error:
            logger.error("a session could not be looked up", extra={"error": str(error)})
            raise come_again("Session store unavailable") from error


def _session_id(scope: Scope) -> str | None:
    found: str | None = scope.get("path_params", {}).get("session_id")
    return found
