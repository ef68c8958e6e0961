"""`/ws` in JSON: text messages `{"type": …, "data": {…}}`, binary messages PCM16 mono.

Heard audio is 16 kHz, spoken audio 24 kHz, which `StartFrame` announces. The names of the frames are those of the
documented protocol; see docs/reference for the whole list.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from voxray import events
from voxray.audio.format import PCM_16K, PCM_24K
from voxray.builtin.chat_json import parse_json, parse_messages, parse_tools, text_of
from voxray.chat import ToolSchema
from voxray.events import Inbound, Outbound

DIGITS = frozenset("0123456789*#")
MAX_NAME = 128  # characters of a mark, a kind or an id

Data = dict[str, Any]
Frame = tuple[str, Data]


class JsonFrames:
    audio_in = PCM_16K
    audio_out = PCM_24K
    answers_marks = False  # clients may; none must
    pieces = None

    def __init__(self, context: object = None) -> None:
        self._tools: tuple[ToolSchema, ...] = ()  # of the client, for frames that change the choice only

    # ── from the client ──

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound]:
        if isinstance(message, bytes):
            return (message,) if message else ()
        kind, data = _parse(message)
        decoder = DECODERS.get(kind)
        if decoder is None:
            raise ValueError("unknown message type")
        return decoder(self, data)

    def _context(self, data: Data) -> Iterable[Inbound]:
        context = data.get("context")
        if not isinstance(context, dict):
            raise ValueError('"context" must be an object')
        found: list[Inbound] = [events.ContextReplaced(parse_messages(context.get("messages")))]
        if context.get("tools") is not None:
            found += self._set_tools(context)
        return found

    def _set_tools(self, data: Data) -> list[Inbound]:
        self._tools = parse_tools(data.get("tools"))
        return [events.ToolsReplaced(self._tools, _tool_choice(data.get("tool_choice", "auto")))]

    def _set_tool_choice(self, data: Data) -> Iterable[Inbound]:
        return (events.ToolsReplaced(self._tools, _tool_choice(data.get("tool_choice"))),)

    # ── to the client ──

    def encode(self, item: bytes | Outbound) -> str | bytes | tuple[str | bytes, ...] | None:
        if isinstance(item, bytes):
            return item
        encoder = ENCODERS.get(type(item))
        if encoder is None:
            return None
        frames = encoder(item)
        if isinstance(frames, tuple):
            return _text(frames)
        return tuple(_text(frame) for frame in frames)


def _parse(message: str) -> Frame:
    try:
        frame = parse_json(message)
    except ValueError:
        raise ValueError("not JSON") from None
    if not isinstance(frame, dict):
        raise ValueError("a message must be a JSON object")
    kind = frame.get("type")
    if not isinstance(kind, str):
        raise ValueError('"type" must be a string')
    if "data" not in frame:
        return kind, {name: value for name, value in frame.items() if name != "type"}
    if not isinstance(frame["data"], dict):
        raise ValueError('"data" must be an object')
    return kind, frame["data"]


def _text(frame: Frame) -> str:
    return json.dumps({"type": frame[0], "data": frame[1]}, separators=(",", ":"))


# ── fields of the client's messages ──


def _string(data: Data, name: str, default: str | None = None) -> str:
    return text_of(data.get(name, default) if default is not None else data.get(name), name)


def _short(data: Data, name: str, default: str | None = None) -> str:
    text = _string(data, name, default)
    if len(text) > MAX_NAME:
        raise ValueError(f'"{name}" may have at most {MAX_NAME} characters')
    return text


def _flag(data: Data, name: str, default: bool = False) -> bool:
    value = data.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ValueError(f'"{name}" must be true or false')
    return value


def _secs(data: Data, name: str) -> float | None:
    value = data.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 60 or math.isnan(value):
        raise ValueError(f'"{name}" must be a number of seconds from 0 to 60')
    return float(value)


def _tool_choice(value: Any) -> str:
    if isinstance(value, dict):
        function = value.get("function")
        value = function.get("name") if isinstance(function, dict) else None
    return text_of(value, "tool_choice")


# ── the client's messages ──


def _typed(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    text = _string(data, "text").strip()
    if not text or not _flag(data, "finalized", default=True):
        return ()
    return (events.TextReceived(text, run=_flag(data, "run", default=True), speak=not _flag(data, "skip_tts")),)


def _speak(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    text = _string(data, "text").strip()
    return (events.SpeakRequested(text),) if text and not _flag(data, "skip_tts") else ()


def _run(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    return (events.ReplyRequested(),)


def _replace(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    run = _flag(data, "run_llm") or _flag(data, "run")
    return (events.ContextReplaced(parse_messages(data.get("messages")), run),)


def _append(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    run = _flag(data, "run_llm") or _flag(data, "run")
    return (events.ContextAppended(parse_messages(data.get("messages")), run),)


def _answered(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    result = data.get("result")
    text = result if isinstance(result, str) else json.dumps(result)
    return (events.ToolAnswered(_string(data, "tool_call_id"), text, _flag(data, "failed")),)


def _message(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    message = data.get("message")
    if not isinstance(message, dict):
        raise ValueError('"message" must be an object')
    kind, id_ = message.get("type", "message"), message.get("id", "")
    if not isinstance(kind, str) or not isinstance(id_, str) or len(kind) > MAX_NAME or len(id_) > MAX_NAME:
        raise ValueError('"type" and "id" of a message must be short strings')
    return (events.ClientMessage(kind, message, id_),)


def _rtvi(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    return (events.ClientMessage(_short(data, "type"), data.get("data"), _short(data, "msg_id", "")),)


def _interrupt(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    return (events.InterruptRequested(),)


def _end(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    reason = data.get("reason")
    return (events.EndRequested(reason[:MAX_NAME]) if isinstance(reason, str) and reason else events.EndRequested(),)


def _dtmf(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    digit = _string(data, "digit")
    if digit not in DIGITS:
        raise ValueError('"digit" must be one of 0-9, * and #')
    return (events.DtmfReceived(digit),)


def _mark(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    return (events.MarkReached(_short(data, "name")),)


def _vad(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    return (events.VadUpdated(_secs(data, "stop_secs"), _secs(data, "start_secs")),)


def _audio(self: JsonFrames, data: Data) -> Iterable[bytes]:
    if data.get("sample_rate", PCM_16K.rate_hz) != PCM_16K.rate_hz or data.get("num_channels", 1) != 1:
        raise ValueError(f"audio must be mono at {PCM_16K.rate_hz} Hz")
    try:
        pcm = base64.b64decode(_string(data, "audio"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError('"audio" must be base64') from None
    return (pcm,) if pcm else ()


def _ignored(self: JsonFrames, data: Data) -> Iterable[Inbound]:
    return ()


DECODERS: dict[str, Callable[[JsonFrames, Data], Iterable[bytes | Inbound]]] = {
    "TranscriptionFrame": _typed,
    "TextFrame": _speak,
    "LLMTextFrame": _speak,
    "TTSSpeakFrame": _speak,
    "LLMRunFrame": _run,
    "LLMContextFrame": JsonFrames._context,
    "LLMMessagesUpdateFrame": _replace,
    "LLMMessagesAppendFrame": _append,
    "context": _replace,
    "LLMSetToolsFrame": JsonFrames._set_tools,
    "LLMSetToolChoiceFrame": JsonFrames._set_tool_choice,
    "FunctionCallResultFrame": _answered,
    "TransportMessageFrame": _message,
    "MessageFrame": _message,
    "RTVIClientMessageFrame": _rtvi,
    "InterruptionFrame": _interrupt,
    "EndFrame": _end,
    "CancelFrame": _end,
    "InputDTMFFrame": _dtmf,
    "MarkFrame": _mark,
    "VADParamsUpdateFrame": _vad,
    "AudioRawFrame": _audio,
    "InputAudioRawFrame": _audio,
    "audio_raw": _audio,
    # Allowed from clients by the protocol, and without effect: they describe the client, which we hear for ourselves.
    "StartFrame": _ignored,
    "ErrorFrame": _ignored,
    "AggregatedTextFrame": _ignored,
    "RTVIServerMessageFrame": _ignored,
    "UserSpeakingFrame": _ignored,
    "VADUserStartedSpeakingFrame": _ignored,
    "VADUserStoppedSpeakingFrame": _ignored,
    "BotStartedSpeakingFrame": _ignored,
    "BotStoppedSpeakingFrame": _ignored,
    "OutputDTMFUrgentFrame": _ignored,
}


# ── our messages ──


def _started(event: events.CallStarted) -> Frame:
    return "StartFrame", {
        "session_id": event.session_id,
        "audio_in_sample_rate": event.audio_in_rate_hz,
        "audio_out_sample_rate": event.audio_out_rate_hz,
        "allow_interruptions": event.allow_interruptions,
        "enable_metrics": True,
        "enable_usage_metrics": False,
    }


def _transcribed(event: events.Transcribed) -> Frame:
    return "TranscriptionFrame", {
        "text": event.text,
        "user_id": "",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "language": event.language,
        "finalized": event.final,
    }


def _interrupted(event: events.ReplyInterrupted) -> list[Frame]:
    heard = {"heard": event.heard, "heard_secs": round(event.heard_secs, 3), "by": event.by}
    return [
        ("InterruptionFrame", {"reply": event.reply, **heard}),
        ("BotStoppedSpeakingFrame", {"reply": event.reply, "text": event.heard, "interrupted": True}),
    ]


def _tool_called(event: events.ToolCalled) -> Frame:
    return "FunctionCallInProgressFrame", {
        "tool_call_id": event.call_id,
        "function_name": event.name,
        "arguments": dict(event.arguments),
        "by_client": event.by_client,
    }


def _tool_returned(event: events.ToolReturned) -> Frame:
    return "FunctionCallResultFrame", {
        "tool_call_id": event.call_id,
        "function_name": event.name,
        "result": event.text,
        "failed": event.failed,
    }


def _timed(event: events.TurnTimed) -> Frame:
    return "TurnTimingFrame", {
        "reply": event.reply,
        "turn": event.turn,
        "waited_secs": round(event.waited_secs, 4),
        "stt_secs": round(event.stt_secs, 4),
        "llm_first_token_secs": round(event.llm_secs, 4),
        "tts_first_audio_secs": round(event.tts_secs, 4),
        "total_secs": round(event.total_secs, 4),
    }


def _server_message(event: events.ServerMessage) -> Frame:
    message = {"type": event.kind, "data": event.data}
    return "TransportMessageFrame", {"message": {**message, "id": event.id} if event.id else message}


def _error(error: str, stage: str, fatal: bool = False) -> Frame:
    known = stage if stage in ("stt", "llm", "tts", "client") else "session"
    return "ErrorFrame", {"error": error, "fatal": fatal, "processor": known}


ENCODERS: dict[type, Callable[[Any], Frame | list[Frame]]] = {
    events.CallStarted: _started,
    events.CallEnded: lambda event: ("EndFrame", {"reason": event.cause, "detail": event.detail}),
    events.SpeechStarted: lambda event: ("UserStartedSpeakingFrame", {}),
    events.SpeechStopped: lambda event: ("UserStoppedSpeakingFrame", {}),
    events.Transcribed: _transcribed,
    events.TurnEnded: lambda event: (
        "UserTurnFrame",
        {"turn": event.turn, "text": event.text, "cause": event.cause},
    ),
    events.UserIdle: lambda event: ("UserIdleFrame", {}),
    events.ModelAsked: lambda event: ("LLMFullResponseStartFrame", {"reply": event.reply}),
    events.TextGenerated: lambda event: ("LLMTextFrame", {"text": event.text, "reply": event.reply}),
    events.ModelFinished: lambda event: ("LLMFullResponseEndFrame", {"reply": event.reply}),
    events.SentenceReady: lambda event: (
        "AggregatedTextFrame",
        {"text": event.text, "aggregated_by": "sentence", "reply": event.reply, "piece": event.piece},
    ),
    events.ReplyAudible: lambda event: ("BotStartedSpeakingFrame", {"reply": event.reply}),
    events.SpeechHeard: lambda event: (
        "TTSTextFrame",
        {"reply": event.reply, "text": event.text, "proof": event.proof.value},
    ),
    events.ReplyInterrupted: _interrupted,
    events.ReplyFinished: lambda event: (
        "BotStoppedSpeakingFrame",
        {"reply": event.reply, "text": event.text, "interrupted": False},
    ),
    events.ReplyFailed: lambda event: _error(event.error, event.stage),
    events.ProviderFailed: lambda event: _error(event.error, event.stage, event.fatal),
    events.ToolCalled: _tool_called,
    events.ToolReturned: _tool_returned,
    events.TurnTimed: _timed,
    events.Mark: lambda event: ("MarkFrame", {"name": event.name}),
    events.ServerMessage: _server_message,
    events.DtmfRequested: lambda event: ("OutputDTMFUrgentFrame", {"button": event.digit}),
}
