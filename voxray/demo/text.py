"""`voxray demo --text`: the same conversation in writing, over a real socket to a server of our own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import anyio
import click
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from voxray.config.settings import Settings
from voxray.demo.local import LocalServer
from voxray.registry import Registry
from voxray.testing.call_account import parse_frame

READ_BYTES = 65536
ANSWER_SECS = 30.0
ENDINGS = {"agent_ended": "the agent hung up", "client_asked": "you hung up", "caller_left": "you hung up"}
INTRODUCTION = "Type what you would say; an empty line or Ctrl-D hangs up."


async def talk(settings: Settings, registry: Registry) -> None:
    """Hold a conversation with who is at standard input. Raises VoxrayError."""
    async with LocalServer(settings, registry) as url, connect(url, compression=None) as socket:
        interactive = sys.stdin.isatty()
        if interactive:
            click.echo(click.style(INTRODUCTION, dim=True))
        conversation = _Conversation(socket, settings.greeting)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(conversation.receive)
            await conversation.answered()
            async for line in _lines(sys.stdin.fileno(), prompt="you    " if interactive else ""):
                if not line and interactive:
                    break
                if line:
                    await conversation.say(line, shown=interactive)
                if conversation.over.is_set():
                    break
            await conversation.hang_up()
            tasks.cancel_scope.cancel()


class _Conversation:
    def __init__(self, socket: ClientConnection, greeting: str) -> None:
        self.over = anyio.Event()
        self._socket = socket
        self._greeting = greeting  # is spoken; when all of its words are here, nobody needs to wait for the sound
        self._turn = ""
        self._greeted = ""
        self._shown: set[int] = set()  # replies
        self._quiet = anyio.Event()  # the agent has said what it wants to say

    async def say(self, text: str, *, shown: bool) -> None:
        """Send a turn and wait for the answer's end. It is given in writing only: `skip_tts`."""
        if not shown:
            click.echo(f"you    {text}")
        self._quiet, self._turn = anyio.Event(), text
        await self._send("TranscriptionFrame", {"text": text, "finalized": True, "skip_tts": True})
        await self.answered()

    async def answered(self) -> None:
        with anyio.move_on_after(ANSWER_SECS):
            await self._quiet.wait()

    async def hang_up(self) -> None:
        if not self.over.is_set():
            await self._send("EndFrame", {"reason": "client asked"})
            with anyio.move_on_after(2):
                await self.over.wait()

    async def receive(self) -> None:
        try:
            async for message in self._socket:
                if isinstance(message, str):
                    self._see(*parse_frame(message))
        except ConnectionClosed as error:
            click.echo(f"the connection was lost: {error}", err=True)
        self.over.set()
        self._quiet.set()

    async def _send(self, kind: str, data: dict[str, Any]) -> None:
        try:
            await self._socket.send(json.dumps({"type": kind, "data": data}))
        except ConnectionClosed:
            return  # the receiver sees it, too

    def _see(self, kind: str, data: dict[str, Any]) -> None:
        match kind:
            case "AggregatedTextFrame":
                self._greeted = f"{self._greeted} {data['text']}".strip()
                if self._greeted == self._greeting:
                    self._said(int(data["reply"]), self._greeting)
                    self._quiet.set()
            case "UserTurnFrame" if data.get("text") and data["text"] != self._turn:
                click.echo(f"heard  {data['text']}")
            case "FunctionCallInProgressFrame":
                given = ", ".join(f"{name}={value}" for name, value in (data.get("arguments") or {}).items())
                click.echo(click.style(f"tool   {data.get('function_name')}({given})", dim=True))
            case "ErrorFrame":
                click.echo(f"error  {data.get('error')}", err=True)
            case "BotStoppedSpeakingFrame":
                if int(data["reply"]) not in self._shown:
                    self._said(int(data["reply"]), str(data["text"]))
                if not data["interrupted"]:
                    self._quiet.set()
            case "EndFrame":
                reason = str(data.get("reason", ""))
                click.echo(click.style(ENDINGS.get(reason, f"the call ended: {reason}"), dim=True))
            case _:
                pass

    def _said(self, reply: int, text: str) -> None:
        if text.strip():
            self._shown.add(reply)
            click.echo(f"agent  {text.strip()}")


async def _lines(descriptor: int, *, prompt: str) -> AsyncIterator[str]:
    """Lines of a terminal, a pipe or a file, without a thread that nobody could stop."""
    rest = b""
    while True:
        if prompt:
            click.echo(prompt, nl=False)
        while b"\n" not in rest:
            with suppress(PermissionError):  # a plain file is always readable, and cannot be waited for
                await anyio.wait_readable(descriptor)
            chunk = os.read(descriptor, READ_BYTES)
            if not chunk:
                if rest:
                    yield rest.decode(errors="replace").strip()
                return
            rest += chunk
        line, _, rest = rest.partition(b"\n")
        yield line.decode(errors="replace").strip()
