"""An AudioHook session, protocol version 2, from the server's side: binary mu-law, JSON text for everything else."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from voxray.audio.format import MULAW_8K
from voxray.events import (
    CallEnded,
    Cause,
    ClientMessage,
    DtmfReceived,
    EndRequested,
    Inbound,
    Mark,
    MarkReached,
    Outbound,
    ReplyInterrupted,
    ServerMessage,
    TransferRequested,
)
from voxray.protocols.serializer import Pieces, Response

# Genesys takes 5 messages a second, 25 in a burst (field value), so packets have at least 200 ms; 300 ms leave room
# for the short ones at the ends of sentences.
LEAST_BYTES = 1600
USUAL_BYTES = 2400
FRAME_BYTES = 160
MAX_MARKS = 1000
KEYS = frozenset("0123456789*#")
OUTPUT_VARIABLES = "output_variables"  # kind of the ServerMessage whose data the flow gets when the call ends
FAULTS = (Cause.ERROR, Cause.PROVIDER_FAILED, Cause.TRANSPORT_FAILED)

Parts = Iterable[bytes | Inbound | Response]


class GenesysSerializer:
    """One session. `channels` is 2 where the caller's sound comes interleaved with our own."""

    answers_marks = True  # when everything sent was played: the protocol knows no marks of its own

    def __init__(self, session_id: str, *, channels: int = 1, transfer_variable: str = "transfer_to") -> None:
        self.audio_in = self.audio_out = MULAW_8K
        self.pieces: Pieces | None = Pieces(USUAL_BYTES, least=LEAST_BYTES, multiple=FRAME_BYTES)
        self._id = session_id
        self._channels = channels
        self._transfer_variable = transfer_variable
        self._seq = 0  # of our last message
        self._clientseq = 0  # of theirs
        self._ending = False  # we have asked to disconnect
        self._closed = False
        self._sounding = False  # sound was sent that was not played to its end
        self._marks: deque[str] = deque(maxlen=MAX_MARKS)
        self._outputs: dict[str, str] = {}

    # ── messages of ours that are no events ──

    def opened(self, media: Mapping[str, Any] | None) -> str:
        """The answer to `open`: the one medium of those offered that we take, if any."""
        return self._message("opened", {"startPaused": False, "media": [] if media is None else [media]})

    def disconnect(self, reason: str, info: str = "") -> str:
        """Ask the client to close. `reason` is "completed", "unauthorized" or "error"."""
        self._ending = True
        parameters: dict[str, Any] = {"reason": reason}
        if info:
            parameters["info"] = info
        if self._outputs:
            parameters["outputVariables"] = dict(self._outputs)
        return self._message("disconnect", parameters)

    # ── the contract ──

    def decode(self, message: str | bytes) -> Parts:
        """See `Serializer.decode`. A gap in the client's numbering ends the session, as the protocol demands."""
        if isinstance(message, bytes):
            return [*self._due(), *self._audio(message)]
        data = parse(message)
        if self._closed:
            return []
        lost = self._check(data)
        if lost:
            return [] if self._ending else [Response(self.disconnect("error", lost)), EndRequested(f"genesys: {lost}")]
        kind, parameters = data.get("type"), data.get("parameters")
        handle = _HANDLERS.get(kind) if isinstance(kind, str) else None
        if handle is None:
            return []
        return [*self._due(), *handle(self, parameters if isinstance(parameters, dict) else {})]

    def encode(self, item: bytes | Outbound) -> str | bytes | tuple[str | bytes, ...] | None:
        """See `Serializer.encode`."""
        if self._closed or self._ending:
            return None
        match item:
            case bytes():
                self._sounding = True
                return item
            case Mark(name):
                self._marks.append(name)
            case ReplyInterrupted():
                self._marks.clear()
                self._sounding = False
                return self._message("event", {"entities": [{"type": "barge_in", "data": {}}]})
            case TransferRequested(to):
                self._outputs[self._transfer_variable] = to
            case ServerMessage(kind, data) if kind == OUTPUT_VARIABLES and isinstance(data, Mapping):
                self._outputs |= {str(name): _variable(value) for name, value in data.items()}
            case CallEnded(cause):
                return self.disconnect("error", cause) if cause in FAULTS else self.disconnect("completed")
        return None

    # ── what comes in ──

    def open(self, data: Mapping[str, Any]) -> None:
        """Take note of the client's first message. Raises ValueError: it is not number 1."""
        if integer(data, "seq") != 1:
            raise ValueError("the first message is not number 1")
        self._clientseq = 1

    def _audio(self, audio: bytes) -> list[bytes]:
        if len(audio) % self._channels:
            raise ValueError("audio of an odd number of bytes, but two channels")
        if not audio or self._closed or self._ending:
            return []
        return [audio[:: self._channels]]

    def _check(self, data: Mapping[str, Any]) -> str:
        """Number the message in; returns what was lost before it. Raises ValueError: it is not to be heeded."""
        if data.get("id") != self._id:
            raise ValueError("the message belongs to another session")
        seq, serverseq = integer(data, "seq"), integer(data, "serverseq")
        if seq <= self._clientseq:
            raise ValueError(f"message {seq} after {self._clientseq}")
        gap, self._clientseq = seq - self._clientseq - 1, seq
        if gap:
            return f"messages before number {seq} are missing"
        return f"there is no message {serverseq} of ours" if serverseq > self._seq else ""

    def _due(self) -> list[Inbound]:
        """Marks that were set when everything had been played already."""
        return [] if self._sounding else self._reached()

    def _reached(self) -> list[Inbound]:
        reached: list[Inbound] = [MarkReached(name) for name in self._marks]
        self._marks.clear()
        return reached

    def _ping(self, _: Mapping[str, Any]) -> Parts:
        return [Response(self._message("pong", {}))]

    def _update(self, _: Mapping[str, Any]) -> Parts:
        return [Response(self._message("updated", {}))]

    def _close(self, parameters: Mapping[str, Any]) -> Parts:
        outputs = {"outputVariables": dict(self._outputs)} if self._outputs else {}
        answer = Response(self._message("closed", outputs))
        self._closed = True
        reason = parameters.get("reason")
        return [answer, EndRequested(f"genesys: {reason}" if reason in CLOSE_REASONS else "genesys: close")]

    def _dtmf(self, parameters: Mapping[str, Any]) -> Parts:
        digit = parameters.get("digit")
        return [DtmfReceived(digit)] if isinstance(digit, str) and digit in KEYS else []

    def _playback_started(self, _: Mapping[str, Any]) -> Parts:
        self._sounding = True
        return []

    def _playback_completed(self, _: Mapping[str, Any]) -> Parts:
        # It tells of all sound there was when it was sent. What we sent while it travelled starts a new playback.
        self._sounding = False
        return self._reached()

    def _error(self, parameters: Mapping[str, Any]) -> Parts:
        code, text = parameters.get("code"), parameters.get("message")
        plain = {"code": code if isinstance(code, int) else 0, "message": str(text)[:200] if text else ""}
        return [ClientMessage("carrier_error", plain)]

    def _message(self, kind: str, parameters: Mapping[str, Any]) -> str:
        self._seq += 1
        head = {"version": "2", "id": self._id, "type": kind, "seq": self._seq, "clientseq": self._clientseq}
        return json.dumps({**head, "parameters": parameters})


CLOSE_REASONS = ("end", "error", "disconnect", "reconnect")
_HANDLERS: Mapping[str, Callable[[GenesysSerializer, Mapping[str, Any]], Parts]] = {
    "ping": GenesysSerializer._ping,
    "update": GenesysSerializer._update,
    "close": GenesysSerializer._close,
    "dtmf": GenesysSerializer._dtmf,
    "playback_started": GenesysSerializer._playback_started,
    "playback_completed": GenesysSerializer._playback_completed,
    "error": GenesysSerializer._error,
}  # paused, resumed and discarded say what we hear anyway: nothing


def parse(message: str) -> dict[str, Any]:
    """The JSON object in a text message. Raises ValueError."""
    try:
        data = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise ValueError("a text message is not JSON") from error
    if not isinstance(data, dict):
        raise ValueError("a text message is not a JSON object")
    return data


def _variable(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def integer(data: Mapping[str, Any], name: str) -> int:
    """A number that may have come as a string. Raises ValueError."""
    value = data.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f'"{name}" is not a number')
    return value
