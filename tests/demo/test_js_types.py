"""The JavaScript client's types hold: the TypeScript compiler reads its JSDoc, strictly."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.demo.npm import installed

HERE = Path(__file__).parent / "typescript"
CLIENT = Path("clients/js")
USE = """
import { Client, Conversation, Recording } from "./src/index.js";
const client = new Client("http://localhost:3042/");
client.on("state", (state) => state === "speaking");
client.on("ended", ({ text, willRetryInSecs = 0 }) => text.length + willRetryInSecs);
client.on("frame", ({ type, data }) => new Conversation().see(type, data));
client.on("sound", (pcm) => new Recording({ maxSecs: 60 }).add(pcm));
await client.start({ transport: "webrtc", microphone: true, body: { system_prompt: "Be brief." } });
"""
MISUSES = {
    'client.on("states", () => {});': "TS2345",
    'client.on("level", ({ volume }) => volume);': "TS2339",
    'await client.start({ transport: "telepathy" });': "TS2322",
}


def checked(folder: Path, more: str = "") -> tuple[int, str]:
    """Status and words of the compiler for the client, and `more` beside it."""
    project = folder / "client"
    project.mkdir()
    for name in ("src", "tsconfig.json", "worklet-scope.d.ts"):
        (project / name).symlink_to((CLIENT / name).resolve())
    (project / "use.ts").write_text(more + "export {};\n", encoding="utf-8")
    command = [installed(HERE) / "node_modules/.bin/tsc", "--noEmit", "--project", project / "check.json"]
    (project / "check.json").write_text(
        '{"extends": "./tsconfig.json", "compilerOptions": {"preserveSymlinks": true}, '
        '"include": ["src", "use.ts", "worklet-scope.d.ts"]}'
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


def test_the_client_is_typed_and_so_is_its_use(tmp_path: Path) -> None:
    status, words = checked(tmp_path, USE)
    assert status == 0, words


@pytest.mark.parametrize(("misuse", "error"), MISUSES.items())
def test_a_misuse_is_found(tmp_path: Path, misuse: str, error: str) -> None:
    status, words = checked(tmp_path, USE + misuse)
    assert status != 0
    assert error in words
    assert "src/" not in words
