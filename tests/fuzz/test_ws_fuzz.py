"""Mutated `/ws` messages: no traceback, no leak, and the neighbour's call goes on.

VOXRAY_FUZZ_RUNS sets the number of messages (1,000 in the ordinary run, 50,000 before a release), VOXRAY_FUZZ_SEED the
seed, which a failure prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import os
import random
import string
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import websockets

from tests.server.serving import serving, until
from voxray.audio.format import PCM_24K
from voxray.builtin.json_frames import DECODERS
from voxray.session.services import SessionOptions
from voxray.testing.fakes import ScriptedLlm, ScriptedTts, services

pytestmark = pytest.mark.anyio

RUNS = int(os.environ.get("VOXRAY_FUZZ_RUNS", "1000"))
SEED = int(os.environ.get("VOXRAY_FUZZ_SEED", "20261120"))
PER_CALL = 50  # messages

SEEDS: list[dict[str, Any]] = [
    {"type": "TranscriptionFrame", "data": {"text": "hello", "user_id": "u", "finalized": True}},
    {"type": "TextFrame", "data": {"text": "Say this.", "skip_tts": False}},
    {"type": "TTSSpeakFrame", "data": {"text": "Now."}},
    {"type": "LLMRunFrame", "data": {}},
    {"type": "LLMMessagesUpdateFrame", "data": {"messages": [{"role": "system", "content": "x"}], "run_llm": True}},
    {"type": "LLMMessagesAppendFrame", "data": {"messages": [{"role": "tool", "tool_call_id": "c", "content": "y"}]}},
    {"type": "LLMContextFrame", "data": {"context": {"messages": [], "tools": [], "tool_choice": "auto"}}},
    {"type": "context", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}], "run": True},
    {"type": "LLMSetToolsFrame", "data": {"tools": [{"type": "function", "function": {"name": "f"}}]}},
    {"type": "LLMSetToolChoiceFrame", "data": {"tool_choice": "none"}},
    {"type": "FunctionCallResultFrame", "data": {"tool_call_id": "c", "function_name": "f", "result": {"a": [1]}}},
    {"type": "TransportMessageFrame", "data": {"message": {"type": "t", "id": "1"}}},
    {"type": "RTVIClientMessageFrame", "data": {"msg_id": "1", "type": "t", "data": {}}},
    {"type": "InterruptionFrame", "data": {}},
    {"type": "InputDTMFFrame", "data": {"digit": "5"}},
    {"type": "MarkFrame", "data": {"name": "1.1"}},
    {"type": "VADParamsUpdateFrame", "data": {"stop_secs": 0.2, "start_secs": 0.1}},
    {"type": "AudioRawFrame", "data": {"audio": "AAABAA==", "sample_rate": 16000, "num_channels": 1}},
    *({"type": kind, "data": {}} for kind in DECODERS if kind not in ("EndFrame", "CancelFrame")),
]
ODD: list[Any] = [
    None, True, 0, -1, 1e308, 2**63, 0.1, "", "\ud800", "\0", "a" * 5000, [], {}, [[]], {"": {"": []}}, "Ünï\u2028",
    ["x"] * 300, {"role": "user"}, "‮abc", "9" * 400,
]  # fmt: skip


class Mutator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.kinds: list[Callable[[], str | bytes]] = [
            self.valid, self.changed, self.changed, self.changed, self.broken_text, self.noise, self.sound, self.deep,
        ]  # fmt: skip

    def message(self) -> str | bytes:
        return self.random.choice(self.kinds)()

    def valid(self) -> str:
        return json.dumps(self.random.choice(SEEDS))

    def changed(self) -> str:
        value = json.loads(self.valid())
        for _ in range(self.random.randint(1, 3)):
            value = self.change(value)
        return json.dumps(value)

    def change(self, value: Any) -> Any:
        """`value` with something replaced, removed, repeated or added at a random place."""
        if isinstance(value, dict) and value and self.random.random() < 0.8:
            key = self.random.choice(list(value))
            what = self.random.random()
            if what < 0.1:
                del value[key]
            elif what < 0.2:
                value[self.random.choice(["type", "data", "text", "x" * 300])] = self.odd()
            else:
                value[key] = self.change(value[key])
            return value
        if isinstance(value, list) and value and self.random.random() < 0.7:
            place = self.random.randrange(len(value))
            value[place] = self.change(value[place])
            return value + value if self.random.random() < 0.1 else value
        return self.odd()

    def odd(self) -> Any:
        return copy.deepcopy(self.random.choice(ODD))

    def broken_text(self) -> str:
        text = self.valid()
        start = self.random.randrange(len(text))
        noise = "".join(self.random.choices(string.printable, k=self.random.randint(0, 5)))
        return text[:start] + noise + text[start + self.random.randint(0, 5) :]

    def noise(self) -> str:
        return "".join(self.random.choices(string.printable + "äß\u2028\0", k=self.random.randint(0, 200)))

    def sound(self) -> bytes:
        return self.random.randbytes(self.random.choice([0, 1, 2, 3, 320, 640, 641, 1280, 32_000]))

    def deep(self) -> str:
        return self.random.choice(["[", '{"type":"MarkFrame","data":', '{"data":']) * self.random.randint(10, 50_000)


def quick() -> Any:
    return services(
        llm=ScriptedLlm(lambda prompt: "One two three.", first_token_secs=0, token_secs=0),
        tts=ScriptedTts(audio=PCM_24K, first_audio_secs=0, secs_per_char=0.001),
    )


async def bad_call(server: Any, mutator: Mutator, count: int) -> None:
    """Send mutated messages until the server has had enough of them."""
    socket = await server.ws(close_timeout=2)
    try:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(discard, socket)
                for _ in range(count):
                    await socket.send(mutator.message())
                await socket.close()  # while somebody reads, or the goodbye gets stuck behind unread messages
    except* (websockets.ConnectionClosed, AttributeError):
        pass  # the second is how this client fails when the connection ends while it is sending
    assert socket.close_code in (1000, 1008, 1009), f"seed {SEED}: the connection ended with {socket.close_code}"


async def discard(socket: Any) -> None:
    with contextlib.suppress(websockets.ConnectionClosedOK):
        while True:
            await socket.recv()


async def test_mutated_messages_harm_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    mutator = Mutator(SEED)
    hello = json.dumps({"type": "TranscriptionFrame", "data": {"text": "hello"}})
    async with (
        serving(parts=quick(), options=SessionOptions(turn_detection="none")) as server,
        server.ws() as neighbour,
    ):
        await until(neighbour, "StartFrame")
        tasks_before, threads_before = len(asyncio.all_tasks()), threading.active_count()
        for begun in range(0, RUNS, PER_CALL):
            await bad_call(server, mutator, min(PER_CALL, RUNS - begun))
            if begun % (PER_CALL * 5) == 0:
                await neighbour.send(hello)
                answer = (await until(neighbour, "BotStoppedSpeakingFrame"))[-1]
                assert answer["data"] == {**answer["data"], "text": "One two three.", "interrupted": False}
        with anyio.fail_after(10):
            while len(server.calls) > 1 or len(asyncio.all_tasks()) > tasks_before:
                await anyio.lowlevel.checkpoint()
        failed = await server.metric('sessions_total{cause="error"')
    faults = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not faults, f"seed {SEED}: {faults[0].getMessage()} {faults[0].exc_text}"
    assert failed == 0
    assert threading.active_count() <= threads_before + 1
