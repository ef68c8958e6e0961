"""The pocketsphinx recogniser: streams for calls, decoded by two threads for the whole process."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from voxray.errors import ProviderError, ProviderRefused, ProviderUnavailable
from voxray_pocketsphinx.automaton import minimal
from voxray_pocketsphinx.jsgf import GrammarError, parse
from voxray_pocketsphinx.library import Decoder, DecoderError, Models, included
from voxray_pocketsphinx.utterance import BYTES_PER_SEC, Result, Utterances
from voxray_pocketsphinx.words import dictionary_lines

if TYPE_CHECKING:
    from types import TracebackType

    from voxray.protocols.context import ProviderContext

THREADS = 2
BATCH_BYTES = BYTES_PER_SEC // 10  # decoded at a time: a job per 20 ms frame would cost more than the decoding
BACKLOG_BYTES = 10 * BYTES_PER_SEC  # waiting to be decoded; `send` blocks beyond it


class Decoders:
    """Makes decoders, one ahead of need. A decoder serves one call: what it heard changes how it hears."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._lock = threading.Lock()
        self._spare: Decoder | None = None
        self._closed = False

    def prepare(self) -> None:
        """Make the spare decoder if there is none. Blocks. Raises DecoderError."""
        with self._lock:
            if self._spare is not None or self._closed:
                return
        made: Decoder | None = Decoder(self._models)
        with self._lock:
            if self._spare is None and not self._closed:
                self._spare, made = made, None
        if made is not None:
            made.close()

    def take(self) -> Decoder:
        """The spare, or a new one. Blocks in that case. Raises DecoderError."""
        with self._lock:
            spare, self._spare = self._spare, None
        return spare or Decoder(self._models)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            spare.close()


class PocketsphinxStt:
    """SpeechToText. Enter it to check the grammar, load the models and start the threads."""

    def __init__(
        self,
        context: ProviderContext,
        *,
        grammar: str,
        pronunciations: Mapping[str, str],
        endpointing: bool,
        endpoint_silence_ms: int,
        hmm: str,
        lm: str,
        dict: str,  # noqa: A002 - PocketSphinx's own word, and the option's name
    ) -> None:
        self._name = context.name
        self._grammar = grammar
        self._pronunciations = pronunciations
        self._pause_ms = endpoint_silence_ms if endpointing else 0
        self._hmm = hmm or str(included("en-us"))
        self._lm = lm or str(included("en-us.lm.bin"))
        self._dictionary = Path(dict) if dict else included("cmudict-en-us.dict")
        self._english = not hmm
        self._folder = ""
        self._threads: ThreadPoolExecutor | None = None
        self._decoders: Decoders | None = None

    async def __aenter__(self) -> PocketsphinxStt:
        """Make the first decoder, so that what is wrong shows now.

        Raises:
            ProviderRefused: the grammar or a file cannot be used, or words have no pronunciation; they are named.
        """
        self._threads = ThreadPoolExecutor(THREADS, "pocketsphinx")
        try:
            await asyncio.wrap_future(self._threads.submit(self._load))
        except BaseException as error:
            await self._shut_down()
            if isinstance(error, DecoderError | GrammarError | OSError):
                raise ProviderRefused(self._name, str(error)) from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._shut_down()

    async def _shut_down(self) -> None:
        threads, self._threads = self._threads, None
        if threads is None:
            return
        with anyio.CancelScope(shield=True):  # bounded: streams that are closed decode nothing more
            await anyio.to_thread.run_sync(threads.shutdown)
        if self._decoders is not None:
            self._decoders.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self) -> None:
        models = self._models()
        self._decoders = Decoders(models)
        self._decoders.prepare()

    def _models(self) -> Models:
        """Raises GrammarError, OSError."""
        grammar = _read(self._grammar)
        if not grammar and not self._pronunciations:
            return Models(hmm=self._hmm, dictionary=str(self._dictionary), lm=self._lm)
        self._folder = tempfile.mkdtemp(prefix="voxray-pocketsphinx-")
        words = Path(self._folder, "words.dict")
        if not grammar:
            added = [f"{word} {phones}\n" for word, phones in self._pronunciations.items()]
            words.write_text(self._dictionary.read_text("utf-8") + "".join(added), "utf-8")
            return Models(hmm=self._hmm, dictionary=str(words), lm=self._lm)
        graph = minimal(parse(grammar))
        lines, missing = dictionary_lines(graph.words, self._dictionary, self._pronunciations)
        if missing:
            quoted = ", ".join(f'"{word}"' for word in missing[:20]) + (" …" if len(missing) > 20 else "")
            raise GrammarError(
                f"the dictionary has no pronunciation of {quoted}; choose other words or give `pronunciations`"
            )
        words.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        sentences = Path(self._folder, "sentences.fsg")
        sentences.write_text(graph.fsg(), "utf-8")
        return Models(hmm=self._hmm, dictionary=str(words), graph=str(sentences))

    @asynccontextmanager
    async def open(self, *, language: str | None = None) -> AsyncGenerator[PocketsphinxStream, None]:
        """A stream for one call; at once, what it needs is loaded behind it.

        Raises:
            ProviderRefused: the included models know English only.
        """
        if self._threads is None or self._decoders is None:
            raise RuntimeError("the recogniser is closed: enter the provider first")
        if language and self._english and not language.lower().startswith("en"):
            raise ProviderRefused(self._name, f'the included models know English, not "{language}"; set hmm, lm, dict')
        stream = PocketsphinxStream(
            self._name, self._threads, self._decoders, pause_ms=self._pause_ms, whole=bool(self._grammar)
        )
        try:
            yield stream
        finally:
            stream.close()


class PocketsphinxStream:
    """One call's ears. Its sound is decoded in order, by whichever thread is free."""

    def __init__(
        self, name: str, threads: ThreadPoolExecutor, decoders: Decoders, *, pause_ms: int, whole: bool
    ) -> None:
        self._name = name
        self._threads = threads
        self._decoders = decoders
        self._pause_ms = pause_ms
        self._whole = whole
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes | None] = deque()  # None: flush
        self._queued_bytes = 0
        self._urgent = False
        self._running = False
        self._closed = False
        self._room = anyio.Event()
        self._error: ProviderError | None = None
        self._send, self._results = anyio.create_memory_object_stream[Result](float("inf"))
        # Only touched by the job that runs, and by the one that closes after it.
        self._decoder: Decoder | None = None
        self._utterances: Utterances | None = None
        self._submit(self._prepare)

    async def send(self, pcm: bytes) -> None:
        """Take pcm16 mono 16 kHz of any even length; waits while ten seconds are undecoded.

        Raises:
            ProviderUnavailable: the decoder failed; another stream may work.
        """
        while self._queued_bytes > BACKLOG_BYTES and self._error is None:
            self._room = anyio.Event()
            await self._room.wait()
        if self._error is not None:
            raise self._error
        self._queue.append(pcm)
        self._queued_bytes += len(pcm)
        self._go_on()

    async def flush(self) -> None:
        """End the utterance. Raises ProviderUnavailable like `send`."""
        if self._error is not None:
            raise self._error
        self._queue.append(None)
        self._urgent = True
        self._go_on()

    def __aiter__(self) -> AsyncIterator[Result]:
        return self

    async def __anext__(self) -> Result:
        """The next result. Raises ProviderUnavailable like `send`, after what was understood before."""
        try:
            return await self._results.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError):
            raise self._error or StopAsyncIteration from None

    def close(self) -> None:
        """Forget what is undecoded and free the decoder."""
        self._closed = True
        self._queue.clear()
        self._send.close()
        self._results.close()
        if not self._running:
            self._submit(self._free)

    # On the loop.

    def _go_on(self) -> None:
        if self._running or self._closed or (not self._urgent and self._queued_bytes < BATCH_BYTES):
            return
        batch = tuple(self._queue)
        self._queue.clear()
        self._queued_bytes = 0
        self._urgent = False
        self._room.set()
        self._submit(lambda: self._decode(batch))

    def _submit(self, work: Callable[[], list[Result]]) -> None:
        try:
            job = self._threads.submit(work)
        except RuntimeError:  # the provider has been closed before its streams
            self._free()
            self._fail(ProviderUnavailable(self._name, "the recogniser has been closed"))
            return
        self._running = True
        job.add_done_callback(self._hand_over)

    def _done(self, job: Future[list[Result]]) -> None:
        self._running = False
        error = job.exception()
        if self._closed:
            if self._decoder is not None:
                self._submit(self._free)
            return
        if error is not None:
            self._fail(ProviderUnavailable(self._name, str(error)))
            return
        for result in job.result():
            self._send.send_nowait(result)
        self._go_on()

    def _fail(self, error: ProviderError) -> None:
        self._error = error
        self._room.set()
        self._send.close()

    # On a thread.

    def _hand_over(self, job: Future[list[Result]]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._done, job)
        except RuntimeError:  # the loop has ended; nobody else uses the decoder any more
            self._free()

    def _prepare(self) -> list[Result]:
        if not self._closed:
            self._decoder = self._decoders.take()
            self._utterances = Utterances(self._decoder, pause_ms=self._pause_ms, whole=self._whole)
            self._threads_prepare()
        return []

    def _threads_prepare(self) -> None:
        try:
            self._threads.submit(self._decoders.prepare)
        except RuntimeError:  # shutting down
            return

    def _decode(self, batch: tuple[bytes | None, ...]) -> list[Result]:
        found: list[Result] = []
        assert self._utterances is not None
        for sound, flush in _joined(batch):
            for start in range(0, len(sound), BATCH_BYTES):
                if self._closed:
                    return []
                found += self._utterances.feed(sound[start : start + BATCH_BYTES])
            if flush:
                found += self._utterances.flush()
        return found

    def _free(self) -> list[Result]:
        decoder, self._decoder = self._decoder, None
        if decoder is not None:
            decoder.close()
        return []


def _joined(batch: tuple[bytes | None, ...]) -> list[tuple[bytes, bool]]:
    """The sound up to each flush, and what comes after the last."""
    rows: list[tuple[bytes, bool]] = []
    sound: list[bytes] = []
    for item in batch:
        if item is None:
            rows.append((b"".join(sound), True))
            sound = []
        else:
            sound.append(item)
    rows.append((b"".join(sound), False))
    return rows


def _read(grammar: str) -> str:
    """Grammar text, given as such or as a path. Raises OSError, GrammarError."""
    if not grammar or grammar.lstrip("\ufeff \t\r\n").startswith("#JSGF"):
        return grammar.lstrip("\ufeff \t\r\n")
    try:
        return Path(grammar).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GrammarError(f'the grammar "{grammar}" is not UTF-8') from error
