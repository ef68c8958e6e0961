"""Plivo as a carrier: webhooks with Plivo XML, audio streams, and its REST API.

Sources: https://www.plivo.com/docs/voice/xml, …/voice/api/call
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from voxray.audio.format import AudioFormat
from voxray.protocols.carrier import (
    CallEvent,
    CarrierRequest,
    Dial,
    PhoneCall,
    StreamOffer,
    StreamStart,
    Webhook,
    WebhookAnswer,
)
from voxray.protocols.context import ProviderContext
from voxray.wire.fields import parsed, part, text_of
from voxray_plivo import signature, xml
from voxray_plivo.serializer import FORMATS, PlivoSerializer, format_of

OVER = ("completed", "busy", "failed", "timeout", "no-answer", "cancel", "canceled", "rejected")
STREAM_EVENTS = ("StartStream", "StopStream", "PlayedStream", "ClearedAudio", "DroppedStream", "DegradedStream")
SEEN = 204  # to a callback, which wants no document
TRANSFER = "transfer"  # query parameter of the address where Plivo fetches what to do with a caller handed on


class PlivoCarrier:
    """Without credentials it takes calls that nobody has proved to be Plivo's, and ends them by closing the stream."""

    name = "plivo"
    transfers: bool
    sends_dtmf = True
    proves_streams = False

    def __init__(
        self,
        context: ProviderContext,
        *,
        content_type: str = "audio/x-mulaw;rate=8000",
        machine_detection_time_ms: int = 5000,
    ) -> None:
        self._base_url = context.base_url
        self._auth_id = context.secret("auth_id")
        auth_token = context.secret("auth_token")
        self._proofs = {
            "x-plivo-signature-v3": auth_token,
            "x-plivo-signature-ma-v3": context.secret("main_auth_token"),
        }
        self._authorization = ""
        if self._auth_id and auth_token:
            credentials = base64.b64encode(f"{self._auth_id}:{auth_token}".encode()).decode()
            self._authorization = f"Basic {credentials}"
        self._content_type = content_type
        self._machine_detection_time_ms = machine_detection_time_ms
        self.transfers = bool(self._authorization)

    # ── webhooks ──

    def claims(self, webhook: Webhook) -> bool:
        signed = any(name in webhook.headers for name in self._proofs)
        return signed or bool(webhook.value("CallUUID") or webhook.value("RequestUUID"))

    def refusal(self, webhook: Webhook) -> str:
        secrets = {header: secret for header, secret in self._proofs.items() if secret}
        if not secrets:
            return ""
        nonce = webhook.headers.get("x-plivo-signature-v3-nonce", "")
        given = {header: webhook.headers.get(header, "") for header in secrets}
        if not nonce or not any(given.values()):
            return "no X-Plivo-Signature-V3 or no nonce"
        if webhook.body and not webhook.form:
            return "the body is not covered by the signature"
        form = webhook.form if webhook.method != "GET" else ()
        good = [
            signature.accepted((secret,), given[header], webhook.url, webhook.query, form, nonce)
            for header, secret in secrets.items()
        ]
        return "" if any(good) else f"X-Plivo-Signature-V3 does not fit {webhook.url}"

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        call_id = webhook.value("CallUUID") or webhook.value("RequestUUID")
        if not call_id:
            raise ValueError("a webhook without CallUUID")
        if event := _news(webhook, call_id):
            return WebhookAnswer(status=SEEN, event=event)
        to = next((value for name, value in webhook.query if name == TRANSFER), "")
        if to:
            return WebhookAnswer(body=xml.dial(to), media_type=xml.MEDIA_TYPE)
        parameters = {**offer.parameters, "token": offer.token} if offer.token else offer.parameters
        url = offer.url
        if offer.token:
            url += ("&" if "?" in url else "?") + urlencode({"token": offer.token})
        return WebhookAnswer(
            body=xml.stream(url, self._content_type, parameters, offer.events_url),
            media_type=xml.MEDIA_TYPE,
            call=self._call(webhook, call_id, offer),
            event=_verdict(webhook, call_id),
        )

    def _call(self, webhook: Webhook, call_id: str, offer: StreamOffer) -> PhoneCall:
        names = ("ForwardedFrom", "CallerName", "RequestUUID", "ALegUUID", "ParentAuthID")
        sip = {name: value for name, value in (*webhook.form, *webhook.query) if name.startswith("X-PH-")}
        return PhoneCall(
            carrier=self.name,
            call_id=call_id,
            caller=webhook.value("From"),
            callee=webhook.value("To"),
            direction="outbound" if webhook.value("Direction") == "outbound" else "inbound",
            # Where a transfer can be served from: Plivo fetches what to do with the caller from us.
            details={**_present(webhook, *names), **sip, "events_url": offer.events_url},
        )

    def busy(self) -> WebhookAnswer:
        return WebhookAnswer(body=xml.hang_up_busy(), media_type=xml.MEDIA_TYPE)

    # ── the media socket ──

    def recognize(self, messages: Sequence[str | bytes], headers: Mapping[str, str]) -> StreamStart | None:
        for message in messages:
            try:
                data = parsed(message)
            except ValueError:
                continue
            start = part(data, "start")
            stream_id, call_id = text_of(start.get("streamId")), text_of(start.get("callId"))
            if data.get("event") == "start" and stream_id and call_id:
                audio = format_of(start, self._audio())
                call = PhoneCall(
                    carrier=self.name,
                    call_id=call_id,
                    stream_id=stream_id,
                    account_id=text_of(start.get("accountId")),
                    parameters=_parameters(data, start),
                )
                return StreamStart(call=call, serializer=PlivoSerializer(stream_id, call_id, audio))
        return None

    def _audio(self) -> AudioFormat:
        encoding, _, rate = self._content_type.partition(";rate=")
        return FORMATS[encoding, rate]

    # ── REST ──

    def hang_up(self, call: PhoneCall) -> CarrierRequest | None:
        """None without credentials: closing the stream ends the call, since our XML ends there."""
        return self._request("DELETE", call, None)

    def transfer(self, call: PhoneCall, to: str) -> CarrierRequest | None:
        """Plivo then asks our webhook what to do with the caller; only a call that came by the webhook can be moved."""
        ours = call.details.get("events_url", "")
        if not ours:
            return None
        number = to if to.startswith("sip:") else to.removeprefix("+")
        url = f"{ours}{'&' if '?' in ours else '?'}{urlencode({TRANSFER: number})}"
        return self._request("POST", call, {"legs": "aleg", "aleg_url": url, "aleg_method": "POST"})

    def send_dtmf(self, call: PhoneCall, digits: str) -> CarrierRequest | None:
        """None: the stream itself takes keys."""
        return None

    def dial(self, dial: Dial) -> CarrierRequest:
        missing = [
            name
            for name, value in (
                ("plivo_auth_id and plivo_auth_token", self._authorization),
                ("a number to call", dial.to),
                ("a number of ours (telephony.caller_id)", dial.caller),
            )
            if not value
        ]
        if missing:
            raise ValueError(f"plivo cannot place a call without {' and '.join(missing)}")
        body: dict[str, object] = {
            "from": dial.caller.removeprefix("+"),
            "to": dial.to if dial.to.startswith("sip:") else dial.to.removeprefix("+"),
            "answer_url": dial.answer_url,
            "answer_method": "POST",
            "ring_timeout": dial.timeout_secs,
        }
        if dial.offer.events_url:
            body |= {"hangup_url": dial.offer.events_url, "hangup_method": "POST"}
        if dial.machine_detection:
            body |= {"machine_detection": "true", "machine_detection_time": self._machine_detection_time_ms}
            if dial.offer.events_url:  # without an address the call waits for the verdict in silence
                body |= {"machine_detection_url": dial.offer.events_url, "machine_detection_method": "POST"}
        return CarrierRequest(
            method="POST", url=self._url("Call"), headers={"Authorization": self._authorization}, json=body, gone=()
        )

    def dialled(self, answer: Mapping[str, object]) -> str:
        ids = answer.get("request_uuid")
        call_id = text_of(ids[0]) if isinstance(ids, list) and ids else text_of(ids)
        if not call_id:
            raise ValueError("plivo's answer names no call")
        return call_id

    def _request(self, method: str, call: PhoneCall, body: Mapping[str, object] | None) -> CarrierRequest | None:
        if not (self._authorization and call.call_id):
            return None
        return CarrierRequest(
            method=method,
            url=self._url("Call", call.call_id),
            headers={"Authorization": self._authorization},
            json=body,
        )

    def _url(self, *path: str) -> str:
        parts = "/".join(quote(part, safe="") for part in (self._auth_id, *path))
        return f"{self._base_url}/v1/Account/{parts}/"


def _parameters(data: dict[str, object], start: dict[str, object]) -> dict[str, str]:
    for stated in (data.get("extra_headers"), start.get("extra_headers"), start.get("extraHeaders")):
        if isinstance(stated, str):
            return xml.read_extra_headers(text_of(stated))
        if isinstance(stated, dict):
            return xml.read_extra_headers(
                ",".join(f"{text_of(name)}={text_of(value)}" for name, value in stated.items())
            )
    return {}


def _news(webhook: Webhook, call_id: str) -> CallEvent | None:
    """What a callback reports; None for a webhook that wants XML."""
    event, status = webhook.value("Event"), webhook.value("CallStatus")
    if event in STREAM_EVENTS:
        return CallEvent(
            call_id=call_id,
            kind="stream",
            value=event,
            details=_present(webhook, "StreamID", "Name", "StatusReason", "Timestamp"),
        )
    if event == "MachineDetection":
        return _verdict(webhook, call_id)
    if event == "Hangup" or status in OVER:
        names = ("HangupCause", "HangupCauseCode", "HangupSource", "Duration", "BillDuration", "TotalCost")
        return CallEvent(call_id=call_id, kind="ended", value=status or "completed", details=_present(webhook, *names))
    if event == "Ring":
        return CallEvent(call_id=call_id, kind="status", value=status or "ringing")
    return None


def _verdict(webhook: Webhook, call_id: str) -> CallEvent | None:
    machine = webhook.value("Machine").lower()
    if not machine and webhook.value("Event") != "MachineDetection":
        return None
    value = {"true": "machine", "false": "human"}.get(machine, "unknown")
    return CallEvent(
        call_id=call_id, kind="machine", value=value, details=_present(webhook, "IfMachine", "RequestUUID")
    )


def _present(webhook: Webhook, *names: str) -> dict[str, str]:
    return {name: value for name in names if (value := webhook.value(name))}
