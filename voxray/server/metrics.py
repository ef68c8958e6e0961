"""What is counted and measured, as a table, and the place where it is kept until Prometheus comes for it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody asks for

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
MAX_SECS = 24 * 3600.0  # a longer figure is a mistake, and one of it spoils a sum for ever


@dataclass(frozen=True, slots=True)
class MetricSpec:
    name: str
    kind: str  # "counter", "gauge", "histogram" (of seconds)
    labels: tuple[str, ...]
    help: str


_HTTP = ("method", "route", "status_code", "session_id", "stage", "direction", "status", "model")
_STAGE = ("session_id", "stage", "status", "model")
_ERROR = ("error_type", "session_id", "stage", "model")
_MODEL = ("session_id", "stage", "model")
_LAG = ("direction", "session_id", "model")

TABLE = (
    MetricSpec("http_requests_total", "counter", _HTTP, "Requests answered, websocket upgrades included"),
    MetricSpec("http_request_duration_seconds", "histogram", _HTTP, "Request to answer; for websockets to the upgrade"),
    MetricSpec(
        "http_active_connections",
        "gauge",
        ("route", "stage", "direction", "session_id", "model"),
        "Requests and websockets being served",
    ),
    MetricSpec("http_errors_total", "counter", ("method", "route", "error_type"), "Answers 4xx and 5xx"),
    MetricSpec("http_timeout_total", "counter", ("method", "route"), "Requests whose body did not arrive in time"),
    MetricSpec("stt_errors_total", "counter", _ERROR, "Failures of the recogniser"),
    MetricSpec("stt_fallback_total", "counter", _MODEL, "Changes to another recogniser"),
    MetricSpec("stt_time_to_first_token_seconds", "histogram", _STAGE, "Start of speech to its first words"),
    MetricSpec("stt_transcription_latency_seconds", "histogram", _STAGE, "Pause to the final words"),
    MetricSpec("stt_streaming_lag_seconds", "histogram", _LAG, "Pause to each words that come after it"),
    MetricSpec("llm_errors_total", "counter", _ERROR, "Failures of the language model"),
    MetricSpec("llm_retries_total", "counter", _MODEL, "Requests to the language model that were tried again"),
    MetricSpec("llm_fallback_total", "counter", _MODEL, "Changes to another language model"),
    MetricSpec("llm_time_to_first_token_seconds", "histogram", _STAGE, "Request to the first text"),
    MetricSpec("llm_generation_latency_seconds", "histogram", _STAGE, "Request to the end of the text"),
    MetricSpec("llm_inter_token_latency_seconds", "histogram", _MODEL, "Between two pieces of text"),
    MetricSpec("tts_errors_total", "counter", _ERROR, "Failures of the voice"),
    MetricSpec("tts_fallback_total", "counter", _MODEL, "Changes to another voice"),
    MetricSpec("tts_time_to_first_audio_chunk_seconds", "histogram", _STAGE, "First sentence to first sound"),
    MetricSpec("tts_synthesis_latency_seconds", "histogram", _STAGE, "First sentence to the last sound of a reply"),
    MetricSpec("tts_streaming_lag_seconds", "histogram", _LAG, "First sound of a reply to its being sent"),
    MetricSpec("active_sessions", "gauge", (), "Calls being held"),
    MetricSpec("ws_connections_active", "gauge", (), "Websockets open"),
    MetricSpec("pipeline_input_queue_depth", "gauge", (), "Frames of 20 ms that wait for recognisers, over all calls"),
    MetricSpec("event_loop_lag_seconds", "gauge", (), "How late the event loop runs its timers"),
    MetricSpec("event_loop_tasks", "gauge", (), "Tasks on the event loop"),
    MetricSpec("carrier_webhooks_total", "counter", ("carrier", "outcome"), "Carriers' webhooks, by what we answered"),
    MetricSpec("carrier_events_total", "counter", ("carrier", "kind"), "Carriers' news of calls"),
    MetricSpec("carrier_requests_total", "counter", ("carrier", "purpose", "outcome"), "Requests to carriers' APIs"),
    MetricSpec("sessions_rejected_total", "counter", ("reason",), "Calls refused: max_sessions, overload, draining"),
    MetricSpec("sessions_total", "counter", ("transport", "cause"), "Calls ended, by cause"),
    MetricSpec("session_duration_seconds", "histogram", ("transport",), "Length of calls"),
    MetricSpec("turns_total", "counter", ("cause",), "Turns of callers, by what ended them"),
    MetricSpec("turn_latency_seconds", "histogram", (), "End of a caller's speech to the first sound of the answer"),
    MetricSpec("replies_total", "counter", ("outcome",), "Replies: finished, interrupted or failed"),
    MetricSpec("interruptions_total", "counter", ("by",), "Replies cut off, by what cut them"),
    MetricSpec("silence_broken_total", "counter", ("action",), "Times a caller would have heard nothing for too long"),
    MetricSpec("provider_retries_total", "counter", ("stage", "provider"), "Requests to providers tried again"),
    MetricSpec("tool_calls_total", "counter", ("status",), "Tools run for the model"),
    MetricSpec("audio_dropped_bytes_total", "counter", ("reason",), "Sound from callers that could not be used"),
    MetricSpec("tokens_total", "counter", ("provider", "kind"), "Tokens as reported: prompt, completion, cached"),
    MetricSpec("tts_characters_total", "counter", ("provider",), "Characters synthesised, as reported"),
    MetricSpec("stt_audio_seconds_total", "counter", ("provider",), "Seconds of sound recognised, as reported"),
)

# Calls last minutes, not seconds.
_BUCKETS = {"session_duration_seconds": (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)}


class Metrics:
    """A private registry. `enabled` False: everything is accepted and forgotten, and there is nothing to expose."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._specs = {spec.name: spec for spec in TABLE}
        self._registry = CollectorRegistry()
        self._metrics = {spec.name: _make(spec, self._registry) for spec in TABLE} if enabled else {}
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {}

    def count(self, name: str, *labels: str, by: float = 1.0) -> None:
        """Add to a counter; labels in the order of the table."""
        if self.enabled and 0 < by < math.inf:
            child = self._child(name, labels)
            assert isinstance(child, Counter)
            child.inc(by)

    def observe(self, name: str, secs: float, *labels: str) -> None:
        """Add to a histogram. What is negative, not finite or longer than a day is refused."""
        if self.enabled and 0 <= secs <= MAX_SECS:
            child = self._child(name, labels)
            assert isinstance(child, Histogram)
            child.observe(secs)

    def change(self, name: str, by: float, *labels: str) -> None:
        """Move a gauge."""
        if self.enabled:
            child = self._child(name, labels)
            assert isinstance(child, Gauge)
            child.inc(by)

    def set(self, name: str, value: float, *labels: str) -> None:
        if self.enabled:
            child = self._child(name, labels)
            assert isinstance(child, Gauge)
            child.set(value)

    def expose(self) -> bytes:
        """The text exposition; of all worker processes where there are several."""
        if MULTIPROCESS_DIR not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _child(self, name: str, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[name]
            child = self._children[key] = metric.labels(*labels) if labels else metric
        return child


def _make(spec: MetricSpec, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if spec.kind == "counter":
        return Counter(spec.name, spec.help, spec.labels, registry=registry)
    if spec.kind == "gauge":
        return Gauge(spec.name, spec.help, spec.labels, registry=registry, multiprocess_mode="livesum")
    buckets = _BUCKETS.get(spec.name, Histogram.DEFAULT_BUCKETS)
    return Histogram(spec.name, spec.help, spec.labels, registry=registry, buckets=buckets)
