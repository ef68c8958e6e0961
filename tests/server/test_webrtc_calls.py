"""Calls over WebRTC: the real server, the real peers, and aiortc's own peer connection as the client."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import numpy as np
import pytest
from voxray_webrtc.peers import WebRtcPeers

from tests.server.serving import Served, serving
from tests.webrtc_client import Client, calling, tone as tone_48k
from tests.webrtc_desk import context
from voxray.audio.format import PCM_24K
from voxray.audio.tone import tone
from voxray.builtin.energy_vad import EnergyVad
from voxray.builtin.memory_store import MemoryStore
from voxray.server.calls import Hooks
from voxray.session.services import SessionOptions
from voxray.testing.fake_ears import ScriptedStt
from voxray.testing.fakes import ScriptedLlm, ScriptedTts, services

pytestmark = pytest.mark.anyio

PITCH_HZ = 600
READY = {"version": "2.1.0", "about": {"library": "test"}}


class ToneTts(ScriptedTts):
    """Says everything in one pitch: Opus takes away the constant values of the other fakes."""

    async def _say(self, text: str) -> AsyncGenerator[bytes, None]:
        self.sentences.append(text)
        yield tone([PITCH_HZ], len(text) * self._secs_per_char, PCM_24K.rate_hz)


def quick(text: str = "One two three.", **overrides: Any) -> Any:
    return services(
        llm=ScriptedLlm([text] * 5, first_token_secs=0, token_secs=0),
        tts=ToneTts(audio=PCM_24K, first_audio_secs=0, secs_per_char=0.01),
        **overrides,
    )


@asynccontextmanager
async def webrtc(*, peers: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[Served]:
    async with WebRtcPeers(context(), **{"addresses": ["127.0.0.1"], **(peers or {})}) as made:
        async with serving(peers=made, **{"parts": quick(), **options}) as server:
            yield server


class Offers:
    """Brings offers to the server; `pc_id` is what the last answer said."""

    def __init__(self, server: Served, path: str = "/api/offer", **fields: Any) -> None:
        self.pc_id = ""
        self._server = server
        self._path = path
        self._fields = fields

    async def __call__(self, sdp: str) -> str:
        reply = await self._server.http.post(self._path, json={"sdp": sdp, "type": "offer", **self._fields})
        assert reply.status_code == 200, reply.text
        self.pc_id = reply.json()["pc_id"]
        return str(reply.json()["sdp"])


async def test_a_call_in_rtvi_over_a_data_channel() -> None:
    options = SessionOptions(greeting="Hi there, how are you?")
    async with webrtc(options=options) as server, calling(Offers(server), video=True) as client:
        await client.opened.wait()
        assert not client.messages
        client.ask("client-ready", READY, "r1")
        ready = await client.got("bot-ready")
        assert ready["id"] == "r1"
        await client.got("bot-stopped-speaking")
        await client.until(lambda: len(loud(client)) >= 11)
        assert len(loud(client)) * 0.02 == pytest.approx(0.22, abs=0.03)
        client.send({"type": "signalling", "message": {"type": "trackStatus", "receiver_index": 1, "enabled": False}})
        client.send("ping: 1732833000000")
        client.ask("send-text", {"content": "hello"})
        await client.got("bot-stopped-speaking", 2)
        assert "error" not in client.kinds()
        client.ask("disconnect-bot")
        assert (await client.got("signalling"))["message"] == {"type": "peerLeft"}
        await server.emptied()


async def test_a_call_in_json_over_a_data_channel() -> None:
    options = SessionOptions(greeting="Hi.")
    async with webrtc(options=options) as server, calling(Offers(server, "/webrtc/offer"), protocol="json") as client:
        await client.got("BotStoppedSpeakingFrame")
        assert client.kinds()[0] == "StartFrame"
        client.send({"type": "TranscriptionFrame", "data": {"text": "hello", "finalized": True}})
        await client.got("BotStoppedSpeakingFrame", 2)
        client.send(b"\0\0")
        client.send("no JSON")
        errors = [(await client.got("ErrorFrame", number))["data"]["error"] for number in (1, 2)]
        assert errors == ["binary messages are not understood here", "not JSON"]
        client.send({"type": "EndFrame", "data": {"reason": "bye"}})
        assert (await client.got("EndFrame"))["data"]["reason"] == "client_asked"
        await client.got("signalling")
        await server.emptied()


async def test_a_caller_without_a_data_channel_is_greeted_once_connected() -> None:
    options = SessionOptions(greeting="Hi there, how are you?")
    async with webrtc(options=options) as server, calling(Offers(server), channel=False) as client:
        await client.until(lambda: len(loud(client)) >= 11)


async def test_speech_is_answered_and_interrupts() -> None:
    parts = quick("A very long answer, " * 40, vad=EnergyVad(None, threshold=0.02), stt=ScriptedStt(["hello", "wait"]))
    options = SessionOptions(turn_stop_secs=0.3)
    async with webrtc(parts=parts, options=options) as server, calling(Offers(server), protocol="json") as client:
        await client.got("StartFrame")
        client.microphone.say(tone_48k(300, 0.8))
        await client.got("BotStartedSpeakingFrame")
        await client.until(lambda: len(loud(client)) > 20)
        client.microphone.say(tone_48k(300, 0.8))
        await client.got("InterruptionFrame")
        at = time.monotonic()
        began = client.microphone.spoken_at
        await client.until(lambda: bool(client.sound) and np.abs(client.sound[-1][2]).max() < 500)
        assert at - began < options.vad_start_secs + 0.3
        # The client's own buffer holds four frames; what it heard after the news is no more than that.
        assert time.monotonic() - at < 0.3
        assert (await client.got("UserTurnFrame", 2))["data"]["text"] == "wait"


async def test_a_restart_keeps_the_call_and_its_history() -> None:
    parts = quick()
    async with webrtc(parts=parts, options=SessionOptions(greeting="Hi.")) as server:
        offers = Offers(server)
        async with calling(offers) as first:
            await first.opened.wait()
            first.ask("client-ready", READY)
            await first.got("bot-stopped-speaking")
            first.ask("send-text", {"content": "one"})
            await first.got("bot-stopped-speaking", 2)
            again = Offers(server, pc_id=offers.pc_id, restart_pc=True)
            async with calling(again) as second:
                assert again.pc_id == offers.pc_id
                await second.opened.wait()
                second.ask("client-ready", READY)
                await second.got("bot-ready")
                second.ask("send-text", {"content": "two"})
                await second.got("bot-stopped-speaking")
                assert len(server.calls) == 1
                said = [message.text for message in parts.llm.prompts[-1].messages]
    assert said == ["Hi.", "one", "One two three.", "two"]


async def test_the_offer_of_a_session_brings_its_body_to_the_call() -> None:
    seen: list[Any] = []
    hooks = Hooks(started=[seen.append])
    async with webrtc(hooks=hooks, session_store=MemoryStore(None)) as server:
        started = (await server.http.post("/start", json={"body": {"a": 1}})).json()
        path = f"/sessions/{started['sessionId']}/api/offer"
        offers = Offers(server, path, requestData={"b": 2})
        async with calling(offers, channel=False) as client:
            await client.until(lambda: bool(seen))
            body = {"pc_id": offers.pc_id, "candidates": [{"candidate": "", "sdp_mid": "0", "sdp_mline_index": 0}]}
            assert (await server.http.patch(path, json=body)).status_code == 204
    assert (seen[0].session_id, seen[0].transport) == (started["sessionId"], "webrtc")
    assert seen[0].body == {"a": 1, "b": 2}


async def test_what_is_no_offer_is_refused_with_the_reason() -> None:
    async with webrtc() as server:
        refused = await server.http.post("/api/offer", json={"sdp": "v=0\r\n", "type": "offer"})
        unknown = await server.http.patch("/api/offer", json={"pc_id": "x", "candidates": [{"candidate": "y"}]})
    assert refused.status_code == 422
    assert "neither sound in Opus nor a data channel" in refused.text
    assert unknown.status_code == 404


async def test_the_longest_duration_counts_from_the_first_sound() -> None:
    options = SessionOptions(max_duration_secs=0.4)
    async with webrtc(options=options) as server, calling(Offers(server), muted=True) as client:
        await client.opened.wait()
        await client.until(lambda: len(server.calls) == 1)
        with anyio.move_on_after(1.0):
            await server.calls.emptied()
        assert len(server.calls) == 1
        client.microphone.on.set()
        await client.got("signalling")
        await server.emptied()
        assert await server.metric('sessions_total{cause="max_duration"') == 1


async def test_a_caller_who_leaves_ends_the_call() -> None:
    async with webrtc() as server:
        async with calling(Offers(server)) as client:
            await client.until(lambda: len(server.calls) == 1)
        await server.emptied()
        assert await server.metric('sessions_total{cause="caller_left"') == 1


async def test_a_server_that_stops_ends_calls_and_those_on_their_way() -> None:
    async with webrtc() as server:
        client, waiting = Client(), Client()
        await client.connect(Offers(server))
        await client.until(lambda: len(server.calls) == 1)
        await Offers(server)(await waiting.offer())
    await client.got("signalling")
    await client.until(lambda: client.peer.connectionState == "closed")
    await client.peer.close()
    await waiting.peer.close()


def loud(client: Client) -> list[np.ndarray]:
    """The frames of 20 ms in which the client heard something."""
    return [part for _, _, part in client.sound if np.abs(part).max() > 500]
