"""An agent that is no agent: answers on `/ws` with tones and fixed words, for tests of clients and callers."""

from __future__ import annotations

import json
from array import array
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voxray.audio.format import PCM_16K, PCM_24K

LOUD = 300
LEAD_SECS = 0.2
PIECE_SECS = 0.06
TONE = 4000  # the sample that all its answers consist of


class FakeAgent:
    """Listens on loopback while its block runs; `url` is its address.

    Answers turn n with the next of `replies` (then "Answer n."), `think_secs` after `stop_secs` of silence; the calls
    of `tools[n]` come before it. Stops when it hears 0.2 s of speech. `hang_up_after`: ends the call after so many
    answers. `silent_turns` (from 1) are not answered. What it was sent is in `received`.
    """

    def __init__(
        self,
        replies: Sequence[str] = (),
        *,
        greeting: str = "",
        stop_secs: float = 0.3,
        think_secs: float = 0.1,
        secs_per_char: float = 0.05,
        tools: dict[int, Sequence[str]] | None = None,
        hang_up_after: int = 0,
        silent_turns: Sequence[int] = (),
        close_code: int = 0,
        api_key: str = "",
    ) -> None:
        self.greeting = greeting
        self.stop_secs = stop_secs
        self.think_secs = think_secs
        self.secs_per_char = secs_per_char
        self.tools = tools or {}
        self.hang_up_after = hang_up_after
        self.silent_turns = silent_turns
        self.close_code = close_code  # at once, instead of taking the call
        self.api_key = api_key
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.calls = 0
        self.url = ""
        self._replies = list(replies)
        self._stack = AsyncExitStack()

    def reply(self, turn: int) -> str:
        return self._replies[turn - 1] if turn <= len(self._replies) else f"Answer {turn}."

    async def __aenter__(self) -> Self:
        server = await self._stack.enter_async_context(
            serve(self._answer, "127.0.0.1", 0, compression=None, process_request=self._admit, close_timeout=1)
        )
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def _admit(self, connection: ServerConnection, request: Any) -> Any:
        if self.api_key and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            return connection.respond(401, "unauthorized")
        return None

    async def _answer(self, socket: ServerConnection) -> None:
        self.calls += 1
        if self.close_code:
            await socket.close(self.close_code, "no")
            return
        try:
            async with anyio.create_task_group() as tasks:
                await _Call(self, socket, tasks).run()
                tasks.cancel_scope.cancel()
        except* ConnectionClosed:
            pass


class _Call:
    def __init__(self, agent: FakeAgent, socket: ServerConnection, tasks: TaskGroup) -> None:
        self._agent = agent
        self._socket = socket
        self._tasks = tasks
        self._speech_secs = 0.0
        self._quiet_secs = 0.0
        self._turn = 0
        self._replies = 0
        self._speaking: anyio.CancelScope | None = None
        self._marks: deque[str] = deque()
        self._marked = anyio.Event()

    async def run(self) -> None:
        await self._send("StartFrame", session_id="fake", audio_in_sample_rate=16000, audio_out_sample_rate=24000)
        if self._agent.greeting:
            self._begin(self._agent.greeting)
        async for message in self._socket:
            if isinstance(message, bytes):
                await self._hear(message)
                continue
            frame = json.loads(message)
            kind, data = frame["type"], frame["data"]
            self._agent.received.append((kind, data))
            if kind == "TranscriptionFrame":
                await self._end_turn(data["text"], "text")
            elif kind == "MarkFrame":
                self._marked.set()
            elif kind == "EndFrame":
                await self._hang_up("client_asked")

    async def _hear(self, pcm: bytes) -> None:
        secs = PCM_16K.secs(len(pcm))
        if max(array("h", pcm)) > LOUD:
            self._speech_secs += secs
            self._quiet_secs = 0.0
            if self._speech_secs >= 0.2 and self._speaking:
                self._speaking.cancel()
        elif self._speech_secs:
            self._quiet_secs += secs
            if self._quiet_secs >= self._agent.stop_secs:
                text, self._speech_secs, self._quiet_secs = f"{self._speech_secs:.2f} s", 0.0, 0.0
                await self._end_turn(text, "silence")

    async def _end_turn(self, text: str, cause: str) -> None:
        self._turn += 1
        await self._send("UserTurnFrame", turn=self._turn, text=text, cause=cause)
        for name in self._agent.tools.get(self._turn, ()):
            await self._send("FunctionCallInProgressFrame", tool_call_id="1", function_name=name, arguments={})
        if self._turn not in self._agent.silent_turns:
            self._begin(self._agent.reply(self._turn))

    def _begin(self, text: str) -> None:
        self._replies += 1
        self._tasks.start_soon(self._say, self._replies, self._turn, text)

    async def _say(self, reply: int, turn: int, text: str) -> None:
        await anyio.sleep(self._agent.think_secs)
        sent, size = 0.0, len(text) * self._agent.secs_per_char
        self._speaking = anyio.CancelScope()
        with self._speaking as scope:
            await self._send("AggregatedTextFrame", reply=reply, piece=0, text=text, aggregated_by="sentence")
            start = anyio.current_time()
            while sent < size:
                await self._socket.send(
                    array("h", [TONE]).tobytes() * (PCM_24K.size(min(PIECE_SECS, size - sent)) // 2)
                )
                if not sent:
                    await self._send("BotStartedSpeakingFrame", reply=reply)
                    stages = {"waited_secs": self._agent.stop_secs, "total_secs": self._agent.stop_secs}
                    await self._send("TurnTimingFrame", reply=reply, turn=turn, **stages)
                sent += PIECE_SECS
                await anyio.sleep(max(0.0, start + sent - LEAD_SECS - anyio.current_time()))
            self._marked = anyio.Event()
            await self._send("MarkFrame", name=f"end of {reply}")
            await self._marked.wait()
        self._speaking = None
        heard = text[: int((anyio.current_time() - start) / self._agent.secs_per_char)] if scope.cancel_called else text
        if scope.cancel_called:
            await self._send("InterruptionFrame", reply=reply, heard=heard, by="speech")
        await self._send("BotStoppedSpeakingFrame", reply=reply, text=heard, interrupted=scope.cancel_called)
        if turn and turn == self._agent.hang_up_after:
            await self._hang_up("agent_ended")

    async def _hang_up(self, reason: str) -> None:
        await self._send("EndFrame", reason=reason, detail="")
        await self._socket.close()

    async def _send(self, kind: str, **data: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, "data": data}))
