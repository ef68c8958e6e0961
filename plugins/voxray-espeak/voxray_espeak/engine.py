"""The espeak voice: sentences in, PCM at 22050 Hz out, spoken by one thread for the whole process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from voxray.audio.format import PCM_22K
from voxray.errors import ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.streaming import streaming
from voxray_espeak.library import Library, Settings, UnknownVoiceError

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.streams.memory import MemoryObjectSendStream

    from voxray.protocols.context import ProviderContext

T = TypeVar("T")

PART_CHARS = 500  # spoken at one go: bounds the memory of a stream and the time another caller waits (about 30 ms)
PIECE_BYTES = 8192  # handed over at once after the first piece: a wake-up of the loop costs more than copying


class Engine:
    """The library and its thread, shared by all voices of the process; there while somebody uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._thread: ThreadPoolExecutor | None = None
        self._library: Library | None = None

    def submit(self, work: Callable[[Library], T]) -> Future[T]:
        """Run `work` on the engine's thread, after everything submitted before."""
        with self._lock:
            if self._thread is None:
                raise RuntimeError("the engine is closed: enter the provider first")
            return self._thread.submit(self._run, work)

    def _run(self, work: Callable[[Library], T]) -> T:
        if self._library is None:
            self._library = Library()
        return work(self._library)

    def acquire(self) -> None:
        with self._lock:
            self._users += 1
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, "espeak")

    def release(self) -> None:
        """Give up one use. The last one ends the thread, waiting for what it is saying (a few ms)."""
        with self._lock:
            self._users -= 1
            if self._users or self._thread is None:
                return
            thread, self._thread = self._thread, None
            thread.submit(self._close)
            # Inside the lock: a new user must not start a second thread before this one has let go of the library.
            thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._library is not None:
            self._library.close()
            self._library = None


_ENGINE = Engine()  # espeak-ng has global state; there can be only one


class EspeakTts:
    """SentenceSynthesizer. Enter it to start the engine's thread; leaving it ends the thread with the last user."""

    audio = PCM_22K

    def __init__(
        self, context: ProviderContext, *, voice: str, language: str, rate_wpm: int, pitch: int, volume: int
    ) -> None:
        self._name = context.name
        self._settings = Settings(voice or language, rate_wpm, pitch, volume)

    async def __aenter__(self) -> EspeakTts:
        """Start the engine and look the voice up.

        Raises:
            ProviderRefused: espeak has no such voice.
            ProviderUnavailable: the library cannot be loaded.
        """
        _ENGINE.acquire()
        try:
            await asyncio.wrap_future(_ENGINE.submit(lambda library: library.apply(self._settings)))
        except UnknownVoiceError as error:
            _ENGINE.release()
            raise ProviderRefused(
                self._name, f'espeak has no voice "{error}"; `voxray espeak voices` lists them'
            ) from error
        except OSError as error:
            _ENGINE.release()
            raise ProviderUnavailable(self._name, f"cannot load espeak-ng: {error}") from error
        except BaseException:
            _ENGINE.release()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ENGINE.release()

    @streaming
    async def synthesize(self, text: str) -> AsyncGenerator[bytes, None]:
        """Yield pcm16 at 22050 Hz while it is being made. Nothing for text without a letter or digit.

        The same text sounds the same but is not the same bytes: espeak's voice flutters on from one text to the next.

        Raises:
            ProviderProtocolError: espeak gave up on the text.
        """
        for part in parts(text):
            delivery = _Delivery()
            try:
                job = _ENGINE.submit(partial(self._speak, part, delivery))
            except BaseException:
                delivery.close()
                raise
            job.add_done_callback(delivery.finish)
            try:
                async for piece in delivery.pieces:
                    yield piece
                await self._outcome(job)
            finally:
                job.cancel()
                delivery.close()

    def _speak(self, text: str, delivery: _Delivery, library: Library) -> None:
        library.apply(self._settings)
        library.speak(text, delivery.take)
        delivery.flush()

    async def _outcome(self, job: Future[None]) -> None:
        try:
            await asyncio.wrap_future(job)
        except OSError as error:
            raise ProviderProtocolError(self._name, str(error)) from error


class _Delivery:
    """Carries sound from the engine's thread to the loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._send: MemoryObjectSendStream[bytes]
        self._send, self.pieces = anyio.create_memory_object_stream[bytes](float("inf"))
        self._closed = False
        self._held = b""
        self._target = 1

    # On the engine's thread.

    def take(self, pcm: bytes) -> bool:
        self._held += pcm
        if len(self._held) >= self._target:
            self._target = PIECE_BYTES
            self.flush()
        return not self._closed

    def flush(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._later(self._hand_over, held)

    def finish(self, _job: Future[None]) -> None:
        self._later(self._send.close)

    def _later(self, work: Callable[..., Any], *args: Any) -> None:
        if self._closed:
            return
        try:
            self._loop.call_soon_threadsafe(work, *args)
        except RuntimeError:  # the loop has ended, so nobody listens
            self._closed = True

    # On the loop.

    def _hand_over(self, pcm: bytes) -> None:
        if not self._closed:
            self._send.send_nowait(pcm)

    def close(self) -> None:
        self._closed = True
        self._send.close()
        self.pieces.close()


def parts(text: str) -> Iterator[str]:
    """Cut `text` at spaces into pieces of at most `PART_CHARS`; nothing if there is nothing to pronounce."""
    rest = text.strip()
    while rest:
        if len(rest) <= PART_CHARS:
            part, rest = rest, ""
        else:
            cut = rest.rfind(" ", 1, PART_CHARS)
            cut = cut if cut > 0 else PART_CHARS
            part, rest = rest[:cut], rest[cut:].lstrip()
        if any(character.isalnum() for character in part):
            yield part
