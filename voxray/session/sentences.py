"""Text as the model streams it in, speakable pieces out: early ones short, never in the middle of a word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

FIRST_CLAUSE = 30  # characters after which the first piece may end at a comma: the caller is waiting
LONG_CLAUSE = 120  # after which any piece may
LONGEST = 240  # after which a piece ends at a blank

_ENDS = re.compile(r"""([.!?…]+["')\]»”’]*(?=\s)|[。！？।؟]["')\]»”’]*|\n)""")
_CLAUSES = re.compile(r"[,;:—–](?=\s)|[，；：、]")
_ABBREVIATIONS = re.compile("mr|mrs|ms|dr|prof|sr|jr|st|vs|nr|approx|dept|est|fig|inc|ltd|co|corp")
_INITIALS = re.compile(r"[^\W\d_](\.[^\W\d_])*")  # J. and e.g. and U.S.
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)\s]*\)")
_BLOCK = re.compile(r"^\s{0,3}(?:#{1,6}\s+|>\s+|[-*+•]\s+)", re.MULTILINE)
_MARKUP = re.compile(
    r"```[\w-]*|`"
    r"|\*{1,3}(?=\S)|(?<=\S)\*{1,3}"  # but not in 2 * 3
    r"|~~|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)"
    r"|</?[A-Za-z][^<>\n]{0,80}>"
)


class SentenceSplitter:
    """Collects deltas; `feed` and `finish` give what can be spoken now."""

    def __init__(self) -> None:
        self._text = ""
        self._given = 0

    def feed(self, delta: str) -> list[str]:
        self._text += delta
        pieces = []
        while (end := self._end()) is not None:
            piece, self._text = self._text[:end], self._text[end:].lstrip()
            if piece.strip():
                pieces.append(piece.strip())
                self._given += 1
        return pieces

    def finish(self) -> list[str]:
        rest, self._text = self._text.strip(), ""
        return [rest] if rest else []

    def _end(self) -> int | None:
        for match in _ENDS.finditer(self._text):
            if not self._abbreviated(match.start(), match.group()):
                return match.end()
        soonest = FIRST_CLAUSE if not self._given else LONG_CLAUSE
        if len(self._text) >= soonest:
            for match in _CLAUSES.finditer(self._text, soonest - 1):
                return match.end()
        if len(self._text) > LONGEST:
            blank = self._text.rfind(" ", 0, LONGEST)
            return blank + 1 if blank > 0 else LONGEST
        return None

    def _abbreviated(self, at: int, mark: str) -> bool:
        if mark != ".":
            return False
        word = self._text[:at].rsplit(None, 1)[-1] if self._text[:at].strip() else ""
        bare = word.lstrip("\"'([").lower()
        if _ABBREVIATIONS.fullmatch(bare) or (bare != "i" and _INITIALS.fullmatch(bare)):
            return True
        before = self._text[: at - len(word)].rstrip(" ")
        if word == "No" and before:
            return True  # bus No. 5
        # A number at the start of a line belongs to a list.
        return bare.isdigit() and (not before or before.endswith("\n"))


def speakable(text: str) -> str:
    """`text` without what a voice would read out wrongly: Markdown, tags, emoji. Words and numbers all stay."""
    text = _LINK.sub(r"\1", text)
    text = _BLOCK.sub("", text)
    text = _MARKUP.sub("", text)
    return " ".join(_without_pictures(text).split())


def _without_pictures(text: str) -> str:
    if text.isascii():
        return text
    kept: list[str] = []
    picture = False
    for char in text:
        # Joiners, variation selectors and tags go with the picture before them; elsewhere they make letters.
        picture = _pictorial(char) or (picture and unicodedata.category(char) in ("Cf", "Mn", "Sk"))
        if not picture and char not in "\ufe0e\ufe0f\u20e3":
            kept.append(char)
    return "".join(kept)


def _pictorial(char: str) -> bool:
    return ("\u2300" <= char <= "\u2bff" or char >= "\U0001f000") and unicodedata.category(char) in ("So", "Sk")


def spoken(pieces: Iterable[str]) -> Iterator[str]:
    """What is to be said of these pieces; those without a word are skipped."""
    for piece in pieces:
        clean = speakable(piece)
        if any(map(str.isalnum, clean)):
            yield clean


def spoken_text(text: str) -> list[str]:
    """A whole text as the sentences that are to be said."""
    splitter = SentenceSplitter()
    return list(spoken([*splitter.feed(text), *splitter.finish()]))
