"""Contract checks of what runs inside a call: serializers, fuzzed, and pipeline plugins' taps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from random import Random
from time import perf_counter
from typing import Any

from voxray.audio.format import PCM_16K, AudioFormat
from voxray.events import ClientMessage, DtmfReceived, Mark, MarkReached
from voxray.protocols.pipeline import Tap
from voxray.protocols.serializer import Response
from voxray.protocols.stt import Transcript
from voxray.specs import PipelineSpec, SerializerSpec, Spec
from voxray.testing.exercise import provided
from voxray.testing.fake_transport import quiet, speech
from voxray.testing.fakes import FakeSession
from voxray.testing.samples import INBOUND, OUTBOUND, SESSION, samples

Messages = Sequence[str | bytes]
QUICK_SECS = 0.005  # a filter's mean time; the contract says "quick", and test machines are not


# ── Serializers ──


async def check_serializer(subject: Any, *, good: Messages = (), cases: int = 2000, seed: int = 0) -> None:
    """Check a `Serializer`: a class or function that makes one, or its registered name.

    `good` are messages of the protocol that must be understood; they are also what the fuzzing starts from. Whatever
    comes, `decode` yields audio and inbound events or raises ValueError; `encode` takes every event. `seed` chooses the
    `cases` random messages, and is part of the failure's text.
    """
    async with _maker(subject, SerializerSpec) as make:
        serializer = make()
        for audio in (serializer.audio_in, serializer.audio_out):
            assert isinstance(audio, AudioFormat), f"audio_in and audio_out are AudioFormats, not {audio!r}"
        for message in good:
            try:
                _decoded(serializer, message)
            except ValueError as error:
                raise AssertionError(f"a good message was refused: {error}: {message!r}") from error
        known = [*good, *_encode_everything(make)]
        _check_round_trips(make)
        random = Random(seed)
        for number in range(cases):
            if number % 100 == 0:
                serializer = make()
            message = _message(random, known)
            try:
                with suppress(ValueError):
                    _decoded(serializer, message)
            except BaseException as error:
                error.add_note(f"decode() may raise ValueError only: seed {seed}, case {number}: {message[:500]!r}")
                raise


class _maker:  # noqa: N801 - a context manager used like a function
    """Entered, gives a function that makes fresh instances of `subject`."""

    def __init__(self, subject: Any, kind: type[Spec]) -> None:
        self._subject = subject
        self._kind = kind

    async def __aenter__(self) -> Callable[[], Any]:
        if not isinstance(self._subject, str):
            subject: Callable[[], Any] = self._subject
            return subject
        from voxray.registry import Registry, make

        spec = Registry.load().get(self._kind, self._subject)
        return lambda: make(spec, None, {})

    async def __aexit__(self, *_: object) -> None:
        return None


def _decoded(serializer: Any, message: str | bytes) -> list[Any]:
    items = list(serializer.decode(message))
    for item in items:
        assert isinstance(item, (bytes, Response, *INBOUND)), f"decode() must not yield {type(item).__name__}"
    return items


def _encoded(serializer: Any, item: Any) -> list[str | bytes]:
    encoded = serializer.encode(item)
    messages = [] if encoded is None else list(encoded) if isinstance(encoded, tuple) else [encoded]
    for message in messages:
        assert isinstance(message, str | bytes), f"encode() must not return {type(message).__name__}"
        if isinstance(message, str):
            message.encode()  # what no socket can send is no message
    return messages


def _encode_everything(make: Callable[[], Any]) -> Iterator[str | bytes]:
    serializer = make()
    for kind in OUTBOUND:
        for event in samples(kind):
            yield from _encoded(serializer, event)
    yield from _encoded(serializer, speech(serializer.audio_out, 0.02))


def _check_round_trips(make: Callable[[], Any]) -> None:
    """What is decoded from our own messages must be what was encoded, if it is anything of that kind."""
    serializer = make()
    pcm = speech(serializer.audio_out, 0.02)
    heard = b"".join(item for item in _own(serializer, pcm) if isinstance(item, bytes))
    if heard and serializer.audio_in == serializer.audio_out:
        assert heard == pcm, "audio changed on its way through encode() and decode()"
    pairs = [(Mark("a mark"), MarkReached("a mark"))]
    pairs += [(event, event) for kind in (DtmfReceived, ClientMessage) for event in samples(kind)]
    for event, expected in pairs:
        for item in _own(serializer, event):
            if type(item) is type(expected):
                assert item == expected, f"{event} came back as {item}"


def _own(serializer: Any, item: Any) -> Iterator[Any]:
    for message in _encoded(serializer, item):
        with suppress(ValueError):
            yield from _decoded(serializer, message)


LEAVES: Sequence[Any] = (None, True, 0, -1, 10**30, 1e308, "", "x" * 5000, "\ud800", "0", [], {}, [[]], float("nan"))


def _message(random: Random, known: Messages) -> str | bytes:
    """A random message: noise, or a known one with something wrong."""
    choice = random.randrange(6)
    if choice == 0 or not known:
        return random.randbytes(random.randrange(200))
    message = random.choice(known)
    if choice == 1:
        return "".join(chr(random.choice((random.randrange(128), random.randrange(0xD800)))) for _ in range(50))
    if choice == 2:
        return "[" * random.choice((10, 100_000)) + "1"
    if choice == 3:
        return message[: random.randrange(len(message) + 1)]
    if choice == 4 and isinstance(message, str):
        with suppress(ValueError):
            return json.dumps(_spoilt(random, json.loads(message)))
    return _scrambled(random, message)


def _spoilt(random: Random, value: Any) -> Any:
    """`value` with one part replaced, removed or renamed."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        spoilt = dict(value)
        match random.randrange(4):
            case 0:
                del spoilt[key]
            case 1:
                spoilt[key + "x"] = spoilt.pop(key)
            case _:
                spoilt[key] = _spoilt(random, value[key])
        return spoilt
    if isinstance(value, list) and value and random.random() < 0.7:
        position = random.randrange(len(value))
        return [*value[:position], _spoilt(random, value[position]), *value[position + 1 :]]
    return random.choice(LEAVES)


def _scrambled(random: Random, message: str | bytes) -> str | bytes:
    raw = bytearray(message.encode() if isinstance(message, str) else message)
    for _ in range(random.randrange(1, 5)):
        position = random.randrange(len(raw) + 1)
        if random.random() < 0.5:
            raw[position : position + 1] = random.randbytes(1)
        else:
            raw[position:position] = random.randbytes(random.randrange(4))
    return raw.decode(errors="ignore") if isinstance(message, str) else bytes(raw)


# ── Taps ──


async def check_tap(subject: Any) -> None:
    """Check a `PipelinePlugin`: its taps take whatever a call brings, answer with the same kind of thing or None, are
    quick, and know nothing of each other."""
    async with provided(subject, PipelineSpec) as plugin:
        session = FakeSession()
        first, second = plugin.open(session), plugin.open(FakeSession())
        assert isinstance(first, Tap), f"open() returns a Tap, not {type(first).__name__}"
        assert first is not second, "every call has its own tap"
        second.close()
        _check_filters(first)
        for kind in SESSION:
            for event in samples(kind):
                first.event(event)
        assert isinstance(first.may_interrupt(), bool), "may_interrupt() is True or False"
        await session.finish_work()
        first.close()


def _check_filters(tap: Tap) -> None:
    frames = [speech(PCM_16K, 0.02), quiet(PCM_16K, 0.02), b"", speech(PCM_16K, 1.0), b"\x00\x80\xff\x7f"]
    texts = ["Hello there.", "", "ü 你好 🙂\x00", "x" * 5000]
    words = [Transcript(text, final=final, confidence=0.5) for text in texts for final in (False, True)]
    filters: list[tuple[Callable[[Any], Any], Iterable[Any], type]] = [
        (tap.audio_in, frames * 10, bytes),
        (tap.audio_out, frames * 10, bytes),
        (tap.transcript, words, Transcript),
        (tap.user_turn, texts, str),
        (tap.reply_text, texts, str),
    ]
    for change, items, kind in filters:
        given = list(items)
        started = perf_counter()
        for item in given:
            changed = change(item)
            name = change.__name__
            assert changed is None or isinstance(changed, kind), f"{name}() returned {type(changed).__name__}"
            assert not isinstance(changed, bytes) or len(changed) % 2 == 0, f"{name}() returned half a sample"
        took = (perf_counter() - started) / len(given)
        assert took < QUICK_SECS, f"{change.__name__}() took {took * 1000:.1f} ms; slow work goes to start_soon"
