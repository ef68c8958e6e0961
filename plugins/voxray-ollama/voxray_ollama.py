"""Ollama: language models on your own machine over OpenAI's HTTP API. No key needed."""

from __future__ import annotations

from voxray.plugin import LlmSpec, OpenAICompatible, hookimpl

COLD_START_SECS = 60.0  # loading a model into memory comes before its first word

ollama = OpenAICompatible(
    name="ollama",
    title="Ollama",
    base_url="http://localhost:11434/v1",
    key_env="OLLAMA_API_KEY",
    key_required=False,
    docs_url="https://docs.ollama.com/api/openai-compatibility",
    note="tools depend on the model; the first answer waits until the model is loaded",
)


@hookimpl
def voxray_register_providers() -> list[LlmSpec]:
    return [ollama.llm(model="llama3.2", first_token_secs=COLD_START_SECS)]
