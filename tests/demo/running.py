"""A demo in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMMAND = [sys.executable, "-m", "voxray.cli.main", "demo", "--port", "0"]


@contextmanager
def running_demo() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its address, and the process."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found
            yield found.group(), process
        finally:
            process.send_signal(signal.SIGCONT)  # in case a test has stopped it
            process.terminate()
