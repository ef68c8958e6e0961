"""What a command imports, because that is what it costs. Counted in modules: milliseconds depend on the machine."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

RUNTIME = ("asyncio", "anyio", "numpy", "httpx", "starlette", "hypercorn", "websockets", "soxr", "prometheus_client")
SDKS = ("openai", "anthropic", "elevenlabs", "sarvamai", "onnxruntime", "pocketsphinx", "espeakng_loader", "pydantic")
STORES = ("redis", "aiosqlite", "asyncpg", "av", "aiortc", "mcp")

PROGRAM = """
import json, sys
from voxray.cli.main import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as exit:
    assert not exit.code, exit.code
sys.stderr.write("\\n" + json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def imported_by(*arguments: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("--help",),
        ("providers", "list"),
        ("providers", "list", "--json"),
        ("providers", "show", "energy"),
        ("new", "--help"),
    ],
    ids=" ".join,
)
def test_looking_around_imports_no_runtime_no_vendor_and_no_schema(arguments: tuple[str, ...]) -> None:
    heavy = {*RUNTIME, *SDKS, *STORES, "jsonschema", "rich", "yaml"}
    assert not imported_by(*arguments) & heavy


def test_printing_the_schema_imports_no_runtime_and_no_vendor() -> None:
    assert not imported_by("schema") & {*RUNTIME, *SDKS, *STORES}


def test_validating_imports_no_runtime_and_no_vendor(tmp_path_factory: pytest.TempPathFactory) -> None:
    config = tmp_path_factory.mktemp("config") / "config.json"
    config.write_text('{"vad_type": "energy"}')
    assert not imported_by("validate", str(config)) & {*RUNTIME, *SDKS, *STORES}


def test_the_version_imports_no_plugins() -> None:
    assert not imported_by("--version") & {"pluggy", "voxray_openai", "voxray_groq"}
