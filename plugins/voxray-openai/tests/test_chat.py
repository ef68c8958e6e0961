"""Chat completions against the simulator: what goes out, what comes in, what goes wrong."""

import json
from typing import Any

import anyio
import pytest
from voxray_openai.client import Timeouts

from voxray.chat import Assistant, Prompt, System, TextDelta, ToolCall, ToolResult, ToolSchema, Usage, User
from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.plugin import Quirks
from voxray.testing.faults import Fault
from voxray.testing.openai_api import OpenAiApi
from voxray.testing.replies import Call, Reply

pytestmark = pytest.mark.anyio

HELLO = Prompt([System("Be brief."), User("Hello there")])
SOON = Timeouts(first=0.1, idle=0.1, total=0.1)


async def collect(model: Any, prompt: Prompt = HELLO) -> list[Any]:
    with anyio.fail_after(5):
        async with model.generate(prompt) as items:
            return [item async for item in items]


def text_of(items: list[Any]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta))


def calls_of(items: list[Any]) -> list[ToolCall]:
    return [item for item in items if isinstance(item, ToolCall)]


async def failure(model: Any, prompt: Prompt = HELLO) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await collect(model, prompt)
    return caught.value


async def test_text_arrives_in_pieces_and_usage_at_the_end(made: Any) -> None:
    async with OpenAiApi(replies=[Reply("Good day to you.", usage=(12, 5, 3))], token_ms=1) as api:
        items = await collect(made.chat(api))
    assert text_of(items) == "Good day to you."
    assert len(items) == 5
    assert items[-1] == Usage(prompt_tokens=12, completion_tokens=5, cached_tokens=3, model="m")


async def test_the_request_says_what_the_options_say(made: Any) -> None:
    async with OpenAiApi(key="sk-test-0123456789abcdef") as api:
        quirks = Quirks(max_tokens_field="max_completion_tokens", efforts={"m": "low"}, extra_body={"x": 1})
        await collect(made.chat(api, quirks=quirks, temperature=0.3, max_tokens=99))
        body = api.requests[0].json()
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello there"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.3,
        "max_completion_tokens": 99,
        "reasoning_effort": "low",
        "x": 1,
    }


async def test_a_dropped_field_is_not_sent(made: Any) -> None:
    async with OpenAiApi() as api:
        await collect(made.chat(api, quirks=Quirks(drop=("temperature",), usage_in_stream=False), temperature=1))
        body = api.requests[0].json()
    assert "temperature" not in body
    assert "stream_options" not in body


async def test_tools_and_their_history_go_out_in_openais_form(made: Any) -> None:
    call = ToolCall("call_1", "weather", {"city": "Oslo"})
    prompt = Prompt(
        [User("Weather?"), Assistant("", (call,)), User("Hurry"), ToolResult("call_1", "weather", "rain"), User("So?")],
        tools=[ToolSchema("weather", "Tells the weather.", {"type": "object", "properties": {}})],
        tool_choice="weather",
    )
    async with OpenAiApi() as api:
        await collect(made.chat(api), prompt)
        body = api.requests[0].json()
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "user", "user"]
    assert body["messages"][1]["content"] is None
    assert json.loads(body["messages"][1]["tool_calls"][0]["function"]["arguments"]) == {"city": "Oslo"}
    assert body["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    assert body["tools"][0]["function"]["name"] == "weather"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


async def test_parallel_tool_calls_come_whole(made: Any) -> None:
    calls = [Call("weather", {"city": "Oslo"}, "a"), Call("clock", {}, "b")]
    async with OpenAiApi(replies=[Reply("One moment.", calls=calls)]) as api:
        items = await collect(made.chat(api))
    assert text_of(items) == "One moment."
    assert calls_of(items) == [ToolCall("a", "weather", {"city": "Oslo"}), ToolCall("b", "clock", {})]


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


async def test_calls_without_index_or_id_and_with_an_object_for_arguments_are_understood(made: Any) -> None:
    events = [
        chunk({"tool_calls": [{"function": {"name": "one", "arguments": {"a": 1}}}]}),
        chunk({"tool_calls": [{"function": {"name": "two", "arguments": '{"b":'}}]}),
        chunk({"tool_calls": [{"function": {"arguments": " 2}"}}]}),
        chunk({}, "stop"),
    ]
    async with OpenAiApi(replies=[Reply(events=events)]) as api:
        calls = calls_of(await collect(made.chat(api)))
    assert [(call.name, call.arguments) for call in calls] == [("one", {"a": 1}), ("two", {"b": 2})]
    assert len({call.id for call in calls} - {""}) == 2


async def test_calls_that_share_an_index_are_told_apart_by_id(made: Any) -> None:
    events = [
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "one", "arguments": "{}"}}]}),
        chunk({"tool_calls": [{"index": 0, "id": "b", "function": {"name": "two", "arguments": "{}"}}]}, "stop"),
    ]
    async with OpenAiApi(replies=[Reply(events=events)]) as api:
        calls = calls_of(await collect(made.chat(api)))
    assert [call.id for call in calls] == ["a", "b"]


async def test_usage_in_every_chunk_counts_once_and_the_last_wins(made: Any) -> None:
    events = [
        chunk({"content": "Hi"}, usage={"prompt_tokens": 4, "completion_tokens": 1}),
        {"choices": None},
        chunk({}, "stop", x_groq={"usage": {"prompt_tokens": 4, "completion_tokens": 2}}),
    ]
    async with OpenAiApi(replies=[Reply(events=events)]) as api:
        items = await collect(made.chat(api))
    assert [item for item in items if isinstance(item, Usage)] == [Usage(4, 2, model="m")]


async def test_thoughts_are_not_spoken_however_they_are_cut(made: Any) -> None:
    reply = Reply(deltas=["<thi", "nk>secret", " plan</thi", "nk>\n\nThe answer", " is 4 < 5", ", you <", "see"])
    async with OpenAiApi(replies=[reply, Reply("Fine.", reasoning="hush hush")]) as api:
        model = made.chat(api)
        first, second = text_of(await collect(model)), text_of(await collect(model))
    assert first == "The answer is 4 < 5, you <see"
    assert second == "Fine."


async def test_a_server_that_does_not_stream_is_understood(made: Any) -> None:
    async with OpenAiApi(replies=[Reply("All at once.", calls=[Call("x", {"a": 1})])]) as api:
        items = await collect(made.chat(api, quirks=Quirks(drop=("stream",), extra_body={"stream": False})))
    assert text_of(items) == "All at once."
    assert calls_of(items)[0].arguments == {"a": 1}


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Fault(status=400), ProviderRefused, 400),
        (Fault(status=401), ProviderRefused, 401),
        (Fault(status=404), ProviderRefused, 404),
        (Fault(status=429, code="insufficient_quota"), ProviderRefused, 429),
        (Fault(status=429), ProviderUnavailable, 429),
        (Fault(status=500), ProviderUnavailable, 500),
        (Fault(status=529), ProviderUnavailable, 529),
        (Fault("reset"), ProviderUnavailable, None),
        (Fault("half", after=2), ProviderUnavailable, None),
        (Fault("malformed"), ProviderProtocolError, None),
        (Fault("error"), ProviderUnavailable, None),
        (Fault("error", code="insufficient_quota"), ProviderRefused, None),
    ],
)
async def test_each_fault_has_its_error(made: Any, fault: Fault, kind: type[ProviderError], status: int | None) -> None:
    async with OpenAiApi(replies=["one two three four"], faults=[fault]) as api:
        error = await failure(made.chat(api))
    assert type(error) is kind
    assert error.status == status
    assert error.provider == "openai"
    assert len(api.requests) == 1, "nothing is retried here"


async def test_a_rate_limit_says_how_long_to_wait(made: Any) -> None:
    async with OpenAiApi(faults=[Fault(status=429, retry_after=1.5)]) as api:
        assert (await failure(made.chat(api))).retry_after_secs == 1.5


@pytest.mark.parametrize("fault", [Fault("nothing"), Fault("stall"), Fault("stall", after=2), Fault("half_open")])
async def test_a_stall_ends_when_its_time_is_up(made: Any, fault: Fault) -> None:
    async with OpenAiApi(replies=["one two three"], faults=[fault]) as api:
        error = await failure(made.chat(api, first_token_secs=0.1, timeouts=SOON))
    assert isinstance(error, ProviderUnavailable)


async def test_a_stream_that_ends_without_a_finish_is_no_answer(made: Any) -> None:
    async with OpenAiApi(replies=[Reply(events=[{"choices": []}])], faults=[Fault("half", after=1)]) as api:
        assert isinstance(await failure(made.chat(api)), ProviderUnavailable)


async def test_arguments_that_are_no_json_are_a_protocol_error(made: Any) -> None:
    async with OpenAiApi(replies=[Reply(calls=[Call("x", '{"a": ')], finish="length")]) as api:
        error = await failure(made.chat(api))
    assert isinstance(error, ProviderProtocolError)
    assert "max_tokens" in str(error)


async def test_no_connection_is_unavailable(made: Any) -> None:
    async with OpenAiApi() as api:
        model = made.chat(api)
    assert isinstance(await failure(model), ProviderUnavailable)


async def test_the_key_is_in_no_error(made: Any) -> None:
    fault = Fault(status=401, message="Incorrect API key provided: sk-test-0123456789abcdef")
    async with OpenAiApi(faults=[fault]) as api:
        error = await failure(made.chat(api))
    assert "Incorrect API key" in str(error)
    assert "0123456789" not in str(error)


async def test_leaving_early_closes_the_request_at_the_vendor(made: Any) -> None:
    async with OpenAiApi(replies=["word " * 100], token_ms=20) as api:
        with anyio.fail_after(5):
            async with made.chat(api).generate(HELLO) as items:
                async for _ in items:
                    break
            await api.requests[0].finished.wait()
        assert api.requests[0].client_closed
        assert not api.server.connections


async def test_a_cancelled_reply_closes_the_request_at_the_vendor(made: Any) -> None:
    async with OpenAiApi(faults=[Fault("nothing")]) as api:
        with anyio.move_on_after(0.05):
            await collect(made.chat(api))
        with anyio.fail_after(5):
            await api.requests[0].finished.wait()
        assert api.requests[0].client_closed


async def test_the_connection_is_used_again_after_a_whole_answer(made: Any) -> None:
    async with OpenAiApi() as api:
        model = made.chat(api)
        for _ in range(3):
            await collect(model)
        assert api.server.accepted == 1
