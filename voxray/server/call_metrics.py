"""Metrics of one call, all derived from its event log: there is no second clock and no second measurement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxray import events
from voxray.events import Entry
from voxray.server.metrics import Metrics

OK, FAILED = "success", "error"


class CallMetrics:
    """An observer of one call's log. `stt_model` and `tts_model` are the label of those stages, "provider/model"."""

    def __init__(self, metrics: Metrics, *, stt_model: str = "", tts_model: str = "", llm_model: str = "") -> None:
        self._metrics = metrics
        self._models = {"stt": stt_model, "llm": llm_model, "tts": tts_model}
        self._speech_at: float | None = None  # start of speech that has no words yet
        self._paused_at: float | None = None
        self._asked_at: float | None = None
        self._text_at: float | None = None
        self._sentence_at: float | None = None
        self._sound_at: float | None = None
        self._synthesized_at: float | None = None

    def __call__(self, entry: Entry) -> None:
        handler = HANDLERS.get(type(entry.event))
        if handler is not None:
            handler(self, entry.at, entry.event)

    # ── ears ──

    def _speech_started(self, at: float, event: events.SpeechStarted) -> None:
        self._speech_at, self._paused_at = at - event.for_secs, None

    def _speech_stopped(self, at: float, event: events.SpeechStopped) -> None:
        self._paused_at = at

    def _transcribed(self, at: float, event: events.Transcribed) -> None:
        model = self._models["stt"]
        if self._speech_at is not None:
            self._metrics.observe("stt_time_to_first_token_seconds", at - self._speech_at, "", "stt", OK, model)
            self._speech_at = None
        if self._paused_at is None:
            return
        self._metrics.observe("stt_streaming_lag_seconds", at - self._paused_at, "ingress", "", model)
        if event.final:
            self._metrics.observe("stt_transcription_latency_seconds", at - self._paused_at, "", "stt", OK, model)
            self._paused_at = None

    # ── mind ──

    def _model_asked(self, at: float, event: events.ModelAsked) -> None:
        self._asked_at, self._text_at = at, None
        if event.provider:
            self._models["llm"] = model_label(event.provider, event.model)

    def _text_generated(self, at: float, event: events.TextGenerated) -> None:
        model = self._models["llm"]
        if self._text_at is not None:
            self._metrics.observe("llm_inter_token_latency_seconds", at - self._text_at, "", "llm", model)
        elif self._asked_at is not None:
            self._metrics.observe("llm_time_to_first_token_seconds", at - self._asked_at, "", "llm", OK, model)
        self._text_at = at

    def _model_finished(self, at: float, event: events.ModelFinished) -> None:
        self._generated(at, OK)

    def _generated(self, at: float, status: str) -> None:
        if self._asked_at is not None:
            taken = at - self._asked_at
            self._metrics.observe("llm_generation_latency_seconds", taken, "", "llm", status, self._models["llm"])
        self._asked_at = self._text_at = None

    # ── voice ──

    def _reply_started(self, at: float, event: events.ReplyStarted) -> None:
        self._sentence_at = self._sound_at = self._synthesized_at = None

    def _sentence_ready(self, at: float, event: events.SentenceReady) -> None:
        if self._sentence_at is None:
            self._sentence_at = at

    def _voice_answered(self, at: float, event: events.VoiceAnswered) -> None:
        self._sound_at = at
        if self._sentence_at is not None:
            taken = at - self._sentence_at
            model = self._models["tts"]
            self._metrics.observe("tts_time_to_first_audio_chunk_seconds", taken, "", "tts", OK, model)

    def _speech_synthesized(self, at: float, event: events.SpeechSynthesized) -> None:
        self._synthesized_at = at

    def _reply_audible(self, at: float, event: events.ReplyAudible) -> None:
        if self._sound_at is not None:
            lag = at - self._sound_at
            self._metrics.observe("tts_streaming_lag_seconds", lag, "egress", "", self._models["tts"])

    def _synthesis_over(self) -> None:
        if self._sentence_at is not None and self._synthesized_at is not None:
            taken = self._synthesized_at - self._sentence_at
            self._metrics.observe("tts_synthesis_latency_seconds", taken, "", "tts", OK, self._models["tts"])
        self._sentence_at = self._synthesized_at = None

    # ── the conversation ──

    def _turn_ended(self, at: float, event: events.TurnEnded) -> None:
        self._metrics.count("turns_total", event.cause)

    def _turn_timed(self, at: float, event: events.TurnTimed) -> None:
        self._metrics.observe("turn_latency_seconds", event.total_secs)

    def _reply_finished(self, at: float, event: events.ReplyFinished) -> None:
        self._metrics.count("replies_total", "finished")
        self._synthesis_over()

    def _reply_interrupted(self, at: float, event: events.ReplyInterrupted) -> None:
        self._metrics.count("replies_total", "interrupted")
        self._metrics.count("interruptions_total", event.by)
        self._asked_at = self._text_at = None
        self._synthesis_over()

    def _reply_failed(self, at: float, event: events.ReplyFailed) -> None:
        self._metrics.count("replies_total", "failed")
        self._asked_at = self._text_at = self._sentence_at = None

    def _silence_broken(self, at: float, event: events.SilenceBroken) -> None:
        self._metrics.count("silence_broken_total", event.action)

    def _tool_returned(self, at: float, event: events.ToolReturned) -> None:
        self._metrics.count("tool_calls_total", FAILED if event.failed else OK)

    # ── faults and bills ──

    def _provider_failed(self, at: float, event: events.ProviderFailed) -> None:
        if event.stage not in self._models:
            return
        model = self._models[event.stage]
        self._metrics.count(f"{event.stage}_errors_total", "provider_error", "", event.stage, model)
        if event.stage == "llm" and self._asked_at is not None:
            if self._text_at is None:
                taken = at - self._asked_at
                self._metrics.observe("llm_time_to_first_token_seconds", taken, "", "llm", FAILED, model)
            self._generated(at, FAILED)

    def _provider_retried(self, at: float, event: events.ProviderRetried) -> None:
        self._metrics.count("provider_retries_total", event.stage, event.provider)
        if event.stage == "llm":
            self._metrics.count("llm_retries_total", "", "llm", self._models["llm"])

    def _audio_dropped(self, at: float, event: events.AudioDropped) -> None:
        self._metrics.count("audio_dropped_bytes_total", event.reason, by=event.size_bytes)

    def _usage(self, at: float, event: events.UsageReported) -> None:
        usage = event.usage
        self._metrics.count("tokens_total", event.provider, "prompt", by=usage.prompt_tokens)
        self._metrics.count("tokens_total", event.provider, "completion", by=usage.completion_tokens)
        self._metrics.count("tokens_total", event.provider, "cached", by=usage.cached_tokens)
        self._metrics.count("tts_characters_total", event.provider, by=usage.characters)
        self._metrics.count("stt_audio_seconds_total", event.provider, by=usage.audio_secs)


def model_label(provider: str, model: str) -> str:
    return f"{provider}/{model}" if model else provider


HANDLERS: dict[type, Callable[[CallMetrics, float, Any], None]] = {
    events.SpeechStarted: CallMetrics._speech_started,
    events.SpeechStopped: CallMetrics._speech_stopped,
    events.Transcribed: CallMetrics._transcribed,
    events.ModelAsked: CallMetrics._model_asked,
    events.TextGenerated: CallMetrics._text_generated,
    events.ModelFinished: CallMetrics._model_finished,
    events.ReplyStarted: CallMetrics._reply_started,
    events.SentenceReady: CallMetrics._sentence_ready,
    events.VoiceAnswered: CallMetrics._voice_answered,
    events.SpeechSynthesized: CallMetrics._speech_synthesized,
    events.ReplyAudible: CallMetrics._reply_audible,
    events.TurnEnded: CallMetrics._turn_ended,
    events.TurnTimed: CallMetrics._turn_timed,
    events.ReplyFinished: CallMetrics._reply_finished,
    events.ReplyInterrupted: CallMetrics._reply_interrupted,
    events.ReplyFailed: CallMetrics._reply_failed,
    events.SilenceBroken: CallMetrics._silence_broken,
    events.ToolReturned: CallMetrics._tool_returned,
    events.ProviderFailed: CallMetrics._provider_failed,
    events.ProviderRetried: CallMetrics._provider_retried,
    events.AudioDropped: CallMetrics._audio_dropped,
    events.UsageReported: CallMetrics._usage,
}
