"""The server-sent events of one answer, as parsed chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import anyio

from voxray.errors import ProviderProtocolError, ProviderUnavailable
from voxray.wire.sse import SseDecoder, SseEvent
from voxray_openai.client import from_object

DRAIN_SECS = 0.1  # for the end of the body after [DONE], so that the connection can be used again


class ChunkReader:
    """Reads `pieces` of a body. `done` is True once the server has said so."""

    def __init__(self, provider: str, key: str, pieces: AsyncIterator[bytes]) -> None:
        self._provider = provider
        self._key = key
        self._pieces = pieces
        self._decoder = SseDecoder()
        self._ended = False
        self.done = False

    async def read(self, wait_secs: float) -> Sequence[Mapping[str, Any]] | None:
        """The chunks in the next piece of the body, perhaps none; None after the end.

        Raises:
            ProviderUnavailable: nothing came for `wait_secs`; or the server reports a passing error.
            ProviderRefused: the server reports an error of another kind.
            ProviderProtocolError: an event is not JSON.
        """
        if self.done or self._ended:
            await self._drain()
            return None
        try:
            with anyio.fail_after(max(0.0, wait_secs)):
                piece = await anext(self._pieces, None)
        except TimeoutError as error:
            raise ProviderUnavailable(self._provider, "stopped answering") from error
        try:
            events = self._decoder.finish() if piece is None else self._decoder.feed(piece)
        except ValueError as error:
            raise ProviderProtocolError(self._provider, f"stream not understood: {error}") from error
        self._ended = piece is None
        chunks = []
        for event in events:
            if event.data.startswith("[DONE]"):
                self.done = True
                break
            chunks.append(self._parse(event))
        return chunks

    def _parse(self, event: SseEvent) -> Mapping[str, Any]:
        try:
            chunk = json.loads(event.data)
        except ValueError as error:
            raise ProviderProtocolError(self._provider, "sent an event that is not JSON") from error
        if not isinstance(chunk, dict):
            raise ProviderProtocolError(self._provider, "sent an event that is no JSON object")
        if chunk.get("error") or event.name == "error":
            raise from_object(self._provider, chunk.get("error") or chunk, self._key)
        return chunk

    async def _drain(self) -> None:
        """Read what follows the last event. It does not matter whether that works."""
        if not self._ended:
            self._ended = True
            with anyio.move_on_after(DRAIN_SECS):
                while await anext(self._pieces, None) is not None:
                    pass
