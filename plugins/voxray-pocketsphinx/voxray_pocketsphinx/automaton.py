"""A grammar as the smallest graph of words that says the same.

PocketSphinx copies a rule for each place where it is used, and follows every copy while it listens. The minimal graph
of a dialogue's grammar has a tenth of the arcs, and is decoded in a fraction of the time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from voxray_pocketsphinx.jsgf import Choice, GrammarError, Node, Repeat, Sequel, Word

MAX_STATES = 10_000


@dataclass(frozen=True, slots=True)
class Graph:
    """States are numbers, 0 the first; `arcs` are (from, word, to) in order."""

    states: int
    arcs: tuple[tuple[int, str, int], ...]
    final: frozenset[int]

    @property
    def words(self) -> list[str]:
        return sorted({word for _, word, _ in self.arcs})

    def fsg(self) -> str:
        """The graph in PocketSphinx's own format. All sentences weigh the same."""
        last = self.states
        lines = ["FSG_BEGIN grammar", f"NUM_STATES {last + 1}", "START_STATE 0", f"FINAL_STATE {last}"]
        lines += [f"TRANSITION {start} {end} 1.0 {word}" for start, word, end in self.arcs]
        lines += [f"TRANSITION {state} {last} 1.0" for state in sorted(self.final)]
        return "\n".join([*lines, "FSG_END", ""])


def minimal(node: Node) -> Graph:
    """The smallest graph for `node`. Raises GrammarError if nothing can be said, or it is too large."""
    loose = _Loose()
    loose.final = loose.add(node, loose.new())
    graph = _merge(*_deterministic(loose))
    if not graph.arcs:
        raise GrammarError("nothing can be said in this grammar")
    return graph


@dataclass(slots=True)
class _Loose:
    """An automaton with empty arcs."""

    empty: list[list[int]] = field(default_factory=list)
    arcs: list[list[tuple[str, int]]] = field(default_factory=list)
    final: int = 0

    def new(self) -> int:
        if len(self.arcs) >= 10 * MAX_STATES:
            raise GrammarError("the grammar is too large")
        self.empty.append([])
        self.arcs.append([])
        return len(self.arcs) - 1

    def add(self, node: Node, start: int) -> int:
        """Add `node` after `start`; the state after it."""
        match node:
            case Word(text):
                end = self.new()
                self.arcs[start].append((text, end))
                return end
            case Sequel(parts):
                for part in parts:
                    start = self.add(part, start)
                return start
            case Choice(options):
                ends = [self.add(option, self._after(start)) for option in options]
                end = self.new()
                for each in ends:
                    self.empty[each].append(end)
                return end
            case Repeat(part):
                loop = self._after(start)
                self.empty[self.add(part, loop)].append(loop)
                return self._after(loop)
        raise GrammarError(f"{node} has no definition")

    def _after(self, start: int) -> int:
        state = self.new()
        self.empty[start].append(state)
        return state

    def closed(self, states: Iterable[int]) -> frozenset[int]:
        seen = set(states)
        waiting = list(seen)
        while waiting:
            for state in self.empty[waiting.pop()]:
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
        return frozenset(seen)


Table = list[dict[str, int]]


def _deterministic(loose: _Loose) -> tuple[Table, set[int]]:
    """One arc per word and state: next states by word, and the final states."""
    first = loose.closed([0])
    numbers = {first: 0}
    table: Table = []
    waiting = [first]
    for here in waiting:  # grows while it is walked
        onward: dict[str, set[int]] = defaultdict(set)
        for state in here:
            for word, end in loose.arcs[state]:
                onward[word].add(end)
        row: dict[str, int] = {}
        for word in sorted(onward):
            there = loose.closed(onward[word])
            if there not in numbers:
                if len(numbers) >= MAX_STATES:
                    raise GrammarError("the grammar is too large")
                numbers[there] = len(numbers)
                waiting.append(there)
            row[word] = numbers[there]
        table.append(row)
    return table, {number for states, number in numbers.items() if loose.final in states}


def _merge(table: Table, final: set[int]) -> Graph:
    """Make one state of all that say the same onward (Moore's algorithm); drop those that lead nowhere."""
    table, final = _useful(table, final)
    group = [int(state in final) for state in range(len(table))]
    while True:
        marks: dict[object, int] = {}
        refined = []
        for state, row in enumerate(table):
            mark = (group[state], tuple((word, group[end]) for word, end in row.items()))
            refined.append(marks.setdefault(mark, len(marks)))
        if len(marks) == len(set(group)):
            break
        group = refined
    names: dict[int, int] = {}
    for number in group:  # the first state's group is 0
        names.setdefault(number, len(names))
    arcs = {
        (names[group[state]], word, names[group[end]]): None
        for state, row in enumerate(table)
        for word, end in row.items()
    }
    return Graph(len(names), tuple(sorted(arcs)), frozenset(names[group[state]] for state in final))


def _useful(table: Table, final: set[int]) -> tuple[Table, set[int]]:
    before: dict[int, set[int]] = defaultdict(set)
    for state, row in enumerate(table):
        for end in row.values():
            before[end].add(state)
    good = set(final)
    waiting = list(final)
    while waiting:
        for state in before[waiting.pop()]:
            if state not in good:
                good.add(state)
                waiting.append(state)
    kept = sorted(good | {0})
    number = {state: place for place, state in enumerate(kept)}
    return (
        [{word: number[end] for word, end in table[state].items() if end in good} for state in kept],
        {number[state] for state in final},
    )
