"""The HTTP side: carriers' webhooks, and placing calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from voxray.errors import ProviderError, StoreError
from voxray.protocols.carrier import Carrier, Webhook
from voxray.server.bodies import json_object, read_body
from voxray.server.envelope import ErrorCode, Receive, Refusal, Scope, Send, respond, success
from voxray.server.routes.endpoint import Endpoint, Handler
from voxray.server.telephony.address import public_origin, public_url
from voxray.server.telephony.docs import FORM, dial_doc, webhook_doc
from voxray.server.telephony.lines import Lines, Origin

MAX_FIELDS = 500


def phone_endpoints(
    lines: Lines, proxy_host: str, trusted_proxies: Sequence[str], index: Handler | None = None
) -> list[Endpoint]:
    """The webhooks of all carriers, and placing calls. `index` answers who asks for `/` and is no carrier."""
    return _PhoneRoutes(lines, proxy_host, trusted_proxies, index).endpoints()


class _PhoneRoutes:
    def __init__(self, lines: Lines, proxy_host: str, trusted_proxies: Sequence[str], index: Handler | None) -> None:
        self._lines = lines
        self._index = index
        self._proxy_host = proxy_host
        self._trusted_proxies = trusted_proxies

    def endpoints(self) -> list[Endpoint]:
        carriers = self._lines.carriers.values()
        webhooks = [self._webhook(f"telephony_{each.name}", f"/telephony/{each.name}", each) for each in carriers]
        dial = Endpoint(
            name="calls",
            path="",
            versioned="/calls",
            handlers={"POST": self._dial},
            docs={"POST": dial_doc(list(self._lines.carriers))},
            keyed=True,
            cors=True,
        )
        return [self._webhook("telephony_root", "/", None), *webhooks, dial]

    def _webhook(self, name: str, path: str, carrier: Carrier | None) -> Endpoint:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            await self._answer(carrier, scope, receive, send)

        doc = webhook_doc(
            [carrier] if carrier else list(self._lines.carriers.values()), page=path == "/" and bool(self._index)
        )
        got = replace(doc, request=None)
        return Endpoint(name=name, path=path, handlers={"GET": handle, "POST": handle}, docs={"GET": got, "POST": doc})

    def origin(self, scope: Scope) -> Origin:
        return Origin(*public_origin(scope, self._proxy_host, self._trusted_proxies))

    async def _answer(self, carrier: Carrier | None, scope: Scope, receive: Receive, send: Send) -> None:
        origin = self.origin(scope)
        webhook = await read_webhook(scope, receive, origin)
        index = self._index if carrier is None else None
        carrier = carrier or self._lines.claimed_by(webhook)
        if carrier is None or (scope["method"] == "GET" and not carrier.claims(webhook)):
            if scope["method"] != "GET":
                raise Refusal(ErrorCode.BAD_REQUEST, "No carrier of this server sends such a request")
            if index is not None:
                await index(scope, receive, send)
                return
            names = " and ".join(self._lines.carriers)
            await respond(scope, send, 200, success(scope, {"status": f"Bot started with {names}"}))
            return
        try:
            answer = await self._lines.answer(carrier, webhook, origin)
        except ValueError as error:
            raise Refusal(ErrorCode.BAD_REQUEST, f"{carrier.name}: {error}") from error
        except StoreError as error:
            raise Refusal(ErrorCode.SERVICE_UNAVAILABLE, "Session store unavailable") from error
        if answer is None:
            raise Refusal(ErrorCode.FORBIDDEN, "Signature not accepted")
        await respond(scope, send, answer.status, answer.body, content_type=answer.media_type)

    async def _dial(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = parse_dial(await read_body(receive))
        carrier = self._carrier(request.get("carrier", ""))
        body = request.get("body") or {}
        try:
            call_id = await self._lines.dial(carrier, request["to"], request.get("from", ""), self.origin(scope), body)
        except ValueError as error:
            raise Refusal(ErrorCode.VALIDATION_ERROR, str(error)) from error
        except RecursionError as error:
            raise Refusal(ErrorCode.BAD_REQUEST, "The body is nested too deeply") from error
        except (ProviderError, StoreError) as error:
            raise Refusal(ErrorCode.SERVICE_UNAVAILABLE, str(error)) from error
        await respond(scope, send, 201, success(scope, {"callId": call_id, "carrier": carrier.name}))

    def _carrier(self, name: str) -> Carrier:
        carriers = self._lines.carriers
        if not name and len(carriers) == 1:
            return next(iter(carriers.values()))
        if name not in carriers:
            known = ", ".join(carriers)
            raise Refusal(ErrorCode.VALIDATION_ERROR, "Unknown carrier", details=[("carrier", f"one of {known}")])
        return carriers[name]


def parse_dial(body: bytes) -> dict[str, Any]:
    """The fields of `POST /api/v1/calls`. Raises Refusal."""
    parsed = json_object(body)
    wrong = [
        (name, "must be a string") for name in ("to", "from", "carrier") if not isinstance(parsed.get(name, ""), str)
    ]
    if not isinstance(parsed.get("body", {}), dict):
        wrong.append(("body", "must be an object"))
    if not wrong and not parsed.get("to", "").strip():
        wrong.append(("to", "required"))
    if wrong:
        raise Refusal(ErrorCode.VALIDATION_ERROR, "Validation failed", details=wrong)
    return parsed


async def read_webhook(
    scope: Scope, receive: Receive, origin: Origin, clock: Callable[[], float] = time.time
) -> Webhook:
    """The request as carriers' proofs need it: raw body, public address, fields in order with the empty ones."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    body = await read_body(receive)
    form: list[tuple[str, str]] = []
    try:
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        if headers.get("content-type", "").split(";")[0].strip().lower() == FORM:
            form = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise Refusal(ErrorCode.BAD_REQUEST, "The form cannot be read") from error
    return Webhook(
        method=scope["method"],
        url=public_url(scope, (origin.scheme, origin.host)),
        query=query,
        form=form,
        headers=headers,
        body=body,
        at=clock(),
    )
