"""Carries out what the dialogue decides: replies, patience, silence. Synchronous; only replies are tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from anyio.abc import TaskGroup

from voxray.errors import ProviderError
from voxray.events import (
    Cause,
    Proof,
    ProviderFailed,
    ReplyAudible,
    ReplyFailed,
    ReplyFinished,
    ReplyInterrupted,
    ReplyStarted,
    SessionEvent,
    SilenceBroken,
    SpeakRequested,
    SpeechHeard,
    SpeechStarted,
    SpeechStopped,
    Transcribed,
    TurnEnded,
    TurnStarted,
    UserIdle,
)
from voxray.protocols.turn import UserTurn
from voxray.session.alarms import Alarms
from voxray.session.conversation import Conversation
from voxray.session.dialogue import Dialogue, Floor
from voxray.session.hearing import Hearing
from voxray.session.ledger import Ledger
from voxray.session.log import Clock, EventLog
from voxray.session.moves import (
    Abandon,
    Command,
    Event,
    FlushStt,
    Interrupt,
    PatienceEnded,
    ReplyOver,
    SpeechContinued,
    StartReply,
    StopWaiting,
    Troubled,
    TurnTimedOut,
    TurnTooLong,
    Wait,
)
from voxray.session.patience import Patience
from voxray.session.playout import Lease, Playout
from voxray.session.reply import Replier
from voxray.session.sentences import spoken_text
from voxray.session.services import Services, SessionOptions
from voxray.session.silence import SilenceWatch, tone_of
from voxray.session.speaking import StageFailedError
from voxray.session.taps import Taps, through


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is left of a reply that was cut off."""

    reply: int = 0
    rest: tuple[str, ...] = ()
    unfinished: bool = False  # the model had more to say


class Conductor:
    """One call's dialogue in action. `on` is its input; log, conversation and playout are what it changes."""

    hearing: Hearing  # set by the session: the ear reports here, and is asked here for its words
    replier: Replier

    def __init__(
        self,
        dialogue: Dialogue,
        services: Services,
        options: SessionOptions,
        *,
        clock: Clock,
        log: EventLog,
        alarms: Alarms,
        conversation: Conversation,
        playout: Playout,
        taps: Taps,
        tasks: TaskGroup,
        hang_up: Callable[[str, str], None],
        on_idle: Callable[[], None],
    ) -> None:
        self.dialogue = dialogue
        self._services = services
        self._options = options
        self._clock = clock
        self._log = log
        self._alarms = alarms
        self._conversation = conversation
        self._playout = playout
        self._taps = taps
        self._tasks = tasks
        self._hang_up = hang_up
        self._on_idle = on_idle
        self._lease: Lease | None = None
        self._reply = StartReply(0, 0, "")
        self._asked = ""  # what the conversation holds as the words that the present reply answers
        self._cut = _Cut()
        self._failures = 0  # in a row
        self._speech_ended_at = 0.0
        self._events: deque[Event] = deque()
        self._running = False
        self._closed = False
        self._silence = SilenceWatch(
            options.max_silence_secs, clock=clock, alarms=alarms, playout=playout, on_silence=self._too_silent
        )
        self._patience = Patience(
            services.turn,
            options.turn_stop_secs,
            clock=clock,
            alarms=alarms,
            tasks=tasks,
            log=log,
            starting=lambda: self.hearing.starting,
            on_end=lambda: self.on(PatienceEnded()),
        )

    @property
    def busy(self) -> bool:
        """Is a reply under way, or about to be?"""
        return self._lease is not None or bool(self._events) or not self.dialogue.settled

    def on(self, event: Event) -> None:
        """Take one event of the call and do what follows from it, before anything else can happen.

        What observers and plugins ask for meanwhile is done right after.
        """
        if isinstance(event, SpeechContinued) and not self.dialogue.audible:
            return  # fifty times a second, and there is nothing to interrupt
        self._events.append(event)
        if self._running:
            return
        self._running = True
        try:
            while self._events:
                self._take(self._events.popleft())
        finally:
            self._running = False

    def close(self) -> None:
        """The call is over: commit what was heard, and take no more events."""
        self._closed = True
        self.silence("end")

    def _take(self, event: Event) -> None:
        if self._closed:
            return
        now = self._clock.now()
        match event:
            case SpeechStarted():
                self._log.append(event)
                self._alarms.clear("idle")
                self._alarms.set("stall", now + 1.0, self._check_stall)
                if self._options.turn_max_duration_secs > 0:
                    longest = now - event.for_secs + self._options.turn_max_duration_secs
                    self._alarms.set("too_long", longest, lambda: self.on(TurnTooLong()))
            case SpeechStopped():
                self._log.append(event)
                self._alarms.clear("too_long")
            case Transcribed():
                self._log.append(event)
            case _:
                pass
        self.dialogue.interruptible = self._taps.may_interrupt()
        commands = self.dialogue.on(event)
        for command in commands:
            self._do(command)
        if isinstance(event, SpeechStopped):
            self._speech_ended_at = now - event.ago_secs
        if any(isinstance(command, TurnEnded) for command in commands):
            self._idle()
        self._limit_pause(event)

    def _limit_pause(self, event: Event) -> None:
        """A recogniser has until the turn's time limit; if that is long, the caller hears that we are still there."""
        if self.dialogue.floor is not Floor.PAUSED:
            self._alarms.clear("turn")
            if self._lease is None:
                self._silence.end()
            return
        options = self._options
        if isinstance(event, Transcribed) or not self._alarms.armed("turn"):
            grace_secs = max(options.user_turn_stop_timeout_secs, options.max_silence_secs)
            self._alarms.set("turn", self._clock.now() + options.turn_stop_secs + grace_secs, self._turn_timed_out)
        if isinstance(event, PatienceEnded) and self._lease is None:
            self._silence.begin()

    def _do(self, command: Command) -> None:
        match command:
            case TurnStarted():
                self._speech_ended_at = self._clock.now()  # until we know better
                self._log.append(command)
            case TurnEnded():
                self._turn_ended(command)
            case FlushStt():
                self.hearing.flush()
            case Wait(ago_secs):
                said, hearing = self.dialogue.said, self.hearing
                self._patience.begin(
                    ago_secs, lambda: UserTurn(" ".join(said.words), said.interim, hearing.turn_audio())
                )
            case StopWaiting():
                self._patience.stop()
            case Interrupt(_, by):
                self.silence(by)
            case Abandon(_, taken_back):
                asked = self._asked
                self.silence("abandoned")
                if taken_back:
                    self._conversation.take_back(asked)
            case StartReply():
                self._start(command)
            case _:
                assert_never(command)

    # ── the caller's turn ──

    def _turn_ended(self, event: TurnEnded) -> None:
        silent = event.cause not in ("text", "dtmf", "max_duration")
        waited_secs = self._clock.now() - self._speech_ended_at if silent else 0.0
        self._patience.stop()
        self._alarms.clear("too_long")
        self.hearing.new_turn()
        self._log.append(replace(event, waited_secs=round(waited_secs, 4)))

    def _turn_timed_out(self) -> None:
        owed = self.hearing.owes_words
        self.on(TurnTimedOut())
        if owed:
            self.hearing.restart()
            if self._lease is None:
                self.trouble()  # the caller said something and must not be left waiting

    def _check_stall(self) -> None:
        again = self.hearing.check_stall()
        if again is not None:
            self._alarms.set("stall", again, self._check_stall)

    # ── replies ──

    def _start(self, start: StartReply) -> None:
        cause, text = start.cause, start.text
        asked, sentences, model = "", [], True
        match cause:
            case "turn":
                asked = through(self._taps.user_turn, text) or ""
                model = bool(asked)  # a plugin may want no answer
            case "text":
                asked = text
            case "run":
                pass
            case "resume" if self._cut.reply == start.resumes:
                sentences, model = list(self._cut.rest), self._cut.unfinished
            case _:
                sentences, model = spoken_text(text), False
        if not sentences and not model and cause != "fallback":
            self.on(ReplyOver(start.reply))  # there is nothing to say
            return
        if asked:
            self._conversation.user(asked)
        lease = self._playout.lease(start.reply)
        lease.ledger.planned.extend((0, sentence) for sentence in sentences)
        lease.unfinished = model
        self._lease, self._reply, self._asked = lease, start, asked
        self._alarms.clear("idle")
        if start.speak:
            self._silence.begin()
        self._log.append(ReplyStarted(start.reply, start.turn, cause))
        self._tasks.start_soon(self._run, lease, start)

    async def _run(self, lease: Lease, start: StartReply) -> None:
        if lease.revoked:
            return  # they spoke before this task began
        with lease.scope:
            try:
                if lease.ledger.planned:
                    await self.replier.by_text(lease)
                elif not lease.unfinished:
                    await self._tone(lease)  # no phrase is configured
                if lease.unfinished:
                    await self.replier.by_model(lease, self._silence.left_secs, speak=start.speak)
            except StageFailedError as failed:
                if start.cause != "fallback":
                    self._failed(lease, failed.stage, failed.error)
                    return
                await self._tone(lease)  # not even the apology can be spoken
            self._finish(lease)

    def _finish(self, lease: Lease) -> None:
        """The reply was heard to its end."""
        if lease is not self._lease:
            return
        self._lease = None
        self._playout.release()
        self._silence.end()
        text = lease.ledger.text
        self._conversation.commit(lease.ledger.heard_by_round(float("inf")), interrupted=False)
        self._log.append(ReplyFinished(lease.reply, text))
        if self._reply.cause != "fallback":
            self._failures = 0
        self.on(ReplyOver(lease.reply))
        self._idle()

    def silence(self, by: str) -> None:
        """Cut the present reply off, in one step: what was heard is kept, the rest is gone."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        self._silence.end()
        heard_secs = self._playout.clear()
        self._cut = _Cut(lease.reply, tuple(lease.ledger.rest(heard_secs)), lease.unfinished)
        if partial := lease.ledger.unreported(heard_secs):
            self._log.append(SpeechHeard(lease.reply, partial, Proof.ESTIMATE))
        self._conversation.commit(lease.ledger.heard_by_round(heard_secs), interrupted=True)
        self._log.append(ReplyInterrupted(lease.reply, lease.ledger.heard(heard_secs), round(heard_secs, 3), by))
        self._on_idle()

    def _failed(self, lease: Lease, stage: str, error: ProviderError) -> None:
        self._log.append(ProviderFailed(stage, error.provider, str(error), error.retryable))
        self._reply_lost(lease, stage, str(error))

    def _reply_lost(self, lease: Lease, stage: str, error: str) -> None:
        if lease is not self._lease:
            return
        self.silence("failed")
        self._log.append(ReplyFailed(lease.reply, stage, error))
        self.on(ReplyOver(lease.reply))
        if self._lease is None:
            self.trouble()

    # ── trouble ──

    def stage_failed(self, stage: str, error: ProviderError) -> None:
        """A stage outside of a reply failed for good, or for now."""
        self._log.append(ProviderFailed(stage, error.provider, str(error), error.retryable))
        if self._lease is None and (self.dialogue.floor is not Floor.QUIET or not error.retryable):
            self.trouble()  # who says nothing has nothing to be told: it may be over before they do
        elif self._lease is not None and not error.retryable and self._options.fallback_phrase:
            self.on(SpeakRequested(self._options.fallback_phrase))

    def trouble(self) -> None:
        """Tell the caller that something failed; end the call if that happens time and again."""
        self._failures += 1
        phrase = self._options.fallback_phrase
        self._log.append(SilenceBroken(self._reply.reply, 0.0, "fallback_phrase" if phrase else "tone"))
        self.on(Troubled(phrase))
        if self._failures >= self._options.max_failures:
            self._hang_up(Cause.PROVIDER_FAILED, f"{self._failures} failures in a row")

    async def _tone(self, lease: Lease) -> None:
        lease.ledger = Ledger()  # the words were not said
        await lease.write(tone_of(self._playout.format))
        await lease.finished()

    # ── silence ──

    def played(self, event: SessionEvent) -> None:
        """The playout tells what became of the reply's sound."""
        self._log.append(event)
        if isinstance(event, ReplyAudible):
            self.on(event)

    def _too_silent(self, secs: float, again: bool) -> None:
        """The caller has heard nothing for too long: a tone, and when that has not helped, the reply is given up."""
        lease = self._lease
        if again and lease is not None and not lease.working:
            self._reply_lost(lease, "silence", f"no sound for {secs:g} s")
        elif lease is not None or not again:
            self._log.append(SilenceBroken(lease.reply if lease is not None else 0, secs, "tone"))
            tone = tone_of(self._playout.format)
            if lease is not None:
                lease.ledger.padded(self._playout.format.secs(len(tone)))
            self._playout.append(tone)

    def _idle(self) -> None:
        """The agent has finished: from now on the caller may be idle, and a hang-up need not wait any longer."""
        if self.busy:
            return
        if self._options.user_idle_timeout_secs > 0 and self.dialogue.floor is Floor.QUIET:
            at = self._clock.now() + self._options.user_idle_timeout_secs
            self._alarms.set("idle", at, self._user_idle)
        self._on_idle()

    def _user_idle(self) -> None:
        self._log.append(UserIdle())
