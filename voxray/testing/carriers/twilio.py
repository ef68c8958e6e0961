"""A simulated Twilio: signed webhooks, TwiML, a media stream that is as particular as the real one, and REST.

What it checks, and the numbers of the errors, are from Twilio's reference of `<Stream>`, its media stream messages, its
request validation and its call resource.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError, fromstring

from voxray.audio.format import MULAW_8K, AudioFormat
from voxray.testing.phone_wire import (
    CallRefusedError,
    CarrierRejectsError,
    Cleared,
    MarkSet,
    Meaning,
    PhoneFacts,
    RestAnswer,
    Sound,
    WireRequest,
    WireStream,
)

MAX_TWIML_BYTES = 64 * 1024
MAX_PARAMETER = 500
FORM = "application/x-www-form-urlencoded; charset=UTF-8"
FRAME_MS = 20
STREAM_ATTRIBUTES = frozenset({"url", "name", "track", "statusCallback", "statusCallbackMethod"})
_DIAL_FIELDS = """
To From Url Twiml ApplicationSid Method FallbackUrl FallbackMethod StatusCallback StatusCallbackMethod
StatusCallbackEvent SendDigits Timeout TimeLimit Record CallerId CallReason MachineDetection
MachineDetectionTimeout MachineDetectionSpeechThreshold MachineDetectionSpeechEndThreshold
MachineDetectionSilenceTimeout AsyncAmd AsyncAmdStatusCallback AsyncAmdStatusCallbackMethod
"""
DIAL_FIELDS = frozenset(_DIAL_FIELDS.split())
UPDATE_FIELDS = frozenset({"Status", "Twiml", "Url", "Method", "StatusCallback", "StatusCallbackMethod"})


class TwilioWire:
    name = "twilio"
    audio: AudioFormat = MULAW_8K
    frame_secs = FRAME_MS / 1000

    def __init__(self, facts: PhoneFacts, *, secret: str = "") -> None:
        self.facts = facts
        self._secret = secret
        self._sequence = 0
        self._chunk = 0

    # ── webhook and answer ──

    def webhook(self, url: str, *, at: float) -> WireRequest:
        facts = self.facts
        form = {
            "AccountSid": facts.account_id,
            "ApiVersion": "2010-04-01",
            "CallSid": facts.call_id,
            "CallStatus": "ringing" if facts.direction == "inbound" else "in-progress",
            "Called": facts.callee,
            "Caller": facts.caller,
            "CallerCity": "",
            "Direction": "inbound" if facts.direction == "inbound" else "outbound-api",
            "From": facts.caller,
            "FromCity": "",
            "FromCountry": "US",
            "To": facts.callee,
            "ToCity": "",
            "ToCountry": "US",
        }
        return self.callback(url, form)

    def callback(self, url: str, form: Mapping[str, str]) -> WireRequest:
        """Any request of Twilio's with these fields, signed."""
        headers = {
            "Content-Type": FORM,
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": hashlib.sha256(url.encode()).hexdigest()[:36],
            **self._signed(url, form),
        }
        return WireRequest(method="POST", url=url, headers=headers, body=urlencode(form).encode())

    def _signed(self, url: str, form: Mapping[str, str]) -> dict[str, str]:
        if not self._secret:
            return {}
        text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
        digest = hmac.new(self._secret.encode(), text.encode(), hashlib.sha1).digest()
        return {"X-Twilio-Signature": base64.b64encode(digest).decode()}

    def stream(self, status: int, media_type: str, body: bytes) -> WireStream:
        response = _document(status, media_type, body)
        verbs = [verb.tag for verb in response]
        if verbs[:1] in (["Reject"], ["Hangup"]):
            raise CallRefusedError(f"the call was turned away: {response[0].attrib.get('reason', 'rejected')}")
        if verbs[:1] != ["Connect"]:
            raise CarrierRejectsError(f"a call is answered with <Connect><Stream>, not with {verbs}")
        streams = list(response[0])
        if [stream.tag for stream in streams] != ["Stream"]:
            raise CarrierRejectsError("<Connect> takes exactly one <Stream>")
        _check_attributes(streams[0], STREAM_ATTRIBUTES)
        url = streams[0].attrib.get("url", "")
        _check_stream_url(url)
        if streams[0].attrib.get("track", "inbound_track") != "inbound_track":
            raise CarrierRejectsError("<Connect><Stream> takes track inbound_track only")
        return WireStream(url=url, parameters=_parameters(streams[0]))

    # ── the media stream ──

    def handshake(self, stream: WireStream, *, at: float) -> Mapping[str, str]:
        return {"User-Agent": "TwilioProxy/1.1", **self._signed(stream.url, {})}

    def opening(self, stream: WireStream) -> Sequence[str]:
        facts = self.facts
        self._sequence = 0
        connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        start = {
            "accountSid": facts.account_id,
            "streamSid": facts.stream_id,
            "callSid": facts.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(stream.parameters),
        }
        return json.dumps(connected), self._message("start", start=start)

    def media(self, audio: bytes) -> str:
        self._sequence += 1
        self._chunk += 1
        payload = binascii.b2a_base64(audio, newline=False).decode()
        return (
            f'{{"event":"media","sequenceNumber":"{self._sequence}","media":{{"track":"inbound","chunk":"{self._chunk}",'
            f'"timestamp":"{self._chunk * FRAME_MS}","payload":"{payload}"}},"streamSid":"{self.facts.stream_id}"}}'
        )

    def dtmf(self, digit: str) -> str:
        return self._message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def stop(self) -> str:
        return self._message("stop", stop={"accountSid": self.facts.account_id, "callSid": self.facts.call_id})

    def mark_reached(self, name: str) -> str:
        return self._message("mark", mark={"name": name})

    def cleared(self, pending: Sequence[str]) -> Sequence[str]:
        return [self.mark_reached(name) for name in pending]  # all at once, though nobody has heard them

    def _message(self, event: str, **fields: Any) -> str:
        self._sequence += 1
        sequence = {"sequenceNumber": str(self._sequence)}
        return json.dumps({"event": event, **sequence, **fields, "streamSid": self.facts.stream_id})

    def understand(self, message: str | bytes) -> Sequence[Meaning]:
        if isinstance(message, bytes):
            raise CarrierRejectsError("31950: a binary message")
        try:
            data = json.loads(message)
        except ValueError as error:
            raise CarrierRejectsError(f"31951: not JSON: {error}") from error
        event = data.get("event") if isinstance(data, dict) else None
        fields = {"media": {"payload"}, "mark": {"name"}, "clear": None}
        if event not in fields:
            raise CarrierRejectsError(f"31951: no event that Twilio knows: {event!r}")
        inner = fields[event]
        _check_keys(data, {"event", "streamSid"} | ({event} if inner else set()), event)
        if data["streamSid"] != self.facts.stream_id:
            raise CarrierRejectsError(f"31951: a foreign streamSid {data['streamSid']!r}")
        if inner:
            _check_keys(data[event], inner, f"{event}.{event}")
        match event:
            case "media":
                return (Sound(_payload(data["media"]["payload"])),)
            case "mark":
                return (MarkSet(_text(data["mark"]["name"], "mark.name")),)
            case _:
                return (Cleared(),)

    # ── REST ──

    def rest(self, request: WireRequest) -> RestAnswer:
        """Calls.json to place a call, Calls/{sid}.json to end or change it."""
        prefix = f"/2010-04-01/Accounts/{self.facts.account_id}/Calls"
        path = urlsplit(request.url).path
        form = parse_qsl(request.body.decode(), keep_blank_values=True)
        if request.method != "POST" or not path.startswith(prefix):
            raise CarrierRejectsError(f"20404: no such resource: {request.method} {path}")
        _check_credentials(request.headers, self.facts.account_id)
        if path == f"{prefix}.json":
            return self._place(form)
        if path == f"{prefix}/{self.facts.call_id}.json":
            return self._change(form)
        return RestAnswer(status=404, body={"code": 20404, "message": "not found", "status": 404})

    def _place(self, form: Sequence[tuple[str, str]]) -> RestAnswer:
        _check_fields(form, DIAL_FIELDS)
        fields = dict(form)
        if not fields.get("To") or not fields.get("From") or not fields.get("Url"):
            raise CarrierRejectsError("21201: To, From and Url are needed")
        if not 1 <= int(fields.get("Timeout", "60")) <= 600:
            raise CarrierRejectsError("21220: Timeout is 1 to 600")
        self.facts = replace(self.facts, caller=fields["From"], callee=fields["To"], direction="outbound")
        return RestAnswer(
            status=201,
            body={"sid": self.facts.call_id, "status": "queued", "account_sid": self.facts.account_id},
            answer_url=fields["Url"],
        )

    def _change(self, form: Sequence[tuple[str, str]]) -> RestAnswer:
        _check_fields(form, UPDATE_FIELDS)
        fields = dict(form)
        body = {"sid": self.facts.call_id, "status": "completed"}
        if fields.get("Status") in ("completed", "canceled"):
            return RestAnswer(status=200, body=body, ended=True)
        dialled = fromstring(fields["Twiml"]).find("Dial") if fields.get("Twiml") else None
        if dialled is None:
            raise CarrierRejectsError("21220: a call is changed by Status or by Twiml")
        to = "".join(dialled.itertext())
        return RestAnswer(status=200, body={**body, "status": "in-progress"}, ended=True, transferred_to=to)


def _document(status: int, media_type: str, body: bytes) -> Element:
    if status != 200:
        raise CarrierRejectsError(f"11200: the webhook was answered with {status}")
    if media_type.partition(";")[0].strip().lower() not in ("text/xml", "application/xml"):
        raise CarrierRejectsError(f'12300: content type "{media_type}" is no XML')
    if len(body) > MAX_TWIML_BYTES:
        raise CarrierRejectsError("11750: TwiML has at most 64 KB")
    try:
        response = fromstring(body)
    except ParseError as error:
        raise CarrierRejectsError(f"12100: not XML: {error}") from error
    if response.tag != "Response":
        raise CarrierRejectsError(f"12100: the document is <{response.tag}>, not <Response>")
    return response


def _check_attributes(element: Element, known: frozenset[str]) -> None:
    if unknown := sorted(set(element.attrib) - known):
        raise CarrierRejectsError(f"12200: <{element.tag}> has no attribute {', '.join(unknown)}")


def _check_stream_url(url: str) -> None:
    parts = urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "wss" and not (parts.scheme == "ws" and local):
        raise CarrierRejectsError(f'31920: a stream is opened at wss:// only, not "{url}"')
    if parts.query:
        raise CarrierRejectsError("31920: a stream's address has no query; use <Parameter>")


def _parameters(stream: Element) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for item in stream:
        if item.tag != "Parameter" or set(item.attrib) != {"name", "value"}:
            raise CarrierRejectsError("12200: <Stream> holds <Parameter name value> only")
        name, value = item.attrib["name"], item.attrib["value"]
        if len(name) + len(value) >= MAX_PARAMETER:
            raise CarrierRejectsError(f'parameter "{name}": name and value stay under {MAX_PARAMETER} characters')
        if name in parameters:
            raise CarrierRejectsError(f'parameter "{name}" is there twice')
        parameters[name] = value
    return parameters


def _check_keys(data: Any, expected: set[str], what: str) -> None:
    if not isinstance(data, dict) or set(data) != expected:
        raise CarrierRejectsError(f"31951: {what} has exactly the fields {sorted(expected)}: {str(data)[:200]}")


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise CarrierRejectsError(f"31951: {what} is a string")
    return value


def _payload(value: Any) -> bytes:
    try:
        audio = base64.b64decode(_text(value, "media.payload"), validate=True)
    except ValueError as error:
        raise CarrierRejectsError(f"31951: the payload is not base64: {error}") from error
    if audio.startswith(b"RIFF"):
        raise CarrierRejectsError("31951: the payload is a WAV file; raw samples were expected")
    return audio


def _check_fields(form: Sequence[tuple[str, str]], known: frozenset[str]) -> None:
    if unknown := sorted({name for name, _ in form} - known):
        raise CarrierRejectsError(f"unknown parameter {', '.join(unknown)}")


def _check_credentials(headers: Mapping[str, str], account_id: str) -> None:
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    user = base64.b64decode(encoded).decode().partition(":")[0] if scheme == "Basic" else ""
    if user != account_id and not user.startswith("SK"):
        raise CarrierRejectsError("20003: authenticate with the account's SID and token, or with an API key")
