"""What an RTVI client is told of a call: notices made from the call's events, each start with exactly one stop."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from voxray import events
from voxray.events import Cause, Outbound

Data = dict[str, Any]
Notice = tuple[str, Data | None]  # type and data

FATAL = frozenset({Cause.ERROR, Cause.PROVIDER_FAILED, Cause.TRANSPORT_FAILED})
TOLD = frozenset({Cause.MAX_DURATION, Cause.IDLE, Cause.DRAINED})  # ends that the client did not bring about
WORD = re.compile(r"\s*\S+")


@dataclass(slots=True)
class _Segment:
    """A sentence on its way to the ear."""

    id: int
    text: str
    heard: int = 0  # characters
    told: bool = False  # the client knows of it

    def hear(self, text: str) -> str:
        """Move on by words that were heard; returns what of them belongs to later segments."""
        rest = self.text[self.heard :].strip()
        if text.startswith(rest):
            self.heard = len(self.text)
            return text[len(rest) :].strip()
        at = self.text.find(text, self.heard)
        if at >= 0:
            self.heard = at + len(text)
        else:  # the voice reads it in other words, "twenty" for "20": as many of ours
            for _ in text.split():
                word = WORD.match(self.text, self.heard)
                self.heard = word.end() if word else len(self.text)
        if not self.text[self.heard :].strip():
            self.heard = len(self.text)
        return ""

    def output(self) -> Data:
        done = self.heard == len(self.text)
        return {
            "text": self.text,
            "aggregated_by": "sentence",
            "output_type": "sentence",
            "segment_id": self.id,
            "will_be_spoken": True,
            "spoken_status": "completed" if done else "in-progress" if self.heard else "new",
            "spoken_progress": {
                "accumulated_text": self.text[: self.heard],
                "remaining_text": self.text[self.heard :],
            },
        }


class News:
    """One client's view of one call. `legacy`: it speaks version 1 of the protocol."""

    def __init__(self) -> None:
        self.legacy = False
        self._on: set[str] = set()  # of STARTS: what was started and not stopped
        self._reply = 0
        self._segments: list[_Segment] = []  # of the reply, not heard to the end
        self._number = 0
        self._spoken = False  # the reply had something for the voice
        self._tools: dict[str, str] = {}  # calls that have not returned; the name, if the client runs it

    def of(self, event: Outbound) -> list[Notice]:
        """The notices for an event, in order; none for what the protocol has no message for."""
        teller = TELLERS.get(type(event))
        if teller is None:
            return []
        reply = getattr(event, "reply", 0)
        if reply and reply != self._reply and not isinstance(event, events.ReplyStarted | events.ToolReturned):
            return []  # began before the client was ready
        return list(teller(self, event))

    def _start(self, what: str) -> Iterator[Notice]:
        if what not in self._on:
            self._on.add(what)
            yield STARTS[what], None

    def _stop(self, *names: str) -> Iterator[Notice]:
        for what in names:
            if what in self._on:
                self._on.remove(what)
                yield STARTS[what].replace("started", "stopped"), None

    # ── the caller ──

    def _transcribed(self, event: events.Transcribed) -> Iterator[Notice]:
        if not event.text:
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        yield "user-transcription", {"text": event.text, "user_id": "", "timestamp": at, "final": event.final}

    def _turn_ended(self, event: events.TurnEnded) -> Iterator[Notice]:
        if event.text:
            yield "user-llm-text", {"text": event.text}

    # ── a reply ──

    def _reply_started(self, event: events.ReplyStarted) -> Iterator[Notice]:
        yield from self._stop("llm", "tts", "bot")
        self._reply = event.reply
        self._segments.clear()
        self._spoken = False

    def _sentence(self, event: events.SentenceReady) -> Iterator[Notice]:
        self._number += 1
        self._spoken = True
        self._segments.append(_Segment(self._number, event.text))
        yield from self._start("tts")
        if self.legacy:
            yield "bot-output", {"text": event.text, "spoken": False, "aggregated_by": "sentence"}
        if "bot" in self._on:
            yield from self._tell_new()

    def _audible(self, event: events.ReplyAudible) -> Iterator[Notice]:
        yield from self._start("bot")
        yield from self._tell_new()

    def _tell_new(self) -> Iterator[Notice]:
        for segment in self._segments:
            if not segment.told:
                segment.told = True
                yield from self._progress(segment)
                yield "bot-transcription", {"text": segment.text}

    def _progress(self, segment: _Segment) -> Iterator[Notice]:
        if not self.legacy:
            yield "bot-output", segment.output()

    def _heard(self, event: events.SpeechHeard) -> Iterator[Notice]:
        yield "bot-tts-text", {"text": event.text}
        if self.legacy:
            unit = "sentence" if " " in event.text.strip() else "word"
            yield "bot-output", {"text": event.text, "spoken": True, "aggregated_by": unit}
        text = event.text.strip()
        while text and self._segments:
            segment = self._segments[0]
            text = segment.hear(text)
            if segment.heard == len(segment.text):
                del self._segments[0]
                if not self._segments and "llm" not in self._on:
                    yield from self._stop("tts")  # there is nothing left to speak; a tool may bring more
            yield from self._progress(segment)

    def _interrupted(self, event: events.ReplyInterrupted) -> Iterator[Notice]:
        self._segments.clear()
        yield from self._stop("llm", "tts")
        if event.by in ("speech", "client"):
            yield "bot-interrupted", None
        if not self._spoken:
            yield from self._written(event.heard)
        yield from self._stop("bot")

    def _finished(self, event: events.ReplyFinished) -> Iterator[Notice]:
        yield from self._stop("llm", "tts")
        if not self._spoken:
            yield from self._written(event.text)
        for segment in self._segments:
            if segment.told:
                segment.heard = len(segment.text)
                yield from self._progress(segment)
        self._segments.clear()
        yield from self._stop("bot")

    def _written(self, text: str) -> Iterator[Notice]:
        """An answer that is not spoken, or the part of it that was given."""
        if not text:
            return
        if self.legacy:
            yield "bot-output", {"text": text, "spoken": False, "aggregated_by": "sentence"}
        else:
            self._number += 1
            kind = {"aggregated_by": "sentence", "output_type": "sentence"}
            yield "bot-output", {"text": text, **kind, "segment_id": self._number, "will_be_spoken": False}
        yield "bot-transcription", {"text": text}

    def _failed(self, event: events.ReplyFailed) -> Iterator[Notice]:
        if event.stage == "silence":  # what a provider did wrong is told by its own event
            yield "error", {"error": event.error, "fatal": False}

    # ── tools: the client's own in full, the others without what they are about ──

    def _tool_called(self, event: events.ToolCalled) -> Iterator[Notice]:
        name = {"function_name": event.name} if event.by_client else {}
        arguments = {"arguments": dict(event.arguments)} if event.by_client else {}
        self._tools[event.call_id] = event.name if event.by_client else ""
        yield "llm-function-call-started", dict(name)
        yield "llm-function-call-in-progress", {"tool_call_id": event.call_id, **name, **arguments}

    def _tool_returned(self, event: events.ToolReturned) -> Iterator[Notice]:
        if event.call_id in self._tools:
            name = self._tools.pop(event.call_id)
            full = {"function_name": name, "result": _result(event.text)} if name and not event.failed else {}
            yield "llm-function-call-stopped", {"tool_call_id": event.call_id, "cancelled": event.failed, **full}

    # ── the call ──

    def _ended(self, event: events.CallEnded) -> Iterator[Notice]:
        for call_id in self._tools:
            yield "llm-function-call-stopped", {"tool_call_id": call_id, "cancelled": True}
        self._tools.clear()
        yield from self._stop("llm", "tts", "bot", "user", "mute")
        if event.cause in FATAL or event.cause in TOLD:
            error = f"the call is over: {event.cause.replace('_', ' ')}"
            yield "error", {"error": error, "fatal": event.cause in FATAL}


def _result(text: str) -> Any:
    """A tool's result as it was given: structures travel as JSON inside of the call."""
    if text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass  # it only looked like one
    return text


def _timed(event: events.TurnTimed) -> Iterator[Notice]:
    stages = {"stt": event.stt_secs, "llm": event.llm_secs, "tts": event.tts_secs}
    whole = {"turn": event.waited_secs, "reply": event.total_secs}
    yield "metrics", {"ttfb": _values(stages), "processing": _values(whole)}


def _values(secs: dict[str, float]) -> list[Data]:
    return [{"processor": name, "value": round(value, 4)} for name, value in secs.items()]


def _used(event: events.UsageReported) -> Iterator[Notice]:
    usage = event.usage
    who = {"processor": event.stage, **({"model": usage.model} if usage.model else {})}
    if usage.prompt_tokens or usage.completion_tokens:
        tokens = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "cache_read_input_tokens": usage.cached_tokens,
        }
        yield "metrics", {"tokens": [{**who, **tokens}]}
    if usage.characters:
        yield "metrics", {"characters": [{**who, "value": usage.characters}]}
    if usage.audio_secs:
        yield "metrics", {"stt_usage": [{**who, "value": round(usage.audio_secs, 3)}]}


def _muted(news: News, event: events.ServerMessage) -> Iterator[Notice]:
    return news._start("mute") if event.kind == STARTS["mute"] else news._stop("mute")


STARTS = {
    "user": "user-started-speaking",
    "bot": "bot-started-speaking",
    "llm": "bot-llm-started",
    "tts": "bot-tts-started",
    "mute": "user-mute-started",
}

TELLERS: dict[type, Callable[[News, Any], Iterator[Notice]]] = {
    events.SpeechStarted: lambda news, event: news._start("user"),
    events.SpeechStopped: lambda news, event: news._stop("user"),
    events.Transcribed: News._transcribed,
    events.TurnEnded: News._turn_ended,
    events.ReplyStarted: News._reply_started,
    events.ModelAsked: lambda news, event: news._start("llm"),
    events.TextGenerated: lambda news, event: iter([("bot-llm-text", {"text": event.text})]),
    events.ModelFinished: lambda news, event: news._stop("llm"),
    events.SentenceReady: News._sentence,
    events.ReplyAudible: News._audible,
    events.SpeechHeard: News._heard,
    events.ReplyInterrupted: News._interrupted,
    events.ReplyFinished: News._finished,
    events.ReplyFailed: News._failed,
    events.ToolCalled: News._tool_called,
    events.ToolReturned: News._tool_returned,
    events.ProviderFailed: lambda news, event: iter([("error", {"error": event.error, "fatal": event.fatal})]),
    events.TurnTimed: lambda news, event: _timed(event),
    events.UsageReported: lambda news, event: _used(event),
    events.ServerMessage: _muted,
    events.DtmfRequested: lambda news, event: iter([("server-message", {"t": "dtmf", "d": {"button": event.digit}})]),
    events.CallEnded: News._ended,
}
