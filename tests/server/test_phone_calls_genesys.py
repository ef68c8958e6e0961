"""Genesys calls through the real server: no webhook, a handshake that proves itself, an end in three messages."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest

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
from voxray.testing.carriers.genesys import GenesysWire, pcmu
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, ScriptedTts, services, speech
from voxray.testing.phone import NO_FAULTS, PhoneCaller, PhoneFaults
from voxray.testing.phone_wire import PhoneFacts, WireStream
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

KEY = "key-1"
SECRET = "dm94cmF5LWdlbmVzeXMtY2xpZW50LXNlY3JldC0wMDE="
SECRETS = {"api_key": KEY, "client_secret": SECRET}
FACTS = PhoneFacts(
    call_id="090eaa2f-0000-4000-8000-000000000001",
    stream_id="30b0e395-0000-4000-8000-000000000001",
    account_id="d7934305-0000-4000-8000-000000000001",
)
SHORT = Clip.of(speech(PCM_16K, 0.5))
ANSWER = "All is well. " + "And it will be so for a rather long time. " * 4
TEST_SECS = 15.0


def wire(**options: Any) -> GenesysWire:
    return GenesysWire(FACTS, **{"secret": SECRET, "api_key": KEY, **options})


def agent(*tools: ToolCall) -> Any:
    """Answers at length; with `tools`, calls those instead and says goodbye."""
    replies: list[Any] = [["Goodbye. ", *tools], "Bye."] if tools else [ANSWER, "Goodbye."]
    return services(
        stt=ScriptedStt(["hello there", "stop"], delay_secs=0.01),
        llm=ScriptedLlm(replies, first_token_secs=0, token_secs=0),
        tts=ScriptedTts(first_audio_secs=0, secs_per_char=0.02),
        tools=(CallControl(tools=("end_call", "transfer_call")),) if tools else (),
    )


@dataclass(slots=True)
class Line:
    server: Served
    parts: Any
    calls: list[CallInfo]
    outcomes: list[Outcome]

    @asynccontextmanager
    async def called(
        self,
        genesys: GenesysWire | None = None,
        *,
        faults: PhoneFaults = NO_FAULTS,
        variables: Mapping[str, str] | None = None,
        path: str = "/telephony/ws",
    ) -> AsyncIterator[PhoneCaller]:
        stream = WireStream(url=f"ws://127.0.0.1:{self.server.port}{path}", parameters=variables or {})
        url = f"http://127.0.0.1:{self.server.port}"
        async with PhoneCaller(url, genesys or wire(), faults=faults, stream=stream) as caller:
            yield caller
        assert caller.rejected == []


@asynccontextmanager
async def line(
    *tools: ToolCall,
    secrets: Mapping[str, str] = SECRETS,
    max_sessions: int = 0,
    unannounced: bool = False,
    proxy_host: str = "",
) -> AsyncIterator[Line]:
    parts = agent(*tools)
    calls: list[CallInfo] = []
    outcomes: list[Outcome] = []
    hooks = Hooks(started=(calls.append,), ended=(lambda info, outcome: outcomes.append(outcome),))
    spec = Registry.load(only=["genesys"]).get(CarrierSpec, "genesys")
    with anyio.fail_after(TEST_SECS):
        async with httpx.AsyncClient() as http:
            context = Context("genesys", http=http, secrets=lambda key: secrets.get(key, ""))
            async with serving(
                parts=parts,
                options=SessionOptions(
                    greeting="" if tools else "Good day.", turn_stop_secs=0.3, interrupt_min_speech_ms=100
                ),
                hooks=hooks,
                max_sessions=max_sessions,
                proxy_host=proxy_host,
                carriers=[make(spec, context, {})],
                telephony=TelephonySettings(allow_unannounced=unannounced),
            ) as server:
                yield Line(server, parts, calls, outcomes)
                await server.emptied()


async def test_a_caller_is_greeted_and_answered() -> None:
    async with line() as phone, phone.called(variables={"plan": "gold"}) as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.3)
        assert answer.latency_secs == pytest.approx(0.45, abs=0.4)
        (info,) = phone.calls
        assert (info.carrier, info.caller, info.callee) == ("genesys", "+15005550006", "+15005550001")
        assert info.body["plan"] == "gold"


async def test_the_caller_is_heard_on_the_first_of_two_channels() -> None:
    both = wire(media=[pcmu(["external", "internal"])])
    plain = both.media
    both.media = lambda audio: plain(bytes(side for sample in audio for side in (sample, 0xFF)))  # type: ignore[method-assign]
    async with line() as phone, phone.called(both) as caller:
        await caller.listen()
        await caller.say(SHORT)
        await caller.listen_for(0.1)


async def test_an_interruption_is_a_barge_in() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.say(SHORT)
        answer = await caller.listen_for(0.6)
        await caller.say(SHORT)
        assert answer.interrupted
        assert caller.cleared_at[0] - caller.said_from == pytest.approx(0.3, abs=0.3)
        assert not (await caller.listen()).interrupted


async def test_keys_are_a_turn() -> None:
    async with line() as phone, phone.called() as caller:
        await caller.listen()
        await caller.press("12#")
        await caller.listen_for(0.1)
        assert "12" in str(phone.parts.llm.prompts[0].messages[-1])


async def test_the_agent_ends_the_call_as_the_protocol_wants_it() -> None:
    async with line(ToolCall("1", "end_call", {"reason": "done"})) as phone:
        genesys = wire()
        async with phone.called(genesys) as caller:
            await caller.say(SHORT)
            assert (await caller.listen_for(0.1)).first_audio_at is not None
            assert (await caller.goodbye()).reason == "agent hung up"
        assert genesys.disconnected == {"reason": "completed"}
        genesys.socket_closed()
        await phone.server.emptied()
        assert phone.outcomes[0].cause == "agent_ended"


async def test_the_flow_learns_whom_the_agent_transfers_to() -> None:
    async with line(ToolCall("1", "transfer_call", {"to": "+15005550009"})) as phone:
        genesys = wire()
        async with phone.called(genesys) as caller:
            await caller.say(SHORT)
            await caller.goodbye()
        assert genesys.disconnected is not None
        assert genesys.disconnected["outputVariables"] == {"transfer_to": "+15005550009"}
        genesys.socket_closed()
        await phone.server.emptied()
        assert phone.outcomes[0].cause == "transferred"


async def test_a_caller_who_hangs_up_leaves_nothing_behind() -> None:
    async with line() as phone:
        async with phone.called() as caller:
            await caller.listen_for(0.1)
            await caller.hang_up()
        await phone.server.emptied()
        assert phone.outcomes[0].cause == "caller_left"


async def test_a_probe_is_answered_and_is_no_call() -> None:
    genesys = wire(probe=True)
    async with line() as phone:
        stream = WireStream(url=f"ws://127.0.0.1:{phone.server.port}/telephony/ws")
        headers = genesys.handshake(stream, at=time.time())
        async with phone.server.ws("/telephony/ws", additional_headers=headers) as socket:
            for messages in (genesys.opening(stream), [genesys.ping()], [genesys.stop()]):
                await socket.send(messages[0])
                assert genesys.understand(await socket.recv()) == []
        assert genesys.closed
        assert phone.calls == []


@pytest.mark.parametrize(
    "genesys",
    [wire(api_key="wrong"), wire(secret=""), wire(secret="AAAA"), wire(secret=f"wrong:{SECRET}")],
    ids=["wrong-key", "unsigned", "wrong-secret", "wrong-key-in-one"],
)
async def test_a_session_without_proof_is_told_so_and_closed(genesys: GenesysWire) -> None:
    async with line() as phone:
        async with phone.called(genesys) as caller:
            ended = await caller.goodbye()
        assert ended.code == 1008
        assert genesys.disconnected == {"reason": "unauthorized"}
        assert phone.calls == []


async def test_a_signature_covers_the_address_that_was_asked() -> None:
    async with line() as phone:
        async with phone.called(path="/telephony/ws?agent=7") as caller:
            await caller.listen_for(0.1)


async def test_behind_a_proxy_the_public_name_is_what_is_signed() -> None:
    genesys = wire()
    async with line(proxy_host="voice.example.com") as phone:
        headers = genesys.handshake(WireStream(url="wss://voice.example.com/telephony/ws"), at=time.time())
        async with phone.server.ws("/telephony/ws", additional_headers=headers) as socket:
            await socket.send(genesys.opening(WireStream(url=""))[0])
            assert genesys.understand(await socket.recv()) == []
            assert genesys.disconnected is None
        async with phone.called() as caller:
            assert (await caller.goodbye()).code == 1008


@pytest.mark.parametrize(("unannounced", "calls"), [(False, 0), (True, 1)])
async def test_without_secrets_streams_are_taken_only_if_it_was_said_so(unannounced: bool, calls: int) -> None:
    async with line(secrets={}, unannounced=unannounced) as phone:
        async with phone.called() as caller:
            if calls:
                await caller.listen_for(0.1)
            else:
                assert (await caller.goodbye()).code == 1008
        assert len(phone.calls) == calls


async def test_a_call_too_many_is_not_connected() -> None:
    async with line(max_sessions=1) as phone, phone.called() as caller:
        await caller.listen_for(0.1)
        with pytest.raises(NotConnectedError, match="503"):
            async with phone.called():
                pass


async def test_the_example_of_the_guide_hears_a_greeting() -> None:
    guide = (ROOT / "docs" / "how-to" / "answer-genesys-calls.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(guide.split("```python\n")[1].split("```")[0], names)
    async with line() as phone:
        assert await names["greeted"](f"http://127.0.0.1:{phone.server.port}", KEY, SECRET)


FAULTS = {
    "missing-marks": PhoneFaults(missing_marks=True),
    "doubled-marks": PhoneFaults(doubled_marks=True),
    "jitter": PhoneFaults(jitter_ms=60),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
async def test_a_call_survives_what_lines_do(faults: PhoneFaults) -> None:
    async with line() as phone, phone.called(faults=faults) as caller:
        await caller.listen()
        await caller.say(SHORT)
        await caller.listen_for(0.1)
