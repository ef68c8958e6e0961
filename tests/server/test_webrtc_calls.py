"""Calls over WebRTC: the real server, the real peers, and aiortc's own peer connection as the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from voxray_webrtc.peers import WebRtcPeers

from tests.server.serving import Served, serving
from tests.webrtc_client import Client, calling
from tests.webrtc_desk import context
from voxray.audio.format import PCM_24K
from voxray.audio.tone import tone
from voxray.session.services import SessionOptions
from voxray.testing.fakes import ScriptedLlm, ScriptedTts, services

pytestmark = pytest.mark.anyio

PITCH_HZ = 600
READY = {"version": "2.1.0", "about": {"library": "test"}}


class ToneTts(ScriptedTts):
    """Says everything in one pitch: Opus takes away the constant values of the other fakes."""

    async def _say(self, text: str) -> AsyncGenerator[bytes, None]:
        self.sentences.append(text)
        yield tone([PITCH_HZ], len(text) * self._secs_per_char, PCM_24K.rate_hz)


def quick(text: str = "One two three.") -> Any:
    return services(
        llm=ScriptedLlm([text] * 5, first_token_secs=0, token_secs=0),
        tts=ToneTts(audio=PCM_24K, first_audio_secs=0, secs_per_char=0.01),
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
        client.ask("send-text", {"content": "hello"})
        await client.got("bot-stopped-speaking", 2)
        client.ask("disconnect-bot")
        assert (await client.got("signalling"))["message"] == {"type": "peerLeft"}
        await server.emptied()


def loud(client: Client) -> list[np.ndarray]:
    """The frames of 20 ms in which the client heard something."""
    return [part for _, _, part in client.sound if np.abs(part).max() > 500]
