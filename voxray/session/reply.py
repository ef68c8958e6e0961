"""Making one reply: model, tools and sentences ahead, the voice behind, all inside the reply's lease.

The model runs in a task of its own so that a late answer can be bridged with the waiting phrase; everything else
pulls. Leaving the lease's scope closes the vendors' streams.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from voxray.chat import TextDelta, ToolCall, Usage
from voxray.errors import ProviderError, ProviderUnavailable
from voxray.events import ModelAsked, ModelFinished, ProviderRetried, TextGenerated, UsageReported
from voxray.session.conversation import Conversation
from voxray.session.groups import only
from voxray.session.log import EventLog
from voxray.session.playout import Lease
from voxray.session.retry import retry_delay
from voxray.session.sentences import SentenceSplitter, spoken
from voxray.session.services import Services, SessionOptions
from voxray.session.speaking import Sentence, Speaker, StageFailedError
from voxray.session.tools import ToolBox

EARLY_SECS = 0.7  # the waiting phrase is asked for this much before it is due: voices need time


class Replier:
    """Makes the replies of one call."""

    def __init__(
        self,
        services: Services,
        options: SessionOptions,
        *,
        conversation: Conversation,
        tools: ToolBox,
        speaker: Speaker,
        log: EventLog,
    ) -> None:
        self._services = services
        self._options = options
        self._conversation = conversation
        self._tools = tools
        self._speaker = speaker
        self._log = log

    async def by_text(self, lease: Lease) -> None:
        """Speak what the lease's ledger has planned. Raises StageFailedError."""
        planned = lease.ledger.planned
        self._conversation.generated(0, " ".join(text for _, text in planned))

        async def source() -> AsyncGenerator[Sentence, None]:
            while planned:
                yield planned[0]

        await self._speaker.speak(lease, source)

    async def by_model(self, lease: Lease, due: Callable[[], float], *, speak: bool) -> None:
        """Ask the model, run its tools, speak what it says. Returns when all was heard.

        `due` gives the seconds of silence the caller may still be left in; when they are over and the model has
        nothing yet, the waiting phrase is said.

        Raises:
            StageFailedError: model or voice gave up.
        """
        send, receive = anyio.create_memory_object_stream[Sentence](4)
        failures: list[ProviderError] = []
        early_secs = min(EARLY_SECS, self._options.max_silence_secs / 4)
        bridge = _Bridge(receive, lambda: due() - early_secs, self._options.waiting_phrase)
        with send, receive, only(StageFailedError):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._think, lease, send, failures)
                await (self._speaker.speak(lease, bridge) if speak else self._write(lease, receive))
        if failures:  # only now: what the model had said before it failed was worth hearing
            raise StageFailedError("llm", failures[0])

    async def _write(self, lease: Lease, sentences: MemoryObjectReceiveStream[Sentence]) -> None:
        """An answer in writing: what was generated counts as heard."""
        async for round, sentence in sentences:
            lease.ledger.planned.popleft()
            lease.ledger.generated(sentence, round)
            lease.ledger.complete()

    async def _think(self, lease: Lease, send: MemoryObjectSendStream[Sentence], failures: list[ProviderError]) -> None:
        with send:
            try:
                async with aclosing(self._rounds(lease)) as sentences:
                    async for sentence in sentences:
                        lease.ledger.planned.append(sentence)
                        await send.send(sentence)
            except ProviderError as error:
                failures.append(error)

    async def _rounds(self, lease: Lease) -> AsyncGenerator[Sentence, None]:
        await self._tools.opened()
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
                    for sentence in spoken(splitter.feed(item.text)):
                        yield round, sentence
            for sentence in spoken(splitter.finish()):
                yield round, sentence
            await lease.check()  # the end of the stream may come in the moment in which the caller interrupts
            self._log.append(ModelFinished(lease.reply, round))
            if last:
                calls.clear()  # it was told to use no tools; a call that nobody runs must not stay in the conversation
            self._conversation.generated(round, "".join(said).strip(), tuple(calls))
            if not calls:
                lease.unfinished = False
                return
            await self._tools.run(lease, calls)

    async def _ask(self, reply: int, round: int, last: bool) -> AsyncGenerator[TextDelta | ToolCall, None]:
        """One request to the model, tried again while nothing has come. `last`: no more tools."""
        services = self._services
        prompt = self._conversation.prompt(self._tools.schemas, "none" if last else self._tools.choice(round))
        attempt = 0
        while True:
            self._log.append(ModelAsked(reply, round, services.llm_name, services.llm_model))
            started = False
            try:
                with only(ProviderError):
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


class _Bridge:
    """The model's sentences as they come; the waiting phrase once, if the first or one after a tool is late."""

    def __init__(
        self, sentences: MemoryObjectReceiveStream[Sentence], due: Callable[[], float], waiting_phrase: str
    ) -> None:
        self._sentences = sentences
        self._due = due
        self._phrase = waiting_phrase
        self._round = 1

    async def __call__(self) -> AsyncGenerator[Sentence, None]:
        while True:
            item: Sentence | None = None
            try:
                with anyio.move_on_after(max(0.0, self._due()) if self._phrase else math.inf):
                    item = await self._sentences.receive()
            except anyio.EndOfStream:
                return
            if item is None:
                item = (self._round, self._phrase)
                self._phrase = ""
            self._round = item[0]
            yield item
