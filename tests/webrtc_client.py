"""The other side of a WebRTC call: aiortc's own peer connection, on this machine."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from typing import Any

import aioice.ice
import anyio
import numpy as np
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, AudioResampler

RATE_HZ = 48_000
SAMPLES = 960
WAIT_SECS = 10.0

Exchange = Callable[[str], Awaitable[str]]
"""Takes an offer to the server and brings its answer."""


def local_only() -> None:
    """Let aioice use loopback, which it leaves out: tests need no other network."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]


class Microphone(MediaStreamTrack):  # type: ignore[misc]
    """Frames of 20 ms in real time: what `say` was given, else silence."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._pcm = b""
        self._pts = 0
        self._start: float | None = None
        self.spoken_at = 0.0  # when the first frame of what was said last went out
        self.on = anyio.Event()

    def say(self, pcm: bytes) -> None:
        """Queue pcm16 mono at 48 kHz."""
        self._pcm += pcm
        self.spoken_at = 0.0

    @property
    def speaking(self) -> bool:
        return bool(self._pcm)

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await self.on.wait()
        self._start = time.monotonic() if self._start is None else self._start
        await anyio.sleep(max(0.0, self._start + self._pts / RATE_HZ - time.monotonic()))
        piece, self._pcm = self._pcm[: 2 * SAMPLES], self._pcm[2 * SAMPLES :]
        if piece and not self.spoken_at:
            self.spoken_at = time.monotonic()
        # In stereo, as aiortc's own way from mono to stereo takes 3 dB.
        frame = AudioFrame(format="s16", layout="stereo", samples=SAMPLES)
        frame.planes[0].update(np.repeat(np.frombuffer(piece.ljust(2 * SAMPLES, b"\0"), "<i2"), 2).tobytes())
        frame.pts, frame.sample_rate, frame.time_base = self._pts, RATE_HZ, Fraction(1, RATE_HZ)
        self._pts += SAMPLES
        return frame


class Client:
    """`sound` are the frames that came: (when, pts, pcm16 mono at 48 kHz)."""

    def __init__(
        self,
        *,
        protocol: str = "",
        channel: bool = True,
        audio: str = "sendrecv",
        video: bool = False,
        muted: bool = False,
    ) -> None:
        local_only()
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.microphone = Microphone()
        if not muted:
            self.microphone.on.set()
        self.sound: list[tuple[float, int, np.ndarray]] = []
        self.messages: list[Any] = []
        self.pc_id = ""
        self._news = anyio.Event()
        if audio:
            self.peer.addTransceiver(self.microphone if "send" in audio else "audio", direction=audio)
        if video:
            self.peer.addTransceiver("video", direction="sendrecv")
        self.channel: RTCDataChannel | None = None
        self.opened = anyio.Event()
        if channel:
            self.channel = self.peer.createDataChannel("chat", protocol=protocol)
            self.channel.on("open", self.opened.set)
            self.channel.on("message", self._message)
        self.tracks: list[MediaStreamTrack] = []
        self.peer.on("track", self.tracks.append)
        self.peer.on("connectionstatechange", self._stir)

    def _stir(self) -> None:
        self._news.set()

    def _message(self, message: str | bytes) -> None:
        self.messages.append(json.loads(message) if isinstance(message, str) and message[:1] == "{" else message)
        self._stir()

    async def offer(self) -> str:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return str(self.peer.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def connect(self, exchange: Exchange) -> None:
        await self.accept(await exchange(await self.offer()))

    async def hear(self) -> None:
        """Record what comes until the connection ends."""
        await self.until(lambda: bool(self.tracks))
        track = next(track for track in self.tracks if track.kind == "audio")
        mono = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                for part in mono.resample(frame):
                    self.sound.append((time.monotonic(), frame.pts, part.to_ndarray()[0]))
                self._stir()

    async def until(self, holds: Callable[[], bool], secs: float = WAIT_SECS) -> None:
        """Wait until something is so; it is looked at again whenever something came."""
        with anyio.fail_after(secs):
            while not holds():
                self._news = anyio.Event()
                with anyio.move_on_after(0.05):
                    await self._news.wait()

    def send(self, message: Any) -> None:
        assert self.channel is not None
        self.channel.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def ask(self, kind: str, data: Any = None, name: str = "q1") -> None:
        """Send an RTVI message."""
        self.send({"id": name, "label": "rtvi-ai", "type": kind, "data": data})

    def kinds(self) -> list[str]:
        return [message.get("type", "") for message in self.messages if isinstance(message, dict)]

    async def got(self, kind: str, count: int = 1) -> Any:
        """The `count`th message of a kind."""
        await self.until(lambda: self.kinds().count(kind) >= count)
        return [it for it in self.messages if isinstance(it, dict) and it.get("type") == kind][count - 1]

    def vanish(self) -> None:
        """Be gone without a word, as a machine that loses its power."""
        for protocol in self.ice._protocols:
            protocol.transport.abort()

    @property
    def ice(self) -> Any:
        sctp = self.peer.sctp
        dtls = sctp.transport if sctp is not None else self.peer.getReceivers()[0].transport
        return dtls.transport._connection


@contextlib.asynccontextmanager
async def calling(exchange: Exchange, **options: Any) -> AsyncIterator[Client]:
    """A client that is connecting, and records what it hears."""
    client = Client(**options)
    try:
        await client.connect(exchange)
        async with anyio.create_task_group() as tasks:
            if "recv" in options.get("audio", "sendrecv"):
                tasks.start_soon(client.hear)
            yield client
            tasks.cancel_scope.cancel()
    finally:
        await client.peer.close()


def tone(hz: float, secs: float, level: float = 0.3) -> bytes:
    """pcm16 mono at 48 kHz."""
    at = np.arange(int(secs * RATE_HZ)) / RATE_HZ
    return (np.sin(2 * np.pi * hz * at) * level * 32_767).astype("<i2").tobytes()


def pitch(samples: np.ndarray, rate_hz: int) -> float:
    """The strongest frequency, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)
