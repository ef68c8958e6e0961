"""A simulated Genesys Cloud: the client of AudioHook, protocol version 2, strict about numbering, rates and endings.

Rules: https://developer.genesys.cloud/devapps/audiohook/ (protocol reference, session walkthrough). The rate limits are
what users report: 5 messages a second, 25 in a burst, counted for text and for sound.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from voxray.audio.format import MULAW_8K
from voxray.testing.phone_wire import (
    Answered,
    CarrierRejectsError,
    Cleared,
    HungUp,
    MarkSet,
    Meaning,
    PhoneFacts,
    Sound,
    WireRequest,
    WireStream,
)

RATE, BURST = 5.0, 25.0
LEAST_BYTES, MOST_BYTES = 1600, 64_000
SMALL_IN_A_ROW = 3  # ends of sentences are short; more than that in a row is a habit
TEXT_CHARS = 65_535
SIGNATURE_SECS = 10
FIELDS = {"version", "id", "type", "seq", "clientseq", "parameters"}
PARAMETERS = {
    "opened": ({"media"}, {"discardTo", "startPaused", "supportedLanguages"}),
    "pong": (set(), set()),
    "updated": (set(), set()),
    "pause": (set(), set()),
    "resume": (set(), set()),
    "event": ({"entities"}, set()),
    "closed": (set(), {"summary", "outputVariables"}),
    "disconnect": ({"reason"}, {"info", "outputVariables"}),
    "reconnect": (set(), {"info"}),
}
COVERED = (
    "@request-target",
    "@authority",
    "audiohook-organization-id",
    "audiohook-session-id",
    "audiohook-correlation-id",
    "x-api-key",
)


class GenesysWire:
    """`secret` is the client secret (base64) that signs the handshake, `api_key` goes along in any case; both fit into
    one as "KEY:SECRET".

    `facts.call_id` is the conversation, `facts.stream_id` the session, `facts.account_id` the organization. There are
    no marks: each piece of our sound counts as one, and the last one played makes `playback_completed`.
    """

    name = "genesys"
    audio = MULAW_8K
    frame_secs = 0.1

    def __init__(
        self,
        facts: PhoneFacts,
        *,
        secret: str = "",
        api_key: str = "key-1",
        probe: bool = False,
        media: Sequence[Mapping[str, Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.facts = facts
        self.disconnected: Mapping[str, Any] | None = None  # parameters of our disconnect
        self.closed = False  # the session ended as it should
        key, _, signing = secret.rpartition(":")
        self._secret = base64.b64decode(signing)
        self._api_key = key or api_key
        self._probe = probe
        self._media = list(media) if media is not None else [pcmu(["external"])]
        self._opened = False
        self._closing = False
        self._seq = 0
        self._serverseq = 0
        self._pings: list[int] = []
        self._heard_bytes = 0
        self._sounds = 0
        self._played = 0
        self._playing = False
        self._small = 0
        self._text_rate, self._sound_rate = _Bucket(clock), _Bucket(clock)

    # ── HTTP ──

    def webhook(self, url: str, *, at: float) -> WireRequest | None:
        """None: the socket is the first contact."""
        return None

    def stream(self, status: int, media_type: str, body: bytes) -> WireStream:
        raise CarrierRejectsError("genesys: there is no webhook to answer")

    def handshake(self, stream: WireStream, *, at: float) -> Mapping[str, str]:
        headers = {
            "audiohook-organization-id": self._organization,
            "audiohook-session-id": self._session,
            "audiohook-correlation-id": str(uuid.uuid5(uuid.NAMESPACE_URL, self.facts.call_id)),
            "x-api-key": self._api_key,
        }
        return {**headers, **self._signature(stream.url, headers, int(at))} if self._secret else headers

    def _signature(self, url: str, headers: Mapping[str, str], at: int) -> dict[str, str]:
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        known = {**headers, "@request-target": target, "@authority": parts.netloc}
        names = " ".join(f'"{name}"' for name in COVERED)
        nonce = secrets.token_urlsafe(16)
        about = f'({names});keyid="{self._api_key}";nonce="{nonce}";alg="hmac-sha256";'
        about += f"created={at};expires={at + SIGNATURE_SECS}"
        base = "\n".join([*(f'"{name}": {known[name]}' for name in COVERED), f'"@signature-params": {about}'])
        proof = base64.b64encode(hmac.digest(self._secret, base.encode(), hashlib.sha256)).decode()
        return {"signature-input": f"sig1={about}", "signature": f"sig1=:{proof}:"}

    @property
    def _session(self) -> str:
        return _uuid(self.facts.stream_id)

    @property
    def _organization(self) -> str:
        return _uuid(self.facts.account_id)

    # ── what Genesys sends ──

    def opening(self, stream: WireStream) -> Sequence[str | bytes]:
        none = str(uuid.UUID(int=0))
        participant = {
            "id": none if self._probe else str(uuid.uuid5(uuid.NAMESPACE_URL, self.facts.caller)),
            "ani": self.facts.caller,
            "aniName": "",
            "dnis": self.facts.callee,
        }
        parameters = {
            "organizationId": self._organization,
            "conversationId": none if self._probe else _uuid(self.facts.call_id),
            "participant": participant,
            "media": self._media,
            "language": "en-US",
            "customConfig": {},
            "inputVariables": dict(stream.parameters),
        }
        return [self.message("open", parameters)]

    def message(self, kind: str, parameters: Mapping[str, Any] | None = None) -> str:
        """The next message of ours, numbered: to be sent before any that is made later."""
        self._seq += 1
        head = {"version": "2", "id": self._session, "type": kind, "seq": self._seq, "serverseq": self._serverseq}
        position = duration(MULAW_8K.secs(self._heard_bytes))
        return json.dumps({**head, "position": position, "parameters": dict(parameters or {})})

    def media(self, audio: bytes) -> bytes:
        self._heard_bytes += len(audio)
        return audio

    def dtmf(self, digit: str) -> str:
        return self.message("dtmf", {"digit": digit})

    def ping(self) -> str:
        message = self.message("ping", {})
        self._pings.append(self._seq)
        return message

    def stop(self) -> str:
        self._closing = True
        return self.message("close", {"reason": "end"})

    def mark_reached(self, name: str) -> str | None:
        self._played += 1
        if self._played < self._sounds or not self._playing:
            return None
        self._playing = False
        return self.message("playback_completed")

    def cleared(self, pending: Sequence[str]) -> Sequence[str | bytes]:
        self._played = self._sounds
        playing, self._playing = self._playing, False
        return [self.message("playback_completed")] if playing else []

    # ── what we make of the server's messages ──

    def understand(self, message: str | bytes) -> Sequence[Meaning]:
        if self.closed:
            raise CarrierRejectsError("genesys: a message after closed")
        if isinstance(message, bytes):
            return self._sound(message)
        if len(message) > TEXT_CHARS:
            raise CarrierRejectsError("genesys: error 413, a text message of more than 64 KB")
        self._text_rate.take("text messages")
        kind, clientseq, parameters = self._numbered(message)
        if not self._opened and kind not in ("opened", "disconnect"):
            raise CarrierRejectsError(f"genesys: error 409, {kind} before opened")
        match kind:
            case "opened":
                return self._open(parameters)
            case "pong":
                if not self._pings or self._pings.pop(0) != clientseq:
                    raise CarrierRejectsError("genesys: error 409, a pong whose clientseq is not the ping's seq")
            case "event":
                return self._event(parameters["entities"])
            case "disconnect":
                return self._disconnect(parameters)
            case "closed":
                if not self._closing:
                    raise CarrierRejectsError("genesys: error 409, closed without close")
                self.closed = True
                return [] if self.disconnected is None else [HungUp()]
        return []

    def socket_closed(self) -> None:
        """The server closed the socket. Raises CarrierRejectsError: it may not, unless the session was closed."""
        if not self.closed:
            raise CarrierRejectsError("genesys: the socket was closed without disconnect, close and closed")

    def _sound(self, audio: bytes) -> list[Meaning]:
        if not self._opened:
            raise CarrierRejectsError("genesys: sound before opened")
        if not 0 < len(audio) <= MOST_BYTES:
            raise CarrierRejectsError(f"genesys: a packet of {len(audio)} bytes")
        self._sound_rate.take("packets")
        self._small = self._small + 1 if len(audio) < LEAST_BYTES else 0
        if self._small > SMALL_IN_A_ROW:
            raise CarrierRejectsError(f"genesys: {self._small} packets in a row of fewer than {LEAST_BYTES} bytes")
        if self._closing:
            return []
        self._sounds += 1
        started = [] if self._playing else [Answered(self.message("playback_started"))]
        self._playing = True
        return [*started, Sound(audio), MarkSet(f"sound-{self._sounds}")]

    def _numbered(self, message: str) -> tuple[str, int, dict[str, Any]]:
        try:
            data = json.loads(message)
        except ValueError as error:
            raise CarrierRejectsError("genesys: error 400, not JSON") from error
        if not isinstance(data, dict) or set(data) != FIELDS or data["version"] != "2" or data["id"] != self._session:
            raise CarrierRejectsError("genesys: error 400, not a message of this session")
        if data["seq"] != self._serverseq + 1:
            raise CarrierRejectsError(f"genesys: seq {data['seq']} after {self._serverseq}")
        self._serverseq += 1
        clientseq, kind, parameters = data["clientseq"], data["type"], data["parameters"]
        if not isinstance(clientseq, int) or not 0 < clientseq <= self._seq:
            raise CarrierRejectsError(f"genesys: clientseq {clientseq}, but we have sent {self._seq}")
        needed, optional = PARAMETERS.get(kind, (None, None))
        if needed is None or optional is None:
            raise CarrierRejectsError(f"genesys: error 400, no message is of type {kind!r}")
        if not isinstance(parameters, dict) or not needed <= set(parameters) <= needed | optional:
            raise CarrierRejectsError(f"genesys: error 400, wrong parameters of {kind}: {parameters}")
        return kind, clientseq, parameters

    def _open(self, parameters: Mapping[str, Any]) -> list[Meaning]:
        if self._opened:
            raise CarrierRejectsError("genesys: error 409, opened twice")
        media = parameters["media"]
        if not isinstance(media, list) or len(media) > 1 or any(chosen not in self._media for chosen in media):
            raise CarrierRejectsError("genesys: error 400, at most one of the offered media is chosen")
        self._opened = True
        return []

    def _event(self, entities: Any) -> list[Meaning]:
        good = isinstance(entities, list) and all(
            isinstance(it, dict) and set(it) == {"type", "data"} for it in entities
        )
        if not good:
            raise CarrierRejectsError("genesys: error 400, entities are objects of type and data")
        return [Cleared() for entity in entities if entity["type"] == "barge_in"]

    def _disconnect(self, parameters: Mapping[str, Any]) -> list[Meaning]:
        if parameters["reason"] not in ("completed", "unauthorized", "error"):
            raise CarrierRejectsError(f"genesys: error 400, no reason to disconnect is {parameters['reason']!r}")
        outputs = parameters.get("outputVariables", {})
        if not isinstance(outputs, dict) or not all(isinstance(value, str) for value in outputs.values()):
            raise CarrierRejectsError("genesys: output variables are texts")
        if self._closing:
            return []  # both at the same time: ours is on its way
        self.disconnected, self._closing = parameters, True
        return [Answered(self.message("close", {"reason": "disconnect"}))]


class _Bucket:
    """Messages that may still be sent: BURST at once, RATE a second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()
        self._left = BURST

    def take(self, what: str) -> None:
        now = self._clock()
        self._left = min(BURST, self._left + (now - self._at) * RATE)
        self._at = now
        if self._left < 1.0:
            raise CarrierRejectsError(f"genesys: error 429, more than {RATE:g} {what} a second")
        self._left -= 1.0


def pcmu(channels: Sequence[str]) -> dict[str, Any]:
    """A medium as `open` offers it."""
    return {"type": "audio", "format": "PCMU", "channels": list(channels), "rate": 8000}


def duration(secs: float) -> str:
    """An ISO 8601 duration as AudioHook writes it."""
    return f"PT{secs:.9f}".rstrip("0").rstrip(".") + "S"


def _uuid(text: str) -> str:
    """Ids are UUIDs here; others are made into one."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, text))
