"""Chat completions: the language model of OpenAI and of every vendor that speaks its HTTP API."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, cast

import anyio

from voxray.chat import Prompt, TextDelta, ToolCall, Usage
from voxray.errors import ProviderProtocolError, ProviderUnavailable
from voxray.plugin import Quirks, streaming
from voxray.protocols.context import ProviderContext
from voxray_openai.client import Timeouts, from_object, make_client, mapped
from voxray_openai.deltas import ChatDeltas
from voxray_openai.messages import effort_for, request_body
from voxray_openai.stream import ChunkReader

MAX_WHOLE_BYTES = 4 * 1024 * 1024


class ChatCompletions:
    """A `LanguageModel`. The SDK sends the request and judges the status; the stream is read here.

    That costs a quarter of the SDK's own parser (20 against 76 µs for each delta) and forgives what servers send that
    are only nearly compatible. Times: the first payload within `first_token_secs`, each further one within
    `timeouts.idle`.
    """

    def __init__(
        self,
        context: ProviderContext,
        *,
        quirks: Quirks,
        model: str,
        temperature: float | None = None,
        max_tokens: int = 1024,
        reasoning_effort: str = "",
        first_token_secs: float = 10.0,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._name = context.name
        self._key = context.secret()
        self._quirks = quirks
        self._model = model
        self._fields = {
            "temperature": temperature,
            "max_tokens": max_tokens,
            "reasoning_effort": reasoning_effort or effort_for(model, quirks),
        }
        self._first_secs = first_token_secs
        self._idle_secs = (timeouts or Timeouts()).idle
        # Touched here because the SDK imports a resource on first use, which must not be in a call.
        self._completions = make_client(context).chat.completions.with_streaming_response

    @streaming
    async def generate(self, prompt: Prompt) -> AsyncGenerator[TextDelta | ToolCall | Usage, None]:
        """See `LanguageModel.generate`. Leaving the block closes the HTTP stream at once."""
        body = request_body(prompt, self._quirks, model=self._model, **self._fields)
        deltas = ChatDeltas(self._name, model=self._model, calls_before=len(prompt.messages))
        deadline = anyio.current_time() + self._first_secs
        with mapped(self._name, self._key):
            async with AsyncExitStack() as stack:
                with anyio.fail_after(self._first_secs):
                    # As extra_body the SDK sends it as it is, without walking through it.
                    opened = self._completions.create(model=self._model, messages=[], stream=True, extra_body=body)
                    response = await stack.enter_async_context(opened)
                pieces = await stack.enter_async_context(
                    aclosing(cast(AsyncGenerator[bytes, None], response.iter_bytes()))
                )
                if "json" in response.headers.get("content-type", ""):  # a server that does not stream
                    for item in deltas.take(await self._whole(pieces, deadline)):
                        yield item
                reader = ChunkReader(self._name, self._key, pieces)
                while (chunks := await reader.read(self._wait_secs(deltas, deadline))) is not None:
                    for chunk in chunks:
                        for item in deltas.take(chunk):
                            yield item
                if not (deltas.finish or reader.done):
                    raise ProviderUnavailable(self._name, "the answer ended in the middle")
                for last in deltas.end():
                    yield last

    def _wait_secs(self, deltas: ChatDeltas, deadline: float) -> float:
        return self._idle_secs if deltas.started else deadline - anyio.current_time()

    async def _whole(self, pieces: AsyncIterator[bytes], deadline: float) -> dict[str, Any]:
        body = b""
        with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
            async for piece in pieces:
                body += piece
                if len(body) > MAX_WHOLE_BYTES:
                    raise ProviderProtocolError(self._name, f"an answer of more than {MAX_WHOLE_BYTES} bytes")
        try:
            parsed = json.loads(body)
        except ValueError as error:
            raise ProviderProtocolError(self._name, "answer is not JSON") from error
        if not isinstance(parsed, dict):
            raise ProviderProtocolError(self._name, "answer is no JSON object")
        if parsed.get("error"):
            raise from_object(self._name, parsed["error"], self._key)
        return parsed
