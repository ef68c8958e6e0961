"""A simulated Plivo: signed webhooks, Plivo XML, an audio stream that is as particular as the real one, and REST.

What it checks is from Plivo's reference of its XML, of audio streams, of signature version 3 and of the call API.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError, fromstring

from voxray.audio.format import MULAW_8K, PCM_8K, PCM_16K, AudioFormat, Encoding
from voxray.testing.phone_wire import (
    CallRefusedError,
    CarrierRejectsError,
    Cleared,
    Keys,
    MarkSet,
    Meaning,
    PhoneFacts,
    RestAnswer,
    Sound,
    WireRequest,
    WireStream,
)

MAX_XML_BYTES = 100 * 1024
MAX_EXTRA_HEADERS = 512
STREAM_ATTRIBUTES = frozenset(
    {
        "bidirectional",
        "keepCallAlive",
        "contentType",
        "audioTrack",
        "streamTimeout",
        "statusCallbackUrl",
        "statusCallbackMethod",
        "extraHeaders",
    }
)
AUDIO = {
    "audio/x-mulaw;rate=8000": MULAW_8K,
    "audio/x-l16;rate=8000": PCM_8K,
    "audio/x-l16;rate=16000": PCM_16K,
}
_DIAL_FIELDS = """
from to answer_url answer_method ring_url ring_method hangup_url hangup_method fallback_url fallback_method
caller_name send_digits send_on_preanswer time_limit ring_timeout hangup_on_ring sip_headers machine_detection
machine_detection_time machine_detection_url machine_detection_method
"""
DIAL_FIELDS = frozenset(_DIAL_FIELDS.split())
TRANSFER_FIELDS = frozenset({"legs", "aleg_url", "aleg_method", "bleg_url", "bleg_method"})
START_MS = 1_767_225_600_000


class PlivoWire:
    name = "plivo"
    frame_secs = 0.02

    def __init__(self, facts: PhoneFacts, *, secret: str = "", nonce: str = "12345678901234567") -> None:
        self.facts = facts
        self.audio: AudioFormat = PCM_8K  # until the answer says otherwise, as at Plivo
        self._secret = secret
        self._nonce = nonce
        self._sequence = -1
        self._chunk = 0

    # ── webhook and answer ──

    def webhook(self, url: str, *, at: float) -> WireRequest:
        facts = self.facts
        form = {
            "ALegUUID": facts.call_id,
            "BillRate": "0.0085",
            "CallStatus": "ringing" if facts.direction == "inbound" else "in-progress",
            "CallUUID": facts.call_id,
            "CallerName": facts.caller,
            "Direction": facts.direction,
            "Event": "StartApp",
            "From": facts.caller.removeprefix("+"),
            "ParentAuthID": facts.account_id,
            "SessionStart": "2026-01-01 00:00:00.000000",
            "To": facts.callee.removeprefix("+"),
        }
        if facts.direction == "outbound":
            form["RequestUUID"] = facts.call_id
        return self.callback(url, form)

    def callback(self, url: str, form: Mapping[str, str]) -> WireRequest:
        """Any request of Plivo's with these fields, signed."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", **self._signed(url, form)}
        return WireRequest(method="POST", url=url, headers=headers, body=urlencode(form).encode())

    def _signed(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        if not self._secret:
            return {}
        base, _, query = url.partition("?")
        asked = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(query, keep_blank_values=True)))
        posted = "".join(f"{name}{form[name]}" for name in sorted(form))
        joint = "." if asked and posted else ""
        text = f"{base}?{asked}{joint}{posted}.{self._nonce}" if asked or posted else f"{base}.{self._nonce}"
        digest = hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).digest()
        return {
            "X-Plivo-Signature-V3": base64.b64encode(digest).decode(),
            "X-Plivo-Signature-V3-Nonce": self._nonce,
        }

    def stream(self, status: int, media_type: str, body: bytes) -> WireStream:
        response = _document(status, media_type, body)
        verbs = [verb.tag for verb in response]
        if verbs[:1] == ["Hangup"]:
            raise CallRefusedError(f"the call was turned away: {response[0].attrib.get('reason', 'rejected')}")
        if verbs[:1] != ["Stream"]:
            raise CarrierRejectsError(f"a call is answered with <Stream>, not with {verbs}")
        stream = response[0]
        if unknown := sorted(set(stream.attrib) - STREAM_ATTRIBUTES):
            raise CarrierRejectsError(f"<Stream> has no attribute {', '.join(unknown)}")
        for name in ("bidirectional", "keepCallAlive"):
            if stream.attrib.get(name) != "true":
                raise CarrierRejectsError(f'without {name}="true" the agent is mute or the call ends at once')
        if stream.attrib.get("audioTrack", "inbound") != "inbound":
            raise CarrierRejectsError("a bidirectional stream takes audioTrack inbound only")
        content_type = stream.attrib.get("contentType", "audio/x-l16;rate=8000")
        if content_type not in AUDIO:
            raise CarrierRejectsError(f'contentType "{content_type}" is none of {sorted(AUDIO)}')
        self.audio = AUDIO[content_type]
        url = (stream.text or "").strip()
        parts = urlsplit(url)
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if parts.scheme != "wss" and not (parts.scheme == "ws" and local):
            raise CarrierRejectsError(f'a stream is opened at wss:// only, not "{url}"')
        return WireStream(url=url, parameters=_extra_headers(stream.attrib.get("extraHeaders", "")))

    # ── the audio stream ──

    def handshake(self, stream: WireStream, *, at: float) -> Mapping[str, str]:
        return {}

    def opening(self, stream: WireStream) -> Sequence[str]:
        start = {
            "callId": self.facts.call_id,
            "streamId": self.facts.stream_id,
            "accountId": "500025",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": self._content_type, "sampleRate": self.audio.rate_hz},
        }
        headers = ", ".join(f"X-PH-{name}: {value}" for name, value in stream.parameters.items())
        return (json.dumps({"sequenceNumber": 0, "event": "start", "start": start, "extra_headers": f"{{{headers}}}"}),)

    @property
    def _content_type(self) -> str:
        return "audio/x-mulaw" if self.audio.encoding is Encoding.MULAW else "audio/x-l16"

    def media(self, audio: bytes) -> str:
        self._sequence += 1
        self._chunk += 1
        payload = binascii.b2a_base64(audio, newline=False).decode()
        at = START_MS + self._chunk * 20
        return (
            f'{{"sequenceNumber":{self._sequence + 1},"streamId":"{self.facts.stream_id}","event":"media","media":{{'
            f'"track":"inbound","timestamp":"{at}","chunk":{self._chunk},"payload":"{payload}"}},"extra_headers":"{{}}"}}'
        )

    def dtmf(self, digit: str) -> str:
        at = str(START_MS + self._chunk * 20)
        return self._message("dtmf", dtmf={"track": "inbound", "digit": digit, "timestamp": at}, extra_headers="{}")

    def stop(self) -> str:
        return json.dumps({"event": "stop", "streamId": self.facts.stream_id})

    def mark_reached(self, name: str) -> str:
        return self._message("playedStream", name=name)

    def cleared(self, pending: Sequence[str]) -> Sequence[str]:
        return [self._message("clearedAudio")]  # the checkpoints are dropped

    def _message(self, event: str, **fields: Any) -> str:
        self._sequence += 1
        number = self._sequence + 1
        return json.dumps({"sequenceNumber": number, "event": event, "streamId": self.facts.stream_id, **fields})

    def understand(self, message: str | bytes) -> Sequence[Meaning]:
        if isinstance(message, bytes):
            raise CarrierRejectsError("a binary message")
        try:
            data = json.loads(message)
        except ValueError as error:
            raise CarrierRejectsError(f"not JSON: {error}") from error
        match data.get("event") if isinstance(data, dict) else None:
            case "playAudio":
                _check_keys(data, {"event", "media"}, {"streamId"})
                self._check_stream(data)
                return (Sound(self._sound(data["media"])),)
            case "checkpoint":
                _check_keys(data, {"event", "streamId", "name"})
                self._check_stream(data)
                return (MarkSet(_text(data["name"], "name")),)
            case "clearAudio":
                _check_keys(data, {"event", "streamId"})
                self._check_stream(data)
                return (Cleared(),)
            case "sendDTMF":
                _check_keys(data, {"event", "dtmf"})
                digits = _text(data["dtmf"], "dtmf")
                if not re.fullmatch(r"[0-9*#wW]+", digits):
                    raise CarrierRejectsError(f"no such keys: {digits!r}")
                return (Keys(digits),)
            case event:
                raise CarrierRejectsError(f"no event that Plivo knows: {event!r}")

    def _check_stream(self, data: Mapping[str, Any]) -> None:
        if data.get("streamId", self.facts.stream_id) != self.facts.stream_id:
            raise CarrierRejectsError(f"a foreign streamId {data['streamId']!r}")

    def _sound(self, media: Any) -> bytes:
        _check_keys(media, {"contentType", "sampleRate", "payload"})
        if media["contentType"] != self._content_type or media["sampleRate"] != self.audio.rate_hz:
            raise CarrierRejectsError(
                f"{media['contentType']!r} at {media['sampleRate']!r} is not the stream's "
                f"{self._content_type} at {self.audio.rate_hz}"
            )
        try:
            audio = base64.b64decode(_text(media["payload"], "payload"), validate=True)
        except ValueError as error:
            raise CarrierRejectsError(f"the payload is not base64: {error}") from error
        if len(audio) % self.audio.sample_bytes:
            raise CarrierRejectsError("the payload ends in half a sample")
        return audio

    # ── REST ──

    def rest(self, request: WireRequest) -> RestAnswer:
        """Call/ to place a call, Call/{uuid}/ to end or transfer it."""
        prefix = f"/v1/Account/{self.facts.account_id}/Call/"
        path = urlsplit(request.url).path
        if not path.startswith(prefix):
            raise CarrierRejectsError(f"no such resource: {request.method} {path}")
        _check_credentials(request.headers, self.facts.account_id)
        if (request.method, path) == ("POST", prefix):
            return self._place(_json(request.body, DIAL_FIELDS))
        if path != f"{prefix}{self.facts.call_id}/":
            return RestAnswer(status=404, body={"error": "not found", "api_id": "1"})
        match request.method:
            case "DELETE":
                return RestAnswer(status=204, ended=True)
            case "POST":
                body = _json(request.body, TRANSFER_FIELDS)
                if body.get("legs") != "aleg" or not body.get("aleg_url"):
                    raise CarrierRejectsError("a transfer of the caller names legs aleg and aleg_url")
                answer = {"message": "call transferred", "api_id": "1"}
                return RestAnswer(status=202, body=answer, ended=True, transferred_to=body["aleg_url"])
            case _:
                raise CarrierRejectsError(f"no such resource: {request.method} {path}")

    def _place(self, body: Mapping[str, Any]) -> RestAnswer:
        if not all(body.get(name) for name in ("from", "to", "answer_url")):
            raise CarrierRejectsError("from, to and answer_url are needed")
        self.facts = replace(self.facts, caller=f"+{body['from']}", callee=f"+{body['to']}", direction="outbound")
        answer = {"message": "call fired", "request_uuid": self.facts.call_id, "api_id": "1"}
        return RestAnswer(status=201, body=answer, answer_url=str(body["answer_url"]))


def _document(status: int, media_type: str, body: bytes) -> Element:
    if status != 200:
        raise CarrierRejectsError(f"the webhook was answered with {status}")
    if media_type.partition(";")[0].strip().lower() not in ("text/xml", "application/xml"):
        raise CarrierRejectsError(f'content type "{media_type}" is no XML')
    if len(body) > MAX_XML_BYTES:
        raise CarrierRejectsError("the document has at most 100 KB")
    try:
        response = fromstring(body)
    except ParseError as error:
        raise CarrierRejectsError(f"not XML: {error}") from error
    if response.tag != "Response":
        raise CarrierRejectsError(f"the document is <{response.tag}>, not <Response>")
    return response


def _extra_headers(text: str) -> dict[str, str]:
    if len(text) > MAX_EXTRA_HEADERS:
        raise CarrierRejectsError(f"extraHeaders has at most {MAX_EXTRA_HEADERS} bytes")
    if text and not re.fullmatch(r"[A-Za-z0-9]+=[A-Za-z0-9]*(,[A-Za-z0-9]+=[A-Za-z0-9]*)*", text):
        raise CarrierRejectsError("extraHeaders is k=v,k2=v2 of letters and digits")
    return dict(pair.split("=") for pair in text.split(",")) if text else {}


def _check_keys(data: Any, needed: set[str], allowed: frozenset[str] | set[str] = frozenset()) -> None:
    if not isinstance(data, dict) or not needed <= set(data) <= needed | allowed:
        raise CarrierRejectsError(f"exactly the fields {sorted(needed)} were expected: {str(data)[:200]}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise CarrierRejectsError(f"{what} is a string")
    return value


def _json(body: bytes, known: frozenset[str]) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError as error:
        raise CarrierRejectsError(f"not JSON: {error}") from error
    if not isinstance(data, dict) or (unknown := sorted(set(data) - known)):
        raise CarrierRejectsError(f"unknown parameter {', '.join(unknown) if isinstance(data, dict) else data!r}")
    return data


def _check_credentials(headers: Mapping[str, str], account_id: str) -> None:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    user = base64.b64decode(encoded).decode().partition(":")[0] if scheme == "Basic" else ""
    if user != account_id:
        raise CarrierRejectsError("authenticate with the auth id and token")
