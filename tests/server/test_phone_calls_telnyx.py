"""Whole phone calls over a simulated Telnyx, by TeXML and by Call Control."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.server.phone_line import SHORT, WHOLE_ANSWER, PhoneLine, phone_line
from tools.source import ROOT
from voxray.chat import ToolCall
from voxray.testing.caller import NoReplyError, NotConnectedError
from voxray.testing.carriers.telnyx import PUBLIC_KEY, SEED, TelnyxWire
from voxray.testing.phone import PhoneCaller, PhoneFaults
from voxray.testing.phone_wire import PhoneFacts, WireStream

pytestmark = pytest.mark.anyio

FACTS = PhoneFacts(call_id="v3:abc/1", stream_id="32de0dea-53cb")
SECRETS = {"api_key": "KEY1", "public_key": PUBLIC_KEY}


def line(wire: TelnyxWire | None = None, **options: Any) -> Any:
    return phone_line(wire or TelnyxWire(FACTS, secret=SEED), SECRETS, **options)


@asynccontextmanager
async def controlled(phone: PhoneLine, wire: TelnyxWire) -> AsyncIterator[PhoneCaller]:
    """A call by Call Control: the webhook is answered by a command, and that opens the stream."""
    webhook = wire.webhook(f"{phone.url}/telephony/telnyx", at=time.time())
    answer = await phone.server.http.post(webhook.url, content=webhook.body, headers=dict(webhook.headers))
    assert (answer.status_code, answer.content) == (200, b"")
    answered = await phone.exchange.placed()
    async with phone.called(stream=answered.stream) as caller:
        yield caller


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
async def test_a_caller_is_greeted_and_answered(codec: str) -> None:
    async with line(TelnyxWire(FACTS, secret=SEED, codec=codec)) as phone, phone.called() as caller:
        greeting = await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.3)
        assert greeting.latency_secs is not None
        assert answer.latency_secs is not None
        (info,) = phone.calls
        assert (info.carrier, info.caller, info.callee) == ("telnyx", "+15005550006", "+15005550001")


async def test_media_out_of_order_is_understood() -> None:
    async with line() as phone, phone.called(PhoneFaults(reorder=True, jitter_ms=15)) as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.3)
        assert answer.latency_secs is not None
        assert len(caller.replies) == 2


@pytest.mark.parametrize(
    "faults", [PhoneFaults(missing_marks=True), PhoneFaults(doubled_marks=True), PhoneFaults(restart_stream_at=1.2)]
)
async def test_a_call_survives_faults_of_the_carrier(faults: PhoneFaults) -> None:
    async with line() as phone, phone.called(faults) as caller:
        await caller.listen()
        await caller.say(SHORT)
        assert (await caller.listen_for(0.3)).latency_secs is not None


async def test_an_interruption_clears_what_telnyx_has_queued() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.6)
        await caller.say(SHORT)
        assert answer.interrupted
        assert caller.cleared_at[0] - caller.said_from < 0.6
        assert not (await caller.listen()).interrupted


async def test_keys_reach_the_agent() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.press("42#")
        await caller.listen_for(0.3)
        assert "42#" in repr(phone.llm.prompts[0].messages[-1])


async def test_a_caller_who_hangs_up_is_not_hung_up_again() -> None:
    async with line() as phone:
        async with phone.called() as caller:
            await caller.listen()
        await phone.server.emptied()
        assert phone.exchange.answers == []
        assert [it.cause for it in phone.outcomes] == ["caller_left"]


async def test_the_agent_hangs_up_by_rest() -> None:
    replies = (["Bye then.", ToolCall("1", "end_call", {})],)
    async with line(replies=replies, tools=("end_call",)) as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        assert (await phone.exchange.ended()).transferred_to == ""
        assert phone.exchange.wire.over


async def test_the_agent_presses_keys_by_rest_in_their_order() -> None:
    """The first key needs a second try, and the others wait for it."""
    replies = (["Let me see.", ToolCall("1", "send_dtmf", {"digits": "42#"})], WHOLE_ANSWER)
    async with line(replies=replies, tools=("send_dtmf",), busy_for=1) as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        await caller.listen()
        assert phone.exchange.wire.keys == "42#"


async def test_the_agent_hands_the_caller_on() -> None:
    replies = (["I put you through.", ToolCall("1", "transfer_call", {"to": "+15005550009"})],)
    async with line(replies=replies, tools=("transfer_call",)) as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        assert (await phone.exchange.ended()).transferred_to == "+15005550009"
        await phone.server.emptied()
        assert not phone.exchange.wire.over


@pytest.mark.parametrize("secret", ["", "11" * 32])
async def test_a_webhook_without_telnyx_signature_is_refused(secret: str) -> None:
    async with line() as phone:
        with pytest.raises(NotConnectedError, match="403"):
            async with phone.called(wire=TelnyxWire(FACTS, secret=secret)):
                pass


async def test_a_stream_that_was_never_announced_is_refused() -> None:
    wire = TelnyxWire(FACTS, secret=SEED)
    async with line(wire) as phone:
        address = f"ws://127.0.0.1:{phone.server.port}/telephony/ws"
        async with phone.called(stream=WireStream(url=address, parameters={"token": "guessed"})) as caller:
            with pytest.raises(NoReplyError):
                await caller.listen()
            assert caller.ended is not None
            assert caller.ended.code == 1008
        assert phone.calls == []


# ── Call Control ──


async def test_a_call_by_call_control_is_held_alike() -> None:
    wire = TelnyxWire(FACTS, secret=SEED, call_control=True)
    async with line(wire) as phone, controlled(phone, wire) as caller:
        await caller.listen()
        await caller.say(SHORT)
        assert (await caller.listen_for(0.3)).latency_secs is not None
        assert phone.calls[0].caller == "+15005550006"


async def test_high_definition_sound_goes_both_ways() -> None:
    wire = TelnyxWire(FACTS, secret=SEED, call_control=True, codec="L16", rate_hz=16_000)
    async with line(wire, carrier_options={"codec": "L16"}) as phone, controlled(phone, wire) as caller:
        await caller.listen()
        await caller.say(SHORT)
        assert (await caller.listen_for(0.3)).latency_secs is not None


async def test_a_full_server_rejects_the_call_by_rest() -> None:
    wire = TelnyxWire(PhoneFacts(call_id="v3:second", stream_id="2"), secret=SEED, call_control=True)
    async with line(wire, max_sessions=1) as phone:
        first = TelnyxWire(FACTS, secret=SEED)
        async with PhoneCaller(phone.url, first) as caller:
            await caller.listen()
            webhook = wire.webhook(f"{phone.url}/telephony/telnyx", at=time.time())
            await phone.server.http.post(webhook.url, content=webhook.body, headers=dict(webhook.headers))
            assert (await phone.exchange.ended()).status == 200
            assert wire.over
            assert caller.ended is None


async def test_a_call_that_we_place_is_streamed_at_once() -> None:
    wire = TelnyxWire(FACTS, secret=SEED, call_control=True)
    async with line(wire, carrier_options={"connection_id": "1684641123236054244"}) as phone:
        placed = await phone.server.http.post("/api/v1/calls", json={"to": "+15005550006", "body": {"order": "7"}})
        assert placed.status_code == 201
        stream = (await phone.exchange.placed()).stream
        async with phone.called(stream=stream) as caller:
            await caller.listen()
            (info,) = phone.calls
            assert (info.direction, info.callee, info.body["order"]) == ("outbound", "+15005550006", "7")


async def test_the_example_of_the_guide_hears_a_greeting() -> None:
    guide = (ROOT / "docs" / "how-to" / "answer-telnyx-calls.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(guide.split("```python\n")[1].split("```")[0], names)
    async with line() as phone:
        assert await names["greeted"](phone.url)


def test_the_guide_shows_the_key_of_the_simulator() -> None:
    guide = (ROOT / "docs" / "how-to" / "answer-telnyx-calls.md").read_text(encoding="utf-8")
    assert SEED in guide
    assert PUBLIC_KEY in guide
