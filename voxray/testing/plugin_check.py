"""The contract check of a whole plugin: what it declares, what its factories take, how it is packaged."""

from __future__ import annotations

import inspect
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from voxray.registry import GROUP, Registered, Registry, factory
from voxray.specs import PeersSpec, RoomsSpec, Spec

METHODS = {
    ("stt", True): ("open",),
    ("stt", False): ("recognize",),
    ("tts", True): ("open",),
    ("tts", False): ("synthesize",),
    ("llm", None): ("generate",),
    ("realtime", None): ("open",),
    ("vad", None): ("open", "window_samples"),
    ("turn", None): ("patience",),
    ("tools", None): ("open",),
    ("serializer", None): ("decode", "encode"),
    ("pipeline", None): ("open",),
    ("transport", None): ("routes",),
    ("carrier", None): (
        *("claims", "refusal", "answer", "recognize", "busy"),
        *("hang_up", "transfer", "send_dtmf", "dial", "dialled"),
    ),
    ("session_store", None): ("get", "put", "delete", "ping"),
    ("transcript_store", None): ("append",),
    ("recording_sink", None): ("upload",),
}
BEHIND_ROUTES: dict[type[Spec], tuple[str, ...]] = {  # transports without routes of their own
    PeersSpec: ("knows", "accept", "add_candidates"),
    RoomsSpec: ("create", "join", "delete", "refusal", "dial_in"),
}
ATTRIBUTES = {"carrier": ("name", "transfers", "sends_dtmf", "proves_streams")}
HEAVY = ("asyncio", "ssl", "sqlite3", "multiprocessing")  # of the standard library
LOOKS = "import sys; import voxray.plugin; before = set(sys.modules); import {}; print(*set(sys.modules) - before)"
EXAMPLE = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)


def check_plugin(module_name: str) -> None:
    """Check the installed plugin whose hooks are in `module_name`.

    * it loads, and declares something
    * its specs are data: frozen, picklable, printable, with options that are described and have valid defaults
    * every factory can be imported, takes what the spec promises, and makes what the kind is
    * its top module imports `voxray.plugin` and nothing heavier
    * the entry point, the module and the distribution are named alike, and the README shows a configuration in JSON

    Raises:
        AssertionError: the first broken rule.
    """
    entry = _entry_point(module_name)
    registry = Registry.load(only=[], entries=[entry])
    assert not registry.broken, f"{module_name} does not load: {registry.broken[0].error}"
    rows = [row for row in registry.registered() if row.plugin == entry.name]
    hooks = [name for name in dir(import_module(module_name)) if name.startswith("voxray_")]
    assert rows or hooks, f"{module_name} declares nothing and has no hook"
    _check_imports(module_name)
    for row in rows:
        _check_data(row)
        _check_options(row.spec)
        _check_factory(row.spec)
    _check_readme(module_name, entry, [row.spec for row in rows])


def _entry_point(module_name: str) -> EntryPoint:
    found = [entry for entry in entry_points(group=GROUP) if entry.module == module_name]
    assert found, f'no installed distribution has an entry point "{GROUP}" for {module_name}; pip install -e . first'
    entry = found[0]
    expected = module_name.removeprefix("voxray_")
    assert entry.name == expected, f'the entry point of {module_name} is "{entry.name}", not "{expected}"'
    if entry.dist is not None:
        distribution = f"voxray-{expected}".replace("_", "-")
        name = entry.dist.name.replace("_", "-").lower()
        assert name == distribution, f'the distribution of {module_name} is "{entry.dist.name}", not "{distribution}"'
    return entry


def _check_imports(module_name: str) -> None:
    """In a process of its own, because this one has imported everything already."""
    run = subprocess.run([sys.executable, "-c", LOOKS.format(module_name)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{module_name} cannot be imported on its own:\n{run.stderr}"
    roots = {name.partition(".")[0] for name in run.stdout.split()}
    ours = {module_name.partition(".")[0], "voxray"} | {name for name in roots if name.startswith("voxray_")}
    heavy = sorted(root for root in roots - ours if root in HEAVY or root not in sys.stdlib_module_names)
    assert not heavy, f"importing {module_name} imports {', '.join(heavy)}; move that behind `factory`"


def _check_data(row: Registered) -> None:
    spec = row.spec
    what = f'{spec.kind} "{spec.name}"'
    assert type(spec).__dataclass_params__.frozen, f"{what}: a spec is frozen"  # type: ignore[attr-defined]
    try:
        copy = pickle.loads(pickle.dumps(spec))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise AssertionError(f"{what}: a spec is data and can be pickled: {error}") from error
    assert copy == spec, f"{what}: a spec equals its copy"
    assert repr(spec) == repr(copy), f"{what}: a spec prints the same each time"
    assert spec.name, f"{what}: the name is not empty"
    assert spec.title, f"{what}: the title is not empty"


def _check_options(spec: Spec) -> None:
    from jsonschema import Draft202012Validator, SchemaError

    for name, schema in spec.options.items():
        what = f'{spec.kind} "{spec.name}", option "{name}"'
        try:
            json.dumps(schema)
            Draft202012Validator.check_schema(schema)
        except (TypeError, SchemaError) as error:
            raise AssertionError(f"{what} is no JSON Schema: {error}") from error
        assert schema.get("description"), f"{what} has no description"
        assert "type" in schema or "enum" in schema, f"{what} has no type"
        if "default" in schema:
            problems = [error.message for error in Draft202012Validator(schema).iter_errors(schema["default"])]
            assert not problems, f"{what}: the default is not valid: {problems[0]}"
    both = sorted(set(spec.options) & set(spec.presets))
    assert not both, f'{spec.kind} "{spec.name}": {", ".join(both)} is an option and a preset'


def _check_factory(spec: Spec) -> None:
    what = f'{spec.kind} "{spec.name}": {spec.factory}'
    made = factory(spec)
    signature = inspect.signature(made)
    given = {**spec.presets, **{name: schema.get("default") for name, schema in spec.options.items()}}
    try:
        signature.bind(None, **given)
    except TypeError as error:
        raise AssertionError(f"{what} does not take (context, {', '.join(given)}): {error}") from error
    if inspect.isclass(made):
        missing = [name for name in _methods(spec) if not callable(getattr(made, name, None))]
        assert not missing, f"{what} has no {', '.join(missing)}()"
        missing = [name for name in ATTRIBUTES.get(spec.kind, ()) if name not in _said(made)]
        assert not missing, f"{what} has no {', '.join(missing)}"


def _said(made: type) -> set[str]:
    """The names a class has, announces, or uses where its instances are made."""
    names = {name for base in made.__mro__ for name in (*vars(base), *inspect.get_annotations(base))}
    code = getattr(made.__init__, "__code__", None)  # type: ignore[misc]
    return names.union(code.co_names) if code else names


def _methods(spec: Spec) -> tuple[str, ...]:
    if type(spec) in BEHIND_ROUTES:
        return BEHIND_ROUTES[type(spec)]
    return METHODS.get((spec.kind, getattr(spec, "streaming", None))) or METHODS.get((spec.kind, None), ())


def _check_readme(module_name: str, entry: EntryPoint, specs: list[Spec]) -> None:
    text = _readme(module_name) or (entry.dist.read_text("METADATA") or "" if entry.dist else "")
    examples = [json.loads(example) for example in _valid(EXAMPLE.findall(text))]
    assert examples or not specs, f"the README of {module_name} shows no configuration in a ```json block"
    names = {spec.name for spec in specs}
    used = {word for example in examples for word in _words(example)}
    assert not names or names & used, f"no example in the README of {module_name} uses {' or '.join(sorted(names))}"


def _valid(examples: list[str]) -> list[str]:
    for example in examples:
        try:
            json.loads(example)
        except ValueError as error:
            raise AssertionError(f"an example in the README is no JSON: {error}:\n{example}") from error
    return examples


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)


def _readme(module_name: str) -> str:
    """The README beside the pyproject.toml above the module; "" for an installed wheel."""
    file = import_module(module_name).__file__
    for folder in Path(file).resolve().parents[:4] if file else ():
        if (folder / "pyproject.toml").is_file() and (folder / "README.md").is_file():
            return (folder / "README.md").read_text(encoding="utf-8")
    return ""
