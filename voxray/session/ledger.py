"""What of a reply was generated, synthesised and heard: one map from seconds of sound to characters of text."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

CHARS_PER_SEC = 14.0  # letters and digits a second; used only until the voice has told us better


def weight(text: str) -> int:
    """How much of `text` is spoken: its letters and digits. Voices rewrite punctuation and blanks."""
    return sum(map(str.isalnum, text))


@dataclass(frozen=True, slots=True)
class _Piece:
    round: int
    text: str
    weight: int


class Ledger:
    """The text of one reply, by sentence, and where in the sound it is.

    `synthesized` gives fixed points (end of a sentence or word at a second of the sound); between them the share by
    time counts, after the last one the speed so far. Error: less than a word where a voice gives word times, about a
    word in ten seconds elsewhere.
    """

    def __init__(self) -> None:
        self.planned: deque[tuple[int, str]] = deque()  # (round, sentence) that the voice was not given yet
        self._pieces: list[_Piece] = []
        self._total = 0  # characters of all pieces
        self._said = 0  # characters of the pieces that the voice has reported
        self._anchors: list[tuple[float, float]] = [(0.0, 0.0)]  # (seconds, characters)
        self._written_secs = 0.0
        self._reported = 0  # characters the log says were heard

    @property
    def text(self) -> str:
        return " ".join(piece.text for piece in self._pieces)

    def generated(self, text: str, round: int) -> int:
        """A sentence goes to the voice; returns its number."""
        self._pieces.append(_Piece(round, text, weight(text)))
        self._total += self._pieces[-1].weight
        return len(self._pieces) - 1

    def written(self, secs: float) -> None:
        """`secs` more of sound exist."""
        self._written_secs += secs

    def padded(self, secs: float) -> None:
        """`secs` more of sound that says nothing, a tone for example."""
        chars = self._chars(self._written_secs)
        self._anchor(chars)
        self._written_secs += secs
        self._anchor(chars)

    def synthesized(self, text: str) -> float:
        """`text` ends where the sound written so far ends; returns that second."""
        self._said = min(self._said + weight(text), self._total)
        self._anchor(self._said)
        return self._written_secs

    def broken_off(self) -> list[str]:
        """The voice ended too early; returns what it has not said, from the word on at which it seems to have ended."""
        left = self._chars(self._written_secs)
        rest: list[str] = []
        for piece in self._pieces:
            said, left = _cut(piece.text, left) if not rest else ("", 0.0)
            if said != piece.text:
                rest.append(piece.text[len(said) :].strip())
        self._said = self._total - sum(map(weight, rest))
        self._anchor(self._said)
        return rest

    def complete(self) -> None:
        """The voice has said everything: the end of the sound is the end of the text."""
        self._anchor(self._total)

    def heard(self, secs: float) -> str:
        """The words whose end lies within the first `secs` of the sound."""
        return " ".join(text for _, text in self.heard_by_round(secs))

    def heard_by_round(self, secs: float) -> list[tuple[int, str]]:
        """The same, as (round, text) in order, one entry per round that was heard at all."""
        left = self._chars(secs)
        if left <= 0:
            return []
        rounds: dict[int, list[str]] = {}
        for piece in self._pieces:
            heard, left = _cut(piece.text, left)
            if heard:
                rounds.setdefault(piece.round, []).append(heard)
            if heard != piece.text:
                break
        return [(round, " ".join(texts)) for round, texts in rounds.items()]

    def reported(self, text: str) -> None:
        """The log now says that `text` was heard."""
        self._reported += weight(text)

    def unreported(self, secs: float) -> str:
        """The words heard within `secs` that the log does not know of yet."""
        text = self.heard(secs)
        known, _ = _cut(text, self._reported)
        return text[len(known) :].strip()

    def rest(self, secs: float) -> list[str]:
        """The sentences not heard to their end, from the beginning of the one that was cut, and those planned."""
        left = self._chars(secs)
        rest: list[str] = []
        for piece in self._pieces:
            heard, left = _cut(piece.text, left)
            if rest or heard != piece.text:
                rest.append(piece.text)
        return rest + [text for _, text in self.planned]

    def _anchor(self, chars: float) -> None:
        self._anchors.append((self._written_secs, max(chars, self._anchors[-1][1])))

    def _chars(self, secs: float) -> float:
        before = self._anchors[0]
        for after in self._anchors[1:]:
            if secs < after[0]:
                share = (secs - before[0]) / (after[0] - before[0])
                return before[1] + share * (after[1] - before[1])
            before = after
        speed = before[1] / before[0] if before[0] > 0 and before[1] else CHARS_PER_SEC
        return min(before[1] + max(0.0, secs - before[0]) * speed, float(self._total))


def _cut(text: str, chars: float) -> tuple[str, float]:
    """The leading words of `text` that fit into `chars` spoken characters, and what is left of those."""
    spoken = weight(text)
    if spoken <= chars + 0.5:
        return text, chars - spoken
    end = 0
    position = 0
    for word in text.split():
        position = text.index(word, position) + len(word)
        cost = weight(word)
        if cost > chars + 0.5:
            break
        chars -= cost
        end = position
    return text[:end], 0.0
