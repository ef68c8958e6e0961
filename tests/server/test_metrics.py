"""Metrics: the table, what is refused, and what follows from a call's log."""

from __future__ import annotations

import math

import pytest

from voxray import events
from voxray.chat import Usage
from voxray.events import Entry, SessionEvent
from voxray.server.call_metrics import HANDLERS, CallMetrics
from voxray.server.metrics import TABLE, Metrics

DOCUMENTED = {
    "http_requests_total", "http_request_duration_seconds", "http_active_connections", "http_errors_total",
    "http_timeout_total", "stt_errors_total", "stt_fallback_total", "stt_time_to_first_token_seconds",
    "stt_transcription_latency_seconds", "stt_streaming_lag_seconds", "llm_errors_total", "llm_retries_total",
    "llm_fallback_total", "llm_time_to_first_token_seconds", "llm_generation_latency_seconds",
    "llm_inter_token_latency_seconds", "tts_errors_total", "tts_fallback_total",
    "tts_time_to_first_audio_chunk_seconds", "tts_synthesis_latency_seconds", "tts_streaming_lag_seconds",
    "active_sessions", "pipeline_input_queue_depth", "ws_connections_active", "sessions_rejected_total",
    "turn_latency_seconds",
}  # fmt: skip

LOG: list[tuple[float, SessionEvent]] = [
    (1.0, events.SpeechStarted(0.2)),
    (2.0, events.Transcribed("he", False)),
    (3.0, events.SpeechStopped(0.2)),
    (3.4, events.Transcribed("hello", True)),
    (3.5, events.TurnEnded(1, "hello", "silence", 0.5)),
    (3.5, events.ReplyStarted(1, 1, "turn")),
    (3.5, events.ModelAsked(1, 1, "groq", "llama")),
    (3.7, events.TextGenerated(1, "One")),
    (3.8, events.TextGenerated(1, " two.")),
    (3.8, events.SentenceReady(1, 0, "One two.")),
    (3.9, events.ModelFinished(1, 1)),
    (4.0, events.VoiceAnswered(1)),
    (4.1, events.ReplyAudible(1)),
    (4.1, events.TurnTimed(1, 1, 0.5, 0.4, 0.2, 0.2, 1.3)),
    (4.3, events.SpeechSynthesized(1, "One two.", 1.0)),
    (5.0, events.ReplyInterrupted(1, "One", 0.5, "speech")),
    (5.1, events.ProviderFailed("tts", "x", "no", True)),
    (5.2, events.ProviderRetried("llm", "groq", 1)),
    (5.3, events.SilenceBroken(1, 3.0, "tone")),
    (5.4, events.AudioDropped("odd_length", 3)),
    (5.5, events.UsageReported("llm", "groq", Usage(prompt_tokens=5))),
]  # fmt: skip


def exposed(metrics: Metrics) -> dict[str, float]:
    rows = [row for row in metrics.expose().decode().splitlines() if not row.startswith("#")]
    return {row.rsplit(" ", 1)[0]: float(row.rsplit(" ", 1)[1]) for row in rows}


def test_the_documented_names_are_all_there() -> None:
    names = [spec.name for spec in TABLE]
    assert set(names) >= DOCUMENTED
    assert len(set(names)) == len(names)
    assert all(spec.help and spec.kind in ("counter", "gauge", "histogram") for spec in TABLE)


@pytest.mark.parametrize("secs", [-0.001, math.inf, math.nan, 1e9])
def test_figures_that_cannot_be_true_are_refused(secs: float) -> None:
    metrics = Metrics()
    metrics.observe("turn_latency_seconds", secs)
    metrics.count("sessions_rejected_total", "x", by=secs if secs != 1e9 else 0)
    assert exposed(metrics)["turn_latency_seconds_count"] == 0
    assert 'sessions_rejected_total{reason="x"}' not in exposed(metrics)


def test_switched_off_metrics_take_everything_and_show_nothing() -> None:
    metrics = Metrics(enabled=False)
    metrics.observe("turn_latency_seconds", 1)
    metrics.change("active_sessions", 1)
    assert metrics.expose() == b""


def test_everything_follows_from_the_log() -> None:
    metrics = Metrics()
    observer = CallMetrics(metrics, stt_model="x/whisper", tts_model="x/voice")
    for seq, (at, event) in enumerate(LOG):
        observer(Entry(seq, at, event))
    found = exposed(metrics)
    stt = 'model="x/whisper",session_id="",stage="stt",status="success"'
    llm = 'model="groq/llama",session_id="",stage="llm",status="success"'
    tts = 'model="x/voice",session_id="",stage="tts",status="success"'
    sums = {
        f"stt_time_to_first_token_seconds_sum{{{stt}}}": 1.2,
        f"stt_transcription_latency_seconds_sum{{{stt}}}": 0.4,
        f"llm_time_to_first_token_seconds_sum{{{llm}}}": 0.2,
        f"llm_generation_latency_seconds_sum{{{llm}}}": 0.4,
        'llm_inter_token_latency_seconds_sum{model="groq/llama",session_id="",stage="llm"}': 0.1,
        f"tts_time_to_first_audio_chunk_seconds_sum{{{tts}}}": 0.2,
        f"tts_synthesis_latency_seconds_sum{{{tts}}}": 0.5,
        'tts_streaming_lag_seconds_sum{direction="egress",model="x/voice",session_id=""}': 0.1,
        "turn_latency_seconds_sum": 1.3,
        'turns_total{cause="silence"}': 1,
        'replies_total{outcome="interrupted"}': 1,
        'interruptions_total{by="speech"}': 1,
        'tts_errors_total{error_type="provider_error",model="x/voice",session_id="",stage="tts"}': 1,
        'llm_retries_total{model="groq/llama",session_id="",stage="llm"}': 1,
        'silence_broken_total{action="tone"}': 1,
        'audio_dropped_bytes_total{reason="odd_length"}': 3,
        'tokens_total{kind="prompt",provider="groq"}': 5,
    }
    for name, value in sums.items():
        assert found[name] == pytest.approx(value), name


def test_a_model_that_fails_is_timed_as_a_failure() -> None:
    metrics = Metrics()
    observer = CallMetrics(metrics)
    observer(Entry(0, 1.0, events.ModelAsked(1, 1, "groq")))
    observer(Entry(1, 3.0, events.ProviderFailed("llm", "groq", "no", False)))
    found = exposed(metrics)
    labels = 'model="groq",session_id="",stage="llm",status="error"'
    assert found[f"llm_time_to_first_token_seconds_sum{{{labels}}}"] == 2
    assert found[f"llm_generation_latency_seconds_sum{{{labels}}}"] == 2


def test_the_observer_knows_events_only() -> None:
    assert all(kind.__module__ == "voxray.events" for kind in HANDLERS)
