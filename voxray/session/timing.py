"""Where the time of each answer went: a view of the event log."""

from __future__ import annotations

from voxray.events import (
    Entry,
    ModelAsked,
    ReplyAudible,
    ReplyStarted,
    SentenceReady,
    SpeechStopped,
    TextGenerated,
    Transcribed,
    TurnEnded,
    TurnTimed,
    VoiceAnswered,
)


class TurnTimer:
    """Feed it the log; `timed` gives the waterfall of a reply once it is audible."""

    def __init__(self) -> None:
        self.latencies_secs: list[float] = []
        self._paused_at: float | None = None  # when the pause was noticed
        self._speech_end = 0.0  # when the speech ended
        self._words_at: float | None = None
        self._words_secs = 0.0  # from the pause to the last words
        self._decided: tuple[int, float, float] | None = None  # (turn, end of speech, decision)
        self._reply = 0
        self._first: dict[type, float] = {}

    def see(self, entry: Entry) -> TurnTimed | None:
        """Note `entry`; the `TurnTimed` that follows from it, if it makes the reply to a turn audible."""
        event, at = entry.event, entry.at
        match event:
            case SpeechStopped(ago_secs):
                self._paused_at, self._speech_end, self._words_at = at, at - ago_secs, None
            case Transcribed(final=True):
                self._words_at = at
            case TurnEnded(turn, text, cause):
                paused_at, self._paused_at = self._paused_at, None
                spoke = paused_at is not None and cause not in ("text", "dtmf")
                if text:
                    self._decided = (turn, self._speech_end if spoke else at, at)
                    self._words_secs = (self._words_at or at) - (paused_at or at) if spoke else 0.0
            case ReplyStarted(reply=reply):
                self._reply = reply
                self._first = {}
            case ModelAsked() | TextGenerated() | SentenceReady() | VoiceAnswered() if event.reply == self._reply:
                self._first.setdefault(type(event), at)
            case ReplyAudible(reply=reply) if reply == self._reply and self._decided is not None:
                return self._timed(at)
        return None

    def _timed(self, at: float) -> TurnTimed:
        assert self._decided is not None
        turn, speech_end, decided_at = self._decided
        self._decided = None
        first = self._first
        total = at - speech_end
        self.latencies_secs.append(round(total, 4))
        return TurnTimed(
            turn=turn,
            reply=self._reply,
            waited_secs=_distance(speech_end, decided_at),
            stt_secs=max(0.0, round(self._words_secs, 4)),
            llm_secs=_distance(first.get(ModelAsked), first.get(TextGenerated)),
            tts_secs=_distance(first.get(SentenceReady), first.get(VoiceAnswered)),
            total_secs=max(0.0, round(total, 4)),
        )


def _distance(start: float | None, end: float | None) -> float:
    return 0.0 if start is None or end is None else max(0.0, round(end - start, 4))
