"""Virtual time, fakes, contract checks, vendor simulators and a synthetic caller: for tests of agents and of plugins.

Names are imported on first use, so that a test of a serializer does not pay for a web server.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "voxray.testing.virtual": ("VIRTUAL_BACKEND", "VirtualTimeError", "VirtualTimeLoop", "run_virtual"),
    "voxray.testing.fake_transport": ("FakeTransport", "Sound", "quiet", "speech"),
    "voxray.testing.fake_ears": ("STALL", "ScriptedRecognizer", "ScriptedStt", "ScriptedVad", "Utterance"),
    "voxray.testing.fakes": ("Fault", "ScriptedLlm", "ScriptedSynthesizer", "ScriptedTts", "services"),
    "voxray.testing.openai_api": ("OpenAiApi",),
    "voxray.testing.anthropic_api": ("AnthropicApi",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
