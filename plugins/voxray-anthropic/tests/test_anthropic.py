"""Claude against the simulator of Anthropic's API."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
import voxray_anthropic
from voxray_anthropic.messages import Messages

from voxray.chat import Assistant, Prompt, System, TextDelta, ToolCall, ToolResult, ToolSchema, Usage, User
from voxray.errors import ProviderError, ProviderProtocolError, ProviderRefused, ProviderUnavailable
from voxray.registry import make
from voxray.testing.anthropic_api import AnthropicApi
from voxray.testing.faults import Fault
from voxray.testing.replies import Call, Reply
from voxray.wire.context import Context

pytestmark = pytest.mark.anyio

KEY = "sk-ant-test-0123456789"
HELLO = Prompt([System("Be brief."), System("Be kind."), User("Hello there")])
(SPEC,) = voxray_anthropic.voxray_register_providers()


@asynccontextmanager
async def model_of(api: AnthropicApi, **options: Any) -> AsyncIterator[Messages]:
    async with httpx.AsyncClient() as http:
        context = Context("anthropic", http=http, secrets=lambda key: KEY, base_url=api.base_url)
        async with Messages(context, **{"model": "claude", **options}) as model:
            yield model


async def collect(api: AnthropicApi, prompt: Prompt = HELLO, **options: Any) -> list[Any]:
    async with model_of(api, **options) as model:
        with anyio.fail_after(5):
            async with model.generate(prompt) as items:
                return [item async for item in items]


async def failure(api: AnthropicApi, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await collect(api, **options)
    return caught.value


def text_of(items: list[Any]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextDelta))


async def test_text_arrives_in_pieces_and_usage_at_the_end() -> None:
    reply = Reply("Good day to you.", usage=(12, 5, 3), reasoning="hush")
    async with AnthropicApi(replies=[reply], key=KEY, token_ms=1) as api:
        items = await collect(api, effort="low")
        body = api.requests[0].json()
    assert text_of(items) == "Good day to you."
    assert items[-1] == Usage(prompt_tokens=12, completion_tokens=5, cached_tokens=3, model="claude")
    assert body == {
        "model": "claude",
        "max_tokens": 1024,
        "system": "Be brief.\n\nBe kind.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello there"}]}],
        "output_config": {"effort": "low"},
        "stream": True,
    }


async def test_parallel_tool_calls_come_whole() -> None:
    calls = [Call("weather", {"city": "Oslo"}, "a"), Call("clock", {}, "b")]
    async with AnthropicApi(replies=[Reply("One moment.", calls=calls)]) as api:
        items = await collect(api)
    assert text_of(items) == "One moment."
    found = [item for item in items if isinstance(item, ToolCall)]
    assert found == [ToolCall("a", "weather", {"city": "Oslo"}), ToolCall("b", "clock", {})]


async def test_results_of_one_turn_go_back_in_one_user_message_before_text() -> None:
    calls = (ToolCall("a", "weather", {"city": "Oslo"}), ToolCall("b", "clock", {}))
    prompt = Prompt(
        [
            Assistant("Welcome!"),
            User("Weather and time?"),
            Assistant("", calls),
            ToolResult("b", "clock", "broken", failed=True),
            User("Hurry"),
            ToolResult("a", "weather", "rain"),
            User(" "),
            User("So?"),
        ],
        tools=[ToolSchema("weather", "Tells the weather.")],
        tool_choice="required",
    )
    async with AnthropicApi() as api:
        await collect(api, prompt)
        body = api.requests[0].json()
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert body["messages"][4]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "rain"},
        {"type": "tool_result", "tool_use_id": "b", "content": "broken", "is_error": True},
        {"type": "text", "text": "Hurry"},
        {"type": "text", "text": "So?"},
    ]
    assert body["tools"][0]["input_schema"] == {"type": "object", "properties": {}}
    assert body["tool_choice"] == {"type": "any"}


async def test_the_last_message_is_always_the_users() -> None:
    async with AnthropicApi() as api:
        await collect(api, Prompt([User("Hi"), Assistant("Hello.")]))
        assert api.requests[0].json()["messages"][-1]["role"] == "user"


async def test_temperature_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    async with AnthropicApi() as api:
        await collect(api, temperature=0.5)
        assert "temperature" not in api.requests[0].json()
    assert "temperature is not sent" in caplog.text


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        (Fault(status=400), ProviderRefused, 400),
        (Fault(status=401), ProviderRefused, 401),
        (Fault(status=429), ProviderUnavailable, 429),
        (Fault(status=500), ProviderUnavailable, 500),
        (Fault(status=529), ProviderUnavailable, 529),
        (Fault("error", after=2), ProviderUnavailable, 529),
        (Fault("error", code="invalid_request_error"), ProviderRefused, 400),
        (Fault("reset"), ProviderUnavailable, None),
        (Fault("half", after=3), ProviderUnavailable, None),
        (Fault("malformed"), ProviderProtocolError, None),
    ],
)
async def test_each_fault_has_its_error(fault: Fault, kind: type[ProviderError], status: int | None) -> None:
    async with AnthropicApi(replies=["one two three four"], faults=[fault]) as api:
        error = await failure(api)
    assert type(error) is kind
    assert error.status == status
    assert len(api.requests) == 1, "nothing is retried here"


async def test_a_rate_limit_says_how_long_to_wait() -> None:
    async with AnthropicApi(faults=[Fault(status=429, retry_after=1.5)]) as api:
        assert (await failure(api)).retry_after_secs == 1.5


@pytest.mark.parametrize("fault", [Fault("nothing"), Fault("stall"), Fault("stall", after=4)])
async def test_a_stall_ends_when_its_time_is_up(fault: Fault) -> None:
    async with AnthropicApi(replies=["one two three"], faults=[fault]) as api:
        assert isinstance(await failure(api, first_token_secs=0.1, idle_secs=0.1), ProviderUnavailable)


async def test_a_stream_that_only_ends_is_no_answer() -> None:
    events = [{"type": "message_start", "message": {"usage": {"input_tokens": 1, "output_tokens": 1}}}]
    async with AnthropicApi(replies=[Reply(events=events)]) as api:
        assert isinstance(await failure(api), ProviderUnavailable)


async def test_leaving_early_closes_the_request_at_the_vendor() -> None:
    async with AnthropicApi(replies=["word " * 100], token_ms=20) as api, model_of(api) as model:
        with anyio.fail_after(5):
            async with model.generate(HELLO) as items:
                async for _ in items:
                    break
            await api.requests[0].finished.wait()
        assert api.requests[0].client_closed


async def test_the_key_is_in_no_error() -> None:
    async with AnthropicApi(faults=[Fault(status=401, message=f"invalid x-api-key {KEY}")]) as api:
        assert KEY not in str(await failure(api))


async def test_the_spec_builds_its_provider() -> None:
    async with AnthropicApi() as api, httpx.AsyncClient() as http:
        model = make(SPEC, Context("anthropic", http=http, secrets=lambda key: KEY, base_url=api.base_url), {})
        async with model:
            assert isinstance(model, Messages)


def test_declaring_imports_no_sdk() -> None:
    code = (
        "import sys, voxray_anthropic; voxray_anthropic.voxray_register_providers();"
        "print({'anthropic', 'httpx', 'httpx2', 'anyio', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
