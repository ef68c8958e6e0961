"""What an utterance means at a place in the dialogue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from voxray_dialogue.flow import Act, Confirm, Fill, Flow
from voxray_dialogue.phrases import Bindings, Node, fit, words_of

_KEYS = re.compile(r"\s*DTMF:\s*([0-9*#]+)\s*", re.IGNORECASE)
REMEMBERED = 2048  # answers kept: a dialogue is replayed from its beginning at every turn


@dataclass(frozen=True, slots=True)
class Understood:
    """What was said: what to do if it was an intent or an answer to a question, and the slots in it."""

    act: Act | None
    bindings: Bindings = ()


class Matcher:
    """Understands one flow's callers."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self.understand = lru_cache(REMEMBERED)(self._understand)

    def _understand(self, step: str, asked: str, text: str) -> Understood | None:
        """The best meaning of `text` at `step`, where the slot `asked` ("" for none) is the open question.

        More of the utterance explained wins, then more words named by the phrase, then the place: the question, the
        step, everywhere. None: not understood.
        """
        pressed = _KEYS.fullmatch(text)
        if pressed:
            return self._by_keys(step, asked, pressed[1])
        words = words_of(text)
        best: tuple[tuple[bool, int, int], Understood] | None = None
        for node, act in self._candidates(step, asked):
            match = fit(node, words, self._flow.slots)
            if match is not None and (best is None or match.rank > best[0]):
                best = (match.rank, Understood(act, match.bindings))
        return best[1] if best else None

    def _candidates(self, name: str, asked: str) -> Iterator[tuple[Node, Act | None]]:
        step = self._flow.steps[name]
        if isinstance(step, Fill):
            for slot in (asked, *(slot for slot in step.slots if slot != asked)):
                answers = self._flow.answers.get(slot, ())
                # The bare value answers its own question only: "two" may mean nights or guests.
                yield from ((node, None) for node in (answers if slot == asked else answers[:-1]))
            yield from ((node, None) for node in step.phrases)
        if isinstance(step, Confirm):
            yield from ((node, step.yes) for node in self._flow.yes)
            yield from ((node, step.no) for node in self._flow.no)
        for acts in (step.on, self._flow.always):
            for intent, act in acts.items():
                yield from ((node, act) for node in self._flow.intents[intent].phrases)

    def _by_keys(self, name: str, asked: str, pressed: str) -> Understood | None:
        step = self._flow.steps[name]
        for acts in (step.on, self._flow.always):
            for intent, act in acts.items():
                keys = self._flow.intents[intent].keys
                if keys and pressed in (keys, keys + "#"):
                    return Understood(act)
        keys = pressed.rstrip("#")
        if isinstance(step, Confirm) and keys in ("1", "2"):
            return Understood(step.yes if keys == "1" else step.no)
        value = self._flow.slots[asked].read_keys(keys) if asked else None
        return Understood(None, ((asked, value),)) if value is not None else None
