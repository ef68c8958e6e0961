"""OpenAI: transcription, chat and speech; base of every vendor that speaks OpenAI's HTTP API."""

from __future__ import annotations

from voxray.plugin import LlmSpec, OpenAICompatible, Quirks, SttSpec, TtsSpec, hookimpl

# The lowest effort that every model of a family takes. Checked 2026-11-20.
EFFORTS = {"gpt-6": "low", "gpt-5": "low", "gpt-5.1": "none", "gpt-5.4": "none", "o3": "low", "o4": "low"}

openai = OpenAICompatible(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    key_env="OPENAI_API_KEY",
    docs_url="https://platform.openai.com/docs/api-reference",
)

realtime = SttSpec(
    name="openai_realtime",
    title="OpenAI, streaming transcription",
    factory="voxray_openai.live_transcription:StreamingTranscriptions",
    streaming=True,
    options={
        "model": {"type": "string", "default": "gpt-live-transcribe", "description": "transcription model"},
        "language": {"type": "string", "default": "", "description": "ISO 639-1 language; empty: detected"},
        "prompt": {"type": "string", "default": "", "description": "words and names the recogniser should expect"},
    },
    secrets=openai.stt(model="").secrets,
    base_url=openai.base_url,
    base_url_env="OPENAI_BASE_URL",
    docs_url=openai.docs_url,
)


@hookimpl
def voxray_register_providers() -> list[SttSpec | LlmSpec | TtsSpec]:
    return [
        openai.stt(model="gpt-transcribe"),
        realtime,
        openai.llm(
            model="gpt-6-luna",
            quirks=Quirks(max_tokens_field="max_completion_tokens", efforts=EFFORTS),
        ),
        openai.tts(model="gpt-4o-mini-tts", voice="marin", retires="2027-01-06"),
    ]
