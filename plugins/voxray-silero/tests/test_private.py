"""Nothing about a call, or about who runs the server, is kept or sent by the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_runtime_keeps_no_diary(tmp_path: Path) -> None:
    code = 'from voxray_silero.detector import SileroVad; SileroVad(None, model_path="")'
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not [found for found in tmp_path.rglob("*") if found.is_file()]
