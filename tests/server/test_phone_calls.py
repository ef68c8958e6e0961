"""Phone calls through the real server, with simulated carriers: what a caller hears, and what the carrier is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import fromstring

import anyio
import httpx
import pytest

from tests.server.serving import Served, serving
from voxray.audio.format import PCM_16K
from voxray.builtin.call_control import CallControl
from voxray.chat import ToolCall
from voxray.config.settings import TelephonySettings
from voxray.protocols.call import CallInfo, Outcome
from voxray.registry import Registry, make
from voxray.server.calls import Hooks
from voxray.session.services import SessionOptions
from voxray.specs import CarrierSpec
from voxray.testing.call_account import Clip
from voxray.testing.caller import NotConnectedError
from voxray.testing.carriers import make_wire
from voxray.testing.carriers.plivo import PlivoWire
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, ScriptedTts, services, speech
from voxray.testing.phone import NO_FAULTS, PhoneCaller, PhoneFaults
from voxray.testing.phone_rest import PhoneExchange
from voxray.testing.phone_wire import PhoneFacts, PhoneWire, WireStream
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
    parts: Any

    @asynccontextmanager
    async def called(self, faults: PhoneFaults = NO_FAULTS, **options: Any) -> AsyncIterator[PhoneCaller]:
        url = options.pop("url", f"http://127.0.0.1:{self.server.port}")
        wire = options.pop("wire", self.exchange.wire)
        async with PhoneCaller(url, wire, faults=faults, **options) as caller:
            self.exchange.caller = caller
            yield caller
        assert caller.rejected == []
        assert self.exchange.rejected == []


@asynccontextmanager
async def line(
    carrier: str,
    *,
    max_sessions: int = 0,
    parts: Any = None,
    busy_for: int = 0,
    proxy_host: str = "",
    **options: Any,
) -> AsyncIterator[Line]:
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
        async with PhoneExchange(wire_of(carrier), busy_for=busy_for) as exchange, httpx.AsyncClient() as http:
            secrets = SECRETS[carrier]
            context = Context(carrier, http=http, secrets=lambda key: secrets.get(key, ""), base_url=exchange.url)
            async with serving(
                parts=parts,
                options=chosen,
                hooks=hooks,
                max_sessions=max_sessions,
                carriers=[make(spec, context, {})],
                proxy_host=proxy_host,
                telephony=TelephonySettings(caller_id="+15005550001"),
            ) as server:
                yield Line(server, exchange, carrier, calls, outcomes, parts)
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


def obedient(*tools: ToolCall) -> Any:
    """An agent that, when spoken to, calls these tools and says goodbye."""
    return services(
        stt=ScriptedStt(["hello there"], delay_secs=0.01),
        llm=ScriptedLlm([["Goodbye. ", *tools], "Bye."], first_token_secs=0, token_secs=0),
        tts=ScriptedTts(first_audio_secs=0, secs_per_char=0.02),
        tools=(CallControl(tools=("end_call", "transfer_call", "send_dtmf")),),
    )


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_the_agent_hangs_up_through_the_carrier(carrier: str) -> None:
    async with line(carrier, parts=obedient(ToolCall("1", "end_call", {"reason": "done"})), greeting="") as phone:
        async with phone.called() as caller:
            await caller.say(SHORT)
            assert (await caller.listen_for(0.1)).first_audio_at is not None
            assert await caller.goodbye() is not None
            await phone.exchange.ended()
        await phone.server.emptied()
        assert [answer.ended for answer in phone.exchange.answers] == [True]
        assert phone.outcomes[0].cause == "agent_ended"


async def test_a_carrier_that_is_down_at_hang_up_is_asked_again() -> None:
    parts = obedient(ToolCall("1", "end_call", {}))
    async with line("twilio", parts=parts, greeting="", busy_for=1) as phone:
        async with phone.called() as caller:
            await caller.say(SHORT)
            await phone.exchange.ended()


@pytest.mark.parametrize(("carrier", "to"), [("twilio", "+15005550009"), ("plivo", "transfer=15005550009")])
async def test_the_agent_hands_the_caller_on(carrier: str, to: str) -> None:
    parts = obedient(ToolCall("1", "transfer_call", {"to": "+15005550009"}))
    async with line(carrier, parts=parts, greeting="") as phone:
        async with phone.called() as caller:
            await caller.say(SHORT)
            answer = await phone.exchange.ended()
            assert answer.transferred_to.endswith(to)
            assert (await caller.goodbye()) is not None
        await phone.server.emptied()
        assert len(phone.exchange.answers) == 1


async def test_plivo_asks_us_whom_to_dial() -> None:
    parts = obedient(ToolCall("1", "transfer_call", {"to": "+15005550009"}))
    async with line("plivo", parts=parts, greeting="") as phone, phone.called() as caller:
        await caller.say(SHORT)
        url = (await phone.exchange.ended()).transferred_to
        request = PlivoWire(FACTS["plivo"], secret="plivo-token").callback(url, {"CallUUID": "5b1b7a3e-0001"})
        answer = await phone.server.http.post(url, headers=dict(request.headers), content=request.body)
        assert answer.status_code == 200
        assert fromstring(answer.content).findtext("Dial/Number") == "15005550009"


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_keys_are_a_turn(carrier: str) -> None:
    async with line(carrier) as phone, phone.called() as caller:
        await caller.listen()
        await caller.press("12#")
        await caller.listen_for(0.1)
        llm = phone.parts.llm
        assert "12" in str(llm.prompts[0].messages[-1])


async def test_the_agent_presses_keys_through_plivos_stream() -> None:
    parts = obedient(ToolCall("1", "send_dtmf", {"digits": "42#"}))
    async with line("plivo", parts=parts, greeting="") as phone, phone.called() as caller:
        await caller.say(SHORT)
        await caller.listen()
        assert caller.keys == "42#"


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_caller_who_hangs_up_is_not_hung_up_on(carrier: str) -> None:
    async with line(carrier) as phone:
        async with phone.called() as caller:
            await caller.listen_for(0.1)
            await caller.hang_up()
        await phone.server.emptied()
        assert phone.exchange.answers == []
        assert phone.outcomes[0].cause == "caller_left"


@pytest.mark.parametrize("secret", ["", "wrong"])
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_webhook_without_its_proof_is_refused(carrier: str, secret: str) -> None:
    async with line(carrier) as phone:
        with pytest.raises(NotConnectedError, match="403"):
            async with phone.called(wire=make_wire(carrier, FACTS[carrier], secret=secret)):
                pass
        assert phone.calls == []


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_the_address_behind_a_proxy_is_what_is_signed(carrier: str) -> None:
    async with line(carrier, proxy_host="voice.example.com") as phone:
        async with phone.called(public_url="https://voice.example.com") as caller:
            await caller.listen_for(0.1)
        with pytest.raises(NotConnectedError, match="403"):
            async with phone.called():
                pass


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_call_too_many_hears_the_carriers_busy(carrier: str) -> None:
    async with line(carrier, max_sessions=1) as phone, phone.called() as caller:
        await caller.listen_for(0.1)
        with pytest.raises(NotConnectedError, match="turned away: busy"):
            async with phone.called(wire=wire_of(carrier)):
                pass


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_stream_that_no_webhook_announced_is_refused(carrier: str) -> None:
    async with line(carrier) as phone:
        stream = WireStream(url=f"ws://127.0.0.1:{phone.server.port}/telephony/ws", parameters={"token": "stolen"})
        async with phone.called(stream=stream) as caller:
            ended = await caller.goodbye()
        assert ended is not None
        assert ended.code == 1008
        assert phone.calls == []


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_the_server_places_a_call(carrier: str) -> None:
    async with line(carrier) as phone:
        answer = await phone.server.http.post("/api/v1/calls", json={"to": "+15005550077", "body": {"order": "7"}})
        assert answer.status_code == 201
        assert answer.json()["data"]["callId"] == FACTS[carrier].call_id
        placed = await phone.exchange.placed()
        async with phone.called(url=placed.answer_url) as caller:
            await caller.listen_for(0.1)
            (info,) = phone.calls
            assert (info.direction, info.body["order"]) == ("outbound", "7")
            assert info.callee.removeprefix("+") == "15005550077"


FAULTS = [
    PhoneFaults(missing_marks=True),
    PhoneFaults(doubled_marks=True),
    PhoneFaults(jitter_ms=60, reorder=True),
    PhoneFaults(restart_stream_at=0.3),
]


@pytest.mark.parametrize("faults", FAULTS, ids=["missing-marks", "doubled-marks", "jitter", "restart"])
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_call_survives_what_carriers_do(carrier: str, faults: PhoneFaults) -> None:
    async with line(carrier) as phone, phone.called(faults) as caller:
        await caller.listen()
        await caller.say(SHORT)
        await caller.listen_for(0.1)


@pytest.mark.parametrize("faults", [PhoneFaults(stop_before_start=True), PhoneFaults(media_before_start=True)])
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_stream_that_begins_wrongly_leaves_nothing_behind(carrier: str, faults: PhoneFaults) -> None:
    async with line(carrier) as phone:
        async with phone.called(faults) as caller:
            await caller.silence(0.3)
        await phone.server.emptied()
