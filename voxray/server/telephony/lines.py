"""The carriers of this server: their webhooks, their media sockets, and calls placed through them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import anyio
import httpx
from anyio.abc import TaskGroup

from voxray.config.settings import TelephonySettings
from voxray.protocols.carrier import Carrier, CarrierRequest, Dial, PhoneCall, StreamOffer, Webhook, WebhookAnswer
from voxray.protocols.storage import SessionStore
from voxray.server.metrics import Metrics
from voxray.server.telephony.announced import DIAL_SECS, Announced, Announcement
from voxray.server.telephony.rest import CarrierApi

logger = logging.getLogger(__name__)

SOCKET_PATH = "/telephony/ws"
NEWS = frozenset({"status", "machine", "stream", "ended"})  # the kinds of CallEvent
MAX_NEWS = 100  # characters of a carrier's words in a log line


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the world reaches this server."""

    scheme: str  # "http" or "https"
    host: str

    def url(self, path: str) -> str:
        return f"{self.scheme}://{self.host}{path}"

    def socket(self, path: str) -> str:
        return f"{'wss' if self.scheme == 'https' else 'ws'}://{self.host}{path}"


class Lines:
    """All carriers of one server. Knows no sockets and no frameworks: routes and sockets ask it."""

    def __init__(
        self,
        carriers: Sequence[Carrier],
        settings: TelephonySettings,
        store: SessionStore,
        http: httpx.AsyncClient,
        metrics: Metrics,
        tasks: TaskGroup,
        *,
        refusal: Callable[[], str],
    ) -> None:
        self.carriers = {carrier.name: carrier for carrier in carriers}
        self.settings = settings
        self.announced = Announced(store)
        self._apis = {carrier.name: CarrierApi(carrier.name, http, metrics) for carrier in carriers}
        self._metrics = metrics
        self._tasks = tasks
        self._refusal = refusal

    # ── webhooks ──

    def claimed_by(self, webhook: Webhook) -> Carrier | None:
        """The carrier that sent this, where the path does not say."""
        if len(self.carriers) == 1:
            return next(iter(self.carriers.values()))
        return next((carrier for carrier in self.carriers.values() if carrier.claims(webhook)), None)

    async def answer(self, carrier: Carrier, webhook: Webhook, origin: Origin) -> WebhookAnswer | None:
        """Answer a webhook; None if its proof does not hold. Raises ValueError, StoreError."""
        refused = carrier.refusal(webhook)
        if refused:
            self._count(carrier, "refused")
            logger.warning("a webhook was refused", extra={"carrier": carrier.name, "reason": refused})
            return None
        dialled = await self.announced.take(webhook.value("dial"))
        token = self.announced.token()
        answer = carrier.answer(webhook, self.offer(carrier, origin, token))
        if answer.call is not None:
            if self._refusal():
                self._count(carrier, "busy")
                for request in answer.when_busy:
                    self.send(carrier.name, request, purpose="busy", call_id=answer.call.call_id)
                return carrier.busy()
            call, body = answer.call, dict(webhook.query)
            body.pop("dial", None)
            if dialled is not None:
                call, body = replace(call, direction="outbound"), {**body, **dialled.body}
            await self.announced.put(token, Announcement(call, body))
        for request in answer.requests:
            self.send(carrier.name, request, purpose="answer", call_id=answer.call.call_id if answer.call else "")
        if answer.event is not None:
            self._news(carrier, answer)
        self._count(carrier, "answered")
        return answer

    def offer(self, carrier: Carrier, origin: Origin, token: str) -> StreamOffer:
        return StreamOffer(
            url=origin.socket(SOCKET_PATH),
            token=token,
            events_url=origin.url(f"/telephony/{carrier.name}"),
        )

    # ── the REST side ──

    def send(
        self,
        carrier: str,
        request: CarrierRequest | None,
        *,
        purpose: str,
        call_id: str,
        in_turn: anyio.Lock | None = None,
    ) -> bool:
        """Send a request in the background; False if there is none to send. Those that share `in_turn` wait for each
        other."""
        if request is None:
            return False

        async def sending() -> None:
            async with in_turn or nullcontext():
                await self._apis[carrier].try_send(request, purpose=purpose, call_id=call_id)

        self._tasks.start_soon(sending)
        return True

    async def dial(self, carrier: Carrier, to: str, caller: str, origin: Origin, body: Mapping[str, Any]) -> str:
        """Place a call; returns the carrier's id of it. `body` reaches the session.

        Raises:
            ValueError: this carrier cannot, or something is missing.
            ProviderError, StoreError: it did not work.
        """
        token, stream = self.announced.token(), self.announced.token()
        offer = self.offer(carrier, origin, stream)
        answer_url = origin.url(f"/telephony/{carrier.name}?dial={token}")
        request = carrier.dial(
            Dial(
                to=to,
                caller=caller or self.settings.caller_id,
                offer=offer,
                answer_url=answer_url,
                machine_detection=self.settings.machine_detection,
            )
        )
        call = PhoneCall(carrier=carrier.name, call_id="", caller=caller, callee=to, direction="outbound")
        await self.announced.put(token, Announcement(call, body), ttl_secs=DIAL_SECS)
        await self.announced.put(stream, Announcement(call, body), ttl_secs=DIAL_SECS)  # for carriers without webhook
        return carrier.dialled(await self._apis[carrier.name].send(request, purpose="dial"))

    # ── news ──

    def _news(self, carrier: Carrier, answer: WebhookAnswer) -> None:
        event = answer.event
        assert event is not None
        kind = event.kind if event.kind in NEWS else "other"
        logger.info(
            "news of a phone call",
            extra={
                "carrier": carrier.name,
                "call_id": event.call_id[:MAX_NEWS],
                "kind": kind,
                "value": event.value[:MAX_NEWS],
            },
        )
        self._metrics.count("carrier_events_total", carrier.name, kind)

    def _count(self, carrier: Carrier, outcome: str) -> None:
        self._metrics.count("carrier_webhooks_total", carrier.name, outcome)


def facts(call: PhoneCall) -> dict[str, Any]:
    """A phone call as plain data, for a session's body; empty fields are left out."""
    return {name: value for name, value in asdict(call).items() if value}
