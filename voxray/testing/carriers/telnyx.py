"""A simulated Telnyx: strict about TeXML, about stream fields of commands, and about messages on the socket.

Rules: https://developers.telnyx.com/docs/voice/programmable-voice/media-streaming and Telnyx' description of the
media streaming websocket.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET

from voxray.audio.convert import Converter
from voxray.audio.format import AudioFormat, Encoding
from voxray.testing.carriers import ed25519, telnyx_rest
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

SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"  # RFC 8032, section 7.1, test 1
PUBLIC_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

FRAME_SECS = 0.02
LEAST_SECS, MOST_SECS = 0.02, 30.0
ENCODINGS = {"PCMU": Encoding.MULAW, "PCMA": Encoding.ALAW, "L16": Encoding.PCM16}
RATES = ("8000", "16000", "22050", "24000", "48000")
XML_TYPES = ("application/xml", "text/xml")
TOKEN_HEADER = "x-telnyx-streaming-auth-token"
ATTRIBUTES = {
    "url",
    "name",
    "track",
    "codec",
    "bidirectionalMode",
    "bidirectionalCodec",
    "bidirectionalSamplingRate",
    "statusCallback",
    "statusCallbackMethod",
}
MESSAGES = {"media": {"event", "media"}, "mark": {"event", "mark"}, "clear": {"event"}}


class TelnyxWire:
    """`secret` is the hex seed that signs webhooks (`SEED`, say). With `call_control` the call comes as a JSON event
    and is answered by REST. `codec` is the leg's, `byte_order` that of L16. `keys` are those that came by REST."""

    name = "telnyx"
    frame_secs = FRAME_SECS

    def __init__(
        self,
        facts: PhoneFacts,
        *,
        secret: str = "",
        call_control: bool = False,
        codec: str = "PCMU",
        rate_hz: int = 8000,
        byte_order: str = "big",
    ) -> None:
        self.facts = facts
        self.audio = AudioFormat(ENCODINGS[codec], rate_hz)
        self.call_control = call_control
        self.asked = AudioFormat(Encoding.MULAW, 8000)  # what we said that we shall send
        self._seed = bytes.fromhex(secret) if secret else b""
        self._codec = codec
        self._swaps = byte_order == "big"
        self.keys = ""  # sent by REST
        self.over = False
        self._answered: WireStream | None = None
        self._sequence = 0
        self._chunk = 0
        self._events = 0

    # ── HTTP ──

    def webhook(self, url: str, *, at: float) -> WireRequest:
        if self.call_control:
            direction = "incoming" if self.facts.direction == "inbound" else "outgoing"
            return self.event(url, "call.initiated", at=at, direction=direction, state="parked")
        return self.form(url, at=at, CallStatus="ringing")

    def form(self, url: str, *, at: float, **more: str) -> WireRequest:
        """A TeXML request: for instructions, or news of the call or its stream."""
        fields = {
            "AccountSid": self.facts.account_id,
            "CallSid": self.facts.call_id,
            "CallSidLegacy": self.facts.call_id,
            "ConnectionId": "1684641123236054244",
            "From": self.facts.caller,
            "To": self.facts.callee,
            "Direction": self.facts.direction,
            **more,
        }
        return self._signed(url, urlencode(fields).encode(), "application/x-www-form-urlencoded", at)

    def event(
        self, url: str, kind: str, *, at: float, attempt: int = 1, event_id: str = "", **more: Any
    ) -> WireRequest:
        """A Call Control event; each has a new id unless one is given."""
        self._events += 1
        payload = {
            "call_control_id": self.facts.call_id,
            "call_leg_id": "428c31b6-0001",
            "call_session_id": "428c31b6-0000",
            "client_state": None,
            "connection_id": "1684641123236054244",
            "from": self.facts.caller,
            "to": self.facts.callee,
            **more,
        }
        data = {
            "record_type": "event",
            "event_type": kind,
            "id": event_id or f"0ccc7b54-4df3-4bca-a65a-{self._events:012d}",
            "occurred_at": "2026-01-01T00:00:00.000000Z",
            "payload": payload,
        }
        body = json.dumps({"data": data, "meta": {"attempt": attempt, "delivered_to": url}}).encode()
        return self._signed(url, body, "application/json", at)

    def _signed(self, url: str, body: bytes, media_type: str, at: float) -> WireRequest:
        headers = {"content-type": media_type, "user-agent": "telnyx-webhooks"}
        if self._seed:
            stamp = str(int(at))
            signature = ed25519.sign(self._seed, f"{stamp}|".encode() + body)
            headers["telnyx-timestamp"] = stamp
            headers["telnyx-signature-ed25519"] = base64.b64encode(signature).decode()
        return WireRequest(method="POST", url=url, headers=headers, body=body)

    # ── what we answer ──

    def stream(self, status: int, media_type: str, body: bytes) -> WireStream:
        """With Call Control, what the command to answer asked for; it must have come before."""
        if self.call_control:
            if not 200 <= status < 300:
                raise CarrierRejectsError(f"status {status}: the webhook is repeated")
            if self._answered is None:
                raise CarrierRejectsError("the call was not answered by a command")
            return self._answered
        if status != 200 or media_type.partition(";")[0].strip() not in XML_TYPES:
            raise CarrierRejectsError(f"status {status} with {media_type!r}: TeXML is 200 with {XML_TYPES[0]}")
        try:
            root = ET.fromstring(body)
        except ET.ParseError as error:
            raise CarrierRejectsError(f"no XML: {error}") from error
        stream = _connect_stream(root)
        parameters = {it.get("name", ""): it.get("value", "") for it in stream}
        codec = stream.get("bidirectionalCodec", "PCMU")
        self._ask(stream.get("bidirectionalMode", "mp3"), codec, stream.get("bidirectionalSamplingRate", "8000"))
        return WireStream(url=_checked_url(stream.get("url", "")), parameters=parameters)

    def rest(self, request: WireRequest) -> RestAnswer:
        """Commands of Call Control, and placing a call by TeXML."""
        command = telnyx_rest.command(request, self.facts.call_id)
        fields = command.fields
        match command.action:
            case "dial":
                self.facts = replace(self.facts, caller=fields["from"], callee=fields["to"], direction="outbound")
                return telnyx_rest.placed(self.facts.call_id, stream=self._stream_of(fields))
            case "texml":
                self.facts = replace(self.facts, caller=fields["From"], callee=fields["To"], direction="outbound")
                return RestAnswer(body={"sid": self.facts.call_id, "status": "queued"}, answer_url=fields["Url"])
        if self.over:
            return telnyx_rest.ENDED
        match command.action:
            case "answer":
                self._answered = self._stream_of(fields)
                return telnyx_rest.placed(self.facts.call_id, stream=self._answered)
            case "send_dtmf":
                self.keys += fields["digits"]
            case "transfer":
                return RestAnswer(body=telnyx_rest.OK, ended=True, transferred_to=fields["to"])
            case "hangup" | "reject":
                self.over = True
                return RestAnswer(body=telnyx_rest.OK, ended=True)
        return RestAnswer(body=telnyx_rest.OK)

    def _stream_of(self, fields: Mapping[str, Any]) -> WireStream:
        self._ask(
            fields.get("stream_bidirectional_mode", "mp3"),
            fields.get("stream_bidirectional_codec", "PCMU"),
            str(fields.get("stream_bidirectional_sampling_rate", 8000)),
        )
        token = fields.get("stream_auth_token", "")
        return WireStream(
            url=_checked_url(fields.get("stream_url", "")),
            headers={TOKEN_HEADER: token} if token else {},
            parameters={it["name"]: it["value"] for it in fields.get("custom_parameters", [])},
        )

    def _ask(self, mode: str, codec: str, rate: str) -> None:
        if mode != "rtp":
            raise CarrierRejectsError(f"mode {mode!r}: only rtp takes sound as we send it")
        if codec not in ENCODINGS or rate not in RATES or (codec != "L16" and rate != "8000"):
            raise CarrierRejectsError(f"codec {codec!r} at {rate!r}")
        self.asked = AudioFormat(ENCODINGS[codec], int(rate))

    # ── the socket ──

    def handshake(self, stream: WireStream, *, at: float) -> Mapping[str, str]:
        return stream.headers

    def opening(self, stream: WireStream) -> Sequence[str | bytes]:
        start = {
            "user_id": "3e6f995f",
            "call_control_id": self.facts.call_id,
            "call_session_id": "428c31b6-0000",
            "from": self.facts.caller,
            "to": self.facts.callee,
            "tags": [],
            "client_state": "eA==",
            "custom_parameters": dict(stream.parameters),
            "media_format": {"encoding": self._codec, "sample_rate": self.audio.rate_hz, "channels": 1},
        }
        connected = {"event": "connected", "version": "1.0.0", **stream.headers}
        return [json.dumps(connected), self._message("start", start=start)]

    def media(self, audio: bytes) -> str:
        self._chunk += 1
        if self._swaps and self.audio.encoding is Encoding.PCM16:
            audio = _swapped(audio)
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(self._chunk * 20),
            "payload": base64.b64encode(audio).decode(),
        }
        return self._message("media", media=media)

    def dtmf(self, digit: str) -> str:
        return self._message("dtmf", occurred_at="2026-01-01T00:00:09.000000Z", dtmf={"digit": digit})

    def stop(self) -> str:
        return self._message("stop", stop={"user_id": "3e6f995f", "call_control_id": self.facts.call_id})

    def mark_reached(self, name: str) -> str:
        return self._message("mark", mark={"name": name})

    def cleared(self, pending: Sequence[str]) -> Sequence[str]:
        """The marks come back at once."""
        return [self.mark_reached(name) for name in pending]

    def _message(self, event: str, **fields: Any) -> str:
        self._sequence += 1
        head = {"event": event, "sequence_number": str(self._sequence)}
        return json.dumps({**head, **fields, "stream_id": self.facts.stream_id})

    def understand(self, message: str | bytes) -> Sequence[Meaning]:
        if isinstance(message, bytes):
            raise CarrierRejectsError("100003 malformed_frame: a binary message")
        try:
            data = json.loads(message)
        except ValueError as error:
            raise CarrierRejectsError("100003 malformed_frame: no JSON") from error
        if not isinstance(data, dict) or data.get("event") not in MESSAGES:
            raise CarrierRejectsError(f"100003 malformed_frame: {message[:80]}")
        event = data["event"]
        if set(data) != MESSAGES[event]:
            raise CarrierRejectsError(f"{event} has exactly {sorted(MESSAGES[event])}, not {sorted(data)}")
        if event == "clear":
            return [Cleared()]
        if event == "mark":
            return [MarkSet(_only(data["mark"], "name"))]
        return [Sound(self._sound(_only(data["media"], "payload")))]

    def _sound(self, payload: str) -> bytes:
        try:
            sound = base64.b64decode(payload, validate=True)
        except ValueError as error:
            raise CarrierRejectsError("100004 invalid_media: no base64") from error
        if len(sound) % self.asked.sample_bytes:
            raise CarrierRejectsError("100004 invalid_media: half a sample")
        secs = self.asked.secs(len(sound))
        if not LEAST_SECS <= secs <= MOST_SECS:
            raise CarrierRejectsError(f"100004 invalid_media: {secs:g} s of sound; a message holds 20 ms to 30 s")
        if self._swaps and self.asked.encoding is Encoding.PCM16:
            sound = _swapped(sound)
        return Converter(self.asked, self.audio).process(sound)


def _connect_stream(root: ET.Element) -> ET.Element:
    if root.tag != "Response" or len(root) == 0:
        raise CarrierRejectsError("no Response with a verb")
    verb = root[0]
    if verb.tag == "Reject":
        raise CallRefusedError(f"the call was turned away: {verb.get('reason', 'rejected')}")
    if verb.tag != "Connect" or len(verb) != 1 or verb[0].tag != "Stream":
        raise CarrierRejectsError("only Connect with one Stream holds the call")
    stream = verb[0]
    unknown = sorted(set(stream.attrib) - ATTRIBUTES)
    wrong = [it.tag for it in stream if it.tag != "Parameter" or set(it.attrib) != {"name", "value"}]
    if unknown or wrong:
        raise CarrierRejectsError(f"unknown attributes {unknown} or children {wrong} of Stream")
    return stream


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    local = parts.scheme == "ws" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or not (parts.scheme == "wss" or local):
        raise CarrierRejectsError(f"a stream's address is absolute and wss://, not {url!r}")
    return url


def _only(value: object, name: str) -> str:
    """The one field of an object, which is a text that is not empty."""
    if not isinstance(value, dict) or set(value) != {name} or not isinstance(value[name], str) or not value[name]:
        raise CarrierRejectsError(f"100003 malformed_frame: exactly {name} is expected")
    text: str = value[name]
    return text


def _swapped(sound: bytes) -> bytes:
    samples = array("h", sound)
    samples.byteswap()
    return samples.tobytes()
