"""Vonage calls through the real server: NCCO, frames of 20 ms, notify and clear, the REST API."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.server.serving import Served, serving
from tools.source import ROOT
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
from voxray.testing.carriers.vonage import APPLICATION_ID, VonageWire
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, ScriptedTts, services, speech
from voxray.testing.phone import NO_FAULTS, PhoneCaller, PhoneFaults
from voxray.testing.phone_rest import PhoneExchange
from voxray.testing.phone_wire import PhoneFacts, WireStream
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

SECRET = "vonage-signature-secret"
FACTS = PhoneFacts(call_id="aaaaaaaa-bbbb-cccc-dddd-0123456789ab", stream_id="")
SHORT = Clip.of(speech(PCM_16K, 0.5))
ANSWER = "All is well. " + "And it will be so for a rather long time. " * 4
PEM = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
SECRETS = {"signature_secret": SECRET, "application_id": APPLICATION_ID, "private_key": PEM}
TEST_SECS = 15.0


def wire(*, secret: str = SECRET) -> VonageWire:
    return VonageWire(FACTS, secret=secret)


def agent(*tools: ToolCall) -> Any:
    """Answers at length; with `tools`, calls those instead and says goodbye."""
    replies: list[Any] = [["Goodbye. ", *tools], "Bye."] if tools else [ANSWER, "Goodbye."]
    return services(
        stt=ScriptedStt(["hello there", "stop"], delay_secs=0.01),
        llm=ScriptedLlm(replies, first_token_secs=0, token_secs=0),
        tts=ScriptedTts(first_audio_secs=0, secs_per_char=0.02),
        tools=(CallControl(tools=("end_call", "transfer_call", "send_dtmf")),) if tools else (),
    )


@dataclass(slots=True)
class Line:
    server: Served
    exchange: PhoneExchange
    parts: Any
    calls: list[CallInfo]
    outcomes: list[Outcome]

    @asynccontextmanager
    async def called(self, faults: PhoneFaults = NO_FAULTS, **options: Any) -> AsyncIterator[PhoneCaller]:
        url = options.pop("url", f"http://127.0.0.1:{self.server.port}")
        async with PhoneCaller(url, options.pop("wire", self.exchange.wire), faults=faults, **options) as caller:
            self.exchange.caller = caller
            yield caller
        assert caller.rejected == self.exchange.rejected == []


@asynccontextmanager
async def line(*tools: ToolCall, secrets: dict[str, str] = SECRETS, max_sessions: int = 0) -> AsyncIterator[Line]:
    parts = agent(*tools)
    calls: list[CallInfo] = []
    outcomes: list[Outcome] = []
    hooks = Hooks(started=(calls.append,), ended=(lambda info, outcome: outcomes.append(outcome),))
    spec = Registry.load(only=["vonage"]).get(CarrierSpec, "vonage")
    with anyio.fail_after(TEST_SECS):
        async with PhoneExchange(wire()) as exchange, httpx.AsyncClient() as http:
            context = Context("vonage", http=http, secrets=lambda key: secrets.get(key, ""), base_url=exchange.url)
            async with serving(
                parts=parts,
                options=SessionOptions(
                    greeting="" if tools else "Good day.", turn_stop_secs=0.3, interrupt_min_speech_ms=100
                ),
                hooks=hooks,
                max_sessions=max_sessions,
                carriers=[make(spec, context, {})],
                telephony=TelephonySettings(caller_id="+15005550001"),
            ) as server:
                yield Line(server, exchange, parts, calls, outcomes)
                await server.emptied()


async def test_a_caller_is_greeted_and_answered() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.3)
        assert answer.latency_secs == pytest.approx(0.35, abs=0.3)
        (info,) = phone.calls
        assert (info.carrier, info.caller, info.callee) == ("vonage", "+15005550006", "+15005550001")


async def test_an_interruption_clears_what_vonage_has_queued() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.6)
        await caller.say(SHORT)
        assert answer.interrupted
        assert caller.cleared_at[0] - caller.said_from == pytest.approx(0.2, abs=0.2)
        assert not (await caller.listen()).interrupted


async def test_keys_are_a_turn() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.press("12#")
        await caller.listen_for(0.1)
        assert "12" in str(phone.parts.llm.prompts[0].messages[-1])


@pytest.mark.parametrize("secrets", [SECRETS, {"signature_secret": SECRET}], ids=["by-rest", "by-closing"])
async def test_the_agent_ends_the_call(secrets: dict[str, str]) -> None:
    async with line(ToolCall("1", "end_call", {"reason": "done"}), secrets=secrets) as phone:
        async with phone.called() as caller:
            await caller.say(SHORT)
            assert (await caller.listen_for(0.1)).first_audio_at is not None
            assert await caller.goodbye() is not None
        await phone.server.emptied()
        assert phone.outcomes[0].cause == "agent_ended"
        if "private_key" in secrets:
            await phone.exchange.ended()


async def test_the_agent_hands_the_caller_on() -> None:
    async with line(ToolCall("1", "transfer_call", {"to": "+15005550009"})) as phone, phone.called() as caller:
        await caller.say(SHORT)
        assert (await phone.exchange.ended()).transferred_to == "15005550009"
        assert await caller.goodbye() is not None


async def test_the_agent_presses_keys() -> None:
    async with line(ToolCall("1", "send_dtmf", {"digits": "4#"})) as phone, phone.called() as caller:
        await caller.say(SHORT)
        await caller.listen()
        assert [answer.status for answer in phone.exchange.answers] == [200, 200]


async def test_a_caller_who_hangs_up_leaves_nothing_behind() -> None:
    async with line() as phone:
        async with phone.called() as caller:
            await caller.listen_for(0.1)
            await caller.hang_up()
        await phone.server.emptied()
        assert phone.outcomes[0].cause == "caller_left"


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_a_webhook_without_its_proof_is_refused(secret: str) -> None:
    async with line() as phone:
        with pytest.raises(NotConnectedError, match="403"):
            async with phone.called(wire=wire(secret=secret)):
                pass
        assert phone.calls == []


async def test_a_stream_that_no_webhook_announced_is_refused() -> None:
    async with line() as phone:
        stream = WireStream(url=f"ws://127.0.0.1:{phone.server.port}/telephony/ws", parameters={"token": "stolen"})
        async with phone.called(stream=stream) as caller:
            ended = await caller.goodbye()
        assert ended is not None
        assert ended.code == 1008
        assert phone.calls == []


async def test_a_call_too_many_is_turned_away() -> None:
    async with line(max_sessions=1) as phone, phone.called() as caller:
        await caller.listen_for(0.1)
        with pytest.raises(NotConnectedError, match="connects nothing"):
            async with phone.called(wire=wire()):
                pass


async def test_the_server_places_a_call() -> None:
    async with line() as phone:
        answer = await phone.server.http.post("/api/v1/calls", json={"to": "+15005550077", "body": {"order": "7"}})
        assert answer.json()["data"]["callId"] == FACTS.call_id
        placed = await phone.exchange.placed()
        async with phone.called(url=placed.answer_url) as caller:
            await caller.listen_for(0.1)
            (info,) = phone.calls
            assert (info.direction, info.callee, info.body["order"]) == ("outbound", "+15005550077", "7")


async def test_news_of_a_call_are_taken_and_counted() -> None:
    async with line() as phone:
        url = f"http://127.0.0.1:{phone.server.port}/telephony/vonage"
        for status in ("ringing", "human", "completed"):
            request = wire().event(url, status, at=time.time())
            answer = await phone.server.http.post(url, headers=dict(request.headers), content=request.body)
            assert (answer.status_code, answer.content) == (204, b"")


async def test_the_example_of_the_guide_hears_a_greeting() -> None:
    guide = (ROOT / "docs" / "how-to" / "answer-vonage-calls.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(guide.split("```python\n")[1].split("```")[0], names)
    async with line() as phone:
        assert await names["greeted"](f"http://127.0.0.1:{phone.server.port}", SECRET)


FAULTS = {
    "missing-marks": PhoneFaults(missing_marks=True),
    "doubled-marks": PhoneFaults(doubled_marks=True),
    "jitter": PhoneFaults(jitter_ms=60),
    "early-media": PhoneFaults(media_before_start=True),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_a_call_survives_what_lines_do(faults: PhoneFaults) -> None:
    async with line() as phone, phone.called(faults) as caller:
        await caller.listen()
        await caller.say(SHORT)
        await caller.listen_for(0.1)
