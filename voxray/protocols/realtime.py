"""Speech-to-speech models: ears, mind and voice in one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from voxray.audio.format import AudioFormat
from voxray.chat import Prompt, ToolCall, ToolResult
from voxray.protocols.stt import Transcript
from voxray.protocols.tts import Spoken


@dataclass(frozen=True, slots=True)
class ReplyDone:
    """The model has finished its reply."""


class RealtimeSession(Protocol):
    async def send(self, pcm: bytes) -> None: ...

    async def interrupt(self, heard_secs: float) -> None: ...

    async def answer_tool(self, result: ToolResult) -> None: ...

    def __aiter__(self) -> AsyncIterator[bytes | Transcript | Spoken | ToolCall | ReplyDone]: ...


class RealtimeModel(Protocol):
    audio_in: AudioFormat
    audio_out: AudioFormat

    def open(self, prompt: Prompt) -> AbstractAsyncContextManager[RealtimeSession]: ...
