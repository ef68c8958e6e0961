"""Exotel as a carrier: an applet's address, no signatures, no REST for a running call."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

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
from voxray_exotel.fields import parsed, part, text
from voxray_exotel.news import event_of, fields_of
from voxray_exotel.serializer import ExotelSerializer, start_ids

JSON = "application/json"
MOST_PARAMETERS = 3  # besides sample-rate
MOST_PARAMETER_CHARS = 256  # of all of them
MOST_URL_CHARS = 600
OWN_FIELDS = ("CallFrom", "CallTo", "flow_id", "tenant_id", "StreamSID", "StreamSid", "Stream", "Stream[StreamSID]")


class ExotelCarrier:
    """See `voxray.protocols.carrier.Carrier`.

    With `exotel_stream_password` set, webhooks and media sockets must bring it (HTTP Basic): as part of the addresses
    in the applets, and of those that we give to Exotel.
    """

    name = "exotel"
    transfers = False
    sends_dtmf = False

    def __init__(self, context: ProviderContext, *, sample_rate: int = 8000, stream_username: str = "voxray") -> None:
        self._api_key = context.secret("api_key")
        self._api_token = context.secret("api_token")
        self._account_sid = context.secret("account_sid")
        self._base_url = context.base_url.rstrip("/")
        self._sample_rate = sample_rate
        password = context.secret("stream_password")
        self._login = f"{stream_username}:{password}" if password else ""
        self.proves_streams = bool(self._login)

    # ── webhooks ──

    def claims(self, webhook: Webhook) -> bool:
        if "x-twilio-signature" in webhook.headers:
            return False
        try:
            fields = fields_of(webhook)
        except ValueError:
            return False
        if "CallSid" not in fields:
            return False
        return any(name in fields for name in OWN_FIELDS) or ("EventType" in fields and "Status" in fields)

    def refusal(self, webhook: Webhook) -> str:
        return self._refusal(webhook.headers)

    def answer(self, webhook: Webhook, offer: StreamOffer) -> WebhookAnswer:
        fields = fields_of(webhook)
        if not fields.get("CallSid"):
            raise ValueError("no CallSid")
        event = event_of(fields)
        if event is not None:
            return WebhookAnswer(event=event)
        call = PhoneCall(
            carrier=self.name,
            call_id=fields["CallSid"],
            caller=fields.get("CallFrom") or fields.get("From", ""),
            callee=fields.get("CallTo") or fields.get("To", ""),
            direction="outbound" if fields.get("Direction", "").startswith("outbound") else "inbound",
            details={name: fields[name] for name in ("flow_id", "tenant_id", "CallType") if fields.get(name)},
        )
        body = json.dumps({"url": self._stream_url(offer)}).encode()
        return WebhookAnswer(body=body, media_type=JSON, call=call)

    def busy(self) -> WebhookAnswer:
        """The applet fails, and the flow goes on to the next one."""
        return WebhookAnswer(status=503, body=b'{"error": "busy"}', media_type=JSON)

    def _stream_url(self, offer: StreamOffer) -> str:
        """Raises ValueError: more parameters than Exotel brings back."""
        custom = {**offer.parameters, "token": offer.token}
        if len(custom) > MOST_PARAMETERS or len(urlencode(custom)) > MOST_PARAMETER_CHARS:
            raise ValueError("Exotel brings back three parameters with 256 characters at most")
        scheme, host, path, query, _ = urlsplit(self._with_login(offer.url))
        added = urlencode({"sample-rate": str(self._sample_rate), **custom})
        return urlunsplit((scheme, host, path, f"{query}&{added}" if query else added, ""))

    def _with_login(self, url: str) -> str:
        """Only ever given to Exotel itself, or to who knows the password."""
        if not self._login or not url:
            return url
        user, _, password = self._login.partition(":")
        scheme, rest = url.split("://", 1)
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"

    def _refusal(self, headers: Mapping[str, str]) -> str:
        if not self._login:
            return ""
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return "no user name and password"
        try:
            given = base64.b64decode(credentials.strip(), validate=True)
        except ValueError:
            return "the user name and password cannot be read"
        return "" if hmac.compare_digest(given, self._login.encode()) else "the user name or password is wrong"

    # ── the media socket ──

    def recognize(self, messages: Sequence[str | bytes], headers: Mapping[str, str]) -> StreamStart | None:
        for place, message in enumerate(messages):
            try:
                data = parsed(message)
            except ValueError:
                continue
            if not _is_start(data):
                continue
            refused = self._refusal(headers)
            if refused:
                raise ValueError(refused)
            serializer = ExotelSerializer(data, self._sample_rate)
            for other in (*messages[:place], *messages[place + 1 :]):
                serializer.keep(other)
            return StreamStart(call=self._started(data), serializer=serializer)
        return None

    def _started(self, data: Mapping[str, Any]) -> PhoneCall:
        start = part(data, "start")
        custom = part(start, "custom_parameters", "customParameters")
        media = part(start, "media_format", "mediaFormat", "MediaFormat")
        stream_id, call_id = start_ids(data)
        return PhoneCall(
            carrier=self.name,
            call_id=call_id,
            stream_id=stream_id,
            account_id=text(start, "account_sid", "accountSid"),
            caller=text(start, "from"),
            callee=text(start, "to"),
            parameters={name.encode(errors="replace").decode(): text(custom, name) for name in custom},
            details={"encoding": encoding} if (encoding := text(media, "encoding")) else {},
        )

    # ── REST ──

    def hang_up(self, call: PhoneCall) -> CarrierRequest | None:
        """Closing the socket ends the stream, and with it the applet."""
        return None

    def transfer(self, call: PhoneCall, to: str) -> CarrierRequest | None:
        """The next applet of the flow does that."""
        return None

    def send_dtmf(self, call: PhoneCall, digits: str) -> CarrierRequest | None:
        return None

    def dial(self, dial: Dial) -> CarrierRequest:
        """There is no machine detection; the verdict that was asked for will not come."""
        missing = [
            name
            for name, value in (
                ("exotel_account_sid", self._account_sid),
                ("exotel_api_key", self._api_key),
                ("exotel_api_token", self._api_token),
            )
            if not value
        ]
        if missing:
            raise ValueError(f"missing: {', '.join(missing)}")
        if not dial.caller:
            raise ValueError("no ExoPhone to call from; set telephony.caller_id")
        stream_url = self._stream_url(dial.offer)
        if len(stream_url) >= MOST_URL_CHARS:
            raise ValueError(f"the stream's address has {len(stream_url)} characters; Exotel takes fewer than 600")
        form = [
            ("From", dial.to),
            ("CallerId", dial.caller),
            ("StreamUrl", stream_url),
            ("StreamType", "bidirectional"),
            ("TimeOut", str(dial.timeout_secs)),
        ]
        if dial.offer.events_url:
            form += [
                ("StatusCallback", self._with_login(dial.offer.events_url)),
                ("StatusCallbackEvents[]", "terminal"),
                ("StatusCallbackEvents[]", "answered"),
                ("StatusCallbackContentType", "application/json"),
            ]
        login = base64.b64encode(f"{self._api_key}:{self._api_token}".encode()).decode()
        return CarrierRequest(
            method="POST",
            url=f"{self._base_url}/v1/Accounts/{quote(self._account_sid, safe='')}/Calls/connect.json",
            headers={"Authorization": f"Basic {login}"},
            form=form,
            gone=(),
        )

    def dialled(self, answer: Mapping[str, object]) -> str:
        call_id = text(part(answer, "Call"), "Sid")
        if not call_id:
            raise ValueError("the answer to dialling names no call")
        return call_id


def _is_start(data: Mapping[str, Any]) -> bool:
    """The newer spelling is Twilio's too; there the account or the format is spelled in the older way."""
    start = part(data, "start")
    if text(data, "event") != "start":
        return False
    if text(start, "stream_sid") and text(start, "call_sid"):
        return True
    camel = bool(text(start, "streamSid") and text(start, "callSid"))
    return camel and ("account_sid" in start or "media_format" in start)
