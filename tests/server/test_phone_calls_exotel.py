"""Whole phone calls over a simulated Exotel, whose applet asks for an address or holds one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.phone_line import SHORT, WHOLE_ANSWER, phone_line
from tools.source import ROOT
from voxray.audio.format import MULAW_8K
from voxray.chat import ToolCall
from voxray.testing.caller import NoReplyError, NotConnectedError
from voxray.testing.carriers.exotel import ExotelWire
from voxray.testing.phone import PhoneFaults
from voxray.testing.phone_wire import PhoneFacts

pytestmark = pytest.mark.anyio

FACTS = PhoneFacts(call_id="9a7b0001", stream_id="1d3f0001", caller="09876543210", callee="08012345678")
PASSWORD = "p@ss: word"
SECRETS = {"api_key": "key", "api_token": "token", "account_sid": "exampleco1", "stream_password": PASSWORD}


def line(wire: ExotelWire | None = None, **options: Any) -> Any:
    return phone_line(wire or ExotelWire(FACTS, secret=PASSWORD), SECRETS, **options)


@pytest.mark.parametrize("rate", [8000, 16_000, 24_000])
@pytest.mark.parametrize("spelling", ["snake", "camel"])
async def test_a_caller_is_greeted_and_answered(rate: int, spelling: str) -> None:
    wire = ExotelWire(FACTS, secret=PASSWORD, spelling=spelling)
    async with line(wire, carrier_options={"sample_rate": rate}) as phone, phone.called() as caller:
        greeting = await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.5)
        assert greeting.latency_secs is not None
        assert answer.latency_secs is not None
        assert wire.audio.rate_hz == rate
        (info,) = phone.calls
        assert (info.carrier, info.caller, info.callee) == ("exotel", "09876543210", "08012345678")


async def test_the_betas_mu_law_is_spoken_too() -> None:
    wire = ExotelWire(FACTS, secret=PASSWORD, mulaw=True)
    async with line(wire) as phone, phone.called() as caller:
        await caller.listen()
        assert wire.audio == MULAW_8K


async def test_a_long_answer_comes_in_whole_pieces() -> None:
    """The simulator refuses pieces that are too short or no multiple; what it took is the whole answer."""
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen()
        assert answer.ended_at is not None
        assert answer.first_audio_at is not None
        assert answer.ended_at - answer.first_audio_at == pytest.approx(len(WHOLE_ANSWER) * 0.02, abs=0.5)


async def test_an_applet_may_hold_the_address_itself() -> None:
    wire = ExotelWire(FACTS, secret=PASSWORD, static=True)
    async with line(wire) as phone, phone.called() as caller:
        await caller.listen()
        assert phone.calls[0].caller == "09876543210"


@pytest.mark.parametrize("secret", ["", "guessed"])
async def test_an_address_without_the_password_is_refused(secret: str) -> None:
    async with line() as phone:
        async with phone.called(wire=ExotelWire(FACTS, secret=secret, static=True)) as caller:
            with pytest.raises(NoReplyError):
                await caller.listen()
            assert caller.ended is not None
            assert caller.ended.code == 1008
        assert phone.calls == []


@pytest.mark.parametrize("secret", ["", "guessed"])
async def test_a_webhook_without_the_password_is_refused(secret: str) -> None:
    async with line() as phone:
        with pytest.raises(NotConnectedError, match="403"):
            async with phone.called(wire=ExotelWire(FACTS, secret=secret)):
                pass


async def test_an_interruption_clears_what_exotel_has_queued() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.6)
        await caller.say(SHORT)
        assert answer.interrupted
        assert caller.cleared_at[0] - caller.said_from < 0.7
        assert not (await caller.listen()).interrupted


@pytest.mark.parametrize(
    "faults", [PhoneFaults(missing_marks=True), PhoneFaults(doubled_marks=True), PhoneFaults(restart_stream_at=1.2)]
)
async def test_a_call_survives_faults_of_the_carrier(faults: PhoneFaults) -> None:
    async with line() as phone, phone.called(faults) as caller:
        await caller.listen()
        await caller.say(SHORT)
        assert (await caller.listen_for(0.3)).latency_secs is not None


async def test_keys_reach_the_agent() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.press("42#")
        await caller.listen_for(0.3)
        assert "42#" in repr(phone.llm.prompts[0].messages[-1])


async def test_the_agent_hangs_up_by_closing_the_socket() -> None:
    replies = (["Bye then.", ToolCall("1", "end_call", {})],)
    async with line(replies=replies, tools=("end_call",)) as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        assert (await caller.goodbye()) is not None
        assert phone.exchange.answers == []


async def test_a_call_too_many_goes_on_to_the_next_applet() -> None:
    async with line(max_sessions=1) as phone, phone.called() as caller:
        await caller.listen()
        with pytest.raises(NotConnectedError, match="the flow goes on"):
            async with phone.called(wire=ExotelWire(FACTS, secret=PASSWORD)):
                pass


async def test_a_call_that_we_place_streams_without_a_webhook() -> None:
    async with line() as phone:
        placed = await phone.server.http.post("/api/v1/calls", json={"to": "09876543210", "body": {"order": "7"}})
        assert placed.status_code == 201
        assert placed.json()["data"]["callId"] == "9a7b0001"
        stream = (await phone.exchange.placed()).stream
        async with phone.called(stream=stream) as caller:
            await caller.listen()
            (info,) = phone.calls
            assert (info.direction, info.body["order"]) == ("outbound", "7")


async def test_the_example_of_the_guide_hears_a_greeting() -> None:
    guide = (ROOT / "docs" / "how-to" / "answer-exotel-calls.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(guide.split("```python\n")[1].split("```")[0], names)
    async with line() as phone:
        assert await names["greeted"](phone.url, PASSWORD)
