"""The ear: the connection's audio to detector and recogniser, the recogniser's words to the dialogue.

A recogniser that fails is opened again and given what it had not yet answered; one that cannot be had costs a failure,
which the session turns into something the caller can hear.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack

import anyio

from voxray.audio.convert import Converter
from voxray.audio.format import PCM_16K, AudioFormat, Encoding
from voxray.chat import Usage
from voxray.errors import ProviderError, ProviderUnavailable, SttStalledError
from voxray.events import (
    AudioDropped,
    ProviderRetried,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    UsageReported,
)
from voxray.protocols.stt import Flushed, SttStream, Transcript, UtteranceRecognizer
from voxray.session.adapters import speech_to_text
from voxray.session.backlog import Backlog, Recent
from voxray.session.groups import only
from voxray.session.log import Clock, EventLog
from voxray.session.moves import SpeechContinued, WordsSettled
from voxray.session.retry import retry_delay
from voxray.session.services import Services, SessionOptions
from voxray.session.speech_end import SpeechEnd
from voxray.session.speech_gate import SpeechGate
from voxray.session.taps import Taps, through

STALL_SECS = 1.0  # without audio while somebody speaks: they are gone or muted
STABLE_SECS = 5.0  # a connection that lived this long forgives earlier failures
OPEN_SECS = 4.0  # a connection that takes longer is not coming
SEND_SECS = 5.0  # a recogniser that does not take sound for so long is dead
TURN_SECS = 8.0  # of speech that turn detectors look at

Heard = SpeechStarted | SpeechContinued | SpeechStopped | Transcribed | WordsSettled


class Hearing:
    """Feed it the connection's audio; it calls `on` with what the dialogue should know, `on_failure` with errors."""

    def __init__(
        self,
        services: Services,
        options: SessionOptions,
        source: AudioFormat,
        taps: Taps,
        clock: Clock,
        log: EventLog,
        *,
        on: Callable[[Heard], None],
        on_failure: Callable[[ProviderError], None],
    ) -> None:
        self._options = options
        self._taps = taps
        self._clock = clock
        self._log = log
        self._on = on
        self._on_failure = on_failure
        self._name = services.stt_name
        self.batch = isinstance(services.stt, UtteranceRecognizer)
        self._stt = speech_to_text(services.stt)
        self._backlog = Backlog(options.input_queue_cap)
        self._flushes = 0
        self._connection = anyio.CancelScope()  # of the recogniser that is open, or being opened
        self._attentive = not self.batch  # what is heard now goes to the recogniser
        before_secs = options.turn_pre_speech_ms / 1000 + options.vad_start_secs
        self._before = Recent(before_secs) if self.batch or services.turn is not None else None
        self._turn = Recent(TURN_SECS) if services.turn is not None else None
        self._last_audio_at = clock.now()

        # Detection at the wire's own rate saves work and delay, unless a tap wants to change the sound first.
        direct = source.rate_hz in services.vad.rates_hz and not taps.audio_in
        vad_format = AudioFormat(Encoding.PCM16, source.rate_hz) if direct else PCM_16K
        self._decode = Converter(source, vad_format)
        self._convert = Converter(vad_format, PCM_16K)
        window = services.vad.window_samples(vad_format.rate_hz)
        self._end = SpeechEnd(vad_format.rate_hz, window, options.vad_stop_secs)
        self.gate = SpeechGate(
            window / vad_format.rate_hz,
            confidence=options.vad_confidence,
            min_volume=options.vad_min_volume,
            start_secs=options.vad_start_secs,
            stop_secs=options.vad_stop_secs,
            on_change=self._speech,
            on_speaking=lambda secs: on(SpeechContinued(secs)),
        )
        self._stack = ExitStack()
        self._vad = self._stack.enter_context(services.vad.open(vad_format.rate_hz, self._window))

    # ── sound ──

    def feed(self, audio: bytes) -> None:
        """Take audio as it came from the connection, any length. Synchronous and quick."""
        self._last_audio_at = self._clock.now()
        pcm = self._decode.process(audio)
        if self._taps.audio_in:
            tapped = through(self._taps.audio_in, pcm)
            if tapped is None:
                return
            pcm = tapped
        if not pcm:
            return
        self._end.feed(pcm)
        self._vad.feed(pcm)
        pcm = self._convert.process(pcm)
        if self._attentive:
            self._backlog.append(pcm)
        if self._turn is not None and self.gate.speaking:
            self._turn.append(pcm)
        elif self._before is not None and not self.gate.speaking:
            self._before.append(pcm)

    def _window(self, probability: float, rms: float) -> None:
        self._end.reported()
        self.gate.window(probability, rms)

    def turn_audio(self) -> bytes:
        """The last seconds of the turn's speech, for turn detectors; pcm16 mono 16 kHz."""
        return b"" if self._turn is None else self._turn.join()

    def new_turn(self) -> None:
        """What was said so far belongs to an earlier turn."""
        if self._turn is not None:
            self._turn.clear()

    @property
    def owes_words(self) -> bool:
        """The recogniser was asked for words and has not answered yet."""
        return self._flushes > 0

    @property
    def starting(self) -> bool:
        """Something that may become speech has begun, and is not over."""
        return self.gate.starting and self._clock.now() - self._last_audio_at < STALL_SECS

    @property
    def congested(self) -> bool:
        return self._backlog.full

    @property
    def waiting_frames(self) -> int:
        return self._backlog.frames

    async def wait_room(self) -> None:
        """Wait until the recogniser has taken enough; the connection's reader is held up meanwhile."""
        try:
            with anyio.fail_after(SEND_SECS * 2):
                await self._backlog.wait_room()
        except TimeoutError:
            raise SttStalledError(f"{self._name}: takes no more sound") from None

    def check_stall(self) -> float | None:
        """If somebody speaks but no audio comes any more, say that they stopped. Returns when to check again."""
        if not self.gate.speaking:
            return None
        ago_secs = self._clock.now() - self._last_audio_at
        if ago_secs < STALL_SECS:
            return self._last_audio_at + STALL_SECS
        self.gate.stalled(ago_secs)
        return None

    def flush(self) -> None:
        """Ask for all words up to now; answered by `WordsSettled`."""
        self._flushes += 1
        self._backlog.flush()
        self._attentive = not self.batch or self.gate.speaking

    def restart(self) -> None:
        """The recogniser does not answer: drop it with what it was given; a new one hears from now on."""
        self._backlog.drop()
        self._flushes = 0
        self._connection.cancel()

    def close(self) -> None:
        self._stack.close()

    def _speech(self, event: SpeechStarted | SpeechStopped) -> None:
        if isinstance(event, SpeechStarted) and self._before is not None:
            before = self._before.join()
            self._before.clear()
            if self._turn is not None:
                self._turn.append(before)
            if not self._attentive:
                self._attentive = True
                self._backlog.append(before)
        elif isinstance(event, SpeechStopped):
            event = SpeechStopped(round(self._end.ago_secs(event.ago_secs), 4))
        self._on(event)

    # ── words ──

    async def run(self) -> None:
        """Keep a recogniser at work until cancelled."""
        failures = 0
        gave_up = 0
        while True:
            opened_at = self._clock.now()
            try:
                await self._listen()
                error: ProviderError = ProviderUnavailable(self._name, "the stream ended")
            except ProviderError as caught:
                error = caught
            if self._clock.now() - opened_at > STABLE_SECS:
                failures = gave_up = 0
            failures += 1
            delay = retry_delay(error, failures)
            if delay is None:
                gave_up += 1
                self._give_up(error)
                failures = 0
                delay = min(0.5 * 2**gave_up, 8.0)
            else:
                self._log.append(ProviderRetried("stt", self._name, failures))
                self._backlog.rewind()
            await anyio.sleep(delay)

    def _give_up(self, error: ProviderError) -> None:
        lost, _ = self._backlog.drop()
        if lost:
            self._log.append(AudioDropped("backlog", lost))
        self._on_failure(error)
        if self._flushes:
            self._flushes = 0
            self._on(WordsSettled())

    async def _listen(self) -> None:
        # The scope is around all of it because what `open()` enters must be left before; so its deadline is lifted.
        with only(ProviderError), anyio.CancelScope(deadline=anyio.current_time() + OPEN_SECS) as self._connection:
            async with self._stt.open(language=self._options.language) as stream:
                self._connection.deadline = math.inf
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._feed, stream)
                    await self._read(stream)
                    tasks.cancel_scope.cancel()
        if self._connection.deadline < math.inf:
            raise ProviderUnavailable(self._name, f"no connection within {OPEN_SECS:g} s")

    async def _feed(self, stream: SttStream) -> None:
        while True:
            pcm, flush = await self._backlog.take()
            try:
                with anyio.fail_after(SEND_SECS):
                    if pcm:
                        await stream.send(pcm)
                    if flush:
                        await stream.flush()
            except TimeoutError:
                raise ProviderUnavailable(self._name, f"takes no sound for {SEND_SECS:g} s") from None

    async def _read(self, stream: SttStream) -> None:
        results = aiter(stream)
        try:
            async for item in results:
                match item:
                    case Transcript():
                        self._words(item)
                    case Flushed():
                        self._backlog.confirm()
                        self._flushes = max(0, self._flushes - 1)
                        if not self._flushes:
                            self._on(WordsSettled())
                    case Usage():
                        self._log.append(UsageReported("stt", self._name, item))
        finally:
            if isinstance(results, AsyncGenerator):
                await results.aclose()

    def _words(self, transcript: Transcript) -> None:
        if transcript.final and transcript.text:
            self._backlog.reported()
        tapped = through(self._taps.transcript, transcript)
        if tapped is not None:
            self._on(Transcribed(tapped.text.strip(), tapped.final, tapped.language))
