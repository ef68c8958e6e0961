"""LiveKit's packages, loaded on demand."""

from __future__ import annotations

import importlib
from typing import Any

from voxray.errors import BrokenPluginError


def load(name: str) -> Any:
    """The module `name` of LiveKit's. Raises BrokenPluginError with what to do."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BrokenPluginError(
            f"livekit: {name} cannot be loaded ({error}); it exists for Linux with glibc 2.28 and newer, for macOS and "
            "for Windows: run Voxray there, or use another transport"
        ) from error
