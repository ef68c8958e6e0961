"""The mind: a language model that streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from voxray.chat import Prompt, TextDelta, ToolCall, Usage


class LanguageModel(Protocol):
    def generate(self, prompt: Prompt) -> AbstractAsyncContextManager[AsyncIterator[TextDelta | ToolCall | Usage]]:
        """Stream one completion. Leaving the block stops the vendor's work.

        A `ToolCall` is yielded once, complete. Reasoning text is never yielded. Raises ProviderError, on entering or
        while iterating.
        """
