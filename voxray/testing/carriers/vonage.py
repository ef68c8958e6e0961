"""A simulated Vonage: strict about the NCCO, about frames of 20 ms and about actions on the socket.

Rules: https://developer.vonage.com/voice/voice-api/guides/websockets and …/voice-api/ncco-reference
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from voxray.audio.format import AudioFormat, Encoding
from voxray.testing.phone_wire import (
    CarrierRejectsError,
    Cleared,
    MarkSet,
    Meaning,
    PhoneFacts,
    Sound,
    WireRequest,
    WireStream,
)

FRAME_SECS = 0.02
RATES_HZ = (8000, 16000, 24000)
MAX_HEADERS_BYTES = 512
CONNECT_FIELDS = {"action", "endpoint", "from", "eventUrl", "eventMethod", "eventType", "timeout", "limit"}
ENDPOINT_FIELDS = {"type", "uri", "content-type", "headers", "authorization"}
APPLICATION_ID = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"


class VonageWire:
    """`secret` signs webhooks (the account's signature secret). The rate is what our answer asks for."""

    name = "vonage"
    frame_secs = FRAME_SECS

    def __init__(self, facts: PhoneFacts, *, secret: str = "", rate_hz: int = 16000) -> None:
        self.facts = facts
        self.audio = AudioFormat(Encoding.PCM16, rate_hz)
        self._secret = secret
        self._jti = 0

    # ── HTTP ──

    def webhook(self, url: str, *, at: float) -> WireRequest:
        """The answer webhook, by POST."""
        fields = {
            "from": self.facts.caller.removeprefix("+"),
            "to": self.facts.callee.removeprefix("+"),
            "uuid": self.facts.call_id,
            "conversation_uuid": self._conversation,
            "region_url": "https://api-us-3.vonage.com",
        }
        return self._signed("POST", url, json.dumps(fields).encode(), at)

    def event(self, url: str, status: str, *, at: float, **more: str) -> WireRequest:
        """News of the call: `status` is started, ringing, answered, human, machine, completed, …"""
        fields = {
            "from": self.facts.caller.removeprefix("+"),
            "to": self.facts.callee.removeprefix("+"),
            "uuid": self.facts.call_id,
            "conversation_uuid": self._conversation,
            "status": status,
            "direction": self.facts.direction,
            "timestamp": "2026-01-01T00:00:00.000Z",
            **more,
        }
        return self._signed("POST", url, json.dumps(fields).encode(), at)

    @property
    def _conversation(self) -> str:
        return f"CON-{self.facts.call_id}"

    def _signed(self, method: str, url: str, body: bytes, at: float) -> WireRequest:
        headers = {"content-type": "application/json", "user-agent": "Vonage/1.0"}
        if self._secret:
            self._jti += 1
            claims = {
                "iat": int(at),
                "jti": f"{self.facts.call_id}-{self._jti}",
                "iss": "Vonage",
                "payload_hash": hashlib.sha256(body).hexdigest(),
                "api_key": "a1b2c3d",
                "application_id": APPLICATION_ID,
            }
            headers["authorization"] = f"Bearer {signed_token(claims, self._secret)}"
        return WireRequest(method=method, url=url, headers=headers, body=body)

    def stream(self, status: int, media_type: str, body: bytes) -> WireStream:
        if status != 200 or media_type.split(";")[0].strip().lower() != "application/json":
            raise CarrierRejectsError(f"vonage: an NCCO comes with 200 as application/json, not {status} {media_type}")
        connect = _connects(_parsed(body))
        endpoints = connect["endpoint"]
        if not isinstance(endpoints, list) or len(endpoints) != 1 or not isinstance(endpoints[0], dict):
            raise CarrierRejectsError("vonage: connect has a list of one endpoint (NCCO reference)")
        endpoint = endpoints[0]
        _only(endpoint, ENDPOINT_FIELDS, "a websocket endpoint")
        uri = endpoint.get("uri")
        if endpoint.get("type") != "websocket" or not isinstance(uri, str) or urlsplit(uri).scheme not in ("ws", "wss"):
            raise CarrierRejectsError("vonage: the endpoint is a websocket with an absolute ws or wss address")
        self.audio = AudioFormat(Encoding.PCM16, _rate(endpoint.get("content-type")))
        headers = endpoint.get("headers", {})
        if not isinstance(headers, dict) or len(json.dumps(headers)) > MAX_HEADERS_BYTES:
            raise CarrierRejectsError(f"vonage: headers are an object of at most {MAX_HEADERS_BYTES} bytes")
        authorization = endpoint.get("authorization") or {}
        carried = {"authorization": authorization["value"]} if authorization.get("type") == "custom" else {}
        return WireStream(url=uri, headers=carried, parameters={name: str(value) for name, value in headers.items()})

    # ── the socket ──

    def handshake(self, stream: WireStream, *, at: float) -> Mapping[str, str]:
        return stream.headers

    def opening(self, stream: WireStream) -> Sequence[str | bytes]:
        connected = {"event": "websocket:connected", "content-type": f"audio/l16;rate={self.audio.rate_hz}"}
        return [json.dumps({**connected, **stream.parameters})]

    def media(self, audio: bytes) -> bytes:
        return audio

    def dtmf(self, digit: str) -> str:
        return json.dumps({"event": "websocket:dtmf", "digit": digit, "duration": 260})

    def stop(self) -> None:
        """Vonage closes the socket without a word."""

    def understand(self, message: str | bytes) -> Sequence[Meaning]:
        if isinstance(message, bytes):
            frame = self.audio.size(FRAME_SECS)
            if len(message) != frame:
                raise CarrierRejectsError(f"vonage: a frame has {len(message)} bytes, 20 ms are {frame}")
            return [Sound(message)]
        data = _parsed(message.encode())
        if not isinstance(data, dict):
            raise CarrierRejectsError("vonage: a text message is a JSON object")
        match data.get("action"):
            case "clear":
                _only(data, {"action"}, "clear")
                return [Cleared()]
            case "notify":
                _only(data, {"action", "payload"}, "notify")
                payload = data.get("payload")
                if not isinstance(payload, dict) or not isinstance(payload.get("name"), str):
                    raise CarrierRejectsError("vonage: notify carries a payload, ours a name")
                return [MarkSet(payload["name"])]
        raise CarrierRejectsError(f"vonage: no action {data.get('action')!r} on the socket; clear and notify exist")

    def mark_reached(self, name: str) -> str:
        return json.dumps({"event": "websocket:notify", "payload": {"name": name}})

    def cleared(self, pending: Sequence[str]) -> Sequence[str | bytes]:
        return [json.dumps({"event": "websocket:cleared"})]


def signed_token(claims: Mapping[str, Any], secret: str) -> str:
    """A JSON web token signed with HS256, as Vonage's webhooks carry one."""
    parts = [_base64(json.dumps(part, separators=(",", ":")).encode()) for part in ({"alg": "HS256"}, dict(claims))]
    signed = ".".join(parts)
    return f"{signed}.{_base64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise CarrierRejectsError(f"vonage: not JSON: {body[:100]!r}") from error


def _connects(ncco: Any) -> dict[str, Any]:
    """The one action that connects. Raises CarrierRejectsError."""
    if not isinstance(ncco, list) or not all(isinstance(action, dict) for action in ncco):
        raise CarrierRejectsError("vonage: an NCCO is a list of actions")
    connects = [action for action in ncco if action.get("action") == "connect"]
    if len(connects) != 1:
        raise CarrierRejectsError(f"vonage: {len(connects)} actions of the NCCO connect")
    connect: dict[str, Any] = connects[0]
    _only(connect, CONNECT_FIELDS, "connect")
    if "endpoint" not in connect:
        raise CarrierRejectsError("vonage: connect needs an endpoint")
    if not re.fullmatch(r"\d{7,15}", connect.get("from", "1234567")):
        raise CarrierRejectsError("vonage: from is a number in digits, without plus")
    urls = connect.get("eventUrl", [])
    if not isinstance(urls, list) or not all(isinstance(url, str) and url.startswith("http") for url in urls):
        raise CarrierRejectsError("vonage: eventUrl is a list of absolute addresses")
    return connect


def _only(data: Mapping[str, Any], known: set[str], what: str) -> None:
    foreign = sorted(set(data) - known)
    if foreign:
        raise CarrierRejectsError(f"vonage: {what} has no field {', '.join(foreign)}")


def _rate(content_type: object) -> int:
    match = re.fullmatch(r"audio/l16;rate=(\d+)", content_type) if isinstance(content_type, str) else None
    if match is None or int(match[1]) not in RATES_HZ:
        raise CarrierRejectsError(f"vonage: content-type is audio/l16;rate=8000, 16000 or 24000, not {content_type}")
    return int(match[1])
