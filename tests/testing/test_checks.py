"""The checks pass what is right and name what is wrong."""

import socket
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import anyio
import pytest

from voxray.audio.format import PCM_16K
from voxray.chat import Prompt, TextDelta
from voxray.errors import ProviderRefused, ProviderUnavailable
from voxray.events import Inbound, Mark, MarkReached, Outbound
from voxray.protocols.pipeline import Tap
from voxray.protocols.storage import SessionRecord
from voxray.protocols.stt import Transcript
from voxray.protocols.turn import UserTurn
from voxray.streaming import streaming
from voxray.testing import plugin_check
from voxray.testing.checks import (
    check_llm,
    check_session_store,
    check_stt,
    check_synthesizer,
    check_tts,
    check_turn_detector,
    check_utterance_recognizer,
    check_vad,
)
from voxray.testing.fakes import (
    STALL,
    ScriptedLlm,
    ScriptedRecognizer,
    ScriptedStt,
    ScriptedSynthesizer,
    ScriptedTts,
    ScriptedVad,
    SpeechFault,
    Utterance,
)
from voxray.testing.network import LeakError, NetworkError, leaks, only_loopback
from voxray.testing.samples import INBOUND, OUTBOUND, samples
from voxray.testing.serializer_check import check_serializer, check_tap
from voxray.testing.virtual import run_virtual

Check = Callable[[], Awaitable[None]]


def passes(check: Check) -> None:
    run_virtual(check)


def fails(check: Check, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        run_virtual(check)


# ── Ears ──


def test_a_good_recogniser_passes() -> None:
    passes(lambda: check_stt(ScriptedStt))
    passes(lambda: check_stt(lambda: ScriptedStt(["hello world"] * 500), expect="world"))
    passes(lambda: check_utterance_recognizer(lambda: ScriptedRecognizer(delay_secs=0.01)))


def test_a_flush_without_an_answer_is_found() -> None:
    fails(lambda: check_stt(ScriptedStt([Utterance("x", flushes=False)])), "recognition took more than 30 s")


def test_wrong_words_are_found() -> None:
    fails(lambda: check_stt(ScriptedStt(["bye"] * 99), expect="hello"), '"hello" was heard as "bye"')


def test_a_refused_key_must_be_a_refusal() -> None:
    def refusing(error: Exception) -> ScriptedStt:
        return ScriptedStt(open_errors=[error])

    passes(lambda: check_stt(ScriptedStt, refused=refusing(ProviderRefused("x", "401"))))
    fails(
        lambda: check_stt(ScriptedStt, refused=refusing(ProviderUnavailable("x", "401"))), "must raise ProviderRefused"
    )
    fails(lambda: check_stt(ScriptedStt, refused=ScriptedStt()), "a refused key .* nothing was raised")


def test_a_lost_connection_must_be_noticed() -> None:
    passes(lambda: check_stt(ScriptedStt, dropped=ScriptedStt(breaks_after_secs=[0.5])))
    fails(lambda: check_stt(ScriptedStt, dropped=ScriptedStt()), "a dropped connection .* nothing was raised")


# ── Minds ──


def test_a_good_model_passes() -> None:
    passes(lambda: check_llm(ScriptedLlm))


def test_an_empty_answer_is_found() -> None:
    fails(lambda: check_llm(ScriptedLlm([[]])), "no text and no tool call")


def test_a_model_that_will_not_let_go_is_found() -> None:
    class Stubborn(ScriptedLlm):
        @streaming
        async def generate(self, prompt: Prompt) -> AsyncGenerator[TextDelta, None]:
            try:
                await anyio.sleep(1)
                yield TextDelta("x")
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(3)

    fails(lambda: check_llm(Stubborn), r"took 3\.\d s to let go when cancelled in round 0")


def test_what_a_provider_leaves_behind_is_found() -> None:
    class Leaky(ScriptedLlm):
        def generate(self, prompt: Prompt) -> Any:
            kept.extend(socket.socketpair())
            return super().generate(prompt)

    kept: list[socket.socket] = []
    fails(lambda: check_llm(Leaky), "left behind: descriptor")
    for end in kept:
        end.close()


# ── Voices ──


def test_good_voices_pass() -> None:
    passes(lambda: check_synthesizer(lambda: ScriptedSynthesizer(piece_bytes=333)))
    passes(lambda: check_tts(ScriptedTts))
    passes(lambda: check_tts(lambda: ScriptedTts(word_times=True, pace=0.1)))


def test_a_wrong_rate_and_no_sound_are_found() -> None:
    fails(lambda: check_synthesizer(ScriptedSynthesizer(secs_per_char=0.001)), "is the rate 16000 Hz right")
    fails(lambda: check_synthesizer(ScriptedSynthesizer(faults={0: SpeechFault()})), "0.00 s of sound")


def test_a_voice_that_stalls_is_found() -> None:
    fails(lambda: check_tts(ScriptedTts(first_audio_secs=STALL)), "speech took more than 30 s")


# ── Detectors ──


def test_good_detectors_pass() -> None:
    passes(lambda: check_vad(ScriptedVad))
    passes(lambda: check_vad(lambda: ScriptedVad(window_secs=0.032)))


def test_a_detector_that_forgets_the_rest_of_a_window_is_found() -> None:
    class Forgetful(ScriptedVad):
        @contextmanager
        def open(self, rate_hz: int, report: Any) -> Iterator[Any]:
            with super().open(rate_hz, report) as stream:
                inner = stream

                class Stream:
                    def feed(self, pcm: bytes) -> None:
                        inner._rest = b""
                        inner.feed(pcm)

                yield Stream()

    fails(lambda: check_vad(Forgetful), "windows were reported, not 10")


def test_impatient_turn_detectors_are_found() -> None:
    class Fixed:
        def __init__(self, secs: float) -> None:
            self.secs = secs

        async def patience(self, turn: UserTurn) -> float:
            return self.secs

    passes(lambda: check_turn_detector(Fixed(0.5)))
    fails(lambda: check_turn_detector(Fixed(-1)), "is not in 0..60")


# ── Serializers ──


class Lines:
    """A protocol of lines: "mark NAME", and audio as bytes."""

    audio_in = PCM_16K
    audio_out = PCM_16K

    def decode(self, message: str | bytes) -> Iterable[bytes | Inbound]:
        if isinstance(message, bytes):
            return (message,)
        kind, _, rest = message.partition(" ")
        return (self.mark(rest),) if kind == "mark" else ()

    def mark(self, name: str) -> Inbound:
        return MarkReached(name)

    def encode(self, item: bytes | Outbound) -> str | bytes | None:
        return item if isinstance(item, bytes) else f"mark {item.name}" if isinstance(item, Mark) else None


def test_a_good_serializer_passes() -> None:
    passes(lambda: check_serializer(Lines, good=["mark a", b"\0\0"]))


def test_a_good_message_that_is_refused_is_found() -> None:
    class Strict(Lines):
        def mark(self, name: str) -> Inbound:
            raise ValueError("no")

    fails(lambda: check_serializer(Strict, good=["mark a"]), "a good message was refused: no: 'mark a'")


def test_what_does_not_come_back_as_it_was_is_found() -> None:
    class Loud(Lines):
        def mark(self, name: str) -> Inbound:
            return MarkReached(name.upper())

    fails(lambda: check_serializer(Loud), "came back as MarkReached")


def test_any_error_but_a_value_error_is_found_with_its_seed() -> None:
    class Careless(Lines):
        def decode(self, message: str | bytes) -> Iterable[bytes | Inbound]:
            if isinstance(message, bytes) and 150 < len(message) < 600:
                raise KeyError("oops")
            return super().decode(message)

    with pytest.raises(KeyError) as caught:
        run_virtual(lambda: check_serializer(Careless, seed=7))
    assert "seed 7, case" in caught.value.__notes__[0]


def test_there_are_samples_of_every_event() -> None:
    assert all(len(list(samples(kind))) == 2 for kind in {*INBOUND, *OUTBOUND})


# ── Taps ──


class Plugin:
    def __init__(self, tap: type[Tap]) -> None:
        self.tap = tap

    def open(self, session: object) -> Tap:
        return self.tap()


def test_a_good_tap_passes() -> None:
    passes(lambda: check_tap(Plugin(Tap)))


def test_a_filter_that_returns_something_else_is_found() -> None:
    class Wrong(Tap):
        def transcript(self, transcript: Transcript) -> Any:
            return transcript.text

    fails(lambda: check_tap(Plugin(Wrong)), r"transcript\(\) returned str")


# ── Stores ──


class Store:
    def __init__(self) -> None:
        self.records: dict[str, tuple[SessionRecord, float]] = {}

    async def get(self, session_id: str) -> SessionRecord | None:
        await anyio.sleep(0.001)
        record, until = self.records.get(session_id, (None, 0.0))
        return record if anyio.current_time() < until else None

    async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
        self.records[record.session_id] = record, anyio.current_time() + ttl_secs

    async def delete(self, session_id: str) -> None:
        self.records.pop(session_id, None)

    async def ping(self) -> None:
        pass


def test_a_good_store_passes() -> None:
    passes(lambda: check_session_store(Store))


def test_a_store_that_keeps_for_ever_is_found() -> None:
    class Eternal(Store):
        async def put(self, record: SessionRecord, *, ttl_secs: float) -> None:
            await super().put(record, ttl_secs=1e9)

    fails(lambda: check_session_store(Eternal), "still there after 4 s")


# ── Plugins ──

GOOD = """
from voxray.plugin import VadSpec, hookimpl

@hookimpl
def voxray_register_providers():
    return [VadSpec(name="{name}", title="Test", factory="{module}.engine:Engine", options={{
        "level": {{"type": "number", "default": 1, "description": "How loud."}}
    }})]
"""
ENGINE = """
class Engine:
    def __init__(self, context, *, level):
        pass
    def open(self, rate_hz, report): ...
    def window_samples(self, rate_hz): ...
"""
README = '```json\n{"vad_type": "NAME"}\n```\n'


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Writes a plugin and "installs" it: the folder is on the path, the entry point is found."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made: list[str] = []

    def write(name: str, *, top: str = GOOD, engine: str = ENGINE, readme: str = README, entry: str = "") -> str:
        module = f"voxray_{name}"
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text(top.format(name=name, module=module))
        (tmp_path / module / "engine.py").write_text(engine)
        (tmp_path / "pyproject.toml").write_text("")
        (tmp_path / "README.md").write_text(readme.replace("NAME", name))
        found = EntryPoint(entry or name, module, "voxray")
        monkeypatch.setattr(plugin_check, "entry_points", lambda group: [found])
        made.append(module)
        return module

    yield write
    for module in [name for name in sys.modules if name.startswith(tuple(made))]:
        del sys.modules[module]


def test_a_good_plugin_passes(plugin: Callable[..., str]) -> None:
    plugin_check.check_plugin(plugin("good"))


@pytest.mark.parametrize(
    ("name", "parts", "why"),
    [
        ("alias", {"entry": "other"}, 'the entry point of voxray_alias is "other", not "alias"'),
        (
            "heavy",
            {"top": "import anyio\n" + GOOD},
            "importing voxray_heavy imports .*anyio.*; move that behind `factory`",
        ),
        ("broken", {"top": "1 / 0"}, "voxray_broken does not load: ZeroDivisionError"),
        ("bare", {"top": "pass"}, "declares nothing and has no hook"),
        ("greedy", {"engine": ENGINE.replace("level", "volume")}, "does not take"),
        ("half", {"engine": ENGINE.replace("def open", "def shut")}, r"has no open\(\)"),
        ("silent", {"top": GOOD.replace("How loud.", "")}, 'option "level" has no description'),
        ("odd", {"top": GOOD.replace('"default": 1', '"default": "x"')}, "the default is not valid"),
        ("mute", {"readme": "# Nothing"}, "shows no configuration"),
        ("other", {"readme": '```json\n{"a": "b"}\n```\n'}, "no example in the README of voxray_other uses other"),
        ("typo", {"readme": "```json\n{\n```\n"}, "an example in the README is no JSON"),
    ],
)
def test_a_plugin_that_breaks_a_rule_is_found(
    plugin: Callable[..., str], name: str, parts: dict[str, str], why: str
) -> None:
    module = plugin(name, **parts)
    with pytest.raises(AssertionError, match=why):
        plugin_check.check_plugin(module)


CARRIER = """
from voxray.plugin import CarrierSpec, hookimpl

@hookimpl
def voxray_register_transports():
    return [CarrierSpec(name="{name}", title="Test", factory="{module}.engine:Carrier")]
"""
METHODS = ["claims", "refusal", "answer", "recognize", "busy", "hang_up", "transfer", "send_dtmf", "dial", "dialled"]
CARRIER_ENGINE = """
class Carrier:
    name = "x"
    transfers: bool
    sends_dtmf = False
    def __init__(self, context):
        self.proves_streams = False
""" + "".join(f"    def {name}(self): ...\n" for name in METHODS)


def test_a_carrier_has_all_that_the_server_asks_for(plugin: Callable[..., str]) -> None:
    plugin_check.check_plugin(plugin("phones", top=CARRIER, engine=CARRIER_ENGINE))
    for number, name in enumerate((*METHODS, "transfers", "sends_dtmf", "proves_streams")):
        module = plugin(f"phone{number}", top=CARRIER, engine=CARRIER_ENGINE.replace(name, "other"))
        with pytest.raises(AssertionError, match=rf"has no {name}\b"):
            plugin_check.check_plugin(module)


def test_a_module_nobody_installed_is_found() -> None:
    with pytest.raises(AssertionError, match="pip install -e"):
        plugin_check.check_plugin("voxray_nobody")


# ── Guards ──


def test_the_guard_refuses_other_machines_and_lets_this_one() -> None:
    with only_loopback(), socket.create_server(("127.0.0.1", 0)) as server:
        with only_loopback():
            socket.create_connection(server.getsockname()).close()
        with socket.socket() as client, pytest.raises(NetworkError, match=r'connect to "192\.0\.2\.1"'):
            client.connect(("192.0.2.1", 80))
        with pytest.raises(NetworkError, match=r'getaddrinfo to "voxray\.invalid"'):
            socket.getaddrinfo("voxray.invalid", 80)
    assert "connect" not in vars(socket.socket)


def test_a_thread_that_stays_is_named() -> None:
    stop = threading.Event()
    with pytest.raises(LeakError, match="thread forgotten"), leaks(settle_secs=0.02):
        threading.Thread(target=stop.wait, name="forgotten").start()
    stop.set()


def test_a_task_that_stays_is_named() -> None:
    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            with pytest.raises(LeakError, match=r"task .*sleep_forever"):
                async with leaks(settle_secs=0.02):
                    tasks.start_soon(anyio.sleep_forever)
            tasks.cancel_scope.cancel()

    run_virtual(run)


def test_the_blocks_own_error_is_not_hidden() -> None:
    kept: list[socket.socket] = []
    with pytest.raises(LookupError), leaks(settle_secs=0.02):  # noqa: PT012
        kept.append(socket.socket())
        raise LookupError
    kept.pop().close()


def test_installed_providers_are_found_by_name() -> None:
    passes(lambda: check_vad("energy"))


def test_all_names_of_the_package_can_be_imported() -> None:
    from voxray import testing

    assert {name for name in dir(testing) if getattr(testing, name) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = testing.nothing
