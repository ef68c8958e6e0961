"""The hotel desk understands its callers: every line of the ten dialogues, spoken, heard and answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import yaml

from voxray.audio.resample import resample_whole
from voxray.chat import Assistant, Message, Prompt, TextDelta, ToolCall, ToolResult, ToolSchema, User
from voxray.demo.hotel_desk import MAX_BOOKINGS, STANDING, HotelDesk
from voxray.plugin import LlmSpec, SttSpec, TtsSpec
from voxray.protocols.stt import Flushed, Transcript
from voxray.registry import Registry, make
from voxray.testing.script import Script, parse_script

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[2] / "voxray" / "demo"
FLOW = FOLDER / "hotel.yaml"
SCRIPTS = [
    parse_script(yaml.safe_dump(document))
    for document in yaml.safe_load((FOLDER / "dialogues.yaml").read_text("utf-8"))
]
QUIET = bytes(16_000)  # half a second at 16 kHz


def provider(kind: Any, name: str, **options: Any) -> Any:
    return make(Registry.load(only=[name]).get(kind, name), SimpleNamespace(name=name), options)


def grammar() -> str:
    flow = import_module("voxray_dialogue.loading").load(FLOW)
    return str(import_module("voxray_dialogue.grammar").jsgf(flow))


async def said(voice: Any, text: str) -> bytes:
    """`text` at 16 kHz, by way of the 24 kHz of `/ws`."""
    async with voice.synthesize(text) as pieces:
        pcm = b"".join([piece async for piece in pieces])
    return resample_whole(resample_whole(pcm, 22_050, 24_000), 24_000, 16_000)


async def understood(ears: Any, pcm: bytes) -> str:
    for start in range(0, len(pcm), 640):
        await ears.send(pcm[start : start + 640])
    await ears.flush()
    words = []
    async for result in ears:
        if isinstance(result, Flushed):
            break
        if isinstance(result, Transcript) and result.final:
            words.append(result.text)
    return " ".join(words)


class Agent:
    """The flow with its tools, without a session."""

    def __init__(self, model: Any, tools: Any) -> None:
        self._model = model
        self._tools = {tool.schema.name: tool for tool in tools}
        self._schemas = [*(tool.schema for tool in tools), ToolSchema("end_call", "")]
        self._messages: list[Message] = []

    async def answer(self, text: str) -> str:
        self._messages.append(User(text))
        said = []
        while True:
            async with self._model.generate(Prompt(self._messages, self._schemas)) as stream:
                items = [item async for item in stream]
            words = "".join(item.text for item in items if isinstance(item, TextDelta))
            calls = tuple(item for item in items if isinstance(item, ToolCall))
            said.append(words)
            self._messages.append(Assistant(words, calls))
            if not calls:
                return " ".join(said)
            for call in calls:
                tool = self._tools.get(call.name)
                result = json.dumps(await tool.run(call.arguments, None)) if tool else "ok"
                self._messages.append(ToolResult(call.id, call.name, result))


def recorded(voice: str, rate_wpm: int) -> dict[str, bytes]:
    """All that the dialogues' callers say. eSpeak's sound depends a little on what it said before, so this wants a
    process of its own: there it is the same each time."""

    async def record() -> dict[str, bytes]:
        texts = [str(turn.value) for script in SCRIPTS for turn in script.turns]
        async with provider(TtsSpec, "espeak", voice=voice, rate_wpm=rate_wpm) as mouth:
            return {text: await said(mouth, text) for text in texts}

    return anyio.run(record)


async def held(script: Script, sounds: Mapping[str, bytes], recogniser: Any, model: Any) -> list[str]:
    """The turns that went wrong."""
    wrong = []
    async with recogniser.open() as ears, HotelDesk().open() as tools:
        agent = Agent(model, tools)
        for turn in script.turns:
            heard = await understood(ears, QUIET + sounds[str(turn.value)] + QUIET)
            answer = await agent.answer(heard) if heard else ""
            if turn.expect and (problem := turn.expect.problem(answer, str(turn.value))):
                wrong.append(f'{script.name}: heard "{heard}": {problem}')
    return wrong


@pytest.mark.parametrize(("voice", "rate_wpm"), [("en-us", 165), ("en-us+f2", 150), ("en-us+m3", 130)])
async def test_spoken_dialogues_are_understood(voice: str, rate_wpm: int) -> None:
    wrong = []
    model = provider(LlmSpec, "dialogue", flow=str(FLOW))
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        sounds = await asyncio.wrap_future(process.submit(recorded, voice, rate_wpm))
    async with provider(SttSpec, "pocketsphinx", grammar=grammar()) as recogniser:
        for script in SCRIPTS:
            wrong += await held(script, sounds, recogniser, model)
    turns = sum(len(script.turns) for script in SCRIPTS)
    assert len(wrong) <= 0.02 * turns, "\n".join(wrong)


def test_there_are_ten_dialogues_of_four_to_seven_turns() -> None:
    assert len(SCRIPTS) == 10
    assert {len(script.turns) for script in SCRIPTS} <= {4, 5, 6, 7}


async def desk(tools: Any, name: str, **arguments: Any) -> Any:
    return await next(tool for tool in tools if tool.schema.name == name).run(arguments, None)


async def test_a_room_can_be_booked_changed_and_cancelled() -> None:
    async with HotelDesk().open() as tools:
        booked = await desk(tools, "book_room", nights=2, day="monday", guests=1)
        assert booked["status"] == "booked"
        assert await desk(tools, "change_booking", code=booked["code"], day="Friday") == {"status": "changed"}
        assert await desk(tools, "cancel_booking", code=booked["code"]) == {"status": "cancelled"}
        assert await desk(tools, "cancel_booking", code=booked["code"]) == {"status": "unknown"}


async def test_a_full_day_is_refused() -> None:
    async with HotelDesk().open() as tools:
        assert (await desk(tools, "book_room", nights=1, day="Saturday", guests=1))["status"] == "full"
        assert (await desk(tools, "change_booking", code=next(iter(STANDING)), day="Saturday"))["status"] == "full"


async def test_bookings_outlive_a_call_and_codes_differ() -> None:
    hotel = HotelDesk()
    async with hotel.open() as tools:
        codes = {(await desk(tools, "book_room", nights=2, day="Monday", guests=1))["code"] for _ in range(50)}
    assert len(codes) == 50
    async with hotel.open() as tools:
        assert (await desk(tools, "cancel_booking", code=codes.pop()))["status"] == "cancelled"


async def test_the_oldest_bookings_are_forgotten() -> None:
    async with HotelDesk().open() as tools:
        first = (await desk(tools, "book_room", nights=2, day="Monday", guests=1))["code"]
        for _ in range(MAX_BOOKINGS):
            await desk(tools, "book_room", nights=1, day="Friday", guests=1)
        assert (await desk(tools, "cancel_booking", code=first))["status"] == "unknown"


@pytest.mark.parametrize("wrong", [{"day": "Someday"}, {"nights": 0}, {"guests": "two"}, {"nights": 99}, {"day": None}])
async def test_bad_arguments_are_refused(wrong: dict[str, Any]) -> None:
    async with HotelDesk().open() as tools:
        with pytest.raises(ValueError, match="must be"):
            await desk(tools, "book_room", **{"nights": 1, "day": "Monday", "guests": 1, **wrong})
