"""Shared by all test folders: the event loop of async tests, and a real Redis server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNNING_REDIS = ("127.0.0.1", 6379)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """Address of a Redis server: one of our own if it is installed, else one that runs on this machine."""
    program = shutil.which("redis-server")
    if program is None:
        yield _running_redis()
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([*command, "--dir", str(tmp_path)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "Ready to accept connections" in line:
                break
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.communicate(timeout=10)


def _running_redis() -> str:
    try:
        with socket.create_connection(RUNNING_REDIS, timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(7) == b"+PONG\r\n":
                return f"redis://{RUNNING_REDIS[0]}:{RUNNING_REDIS[1]}/15"
    except OSError:
        pass
    message = "needs redis-server, or a Redis server on port 6379"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
