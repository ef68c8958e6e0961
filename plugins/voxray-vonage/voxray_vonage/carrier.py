"""Vonage as a carrier: what its webhooks ask, what they are answered, and the REST API."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

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
from voxray_vonage import events
from voxray_vonage.serializer import VonageSerializer, parse
from voxray_vonage.tokens import Signer, refusal

if TYPE_CHECKING:
    from voxray.protocols.context import ProviderContext

RATES_HZ = (8000, 16000, 24000)
MAX_HEADERS_BYTES = 512  # of the endpoint's `headers`, as JSON; Vonage's limit
RESERVED = ("event", "content-type")  # of the connected message, where our headers stand beside them
RINGING_SECS = range(1, 121)
BEEP_SECS = 45  # how long to wait for a machine's beep: the least that is allowed
KEYS = re.compile(r"[0-9*#]{1,64}")


class VonageCarrier:
    """`clock` gives UNIX time, for the tokens of REST requests: a carrier's methods are told none."""

    name = "vonage"
    proves_streams = False

    def __init__(
        self,
        context: ProviderContext,
        *,
        rate_hz: int = 16000,
        busy_text: str = "",
        private_key_file: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._base_url = context.base_url or "https://api.nexmo.com"
        self._secret = context.secret("signature_secret")
        self._application_id = context.secret("application_id")
        self._rate_hz = rate_hz
        self._busy_text = busy_text
        self._clock = clock
        self._signer = self._made_signer(context.secret("private_key"), private_key_file)
        self.transfers = self.sends_dtmf = self._signer is not None

    def _made_signer(self, pem: str, file: str) -> Signer | None:
        try:
            pem = Path(file).expanduser().read_text(encoding="utf-8") if file else pem
            if not pem:
                return None
            if not self._application_id:
                raise ProviderRefused(self.name, "there is a private key but no application_id")
            return Signer(self._application_id, pem)
        except (OSError, ValueError) as error:
            raise ProviderRefused(self.name, f"private_key: {error}") from error

    # ── webhooks ──

    def claims(self, webhook: Webhook) -> bool:
        try:
            fields = events.fields(webhook)
        except ValueError:
            return False
        return bool(fields.get("uuid") and fields.get("conversation_uuid"))

    def refusal(self, webhook: Webhook) -> str:
        if not self._secret:
            return ""
        scheme, _, token = webhook.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return "no token"
        return refusal(
            token.strip(),
            self._secret,
            body=webhook.body,
            at=webhook.at,
            application_id=self._application_id,
        )

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        fields = events.fields(webhook)
        if events.is_news(fields):
            return WebhookAnswer(status=204, event=events.event(fields))
        call_id = fields.get("uuid", "")
        if not call_id:
            raise ValueError('the webhook has no "uuid"')
        call = PhoneCall(
            carrier=self.name,
            call_id=call_id,
            caller=e164(fields.get("from", "")),
            callee=e164(fields.get("to", "")),
            details={key: fields[key] for key in ("conversation_uuid", "region_url") if fields.get(key)},
        )
        return WebhookAnswer(body=_ncco(self._connect(call, offer)), media_type="application/json", call=call)

    def busy(self) -> WebhookAnswer:
        talk = [{"action": "talk", "text": self._busy_text}] if self._busy_text else []
        return WebhookAnswer(body=_ncco(*talk), media_type="application/json")

    def _connect(self, call: PhoneCall, offer: StreamOffer) -> dict[str, Any]:
        facts = {"token": offer.token, "uuid": call.call_id, "caller": call.caller, "callee": call.callee}
        headers = {name: value for name, value in {**offer.parameters, **facts}.items() if value}
        if any(name in headers for name in RESERVED):
            raise ValueError(f"parameters may not be called {' or '.join(RESERVED)}")
        if len(json.dumps(headers)) > MAX_HEADERS_BYTES:
            raise ValueError(f"parameters of more than {MAX_HEADERS_BYTES} bytes in all")
        action: dict[str, Any] = {"action": "connect"}
        if offer.events_url:
            action["eventUrl"] = [offer.events_url]
        if call.callee:
            action["from"] = plain(call.callee)
        content_type = f"audio/l16;rate={self._rate_hz}"
        action["endpoint"] = [{"type": "websocket", "uri": offer.url, "content-type": content_type, "headers": headers}]
        return action

    # ── the media socket ──

    def recognize(self, messages: Sequence[str | bytes], headers: Mapping[str, str]) -> StreamStart | None:
        first = next((message for message in messages if isinstance(message, str)), "")  # sound before it is lost
        try:
            data = parse(first)
        except ValueError:
            return None
        if data.get("event") != "websocket:connected" and "content-type" not in data:
            return None
        serializer = VonageSerializer(_rate(data.get("content-type", f"audio/l16;rate={self._rate_hz}")))
        said = {
            _text(name): _text(value) for name, value in data.items() if name not in RESERVED and not _nested(value)
        }
        call = PhoneCall(
            carrier=self.name,
            call_id=said.get("uuid", ""),
            caller=said.get("caller", ""),
            callee=said.get("callee", ""),
            parameters={name: value for name, value in said.items() if name not in ("uuid", "caller", "callee")},
        )
        return StreamStart(call=call, serializer=serializer)

    # ── REST ──

    def hang_up(self, call: PhoneCall) -> CarrierRequest | None:
        # Without a key the end of the socket has to do: it ends the `connect`, and nothing follows it.
        return self._change(call, {"action": "hangup"})

    def transfer(self, call: PhoneCall, to: str) -> CarrierRequest | None:
        try:
            dial: dict[str, Any] = {"action": "connect", "endpoint": [_endpoint(to)]}
        except ValueError:
            return None
        if call.callee:
            dial["from"] = plain(call.callee)
        return self._change(call, {"action": "transfer", "destination": {"type": "ncco", "ncco": [dial]}})

    def send_dtmf(self, call: PhoneCall, digits: str) -> CarrierRequest | None:
        return self._change(call, {"digits": digits}, "/dtmf") if KEYS.fullmatch(digits) else None

    def dial(self, dial: Dial) -> CarrierRequest:
        if self._signer is None:
            raise ValueError("placing calls needs application_id and private_key of the Vonage application")
        if not dial.caller:
            raise ValueError("Vonage needs a number of yours to call from; set telephony.caller_id")
        body: dict[str, Any] = {
            "to": [_endpoint(dial.to)],
            "from": {"type": "phone", "number": plain(dial.caller)},
            "answer_url": [dial.answer_url],
            "answer_method": "POST",
            "ringing_timer": min(max(dial.timeout_secs, RINGING_SECS[0]), RINGING_SECS[-1]),
        }
        if dial.offer.events_url:
            body |= {"event_url": [dial.offer.events_url], "event_method": "POST"}
        if dial.machine_detection:
            # "continue": the callee hears us at once, and the verdict comes as an event.
            detection = {"behavior": "continue", "mode": "default", "beep_timeout": BEEP_SECS}
            body["advanced_machine_detection"] = detection
        return CarrierRequest(method="POST", url=f"{self._base_url}/v1/calls", headers=self._headers(), json=body)

    def dialled(self, answer: Mapping[str, object]) -> str:
        call_id = answer.get("uuid")
        if not isinstance(call_id, str) or not call_id:
            raise ValueError('the answer has no "uuid"')
        return call_id

    def _change(self, call: PhoneCall, body: dict[str, Any], path: str = "") -> CarrierRequest | None:
        if self._signer is None or not call.call_id:
            return None
        url = f"{self._base_url}/v1/calls/{quote(call.call_id, safe='')}{path}"
        return CarrierRequest(method="PUT", url=url, headers=self._headers(), json=body)

    def _headers(self) -> dict[str, str]:
        assert self._signer is not None
        return {"Authorization": f"Bearer {self._signer.token(self._clock())}"}


def e164(number: str) -> str:
    """Vonage leaves out the plus sign; addresses and app users stay as they are."""
    return f"+{number}" if number.isascii() and number.isdigit() and len(number) > 6 else number


def plain(number: str) -> str:
    """A number as Vonage wants it: digits only."""
    return re.sub(r"[\s().-]", "", number).removeprefix("+")


def _endpoint(to: str) -> dict[str, str]:
    if to.startswith(("sip:", "sips:")):
        return {"type": "sip", "uri": to}
    number = plain(to)
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f'"{to}" is neither a number nor a SIP address')
    return {"type": "phone", "number": number}


def _ncco(*actions: dict[str, Any]) -> bytes:
    return json.dumps(actions).encode()


def _rate(content_type: object) -> int:
    match = re.fullmatch(r"audio/l16;\s*rate=(\d{4,5})", content_type) if isinstance(content_type, str) else None
    if match is None or int(match[1]) not in RATES_HZ:
        raise ValueError("the content type is not audio/l16 at 8000, 16000 or 24000 Hz")
    return int(match[1])


def _text(value: object) -> str:
    return str(value).encode(errors="replace").decode()  # JSON may hold half characters, nothing else takes them


def _nested(value: object) -> bool:
    return isinstance(value, dict | list) or value is None
