"""What a call over WebRTC costs, and how quickly it answers, beside a bare aiortc echo for the same callers.

    python bench/webrtc.py                     # 1, 10 and 20 calls, and the echo; about four minutes
    python bench/webrtc.py --calls 1 --secs 20
    python bench/webrtc.py --echo-only

As in bench/calls.py the server runs alone on one core; callers and vendors share another. The echo decodes what it
receives and sends it back, as aiortc does it; it hears no speech, asks no vendors and holds no conversation. Callers
code their sound beforehand and do not decode ours: they tell speech from silence by the size of its packets.
"Barge-in" counts from the first frame of speech to the end of the last frame of the answer, less the 200 ms for which
somebody must have spoken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx

sys.path.insert(0, str(Path(__file__).parent))

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from calls import LONG_ANSWER, SILERO_LATE_SECS, Figures, Gaps, Load, clips, show
from stand import LOAD_CORE, SERVER_CORE, TURN_STOP_SECS, Delays, Process, config, pin, served, started, vendors
from voxray_webrtc.opus import FRAME_BYTES, OpusEncoder
from voxray_webrtc.rtp import Outgoing, parse

from voxray.audio.convert import Converter
from voxray.audio.format import PCM_16K, PCM_24K
from voxray.testing.call_account import Clip
from voxray.testing.caller import NoReplyError, NotConnectedError

MIN_SPEECH_SECS = 0.2  # vad_start_secs_vad
SILENT_BYTES = 12  # a payload of silence is never larger, one of speech hardly ever smaller
FRAME_TICKS = 960
CONNECT_SECS = 15.0


class Quiet(MediaStreamTrack):  # type: ignore[misc]
    """Lets aiortc answer for sound, and sends nothing: the caller has its own packets."""

    kind = "audio"

    async def recv(self) -> Any:
        await asyncio.Event().wait()


class Media:
    """Sound and messages over a peer connection, in the manner of a websocket."""

    def __init__(self, coded: dict[bytes, bytes]) -> None:
        self._coded = coded
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._peer.addTransceiver(Quiet(), direction="sendrecv")
        self._channel = self._peer.createDataChannel("chat", protocol="json")
        self._channel.on("message", self._arrived)
        self._channel.on("close", lambda: self._arrived(None))
        self._inbox: deque[Any] = deque()
        self._news = asyncio.Event()
        self._timestamp = 0
        self.packets = 0

    async def connect(self, address: str) -> None:
        opened = asyncio.Event()
        self._channel.on("open", opened.set)
        await self._peer.setLocalDescription(await self._peer.createOffer())
        async with httpx.AsyncClient(timeout=CONNECT_SECS) as http:
            reply = await http.post(
                f"{address}/api/offer", json={"sdp": self._peer.localDescription.sdp, "type": "offer"}
            )
        reply.raise_for_status()
        await self._peer.setRemoteDescription(RTCSessionDescription(reply.json()["sdp"], "answer"))
        with anyio.fail_after(CONNECT_SECS):
            await opened.wait()
        self._dtls = self._peer.sctp.transport
        sender = self._peer.getSenders()[0]
        self._stream = Outgoing(sender._ssrc, random.getrandbits(15), random.getrandbits(32), "bench")
        ice = self._dtls.transport._connection
        ice.data_received = partial(self._datagram, ice.data_received)

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self._channel.send(message)
            return
        packet = self._stream.packet(96, self._timestamp, self._coded[message], marker=False)
        self._timestamp += FRAME_TICKS
        await self._dtls._send_rtp(packet)

    async def recv(self) -> str | bytes:
        while not self._inbox:
            self._news.clear()
            await self._news.wait()
        message = self._inbox.popleft()
        if message is None:
            raise ValueError("the connection is closed")
        return message

    async def close(self) -> None:
        await self._peer.close()

    def _arrived(self, message: Any) -> None:
        self._inbox.append(message)
        self._news.set()

    def _datagram(self, original: Any, data: bytes, component: int) -> None:
        if not 127 < data[0] < 192:
            original(data, component)
        elif not 192 <= data[1] <= 208:
            packet = parse(self._dtls._rx_srtp.unprotect(data))
            if packet is not None:
                self.packets += 1
                if len(packet.payload) > SILENT_BYTES:
                    self._arrived(bytes(FRAME_BYTES))


class PeerCaller(Gaps):
    """A caller over WebRTC, with the JSON messages of /ws over its data channel."""

    def __init__(self, address: str, coded: dict[bytes, bytes]) -> None:
        super().__init__(address)
        self._address = address
        self._media = Media(coded)
        self._interrupted = False
        self._last_speech = 0.0

    async def _open(self) -> Any:
        await self._media.connect(self._address)
        return _Entered(self._media)

    @property
    def stopped_at(self) -> float | None:
        """When the sound of the answer that was interrupted had ended at the ear."""
        return self._last_speech if self._interrupted else None

    @stopped_at.setter
    def stopped_at(self, value: float | None) -> None:
        self._interrupted = value is not None

    def _hear(self, pcm: bytes) -> None:
        super()._hear(pcm)
        self._last_speech = self._ear_until

    def _forget_sound(self) -> None:
        """What was sent is heard: nobody can take it back."""

    def _on_frame(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "InterruptionFrame":
            self._interrupted = True
        super()._on_frame(kind, data)


class _Entered:
    def __init__(self, media: Media) -> None:
        self._media = media

    async def __aenter__(self) -> Media:
        return self._media

    async def __aexit__(self, *error: object) -> None:
        await self._media.close()


class PeerLoad(Load):
    """The callers of bench/calls.py over WebRTC."""

    coded: dict[bytes, bytes]

    async def _one(self, figures: Figures, number: int, after_secs: float) -> None:
        await anyio.sleep(after_secs)
        try:
            async with PeerCaller(self.server.address, self.coded) as caller:
                await self._converse(figures, caller, random.Random(number))
                figures.gaps += caller.gaps
                figures.late_caller_secs = max(figures.late_caller_secs, caller.late_secs)
        except (NoReplyError, NotConnectedError, OSError, httpx.HTTPError) as error:
            figures.failures += 1
            print(f"  call {number}: {type(error).__name__} {error}", file=sys.stderr)


def coded(*spoken: Clip) -> dict[bytes, bytes]:
    """Each frame of pcm16 at 16 kHz, and silence, as a payload."""
    found = {}
    silence = bytes(PCM_16K.size(0.02))
    for frames in [[silence] * 20, *(clip.frames for clip in spoken)]:
        converter, encoder, rest = Converter(PCM_16K, PCM_24K), OpusEncoder(32_000), b""
        for frame in frames:
            rest += converter.process(frame)
            piece, rest = rest[:FRAME_BYTES].ljust(FRAME_BYTES, b"\0"), rest[FRAME_BYTES:]
            found[frame] = encoder.encode(piece)[0]
    return found


# ── the echo ──


def serve_echo() -> None:
    """A bare echo: what aiortc's documentation shows."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    peers: set[RTCPeerConnection] = set()

    async def offer(request: Request) -> JSONResponse:
        given = await request.json()
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        peers.add(peer)
        peer.on("track", peer.addTrack)
        await peer.setRemoteDescription(RTCSessionDescription(given["sdp"], "offer"))
        await peer.setLocalDescription(await peer.createAnswer())
        return JSONResponse({"sdp": peer.localDescription.sdp, "type": "answer", "pc_id": str(len(peers))})

    app = Starlette(routes=[Route("/api/offer", offer, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=0, loop="uvloop", access_log=False)


async def echoed(process: Process, calls: int, secs: float, payloads: dict[bytes, bytes], question: Clip) -> float:
    """Core seconds per second and call of an echo of callers who speak half of the time."""
    medias = [Media(payloads) for _ in range(calls)]
    silence = bytes(PCM_16K.size(0.02))
    frames = [*question.frames, *[silence] * len(question.frames)]

    async def talk(media: Media, number: int) -> None:
        at = anyio.current_time()
        position = number * 7
        while True:
            await media.send(frames[position % len(frames)])
            position += 1
            at += 0.02
            await anyio.sleep_until(at)

    for media in medias:
        await media.connect(process.address)
    async with anyio.create_task_group() as tasks:
        for number, media in enumerate(medias):
            tasks.start_soon(talk, media, number)
        await anyio.sleep(2.0)
        began, cpu, heard = time.monotonic(), process.cpu_secs, sum(media.packets for media in medias)
        await anyio.sleep(secs)
        elapsed = time.monotonic() - began
        spent = (process.cpu_secs - cpu) / elapsed / calls
        rate = (sum(media.packets for media in medias) - heard) / elapsed / calls
        print(json.dumps({"echo of calls": calls, "% a call": round(spent * 100, 2), "packets/s": round(rate, 1)}))
        tasks.cancel_scope.cancel()
    for media in medias:
        await media.close()
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", default="1,10,20", help="levels of load, separated by commas")
    parser.add_argument("--secs", type=float, default=30.0, help="length of each call")
    parser.add_argument("--echo-only", action="store_true")
    parser.add_argument("--serve-echo", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve_echo:
        serve_echo()
        return
    question, interruption = clips()
    payloads = coded(question, interruption)
    levels = [int(calls) for calls in args.calls.split(",")]
    pin(os.getpid(), LOAD_CORE)
    echoes: dict[int, float] = {}
    with started([sys.executable, __file__, "--serve-echo"], SERVER_CORE) as echo:
        for calls in levels:
            echoes[calls] = anyio.run(
                echoed, echo, calls, args.secs / 2, payloads, question, backend_options={"use_uvloop": True}
            )
    if args.echo_only:
        return
    delays = Delays(first_token_ms=50, first_audio_ms=50)
    settings = {"transport": "smallwebrtc", "webrtc_ice_servers": []}
    rows: list[dict[str, Any]] = []
    with (
        vendors(LONG_ANSWER, delays, ms_per_char=30) as vendor,
        served(config(vendor.address, **settings)) as process,
    ):
        known = TURN_STOP_SECS + delays.secs + SILERO_LATE_SECS
        load = PeerLoad(process, vendor, "", question, interruption, known, args.secs)
        load.coded = payloads
        for calls in levels:
            figures = anyio.run(load.level, calls, backend_options={"use_uvloop": True})
            figures.stops = [secs - MIN_SPEECH_SECS for secs in figures.stops]
            row = figures.row()
            row["echo, % a call"] = round(echoes[calls] * 100, 2)
            row["ratio"] = round(figures.cpu_per_call / echoes[calls], 2)
            rows.append(row)
            print(json.dumps(row), flush=True)
    show(rows)


if __name__ == "__main__":
    main()
