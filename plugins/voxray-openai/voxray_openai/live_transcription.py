"""Streaming transcription over OpenAI's realtime socket."""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from voxray.audio.format import PCM_16K, PCM_24K
from voxray.audio.resample import Resampler
from voxray.chat import Usage
from voxray.errors import ProviderProtocolError, ProviderUnavailable
from voxray.protocols.context import ProviderContext
from voxray.protocols.stt import Flushed, SttStream, Transcript
from voxray.wire.socket import closed, message, socket_url
from voxray_openai.client import from_object

MIN_COMMIT_BYTES = PCM_24K.size(0.1)  # the vendor refuses to commit less
CREATED_SECS = 10.0
TOPIC = "conversation.item.input_audio_transcription."
EMPTY_COMMIT = "input_audio_buffer_commit_empty"
Result = Transcript | Flushed | Usage


class StreamingTranscriptions:
    """A `SpeechToText`. The vendor's own turn detection is off: `flush()` commits what was said."""

    def __init__(self, context: ProviderContext, *, model: str, language: str = "", prompt: str = "") -> None:
        self._context = context
        self._key = context.secret()
        self._model = model
        self._language = language
        self._prompt = prompt
        self._url = f"{socket_url(context.base_url)}/realtime?intent=transcription"

    @asynccontextmanager
    async def open(self, *, language: str | None = None) -> AsyncIterator[SttStream]:
        """See `SpeechToText.open`."""
        name = self._context.name
        headers = {"Authorization": f"Bearer {self._key or name}"}
        async with self._context.connect(self._url, headers=headers) as socket:
            await self._set_up(socket, language or self._language)
            yield _LiveStream(name, self._key, socket, self._model)

    async def _set_up(self, socket: ClientConnection, language: str) -> None:
        name = self._context.name
        transcription = {"model": self._model}
        transcription |= {"language": language.partition("-")[0]} if language else {}
        transcription |= {"prompt": self._prompt} if self._prompt else {}
        audio = {
            "format": {"type": "audio/pcm", "rate": PCM_24K.rate_hz},
            "transcription": transcription,
            "turn_detection": None,
        }
        update = {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio}}}
        try:
            with anyio.fail_after(CREATED_SECS):
                first = message(name, await socket.recv())
            if first.get("type") == "error":
                raise from_object(name, first.get("error"), self._key)
            await socket.send(json.dumps(update))
        except TimeoutError as error:
            raise ProviderUnavailable(name, "no session on the open socket") from error
        except ConnectionClosed as error:
            raise closed(name, error, hidden=(self._key,)) from error


@dataclass(slots=True)
class _Commit:
    """A flush on its way: which item it became, and its words once they are there."""

    item: str = ""
    done: bool = False
    transcript: Transcript | None = None
    usage: Usage | None = None


class _LiveStream:
    """One call's socket, without a task of its own: whoever iterates reads it."""

    def __init__(self, name: str, key: str, socket: ClientConnection, model: str) -> None:
        self._name = name
        self._key = key
        self._socket = socket
        self._model = model
        self._resampler = Resampler(PCM_16K.rate_hz, PCM_24K.rate_hz)
        self._uncommitted_bytes = 0
        self._commits: list[_Commit] = []
        self._partials: dict[str, str] = {}
        self._ready: deque[Result] = deque()
        self._reading = anyio.CancelScope()

    async def send(self, pcm: bytes) -> None:
        await self._append(self._resampler.process(pcm))

    async def flush(self) -> None:
        await self._append(self._resampler.flush())
        if self._uncommitted_bytes < MIN_COMMIT_BYTES:
            self._commits.append(_Commit(done=True))  # nothing to hear; answered in its turn
            self._release()
            self._reading.cancel()  # who waits for the vendor must look at what is ready
            return
        self._uncommitted_bytes = 0
        self._commits.append(_Commit())
        await self._send({"type": "input_audio_buffer.commit"})

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Result:
        while not self._ready:
            with anyio.CancelScope() as self._reading:
                try:
                    self._take(message(self._name, await self._socket.recv()))
                except ConnectionClosed as error:
                    raise closed(self._name, error, hidden=(self._key,)) from error
        return self._ready.popleft()

    async def _append(self, pcm: bytes) -> None:
        if pcm:
            self._uncommitted_bytes += len(pcm)
            await self._send({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode("ascii")})

    async def _send(self, event: dict[str, Any]) -> None:
        try:
            await self._socket.send(json.dumps(event))
        except ConnectionClosed as error:
            raise closed(self._name, error, hidden=(self._key,)) from error

    def _take(self, event: dict[str, Any]) -> None:
        kind = str(event.get("type", ""))
        item = str(event.get("item_id", ""))
        if kind == "input_audio_buffer.committed":
            commit = next((one for one in self._commits if not one.item and not one.done), None)
            if commit is not None:
                commit.item = item
        elif kind == TOPIC + "delta":
            self._partials[item] = self._partials.get(item, "") + str(event.get("delta", ""))
            self._ready.append(Transcript(self._partials[item].strip(), final=False))
        elif kind == TOPIC + "completed":
            self._complete(item, event)
        elif kind == TOPIC + "failed":
            raise from_object(self._name, event.get("error"), self._key)
        elif kind == "error":
            self._error(event.get("error"))

    def _complete(self, item: str, event: dict[str, Any]) -> None:
        text = event.get("transcript")
        if not isinstance(text, str):
            raise ProviderProtocolError(self._name, "transcription completed without a transcript")
        self._partials.pop(item, None)
        transcript = Transcript(text.strip(), final=True)
        commit = next((one for one in self._commits if one.item == item), None)
        if commit is None:  # the vendor committed by itself
            self._ready.append(transcript)
            return
        commit.done, commit.transcript, commit.usage = True, transcript, _usage(event.get("usage"), self._model)
        self._release()

    def _release(self) -> None:
        """Hand on what is complete, in the order of the flushes: items may complete in any order."""
        while self._commits and self._commits[0].done:
            commit = self._commits.pop(0)
            if commit.transcript is not None and commit.transcript.text:
                self._ready.append(commit.transcript)
            if commit.usage is not None:
                self._ready.append(commit.usage)
            self._ready.append(Flushed())

    def _error(self, problem: Any) -> None:
        if isinstance(problem, dict) and problem.get("code") == EMPTY_COMMIT:
            commit = next((one for one in self._commits if not one.item and not one.done), None)
            if commit is not None:
                commit.done = True
                self._release()
            return
        raise from_object(self._name, problem, self._key)


def _usage(usage: Any, model: str) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    if isinstance(usage.get("seconds"), (int, float)):
        return Usage(audio_secs=float(usage["seconds"]), model=model)
    counts = [usage.get(name) for name in ("input_tokens", "output_tokens")]
    prompt, completion = (count if isinstance(count, int) else 0 for count in counts)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, model=model)
