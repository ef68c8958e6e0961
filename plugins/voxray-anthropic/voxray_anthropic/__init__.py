"""Anthropic for Voxray: Claude language models."""

from __future__ import annotations

from voxray.plugin import LlmSpec, Secret, hookimpl


@hookimpl
def voxray_register_providers() -> list[LlmSpec]:
    return [
        LlmSpec(
            name="anthropic",
            title="Anthropic",
            factory="voxray_anthropic.messages:Messages",
            options={
                "model": {"type": "string", "default": "claude-haiku-5-5", "description": "Claude model"},
                "temperature": {
                    "type": ["number", "null"],
                    "default": None,
                    "minimum": 0,
                    "maximum": 1,
                    "description": "accepted and not sent: the current API refuses it",
                },
                "max_tokens": {
                    "type": "integer",
                    "default": 1024,
                    "minimum": 1,
                    "maximum": 64_000,
                    "description": "longest reply in tokens",
                },
                "effort": {
                    "type": "string",
                    "default": "",
                    "enum": ["", "low", "medium", "high", "xhigh", "max"],
                    "description": "how hard the model works; empty: its default",
                },
                "first_token_secs": {
                    "type": "number",
                    "default": 10.0,
                    "exclusiveMinimum": 0,
                    "maximum": 600,
                    "description": "how long to wait for the first word",
                },
            },
            secrets=(Secret("ANTHROPIC_API_KEY"),),
            base_url="https://api.anthropic.com",
            base_url_env="ANTHROPIC_BASE_URL",
            docs_url="https://docs.anthropic.com/en/api/messages",
        )
    ]
