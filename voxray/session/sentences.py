"""Text as the model streams it in, speakable pieces out: early ones short, never in the middle of a word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator

FIRST_CLAUSE = 30  # characters after which the first piece may end at a comma: the caller is waiting
LONG_CLAUSE = 120  # after which any piece may
LONGEST = 240  # after which a piece ends at a blank

_ENDS = re.compile(r"""([.!?…]+["')\]»”’]*(?=\s)|[。！？।؟]["')\]»”’]*|\n)""")
_CLAUSES = re.compile(r"[,;:—–](?=\s)|[，；：、]")
_ABBREVIATIONS = frozenset(
    (
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "sr",
        "jr",
        "st",
        "vs",
        "approx",
        "dept",
        "est",
        "fig",
        "inc",
        "ltd",
        "e.g",
        "i.e",
    )
)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BLOCK = re.compile(r"^\s{0,3}(?:#{1,6}\s+|>\s?|[-*+•]\s+|\d{1,3}[.)]\s+(?=\S))", re.MULTILINE)
_MARKUP = re.compile(r"```[\w-]*|`|\*{1,3}|~~|(?<!\w)_{1,3}(?=\S)|(?<=\S)_{1,3}(?!\w)|<[^<>\n]{1,80}>")


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
        # An initial ("J."), a numbered item ("1.") at the start of a line, or a known abbreviation.
        if len(bare) == 1 and bare.isalpha() and bare != "i":
            return True
        before = self._text[: at - len(word)].rstrip(" ")
        return bare in _ABBREVIATIONS or (bare.isdigit() and (not before or before.endswith("\n")))


def speakable(text: str) -> str:
    """`text` without what a voice would read out wrongly: Markdown, tags, emoji. Words and numbers all stay."""
    text = _LINK.sub(r"\1", text)
    text = _BLOCK.sub("", text)
    text = _MARKUP.sub("", text)
    kept = "".join(char for char in text if not _pictorial(char))
    return " ".join(kept.split())


def _pictorial(char: str) -> bool:
    if char < "\u00a9":
        return False
    if char in "°€£¥§%‰№©®™×÷±≤≥≈≠µΩ":
        return False
    category = unicodedata.category(char)
    return category == "So" or char in "\u200d\ufe0f\ufe0e\u20e3" or "\U0001f3fb" <= char <= "\U0001f3ff"


async def sentences(deltas: AsyncIterable[str]) -> AsyncIterator[str]:
    """Speakable sentences of a stream of text, each as soon as it is complete. Pieces without a word are skipped."""
    splitter = SentenceSplitter()
    async for delta in deltas:
        for piece in splitter.feed(delta):
            if has_words(clean := speakable(piece)):
                yield clean
    for piece in splitter.finish():
        if has_words(clean := speakable(piece)):
            yield clean


def has_words(text: str) -> bool:
    return any(map(str.isalnum, text))
