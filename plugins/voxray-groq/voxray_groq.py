"""Groq: Whisper transcription, fast open-weight models and speech over OpenAI's HTTP API. Models checked 2026-11-20."""

from __future__ import annotations

from voxray.plugin import LlmSpec, OpenAICompatible, Quirks, SttSpec, TtsSpec, hookimpl

groq = OpenAICompatible(
    name="groq",
    title="Groq",
    base_url="https://api.groq.com/openai/v1",
    key_env="GROQ_API_KEY",
    docs_url="https://console.groq.com/docs",
)


@hookimpl
def voxray_register_providers() -> list[SttSpec | LlmSpec | TtsSpec]:
    return [
        groq.stt(model="whisper-large-v3-turbo"),
        groq.llm(
            model="openai/gpt-oss-20b",
            # Checked with these two families; Qwen's "none" switches thinking off.
            quirks=Quirks(max_tokens_field="max_completion_tokens", efforts={"openai/gpt-oss": "low", "qwen/": "none"}),
        ),
        groq.tts(
            model="canopylabs/orpheus-v1-english",
            voice="autumn",
            wav=True,
            max_chars=200,
            extra_body={"sample_rate": 24_000},
        ),
    ]
