"""Mutated messages of carriers' media sockets: nothing but ValueError and events, and the neighbour's call goes on.

Seeded. VOXRAY_FUZZ_RUNS sets the number of messages for each carrier (300 in the ordinary run, 50,000 before a
release), VOXRAY_FUZZ_SEED the seed, which a failure names; `pytest -s` prints the counts.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
import websockets

from tests.server.phone_line import SHORT, PhoneLine, phone_line
from voxray.events import EndRequested, Mark, ReplyInterrupted
from voxray.protocols.carrier import Carrier, StreamRefusedError, StreamStart
from voxray.protocols.serializer import Response, Serializer
from voxray.registry import Registry, make
from voxray.specs import CarrierSpec
from voxray.testing.carriers import WIRES, make_wire, new_facts
from voxray.testing.carriers.genesys import GenesysWire
from voxray.testing.fakes import ScriptedStt
from voxray.testing.phone_wire import PhoneFacts, PhoneWire, WireStream
from voxray.testing.samples import INBOUND
from voxray.wire.context import Context

RUNS = int(os.environ.get("VOXRAY_FUZZ_RUNS", "300"))
SEED = int(os.environ.get("VOXRAY_FUZZ_SEED", "20261120"))
PER_STREAM = 50  # messages
LIVE = 100  # messages, through the real server
HOLE = "a hole"
HUGE = 2 * 1024 * 1024  # bytes
PROBABLY_HUGE = 0.001
STREAM = WireStream(url="wss://voice.example.com/telephony/ws", parameters={"token": "t", "agent": "a"})
FACTS = PhoneFacts(call_id=str(UUID(int=1)), stream_id=str(UUID(int=2)))
REST = ("account_sid", "auth_id", "auth_token", "api_token", "api_secret")  # secrets that requests need
MARKS = ("1.1", "1.2", "1.3")
ODD: list[Any] = [
    None, True, False, 0, -1, 1e308, 2**63, 10**400, 0.1, float("nan"), float("inf"), "", "\ud800", "\0", "a" * 5000,
    [], {}, [[]], {"": {"": []}}, "Ünï\u2028", ["x"] * 300, "\u202eabc", "9" * 400, "AAA", "AAAA\n", "*", "٣", 5, "2",
]  # fmt: skip
NUMBERS = ("1e999", "-0", "NaN", "-Infinity", "9" * 5000, "1e-999", "0.1e+400", "1" + "0" * 300)


def messages_of(wire: PhoneWire) -> list[str | bytes]:
    """One of each that this carrier sends."""
    found: list[str | bytes | None] = [*wire.opening(STREAM)] * 2
    sound = bytes(int(wire.audio.rate_hz * 0.02) * 2)
    found += [wire.media(sound), wire.media(sound), wire.dtmf("5"), wire.dtmf("#"), wire.stop()]
    found += [wire.mark_reached(name) for name in MARKS]
    found += wire.cleared(MARKS)
    if isinstance(wire, GenesysWire):
        found += [wire.ping(), wire.message("playback_completed"), wire.message("update", {"language": "de-DE"})]
        found += [wire.message("discarded", {"start": "PT1S", "discarded": "PT2.5S"}), wire.message("paused")]
        found += [wire.message("error", {"code": 409, "message": "m"}), wire.message("playback_started")]
    return [message for message in found if message is not None]


class Mutator:
    def __init__(self, seeds: Sequence[str | bytes], chance: random.Random) -> None:
        self._seeds = seeds
        self._chance = chance
        self._put: str | None = None  # instead of something odd
        self.place = 2  # of the next message, where a carrier numbers them and the stream ends at a gap
        self._kinds: list[Callable[[], str | bytes]] = [
            self.valid, self.changed, self.changed, self.changed, self.changed, self.flipped, self.flipped,
            self.doubled, self.number, self.cut, self.deep, self.other_kind, self.noise,
        ]  # fmt: skip

    def next(self) -> str | bytes:
        if self._chance.random() < PROBABLY_HUGE:
            return self.huge()
        return self._chance.choice(self._kinds)()

    def valid(self) -> str | bytes:
        return self._numbered(self._chance.choice(self._seeds))

    def text(self) -> str:
        message = self._numbered(self._chance.choice([message for message in self._seeds if isinstance(message, str)]))
        assert isinstance(message, str)
        return message

    def _numbered(self, message: str | bytes) -> str | bytes:
        if not isinstance(message, str) or '"serverseq"' not in message or '"open"' in message:
            return message
        return json.dumps({**json.loads(message), "seq": self.place})

    def changed(self) -> str:
        value = json.loads(self.text())
        for _ in range(self._chance.choice((1, 1, 1, 2, 3))):
            value = self._change(value)
        return json.dumps(value, ensure_ascii=True)

    def _change(self, value: Any) -> Any:
        """`value` with a field dropped, added, moved or given another type, at a random place."""
        chance = self._chance
        if isinstance(value, dict) and value and chance.random() < 0.9:
            key = chance.choice(list(value))
            what = chance.random()
            if what < 0.15:
                del value[key]
            elif what < 0.25:
                value[chance.choice(["event", "type", "start", "media", "", "\ud800", "x" * 300])] = self._odd()
            elif what < 0.3:
                value[key] = copy.deepcopy(value)
            else:
                value[key] = self._change(value[key])
            return value
        if isinstance(value, list) and value and chance.random() < 0.7:
            place = chance.randrange(len(value))
            value[place] = self._change(value[place])
            return value
        if isinstance(value, str) and chance.random() < 0.3:
            return value[: chance.randrange(len(value) + 1)]
        return self._odd()

    def _odd(self) -> Any:
        return self._put or copy.deepcopy(self._chance.choice(ODD))

    def flipped(self) -> str | bytes:
        message = self.valid()
        raw = bytearray(message.encode() if isinstance(message, str) else message)
        for _ in range(self._chance.randint(1, 4)):
            if raw:
                raw[self._chance.randrange(len(raw))] ^= 1 << self._chance.randrange(8)
        return raw.decode(errors="replace") if isinstance(message, str) else bytes(raw)

    def doubled(self) -> str:
        """A field twice, with different values."""
        text = self.text()
        key = self._chance.choice(list(json.loads(text)))
        return text.rstrip()[:-1] + f", {json.dumps(key)}: {json.dumps(self._odd())}}}"

    def number(self) -> str:
        value = self._change(json.loads(self.text()))
        return (
            json.dumps(value)
            .replace("null", self._chance.choice(NUMBERS))
            .replace("0", self._chance.choice(NUMBERS), 1)
        )

    def cut(self) -> str | bytes:
        message = self.valid()
        return message[: self._chance.randrange(len(message) + 1)]

    def deep(self) -> str:
        depth = self._chance.choice((10, 500, self._chance.randint(850, 1000), 5000, 100_000))
        opening, closing = self._chance.choice((("[", "]"), ('{"a":', "}")))
        self._put = HOLE
        try:
            text = json.dumps(self._change(json.loads(self.text())))
        finally:
            self._put = None
        return text.replace(f'"{HOLE}"', f"{opening * depth}1{closing * depth}")

    def other_kind(self) -> str | bytes:
        message = self.valid()
        return message.encode() if isinstance(message, str) else message.decode("latin-1")

    def noise(self) -> str | bytes:
        chance = self._chance
        if chance.random() < 0.5:
            return chance.randbytes(chance.choice((0, 1, 2, 3, 160, 320, 641, 32_000)))
        return "".join(chr(chance.choice((chance.randrange(128), chance.randrange(0xD800)))) for _ in range(100))

    def huge(self) -> str | bytes:
        """2 MB: a text where one belongs, sound, or spaces."""
        key = self._chance.choice(list(json.loads(self.text())))
        value = json.loads(self.text())
        inner = next((part for part in value.values() if isinstance(part, dict)), value)
        inner[self._chance.choice([*inner, key])] = self._chance.choice(("A", "\ud800", "9")) * (HUGE // 8)
        return self._chance.choice((json.dumps(value).ljust(HUGE), bytes(HUGE), " " * HUGE + self.text(), "[" * HUGE))


def a_carrier(name: str) -> Carrier:
    """With what it needs to send requests, but nothing to check its sockets by."""
    spec = Registry.load(only=[name]).get(CarrierSpec, name)
    secrets = dict.fromkeys(REST if name == "genesys" else (*REST, "api_key"), "s3cret")  # Genesys's key proves streams
    context = Context(name, http=httpx.AsyncClient(), secrets=lambda key: secrets.get(key, ""), base_url="https://api")
    carrier: Carrier = make(spec, context, {})
    return carrier


class Harness:
    """One carrier's `recognize` and `decode`, and what may come of them."""

    def __init__(self, carrier: Carrier, wire: PhoneWire, chance: random.Random) -> None:
        self._carrier = carrier
        self._opening = wire.opening(STREAM)
        self._headers = {name.lower(): value for name, value in wire.handshake(STREAM, at=0.0).items()}
        self._chance = chance
        self.counts: Counter[str] = Counter()
        self.ended = False

    def stream(self) -> Serializer:
        """The serializer of a call as it should be, with marks to come back."""
        self.ended = False
        start = self._carrier.recognize(self._opening, self._headers)
        assert start is not None
        self._fill(start.serializer)
        return start.serializer

    def _fill(self, serializer: Serializer) -> None:
        for name in MARKS:
            serializer.encode(bytes(640))
            serializer.encode(Mark(name))

    def recognized(self, message: str | bytes) -> Serializer | None:
        messages = self._chance.choice(([message], [self._opening[0], message], [message, self._opening[-1]]))
        try:
            start = self._carrier.recognize(messages, self._headers)
        except ValueError as error:
            str(error).encode()  # as the reason of a close
            for word in error.farewell if isinstance(error, StreamRefusedError) else ():
                self._check_sendable(word)
            self.counts["refused"] += 1
            return None
        self.counts["foreign" if start is None else "recognized"] += 1
        if start is None:
            return None
        self._check_start(start)
        return start.serializer

    def _check_start(self, start: StreamStart) -> None:
        for name, value in asdict(start.call).items():
            for text in [*value, *value.values()] if isinstance(value, dict) else [value]:
                assert isinstance(text, str), f"{name} is {text!r:.80}"
                self._check_sendable(text)  # to a store, or as part of an address
        self._carrier.hang_up(start.call)
        self._carrier.transfer(start.call, "+15005550009")
        for answer in start.answers:
            self._check_sendable(answer)
        self._fill(start.serializer)

    def _check_sendable(self, message: str | bytes) -> None:
        assert isinstance(message.encode() if isinstance(message, str) else message, bytes)

    def decoded(self, serializer: Serializer, message: str | bytes) -> bool:
        """Whether it was understood, or ignored, and the call goes on."""
        try:
            items = list(serializer.decode(message))
        except ValueError as error:
            str(error).encode()  # safe to send back
            self.counts["not understood"] += 1
            return False
        for item in items:
            assert isinstance(item, (bytes, Response, *INBOUND)), f"{item!r:.80} is nothing that may come in"
            if isinstance(item, Response):
                self._check_sendable(item.message)
        self.counts["understood" if items else "ignored"] += 1
        if self._chance.random() < 0.02:
            serializer.encode(ReplyInterrupted(1, "", 0.0))
            self._fill(serializer)
        if any(isinstance(item, EndRequested) for item in items):
            self.ended = True
        return True


def place_of(message: str | bytes, otherwise: int) -> int:
    """The place after this message, if it was numbered."""
    if isinstance(message, bytes):
        return otherwise
    try:
        return int(json.loads(message)["seq"]) + 1
    except (ValueError, KeyError, TypeError):
        return otherwise


@pytest.mark.parametrize("name", sorted(WIRES))
def test_mutated_messages_are_errors_or_events(name: str) -> None:
    chance = random.Random(f"{name}{SEED}")
    mutator = Mutator(messages_of(make_wire(name, FACTS)), chance)
    harness = Harness(a_carrier(name), make_wire(name, FACTS), chance)
    serializer, slowest, begun = harness.stream(), 0.0, time.perf_counter()
    for number in range(RUNS):
        if number % PER_STREAM == 0 or harness.ended:
            serializer, mutator.place = harness.stream(), 2
        message = mutator.next()
        started = time.perf_counter()
        try:
            opened = harness.recognized(message)
            if opened is not None and chance.random() < 0.1:
                harness.decoded(opened, message)
            elif harness.decoded(serializer, message):
                mutator.place = place_of(message, mutator.place)
        except BaseException as error:
            error.add_note(f"{name}, seed {SEED}, message {number}: {message[:500]!r}")
            raise
        slowest = max(slowest, time.perf_counter() - started)
    took = time.perf_counter() - begun
    print(f"\n{name}: {RUNS} messages in {took:.1f} s, slowest {slowest * 1000:.0f} ms, {dict(harness.counts)}")
    assert min(harness.counts["understood"], harness.counts["not understood"]) > 0


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the fields are, inner ones too."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield (*path, name)
            yield from places(part, (*path, name))


@pytest.mark.parametrize("name", sorted(WIRES))
def test_half_characters_reach_no_call(name: str) -> None:
    """JSON can write them, but no log, store, address or close frame can take them."""
    harness = Harness(a_carrier(name), make_wire(name, FACTS), random.Random(SEED))
    for message in make_wire(name, FACTS).opening(STREAM):
        for path in places(json.loads(message)):
            for changed in ({path[-1]: "\ud800"}, {"\ud800": "\ud800"}):
                harness.recognized(json.dumps(with_fields(json.loads(message), path[:-1], changed)))


def with_fields(data: dict[str, Any], path: Sequence[str], more: dict[str, Any]) -> dict[str, Any]:
    """`data` with more fields in the object at `path`."""
    if not path:
        return {**data, **more}
    return {**data, path[0]: with_fields(data[path[0]], path[1:], more)}


# ── the same through a server ──


async def bad_stream(line: PhoneLine, name: str, mutator: Mutator, count: int) -> int:
    """A call that was announced as it should be, whose socket then speaks nonsense; returns how many were sent."""
    wire = make_wire(name, new_facts(name))
    request = wire.webhook(f"{line.url}/telephony/{name}", at=time.time())
    assert request is not None
    async with httpx.AsyncClient() as http:
        answer = await http.request(request.method, request.url, headers=request.headers, content=request.body)
    stream = wire.stream(answer.status_code, answer.headers["content-type"], answer.content)
    sent = 0
    async with websockets.connect(stream.url, max_size=None, close_timeout=2) as socket:
        try:
            for message in wire.opening(stream):
                await socket.send(message)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(discard, socket)
                for _ in range(count):
                    await socket.send(mutator.next())
                    sent += 1
                await socket.close()
        except* (websockets.ConnectionClosed, AttributeError):
            pass  # the second is how this client fails when the connection ends while it is sending
    assert socket.close_code in (1000, 1008, 1009), f"seed {SEED}: the connection ended with {socket.close_code}"
    return sent


async def discard(socket: Any) -> None:
    try:
        while True:
            await socket.recv()
    except websockets.ConnectionClosed:
        return


def mutants(name: str) -> Iterator[Mutator]:
    """Mutators without end, each with messages of its own."""
    chance = random.Random(f"live {name}{SEED}")
    while True:
        yield Mutator(messages_of(make_wire(name, new_facts(name))), chance)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["twilio", "vonage"])
async def test_mutated_messages_harm_no_neighbour(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    wire = make_wire(name, new_facts(name))
    async with phone_line(
        wire, {}, replies=lambda prompt: "All is well today.", stt=ScriptedStt(delay_secs=0.01)
    ) as line:

        async def disturb() -> None:
            left, source = LIVE, mutants(name)
            while left > 0:
                left -= await bad_stream(line, name, next(source), min(left, 25))

        async with line.called() as neighbour, anyio.create_task_group() as tasks:
            await neighbour.listen()
            tasks.start_soon(disturb)
            for _ in range(2):
                await neighbour.say(SHORT)
                reply = await neighbour.listen()
                assert not reply.interrupted
            assert len(line.calls) > 1
        failed = await line.server.metric('sessions_total{cause="error"')
    faults = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not faults, f"seed {SEED}: {faults[0].getMessage()} {faults[0].exc_text}"
    assert failed == 0
