"""Claude over the Messages API."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Self

import anthropic
import anyio

from voxray.chat import Prompt, TextDelta, ToolCall, Usage
from voxray.errors import ProviderProtocolError, ProviderUnavailable
from voxray.plugin import streaming
from voxray.protocols.context import ProviderContext
from voxray_anthropic.conversation import request_body
from voxray_anthropic.errors import mapped

logger = logging.getLogger(__name__)
CONNECT_SECS = 5.0
IDLE_SECS = 20.0


class Messages:
    """A `LanguageModel` over the `anthropic` SDK, which brings its own HTTP client: one for the life of the server.

    The first content must come within `first_token_secs`, each further event within `idle_secs`. An async context
    manager: leaving it closes the SDK's connections.
    """

    def __init__(
        self,
        context: ProviderContext,
        *,
        model: str,
        temperature: float | None = None,
        max_tokens: int = 1024,
        effort: str = "",
        first_token_secs: float = 10.0,
        idle_secs: float = IDLE_SECS,
    ) -> None:
        self._name = context.name
        self._key = context.secret()
        self._model = model
        self._max_tokens = max_tokens
        self._effort = effort
        self._first_secs = first_token_secs
        self._idle_secs = idle_secs
        if temperature is not None:
            logger.warning("temperature is not sent: this API refuses it", extra={"provider": context.name})
        options: dict[str, Any] = {"timeout": anthropic.Timeout(None, connect=CONNECT_SECS, pool=CONNECT_SECS)}
        if int(anthropic.__version__.partition(".")[0]) >= 2:
            options["open_telemetry"] = False  # it would trace requests, and import for that in the first call
        self._client = anthropic.AsyncAnthropic(
            api_key=self._key, base_url=context.base_url or None, max_retries=0, **options
        )
        # Touched here because the SDK imports a resource on first use, which must not be in a call.
        self._messages = self._client.messages

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.close()

    @streaming
    async def generate(self, prompt: Prompt) -> AsyncGenerator[TextDelta | ToolCall | Usage, None]:
        """See `LanguageModel.generate`. Leaving the block closes the HTTP stream at once."""
        body = request_body(prompt, model=self._model, max_tokens=self._max_tokens, effort=self._effort)
        reader = _Reader(self._name, self._model)
        deadline = anyio.current_time() + self._first_secs
        with mapped(self._name, self._key):
            async with AsyncExitStack() as stack:
                with anyio.fail_after(self._first_secs):
                    events = await self._messages.create(**body, stream=True)
                    await stack.enter_async_context(events)
                while True:
                    wait_secs = self._idle_secs if reader.started else deadline - anyio.current_time()
                    event = await self._next(events, wait_secs)
                    if event is None:
                        break
                    for item in reader.take(event):
                        yield item
            if not reader.stopped:
                raise ProviderUnavailable(self._name, "the answer ended in the middle")
            yield reader.usage()

    async def _next(self, events: AsyncIterator[Any], wait_secs: float) -> Any:
        with anyio.fail_after(max(0.0, wait_secs)):
            return await anext(events, None)


@dataclass(slots=True)
class _OpenCall:
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)


class _Reader:
    """From the events of one message to text and whole tool calls. Events of unknown types are passed over."""

    def __init__(self, provider: str, model: str) -> None:
        self._provider = provider
        self._model = model
        self._calls: dict[int, _OpenCall] = {}
        self._input = self._cached = self._output = 0
        self.started = False
        self.stopped = False

    def take(self, event: Any) -> Iterator[TextDelta | ToolCall]:
        match event.type:
            case "message_start":
                self._count(event.message.usage)
            case "content_block_start":
                self.started = True
                block = event.content_block
                if block.type == "text" and block.text:
                    yield TextDelta(block.text)
                elif block.type == "tool_use":
                    given = block.input if isinstance(block.input, dict) else {}
                    self._calls[event.index] = _OpenCall(block.id, block.name, given=given)
            case "content_block_delta":
                self.started = True
                if event.delta.type == "text_delta" and event.delta.text:
                    yield TextDelta(event.delta.text)
                elif event.delta.type == "input_json_delta" and event.index in self._calls:
                    self._calls[event.index].pieces.append(event.delta.partial_json)
            case "content_block_stop":
                call = self._calls.pop(event.index, None)
                if call is not None:
                    yield ToolCall(call.id, call.name, self._arguments(call))
            case "message_delta":
                self._count(event.usage)
            case "message_stop":
                self.stopped = True

    def usage(self) -> Usage:
        return Usage(self._input + self._cached, self._output, self._cached, model=self._model)

    def _count(self, usage: Any) -> None:
        """Counts are cumulative; `input_tokens` leaves out what was read from or written to the cache."""
        fresh = getattr(usage, "input_tokens", None)
        written = getattr(usage, "cache_creation_input_tokens", None)
        if fresh is not None:
            self._input = fresh + (written or 0)
        self._cached = getattr(usage, "cache_read_input_tokens", None) or self._cached
        self._output = getattr(usage, "output_tokens", None) or self._output

    def _arguments(self, call: _OpenCall) -> dict[str, Any]:
        text = "".join(call.pieces).strip()
        if not text:
            return call.given
        try:
            parsed = json.loads(text)
        except ValueError as error:
            raise ProviderProtocolError(self._provider, f'arguments for the tool "{call.name}" are not JSON') from error
        if not isinstance(parsed, dict):
            raise ProviderProtocolError(self._provider, f'arguments for the tool "{call.name}" are no JSON object')
        return parsed
