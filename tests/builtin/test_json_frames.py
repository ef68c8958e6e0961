"""The JSON frames of `/ws`, both directions, without sockets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from voxray import events
from voxray.builtin.json_frames import DECODERS, ENCODERS, JsonFrames
from voxray.chat import Assistant, System, ToolCall, ToolResult, ToolSchema, User

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "Say it", "parameters": {"type": "object"}},
}


def decoded(kind: str, **data: Any) -> list[Any]:
    return list(JsonFrames().decode(json.dumps({"type": kind, "data": data})))


def encoded(event: Any) -> Any:
    text = JsonFrames().encode(event)
    assert isinstance(text, str)
    return json.loads(text)


@pytest.mark.parametrize(
    ("kind", "data", "expected"),
    [
        ("TranscriptionFrame", {"text": " hi "}, [events.TextReceived("hi")]),
        ("TranscriptionFrame", {"text": "hi", "finalized": False}, []),
        ("TranscriptionFrame", {"text": "hi", "skip_tts": True}, [events.TextReceived("hi", speak=False)]),
        ("TranscriptionFrame", {"text": "  "}, []),
        ("TextFrame", {"text": "Say this."}, [events.SpeakRequested("Say this.")]),
        ("LLMTextFrame", {"text": "Say this."}, [events.SpeakRequested("Say this.")]),
        ("TTSSpeakFrame", {"text": "Say this."}, [events.SpeakRequested("Say this.")]),
        ("TTSSpeakFrame", {"text": ""}, []),
        ("LLMRunFrame", {}, [events.ReplyRequested()]),
        ("InterruptionFrame", {}, [events.InterruptRequested()]),
        ("EndFrame", {}, [events.EndRequested()]),
        ("CancelFrame", {"reason": "bored"}, [events.EndRequested("bored")]),
        ("InputDTMFFrame", {"digit": "#"}, [events.DtmfReceived("#")]),
        ("MarkFrame", {"name": "1.2"}, [events.MarkReached("1.2")]),
        ("VADParamsUpdateFrame", {"stop_secs": 0.5}, [events.VadUpdated(0.5, None)]),
        ("UserSpeakingFrame", {}, []),
        ("StartFrame", {"audio_in_sample_rate": 8000}, []),
        (
            "FunctionCallResultFrame",
            {"tool_call_id": "c1", "function_name": "f", "result": {"a": 1}},
            [events.ToolAnswered("c1", '{"a": 1}')],
        ),
        ("TransportMessageFrame", {"message": {"type": "hop"}}, [events.ClientMessage("hop", {"type": "hop"})]),
        ("MessageFrame", {"message": {"id": "7"}}, [events.ClientMessage("message", {"id": "7"}, "7")]),
        ("RTVIClientMessageFrame", {"msg_id": "m", "type": "t", "data": 3}, [events.ClientMessage("t", 3, "m")]),
    ],
)
def test_a_frame_of_the_client_means_this(kind: str, data: dict[str, Any], expected: list[Any]) -> None:
    assert decoded(kind, **data) == expected


def test_the_conversation_can_be_replaced_and_continued() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "tool_call_id": "c", "name": "f", "content": "2"},
    ]
    expected = (
        System("Be brief."),
        User("Hi"),
        Assistant("", (ToolCall("c", "f", {"a": 1}),)),
        ToolResult("c", "f", "2"),
    )
    assert decoded("LLMMessagesUpdateFrame", messages=messages) == [events.ContextReplaced(expected)]
    assert decoded("LLMMessagesUpdateFrame", messages=messages, run_llm=True) == [
        events.ContextReplaced(expected, True)
    ]
    assert decoded("LLMMessagesAppendFrame", messages=messages) == [events.ContextAppended(expected)]
    assert decoded("LLMContextFrame", context={"messages": messages}) == [events.ContextReplaced(expected)]
    flat = json.dumps({"type": "context", "messages": messages, "run": True})
    assert list(JsonFrames().decode(flat)) == [events.ContextReplaced(expected, True)]


def test_the_choice_of_tools_changes_without_repeating_them() -> None:
    frames = JsonFrames()
    tools = (ToolSchema("weather", "Say it", {"type": "object"}),)
    first = frames.decode(json.dumps({"type": "LLMSetToolsFrame", "data": {"tools": [WEATHER]}}))
    second = frames.decode(json.dumps({"type": "LLMSetToolChoiceFrame", "data": {"tool_choice": "none"}}))
    assert list(first) == [events.ToolsReplaced(tools)]
    assert list(second) == [events.ToolsReplaced(tools, "none")]


def test_sound_comes_as_binary_or_base64() -> None:
    pcm = b"\1\0\2\0"
    text = base64.b64encode(pcm).decode()
    assert list(JsonFrames().decode(pcm)) == [pcm]
    assert list(JsonFrames().decode(b"")) == []
    assert decoded("AudioRawFrame", audio=text, sample_rate=16_000, num_channels=1) == [pcm]
    assert decoded("audio_raw", audio=text, sample_rate=16_000) == [pcm]


def test_fields_may_stand_beside_the_type() -> None:
    assert list(JsonFrames().decode('{"type":"TTSSpeakFrame","text":"hi"}')) == [events.SpeakRequested("hi")]


@pytest.mark.parametrize(
    "message",
    [
        "",
        "rubbish",
        "[]",
        "{}",
        "NaN",
        '{"type":"MarkFrame","data":{"name":NaN}}',
        '{"type": 1}',
        '{"type":"MarkFrame","data":[]}',
        '{"type":"MarkFrame"}',
        '{"type":"NoSuchFrame","data":{}}',
        '{"type":"TTSSpeakFrame","data":{"text":1}}',
        '{"type":"TTSSpeakFrame","data":{"text":"\\ud800"}}',
        '{"type":"InputDTMFFrame","data":{"digit":"12"}}',
        '{"type":"VADParamsUpdateFrame","data":{"stop_secs":-1}}',
        '{"type":"VADParamsUpdateFrame","data":{"stop_secs":true}}',
        '{"type":"LLMMessagesUpdateFrame","data":{"messages":[{"role":"robot","content":""}]}}',
        '{"type":"LLMMessagesUpdateFrame","data":{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}}',
        '{"type":"LLMMessagesUpdateFrame","data":{}}',
        '{"type":"LLMSetToolsFrame","data":{"tools":[{"name":"a b"}]}}',
        '{"type":"AudioRawFrame","data":{"audio":"!!","sample_rate":16000}}',
        '{"type":"AudioRawFrame","data":{"audio":"AAAA","sample_rate":8000}}',
        '{"type":"MarkFrame","data":{"name":"' + "x" * 200 + '"}}',
        "[" * 100_000,
        '{"type":"MarkFrame","data":{"name":' + "9" * 10_000 + "}}",
    ],
)
def test_what_makes_no_sense_is_refused_without_repeating_it(message: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        list(JsonFrames().decode(message))
    assert len(str(caught.value)) < 120
    assert "rubbish" not in str(caught.value)


def test_every_frame_that_clients_may_send_is_known() -> None:
    accepted = {
        "StartFrame", "CancelFrame", "ErrorFrame", "RTVIClientMessageFrame", "RTVIServerMessageFrame", "TextFrame",
        "AggregatedTextFrame", "TranscriptionFrame", "LLMTextFrame", "LLMRunFrame", "LLMContextFrame",
        "LLMMessagesUpdateFrame", "LLMMessagesAppendFrame", "LLMSetToolsFrame", "LLMSetToolChoiceFrame",
        "FunctionCallResultFrame", "TTSSpeakFrame", "TransportMessageFrame", "MessageFrame", "InterruptionFrame",
        "UserSpeakingFrame", "VADUserStartedSpeakingFrame", "VADUserStoppedSpeakingFrame", "VADParamsUpdateFrame",
        "BotStartedSpeakingFrame", "BotStoppedSpeakingFrame", "InputDTMFFrame", "OutputDTMFUrgentFrame",
    }  # fmt: skip
    assert accepted <= set(DECODERS)


def test_the_call_is_announced_first() -> None:
    frame = encoded(events.CallStarted("s", "websocket", 16_000, 24_000, True))
    assert frame["type"] == "StartFrame"
    assert frame["data"]["session_id"] == "s"
    assert frame["data"]["audio_out_sample_rate"] == 24_000


def test_words_of_the_caller_carry_their_time() -> None:
    frame = encoded(events.Transcribed("hi", True, "en"))
    assert frame["type"] == "TranscriptionFrame"
    assert frame["data"]["finalized"] is True
    assert frame["data"]["timestamp"].endswith("Z")


def test_an_interruption_clears_the_client_before_it_says_what_was_heard() -> None:
    messages = JsonFrames().encode(events.ReplyInterrupted(2, "One", 0.51234))
    assert isinstance(messages, tuple)
    frames = [json.loads(message) for message in messages]
    assert [frame["type"] for frame in frames] == ["InterruptionFrame", "BotStoppedSpeakingFrame"]
    assert frames[0]["data"] == {"reply": 2, "heard": "One", "heard_secs": 0.512, "by": "speech"}
    assert frames[1]["data"] == {"reply": 2, "text": "One", "interrupted": True}


def test_errors_name_the_stage_that_clients_know() -> None:
    assert encoded(events.ReplyFailed(1, "tool", "no"))["data"]["processor"] == "session"
    assert encoded(events.ProviderFailed("tts", "x", "no", True))["data"]["processor"] == "tts"
    assert encoded(events.ProviderFailed("client", "", "no", False))["data"]["processor"] == "client"


def test_the_timing_of_a_turn_uses_the_names_of_the_protocol() -> None:
    frame = encoded(events.TurnTimed(1, 2, 0.1, 0.2, 0.3, 0.4, 1.0))
    assert frame == {
        "type": "TurnTimingFrame",
        "data": {
            "reply": 2,
            "turn": 1,
            "waited_secs": 0.1,
            "stt_secs": 0.2,
            "llm_first_token_secs": 0.3,
            "tts_first_audio_secs": 0.4,
            "total_secs": 1.0,
        },
    }


def test_the_last_frame_says_why() -> None:
    assert encoded(events.CallEnded("drained", "x")) == {
        "type": "EndFrame",
        "data": {"reason": "drained", "detail": "x"},
    }


def test_sound_goes_out_as_it_is_and_unknown_events_not_at_all() -> None:
    assert JsonFrames().encode(b"\0\1") == b"\0\1"
    assert JsonFrames().encode(events.TurnStarted(1)) is None


def test_every_event_with_a_frame_can_be_encoded() -> None:
    samples = [
        events.SpeechStarted(), events.SpeechStopped(), events.TurnEnded(1, "hi", "silence"), events.UserIdle(),
        events.ModelAsked(1, 1, "x"), events.TextGenerated(1, "a"), events.ModelFinished(1, 1),
        events.SentenceReady(1, 0, "a"), events.ReplyAudible(1), events.SpeechHeard(1, "a", events.Proof.MARK),
        events.ReplyFinished(1, "a"), events.ToolCalled(1, "c", "f", {"a": 1}), events.ToolReturned(1, "c", "f", "2"),
        events.Mark("m"), events.ServerMessage("k", {"a": 1}, "i"), events.DtmfRequested("1"),
    ]  # fmt: skip
    kinds = [encoded(sample)["type"] for sample in samples]
    assert len(set(kinds)) == len(kinds)
    covered = {type(sample) for sample in samples} | {
        events.CallStarted, events.CallEnded, events.Transcribed, events.ReplyInterrupted, events.ReplyFailed,
        events.ProviderFailed, events.TurnTimed,
    }  # fmt: skip
    assert covered == set(ENCODERS)
