"""Telnyx as a carrier: TeXML and Call Control, told apart by the webhook that comes."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

from voxray.errors import ProviderRefused
from voxray.protocols.carrier import (
    CarrierRequest,
    Dial,
    PhoneCall,
    StreamOffer,
    StreamStart,
    Webhook,
    WebhookAnswer,
)
from voxray.protocols.context import ProviderContext
from voxray_telnyx.codecs import G711_RATE, audio_of
from voxray_telnyx.fields import parsed, parsed_json, part, text
from voxray_telnyx.news import control_event, form_event
from voxray_telnyx.proof import public_key, refusal
from voxray_telnyx.serializer import TelnyxSerializer, Wanted
from voxray_telnyx.stream_fields import command_stream, document, texml_stream

XML = "application/xml"
TOKEN_HEADER = "x-telnyx-streaming-auth-token"
SEEN = 4096  # webhooks remembered: they are repeated within seconds
OVER = (404, 422)  # 422 is what a command gets whose call has ended (error code 90018)
DTMF = frozenset("0123456789ABCD*#wW")


class TelnyxCarrier:
    """See `voxray.protocols.carrier.Carrier`.

    Keeps no calls. Of Call Control webhooks it remembers the last ids, because Telnyx repeats them.
    """

    name = "telnyx"
    proves_streams = False

    def __init__(
        self,
        context: ProviderContext,
        *,
        codec: str = "PCMU",
        l16_sample_rate: int = 16_000,
        l16_byte_order: str = "auto",
        dial_by: str = "call_control",
        connection_id: str = "",
        texml_account_sid: str = "",
        texml_application_sid: str = "",
        machine_detection: str = "detect",
    ) -> None:
        self._api_key = context.secret("api_key")
        written = context.secret("public_key")
        try:
            self._public_key = public_key(written) if written else None
        except ValueError as error:
            raise ProviderRefused("telnyx", f"telnyx_public_key {error}; copy it from the portal") from error
        self._base_url = context.base_url.rstrip("/")
        self._codec = codec
        self._rate_hz = l16_sample_rate if codec == "L16" else G711_RATE
        self._wanted = Wanted(audio=audio_of(codec, self._rate_hz), byte_order=l16_byte_order)
        self._dial_by = dial_by
        self._connection_id = connection_id
        self._account_sid = texml_account_sid
        self._application_sid = texml_application_sid
        self._machine_detection = machine_detection
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.transfers = bool(self._api_key)
        self.sends_dtmf = bool(self._api_key)

    # ── webhooks ──

    def claims(self, webhook: Webhook) -> bool:
        if "telnyx-signature-ed25519" in webhook.headers or "telnyx-timestamp" in webhook.headers:
            return True
        if webhook.value("CallSidLegacy") or webhook.value("CallSid").startswith("v3:"):
            return True
        try:
            data = part(parsed_json(webhook.body), "data")
        except ValueError:
            return False
        return text(data, "record_type") == "event" and "event_type" in data

    def refusal(self, webhook: Webhook) -> str:
        return "" if self._public_key is None else refusal(webhook, self._public_key)

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        if webhook.value("CallSid"):
            return self._answer_texml(webhook, offer)
        try:
            data = part(parsed_json(webhook.body), "data")
        except ValueError as error:
            raise ValueError("neither a TeXML form with a CallSid nor a Call Control event") from error
        return self._answer_control(data, part(parsed_json(webhook.body), "meta"), offer)

    def _answer_texml(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        event = form_event(webhook)
        if event is not None:
            return WebhookAnswer(event=event)
        call = PhoneCall(
            carrier=self.name,
            call_id=webhook.value("CallSid"),
            account_id=webhook.value("AccountSid"),
            caller=webhook.value("From"),
            callee=webhook.value("To"),
            direction="outbound" if webhook.value("Direction").startswith("outbound") else "inbound",
            details=_given(connection_id=webhook.value("ConnectionId"), caller_id=webhook.value("CallerId")),
        )
        return WebhookAnswer(body=texml_stream(offer, self._codec, self._rate_hz), media_type=XML, call=call)

    def _answer_control(self, data: Mapping[str, Any], meta: Mapping[str, Any], offer: StreamOffer) -> WebhookAnswer:
        kind, payload, event_id = text(data, "event_type"), part(data, "payload"), text(data, "id")
        call_id = text(payload, "call_control_id")
        if not kind or not call_id:
            raise ValueError("an event without a type or a call")
        incoming = kind == "call.initiated" and text(payload, "direction") == "incoming"
        # A second attempt means that our first answer did not arrive. Answering a call twice does no harm: both
        # commands have the same id.
        if self._repeated(event_id) and not (incoming and text(meta, "attempt") not in ("", "1")):
            return WebhookAnswer()
        if not incoming:
            return WebhookAnswer(event=control_event(kind, payload))
        call = PhoneCall(
            carrier=self.name,
            call_id=call_id,
            caller=text(payload, "from"),
            callee=text(payload, "to"),
            details=_given(
                call_session_id=text(payload, "call_session_id"), connection_id=text(payload, "connection_id")
            ),
        )
        if not self._api_key:
            raise ValueError("a call by Call Control is answered by REST, which needs telnyx_api_key")
        fields = command_stream(offer, self._codec, self._rate_hz)
        answer = self._action(call, "answer", {**fields, "command_id": _digest(f"answer {event_id} {call_id}")})
        busy = self._action(call, "reject", {"cause": "USER_BUSY"})
        return WebhookAnswer(call=call, requests=(answer,), when_busy=(busy,))

    def _repeated(self, event_id: str) -> bool:
        if not event_id:
            return False
        repeated = event_id in self._seen
        self._seen[event_id] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return repeated

    def busy(self) -> WebhookAnswer:
        response = ET.Element("Response")
        ET.SubElement(response, "Reject", {"reason": "busy"})
        return WebhookAnswer(body=document(response), media_type=XML)

    # ── the media socket ──

    def recognize(self, messages: Sequence[str | bytes], headers: Mapping[str, str]) -> StreamStart | None:
        connected: Mapping[str, Any] = {}
        for place, message in enumerate(messages):
            try:
                data = parsed(message)
            except ValueError:
                continue
            start = part(data, "start")
            if text(data, "event") == "connected":
                connected = data
            if not text(data, "stream_id") or not text(start, "call_control_id"):
                continue
            serializer = TelnyxSerializer(data, self._wanted)
            for other in (*messages[:place], *messages[place + 1 :]):
                serializer.keep(other)
            token = headers.get(TOKEN_HEADER, "") or text(connected, TOKEN_HEADER)
            return StreamStart(call=self._started(data, start, token), serializer=serializer)
        return None

    def _started(self, data: Mapping[str, Any], start: Mapping[str, Any], token: str) -> PhoneCall:
        parameters = _parameters(start.get("custom_parameters"))
        if token and not parameters.get("token"):
            parameters["token"] = token
        return PhoneCall(
            carrier=self.name,
            call_id=text(start, "call_control_id"),
            stream_id=text(data, "stream_id"),
            account_id=text(start, "user_id"),
            caller=text(start, "from"),
            callee=text(start, "to"),
            parameters=parameters,
            details=_given(
                call_session_id=text(start, "call_session_id"),
                client_state=text(start, "client_state"),
                encoding=text(part(start, "media_format"), "encoding"),
            ),
        )

    # ── REST ──

    def hang_up(self, call: PhoneCall) -> CarrierRequest | None:
        return self._action(call, "hangup", {}) if self._api_key and call.call_id else None

    def transfer(self, call: PhoneCall, to: str) -> CarrierRequest | None:
        return self._action(call, "transfer", {"to": to, "command_id": _unique()}, ()) if self._api_key else None

    def send_dtmf(self, call: PhoneCall, digits: str) -> CarrierRequest | None:
        if not self._api_key or not digits or not DTMF.issuperset(digits):
            return None
        return self._action(call, "send_dtmf", {"digits": digits, "command_id": _unique()})

    def dial(self, dial: Dial) -> CarrierRequest:
        if not self._api_key:
            raise ValueError("telnyx_api_key is missing")
        if not dial.caller:
            raise ValueError("no number to call from; set telephony.caller_id")
        return self._dial_texml(dial) if self._dial_by == "texml" else self._dial_control(dial)

    def _dial_control(self, dial: Dial) -> CarrierRequest:
        if not self._connection_id:
            raise ValueError("providers.telnyx.carrier.connection_id is missing: the Call Control application's id")
        fields: dict[str, object] = {
            "connection_id": self._connection_id,
            "to": dial.to,
            "from": dial.caller,
            "timeout_secs": dial.timeout_secs,
            "webhook_url": dial.answer_url,
            "webhook_url_method": "POST",
            "command_id": _digest(f"dial {dial.offer.token}"),
            **command_stream(dial.offer, self._codec, self._rate_hz),
        }
        if dial.machine_detection:
            fields["answering_machine_detection"] = self._machine_detection
        return CarrierRequest(
            method="POST", url=f"{self._base_url}/calls", headers=self._headers(), json=fields, gone=()
        )

    def _dial_texml(self, dial: Dial) -> CarrierRequest:
        if not self._account_sid or not self._application_sid:
            raise ValueError(
                "providers.telnyx.carrier needs texml_account_sid and texml_application_sid to dial by TeXML"
            )
        form = [
            ("To", dial.to),
            ("From", dial.caller),
            ("ApplicationSid", self._application_sid),
            ("Url", dial.answer_url),
            ("Timeout", str(dial.timeout_secs)),
        ]
        if dial.offer.events_url:
            form += [("StatusCallback", _with(dial.offer.events_url, news="call"))]
        if dial.machine_detection:
            mode = "Premium" if self._machine_detection == "premium" else "Regular"
            form += [("MachineDetection", "Enable"), ("DetectionMode", mode), ("AsyncAmd", "true")]
            if dial.offer.events_url:
                form += [("AsyncAmdStatusCallback", _with(dial.offer.events_url, news="machine"))]
        url = f"{self._base_url}/texml/Accounts/{quote(self._account_sid, safe='')}/Calls"
        return CarrierRequest(method="POST", url=url, headers=self._headers(), form=form, gone=())

    def dialled(self, answer: Mapping[str, object]) -> str:
        for data in (part(answer, "data"), answer):
            for name in ("call_control_id", "sid", "call_sid", "CallSid"):
                if found := text(data, name):
                    return found
        raise ValueError("the answer to dialling names no call")

    def _action(
        self, call: PhoneCall, action: str, fields: Mapping[str, object], gone: Sequence[int] = OVER
    ) -> CarrierRequest:
        url = f"{self._base_url}/calls/{quote(call.call_id, safe='')}/actions/{action}"
        return CarrierRequest(method="POST", url=url, headers=self._headers(), json=dict(fields), gone=gone)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api_key}"}


def _parameters(custom: object) -> dict[str, str]:
    """An object, or the list of names and values that we sent."""
    if isinstance(custom, list):
        return {text(it, "name"): text(it, "value") for it in custom if isinstance(it, dict)}
    if not isinstance(custom, dict):
        return {}
    return {name.encode(errors="replace").decode(): text(custom, name) for name in custom}


def _given(**facts: str) -> dict[str, str]:
    return {name: value for name, value in facts.items() if value}


def _with(url: str, **query: str) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"


def _digest(of: str) -> str:
    return hashlib.sha256(of.encode(errors="replace")).hexdigest()[:32]


def _unique() -> str:
    """An id for one command, however often it is sent: what is done twice would be heard twice."""
    return secrets.token_hex(16)
