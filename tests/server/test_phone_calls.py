"""Phone calls through the real server, with simulated carriers: what a caller hears, and what the carrier is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest

from tests.server.serving import Served, serving
from voxray.audio.format import PCM_16K
from voxray.config.settings import TelephonySettings
from voxray.protocols.call import CallInfo, Outcome
from voxray.registry import Registry, make
from voxray.server.calls import Hooks
from voxray.session.services import SessionOptions
from voxray.specs import CarrierSpec
from voxray.testing.call_account import Clip
from voxray.testing.caller import NotConnectedError
from voxray.testing.carriers import make_wire
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, ScriptedTts, services, speech
from voxray.testing.phone import NO_FAULTS, PhoneCaller, PhoneFaults
from voxray.testing.phone_rest import PhoneExchange
from voxray.testing.phone_wire import PhoneFacts, PhoneWire
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

FACTS = {
    "twilio": PhoneFacts(call_id="CA1", stream_id="MZ1", account_id="AC1"),
    "plivo": PhoneFacts(call_id="5b1b7a3e-0001", stream_id="c4dfd815-0001", account_id="MA1"),
}
SECRETS = {
    "twilio": {"account_sid": "AC1", "auth_token": "twilio-token"},
    "plivo": {"auth_id": "MA1", "auth_token": "plivo-token"},
}
CARRIERS = sorted(FACTS)
SHORT = Clip.of(speech(PCM_16K, 0.5))
LONG_ANSWER = "And it will be so for a rather long time. " * 4
ALL_IS_WELL = 8.0  # seconds until a test that hangs is given up


def wire_of(carrier: str, *, signed: bool = True) -> PhoneWire:
    return make_wire(carrier, FACTS[carrier], secret=SECRETS[carrier]["auth_token"] if signed else "")


@dataclass(slots=True)
class Line:
    """A server with one carrier, and the carrier's REST API."""

    server: Served
    exchange: PhoneExchange
    carrier: str
    calls: list[CallInfo]
    outcomes: list[Outcome]

    @asynccontextmanager
    async def called(self, faults: PhoneFaults = NO_FAULTS, **options: Any) -> AsyncIterator[PhoneCaller]:
        url = f"http://127.0.0.1:{self.server.port}"
        wire = options.pop("wire", self.exchange.wire)
        async with PhoneCaller(url, wire, faults=faults, **options) as caller:
            self.exchange.caller = caller
            yield caller
        assert caller.rejected == []
        assert self.exchange.rejected == []


@asynccontextmanager
async def line(carrier: str, *, max_sessions: int = 0, parts: Any = None, **options: Any) -> AsyncIterator[Line]:
    parts = parts or services(
        stt=ScriptedStt(["hello there", "stop"], delay_secs=0.01),
        llm=ScriptedLlm(["All is well. " + LONG_ANSWER, "Goodbye."], first_token_secs=0, token_secs=0),
        tts=ScriptedTts(first_audio_secs=0, secs_per_char=0.02),
    )
    chosen = SessionOptions(
        **{"greeting": "Good day.", "turn_stop_secs": 0.3, "interrupt_min_speech_ms": 100, **options}
    )
    calls: list[CallInfo] = []
    outcomes: list[Outcome] = []
    hooks = Hooks(started=(calls.append,), ended=(lambda info, outcome: outcomes.append(outcome),))
    spec = Registry.load(only=[carrier]).get(CarrierSpec, carrier)
    with anyio.fail_after(ALL_IS_WELL):
        async with PhoneExchange(wire_of(carrier)) as exchange, httpx.AsyncClient() as http:
            secrets = SECRETS[carrier]
            context = Context(carrier, http=http, secrets=lambda key: secrets.get(key, ""), base_url=exchange.url)
            async with serving(
                parts=parts,
                options=chosen,
                hooks=hooks,
                max_sessions=max_sessions,
                carriers=[make(spec, context, {})],
                telephony=TelephonySettings(caller_id="+15005550001"),
            ) as server:
                yield Line(server, exchange, carrier, calls, outcomes)
                await server.emptied()


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_caller_is_greeted_and_answered(carrier: str) -> None:
    async with line(carrier) as phone, phone.called() as caller:
        greeting = await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.3)
        assert greeting.ended_at is not None
        assert greeting.latency_secs is not None
        assert answer.latency_secs == pytest.approx(0.35, abs=0.3)
        assert len(caller.replies) == 2
        (info,) = phone.calls
        assert info.carrier == carrier
        assert info.caller.removeprefix("+") == "15005550006"
        assert info.callee.removeprefix("+") == "15005550001"


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_an_interruption_clears_what_the_carrier_has_queued(carrier: str) -> None:
    async with line(carrier) as phone:
        async with phone.called() as caller:
            await caller.listen()
            await caller.say(SHORT)
            answer = await caller.listen_for(0.6)
            await caller.say(SHORT)
            assert answer.interrupted
            assert caller.cleared_at[0] - caller.said_from == pytest.approx(0.2, abs=0.2)
            last = await caller.listen()
            assert not last.interrupted
