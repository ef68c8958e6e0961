"""Contract checks: what every provider must do, as plain functions for a plugin's tests.

    async def test_it_speaks():
        async with OpenAiApi() as api:
            await check_synthesizer(Named("acme", base_url=api.base_url))

Each check runs the usual path, leaves early, cancels at every await, uses the provider for two calls at once, and looks
for what is left behind. `refused` and `dropped` are the same provider in front of a vendor that answers 401, or drops
the connection in the middle. All raise AssertionError with the rule that was broken.
"""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from itertools import count
from typing import Any

import anyio

from voxray.audio.format import PCM_16K, AudioFormat
from voxray.chat import Prompt, TextDelta, ToolCall, Usage, User
from voxray.protocols.storage import SessionRecord
from voxray.protocols.stt import Flushed, Transcript
from voxray.protocols.tts import Spoken
from voxray.protocols.turn import UserTurn
from voxray.specs import LlmSpec, SessionStoreSpec, Spec, SttSpec, TtsSpec, TurnDetectorSpec, VadSpec
from voxray.testing.exercise import Named, Subject, cancelled_everywhere, in_time, notices_loss, provided, refuses
from voxray.testing.fake_transport import quiet, speech
from voxray.testing.network import leaks

__all__ = [
    "Named",
    "check_llm",
    "check_session_store",
    "check_stt",
    "check_synthesizer",
    "check_tts",
    "check_turn_detector",
    "check_utterance_recognizer",
    "check_vad",
]

FRAME_BYTES = PCM_16K.size(0.02)
LINE = "The quick brown fox jumps over the lazy dog."


async def _exercise(
    subject: Subject,
    kind: type[Spec],
    what: str,
    usual: Callable[[Any], Coroutine[Any, Any, None]],
    early: Callable[[Any], Coroutine[Any, Any, None]],
    refused: Subject | None,
    dropped: Subject | None,
) -> None:
    """The part that is the same for every provider that talks to somebody."""
    async with provided(subject, kind) as provider:  # what a library opens once per process is no leak
        await in_time(lambda: usual(provider), what)
    async with leaks():
        async with provided(subject, kind) as provider:
            await in_time(lambda: early(provider), f"leaving {what} early", 5.0)
            await cancelled_everywhere(lambda: usual(provider), what)
            async with anyio.create_task_group() as tasks:  # one provider serves all calls
                tasks.start_soon(usual, provider)
                tasks.start_soon(usual, provider)
        if refused is not None:
            await refuses(refused, kind, usual)
        if dropped is not None:
            await notices_loss(dropped, kind, usual)


# ── Ears ──


async def check_stt(
    subject: Subject,
    *,
    pcm: bytes | None = None,
    expect: str = "",
    refused: Subject | None = None,
    dropped: Subject | None = None,
) -> None:
    """Check a `SpeechToText`: `pcm` (pcm16 mono 16 kHz, default: a second of tone) is heard as `expect` if given.

    Every flush must be answered by exactly one `Flushed`, also one without speech before it, and two in a row.
    """
    sound = speech(PCM_16K, 1.0) if pcm is None else pcm

    async def usual(provider: Any) -> None:
        async with provider.open() as stream:
            results = aiter(stream)
            words = await _heard(stream, results, sound)
            assert not expect or expect.casefold() in words.casefold(), f'"{expect}" was heard as "{words}"'
            await stream.flush()
            await stream.flush()
            await _until_flushed(results)
            await _until_flushed(results)
            await _heard(stream, results, quiet(PCM_16K, 0.5))

    async def early(provider: Any) -> None:
        async with provider.open() as stream:
            await stream.send(sound[:FRAME_BYTES])
        async with provider.open(language="en"):
            pass

    await _exercise(subject, SttSpec, "recognition", usual, early, refused, dropped)


async def _heard(stream: Any, results: AsyncIterator[Any], pcm: bytes) -> str:
    """Send in pieces of different sizes, flush, and return the final words."""
    position = 0
    for number in range(len(pcm)):
        size = (FRAME_BYTES, 2, FRAME_BYTES * 5, 30)[number % 4]
        await stream.send(pcm[position : position + size])
        position += size
        if position >= len(pcm):
            break
    await stream.flush()
    return await _until_flushed(results)


async def _until_flushed(results: AsyncIterator[Any]) -> str:
    words: list[str] = []
    while True:
        item = await anext(results)
        match item:
            case Flushed():
                return " ".join(words)
            case Transcript(text=text, final=final, confidence=confidence):
                assert confidence is None or 0 <= confidence <= 1, f"confidence {confidence} is not in 0..1"
                if final:
                    words.append(text)
            case _:
                assert isinstance(item, Usage), f"a recogniser must not yield {type(item).__name__}"


async def check_utterance_recognizer(
    subject: Subject,
    *,
    pcm: bytes | None = None,
    expect: str = "",
    refused: Subject | None = None,
    dropped: Subject | None = None,
) -> None:
    """Check an `UtteranceRecognizer`; arguments as for `check_stt`. Very short sound must not be an error."""
    sound = speech(PCM_16K, 1.0) if pcm is None else pcm

    async def usual(provider: Any) -> None:
        words = await provider.recognize(sound, language="en")
        assert isinstance(words, Transcript), f"recognize() must return a Transcript, not {type(words).__name__}"
        assert words.final, "what recognize() returns is final"
        assert not expect or expect.casefold() in words.text.casefold(), f'"{expect}" was heard as "{words.text}"'

    async def early(provider: Any) -> None:
        await provider.recognize(quiet(PCM_16K, 0.1))

    await _exercise(subject, SttSpec, "recognition", usual, early, refused, dropped)


# ── Minds ──


async def check_llm(
    subject: Subject,
    *,
    prompt: Prompt | None = None,
    refused: Subject | None = None,
    dropped: Subject | None = None,
) -> None:
    """Check a `LanguageModel` with one request: it answers with text or tool calls, and with nothing else but usage."""
    asked = prompt or Prompt([User("Say hello.")])

    async def usual(provider: Any) -> None:
        items = []
        async with provider.generate(asked) as stream:
            items = [item async for item in stream]
        for item in items:
            assert isinstance(item, TextDelta | ToolCall | Usage), f"a model must not yield {type(item).__name__}"
        calls = [item for item in items if isinstance(item, ToolCall)]
        assert calls or any(isinstance(item, TextDelta) and item.text for item in items), "no text and no tool call"
        assert all(isinstance(call.arguments, Mapping) for call in calls), "arguments of a tool call are parsed JSON"
        assert len({call.id for call in calls}) == len(calls), "two tool calls have the same id"

    async def early(provider: Any) -> None:
        async with provider.generate(asked) as stream:
            async for _ in stream:
                break
        async with provider.generate(asked):
            pass

    await _exercise(subject, LlmSpec, "a completion", usual, early, refused, dropped)


# ── Voices ──


async def check_synthesizer(
    subject: Subject, *, text: str = LINE, refused: Subject | None = None, dropped: Subject | None = None
) -> None:
    """Check a `SentenceSynthesizer`: `text` must become sound of a plausible length, in whole samples."""

    async def usual(provider: Any) -> None:
        async with provider.synthesize(text) as stream:
            pieces = [piece async for piece in stream]
        assert all(isinstance(piece, bytes) for piece in pieces), "a synthesizer yields bytes"
        _check_sound(provider.audio, sum(map(len, pieces)), text)

    async def early(provider: Any) -> None:
        async with provider.synthesize(text) as stream:
            async for _ in stream:
                break
        async with provider.synthesize(text):
            pass

    await _exercise(subject, TtsSpec, "synthesis", usual, early, refused, dropped)


async def check_tts(
    subject: Subject, *, text: str = LINE, refused: Subject | None = None, dropped: Subject | None = None
) -> None:
    """Check a `TextToSpeech`: two sentences that come slowly, an interruption, and speech again with the same voice."""

    async def sentences() -> AsyncIterator[str]:
        yield text
        await anyio.sleep(0.01)
        yield text

    async def speak(provider: Any, voice: Any) -> None:
        size, spoken = 0, []
        async with voice.speak(sentences()) as stream:
            async for item in stream:
                assert isinstance(item, bytes | Spoken | Usage), f"a voice must not yield {type(item).__name__}"
                size += len(item) if isinstance(item, bytes) else 0
                spoken += [item.text] if isinstance(item, Spoken) else []
        _check_sound(provider.audio, size, text + text)
        position = 0
        for words in spoken:
            position = f"{text} {text}".find(words.strip(), position)
            assert position >= 0, f'"{words}" was reported as spoken, and is not in the text or not in this order'

    async def usual(provider: Any) -> None:
        async with provider.open() as voice:
            await speak(provider, voice)

    async def early(provider: Any) -> None:
        async with provider.open() as voice:
            async with voice.speak(sentences()) as stream:
                async for _ in stream:
                    break
            await speak(provider, voice)  # what was cut off must not be heard here
            with anyio.move_on_after(0.01):
                await speak(provider, voice)
            await speak(provider, voice)
        async with provider.open():
            pass

    await _exercise(subject, TtsSpec, "speech", usual, early, refused, dropped)


def _check_sound(audio: AudioFormat, size: int, text: str) -> None:
    assert isinstance(audio, AudioFormat), "`audio` must say what the stream yields"
    assert size % audio.sample_bytes == 0, f"{size} bytes are no whole number of samples"
    secs, shortest, longest = audio.secs(size), len(text) * 0.01, len(text) * 0.5 + 5
    assert shortest < secs < longest, f'{secs:.2f} s of sound for "{text}": is the rate {audio.rate_hz} Hz right?'


# ── Detectors ──


async def check_vad(subject: Subject) -> None:
    """Check a `VoiceActivityDetector` at each of its rates: a report for every window and no more, the same for pieces
    of any size, nothing for silence, nothing after the end."""
    async with provided(subject, VadSpec) as provider:
        await _reports(provider, provider.rates_hz[0], b"", 2)
    async with leaks(), provided(subject, VadSpec) as provider:
        assert provider.rates_hz, "a detector works at one rate at least"
        for rate_hz in provider.rates_hz:
            window = provider.window_samples(rate_hz) * 2
            assert 0 < window <= rate_hz // 5, f"windows of {window // 2} samples at {rate_hz} Hz are not 0..100 ms"
            silence = await _reports(provider, rate_hz, bytes(window * 20), window)
            assert all(rms == 0 for _, rms in silence), "the RMS of silence is 0"
            assert all(probability < 0.5 for probability, _ in silence), "silence is not speech"
            sound = _noise(window * 10 + 6)
            whole = await _reports(provider, rate_hz, sound, len(sound))
            pieces = await _reports(provider, rate_hz, sound, 34)
            assert len(whole) == len(pieces) == 10, f"10 windows were reported as {len(whole)} and {len(pieces)}"
            assert all(rms > 0.01 for _, rms in whole), "the RMS of sound is not 0"
            for (one, _), (other, _) in zip(whole, pieces, strict=True):
                assert abs(one - other) < 0.05, f"the size of the pieces changes what is detected: {one} and {other}"
            await _leave_at_once(provider, rate_hz, sound)


async def _leave_at_once(provider: Any, rate_hz: int, pcm: bytes) -> None:
    reports: list[float] = []
    with provider.open(rate_hz, lambda probability, rms: reports.append(probability)) as stream:
        stream.feed(pcm)
    known = len(reports)
    await anyio.sleep(0.05)
    assert len(reports) == known, "a window was reported after the end"


async def _reports(provider: Any, rate_hz: int, pcm: bytes, size: int) -> list[tuple[float, float]]:
    reports: list[tuple[float, float]] = []
    with provider.open(rate_hz, lambda probability, rms: reports.append((probability, rms))) as stream:
        for start in range(0, len(pcm), size):
            stream.feed(pcm[start : start + size])
        due = len(pcm) // (provider.window_samples(rate_hz) * 2)
        for _ in range(100):
            if len(reports) >= due:
                break
            await anyio.sleep(0.01)  # detectors may batch the windows of several calls
    assert len(reports) == due, f"{len(reports)} windows were reported, not {due}"
    for probability, rms in reports:
        assert 0 <= probability <= 1, f"{probability} is no probability"
        assert 0 <= rms <= 1, f"an RMS of {rms} is not in 0..1"
    await anyio.sleep(0.02)
    assert len(reports) == due, "a window was reported after the end"
    return reports


def _noise(size: int) -> bytes:
    """Loud and the same each time: a linear congruential sequence."""
    state, samples = 1, array("h")
    for _ in range(size // 2):
        state = (state * 1103515245 + 12345) % 2**31
        samples.append(state // 2**15 - 2**15)
    return samples.tobytes()


async def check_turn_detector(subject: Subject) -> None:
    """Check a `TurnDetector`: seconds from 0 to 60 for whatever is known of a turn."""
    turns = [
        UserTurn("", "", b""),
        UserTurn("Hello there.", "", speech(PCM_16K, 1.0)),
        UserTurn("and then I", "thought that", speech(PCM_16K, 12.0)),
        UserTurn("", "¿qué? 你好 🙂", quiet(PCM_16K, 0.1)),
    ]

    async def usual(provider: Any) -> None:
        for turn in turns:
            secs = await provider.patience(turn)
            assert isinstance(secs, float | int), f"patience must be a number of seconds, not {secs!r}"
            assert 0 <= secs <= 60, f"patience of {secs} s is not in 0..60"

    await _exercise(subject, TurnDetectorSpec, "patience", usual, usual, None, None)


# ── Stores ──


async def check_session_store(subject: Subject) -> None:
    """Check a `SessionStore`: what was put is got, whole, until it is deleted or its time is over."""
    body = {"agent": "ü 你好 🙂", "deep": {"list": [1, 2.5, None, True]}}
    numbers = count()

    async def usual(store: Any) -> None:
        name = f"voxray-check-{next(numbers)}"
        await store.ping()
        assert await store.get(name) is None, "an unknown session is None"
        record = SessionRecord(name, body, enable_default_ice_servers=True)
        await store.put(record, ttl_secs=60)
        assert await store.get(name) == record, "what is got is what was put"
        await store.put(SessionRecord(name, {}), ttl_secs=60)
        assert await store.get(name) == SessionRecord(name, {}), "a second put replaces the first"
        await store.delete(name)
        await store.delete(name)
        assert await store.get(name) is None, "what is deleted is gone"

    async def expires(store: Any) -> None:
        name = f"voxray-check-{next(numbers)}"
        await store.put(SessionRecord(name), ttl_secs=1)
        for _ in range(40):
            if await store.get(name) is None:
                return
            await anyio.sleep(0.1)
        raise AssertionError("a record with a time to live of 1 s was still there after 4 s")

    await _exercise(subject, SessionStoreSpec, "the store", usual, expires, None, None)
