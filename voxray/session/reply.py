"""Making one reply: model, sentences, voice, playout; one pull chain inside the reply's lease.

The model runs ahead in a task of its own so that a late answer can be bridged with the waiting phrase; everything else
pulls. Leaving the lease's scope closes the vendors' streams.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from voxray.audio.convert import Converter
from voxray.audio.format import AudioFormat, Encoding
from voxray.chat import TextDelta, ToolCall, Usage
from voxray.errors import ProviderError, ProviderUnavailable
from voxray.events import (
    ModelAsked,
    ModelFinished,
    ProviderRetried,
    SentenceReady,
    SpeechSynthesized,
    TextGenerated,
    UsageReported,
    VoiceAnswered,
)
from voxray.protocols.tts import Spoken
from voxray.session.conversation import Conversation
from voxray.session.groups import sole
from voxray.session.log import EventLog
from voxray.session.playout import Lease
from voxray.session.retry import retry_delay
from voxray.session.sentences import SentenceSplitter, has_words, speakable
from voxray.session.services import Services, SessionOptions
from voxray.session.taps import Taps, through
from voxray.session.tools import ToolBox
from voxray.session.voice_line import VoiceLine

Sentence = tuple[int, str]  # (round of the model, text)


class StageFailedError(Exception):
    """A stage of the reply gave up; `stage` is "llm" or "tts"."""

    def __init__(self, stage: str, error: ProviderError) -> None:
        super().__init__(str(error))
        self.stage = stage
        self.error = error


class Replier:
    """Makes the replies of one call."""

    def __init__(
        self,
        services: Services,
        options: SessionOptions,
        target: AudioFormat,
        *,
        conversation: Conversation,
        tools: ToolBox,
        voice: VoiceLine,
        taps: Taps,
        log: EventLog,
    ) -> None:
        self._services = services
        self._options = options
        self._target = target
        self._conversation = conversation
        self._tools = tools
        self._voice = voice
        self._taps = taps
        self._log = log

    # ── text ──

    async def by_model(self, lease: Lease, due: Callable[[], float], *, speak: bool) -> None:
        """Ask the model, run its tools, speak what it says. Returns when all was heard.

        `due` gives the seconds of silence the caller may still be left in; when they are over and the model has
        nothing yet, the waiting phrase is said.

        Raises:
            StageFailedError: model or voice gave up.
        """
        send, receive = anyio.create_memory_object_stream[Sentence](4)
        failures: list[ProviderError] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._think, lease, send, failures)
                with receive:
                    if speak:
                        await self._speak(lease, self._bridged(receive, due))
                    else:
                        await self._write(lease, receive)
        except BaseExceptionGroup as group:
            raise sole(group, StageFailedError) from group
        if failures:  # only now: what the model had said before it failed was worth hearing
            raise StageFailedError("llm", failures[0])

    async def by_text(self, lease: Lease, sentences: Sequence[str]) -> None:
        """Speak given sentences. Raises StageFailedError."""

        async def given() -> AsyncGenerator[Sentence, None]:
            for sentence in sentences:
                yield 1, sentence

        await self._speak(lease, given())

    async def _write(self, lease: Lease, sentences: MemoryObjectReceiveStream[Sentence]) -> None:
        """An answer in writing: what was generated counts as heard."""
        async for round, sentence in sentences:
            lease.ledger.generated(sentence, round)
        lease.ledger.complete()

    async def _think(self, lease: Lease, send: MemoryObjectSendStream[Sentence], failures: list[ProviderError]) -> None:
        with send:
            try:
                async with aclosing(self._rounds(lease)) as sentences:
                    async for sentence in sentences:
                        await send.send(sentence)
            except ProviderError as error:
                failures.append(error)

    async def _rounds(self, lease: Lease) -> AsyncGenerator[Sentence, None]:
        for round in range(1, self._options.max_tool_rounds + 2):
            last = round > self._options.max_tool_rounds
            splitter = SentenceSplitter()
            said: list[str] = []
            calls: list[ToolCall] = []
            async with aclosing(self._ask(lease.reply, round, last)) as items:
                async for item in items:
                    if isinstance(item, ToolCall):
                        calls.append(item)
                        continue
                    said.append(item.text)
                    for piece in splitter.feed(item.text):
                        if has_words(clean := speakable(piece)):
                            yield round, clean
            for piece in splitter.finish():
                if has_words(clean := speakable(piece)):
                    yield round, clean
            self._log.append(ModelFinished(lease.reply, round))
            self._conversation.generated(round, "".join(said).strip(), tuple(calls))
            if not calls or last:
                return
            await self._tools.run(lease.reply, calls)

    async def _ask(self, reply: int, round: int, last: bool) -> AsyncGenerator[TextDelta | ToolCall, None]:
        """One request to the model, tried again while nothing has come. `last`: no more tools."""
        services = self._services
        prompt = self._conversation.prompt(self._tools.schemas, "none" if last else self._tools.choice)
        attempt = 0
        while True:
            self._log.append(ModelAsked(reply, round, services.llm_name, services.llm_model))
            started = False
            try:
                async with services.llm.generate(prompt) as stream, aclosing(self._timely(stream)) as items:
                    async for item in items:
                        if isinstance(item, Usage):
                            self._log.append(UsageReported("llm", services.llm_name, item))
                            continue
                        started = True
                        if isinstance(item, TextDelta):
                            self._log.append(TextGenerated(reply, item.text))
                        yield item
                return
            except ProviderError as error:
                attempt += 1
                delay = retry_delay(error, attempt)
                if started or delay is None:
                    raise
            self._log.append(ProviderRetried("llm", services.llm_name, attempt))
            await anyio.sleep(delay)

    async def _timely(
        self, stream: AsyncIterator[TextDelta | ToolCall | Usage]
    ) -> AsyncGenerator[TextDelta | ToolCall | Usage, None]:
        limit = self._options.llm_first_token_secs
        iterator = aiter(stream)
        while True:
            try:
                with anyio.fail_after(limit):
                    item = await anext(iterator, None)
            except TimeoutError:
                raise ProviderUnavailable(self._services.llm_name, f"no text for {limit:g} s") from None
            if item is None:
                return
            limit = self._options.llm_idle_secs
            yield item

    async def _bridged(
        self, sentences: MemoryObjectReceiveStream[Sentence], due: Callable[[], float]
    ) -> AsyncGenerator[Sentence, None]:
        """Sentences as they come; the waiting phrase once if the first of them, or the one after a tool, is late."""
        round = 1
        bridged = not self._options.waiting_phrase
        while True:
            item: Sentence | None = None
            try:
                with anyio.move_on_after(math.inf if bridged else max(0.0, due())):
                    item = await sentences.receive()
            except anyio.EndOfStream:
                return
            if item is None:
                bridged = True
                yield round, self._options.waiting_phrase
            else:
                round = item[0]
                yield item

    # ── sound ──

    async def _speak(self, lease: Lease, sentences: AsyncGenerator[Sentence, None]) -> None:
        async with aclosing(sentences) as given, aclosing(self._announced(lease, given)) as text:
            # Without a first sentence there is nothing to open the voice for.
            first = await anext(text, None)
            if first is None:
                return
            try:
                await self._voiced(lease, _chained(first, text))
            except ProviderError as error:
                await lease.drained()  # what there is of the sound is better than a sudden nothing
                raise StageFailedError("tts", error) from error
        await lease.finished()

    async def _announced(self, lease: Lease, sentences: AsyncIterator[Sentence]) -> AsyncGenerator[str, None]:
        async for round, sentence in sentences:
            tapped = through(self._taps.reply_text, sentence)
            if tapped is None:
                continue
            piece = lease.ledger.generated(tapped, round)
            self._log.append(SentenceReady(lease.reply, piece, tapped))
            yield tapped

    async def _voiced(self, lease: Lease, text: AsyncGenerator[str, None]) -> None:
        voice = await self._voice.get()
        source = AudioFormat(Encoding.PCM16, self._voice.audio.rate_hz)
        decode = Converter(self._voice.audio, source)
        convert = Converter(source, self._target)
        answered = False
        try:
            async with aclosing(text), voice.speak(text) as items:
                async for item in items:
                    match item:
                        case bytes():
                            if not answered:
                                answered = True
                                self._log.append(VoiceAnswered(lease.reply))
                            pcm = decode.process(item)
                            tapped = through(self._taps.audio_out, pcm) if self._taps.audio_out else pcm
                            if tapped:
                                await lease.write(convert.process(tapped))
                        case Spoken(said, word):
                            if not word:
                                await lease.write(convert.flush())
                            end_secs = await lease.spoken(said, word=word)
                            self._log.append(SpeechSynthesized(lease.reply, said, round(end_secs, 3)))
                        case Usage():
                            self._log.append(UsageReported("tts", self._services.tts_name, item))
        except ProviderError:
            self._voice.broken()
            raise
        await lease.write(convert.flush())


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    yield first
    async for item in rest:
        yield item
