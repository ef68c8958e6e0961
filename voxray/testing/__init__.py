"""Virtual time, fakes, contract checks, vendor simulators and a synthetic caller: for tests of agents and of plugins.

Names are imported on first use, so that a test of a serializer does not pay for a web server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxray.testing.anthropic_api import AnthropicApi as AnthropicApi
    from voxray.testing.call_account import Clip as Clip, Reply as Reply
    from voxray.testing.caller import (
        Caller as Caller,
        NoReplyError as NoReplyError,
        NotConnectedError as NotConnectedError,
    )
    from voxray.testing.checks import (
        check_llm as check_llm,
        check_session_store as check_session_store,
        check_stt as check_stt,
        check_synthesizer as check_synthesizer,
        check_tts as check_tts,
        check_turn_detector as check_turn_detector,
        check_utterance_recognizer as check_utterance_recognizer,
        check_vad as check_vad,
    )
    from voxray.testing.conversation import converse as converse, converse_many as converse_many
    from voxray.testing.exercise import Named as Named
    from voxray.testing.fake_agent import FakeAgent as FakeAgent
    from voxray.testing.fake_ears import (
        STALL as STALL,
        ScriptedRecognizer as ScriptedRecognizer,
        ScriptedStt as ScriptedStt,
        ScriptedVad as ScriptedVad,
        Utterance as Utterance,
    )
    from voxray.testing.fake_transport import (
        FakeTransport as FakeTransport,
        Sound as Sound,
        quiet as quiet,
        speech as speech,
    )
    from voxray.testing.fakes import (
        FakeSession as FakeSession,
        ScriptedLlm as ScriptedLlm,
        ScriptedSynthesizer as ScriptedSynthesizer,
        ScriptedTts as ScriptedTts,
        SpeechFault as SpeechFault,
        services as services,
    )
    from voxray.testing.faults import Fault as Fault
    from voxray.testing.http_server import FakeServer as FakeServer
    from voxray.testing.network import leaks as leaks, only_loopback as only_loopback
    from voxray.testing.openai_api import OpenAiApi as OpenAiApi
    from voxray.testing.plugin_check import check_plugin as check_plugin
    from voxray.testing.script import load_script as load_script, parse_script as parse_script
    from voxray.testing.serializer_check import check_serializer as check_serializer, check_tap as check_tap
    from voxray.testing.virtual import (
        VIRTUAL_BACKEND as VIRTUAL_BACKEND,
        VirtualTimeError as VirtualTimeError,
        run_virtual as run_virtual,
    )

_HOMES = {
    "anthropic_api": ("AnthropicApi",),
    "call_account": ("Clip", "Reply"),
    "caller": ("Caller", "NoReplyError", "NotConnectedError"),
    "checks": (
        *("check_llm", "check_session_store", "check_stt", "check_synthesizer", "check_tts", "check_turn_detector"),
        *("check_utterance_recognizer", "check_vad"),
    ),
    "conversation": ("converse", "converse_many"),
    "exercise": ("Named",),
    "fake_agent": ("FakeAgent",),
    "fake_ears": ("STALL", "ScriptedRecognizer", "ScriptedStt", "ScriptedVad", "Utterance"),
    "fake_transport": ("FakeTransport", "Sound", "quiet", "speech"),
    "fakes": ("FakeSession", "ScriptedLlm", "ScriptedSynthesizer", "ScriptedTts", "SpeechFault", "services"),
    "faults": ("Fault",),
    "http_server": ("FakeServer",),
    "network": ("leaks", "only_loopback"),
    "openai_api": ("OpenAiApi",),
    "plugin_check": ("check_plugin",),
    "script": ("load_script", "parse_script"),
    "serializer_check": ("check_serializer", "check_tap"),
    "virtual": ("VIRTUAL_BACKEND", "VirtualTimeError", "run_virtual"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOME_OF)
