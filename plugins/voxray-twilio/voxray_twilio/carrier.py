"""Twilio as a carrier: webhooks with TwiML, media streams, and its REST API.

Sources: https://www.twilio.com/docs/voice/twiml, …/voice/api/call-resource, …/voice/answering-machine-detection
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import quote

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
from voxray_twilio import signature, twiml
from voxray_twilio.serializer import TwilioSerializer, check_format

OVER = ("completed", "busy", "failed", "no-answer", "canceled")
MACHINES = {"human": "human", "fax": "fax", "unknown": "unknown"}
STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")
SEEN = 204  # to a callback, which wants no document


class TwilioCarrier:
    """Without credentials it takes calls that nobody has proved to be Twilio's, and ends them by closing the stream."""

    name = "twilio"
    transfers: bool
    sends_dtmf = True  # as tones: Twilio has no message for keys of ours
    proves_streams: bool

    def __init__(
        self,
        context: ProviderContext,
        *,
        verify_handshake: bool = False,
        machine_detection_mode: str = "Enable",
        machine_detection_timeout_secs: int = 30,
    ) -> None:
        self._base_url = context.base_url
        self._account_id = context.secret("account_sid")
        auth_token, api_key = context.secret("auth_token"), context.secret("api_key")
        self._proofs = tuple(filter(None, (context.secret("webhook_key"), auth_token)))
        user, password = (api_key, context.secret("api_secret")) if api_key else (self._account_id, auth_token)
        self._authorization = ""
        if user and password:
            self._authorization = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        self._machine_detection_mode = machine_detection_mode
        self._machine_detection_timeout_secs = machine_detection_timeout_secs
        self.transfers = bool(self._authorization)
        self.proves_streams = verify_handshake and bool(self._proofs)

    # ── webhooks ──

    def claims(self, webhook: Webhook) -> bool:
        headers = webhook.headers
        if "x-twilio-signature" in headers or headers.get("user-agent", "").startswith("TwilioProxy"):
            return True
        return webhook.value("CallSid").startswith("CA") and webhook.value("AccountSid").startswith("AC")

    def refusal(self, webhook: Webhook) -> str:
        if not self._proofs:
            return ""
        given = webhook.headers.get("x-twilio-signature", "")
        if not given:
            return "no X-Twilio-Signature"
        try:
            algorithm = signature.algorithm_of(webhook.headers.get("x-twilio-webhooks-signature-settings", ""))
        except ValueError as error:
            return str(error)
        form: Sequence[tuple[str, str]] = webhook.form
        claimed_hash = next((value for name, value in webhook.query if name == "bodySHA256"), None)
        if claimed_hash is not None:
            if not hmac.compare_digest(claimed_hash.lower().encode(), signature.body_hash(webhook.body).encode()):
                return "bodySHA256 is not the body's"
            form = ()
        elif webhook.body and not form:
            return "the body is not covered by the signature"
        urls = signature.spellings(webhook.url)
        if not signature.accepted(self._proofs, given, urls, form, algorithm=algorithm):
            return f"X-Twilio-Signature does not fit {webhook.url}"
        return ""

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        call_id = webhook.value("CallSid")
        if not call_id:
            raise ValueError("a webhook without CallSid")
        if event := _news(webhook, call_id):
            return WebhookAnswer(status=SEEN, event=event)
        call = PhoneCall(
            carrier=self.name,
            call_id=call_id,
            account_id=webhook.value("AccountSid"),
            caller=webhook.value("From"),
            callee=webhook.value("To"),
            direction="outbound" if webhook.value("Direction").startswith("outbound") else "inbound",
            details=_details(webhook),
        )
        parameters = {**offer.parameters, "token": offer.token} if offer.token else offer.parameters
        url = offer.url.partition("?")[0]  # Twilio refuses stream addresses with a query (error 31920)
        return WebhookAnswer(
            body=twiml.connect(url, parameters, offer.events_url),
            media_type=twiml.MEDIA_TYPE,
            call=call,
            event=_verdict(webhook, call_id),
        )

    def busy(self) -> WebhookAnswer:
        return WebhookAnswer(body=twiml.reject_busy(), media_type=twiml.MEDIA_TYPE)

    # ── the media socket ──

    def recognize(self, messages: Sequence[str | bytes], headers: Mapping[str, str]) -> StreamStart | None:
        for message in messages:
            try:
                data = parsed(message)
            except ValueError:
                continue
            start = part(data, "start")
            stream_id, call_id = text_of(start.get("streamSid")), text_of(start.get("callSid"))
            ours = "channels" in part(start, "mediaFormat") or "customParameters" in start
            if data.get("event") == "start" and stream_id and call_id and ours:
                return self._started(stream_id, call_id, start, headers)
        return None

    def _started(
        self, stream_id: str, call_id: str, start: dict[str, object], headers: Mapping[str, str]
    ) -> StreamStart:
        check_format(start)
        if self.proves_streams:
            self._check_handshake(headers)
        parameters = {text_of(name): text_of(value) for name, value in part(start, "customParameters").items()}
        call = PhoneCall(
            carrier=self.name,
            call_id=call_id,
            stream_id=stream_id,
            account_id=text_of(start.get("accountSid")),
            caller=parameters.get("from", ""),
            callee=parameters.get("to", ""),
            parameters=parameters,
        )
        return StreamStart(call=call, serializer=TwilioSerializer(stream_id, call_id))

    def _check_handshake(self, headers: Mapping[str, str]) -> None:
        url = f"wss://{headers.get('@authority', '')}{headers.get('@request-target', '')}"
        spelt = signature.spellings(url)
        # Reports disagree on whether Twilio signs the path with a slash at its end; both prove the same.
        urls = (*spelt, *(f"{url}/" for url in spelt))
        if not signature.accepted(self._proofs, headers.get("x-twilio-signature", ""), urls):
            raise ValueError("the handshake is not signed by Twilio")

    # ── REST ──

    def hang_up(self, call: PhoneCall) -> CarrierRequest | None:
        """None without credentials: closing the stream ends the call, since our TwiML ends there."""
        return self._update(call, ("Status", "completed"))

    def transfer(self, call: PhoneCall, to: str) -> CarrierRequest | None:
        return self._update(call, ("Twiml", twiml.dial(to).decode()))

    def send_dtmf(self, call: PhoneCall, digits: str) -> CarrierRequest | None:
        return None

    def dial(self, dial: Dial) -> CarrierRequest:
        missing = [
            name
            for name, value in (
                ("twilio_account_sid", self._account_id),
                ("twilio_auth_token", self._authorization),
                ("a number to call", dial.to),
                ("a number of ours (telephony.caller_id)", dial.caller),
            )
            if not value
        ]
        if missing:
            raise ValueError(f"twilio cannot place a call without {' and '.join(missing)}")
        form = [("To", dial.to), ("From", dial.caller), ("Url", dial.answer_url), ("Method", "POST")]
        form.append(("Timeout", str(dial.timeout_secs)))
        if dial.offer.events_url:
            form += [("StatusCallback", dial.offer.events_url), ("StatusCallbackMethod", "POST")]
            form += [("StatusCallbackEvent", event) for event in STATUS_EVENTS]
        if dial.machine_detection:
            form += [
                ("MachineDetection", self._machine_detection_mode),
                ("MachineDetectionTimeout", str(self._machine_detection_timeout_secs)),
                ("AsyncAmd", "true"),  # else the call waits for the verdict in silence, four seconds and more
                ("AsyncAmdStatusCallback", dial.offer.events_url),
                ("AsyncAmdStatusCallbackMethod", "POST"),
            ]
        return self._request(self._account_id, "Calls.json", form, gone=())

    def dialled(self, answer: Mapping[str, object]) -> str:
        call_id = text_of(answer.get("sid"))
        if not call_id:
            raise ValueError("twilio's answer names no call")
        return call_id

    def _update(self, call: PhoneCall, field: tuple[str, str]) -> CarrierRequest | None:
        account = call.account_id or self._account_id
        if not (self._authorization and account and call.call_id):
            return None
        return self._request(account, f"Calls/{quote(call.call_id, safe='')}.json", [field])

    def _request(
        self, account: str, path: str, form: Sequence[tuple[str, str]], gone: Sequence[int] = (404,)
    ) -> CarrierRequest:
        return CarrierRequest(
            method="POST",
            url=f"{self._base_url}/2010-04-01/Accounts/{quote(account, safe='')}/{path}",
            headers={"Authorization": self._authorization},
            form=form,
            gone=gone,
        )


def _news(webhook: Webhook, call_id: str) -> CallEvent | None:
    """What a callback reports; None for a webhook that wants TwiML."""
    status = webhook.value("CallStatus")
    if stream := webhook.value("StreamEvent"):
        return CallEvent(
            call_id=call_id,
            kind="stream",
            value=stream,
            details=_present(webhook, "StreamSid", "StreamName", "StreamError"),
        )
    if webhook.value("AnsweredBy") and not status:
        return _verdict(webhook, call_id)
    if status in OVER:
        return CallEvent(
            call_id=call_id,
            kind="ended",
            value=status,
            details=_present(webhook, "CallDuration", "SipResponseCode", "RecordingUrl"),
        )
    if webhook.value("CallbackSource"):
        return CallEvent(
            call_id=call_id, kind="status", value=status, details=_present(webhook, "SequenceNumber", "Timestamp")
        )
    return None


def _verdict(webhook: Webhook, call_id: str) -> CallEvent | None:
    answered_by = webhook.value("AnsweredBy")
    if not answered_by:
        return None
    kind = MACHINES.get(answered_by, "machine" if answered_by.startswith("machine") else "unknown")
    return CallEvent(
        call_id=call_id, kind="machine", value=kind, details=_present(webhook, "AnsweredBy", "MachineDetectionDuration")
    )


def _details(webhook: Webhook) -> dict[str, str]:
    named = _present(webhook, "ForwardedFrom", "CallerName", "ParentCallSid", "StirVerstat", "FromCountry", "SipCallId")
    sip = {name: value for name, value in webhook.form if name.startswith("SipHeader_")}
    return {**named, **sip}


def _present(webhook: Webhook, *names: str) -> dict[str, str]:
    return {name: value for name in names if (value := webhook.value(name))}
