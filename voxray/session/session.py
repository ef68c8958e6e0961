"""One call, from answer to end: its parts, its tasks, and what the client may ask for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from typing import Any, assert_never

import anyio

from voxray.boundary import boundary
from voxray.errors import ClientIdleError, ProviderError, SessionError, SttStalledError, TransportFailedError
from voxray.events import (
    CallEnded,
    CallStarted,
    Cause,
    ClientMessage,
    ClientReady,
    ContextAppended,
    ContextReplaced,
    DtmfReceived,
    DtmfRequested,
    EndRequested,
    Entry,
    Inbound,
    InterruptRequested,
    MarkReached,
    Outbound,
    ProviderFailed,
    ReplyInterrupted,
    ReplyRequested,
    ReplyStarted,
    ServerMessage,
    SpeakRequested,
    TextReceived,
    ToolAnswered,
    ToolCalled,
    ToolsReplaced,
    TransferRequested,
    VadUpdated,
)
from voxray.protocols.call import CallInfo, Outcome
from voxray.protocols.stt import UtteranceRecognizer
from voxray.protocols.transport import Transport
from voxray.session.adapters import text_to_speech
from voxray.session.alarms import Alarms
from voxray.session.conductor import Conductor
from voxray.session.conversation import Conversation
from voxray.session.dialogue import Dialogue, Rules
from voxray.session.hearing import Hearing
from voxray.session.keypad import Keypad
from voxray.session.log import Clock, EventLog, Observer
from voxray.session.moves import Acted, Opened
from voxray.session.playout import Playout
from voxray.session.questions import Questions
from voxray.session.reply import Replier
from voxray.session.services import Services, SessionOptions
from voxray.session.speaking import Speaker
from voxray.session.taps import Taps
from voxray.session.timing import TurnTimer
from voxray.session.tools import ToolBox
from voxray.session.voice_line import VoiceLine

READY_SECS = 10.0  # for a client to say that it is ready for the greeting
CLOSE_SECS = 1.0  # for saying goodbye to a connection that may be gone
KEYS = frozenset("0123456789*#")
REVOCABLE = (Cause.AGENT_ENDED, Cause.TRANSFERRED)  # a hang-up that the caller stops by speaking into the goodbye


class Session:
    """A call: `await session.run()`. Made by the server for each connected transport; is its own `SessionHandle`."""

    def __init__(
        self,
        transport: Transport,
        info: CallInfo,
        services: Services,
        options: SessionOptions,
        observers: tuple[Observer, ...] = (),
    ) -> None:
        self._transport = transport
        self._info = info
        self._services = services
        self._options = options
        self._clock = Clock()
        self._taps = Taps()
        self._timer = TurnTimer()
        self._counts = dict.fromkeys((ReplyStarted, ReplyInterrupted, ProviderFailed), 0)
        self.log = EventLog(self._clock, self._observe, observers)
        self.conversation = Conversation(options.messages)
        self._alarms = Alarms(self._clock)
        self._tasks = anyio.create_task_group()
        self._playout = Playout(
            transport.audio_out,
            self._clock,
            lambda event: self._conductor.played(event),
            answers_marks=transport.answers_marks,
        )
        self._conductor = Conductor(
            Dialogue(_rules(services, options)),
            services,
            options,
            clock=self._clock,
            log=self.log,
            alarms=self._alarms,
            conversation=self.conversation,
            playout=self._playout,
            taps=self._taps,
            tasks=self._tasks,
            hang_up=self.hang_up,
            on_idle=self._maybe_hang_up,
        )
        self._tools = ToolBox(self.log, self.conversation, self, self._tasks)
        self._keypad = Keypad(
            self._clock,
            self._alarms,
            lambda keys: self._conductor.on(TextReceived(keys, via="dtmf")),
            timeout_secs=options.dtmf_timeout_secs,
            terminator=options.dtmf_terminator,
        )
        self._questions = Questions(self._clock, self._alarms, self._send)
        self._hearing: Hearing | None = None
        self._transfer_to = ""
        self._pending: tuple[str, str] | None = None  # a hang-up that waits for the end of the reply
        self._ended: tuple[str, str] | None = None
        self._ended_at: float | None = None
        self._heard_anything = False
        self._connected = True

    # ── for plugins, tools and the server ──

    @property
    def info(self) -> CallInfo:
        return self._info

    @property
    def waiting_frames(self) -> int:
        """Frames of 20 ms between the connection and the recogniser."""
        return self._hearing.waiting_frames if self._hearing is not None else 0

    @property
    def outcome(self) -> Outcome:
        """The call's record; complete when `run` has returned or raised."""
        cause, detail = self._ended or (Cause.ERROR, "")
        return Outcome(
            cause=cause,
            detail=detail,
            duration_secs=round(self._clock.now() if self._ended_at is None else self._ended_at, 3),
            turns=self._conductor.dialogue.turn,
            replies=self._counts[ReplyStarted],
            interruptions=self._counts[ReplyInterrupted],
            failures=self._counts[ProviderFailed],
            latencies_secs=tuple(self._timer.latencies_secs),
        )

    def say(self, text: str) -> None:
        self._conductor.on(SpeakRequested(text))

    def interrupt(self) -> None:
        self._conductor.on(InterruptRequested())

    def hang_up(self, cause: str = Cause.AGENT_ENDED, detail: str = "") -> None:
        self._pending = self._pending or (cause, detail)
        self._maybe_hang_up()

    def transfer(self, to: str) -> None:
        if not self._transport.transfers:
            raise SessionError("this connection cannot transfer calls")
        self._transfer_to = to
        self.hang_up(Cause.TRANSFERRED, to)

    def send_dtmf(self, digits: str) -> None:
        if not self._transport.sends_dtmf:
            raise SessionError("this connection cannot send keys")
        if not digits or not set(digits) <= KEYS:
            raise SessionError(f'"{digits}" are not keys; use 0-9, * and #')
        for digit in digits:
            self._send(DtmfRequested(digit))

    def end(self, cause: str, detail: str = "") -> None:
        """End the call now, in the middle of a word if need be."""
        self._ends(cause, detail)
        self._tasks.cancel_scope.cancel()

    def send(self, message: ServerMessage) -> None:
        self._questions.answered(message.id)
        self._send(message)

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def guarded() -> None:
            with boundary("a plugin's work in a call"):
                await work()

        self._tasks.start_soon(guarded)

    # ── the call ──

    async def run(self) -> Outcome:
        """Hold the call; return its record when it is over, for whatever reason but a fault of ours or a plugin's. In
        any case nothing of it is left running, and `outcome` has the record."""
        try:
            await self._hold()
        except* TransportFailedError as group:
            idle = group.subgroup(ClientIdleError) is not None
            self._connected = idle  # who only said nothing can still read our goodbye
            self._ends(Cause.IDLE if idle else Cause.TRANSPORT_FAILED, str(group.exceptions[0]))
        except* SttStalledError as group:
            self._ends(Cause.PROVIDER_FAILED, str(group.exceptions[0]))
        finally:
            await self._say_goodbye(sys.exception())
        return self.outcome

    def _ends(self, cause: str, detail: str) -> None:
        self._ended = self._ended or (cause, detail)

    async def _say_goodbye(self, fault: BaseException | None) -> None:
        if isinstance(fault, anyio.get_cancelled_exc_class()):
            self._ends(Cause.DRAINED, "the server gave the call up")
        elif fault is not None:
            while isinstance(fault, BaseExceptionGroup):
                fault = fault.exceptions[0]
            self._ends(Cause.ERROR, type(fault).__name__)
        self._ended_at = self._clock.now()
        self._conductor.close()
        outcome = self.outcome
        self.log.append(CallEnded(outcome.cause, outcome.detail))
        self._taps.close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_SECS):
            await self._transport.close(outcome.cause, outcome.detail)

    async def _hold(self) -> None:
        options, services, transport, info = self._options, self._services, self._transport, self._info
        voice = VoiceLine(
            text_to_speech(
                services.tts,
                services.tts_name,
                first_audio_secs=options.tts_first_audio_secs,
                idle_secs=options.tts_idle_secs,
            ),
            services.tts_name,
        )
        speaker = Speaker(services.tts_name, transport.audio_out, voice=voice, taps=self._taps, log=self.log)
        self._conductor.replier = Replier(
            services, options, conversation=self.conversation, tools=self._tools, speaker=speaker, log=self.log
        )
        async with self._tasks as tasks:
            self._taps.open(services.plugins, self)
            for watcher in self._taps.watchers:
                self.log.watch(watcher)
            hearing = self._hearing = self._conductor.hearing = self._ear()
            with closing(hearing):
                in_hz, out_hz = transport.audio_in.rate_hz, transport.audio_out.rate_hz
                start = CallStarted(info.session_id, info.transport, in_hz, out_hz, options.allow_interruptions)
                self.log.append(start)
                tasks.start_soon(self._alarms.run)
                tasks.start_soon(transport.play, self._playout)
                tasks.start_soon(voice.run)
                tasks.start_soon(hearing.run)
                self._tools.open(services.tools)
                if info.waits_for_client:
                    self._alarms.set("greeting", self._clock.now() + READY_SECS, self._greet)
                else:
                    self._greet()
                await self._listen(hearing)

    def _greet(self) -> None:
        self._alarms.clear("greeting")
        if not self._counts[ReplyStarted]:  # a client that was never ready may have asked something by now
            self._conductor.on(Opened(self._options.greeting))

    def _ear(self) -> Hearing:
        return Hearing(
            self._services,
            self._options,
            self._transport.audio_in,
            self._taps,
            self._clock,
            self.log,
            on=self._conductor.on,
            on_failure=self._recogniser_failed,
        )

    async def _listen(self, hearing: Hearing) -> None:
        """Take what the connection brings until it ends: this task is the connection's own."""
        while True:
            try:
                item = await self._transport.receive()
            except anyio.EndOfStream:
                self._connected = False
                self.end(Cause.CALLER_LEFT)
                return
            if isinstance(item, bytes):
                if not self._heard_anything:
                    self._heard_anything = True
                    self._limit_duration()
                hearing.feed(item)
                if hearing.congested:
                    await hearing.wait_room()
            else:
                self._inbound(item, hearing)

    def _inbound(self, item: Inbound, hearing: Hearing) -> None:
        on = self._conductor.on
        match item:
            case TextReceived(text, run):
                if run:
                    self._revoke()
                    on(item)
                else:
                    self.conversation.user(text)
            case SpeakRequested() | ReplyRequested() | InterruptRequested():
                on(item)
            case ContextReplaced(messages, run) | ContextAppended(messages, run):
                change = self.conversation.replace if isinstance(item, ContextReplaced) else self.conversation.append
                change(messages)
                if run:
                    on(ReplyRequested())
            case ToolsReplaced():
                self._tools.replace_client_tools(item)
            case ToolAnswered():
                self._tools.answered(item)
            case MarkReached(name):
                self._playout.mark_reached(name)
            case VadUpdated(stop_secs, start_secs):
                hearing.gate.update(start_secs=start_secs, stop_secs=stop_secs)
            case DtmfReceived(digit):
                if digit in KEYS:
                    self.log.append(item)
                    if not self._keypad.collecting:
                        on(InterruptRequested())  # whoever presses a key has heard enough
                    self._keypad.press(digit)
            case ClientReady():
                if self._alarms.armed("greeting"):
                    self._greet()
            case ClientMessage():
                self._questions.asked(item.id, heard=bool(self._taps.watchers))
                self.log.append(item)
            case EndRequested(reason):
                self.end(Cause.CLIENT_ASKED, reason)
            case _:
                assert_never(item)

    def _observe(self, entry: Entry) -> None:
        """What the call itself does with its log: the record's figures and the client's view."""
        event = entry.event
        if type(event) in self._counts:
            self._counts[type(event)] += 1
        if isinstance(event, ReplyInterrupted) and event.by in ("speech", "abandoned"):
            self._revoke()
        if isinstance(event, ToolCalled):
            self._conductor.on(Acted(event.reply))
        self._send(event)
        timed = self._timer.see(entry)
        if timed is not None:
            self.log.append(timed)

    def _send(self, event: Outbound) -> None:
        """Wherever in the call it is noticed that the other side is gone, the call ends in the same way."""
        if self._connected:
            try:
                self._transport.send(event)
            except TransportFailedError as error:
                self._connected = False
                self.end(Cause.TRANSPORT_FAILED, str(error))

    def _limit_duration(self) -> None:
        if self._options.max_duration_secs > 0:
            at = self._clock.now() + self._options.max_duration_secs
            self._alarms.set("duration", at, lambda: self.end(Cause.MAX_DURATION))

    def _recogniser_failed(self, error: ProviderError) -> None:
        self._conductor.stage_failed("stt", error)
        if not error.retryable and not isinstance(self._services.stt, UtteranceRecognizer):
            self.hang_up(Cause.PROVIDER_FAILED, str(error))

    def _revoke(self) -> None:
        """They have something to say after all."""
        if self._pending is not None and self._pending[0] in REVOCABLE:
            self._pending = None

    def _maybe_hang_up(self) -> None:
        if self._pending is None or self._conductor.busy:
            return
        if self._pending[0] == Cause.TRANSFERRED:
            self._send(TransferRequested(self._transfer_to))
        self.end(*self._pending)


def _rules(services: Services, options: SessionOptions) -> Rules:
    streaming = not isinstance(services.stt, UtteranceRecognizer)
    words = {"min_words": max(1, options.min_words)}.get(options.interruption_strategy, 0)
    return Rules(
        ends_on_final=options.turn_detection == "none" and streaming,
        patient=options.turn_detection != "none",
        allow_interruptions=options.allow_interruptions,
        min_speech_secs=max(options.vad_start_secs, options.interrupt_min_speech_ms / 1000),
        min_words=words,
        phrases=options.interruption_phrases if options.interruption_strategy == "keyword" else (),
    )
