"""A simulated Exotel: strict about the answer's address, about the size of pieces, and about field names.

Rules: Exotel's guides to the Voicebot applet, https://developer.exotel.com/docs/agentstream/getting-started
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from voxray.audio.format import AudioFormat, Encoding
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

FRAME_SECS = 0.1
RATES = ("8000", "16000", "24000")
LEAST_BYTES, MULTIPLE_BYTES, MOST_BYTES = 3200, 320, 100_000
MOST_PARAMETERS, MOST_PARAMETER_CHARS, MOST_URL_CHARS = 3, 256, 600
MESSAGES = {
    "media": ({"event", "stream_sid", "media"}, {"sequence_number"}),
    "mark": ({"event", "stream_sid", "mark"}, {"sequence_number"}),
    "clear": ({"event", "stream_sid"}, {"sequence_number"}),
}
CALL_FIELDS = {
    "From",
    "CallerId",
    "StreamUrl",
    "StreamType",
    "StreamName",
    "Record",
    "RecordingChannels",
    "TimeLimit",
    "TimeOut",
    "CustomField",
    "StatusCallback",
    "StatusCallbackEvents[]",
    "StatusCallbackContentType",
}


class ExotelWire:
    """`secret` is the password in the applet's address, with `username`. `static` is an applet that holds the `wss://`
    address itself, so that there is no webhook. `spelling` "camel" is that of newer platforms, `mulaw` a beta's
    format."""

    name = "exotel"
    frame_secs = FRAME_SECS

    def __init__(
        self,
        facts: PhoneFacts,
        *,
        secret: str = "",
        username: str = "voxray",
        static: bool = False,
        spelling: str = "snake",
        mulaw: bool = False,
    ) -> None:
        self.facts = facts
        self.audio = AudioFormat(Encoding.MULAW if mulaw else Encoding.PCM16, 8000)
        self._credentials = f"{username}:{secret}" if secret else ""
        self._static = static
        self._camel = spelling == "camel"
        self._sequence = 0
        self._chunk = 0
        self._short = 0  # bytes of the last piece, if it was too short for anything but an end

    # ── HTTP ──

    def webhook(self, url: str, *, at: float) -> WireRequest | None:
        return None if self._static else self.query(url, CallType="call-attempt", flow_id="284913")

    def query(self, url: str, **more: str) -> WireRequest:
        """A GET as applets make it."""
        fields = {
            "CallSid": self.facts.call_id,
            "CallFrom": self.facts.caller,
            "CallTo": self.facts.callee,
            "Direction": "incoming" if self.facts.direction == "inbound" else "outbound-dial",
            "Created": "Thu, 01 Jan 2026 00:00:00",
            "CurrentTime": "2026-01-01 00:00:00",
            "From": self.facts.caller,
            "To": self.facts.callee,
            **more,
        }
        scheme, host, path, query, _ = urlsplit(url)
        asked = urlunsplit((scheme, host, path, f"{query}&{urlencode(fields)}" if query else urlencode(fields), ""))
        return WireRequest(method="GET", url=asked, headers=self._login())

    def callback(self, url: str, event: str, status: str) -> WireRequest:
        """News of a call that we placed, as JSON."""
        fields = {
            "CallSid": self.facts.call_id,
            "EventType": event,
            "Status": status,
            "From": self.facts.callee,
            "To": self.facts.caller,
            "ConversationDuration": 12,
        }
        headers = {"content-type": "application/json", **self._login()}
        return WireRequest(method="POST", url=url, headers=headers, body=json.dumps(fields).encode())

    def _login(self) -> dict[str, str]:
        return {"authorization": _basic(self._credentials)} if self._credentials else {}

    # ── what we answer ──

    def stream(self, status: int, media_type: str, body: bytes) -> WireStream:
        if status == 503:
            raise CallRefusedError("no address for the applet: the flow goes on")
        if status != 200 or media_type.partition(";")[0].strip() != "application/json":
            raise CarrierRejectsError(f"status {status} with {media_type!r}: 200 with application/json is expected")
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise CarrierRejectsError("no JSON") from error
        if not isinstance(answer, dict) or not isinstance(answer.get("url"), str):
            raise CarrierRejectsError("no url at the top level")
        return self.opened(answer["url"])

    def opened(self, url: str) -> WireStream:
        """The stream of this address; what an applet with a static one holds."""
        parts = urlsplit(url)
        local = parts.scheme == "ws" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not parts.hostname or not (parts.scheme == "wss" or local):
            raise CarrierRejectsError(f"a stream's address is absolute and wss://, not {url!r}")
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        rate = query.pop("sample-rate", "8000")
        if rate not in RATES:
            raise CarrierRejectsError(f"sample-rate {rate!r} is none of {', '.join(RATES)}")
        if len(query) > MOST_PARAMETERS or len(urlencode(query)) > MOST_PARAMETER_CHARS:
            raise CarrierRejectsError(f"more than 3 custom parameters or 256 characters: {sorted(query)}")
        if self.audio.encoding is Encoding.PCM16:
            self.audio = AudioFormat(Encoding.PCM16, int(rate))
        login = parts.netloc.rpartition("@")[0]
        headers = {"authorization": _basic(unquote(login))} if login else {}
        bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
        return WireStream(url=bare, headers=headers, parameters=query)

    def rest(self, request: WireRequest) -> RestAnswer:
        """`Calls/connect` places a call; there is nothing else."""
        path = urlsplit(request.url).path
        if request.method != "POST" or not path.endswith(("/Calls/connect", "/Calls/connect.json")):
            raise CarrierRejectsError(f"{request.method} {path} is not how a call is placed")
        if not request.headers.get("authorization", "").startswith("Basic "):
            raise CarrierRejectsError("no Basic authorization")
        fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        unknown = sorted(set(fields) - CALL_FIELDS)
        missing = [name for name in ("From", "CallerId", "StreamUrl", "StreamType") if not fields.get(name)]
        if unknown or missing or fields["StreamType"] != "bidirectional":
            raise CarrierRejectsError(f"unknown fields {unknown}, missing {missing}, or a stream that is one-way")
        if len(fields["StreamUrl"]) >= MOST_URL_CHARS:
            raise CarrierRejectsError("StreamUrl has 600 characters or more")
        self.facts = replace(self.facts, caller=fields["CallerId"], callee=fields["From"], direction="outbound")
        body = {"Call": {"Sid": self.facts.call_id, "Status": "in-progress", "From": fields["From"]}}
        return RestAnswer(body=body, stream=self.opened(fields["StreamUrl"]))

    # ── the socket ──

    def handshake(self, stream: WireStream, *, at: float) -> Mapping[str, str]:
        return stream.headers or (self._login() if self._static else {})

    def opening(self, stream: WireStream) -> Sequence[str | bytes]:
        mulaw = self.audio.encoding is Encoding.MULAW
        media_format = {
            "encoding": "audio/x-mulaw;rate=8000" if mulaw else "raw",
            "sample_rate": str(self.audio.rate_hz),
            "bit_rate": str(self.audio.bytes_per_sec // 125),
        }
        start = {
            self._named("stream_sid"): self.facts.stream_id,
            self._named("call_sid"): self.facts.call_id,
            "account_sid": self.facts.account_id,
            "from": self.facts.caller,
            "to": self.facts.callee,
            "custom_parameters": dict(stream.parameters),
            "media_format": media_format,
        }
        return [json.dumps({"event": "connected"}), self._message("start", start=start)]

    def media(self, audio: bytes) -> str:
        self._chunk += 1
        media = {
            "chunk": self._chunk if self._camel else str(self._chunk),
            "timestamp": str(self._chunk * 100),
            "payload": base64.b64encode(audio).decode(),
        }
        return self._message("media", media=media)

    def dtmf(self, digit: str) -> str:
        return self._message("dtmf", dtmf={"duration": "100", "digit": digit})

    def stop(self) -> str:
        stop = {"call_sid": self.facts.call_id, "account_sid": self.facts.account_id, "reason": "callended"}
        return self._message("stop", stop=stop)

    def mark_reached(self, name: str) -> str:
        return self._message("mark", mark={"name": name})

    def cleared(self, pending: Sequence[str]) -> Sequence[str]:
        """Exotel says that it cleared; the marks are not known to come back."""
        return [self._message("clear")]

    def _message(self, event: str, **fields: Any) -> str:
        self._sequence += 1
        head = {
            "event": event,
            self._named("sequence_number"): self._sequence if self._camel else str(self._sequence),
            self._named("stream_sid"): self.facts.stream_id,
        }
        return json.dumps({**head, **fields})

    def _named(self, name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(word.capitalize() for word in rest) if self._camel else name

    def understand(self, message: str | bytes) -> Sequence[Meaning]:
        if isinstance(message, bytes):
            raise CarrierRejectsError("a binary message")
        try:
            data = json.loads(message)
        except ValueError as error:
            raise CarrierRejectsError("no JSON") from error
        if not isinstance(data, dict) or data.get("event") not in MESSAGES:
            raise CarrierRejectsError(f"unknown message: {message[:80]}")
        event = data["event"]
        needed, allowed = MESSAGES[event]
        if not needed <= set(data) <= needed | allowed:
            raise CarrierRejectsError(f"{event} has {sorted(needed)}, not {sorted(data)}")
        if data["stream_sid"] != self.facts.stream_id:
            raise CarrierRejectsError("a foreign stream_sid")
        if event == "media":
            return [Sound(self._sound(_only(data["media"], "payload", {"chunk", "timestamp"})))]
        self._short = 0  # an utterance ends with a mark, or where it is cleared
        return [Cleared()] if event == "clear" else [MarkSet(_only(data["mark"], "name", set()))]

    def _sound(self, payload: str) -> bytes:
        try:
            sound = base64.b64decode(payload, validate=True)
        except ValueError as error:
            raise CarrierRejectsError("no base64") from error
        if self._short:
            raise CarrierRejectsError(f"a piece of {self._short} bytes within an utterance; at least 3200 are needed")
        if not sound or len(sound) % MULTIPLE_BYTES:
            raise CarrierRejectsError(f"a piece of {len(sound)} bytes, which is no multiple of 320")
        if len(sound) > MOST_BYTES:
            raise CarrierRejectsError(f"a piece of {len(sound)} bytes; more than 100000 time out")
        self._short = len(sound) if len(sound) < LEAST_BYTES else 0
        return sound


def _only(value: object, name: str, others: set[str]) -> str:
    """The field that an object must have, a text that is not empty; `others` may be there."""
    if not isinstance(value, dict) or not {name} <= set(value) <= {name} | others:
        raise CarrierRejectsError(f"exactly {name} is expected")
    text = value[name]
    if not isinstance(text, str) or not text:
        raise CarrierRejectsError(f"{name} is a text that is not empty")
    return text


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"
