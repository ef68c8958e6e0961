"""The configuration as one frozen object. Nothing else in the program reads dictionaries or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    audio_sample_rate: float = 0.0  # share of audio chunks, 0..1


@dataclass(frozen=True, slots=True, kw_only=True)
class McpSettings:
    command: str
    args: tuple[str, ...] = ()
    tools_filter: tuple[str, ...] = ()  # empty: all


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSettings:
    enable: bool = False
    sink: str = "s3"
    bucket: str = ""
    base_path: str = "recordings"
    format: str = "wav"
    worker_count: int = 2
    queue_cap: int = 32
    max_retries: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptSettings:
    enable: bool = False
    driver: str = ""
    dsn: str = field(default="", repr=False)
    table_name: str = "call_transcripts"


@dataclass(frozen=True, slots=True, kw_only=True)
class TelephonySettings:
    allow_unannounced: bool = False
    caller_id: str = ""
    machine_detection: bool = False
    lead_ms: float = 200.0
    dtmf_timeout_secs: float = 2.0
    dtmf_terminator: str = "#"
    trusted_proxies: tuple[str, ...] = ()
    personas: Mapping[str, Mapping[str, str]] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSettings:
    """One entry of `tools`."""

    name: str
    options: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, named as in the file; the schema describes each. References such as `"${NAME}"` are resolved.

    Zeros that the schema calls "means N" are N here, and "" is the default where it says so. Reprs show no secrets.
    """

    host: str = "localhost"
    port: int = 3042
    runner_port: int = 0
    transport: str = "websocket"
    workers: int = 1
    max_sessions: int = 0
    drain_secs: float = 30.0
    ws_idle_timeout_secs: float = 300.0
    console: bool = True
    tls_enable: bool = False
    tls_cert_file: str = ""
    tls_key_file: str = ""
    server_api_key: str = field(default="", repr=False)
    cors_allowed_origins: tuple[str, ...] | None = None
    max_request_body_bytes: int = 262144
    daily_dialin_webhook_secret: str = field(default="", repr=False)

    provider: str = ""
    stt_provider: str = ""
    llm_provider: str = ""
    tts_provider: str = ""
    realtime_provider: str = ""
    model: str = ""
    stt_model: str = ""
    stt_language: str = ""
    tts_model: str = ""
    tts_voice: str = ""
    tts_language: str = ""
    api_keys: Mapping[str, str] = field(default_factory=_nothing, repr=False)
    providers: Mapping[str, Mapping[str, Any]] = field(default_factory=_nothing, repr=False)

    system_prompt: str = ""
    greeting: str = ""
    waiting_phrase: str = "One moment, please."
    fallback_phrase: str = "Sorry, something went wrong. Please try again."
    max_silence_secs: float = 3.0
    max_tool_rounds: int = 5
    tools: tuple[ToolSettings, ...] = ()

    webrtc_ice_servers: tuple[Any, ...] = field(default=("stun:stun.l.google.com:19302",), repr=False)
    rtc_max_duration_secs: float = 0.0

    turn_detection: str = "none"
    turn_stop_secs: float = 3.0
    turn_pre_speech_ms: float = 500.0
    turn_max_duration_secs: float = 8.0
    vad_start_secs: float = 0.0
    turn_async: bool = False
    user_turn_stop_timeout_secs: float = 5.0
    user_idle_timeout_secs: float = 0.0
    vad_type: str = "energy"
    vad_threshold: float = 0.02
    vad_confidence: float = 0.7
    vad_start_secs_vad: float = 0.2
    vad_stop_secs: float = 0.2
    vad_min_volume: float = 0.2
    vad_batch_size: int = 1

    allow_interruptions: bool = False
    interruption_strategy: str = ""
    min_words: int = 0
    interruption_phrases: tuple[str, ...] = ()
    interrupt_min_speech_ms: float = 200.0

    runner_transport: tuple[str, ...] = ()
    proxy_host: str = ""
    dialin: bool = False
    session_store: str = "memory"
    redis_url: str = field(default="", repr=False)
    session_ttl_secs: int = 3600

    pipeline_input_queue_cap: int = 256
    ws_write_coalesce_ms: int = 0
    ws_write_coalesce_max_frames: int = 10
    log_level: str = "info"
    json_logs: bool = False
    metrics_enabled: bool = True
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    mcp: McpSettings | None = None
    recording: RecordingSettings = field(default_factory=RecordingSettings)
    transcripts: TranscriptSettings = field(default_factory=TranscriptSettings)
    telephony: TelephonySettings = field(default_factory=TelephonySettings)
    plugins: tuple[str, ...] = ()
    plugin_options: Mapping[str, Mapping[str, Any]] = field(default_factory=_nothing)

    given: frozenset[str] = frozenset()  # the top-level keys that the file, the environment or the command line sets
    config_file: str = ""

    @property
    def has_voice(self) -> bool:
        """Whether calls are answered by recogniser, language model and voice."""
        return any((self.provider, self.stt_provider, self.llm_provider, self.tts_provider, self.model))

    @property
    def ice_servers(self) -> tuple[Mapping[str, Any], ...]:
        """`webrtc_ice_servers` as browsers take them: `urls` (a list), `username`, `credential`."""
        return tuple(_ice_server(entry) for entry in self.webrtc_ice_servers)


# 0 and "" in the file stand for the default here.
_ZERO_IS_DEFAULT = (
    "host", "port", "transport", "max_request_body_bytes", "turn_stop_secs", "turn_max_duration_secs", "vad_type",
    "session_ttl_secs", "base_path", "format", "worker_count", "queue_cap",
)  # fmt: skip


def make_settings(data: Mapping[str, Any], config_file: str = "") -> Settings:
    """Settings from data that fits the schema."""
    values = _plain_values(Settings, data)
    values["cors_allowed_origins"] = _names(data.get("cors_allowed_origins"))
    values["metrics_enabled"] = data.get("metrics_enabled") is not False
    values["metrics"] = MetricsSettings(**_plain_values(MetricsSettings, data.get("metrics", {})))
    values["recording"] = RecordingSettings(**_plain_values(RecordingSettings, data.get("recording", {})))
    values["transcripts"] = TranscriptSettings(**_plain_values(TranscriptSettings, data.get("transcripts", {})))
    telephony = _without_comments(data.get("telephony", {}))
    values["telephony"] = TelephonySettings(**_plain_values(TelephonySettings, telephony))
    runner = data.get("runner_transport") or ()
    values["runner_transport"] = (runner,) if isinstance(runner, str) else tuple(runner)
    if values["runner_transport"] and data.get("runner_port"):
        values["port"] = int(data["runner_port"])
    mcp = data.get("mcp")
    values["mcp"] = McpSettings(**_plain_values(McpSettings, mcp)) if mcp and mcp.get("command") else None
    values["tools"] = tuple(_tool(entry) for entry in data.get("tools", ()))
    for name in ("api_keys", "providers", "plugin_options"):
        values[name] = MappingProxyType(_without_comments(data.get(name, {})))
    if values.get("provider") == "realtime":
        values["realtime_provider"] = values.get("realtime_provider") or "openai"
        values["provider"] = ""
    if not values.get("user_turn_stop_timeout_secs"):
        # The fallback of the documents: turn_stop_secs if that was set, else 5 s.
        values["user_turn_stop_timeout_secs"] = values.get("turn_stop_secs", 5.0)
    given = frozenset(key for key in data if not key.startswith(("_", "$")))
    return Settings(**values, given=given, config_file=config_file)


def _plain_values(kind: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """What `data` says about the fields of `kind`; numbers and lists in the types that the fields have."""
    values: dict[str, Any] = {}
    for each in fields(kind):
        if each.name not in data or data[each.name] is None:
            continue
        value = data[each.name]
        if not value and not isinstance(value, bool) and each.name in _ZERO_IS_DEFAULT:
            continue
        if isinstance(value, list):
            value = tuple(value)
        elif each.type == "float":
            value = float(value)
        elif each.type == "int":
            value = int(value)
        values[each.name] = value
    return values


def _ice_server(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"urls": [entry]}
    urls = entry.get("urls", [])
    rest = {name: entry[name] for name in ("username", "credential") if entry.get(name)}
    return {"urls": [urls] if isinstance(urls, str) else list(urls), **rest}


def _names(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _tool(entry: Any) -> ToolSettings:
    if isinstance(entry, str):
        return ToolSettings(name=entry)
    options = {key: value for key, value in entry.items() if key != "name" and not key.startswith("_")}
    return ToolSettings(name=entry["name"], options=MappingProxyType(options))


def _without_comments(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_comments(part) for key, part in value.items() if not str(key).startswith("_")}
    return value
