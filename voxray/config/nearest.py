"""The word that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, candidates: Iterable[str]) -> str:
    """The candidate most like `word`, or "" if none is like it. Case, hyphens and underscores count for nothing."""
    folded: dict[str, str] = {}
    for candidate in candidates:
        folded.setdefault(_fold(candidate), candidate)
    word = _fold(word[:64])
    if word in folded:
        return folded[word]
    close = get_close_matches(word, folded, n=6, cutoff=0.6)
    if not close:
        return ""
    best = min(close, key=lambda candidate: _distance(word, candidate))
    if min(len(best), len(word)) >= 4 and (best.startswith(word) or word.startswith(best)):
        return folded[best]
    # Short words resemble each other by accident: "xyz" is not a misspelt "mcp".
    return folded[best] if _distance(word, best) <= max(1, len(best) // 3, len(word) // 3) else ""


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """`did you mean "host"?`, or ""."""
    found = nearest(word, candidates)
    return f'did you mean "{found}"?' if found else ""


def _fold(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")


def _distance(left: str, right: str) -> int:
    """Edits between two words: insertion, deletion, replacement, exchange of neighbours."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, char in enumerate(left, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != other))
            if i > 1 and j > 1 and char == right[j - 2] and left[i - 2] == other:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]
