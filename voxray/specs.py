"""Capabilities as data: what may be known of a plugin's offer without importing its code.

A spec is frozen, printable and free of imports. `factory` is "module:attribute", imported on first use and called as
`factory(context, **presets, **options)`: option names are keyword names, schema defaults are filled in before the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret, or a setting that travels like one (a region, say).

    `env` is the variable to read, `also` older names of it; `key` is where it sits in `providers.<name>`; `config_key`
    the name in `api_keys`, by default the provider's own.
    """

    env: str
    also: tuple[str, ...] = ()
    key: str = "api_key"
    required: bool = True
    config_key: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What may be known about a capability without importing it."""

    kind: ClassVar[str] = ""
    section: ClassVar[str] = ""  # key below providers.<name> that holds its options; "" if none

    name: str  # the value written in the configuration
    title: str  # for people
    factory: str  # "module:attribute"
    options: Mapping[str, Any] = field(default_factory=dict)  # JSON Schema `properties`
    presets: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments the user cannot set
    secrets: tuple[Secret, ...] = ()
    base_url: str = ""  # default address, "" if the option makes no sense
    base_url_env: str = ""
    docs_url: str = ""
    note: str = ""  # one line for `providers show`: licence, retirement, limits
    retires: str = ""  # ISO date after which the vendor's default model is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class SttSpec(Spec):
    """Implements SpeechToText (`streaming`) or UtteranceRecognizer (not `streaming`)."""

    kind: ClassVar[str] = "stt"
    section: ClassVar[str] = "stt"
    streaming: bool = False
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSpec(Spec):
    """Implements LanguageModel."""

    kind: ClassVar[str] = "llm"
    section: ClassVar[str] = "llm"
    tools: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TtsSpec(Spec):
    """Implements TextToSpeech (`streaming`) or SentenceSynthesizer (not `streaming`)."""

    kind: ClassVar[str] = "tts"
    section: ClassVar[str] = "tts"
    streaming: bool = False
    voices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeSpec(Spec):
    kind: ClassVar[str] = "realtime"
    section: ClassVar[str] = "realtime"
    voices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VadSpec(Spec):
    """Implements VoiceActivityDetector. Chosen by `vad_type`."""

    kind: ClassVar[str] = "vad"
    section: ClassVar[str] = "vad"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDetectorSpec(Spec):
    """Implements TurnDetector. Chosen by `turn_detection`."""

    kind: ClassVar[str] = "turn"
    section: ClassVar[str] = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSourceSpec(Spec):
    """Implements ToolSource. Chosen by `tools[]`."""

    kind: ClassVar[str] = "tools"
    section: ClassVar[str] = "tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportSpec(Spec):
    """Implements Listener. `enabled_by` lists the values of `transport` and `runner_transport` that switch it on."""

    kind: ClassVar[str] = "transport"
    section: ClassVar[str] = "transport"
    enabled_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PeersSpec(TransportSpec):
    """Implements Peers: WebRTC behind the server's offer routes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomsSpec(TransportSpec):
    """Implements Rooms: a room service behind `POST /start`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierSpec(Spec):
    """A telephone carrier behind the shared media socket. Chosen by `runner_transport`."""

    kind: ClassVar[str] = "carrier"
    section: ClassVar[str] = "carrier"


@dataclass(frozen=True, slots=True, kw_only=True)
class SerializerSpec(Spec):
    """Implements Serializer. Chosen by the client's URL: `query` is "" (the default), "rtvi" or "format=protobuf"."""

    kind: ClassVar[str] = "serializer"
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec(Spec):
    """Implements PipelinePlugin. Chosen by `plugins[]`, options in `plugin_options.<name>`."""

    kind: ClassVar[str] = "pipeline"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStoreSpec(Spec):
    """Implements SessionStore. Chosen by `session_store`."""

    kind: ClassVar[str] = "session_store"
    section: ClassVar[str] = "session_store"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptStoreSpec(Spec):
    """Implements TranscriptStore. Chosen by `transcripts.driver`."""

    kind: ClassVar[str] = "transcript_store"
    section: ClassVar[str] = "transcript_store"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSinkSpec(Spec):
    """Implements RecordingSink. Chosen by `recording.sink`."""

    kind: ClassVar[str] = "recording_sink"
    section: ClassVar[str] = "recording_sink"


ProviderSpec = SttSpec | LlmSpec | TtsSpec | RealtimeSpec | VadSpec | TurnDetectorSpec | ToolSourceSpec
StoreSpec = SessionStoreSpec | TranscriptStoreSpec | RecordingSinkSpec
