"""RTVI messages, both directions, without sockets."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import Any

import pytest

from voxray import events
from voxray.builtin.rtvi import REQUESTS, Rtvi
from voxray.builtin.rtvi_frames import RtviFrames
from voxray.chat import ToolSchema, Usage, User
from voxray.events import Proof
from voxray.protocols.serializer import Response
from voxray.testing import check_serializer

READY = {"version": "2.1.0", "about": {"library": "@pipecat-ai/client-js", "library_version": "1.13.1"}}
SENTENCE = "Sure, one moment."


def message(kind: str, data: Any = None, asked: str = "9f1c2a7e") -> str:
    return json.dumps({"id": asked, "label": "rtvi-ai", "type": kind, "data": data})


def asked(engine: Any, kind: str, data: Any = None, name: str = "9f1c2a7e") -> tuple[list[Any], list[Any]]:
    """What a request means, and its answers as (type, data)."""
    items = list(engine.decode(message(kind, data, name)))
    answers = [json.loads(item.message) for item in items if isinstance(item, Response)]
    assert all(answer["id"] == name and answer["label"] == "rtvi-ai" for answer in answers)
    return [item for item in items if not isinstance(item, Response)], [(it["type"], it["data"]) for it in answers]


def ready(version: str = "2.1.0") -> Rtvi:
    engine = Rtvi()
    asked(engine, "client-ready", {"version": version})
    return engine


def told(engine: Rtvi, *happened: Any) -> list[Any]:
    """What the client is told: the type alone, or with its data."""
    found = []
    for event in happened:
        for text in engine.encode(event):
            news = json.loads(text)
            assert news.pop("label") == "rtvi-ai"
            assert isinstance(news.pop("id"), str)
            found.append((news["type"], news["data"]) if "data" in news else news["type"])
    return found


def kinds(news: list[Any]) -> list[str]:
    return [it if isinstance(it, str) else it[0] for it in news]


# ── the handshake ──


def test_bot_ready_answers_client_ready_with_its_id() -> None:
    meant, answers = asked(Rtvi(), "client-ready", READY)
    assert meant == [events.ClientReady()]
    [(kind, data)] = answers
    assert (kind, data["version"], data["about"]["library"]) == ("bot-ready", "2.1.0", "voxray")
    assert data["capabilities"]["audio_in"] is True


@pytest.mark.parametrize(
    ("version", "answered", "warned"),
    [
        ("2.9.1", "2.1.0", False),
        ("1.2.0", "1.2.0", False),
        ("3.0.0", "2.1.0", True),
        ("two", "2.1.0", True),
        (None, "2.1.0", True),
        (7, "2.1.0", True),
    ],
)
def test_a_version_is_answered_with_one_we_both_speak(version: Any, answered: str, warned: bool) -> None:
    meant, answers = asked(Rtvi(), "client-ready", {"version": version})
    assert [kind for kind, _ in answers] == ["error-response"] * warned + ["bot-ready"]
    assert answers[-1][1]["version"] == answered
    assert meant == [events.ClientReady()]


@pytest.mark.parametrize("data", [None, "2.1.0", [], 7])
def test_a_client_is_ready_without_saying_its_version(data: Any) -> None:
    meant, answers = asked(Rtvi(), "client-ready", data)
    assert [kind for kind, _ in answers] == ["error-response", "bot-ready"]
    assert meant == [events.ClientReady()]


def test_a_client_that_is_ready_again_is_answered_again() -> None:
    engine = ready()
    told(engine, events.ReplyStarted(1, 0, "greeting"), events.ReplyAudible(1))
    _, answers = asked(engine, "client-ready", READY, "r2")
    assert [kind for kind, _ in answers] == ["bot-ready"]
    assert told(engine, events.ReplyFinished(1, "")) == ["bot-stopped-speaking"]


@pytest.mark.parametrize("cause", ["full", "drained", "error", "agent_ended"])
def test_a_call_that_cannot_begin_is_a_fatal_error(cause: str) -> None:
    [(kind, data)] = told(Rtvi(), events.CallEnded(cause))
    assert (kind, data["fatal"]) == ("error", True)
    assert "could not begin" in data["error"]


def test_before_client_ready_the_client_is_told_of_errors_only() -> None:
    engine = Rtvi()
    assert told(engine, events.SpeechStarted(), events.ServerMessage("hi"), events.ReplyStarted(1, 0, "greeting")) == []
    failed = events.ProviderFailed("client", "", "what?", retryable=False)
    assert told(engine, failed) == [("error", {"error": "what?", "fatal": False})]


def test_a_reply_that_began_before_the_client_was_ready_is_not_told_in_parts() -> None:
    engine = Rtvi()
    told(engine, events.ReplyStarted(1, 0, "greeting"), events.SentenceReady(1, 0, "Hi."), events.ReplyAudible(1))
    asked(engine, "client-ready", READY)
    assert told(engine, events.SpeechHeard(1, "Hi.", Proof.MARK), events.ReplyFinished(1, "Hi.")) == []


# ── requests ──


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("send-text", {"content": " hi "}, [events.TextReceived("hi")]),
        (
            "send-text",
            {"content": "hi", "options": {"run_immediately": False, "audio_response": False}},
            [events.TextReceived("hi", run=False, speak=False)],
        ),
        ("dtmf", {"buttons": ["1", "#"]}, [events.DtmfReceived("1"), events.DtmfReceived("#")]),
        ("dtmf", {"button": "*"}, [events.DtmfReceived("*")]),
        ("disconnect-bot", None, [events.EndRequested()]),
        ("client-message", {"t": "set", "d": {"x": 1}}, [events.ClientMessage("set", {"x": 1}, "9f1c2a7e")]),
        ("ui-event", {"event": "clicked"}, [events.ClientMessage("ui-event", {"event": "clicked"})]),
        ("llm-function-call-result", {"tool_call_id": "c", "result": {"a": 1}}, [events.ToolAnswered("c", '{"a": 1}')]),
        (
            "raw-audio",
            {"base64Audio": base64.b64encode(b"\1\0").decode(), "sampleRate": 16000, "numChannels": 1},
            [b"\1\0"],
        ),
        ("raw-audio-batch", {"base64AudioBatch": ["AQA=", "AgA="], "sampleRate": 16000}, [b"\1\0\2\0"]),
        ("raw-audio", {"base64Audio": "AQADAA==", "sampleRate": 16000, "numChannels": 2}, [b"\2\0"]),
        ("raw-audio-batch", {"base64AudioBatch": [], "sampleRate": 16000}, []),
        ("send-text", {"content": "hi", "options": None}, [events.TextReceived("hi")]),
        ("ui-snapshot", {"tree": {}}, [events.ClientMessage("ui-snapshot", {"tree": {}})]),
        ("ui-cancel-job-group", {"job_id": "j"}, [events.ClientMessage("ui-cancel-job-group", {"job_id": "j"})]),
    ],
)
def test_requests_become_events(kind: str, data: Any, expected: list[Any]) -> None:
    assert asked(Rtvi(), kind, data) == (expected, [])


def test_context_is_appended_and_confirmed() -> None:
    meant, answers = asked(Rtvi(), "append-to-context", {"role": "user", "content": "I am Ann."})
    assert meant == [events.ContextAppended((User("I am Ann."),), run=False)]
    assert [kind for kind, _ in answers] == ["append-to-context-result"]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("send-file", {}),
        ("send-text", {"content": ""}),
        ("send-text", {"content": "hi", "options": {"run_immediately": "yes"}}),
        ("dtmf", {"buttons": ["1", "12"]}),
        ("dtmf", {"buttons": []}),
        ("dtmf", {"buttons": [{}]}),
        ("client-message", {}),
        ("client-message", "text"),
        ("append-to-context", {"role": "cat", "content": "x"}),
        ("raw-audio", {"base64Audio": "AQA=", "sampleRate": 8001}),
        ("raw-audio", {"base64Audio": "AQA=", "sampleRate": True}),
        ("raw-audio", {"base64Audio": "AQA=", "sampleRate": 16000, "numChannels": 2}),
        ("raw-audio", {"base64Audio": "AQA=", "sampleRate": 16000, "numChannels": 3}),
        ("raw-audio-batch", {"base64AudioBatch": "AQA=", "sampleRate": 16000}),
        ("raw-audio", {"base64Audio": "?", "sampleRate": 16000}),
        (None, {}),
        ("llm-function-call-result", {"result": 1}),
        ("llm-function-call-result", {"tool_call_id": "c"}),
        ("ui-event", {}),
        ("ui-snapshot", {"tree": "html"}),
        ("ui-cancel-job-group", {"job_id": 7}),
    ],
)
def test_what_is_wrong_with_a_request_is_answered_with_its_id(kind: Any, data: Any) -> None:
    meant, answers = asked(Rtvi(), kind, data)
    assert meant == []
    assert [answer for answer, _ in answers] == ["error-response"]
    with pytest.raises(ValueError, match=r"."):
        list(Rtvi().decode(message(kind, data, "")))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '"x"', "[" * 100_000, '{"label":"other","type":"dtmf"}', '{"label":"rtvi-ai","id":"\\ud800"}'],
)
def test_what_is_no_rtvi_message_is_ignored(text: str) -> None:
    assert list(Rtvi().decode(text)) == []


def test_a_plugins_answer_goes_to_the_request() -> None:
    engine = ready()
    asked(engine, "client-message", {"t": "set-voice", "d": 1}, "q1")
    [text] = engine.encode(events.ServerMessage("done", {"ok": True}, "q1"))
    answer = {"id": "q1", "label": "rtvi-ai", "type": "server-response", "data": {"t": "set-voice", "d": {"ok": True}}}
    assert json.loads(text) == answer
    assert told(engine, events.RequestFailed("q1", "late")) == []
    assert told(engine, events.ServerMessage("done", 7, "q1")) == []
    assert told(engine, events.ServerMessage("news", 3)) == [("server-message", {"t": "news", "d": 3})]


def test_a_request_that_nobody_answers_fails() -> None:
    engine = ready()
    asked(engine, "client-message", {"t": "set-voice"}, "q1")
    [text] = engine.encode(events.RequestFailed("q1", "nobody"))
    failed = {"id": "q1", "label": "rtvi-ai", "type": "error-response", "data": {"error": "nobody"}}
    assert json.loads(text) == failed


def test_a_client_offers_tools_and_is_told_of_their_calls_in_full() -> None:
    engine = ready()
    tools = {"tools": [{"name": "look", "description": "Looks.", "parameters": {"type": "object"}}]}
    meant, answers = asked(engine, "client-message", {"t": "voxray-set-tools", "d": tools})
    assert meant == [events.ToolsReplaced((ToolSchema("look", "Looks.", {"type": "object"}),))]
    assert answers == [("server-response", {"t": "voxray-set-tools"})]
    told(engine, events.ReplyStarted(1, 1, "turn"))
    own = events.ToolCalled(1, "c1", "look", {"at": 1}, by_client=True)
    assert told(engine, own, events.ToolReturned(1, "c1", "look", "{}")) == [
        ("llm-function-call-started", {"function_name": "look"}),
        ("llm-function-call-in-progress", {"tool_call_id": "c1", "function_name": "look", "arguments": {"at": 1}}),
        (
            "llm-function-call-stopped",
            {"tool_call_id": "c1", "cancelled": False, "function_name": "look", "result": {}},
        ),
    ]
    assert told(engine, events.ToolCalled(1, "c2", "secret", {"at": 1})) == [
        ("llm-function-call-started", {}),
        ("llm-function-call-in-progress", {"tool_call_id": "c2"}),
    ]
    assert told(engine, events.ToolReturned(1, "c3", "from before it was ready", "{}")) == []
    assert told(engine, events.CallEnded("client_asked")) == [
        ("llm-function-call-stopped", {"tool_call_id": "c2", "cancelled": True})
    ]


@pytest.mark.parametrize(
    ("text", "failed", "rest"),
    [
        ("sunny", False, {"function_name": "look", "result": "sunny"}),
        ("[1]", False, {"function_name": "look", "result": [1]}),
        ("{no", False, {"function_name": "look", "result": "{no"}),
        ("error: no answer", True, {}),
    ],
)
def test_a_clients_tool_stops_with_its_result(text: str, failed: bool, rest: Any) -> None:
    engine = ready()
    told(engine, events.ReplyStarted(1, 1, "turn"), events.ToolCalled(1, "c1", "look", by_client=True))
    [(_, data)] = told(engine, events.ToolReturned(1, "c1", "look", text, failed))
    assert data == {"tool_call_id": "c1", "cancelled": failed, **rest}


def test_figures_that_json_does_not_have_are_left_out() -> None:
    engine = ready()
    [text] = engine.encode(events.ServerMessage("news", [float("nan"), float("inf"), "NaN"]))
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["data"]["d"] == [None, None, "NaN"]


def test_a_plugin_sends_what_only_an_application_has_reason_to_send() -> None:
    engine = ready()
    command = {"command": "navigate", "payload": {"to": "/rooms"}}
    group = {"kind": "group_started", "job_id": "j", "at": 1}
    search = {"origins": []}
    assert told(
        engine,
        events.ServerMessage("ui-command", command),
        events.ServerMessage("ui-job-group", group),
        events.ServerMessage("bot-llm-search-response", search),
    ) == [("ui-command", command), ("ui-job-group", group), ("bot-llm-search-response", search)]
    for lacking in (None, {"payload": 1}, "navigate"):
        [(kind, data)] = told(engine, events.ServerMessage("ui-command", lacking))
        assert (kind, data["t"]) == ("server-message", "ui-command")


def test_a_plugin_says_that_nobody_is_heard() -> None:
    engine = ready()
    mute, unmute = events.ServerMessage("user-mute-started"), events.ServerMessage("user-mute-stopped")
    assert told(engine, unmute, mute, mute, unmute) == ["user-mute-started", "user-mute-stopped"]
    assert told(engine, mute, events.CallEnded("client_asked")) == ["user-mute-started", "user-mute-stopped"]


# ── news ──


def output(status: str, heard: str, number: int = 1, text: str = SENTENCE) -> tuple[str, Any]:
    progress = {"accumulated_text": heard, "remaining_text": text[len(heard) :]}
    kind = {"aggregated_by": "sentence", "output_type": "sentence", "segment_id": number}
    return "bot-output", {
        "text": text,
        **kind,
        "will_be_spoken": True,
        "spoken_status": status,
        "spoken_progress": progress,
    }


def test_a_spoken_turn_is_told_in_order() -> None:
    engine = ready()
    news = told(
        engine,
        events.SpeechStarted(),
        events.Transcribed("hi", final=True),
        events.SpeechStopped(),
        events.TurnEnded(1, "hi", "silence"),
        events.ReplyStarted(1, 1, "turn"),
        events.ModelAsked(1, 1, "llm"),
        events.TextGenerated(1, SENTENCE),
        events.SentenceReady(1, 0, SENTENCE),
        events.ModelFinished(1, 1),
        events.ReplyAudible(1),
        events.SpeechHeard(1, "Sure, one", Proof.WORD_TIME),
        events.SpeechHeard(1, "moment.", Proof.WORD_TIME),
        events.ReplyFinished(1, SENTENCE),
    )
    assert kinds(news) == [
        "user-started-speaking",
        "user-transcription",
        "user-stopped-speaking",
        "user-llm-text",
        "bot-llm-started",
        "bot-llm-text",
        "bot-tts-started",
        "bot-llm-stopped",
        "bot-started-speaking",
        "bot-output",
        "bot-transcription",
        "bot-tts-text",
        "bot-output",
        "bot-tts-text",
        "bot-tts-stopped",
        "bot-output",
        "bot-stopped-speaking",
    ]
    assert [it for it in news if it[0] == "bot-output"] == [
        output("new", ""),
        output("in-progress", "Sure, one"),
        output("completed", SENTENCE),
    ]
    transcription = dict(news[1][1])
    assert transcription.pop("timestamp").endswith("Z")
    assert transcription == {"text": "hi", "user_id": "", "final": True}


def test_words_the_voice_reads_differently_move_the_progress_on() -> None:
    engine = ready()
    text = "It costs 20 euros. Bye."
    told(engine, events.ReplyStarted(1, 1, "turn"), events.SentenceReady(1, 0, text), events.ReplyAudible(1))
    [_, said] = told(engine, events.SpeechHeard(1, "It costs twenty", Proof.WORD_TIME))
    assert said == output("in-progress", "It costs 20", text=text)


def test_what_a_voice_reports_in_one_piece_completes_all_its_sentences() -> None:
    engine = ready()
    told(
        engine,
        events.ReplyStarted(1, 1, "turn"),
        events.SentenceReady(1, 0, "One."),
        events.SentenceReady(1, 1, "Two."),
    )
    told(engine, events.ReplyAudible(1))
    news = told(engine, events.SpeechHeard(1, "One. Two.", Proof.ESTIMATE))
    assert news[1:] == [
        output("completed", "One.", text="One."),
        "bot-tts-stopped",
        output("completed", "Two.", 2, text="Two."),
    ]


def test_the_voice_starts_again_for_what_follows_a_tool() -> None:
    engine = ready()
    told(engine, events.ReplyStarted(1, 1, "turn"), events.ModelAsked(1, 1, "llm"), events.SentenceReady(1, 0, "One."))
    told(engine, events.ReplyAudible(1), events.ModelFinished(1, 1))
    news = told(
        engine,
        events.SpeechHeard(1, "One.", Proof.ESTIMATE),
        events.ModelAsked(1, 2, "llm"),
        events.SentenceReady(1, 1, "Two."),
        events.ModelFinished(1, 2),
        events.SpeechHeard(1, "Two.", Proof.ESTIMATE),
        events.ReplyFinished(1, "One. Two."),
    )
    assert [it for it in news if isinstance(it, str)] == [
        "bot-tts-stopped",
        "bot-llm-started",
        "bot-tts-started",
        "bot-llm-stopped",
        "bot-tts-stopped",
        "bot-stopped-speaking",
    ]


def test_a_segment_that_was_cut_off_is_not_completed() -> None:
    engine = ready()
    told(engine, events.ReplyStarted(1, 1, "turn"), events.SentenceReady(1, 0, SENTENCE), events.ReplyAudible(1))
    news = told(
        engine,
        events.SpeechHeard(1, "Sure,", Proof.ESTIMATE),
        events.ReplyInterrupted(1, "Sure,", 0.3),
        events.SpeechHeard(1, "one moment.", Proof.ESTIMATE),
        events.ReplyStarted(2, 2, "turn"),
        events.ReplyFinished(2, ""),
    )
    assert [it for it in news if it[0] == "bot-output"] == [output("in-progress", "Sure,")]


def test_figures_of_a_turn_and_of_its_cost() -> None:
    engine = ready()
    told(engine, events.ReplyStarted(1, 1, "turn"))
    timed = events.TurnTimed(1, 1, waited_secs=0.5, stt_secs=0.1, llm_secs=0.2, tts_secs=0.3, total_secs=1.1)
    used = [
        events.UsageReported("llm", "acme", Usage(prompt_tokens=7, completion_tokens=2, cached_tokens=3, model="m1")),
        events.UsageReported("tts", "acme", Usage(characters=12)),
        events.UsageReported("stt", "acme", Usage(audio_secs=1.25)),
        events.UsageReported("tts", "acme", Usage()),
    ]
    tokens = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "cache_read_input_tokens": 3}
    ttfb = [("stt", 0.1), ("llm", 0.2), ("tts", 0.3)]
    assert [data for _, data in told(engine, timed, *used)] == [
        {
            "ttfb": [{"processor": name, "value": secs} for name, secs in ttfb],
            "processing": [{"processor": "turn", "value": 0.5}, {"processor": "reply", "value": 1.1}],
        },
        {"tokens": [{"processor": "llm", "model": "m1", **tokens}]},
        {"characters": [{"processor": "tts", "value": 12}]},
        {"stt_usage": [{"processor": "stt", "value": 1.25}]},
    ]


def test_a_failure_is_an_error_and_silence_too() -> None:
    engine = ready()
    told(engine, events.ReplyStarted(1, 1, "turn"), events.ModelAsked(1, 1, "llm"))
    news = told(
        engine,
        events.ProviderFailed("llm", "acme", "acme: no answer", retryable=True),
        events.ReplyInterrupted(1, "", 0.0, "failed"),
        events.ReplyFailed(1, "llm", "acme: no answer"),
        events.ReplyStarted(2, 1, "turn"),
        events.ReplyFailed(2, "silence", "no sound for 3 s"),
    )
    assert news == [
        ("error", {"error": "acme: no answer", "fatal": False}),
        "bot-llm-stopped",
        ("error", {"error": "no sound for 3 s", "fatal": False}),
    ]


def test_an_interruption_stops_everything_once() -> None:
    engine = ready()
    happened = [
        events.ReplyStarted(1, 1, "turn"),
        events.ModelAsked(1, 1, "llm"),
        events.SentenceReady(1, 0, SENTENCE),
        events.ReplyAudible(1),
    ]
    told(engine, *happened)
    news = told(engine, events.ReplyInterrupted(1, "Sure", 0.3), events.ModelFinished(1, 1), events.CallEnded("idle"))
    assert news[:-1] == ["bot-llm-stopped", "bot-tts-stopped", "bot-interrupted", "bot-stopped-speaking"]
    assert news[-1] == ("error", {"error": "the call is over: idle", "fatal": False})


def test_each_start_has_its_stop_when_the_call_ends() -> None:
    engine = ready()
    started = told(engine, events.SpeechStarted(), events.SpeechStarted(), events.ReplyStarted(1, 1, "turn"))
    started += told(engine, events.ModelAsked(1, 1, "llm"), events.ModelAsked(1, 2, "llm"), events.ReplyAudible(1))
    assert started == ["user-started-speaking", "bot-llm-started", "bot-started-speaking"]
    news = told(engine, events.CallEnded("error"))
    assert news[:-1] == ["bot-llm-stopped", "bot-stopped-speaking", "user-stopped-speaking"]
    assert news[-1][1]["fatal"] is True


def test_an_answer_in_writing_is_one_output_that_is_not_spoken() -> None:
    engine = ready()
    news = told(engine, events.ReplyStarted(1, 1, "text"), events.ReplyFinished(1, SENTENCE))
    assert kinds(news) == ["bot-output", "bot-transcription"]
    assert news[0][1]["will_be_spoken"] is False
    assert "spoken_status" not in news[0][1]


def test_of_an_answer_in_writing_that_was_cut_off_what_was_given_is_told() -> None:
    engine = ready()
    news = told(engine, events.ReplyStarted(1, 1, "text"), events.ReplyInterrupted(1, "Sure,", 0.0, "client"))
    assert [it[1]["text"] for it in news if it[0] == "bot-output"] == ["Sure,"]


def test_words_that_are_none_are_not_told() -> None:
    assert told(ready(), events.Transcribed("", final=True)) == []


def test_version_1_clients_hear_of_sentences_and_words() -> None:
    engine = ready("1.2.0")
    happened = [events.ReplyStarted(1, 1, "turn"), events.SentenceReady(1, 0, "Two words."), events.ReplyAudible(1)]
    happened += [events.SpeechHeard(1, "Two", Proof.WORD_TIME), events.ReplyFinished(1, "Two words.")]
    assert [it[1] for it in told(engine, *happened) if it[0] == "bot-output"] == [
        {"text": "Two words.", "spoken": False, "aggregated_by": "sentence"},
        {"text": "Two", "spoken": True, "aggregated_by": "word"},
    ]


# ── the carrier in text ──


def test_audio_is_binary() -> None:
    frames = RtviFrames()
    assert list(frames.decode(b"\1\0")) == [b"\1\0"]
    assert frames.encode(b"\2\0") == b"\2\0"


def test_ready_serializers_survive_anything() -> None:
    import anyio

    good = [message(kind, READY) for kind in ("client-ready", "disconnect-bot")]
    good += [
        message("send-text", {"content": "hi", "options": {"run_immediately": True}}),
        message("dtmf", {"buttons": ["1"]}),
        message("client-message", {"t": "a", "d": [1]}),
        message("append-to-context", {"role": "user", "content": "x"}),
        message("raw-audio-batch", {"base64AudioBatch": ["AQA="], "sampleRate": 16000}),
        message("llm-function-call-result", {"tool_call_id": "1", "result": None}),
    ]

    def make() -> RtviFrames:
        frames = RtviFrames()
        list(frames.decode(good[0]))
        return frames

    anyio.run(partial(check_serializer, make, good=good))
    anyio.run(partial(check_serializer, "rtvi", good=good))


def test_every_request_of_the_protocol_is_known() -> None:
    assert len(REQUESTS) == 12
