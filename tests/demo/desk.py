"""The hotel's desk for other people's clients: by websocket and WebRTC, with a tool that the client runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxray.demo.agent import FLOW, demo_config

MAP = {  # part of the flow → what is put first in it
    "intents": '  where: {phrases: ["where are you", "how do i find you"]}',
    "always": "  where: {goto: map}",
    "steps": """  map:
    call: show_map
    arguments: {place: harbor}
    then: {say: "We are in {result.street}.", goto: menu}
    failed: {say: The map does not work., goto: menu}""",
}


def desk_config(folder: Path) -> dict[str, Any]:
    """The demo's configuration with the map in its flow; what the demo alone has is left out."""
    flow = FLOW.read_text(encoding="utf-8")
    for part, more in MAP.items():
        flow = flow.replace(f"\n{part}:\n", f"\n{part}:\n{more}\n", 1)
    path = folder / "desk.yaml"
    path.write_text(flow, encoding="utf-8")
    config = dict(demo_config())
    config["providers"] = {**config["providers"], "dialogue": {"llm": {"flow": str(path)}}}
    return {**config, "host": "127.0.0.1", "tools": ["call_control"], "transport": "both", "webrtc_ice_servers": []}


@contextmanager
def served(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """The address of a server of this configuration, in a process of its own."""
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "voxray.cli.main", "serve", str(path), "--port", "0", "--log-level", "warn"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, line
            yield found.group()
        finally:
            process.terminate()
