"""Carries out what the dialogue decides: replies, patience, silence. Synchronous; only replies are tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from anyio.abc import TaskGroup

from voxray.audio.convert import Converter
from voxray.audio.format import AudioFormat, Encoding
from voxray.audio.tone import earcon
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
    StartReply,
    StopWaiting,
    Troubled,
    TurnTimedOut,
    TurnTooLong,
    Wait,
)
from voxray.session.playout import Lease, Playout
from voxray.session.reply import Replier, StageFailedError
from voxray.session.services import Services, SessionOptions
from voxray.session.taps import Taps, through


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
        self._owed_at: float | None = None  # since when the caller waits for sound
        self._toned = False  # the silence of this reply was broken by a tone already
        self._rests: dict[int, list[str]] = {}  # sentences that the newest interruption cut off, by reply
        self._failures = 0  # in a row

    @property
    def busy(self) -> bool:
        """Is a reply under way, or about to be?"""
        return self._lease is not None

    def on(self, event: Event) -> None:
        """Take one event of the call and do what follows from it, before anything else can happen."""
        match event:
            case SpeechStarted():
                self._log.append(event)
                self._alarms.clear("idle")
                self._alarms.set("stall", self._clock.now() + 1.0, self._check_stall)
                if self._options.turn_max_duration_secs > 0:
                    longest = self._clock.now() - event.for_secs + self._options.turn_max_duration_secs
                    self._alarms.set("too_long", longest, lambda: self.on(TurnTooLong()))
            case SpeechStopped():
                self._log.append(event)
                self._alarms.clear("too_long")
            case Transcribed():
                self._log.append(event)
            case _:
                pass
        self.dialogue.interruptible = self._taps.may_interrupt()
        for command in self.dialogue.on(event):
            self._do(command)
        if self.dialogue.floor is not Floor.PAUSED:
            self._alarms.clear("turn")
        elif isinstance(event, Transcribed) or not self._alarms.armed("turn"):
            # A recogniser has until the caller's silence would become too long, or longer if so configured.
            options = self._options
            grace_secs = max(options.user_turn_stop_timeout_secs, options.max_silence_secs)
            self._alarms.set("turn", self._clock.now() + options.turn_stop_secs + grace_secs, self._turn_timed_out)

    def _do(self, command: Command) -> None:
        match command:
            case TurnStarted():
                self._log.append(command)
            case TurnEnded():
                self._turn_ended(command)
            case FlushStt():
                self.hearing.flush()
            case Wait(ago_secs):
                self._wait(ago_secs)
            case StopWaiting():
                self._alarms.clear("patience")
            case Interrupt(_, by):
                self.silence(by)
            case Abandon(_, taken_back):
                self.silence("abandoned")
                if taken_back:
                    self._conversation.take_back(taken_back)
            case StartReply():
                self._start(command)
            case _:
                assert_never(command)

    # ── the caller's turn ──

    def _turn_ended(self, event: TurnEnded) -> None:
        waited_secs = 0.0 if event.cause in ("text", "dtmf") else self._clock.now() - self.hearing.speech_ended_at
        self._log.append(replace(event, waited_secs=round(waited_secs, 4)))
        for name in ("patience", "too_long"):
            self._alarms.clear(name)

    def _wait(self, ago_secs: float) -> None:
        ended_at = self._clock.now() - ago_secs
        detector = self._services.turn
        if detector is None:
            self._patience(ended_at + self._options.turn_stop_secs)
            return

        async def ask() -> None:
            said = self.dialogue.said
            turn = UserTurn(" ".join(said.words), said.interim, self.hearing.turn_audio())
            try:
                secs = await detector.patience(turn)
            except ProviderError as error:
                self._log.append(ProviderFailed("turn", error.provider, str(error), error.retryable))
                secs = self._options.turn_stop_secs
            if self.dialogue.floor is Floor.PAUSED:
                self._patience(ended_at + min(secs, self._options.turn_stop_secs))

        self._tasks.start_soon(ask)

    def _patience(self, at: float) -> None:
        self._alarms.set("patience", at, self._out_of_patience)

    def _out_of_patience(self) -> None:
        if self.hearing.gate.starting:
            self._patience(self._clock.now() + 0.02)  # they may just be going on: let the detector decide first
        else:
            self.on(PatienceEnded())

    def _turn_timed_out(self) -> None:
        settled = self.dialogue.said.settled
        self.on(TurnTimedOut())
        if not settled:
            self.hearing.restart()
            if not self.busy:
                self.trouble()  # the recogniser owes us words: the caller said something and must not be left waiting

    def _check_stall(self) -> None:
        again = self.hearing.check_stall()
        if again is not None:
            self._alarms.set("stall", again, self._check_stall)

    # ── replies ──

    def _start(self, start: StartReply) -> None:
        cause, text = start.cause, start.text
        if cause == "turn":
            tapped = through(self._taps.user_turn, text)
            if tapped is None:
                self.on(ReplyOver(start.reply))
                return
            text = tapped
        if cause in ("turn", "text"):
            self._conversation.user(text)
        rest: list[str] = []
        if cause == "resume":
            rest = self._rests.pop(start.resumes, [])
        elif cause in ("greeting", "say", "fallback"):
            rest = [text]
        lease = self._playout.lease(start.reply)
        self._lease, self._reply, self._toned = lease, start, False
        self._log.append(ReplyStarted(start.reply, start.turn, cause))
        if start.speak:
            self._owed_at = self._clock.now()
            self._watch_silence()
        self._tasks.start_soon(self._run, lease, start, rest)

    async def _run(self, lease: Lease, start: StartReply, sentences: list[str]) -> None:
        if lease.revoked:
            return  # they spoke before this task began
        with lease.scope:
            try:
                if sentences:
                    await self.replier.by_text(lease, sentences)
                else:
                    await self.replier.by_model(lease, self._silence_left, speak=start.speak)
            except StageFailedError as failed:
                if start.cause == "fallback":
                    await self._tone(lease)  # not even the apology can be spoken
                    self._finish(lease)
                else:
                    self._failed(lease, failed.stage, failed.error)
                return
            self._finish(lease)

    def _finish(self, lease: Lease) -> None:
        """The reply was heard to its end."""
        if lease is not self._lease:
            return
        self._lease, self._owed_at = None, None
        self._alarms.clear("silence")
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
        self._owed_at = None
        self._alarms.clear("silence")
        heard_secs = self._playout.clear()
        self._rests = {lease.reply: lease.ledger.rest(heard_secs)}
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
        if not self.busy:
            self.trouble()

    # ── trouble ──

    def stage_failed(self, stage: str, error: ProviderError) -> None:
        """A stage outside of a reply failed for good, or for now."""
        self._log.append(ProviderFailed(stage, error.provider, str(error), error.retryable))
        if not self.busy:
            self.trouble()

    def trouble(self) -> None:
        """Tell the caller that something failed; end the call if that happens time and again."""
        self._failures += 1
        phrase = self._options.fallback_phrase
        self._log.append(SilenceBroken(self._reply.reply, 0.0, "fallback_phrase" if phrase else "tone"))
        for command in self.dialogue.on(Troubled(phrase)):
            self._do(command)
        if self._failures >= self._options.max_failures:
            self._hang_up(Cause.PROVIDER_FAILED, f"{self._failures} failures in a row")

    async def _tone(self, lease: Lease) -> None:
        lease.ledger = Ledger()  # the words were not said
        await lease.write(self._earcon())
        await lease.finished()

    def _earcon(self) -> bytes:
        target = self._playout.format
        sound = earcon(target.rate_hz)
        if target.encoding is not Encoding.PCM16:
            sound = Converter(AudioFormat(Encoding.PCM16, target.rate_hz), target).process(sound)
        return sound

    # ── silence ──

    def played(self, event: SessionEvent) -> None:
        """The playout tells what became of the reply's sound."""
        self._log.append(event)
        if isinstance(event, ReplyAudible):
            self.on(event)

    def _silence_due(self) -> float:
        """When the caller will have waited for sound too long; never if nothing is owed to them."""
        if self._owed_at is None:
            return float("inf")
        return max(self._owed_at, self._playout.ear_at) + self._options.max_silence_secs

    def _silence_left(self) -> float:
        return self._silence_due() - self._clock.now()

    def _watch_silence(self) -> None:
        self._alarms.set("silence", self._silence_due() + 0.25, self._too_silent)

    def _too_silent(self) -> None:
        """The caller has heard nothing for too long. The waiting phrase comes first, from the reply itself and a
        quarter of a second before this; then a tone; then the reply is given up."""
        lease = self._lease
        if lease is None:
            return
        if self._silence_left() > 0 or self._playout.buffered:
            self._watch_silence()
            return
        secs = round(self._options.max_silence_secs - self._silence_left(), 3)
        if self._toned:
            self._reply_lost(lease, "silence", f"no sound for {secs:g} s")
            return
        self._toned = True
        self._log.append(SilenceBroken(lease.reply, secs, "tone"))
        tone = self._earcon()
        lease.ledger.padded(self._playout.format.secs(len(tone)))
        self._playout.append(tone)
        self._owed_at = self._clock.now()
        self._watch_silence()

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
