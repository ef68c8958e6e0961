"""What an RTVI client is told of a call: notices made from the call's events, each start with exactly one stop."""

from __future__ import annotations

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
        self._on: set[str] = set()  # "user", "bot", "llm", "tts": what was started and not stopped
        self._reply = 0
        self._segments: list[_Segment] = []  # of the reply, not heard to the end
        self._number = 0
        self._spoken = False  # the reply had something for the voice
        self._tools: set[str] = set()  # calls that have not returned

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
            yield from self._progress(segment)
            if segment.heard == len(segment.text):
                del self._segments[0]

    def _interrupted(self, event: events.ReplyInterrupted) -> Iterator[Notice]:
        self._segments.clear()
        yield from self._stop("llm", "tts")
        if event.by in ("speech", "client"):
            yield "bot-interrupted", None
        yield from self._stop("bot")

    def _finished(self, event: events.ReplyFinished) -> Iterator[Notice]:
        yield from self._stop("llm", "tts")
        if event.text and not self._spoken:
            yield "bot-output", self._written(event.text)
        for segment in self._segments:
            if segment.told:
                segment.heard = len(segment.text)
                yield from self._progress(segment)
        self._segments.clear()
        yield from self._stop("bot")

    def _written(self, text: str) -> Data:
        """An answer that is not spoken."""
        if self.legacy:
            return {"text": text, "spoken": False, "aggregated_by": "sentence"}
        self._number += 1
        kind = {"aggregated_by": "sentence", "output_type": "sentence"}
        return {"text": text, **kind, "segment_id": self._number, "will_be_spoken": False}

    # ── tools: the client's own in full, the others without what they are about ──

    def _tool_called(self, event: events.ToolCalled) -> Iterator[Notice]:
        name = {"function_name": event.name} if event.by_client else {}
        arguments = {"arguments": dict(event.arguments)} if event.by_client else {}
        self._tools.add(event.call_id)
        yield "llm-function-call-started", dict(name)
        yield "llm-function-call-in-progress", {"tool_call_id": event.call_id, **name, **arguments}

    def _tool_returned(self, event: events.ToolReturned) -> Iterator[Notice]:
        if event.call_id in self._tools:
            self._tools.remove(event.call_id)
            yield "llm-function-call-stopped", {"tool_call_id": event.call_id, "cancelled": event.failed}

    # ── the call ──

    def _ended(self, event: events.CallEnded) -> Iterator[Notice]:
        yield from self._stop("llm", "tts", "bot", "user")
        if event.cause in FATAL or event.cause in TOLD:
            error = f"the call is over: {event.cause.replace('_', ' ')}"
            yield "error", {"error": error, "fatal": event.cause in FATAL}


def _timed(event: events.TurnTimed) -> Data:
    stages = {"stt": event.stt_secs, "llm": event.llm_secs, "tts": event.tts_secs}
    return {"ttfb": [{"processor": name, "value": round(secs, 4)} for name, secs in stages.items()]}


STARTS = {
    "user": "user-started-speaking",
    "bot": "bot-started-speaking",
    "llm": "bot-llm-started",
    "tts": "bot-tts-started",
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
    events.ToolCalled: News._tool_called,
    events.ToolReturned: News._tool_returned,
    events.ProviderFailed: lambda news, event: iter([("error", {"error": event.error, "fatal": event.fatal})]),
    events.TurnTimed: lambda news, event: iter([("metrics", _timed(event))]),
    events.DtmfRequested: lambda news, event: iter([("server-message", {"t": "dtmf", "d": {"button": event.digit}})]),
    events.CallEnded: News._ended,
}
