"""Our side of a WebRTC call without a server: the peers, and a source of sound."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from types import SimpleNamespace
from typing import Any

import anyio
from voxray_webrtc.peers import WebRtcPeers
from voxray_webrtc.transport import WebRtcTransport

from voxray.audio.format import PCM_24K
from voxray.plugin import SerializerSpec
from voxray.protocols.peers import Accepted, Offer
from voxray.protocols.serializer import Serializer
from voxray.protocols.transport import AudioSource
from voxray.registry import Registry, make

SERIALIZERS = {spec.query: spec for spec in Registry.load().specs(SerializerSpec)}


def context(**overrides: Any) -> Any:
    def serializer(query: Mapping[str, str]) -> Serializer:
        made: Serializer = make(SERIALIZERS["rtvi" if query.get("rtvi") else ""], None, {})
        return made

    return SimpleNamespace(
        **{"name": "webrtc", "idle_secs": 300.0, "ice_servers": [], "serializer": serializer, **overrides}
    )


class Voice(AudioSource):
    """A source with the model of a playout: what was taken is heard from then on, or after what was taken before."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._ear_at = 0.0
        self._ready = anyio.Event()
        self.taken = 0

    def say(self, pcm: bytes) -> None:
        self._pieces.append(pcm)
        self._ready.set()

    def clear(self) -> None:
        self._pieces.clear()
        self._ear_at = anyio.current_time()

    def take(self, size: int) -> bytes | None:
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
            piece = piece[:size]
        self.taken += len(piece)
        self._ear_at = max(self._ear_at, anyio.current_time()) + PCM_24K.secs(len(piece))
        return piece

    def lead_secs(self) -> float:
        return max(0.0, self._ear_at - anyio.current_time())

    async def wait(self) -> None:
        while not self._pieces:
            self._ready = anyio.Event()
            await self._ready.wait()


class Desk:
    """Answers what connects: each transport is established, played to, and what it receives is kept."""

    def __init__(self, peers: WebRtcPeers) -> None:
        self.peers = peers
        self.voice = Voice()
        self.heard: list[Any] = []
        self.failures: list[BaseException] = []
        self.accepted: list[Accepted] = []
        self.established: list[bool] = []
        self.tasks = anyio.create_task_group()
        self.over = anyio.Event()
        self.on_item: Callable[[Any], None] = self.heard.append

    @property
    def transport(self) -> WebRtcTransport:
        found = self.accepted[-1].transport or self.accepted[0].transport
        assert isinstance(found, WebRtcTransport)
        return found

    async def exchange(self, sdp: str, **options: Any) -> str:
        accepted = await self.peers.accept(Offer(sdp=sdp, **options))
        self.accepted.append(accepted)
        if accepted.transport is not None:
            self.tasks.start_soon(self.hold, accepted.transport)
        return accepted.sdp

    async def hold(self, transport: Any) -> None:
        self.established.append(await transport.established())
        if self.established[-1]:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._play, transport)
                try:
                    while True:
                        self.on_item(await transport.receive())
                except Exception as error:
                    self.failures.append(error)
                tasks.cancel_scope.cancel()
            await transport.close("caller_left", "")
        self.over.set()

    async def _play(self, transport: Any) -> None:
        try:
            await transport.play(self.voice)
        except Exception as error:
            self.failures.append(error)

    def events(self) -> list[Any]:
        return [item for item in self.heard if not isinstance(item, bytes)]

    def forget(self) -> None:
        """Let go of what was seen so far; tracebacks hold whole calls."""
        self.heard.clear()
        self.accepted.clear()
        self.failures.clear()

    def sound(self) -> bytes:
        return b"".join(item for item in self.heard if isinstance(item, bytes))


@contextlib.asynccontextmanager
async def desk(*, listening: Mapping[str, Any] | None = None, **options: Any) -> AsyncIterator[Desk]:
    async with WebRtcPeers(context(**(listening or {})), **{"addresses": ["127.0.0.1"], **options}) as peers:
        made = Desk(peers)
        async with made.tasks:
            yield made
            made.tasks.cancel_scope.cancel()
