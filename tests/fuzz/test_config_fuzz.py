"""Mutated configurations: no traceback, every error at its place, misspelt keys recognised.

Seeded. VOXRAY_FUZZ_RUNS sets the number of files (500), VOXRAY_FUZZ_SEED the seed; `pytest -s` prints the counts.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from types import ModuleType
from typing import Any

import pytest
import yaml

from voxray.config.document import parse_document
from voxray.config.load import Composed, check_document
from voxray.config.problems import Problem
from voxray.plugin import LlmSpec, PipelineSpec, Secret, SttSpec, TtsSpec, hookimpl
from voxray.registry import Registry

RUNS = int(os.environ.get("VOXRAY_FUZZ_RUNS", "500"))
SEED = int(os.environ.get("VOXRAY_FUZZ_SEED", "1"))
LIMIT_MS = 50

BASES: list[dict[str, Any]] = [
    {"host": "localhost", "port": 3042},
    {
        "stt_provider": "hark", "llm_provider": "muse", "tts_provider": "chant", "model": "muse-1", "tts_voice": "ada",
        "stt_language": "en-GB", "vad_type": "energy", "vad_threshold": 0.02, "turn_detection": "silence",
        "turn_stop_secs": 0.8, "allow_interruptions": True, "interruption_strategy": "min_words", "min_words": 3,
        "api_keys": {"muse": "${MUSE_API_KEY}"}, "system_prompt": "You answer the phone of a hotel.",
        "providers": {"hark": {"stt": {"endpointing_ms": 200}}, "muse": {"llm": {"temperature": 0.4}}},
        "plugins": ["gain", "mute"], "plugin_options": {"gain": {"gain_db": 3}}, "tools": ["call_control"],
    },
    {
        "_comment": "all sections", "transport": "websocket", "workers": 1, "max_sessions": 100, "drain_secs": 10,
        "cors_allowed_origins": ["https://a.example"], "max_request_body_bytes": 1000, "rtc_max_duration_secs": 600.5,
        "webrtc_ice_servers": ["stun:a.example", {"urls": ["turn:b.example"], "username": "u"}],
        "recording": {"enable": False, "bucket": "b", "worker_count": 4, "max_retries": 0},
        "transcripts": {"enable": True, "driver": "postgres", "dsn": "postgresql://h/d", "table_name": "calls"},
        "mcp": {"command": "server", "args": ["-v"], "tools_filter": []}, "metrics": {"audio_sample_rate": 0.1},
        "metrics_enabled": None, "log_level": "warn", "json_logs": True, "session_store": "memory",
        "tools": [{"name": "call_control"}], "interruption_phrases": ["stop"], "proxy_host": "voice.example.com",
    },
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, 2**53 + 1, -(10**12), "", "x", "3042", "true", [], {}, [1], ["x"], {"x": 1},
    [[]], [None], "\u202e\u0000", "\ud83d\ude00" * 50, "x" * 5000, {"name": 1}, {"": ""}, [{}], {"_x": 1},
]  # fmt: skip
TEXTS = [
    "{", "}", "[", "]", ",", ":", '"', "'", "\\", "\n", "\t", "\x00", "//", "/* x", "#", "NaN", "-Infinity", "1e999",
    "\ufeff", "\u00a0", "\\ud800", "\\u12", "0x1F", "9" * 400, "None", "- ", "&a ", "*a", "!!", "? ", "---\n", "%",
    "|\n",
]  # fmt: skip
Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mutant:
    """A file, and what the checker must find in it: a rule, or the key that was misspelt."""

    kind: str
    raw: bytes
    name: str
    rule: str = ""
    meant: str = ""


def option(kind: str, default: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "default": default, "description": "x", **more}


def voxray_register_providers() -> list[Any]:
    key = Secret("MUSE_API_KEY")
    milliseconds = option("integer", 300, minimum=10, maximum=5000)
    return [
        SttSpec(name="hark", title="Hark", factory="x:y", streaming=True, options={
            "model": option("string", "hark-1"), "language": option("string", ""), "endpointing_ms": milliseconds}),
        LlmSpec(name="muse", title="Muse", factory="x:y", secrets=(key,), base_url="https://muse.example", options={
            "model": option("string", "muse-1"), "temperature": option("number", 1, minimum=0, maximum=2)}),
        TtsSpec(name="chant", title="Chant", factory="x:y", options={
            "voice": option("string", "ada", enum=["ada", "bob"]), "speed": option("number", 1, minimum=0.5)}),
    ]  # fmt: skip


def voxray_register_pipeline_plugins() -> list[PipelineSpec]:
    return [
        PipelineSpec(name="gain", title="Gain", factory="x:y", options={"gain_db": option("number", 0)}),
        PipelineSpec(name="mute", title="Mute", factory="x:y"),
    ]


@pytest.fixture(scope="module")
def composed() -> Composed:
    plugin = ModuleType("fuzz")
    for hook in (voxray_register_providers, voxray_register_pipeline_plugins):
        setattr(plugin, hook.__name__, hookimpl(hook))

    class Entry:
        name, dist, module = "fuzz", None, "voxray-fuzz"

        def load(self) -> ModuleType:
            return plugin

    return Composed.of(Registry.load(only=(), entries=[Entry()]))  # type: ignore[list-item]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from places(part, (*path, index))


def parent_of(data: Any, path: Path) -> Any:
    for part in path[:-1]:
        data = data[part]
    return data


def misspell(word: str, chance: random.Random) -> str:
    """One slip of the finger, inside the word or at its end."""
    at = chance.randrange(1, len(word))
    slips = [
        word[:at] + word[at + 1 :],
        word[:at] + word[at - 1] + word[at:],
        word[:at] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[at:],
        word[:at] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :],
        word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        word.replace("_", "-") if "_" in word else word.upper(),
        word.title().replace("_", ""),
    ]
    return chance.choice(slips)


class Mutator:
    def __init__(self, seed: int, known: set[str]) -> None:
        self.chance = random.Random(seed)
        self._known = known

    def next(self) -> Mutant:
        data = copy.deepcopy(self.chance.choice(BASES))
        make: Callable[[Any], Mutant] = self.chance.choice(
            [self.misspelt, self.misspelt, self.value, self.value, self.missing, self.unknown, self.doubled, self.deep,
             self.characters, self.characters, self.cut, self.noise, self.huge_number, self.comment, self.several]
        )  # fmt: skip
        return make(data)

    def written(self, kind: str, data: Any, **expected: str) -> Mutant:
        if self.chance.random() < 0.3:
            text = yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
            return Mutant(kind, text.encode("utf-8", "surrogatepass"), "config.yaml", **expected)
        text = json.dumps(data, indent=self.chance.choice([None, 2]), ensure_ascii=self.chance.random() < 0.5)
        return Mutant(kind, text.encode("utf-8", "surrogatepass"), "config.json", **expected)

    def misspelt(self, data: Any) -> Mutant:
        keys = [path for path in places(data) if isinstance(path[-1], str) and len(path[-1]) > 2]
        keys = [path for path in keys if path[0] != "api_keys" and not str(path[-1]).startswith("_")]
        path = self.chance.choice(keys)
        key = str(path[-1])
        wrong = misspell(key, self.chance)
        parent = parent_of(data, path)
        if wrong in self._known or wrong in parent or wrong.startswith("_"):
            return self.value(data)
        renamed = {wrong if name == key else name: part for name, part in parent.items()}
        parent.clear()
        parent.update(renamed)
        return self.written("misspelt", data, meant=key)

    def value(self, data: Any) -> Mutant:
        self._replace(data)
        return self.written("value", data)

    def _replace(self, data: Any) -> None:
        path = self.chance.choice(list(places(data)))
        parent_of(data, path)[path[-1]] = copy.deepcopy(self.chance.choice(VALUES))

    def several(self, data: Any) -> Mutant:
        for _ in range(self.chance.randint(2, 6)):
            self._replace(data)
        return self.written("several", data)

    def missing(self, data: Any) -> Mutant:
        path = self.chance.choice(list(places(data)))
        del parent_of(data, path)[path[-1]]
        return self.written("missing", data)

    def unknown(self, data: Any) -> Mutant:
        objects = [path for path in places(data) if isinstance(parent_of(data, (*path, 0)), dict)]
        target = parent_of(data, (*self.chance.choice([(), *objects]), 0))
        name = "".join(self.chance.choice("qxzåß\u202e \n\"'{}$.0") for _ in range(self.chance.randint(0, 12)))
        target[name] = copy.deepcopy(self.chance.choice(VALUES))
        return self.written("unknown", data)

    def doubled(self, data: Any) -> Mutant:
        key = self.chance.choice(list(data))
        text = json.dumps(data, indent=2)
        raw = text[: text.rindex("}")].rstrip() + f',\n  "{key}": {json.dumps(data[key])}\n}}'
        return Mutant("doubled", raw.encode(), "config.json", rule="duplicate-key")

    def deep(self, data: Any) -> Mutant:
        depth = self.chance.choice([63, 64, 65, 200, 5000])
        opening, closing = self.chance.choice([("[", "]"), ('{"a":', "}")])
        raw = f'{{"_x": {opening * depth}1{closing * depth}}}'
        name = self.chance.choice(["config.json", "config.yaml"])
        return Mutant("deep", raw.replace('":', '": ').encode(), name, rule="nesting" if depth >= 64 else "")

    def characters(self, data: Any) -> Mutant:
        mutant = self.written("characters", data)
        text = mutant.raw.decode("utf-8", "replace")
        for _ in range(self.chance.randint(1, 3)):
            at = self.chance.randrange(len(text))
            insert = self.chance.choice([*TEXTS, ""])
            text = text[:at] + insert + text[at + self.chance.randint(0, 2) :]
        return Mutant("characters", text.encode("utf-8", "surrogatepass"), mutant.name)

    def cut(self, data: Any) -> Mutant:
        mutant = self.written("cut", data)
        return Mutant("cut", mutant.raw[: self.chance.randrange(len(mutant.raw))], mutant.name)

    def noise(self, data: Any) -> Mutant:
        mutant = self.written("noise", data)
        raw = bytearray(mutant.raw)
        for _ in range(self.chance.randint(1, 5)):
            raw[self.chance.randrange(len(raw))] = self.chance.randrange(256)
        return Mutant("noise", bytes(raw), mutant.name)

    def huge_number(self, data: Any) -> Mutant:
        number = self.chance.choice(
            ["9" * 30, "9" * 5000, "1e400", "-1e400", "1e-400", "0." + "1" * 400, "1" + "0" * 16]
        )
        text = json.dumps(data | {"port": "@"}).replace('"@"', number)
        return Mutant("huge", text.encode(), self.chance.choice(["config.json", "config.yaml"]))

    def comment(self, data: Any) -> Mutant:
        text = json.dumps(data, indent=2)
        lines = text.splitlines()
        at = self.chance.randrange(len(lines))
        lines[at] += self.chance.choice([" // why", " /* why */", " # why", "\n/* why\n*/"])
        return Mutant("comment", "\n".join(lines).encode(), "config.json", rule="comment")


def check_problem(problem: Problem, mutant: Mutant) -> None:
    lines = mutant.raw.decode("utf-8", "replace").count("\n") + 1
    assert str(problem).isprintable(), problem
    json.dumps(problem.as_json(), ensure_ascii=False).encode()
    assert problem.rule, problem
    if problem.severity == "error":
        assert problem.path.startswith("$"), problem
        assert problem.line is not None, problem
        assert problem.column is not None, problem
        assert 1 <= problem.line <= lines + 1, problem
        assert problem.column >= 1, problem


def test_mutated_configurations_are_explained(composed: Composed) -> None:
    known = set(composed.schema["properties"]) | {"hark", "muse", "chant", "gain", "mute"}
    mutator = Mutator(SEED, known)
    seen: Counter[str] = Counter()
    slow = missed = 0
    slowest = 0.0
    missed_keys: list[str] = []
    for run in range(RUNS):
        mutant = mutator.next()
        seen[mutant.kind] += 1
        began = time.perf_counter()
        document = parse_document(mutant.raw, mutant.name)
        settings, problems = check_document(document, composed, {}, today=date(2026, 1, 1))
        took_ms = (time.perf_counter() - began) * 1000
        slow += took_ms > LIMIT_MS
        slowest = max(slowest, took_ms)
        for problem in problems:
            check_problem(problem, mutant)
        assert (settings is None) == any(problem.severity == "error" for problem in problems), (run, mutant)
        if mutant.rule:
            assert mutant.rule in {problem.rule for problem in problems}, (run, mutant, problems)
        if mutant.meant and not any(f'"{mutant.meant}"' in problem.remedy for problem in problems):
            missed += 1
            missed_keys.append(f"{mutant.meant}: {[str(problem) for problem in problems][:2]}")
    print(f"\n{RUNS} files {dict(seen)}; over {LIMIT_MS} ms: {slow}, slowest {slowest:.1f} ms")
    print(f"misspelt {seen['misspelt']}, not recognised {missed}:", *missed_keys[:10], sep="\n  ")
    assert missed <= 0.05 * max(seen["misspelt"], 20), missed_keys


def test_the_unmutated_files_are_good(composed: Composed) -> None:
    for data in BASES:
        document = parse_document(json.dumps(data).encode(), "config.json")
        _, problems = check_document(document, composed, {}, today=date(2026, 1, 1))
        assert [problem for problem in problems if problem.severity == "error"] == []
