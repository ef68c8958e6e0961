"""Vendors that speak OpenAI's HTTP API, as data. The implementation is in the package voxray-openai."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voxray.audio.format import PCM_24K, AudioFormat
from voxray.specs import LlmSpec, Secret, SttSpec, TtsSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """How a vendor's chat wire differs from OpenAI's. A field is added when a vendor needs it."""

    drop: tuple[str, ...] = ()  # request fields the vendor refuses
    system_role: str = "system"
    max_tokens_field: str = "max_tokens"
    usage_in_stream: bool = True  # accepts stream_options.include_usage
    efforts: Mapping[str, str] = field(default_factory=dict)  # reasoning_effort by start of the model's name
    extra_body: Mapping[str, Any] = field(default_factory=dict)


def _option(kind: str | list[str], default: Any, description: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "default": default, "description": description, **more}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAICompatible:
    """One vendor. Its methods return ordinary specs for the plugin to register."""

    name: str
    title: str
    base_url: str
    key_env: str
    key_required: bool = True
    base_url_env: str = ""
    docs_url: str = ""
    note: str = ""

    def stt(self, *, model: str, retires: str = "") -> SttSpec:
        return SttSpec(
            **self._common("voxray_openai.transcriptions:Transcriptions", retires),
            options={
                "model": _option("string", model, "transcription model"),
                "language": _option("string", "", "ISO 639-1 language of the speech; empty: detected"),
                "prompt": _option("string", "", "words and names the recogniser should expect"),
            },
        )

    def llm(
        self, *, model: str, quirks: Quirks | None = None, first_token_secs: float = 10.0, retires: str = ""
    ) -> LlmSpec:
        return LlmSpec(
            **self._common("voxray_openai.chat:ChatCompletions", retires),
            options={
                "model": _option("string", model, "chat model"),
                "temperature": _option(
                    ["number", "null"], None, "randomness; null: the vendor's default", minimum=0, maximum=2
                ),
                "max_tokens": _option("integer", 1024, "longest reply in tokens", minimum=1, maximum=131072),
                "reasoning_effort": _option(
                    "string", "", "for reasoning models, such as none or low; empty: the lowest known to suit the model"
                ),
                "first_token_secs": _option(
                    "number", first_token_secs, "how long to wait for the first word", exclusiveMinimum=0, maximum=600
                ),
            },
            presets={"quirks": quirks or Quirks()},
        )

    def tts(
        self,
        *,
        model: str,
        voice: str,
        audio: AudioFormat = PCM_24K,
        wav: bool = False,
        max_chars: int = 4096,
        extra_body: Mapping[str, Any] | None = None,
        retires: str = "",
    ) -> TtsSpec:
        """`wav` True: ask for WAV, because the vendor has no raw PCM. `extra_body`: further request fields."""
        return TtsSpec(
            **self._common("voxray_openai.speech:Speech", retires),
            options={
                "model": _option("string", model, "speech model"),
                "voice": _option("string", voice, "voice name"),
                "speed": _option("number", 1.0, "speaking rate", minimum=0.25, maximum=4.0),
                "instructions": _option("string", "", "how to speak, where the model takes instructions"),
                "max_chars": _option("integer", max_chars, "longest text of one request", minimum=20, maximum=100_000),
            },
            presets={"audio": audio, "wav": wav, "extra_body": dict(extra_body or {})},
        )

    def _common(self, factory: str, retires: str) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "factory": factory,
            "secrets": (Secret(self.key_env, required=self.key_required),),
            "base_url": self.base_url,
            "base_url_env": self.base_url_env or f"{self.name.upper()}_BASE_URL",
            "docs_url": self.docs_url,
            "note": self.note,
            "retires": retires,
        }
