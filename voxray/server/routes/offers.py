"""WebRTC over HTTP: offers, for sessions and without one, and the candidates that trickle in after them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from voxray.errors import StoreError
from voxray.protocols.peers import Accepted
from voxray.server.bodies import read_body
from voxray.server.envelope import (
    ErrorCode,
    Receive,
    Refusal,
    Scope,
    Send,
    merged_success,
    no_content,
    respond,
)
from voxray.server.offers import OfferRequest, Offers, description, parse_candidates, parse_offer
from voxray.server.routes.endpoint import Doc, Endpoint

logger = logging.getLogger(__name__)

_DESCRIPTION = {
    "description": "SDP, or a session description of type offer, as an object or as JSON in a string",
    "example": "v=0\r\n…",
}
_PC_ID = {"type": "string", "description": "the connection to go on with, as the answer to its first offer named it"}
_OFFER = {
    "type": "object",
    "properties": {
        "offer": _DESCRIPTION,
        "sdp": {"type": "string", "description": "the same as offer, for raw SDP"},
        "type": {"type": "string", "enum": ["offer"]},
        "pc_id": _PC_ID,
        "restart_pc": {"type": "boolean", "description": "replace the connection, keep the call"},
        "request_data": {"type": "object", "description": "reaches the call, over what POST /start was told"},
        "requestData": {"type": "object", "description": "the same; request_data wins"},
    },
}
_ANSWER = {
    "type": "object",
    "properties": {
        "answer": {"description": "our description, in the form of the offer"},
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
    request=_OFFER,
    responses={200: ("The answer", _ANSWER), **_REFUSED},
    merged=True,
)
SESSION_OFFER = Doc(
    summary="Connect the WebRTC peer of a session",
    description="The session is one of POST /start. Further offers of it go on with its call.",
    tags=("calls",),
    request=_OFFER,
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
            "pc_id": _PC_ID,
            "candidates": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "candidate": {"type": "string"},
                        "sdp_mid": {"type": "string"},
                        "sdp_mline_index": {"type": "integer"},
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
    docs = {"POST": offer, "PATCH": TRICKLE}
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
            unavailable = ErrorCode.SERVICE_UNAVAILABLE
            raise Refusal(unavailable, "Session store unavailable", headers={"Retry-After": "5"}) from error


def _session_id(scope: Scope) -> str | None:
    found: str | None = scope.get("path_params", {}).get("session_id")
    return found
