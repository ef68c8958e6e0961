"""The audio half of the OpenAI simulator: speech, transcription of uploads, and the live transcription socket."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio

from voxray.audio.format import PCM_24K
from voxray.audio.tone import tone
from voxray.audio.wav import parse_wav, wav_bytes, wav_header
from voxray.testing.faults import Fault, Pieces
from voxray.testing.openai_errors import refuse

if TYPE_CHECKING:
    from voxray.testing.http_server import Exchange
    from voxray.testing.http_socket import ServerSocket
    from voxray.testing.openai_api import OpenAiApi

Transcripts = Callable[[bytes], str] | Sequence[str] | None
MIN_AUDIO_SECS = 0.1
PIECE_BYTES = PCM_24K.size(0.1)
PACED_LEAD_SECS = 0.2


@lru_cache(maxsize=1)
def _tone() -> bytes:
    return tone((440,), 10.0, PCM_24K.rate_hz, level=0.3)


def tone_of(secs: float) -> bytes:
    """That much of the simulator's voice."""
    size = PCM_24K.size(secs)
    ten_secs = _tone()
    return (ten_secs * (size // len(ten_secs) + 1))[:size]


async def speak(api: OpenAiApi, exchange: Exchange, fault: Fault | None) -> None:
    """`POST /audio/speech`."""
    try:
        body = exchange.request.json()
        text, wanted = body["input"], body.get("response_format", "mp3")
        complete = bool(text.strip() and body["model"] and body["voice"])
    except (ValueError, KeyError, TypeError, AttributeError):
        complete, text, wanted = False, "", ""
    if not complete or wanted not in ("pcm", "wav"):
        refuse(exchange, 400, "input, model, voice and response_format pcm or wav are required", "invalid_request")
        return
    if api.first_audio_ms:
        await anyio.sleep(api.first_audio_ms / 1000)
    kind = fault.kind if fault else ""
    audio = b"" if kind == "empty" else tone_of(len(text) * api.audio_ms_per_char / 1000)
    as_wav = wanted == "wav" or kind == "wav"
    exchange.head(200, "audio/wav" if wanted == "wav" else "audio/pcm")
    if as_wav:
        audio = wav_header(PCM_24K.rate_hz, 0xFFFFFFFF) + audio
    pieces = Pieces(exchange, fault)
    size = 1201 if kind == "odd" else PIECE_BYTES
    started = anyio.current_time()
    for at in range(0, len(audio), size):
        ahead = PCM_24K.secs(at) - (anyio.current_time() - started) - PACED_LEAD_SECS if api.paced else 0.0
        await pieces.send(audio[at : at + size], ahead)
    await pieces.end()


async def transcribe(api: OpenAiApi, exchange: Exchange, fault: Fault | None) -> None:
    """`POST /audio/transcriptions`."""
    try:
        form = exchange.request.form()
        pcm, rate_hz = parse_wav(form["file"].body)
        _ = form["model"]
    except (ValueError, KeyError):
        refuse(exchange, 400, "a model and a WAV file are required", "invalid_request")
        return
    if len(pcm) < MIN_AUDIO_SECS * rate_hz * 2:
        refuse(exchange, 400, "Audio file is too short. Minimum audio length is 0.1 seconds.", "audio_too_short")
        return
    if api.transcription_ms:
        await anyio.sleep(api.transcription_ms / 1000)
    text = "" if fault and fault.kind == "empty" else _heard(api, form["file"].body)
    body = json.dumps({"text": text, "usage": {"type": "duration", "seconds": len(pcm) / rate_hz / 2}}).encode()
    exchange.head(200, "application/json")
    pieces = Pieces(exchange, fault)
    if fault and fault.kind == "malformed":
        body = b'{"text": nonsense'
        pieces = Pieces(exchange)
    await pieces.send(body[: len(body) // 2])
    await pieces.send(body[len(body) // 2 :])
    await pieces.end()


def _heard(api: OpenAiApi, wav: bytes) -> str:
    api.heard += 1
    if callable(api.transcripts):
        return api.transcripts(wav)
    if api.transcripts:
        return api.transcripts[min(api.heard, len(api.transcripts)) - 1]
    return "hello"


async def transcribe_live(api: OpenAiApi, exchange: Exchange, fault: Fault | None) -> None:
    """`GET /realtime?intent=transcription`: a websocket that answers each commit with deltas and a transcript."""
    if exchange.request.query.get("intent") != "transcription":
        refuse(exchange, 400, "only intent=transcription is simulated", "invalid_request")
        return
    try:
        peer = exchange.accept()
    except ValueError:
        refuse(exchange, 426, "this is a websocket", "upgrade_required")
        return
    await _Transcription(api, peer, fault).run()


class _Transcription:
    def __init__(self, api: OpenAiApi, peer: ServerSocket, fault: Fault | None) -> None:
        self._api = api
        self._peer = peer
        self._fault = fault
        self._audio = bytearray()
        self._items = 0
        self._sent = 0

    async def run(self) -> None:
        await self._send({"type": "session.created", "session": {"type": "transcription"}})
        while True:
            raw = await self._peer.receive()
            try:
                event = json.loads(raw)
                kind = event["type"]
            except (ValueError, KeyError, TypeError):
                await self._error("invalid_event", "not an event")
                continue
            match kind:
                case "session.update":
                    await self._send({"type": "session.updated", "session": event.get("session")})
                case "input_audio_buffer.append":
                    try:
                        self._audio += base64.b64decode(event["audio"], validate=True)
                    except (KeyError, binascii.Error, TypeError):
                        await self._error("invalid_value", "audio is not base64")
                case "input_audio_buffer.clear":
                    self._audio.clear()
                    await self._send({"type": "input_audio_buffer.cleared"})
                case "input_audio_buffer.commit":
                    await self._commit()
                case _:
                    await self._error("unknown_event", f"unknown event {kind}")

    async def _commit(self) -> None:
        secs = PCM_24K.secs(len(self._audio))
        if secs < MIN_AUDIO_SECS:
            await self._error("input_audio_buffer_commit_empty", "buffer too small: at least 100 ms are needed")
            return
        wav = wav_bytes(bytes(self._audio), PCM_24K.rate_hz)
        self._audio.clear()
        self._items += 1
        item = f"item_{self._items}"
        await self._send({"type": "input_audio_buffer.committed", "item_id": item, "previous_item_id": None})
        if self._api.transcription_ms:
            await anyio.sleep(self._api.transcription_ms / 1000)
        text = "" if self._fault and self._fault.kind == "empty" else _heard(self._api, wav)
        topic = "conversation.item.input_audio_transcription"
        for word in text.split(" ") if text else ():
            await self._send({"type": f"{topic}.delta", "item_id": item, "content_index": 0, "delta": word + " "})
        usage = {"type": "duration", "seconds": secs}
        await self._send({"type": f"{topic}.completed", "item_id": item, "transcript": text, "usage": usage})

    async def _error(self, code: str, message: str) -> None:
        detail = {"type": "invalid_request_error", "code": code, "message": message, "event_id": None}
        await self._send({"type": "error", "event_id": "event_simulated", "error": detail})

    async def _send(self, event: dict[str, Any]) -> None:
        if self._fault is not None and self._sent >= self._fault.after:
            fault, self._fault = self._fault, None
            match fault.kind:
                case "stall":
                    await anyio.sleep_forever()
                case "reset":
                    await anyio.sleep(0.01)  # what was written must leave before the reset overtakes it
                    await self._peer.drop()
                case "half":
                    self._peer.close(1011, "simulated fault")
                case "malformed":
                    self._peer.send("{this is not json")
                case "error":
                    detail = {"type": "server_error", "code": fault.code, "message": fault.message}
                    self._peer.send({"type": "error", "error": detail})
        self._sent += 1
        self._peer.send(event)
