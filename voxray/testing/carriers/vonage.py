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
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

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

FRAME_SECS = 0.02
RATES_HZ = (8000, 16000, 24000)
MAX_HEADERS_BYTES = 512
CONNECT_FIELDS = {"action", "endpoint", "from", "eventUrl", "eventMethod", "eventType", "timeout", "limit"}
ENDPOINT_FIELDS = {"type", "uri", "content-type", "headers", "authorization"}
DIAL_FIELDS = {
    *("to", "from", "answer_url", "answer_method", "event_url", "event_method", "ncco"),
    *("ringing_timer", "length_timer", "advanced_machine_detection", "machine_detection", "random_from_number"),
}
RSA_BYTES = 256  # of a signature by a key of 2048 bits, which Vonage makes
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

    # ── REST ──

    def rest(self, request: WireRequest) -> RestAnswer:
        """`/v1/calls` to place a call, `/v1/calls/{uuid}` to end or hand it on, `…/dtmf` for keys."""
        _check_bearer(request.headers.get("authorization", ""))
        path, data = urlsplit(request.url).path, _parsed(request.body)
        if not isinstance(data, dict):
            raise CarrierRejectsError("vonage: a request's body is a JSON object")
        match request.method, path.removeprefix("/v1/calls").split("/"):
            case "POST", [""]:
                return self._place(data)
            case "PUT", ["", self.facts.call_id]:
                return _changed(data)
            case "PUT", ["", self.facts.call_id, "dtmf"]:
                _only(data, {"digits"}, "dtmf")
                if not re.fullmatch(r"[0-9*#p]+", str(data.get("digits"))):
                    raise CarrierRejectsError("vonage: digits are 0-9, * and #")
                return RestAnswer(status=200, body={"message": "DTMF sent", "uuid": self.facts.call_id})
        return RestAnswer(status=404, body={"type": "NOT_FOUND", "error_title": "Not found"})

    def _place(self, data: Mapping[str, Any]) -> RestAnswer:
        _only(data, DIAL_FIELDS, "a call to place")
        to, ours = _phone(data.get("to")), _phone([data.get("from")])
        urls = data.get("answer_url")
        if not isinstance(urls, list) or len(urls) != 1 or not str(urls[0]).startswith("http"):
            raise CarrierRejectsError("vonage: answer_url is a list of one address")
        if not 1 <= data.get("ringing_timer", 60) <= 120:
            raise CarrierRejectsError("vonage: ringing_timer is 1 to 120")
        self.facts = replace(self.facts, caller=f"+{ours}", callee=f"+{to}", direction="outbound")
        body = {"uuid": self.facts.call_id, "status": "started", "direction": "outbound"}
        body["conversation_uuid"] = self._conversation
        return RestAnswer(status=201, body=body, answer_url=str(urls[0]))


def _changed(data: Mapping[str, Any]) -> RestAnswer:
    match data:
        case {"action": "hangup"} if len(data) == 1:
            return RestAnswer(status=204, ended=True)
        case {"action": "transfer", "destination": {"type": "ncco", "ncco": ncco}} if len(data) == 2:
            (endpoint,) = _connects(ncco)["endpoint"]
            to = endpoint["uri"] if endpoint.get("type") == "sip" else _phone([endpoint])
            return RestAnswer(status=204, ended=True, transferred_to=to)
    raise CarrierRejectsError(f"vonage: a call is changed by hangup or by transfer, not by {dict(data)}")


def _phone(endpoints: object) -> str:
    """The number of the one phone among them."""
    match endpoints:
        case [{"type": "phone", "number": str(number)}] if re.fullmatch(r"\d{7,15}", number):
            return number
    raise CarrierRejectsError(f"vonage: one phone, its number in digits without plus, not {endpoints}")


def _check_bearer(authorization: str) -> None:
    """A token signed by an application's key: its form only, for the simulator does not know the key."""
    try:
        head, claims, signature = authorization.removeprefix("Bearer ").split(".")
        parts = [json.loads(_unbased(head)), json.loads(_unbased(claims))]
        good = parts[0]["alg"] == "RS256" and len(_unbased(signature)) >= RSA_BYTES
        good = good and parts[1]["exp"] > parts[1]["iat"] and bool(parts[1]["application_id"] and parts[1]["jti"])
    except (ValueError, KeyError, TypeError) as error:
        raise CarrierRejectsError("vonage: 401, the token cannot be read") from error
    if not good:
        raise CarrierRejectsError("vonage: 401, the token is not one of an application")


def signed_token(claims: Mapping[str, Any], secret: str) -> str:
    """A JSON web token signed with HS256, as Vonage's webhooks carry one."""
    parts = [_base64(json.dumps(part, separators=(",", ":")).encode()) for part in ({"alg": "HS256"}, dict(claims))]
    signed = ".".join(parts)
    return f"{signed}.{_base64(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def _unbased(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


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
    if not connects and all(action.get("action") == "talk" for action in ncco):
        raise CallRefusedError("vonage: the NCCO connects nothing; the caller hears it and the call ends")
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
