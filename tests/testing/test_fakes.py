import math
from collections.abc import AsyncIterator

import anyio
import pytest

from voxray.audio.format import MULAW_8K, PCM_16K
from voxray.chat import Prompt, TextDelta, ToolCall, User
from voxray.errors import ProviderRefused, ProviderUnavailable, TransportFailedError
from voxray.events import DtmfReceived, Mark, MarkReached, ReplyAudible, ReplyFinished, ReplyInterrupted
from voxray.protocols.stt import Flushed, Transcript
from voxray.protocols.tts import Spoken
from voxray.testing.fakes import (
    FakeTransport,
    Fault,
    ScriptedLlm,
    ScriptedRecognizer,
    ScriptedStt,
    ScriptedTts,
    ScriptedVad,
    Sound,
    Utterance,
    quiet,
    services,
    speech,
)
from voxray.testing.virtual import run_virtual


class Source:
    """Audio all ready at once, like a playout that a fast voice has filled."""

    def __init__(self, *items: bytes | Mark) -> None:
        self.items = list(items)
        self.until = 0.0

    def take(self, size: int) -> bytes | Mark | None:
        if not self.items:
            return None
        item = self.items.pop(0)
        if isinstance(item, Mark):
            return item
        if item[size:]:
            self.items.insert(0, item[size:])
        self.until = max(self.until, anyio.current_time()) + PCM_16K.secs(len(item[:size]))
        return item[:size]

    def lead_secs(self) -> float:
        return max(0.0, self.until - anyio.current_time())

    async def wait(self) -> None:
        await anyio.sleep_forever()


def tone(value: int, secs: float) -> bytes:
    return value.to_bytes(2, "little", signed=True) * int(16_000 * secs)


def test_the_script_is_spoken_in_real_time() -> None:
    async def call() -> list[tuple[float, str]]:
        caller = FakeTransport().say(0.1).silence(0.06).post(DtmfReceived("5")).leave()
        seen: list[tuple[float, str]] = []
        try:
            while True:
                item = await caller.receive()
                kind = "event" if not isinstance(item, bytes) else "speech" if any(item) else "silence"
                seen.append((round(caller.now(), 6), kind))
        except anyio.EndOfStream:
            return seen

    speech_at = [(round(0.02 * n, 6), "speech") for n in range(1, 6)]
    silence_at = [(round(0.02 * n, 6), "silence") for n in range(6, 9)]
    assert run_virtual(call) == [*speech_at, *silence_at, (0.18, "event")]


def test_a_line_stays_quiet_after_the_script() -> None:
    async def call() -> bytes:
        caller = FakeTransport(MULAW_8K)
        return b"".join([await caller.receive() for _ in range(3)])  # type: ignore[misc]

    assert run_virtual(call) == b"\xff" * 480


def test_a_lost_connection_raises_and_takes_nothing_more() -> None:
    async def call() -> None:
        caller = FakeTransport().break_off()
        with pytest.raises(TransportFailedError, match="reset"):
            await caller.receive()
        caller.send(ReplyAudible(1))

    with pytest.raises(TransportFailedError):
        run_virtual(call)


def test_what_is_played_is_heard_at_the_rate_of_sound() -> None:
    async def call() -> tuple[list[Sound], float]:
        caller = FakeTransport()
        with anyio.move_on_after(5):
            await caller.play(Source(tone(7, 1.0), tone(8, 0.5)))
        return caller.heard(), PCM_16K.secs(len(caller.heard_pcm()))

    assert run_virtual(call) == ([Sound(0.0, 1.0, 7), Sound(1.0, 0.5, 8)], 1.5)


def test_an_interruption_drops_what_was_not_heard_yet() -> None:
    async def call() -> list[Sound]:
        caller = FakeTransport()
        with anyio.move_on_after(1.0):
            await caller.play(Source(tone(7, 3.0)))
        caller.send(ReplyInterrupted(1, "", 1.0))
        return caller.heard()

    assert run_virtual(call) == [Sound(0.0, 1.0, 7)]


def test_marks_come_back_when_the_ear_is_there() -> None:
    async def call() -> tuple[object, float]:
        caller = FakeTransport(acknowledge_marks=True, silent_line=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(caller.play, Source(tone(7, 0.7), Mark("a")))
            reached = await caller.receive()
            tasks.cancel_scope.cancel()
        return reached, round(caller.now(), 6)

    assert run_virtual(call) == (MarkReached("a"), 0.7)


def test_listening_waits_for_the_next_reply_to_end() -> None:
    async def call() -> float:
        caller = FakeTransport().listen().post(DtmfReceived("1"))

        async def answer() -> None:
            await anyio.sleep(1.5)
            caller.send(ReplyFinished(1, "hello"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            while isinstance(await caller.receive(), bytes):
                pass
        return round(caller.now(), 6)

    assert run_virtual(call) == 1.5


def test_words_come_word_by_word_and_final_after_the_flush() -> None:
    async def call() -> list[tuple[float, object]]:
        stt = ScriptedStt(["one two three"], word_secs=0.3, delay_secs=0.25)
        seen: list[tuple[float, object]] = []
        async with stt.open() as stream, anyio.create_task_group() as tasks:

            async def read() -> None:
                async for item in stream:
                    seen.append((round(anyio.current_time(), 6), item))  # noqa: PERF401

            tasks.start_soon(read)
            for _ in range(50):
                await anyio.sleep(0.02)
                await stream.send(speech(PCM_16K, 0.02))
            await stream.send(quiet(PCM_16K, 0.02))
            await stream.flush()
            await stream.flush()
            await anyio.sleep(1)
            tasks.cancel_scope.cancel()
        assert stt.active == 0
        return seen

    assert run_virtual(call) == [
        (0.3, Transcript("one", final=False)),
        (0.6, Transcript("one two", final=False)),
        (0.9, Transcript("one two three", final=False)),
        (1.25, Transcript("one two three", final=True)),
        (1.25, Flushed()),
        (1.25, Flushed()),
    ]


def test_a_recogniser_breaks_where_it_is_told_to() -> None:
    async def call() -> int:
        stt = ScriptedStt(open_errors=[ProviderRefused("x", "no")], breaks_after_secs=[math.inf, 0.5])
        with pytest.raises(ProviderRefused):
            async with stt.open():
                pass
        with pytest.raises(ProviderUnavailable):  # noqa: PT012
            async with stt.open() as stream:
                for _ in range(100):
                    await stream.send(speech(PCM_16K, 0.02))
        return stt.opened

    assert run_virtual(call) == 2


def test_a_request_is_answered_with_the_next_text_or_its_error() -> None:
    async def call() -> str:
        stt = ScriptedRecognizer([Utterance("", error=ProviderUnavailable("x", "busy")), "hello"])
        with pytest.raises(ProviderUnavailable):
            await stt.recognize(b"")
        return (await stt.recognize(b"")).text

    assert run_virtual(call) == "hello"


def test_a_model_follows_its_script() -> None:
    tool = ToolCall("1", "look", {})

    async def call() -> list[object]:
        llm = ScriptedLlm([["two words", tool, 5.0, ProviderUnavailable("x", "gone")], "next"])
        seen: list[object] = []
        with pytest.raises(ProviderUnavailable):  # noqa: PT012
            async with llm.generate(Prompt([User("hi")])) as items:
                async for item in items:
                    seen.append((round(anyio.current_time(), 6), item))  # noqa: PERF401
        async with llm.generate(Prompt([])) as items:
            seen += [item async for item in items]
        assert (llm.active, llm.finished, len(llm.prompts)) == (0, 1, 2)
        return seen

    assert run_virtual(call) == [
        (0.2, TextDelta("two")),
        (0.22, TextDelta(" words")),
        (0.24, tool),
        TextDelta("next"),
    ]


async def sentences(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


def test_a_voice_speaks_each_sentence_in_its_own_sample() -> None:
    async def call() -> list[object]:
        tts = ScriptedTts(secs_per_char=0.1, piece_bytes=3001, faults={1: Fault()})
        async with tts.open() as voice, voice.speak(sentences("one", "two", "six")) as items:
            return [len(item) if isinstance(item, bytes) else item async for item in items]

    assert run_virtual(call) == [3001, 3001, 3001, 597, Spoken("one"), 3001, 3001, 3001, 597, Spoken("six")]


def test_a_voice_can_report_its_words() -> None:
    async def call() -> list[object]:
        tts = ScriptedTts(secs_per_char=0.1, word_times=True)
        async with tts.open() as voice, voice.speak(sentences("ab cde")) as items:
            size, seen = 0, []
            async for item in items:
                if isinstance(item, bytes):
                    size += len(item)
                else:
                    seen.append((PCM_16K.secs(size), item))
            return [*seen, PCM_16K.secs(size)]

    assert run_virtual(call) == [(0.2, Spoken("ab", word=True)), (0.6, Spoken("cde", word=True)), 0.6]


def test_the_detector_is_exact() -> None:
    windows: list[float] = []
    with ScriptedVad().open(16_000, lambda probability, rms: windows.append(probability)) as stream:
        stream.feed(quiet(PCM_16K, 0.05) + speech(PCM_16K, 0.04))
        stream.feed(quiet(PCM_16K, 0.03))
    assert windows == [0, 0, 1, 1, 1, 0]


def test_services_are_fakes_unless_given() -> None:
    llm = ScriptedLlm()
    made = services(llm=llm)
    assert made.llm is llm
    assert isinstance(made.vad, ScriptedVad)
