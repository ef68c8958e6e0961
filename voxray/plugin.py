"""The plugin author's one import."""

from voxray.audio.format import (
    ALAW_8K,
    MULAW_8K,
    PCM_8K,
    PCM_16K,
    PCM_22K,
    PCM_24K,
    PCM_48K,
    AudioFormat,
    Encoding,
)
from voxray.hookspecs import hookimpl
from voxray.openai_compatible import OpenAICompatible, Quirks
from voxray.problems import Problem
from voxray.specs import (
    CarrierSpec,
    LlmSpec,
    PipelineSpec,
    RealtimeSpec,
    RecordingSinkSpec,
    Secret,
    SerializerSpec,
    SessionStoreSpec,
    SttSpec,
    ToolSourceSpec,
    TranscriptStoreSpec,
    TransportSpec,
    TtsSpec,
    TurnDetectorSpec,
    VadSpec,
)
from voxray.streaming import streaming

__all__ = [
    "ALAW_8K",
    "MULAW_8K",
    "PCM_8K",
    "PCM_16K",
    "PCM_22K",
    "PCM_24K",
    "PCM_48K",
    "AudioFormat",
    "CarrierSpec",
    "Encoding",
    "LlmSpec",
    "OpenAICompatible",
    "PipelineSpec",
    "Problem",
    "Quirks",
    "RealtimeSpec",
    "RecordingSinkSpec",
    "Secret",
    "SerializerSpec",
    "SessionStoreSpec",
    "SttSpec",
    "ToolSourceSpec",
    "TranscriptStoreSpec",
    "TransportSpec",
    "TtsSpec",
    "TurnDetectorSpec",
    "VadSpec",
    "hookimpl",
    "streaming",
]
