"""One caller's voice, open and warm for the whole call, opened again when it broke."""

from __future__ import annotations

import math

import anyio

from voxray.audio.format import AudioFormat
from voxray.errors import ProviderError, ProviderUnavailable
from voxray.protocols.tts import TextToSpeech, Voice
from voxray.session.groups import only

OPEN_SECS = 4.0  # a connection that takes longer is not coming


class VoiceLine:
    """Owns what `TextToSpeech.open()` yields, in a task of its own so that it outlives the replies."""

    def __init__(self, tts: TextToSpeech, name: str) -> None:
        self._tts = tts
        self._name = name
        self._voice: Voice | None = None
        self._error: ProviderError | None = None
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._broken = anyio.Event()

    @property
    def audio(self) -> AudioFormat:
        return self._tts.audio

    async def get(self) -> Voice:
        """The open voice. Raises ProviderError if it cannot be opened now."""
        if self._voice is None:
            self._settled = anyio.Event()
            self._wanted.set()
            await self._settled.wait()
        if self._voice is None:
            assert self._error is not None
            raise self._error
        return self._voice

    def broken(self) -> None:
        """The voice failed: the next `get()` opens a new one."""
        self._voice = None
        self._broken.set()

    async def run(self) -> None:
        """Open at once, and again when asked, until cancelled."""
        self._wanted.set()
        while True:
            await self._wanted.wait()
            self._wanted, self._broken = anyio.Event(), anyio.Event()
            try:
                await self._hold()
            except ProviderError as error:
                self._voice, self._error = None, error
                self._settled.set()

    async def _hold(self) -> None:
        # The scope is around all of it because what `open()` enters must be left before; so its deadline is lifted.
        with only(ProviderError), anyio.CancelScope(deadline=anyio.current_time() + OPEN_SECS) as opening:
            async with self._tts.open() as voice:
                opening.deadline = math.inf
                self._voice, self._error = voice, None
                self._settled.set()
                await self._broken.wait()
        if opening.cancelled_caught:
            raise ProviderUnavailable(self._name, f"no connection within {OPEN_SECS:g} s")
