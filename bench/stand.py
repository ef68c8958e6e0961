"""Processes of a measurement: simulated vendors and a server, each on its core, watched through /proc."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = 0, 1
CORES = sorted(os.sched_getaffinity(0))  # before this process pins itself
TURN_STOP_SECS = 0.5


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, if there is more than one."""
    if len(CORES) > 1:
        os.sched_setaffinity(pid, {CORES[core]})


@dataclass
class Process:
    """A running part of the stand; numbers come from /proc, so they cost it nothing."""

    popen: subprocess.Popen[str]
    ready_secs: float
    address: str

    @property
    def cpu_secs(self) -> float:
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(match.group(1)) / 1024 if match else 0.0

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.popen.pid}/fd"))

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.popen.pid}/task"))

    def metric(self, name: str) -> float:
        """A number of the server's /metrics, summed over its labels."""
        with urlopen(f"{self.address}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}(\{{| )", line))

    def stop(self) -> int:
        """Ask it to end; returns its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(timeout=15)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            return self.popen.wait()


@contextlib.contextmanager
def started(command: list[str], core: int, env: dict[str, str] | None = None) -> Iterator[Process]:
    """Start `command`, pinned, and wait for the address it prints."""
    begun = time.perf_counter()
    popen = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}
    )
    pin(popen.pid, core)
    assert popen.stdout is not None
    seen = ""
    for line in popen.stdout:
        seen += line
        if match := re.search(r"http://[\w.]+:\d+(/v1)?", line):
            break
    else:
        raise SystemExit(f"{command[0]} did not start:\n{seen}")
    process = Process(popen, time.perf_counter() - begun, match.group(0))
    # Whoever fills the pipe waits for a reader.
    reader = subprocess.Popen(["cat"], stdin=popen.stdout, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.stop()
        reader.wait(timeout=5)


@dataclass(frozen=True)
class Delays:
    """What the simulated vendors wait, in milliseconds."""

    transcription_ms: float = 0.0
    first_token_ms: float = 0.0
    first_audio_ms: float = 0.0

    @property
    def secs(self) -> float:
        return (self.transcription_ms + self.first_token_ms + self.first_audio_ms) / 1000


@contextlib.contextmanager
def vendors(say: str, delays: Delays, ms_per_char: float = 60.0) -> Iterator[Process]:
    """The simulated OpenAI API, on the load's core."""
    command = [sys.executable, "-m", "voxray.testing", "openai", "--port", "0", "--say", say]
    command += ["--transcription-ms", str(delays.transcription_ms), "--first-token-ms", str(delays.first_token_ms)]
    command += ["--first-audio-ms", str(delays.first_audio_ms), "--ms-per-char", str(ms_per_char)]
    with started(command, LOAD_CORE) as process:
        yield process


def config(vendor: str, **settings: Any) -> dict[str, Any]:
    """A server's configuration on simulated vendors."""
    return {
        "provider": "openai",
        "vad_type": "silero",
        "turn_detection": "silence",
        "turn_stop_secs": TURN_STOP_SECS,
        "allow_interruptions": True,
        "log_level": "warn",
        "providers": {"openai": {"base_url": vendor, "api_key": "${VOXRAY_BENCH_KEY}"}},
        **settings,
    }


@contextlib.contextmanager
def served(settings: dict[str, Any], server: str = "hypercorn") -> Iterator[Process]:
    """Voxray on its own core, under hypercorn (`voxray serve`) or uvicorn (the same application)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        env = {"VOXRAY_BENCH_KEY": "bench", "VOXRAY_CONFIG": str(path)}
        if server == "uvicorn":
            command = [sys.executable, "-m", "uvicorn", "--factory", "voxray.server.asgi:app", "--port", "0"]
            command += ["--loop", "uvloop", "--ws", "websockets-sansio", "--ws-per-message-deflate", "false"]
            command += ["--no-access-log", "--log-level", "info"]
        else:
            command = [sys.executable, "-m", "voxray", "serve", str(path), "--port", "0"]
        path.write_text(json.dumps(settings))
        with started(command, SERVER_CORE, env) as process:
            yield process
