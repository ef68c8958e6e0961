"""An AudioHook session: our serializer against the simulated client."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from voxray_genesys.carrier import GenesysCarrier
from voxray_genesys.serializer import GenesysSerializer

from voxray.events import (
    CallEnded,
    Cause,
    ClientMessage,
    DtmfReceived,
    EndRequested,
    Inbound,
    Mark,
    MarkReached,
    ReplyInterrupted,
    ServerMessage,
    TransferRequested,
)
from voxray.protocols.serializer import Response
from voxray.testing.carriers.genesys import GenesysWire, duration, pcmu
from voxray.testing.phone_wire import (
    Answered,
    CarrierRejectsError,
    Cleared,
    HungUp,
    Meaning,
    PhoneFacts,
    Sound,
    WireStream,
)
from voxray.testing.serializer_check import check_serializer

SESSION = "30b0e395-0000-4000-8000-000000000001"
FACTS = PhoneFacts(call_id="090eaa2f-0000-4000-8000-000000000001", stream_id=SESSION)
INTERRUPTED = ReplyInterrupted(1, "", 0.0)


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Talk:
    """A session that was opened: messages go back and forth at once."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        context: Any = SimpleNamespace(base_url="", secret=lambda name: "")
        self.wire = GenesysWire(FACTS, clock=self.clock)
        start = GenesysCarrier(context).recognize(self.wire.opening(WireStream(url="wss://x/y")), {})
        assert start is not None
        self.serializer = start.serializer
        for message in start.answers:
            self.wire.understand(message)

    def hear(self, message: str | bytes | None) -> list[bytes | Inbound]:
        """The client sends; what it means to the call. Answers of the protocol go back."""
        assert message is not None
        items = list(self.serializer.decode(message))
        for item in items:
            if isinstance(item, Response):
                self.meant = self.wire.understand(item.message)
        return [item for item in items if not isinstance(item, Response)]

    def say(self, item: Any) -> list[Meaning]:
        """We send; what it means to the client. What it answers comes back."""
        encoded = self.serializer.encode(item)
        messages = () if encoded is None else encoded if isinstance(encoded, tuple) else (encoded,)
        meanings = [meaning for message in messages for meaning in self.wire.understand(message)]
        self.heard = [it for meaning in meanings if isinstance(meaning, Answered) for it in self.hear(meaning.message)]
        return [meaning for meaning in meanings if not isinstance(meaning, Answered)]

    def sound(self, size: int = 2400) -> None:
        assert Sound(bytes(size)) in self.say(bytes(size))


@pytest.mark.anyio
async def test_the_serializer_keeps_its_contract() -> None:
    def made() -> GenesysSerializer:
        serializer = GenesysSerializer(SESSION)
        serializer.open({"seq": 1})
        serializer.opened(pcmu(["external"]))
        return serializer

    wire = GenesysWire(FACTS)
    wire.opening(WireStream(url="wss://x/y"))
    kinds = ("ping", "update", "dtmf", "playback_started", "playback_completed", "paused", "error", "new", "close")
    await check_serializer(made, good=[wire.message(kind, {"digit": "5"}) for kind in kinds])


def test_a_ping_is_answered_in_order() -> None:
    talk = Talk()
    talk.clock.now = 60.0
    for _ in range(5):
        assert talk.hear(talk.wire.ping()) == []
    assert json.loads(str(talk.serializer.encode(INTERRUPTED)))["clientseq"] == 6


def test_sound_goes_both_ways_as_it_is() -> None:
    talk = Talk()
    assert talk.hear(talk.wire.media(b"\x7f" * 800)) == [b"\x7f" * 800]
    assert talk.hear(b"") == []
    talk.sound()


def test_packets_are_large_enough_for_the_rate_limit() -> None:
    talk = Talk()
    pieces = talk.serializer.pieces
    assert pieces is not None
    assert pieces.least >= 1600
    for _ in range(400):  # two minutes of talk in sentences of 1.3 s
        for size in (*[pieces.usual] * 4, 800):
            talk.clock.now += size / 8000
            talk.sound(size)


def test_marks_are_reached_when_everything_was_played() -> None:
    talk = Talk()
    talk.sound()
    talk.say(Mark("1.1"))
    talk.sound()
    talk.say(Mark("1.2"))
    assert talk.hear(talk.wire.media(bytes(800))) == [bytes(800)]
    assert talk.wire.mark_reached("sound-1") is None
    assert talk.hear(talk.wire.mark_reached("sound-2")) == [MarkReached("1.1"), MarkReached("1.2")]


def test_a_mark_set_when_all_was_played_is_reached_at_once() -> None:
    talk = Talk()
    talk.sound()
    talk.hear(talk.wire.mark_reached("sound-1"))
    talk.say(Mark("1.1"))
    assert talk.hear(bytes(800)) == [MarkReached("1.1"), bytes(800)]
    assert talk.hear(bytes(800)) == [bytes(800)]


def test_an_interruption_is_a_barge_in_and_forgets_its_marks() -> None:
    talk = Talk()
    talk.sound()
    talk.say(Mark("1.1"))
    assert talk.say(INTERRUPTED) == [Cleared()]
    for message in talk.wire.cleared(["1.1"]):
        assert talk.hear(message) == []
    assert talk.hear(bytes(800)) == [bytes(800)]


@pytest.mark.parametrize(("digit", "keys"), [("5", ["5"]), ("#", ["#"]), ("A", []), ("", []), ("12", [])])
def test_keys_are_heard(digit: str, keys: list[str]) -> None:
    talk = Talk()
    assert talk.hear(talk.wire.dtmf(digit)) == [DtmfReceived(key) for key in keys]


def test_language_is_acknowledged_and_pauses_are_not() -> None:
    talk = Talk()
    assert talk.hear(talk.wire.message("update", {"language": "de-DE"})) == []
    for kind in ("paused", "resumed", "discarded", "something-new"):
        assert list(talk.serializer.decode(talk.wire.message(kind, {"start": "PT1S", "discarded": "PT0.5S"}))) == []


def test_what_genesys_complains_of_is_told() -> None:
    talk = Talk()
    heard = talk.hear(talk.wire.message("error", {"code": 429, "message": "Rate limit", "retryAfter": "PT3S"}))
    assert heard == [ClientMessage("carrier_error", {"code": 429, "message": "Rate limit"})]


# ── the end ──


def test_the_client_ends_the_call() -> None:
    talk = Talk()
    assert talk.hear(talk.wire.stop()) == [EndRequested("genesys: end")]
    assert talk.wire.closed
    assert talk.meant == []
    talk.wire.socket_closed()
    assert talk.say(CallEnded(Cause.CALLER_LEFT)) == talk.say(bytes(2400)) == talk.say(INTERRUPTED) == []
    assert talk.hear(bytes(800)) == []


@pytest.mark.parametrize(
    ("cause", "parameters"),
    [
        (Cause.AGENT_ENDED, {"reason": "completed"}),
        (Cause.MAX_DURATION, {"reason": "completed"}),
        (Cause.PROVIDER_FAILED, {"reason": "error", "info": "provider_failed"}),
        (Cause.ERROR, {"reason": "error", "info": "error"}),
    ],
)
def test_we_end_the_call(cause: str, parameters: dict[str, str]) -> None:
    talk = Talk()
    talk.say(CallEnded(cause, "said nobody should read this"))
    assert talk.wire.disconnected == parameters
    assert talk.heard == [EndRequested("genesys: disconnect")]
    assert talk.meant == [HungUp()]
    talk.wire.socket_closed()


def test_the_end_is_said_once() -> None:
    serializer = Talk().serializer
    assert serializer.encode(CallEnded(Cause.AGENT_ENDED))
    assert serializer.encode(CallEnded(Cause.AGENT_ENDED)) is None
    assert serializer.encode(bytes(2400)) is None


def test_the_flow_is_told_where_to_transfer_and_what_the_agent_found_out() -> None:
    talk = Talk()
    talk.say(ServerMessage("output_variables", {"topic": "bill", "amount": 12}))
    talk.say(TransferRequested("+15005550009"))
    talk.say(CallEnded(Cause.TRANSFERRED))
    assert talk.wire.disconnected is not None
    variables = {"topic": "bill", "amount": "12", "transfer_to": "+15005550009"}
    assert talk.wire.disconnected["outputVariables"] == variables


# ── what is out of order ──


def changed(message: str, **changes: Any) -> str:
    return json.dumps({**json.loads(message), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "another"},
        {"id": None},
        {"seq": 1},
        {"seq": 0},
        {"seq": -1},
        {"seq": "x"},
        {"seq": 2.5},
        {"serverseq": None},
    ],
)
def test_a_message_that_is_not_the_next_of_this_session_is_an_error(changes: dict[str, Any]) -> None:
    talk = Talk()
    ping = talk.wire.ping()
    with pytest.raises(ValueError, match=r"session|after|number"):
        talk.serializer.decode(changed(ping, **changes))
    assert talk.hear(ping) == []


@pytest.mark.parametrize("changes", [{"seq": 3}, {"serverseq": 2}])
def test_lost_messages_end_the_session(changes: dict[str, Any]) -> None:
    talk = Talk()
    response, end = talk.serializer.decode(changed(talk.wire.ping(), **changes))
    assert isinstance(response, Response)
    assert isinstance(end, EndRequested)
    message = json.loads(response.message)
    assert (message["type"], message["parameters"]["reason"]) == ("disconnect", "error")
    assert list(talk.serializer.decode(changed(talk.wire.ping(), seq=9))) == []


@pytest.mark.parametrize("message", ["", "{", "[]", "7", "[" * 100_000])
def test_what_is_not_an_object_is_an_error(message: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Talk().serializer.decode(message)


def test_parameters_of_the_wrong_kind_are_ignored() -> None:
    talk = Talk()
    for kind in ("dtmf", "error", "paused", "playback_started"):
        for parameters in (None, [], "x", {"digit": {}, "code": [], "message": {}}):
            message = changed(talk.wire.message(kind), parameters=parameters)
            assert all(isinstance(item, ClientMessage) for item in talk.serializer.decode(message))
    assert list(talk.serializer.decode(changed(talk.wire.message("x"), type=["ping"]))) == []


# ── the simulator itself ──


def test_the_simulator_counts_messages() -> None:
    talk = Talk()
    message = str(talk.serializer.encode(INTERRUPTED))
    talk.wire.understand(message)
    for wrong in (
        message,
        changed(message, seq=4),
        changed(message, seq=3, clientseq=9),
        changed(message, seq=3, id="x"),
    ):
        with pytest.raises(CarrierRejectsError):
            talk.wire.understand(wrong)


def test_the_simulator_limits_rate_and_size() -> None:
    talk, small = Talk(), Talk()
    for _ in range(25):
        talk.sound()
    with pytest.raises(CarrierRejectsError, match="429"):
        talk.sound()
    for _ in range(3):
        small.sound(160)
    with pytest.raises(CarrierRejectsError, match="fewer"):
        small.sound(160)
    with pytest.raises(CarrierRejectsError, match="bytes"):
        Talk().wire.understand(bytes(64_001))


def test_the_simulator_minds_the_order() -> None:
    wire = GenesysWire(FACTS)
    wire.opening(WireStream(url="wss://x/y"))
    serializer = GenesysSerializer(SESSION)
    serializer.open({"seq": 1})
    with pytest.raises(CarrierRejectsError, match="before opened"):
        wire.understand(bytes(1600))
    with pytest.raises(CarrierRejectsError, match="before opened"):
        wire.understand(str(serializer.encode(INTERRUPTED)))
    with pytest.raises(CarrierRejectsError, match="without disconnect"):
        Talk().wire.socket_closed()
    with pytest.raises(CarrierRejectsError, match="at most one"):
        wire.understand(serializer.opened(pcmu(["internal"])))


@pytest.mark.parametrize(("secs", "text"), [(0, "PT0S"), (1.5, "PT1.5S"), (10, "PT10S"), (0.125, "PT0.125S")])
def test_positions_are_iso_durations(secs: float, text: str) -> None:
    assert duration(secs) == text


def test_the_position_is_how_much_the_client_sent() -> None:
    talk = Talk()
    talk.hear(talk.wire.media(bytes(4000)))
    assert json.loads(talk.wire.ping())["position"] == "PT0.5S"
