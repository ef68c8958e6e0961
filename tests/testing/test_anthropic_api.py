"""The Anthropic simulator, by plain HTTP and with the vendor's own SDK."""

from typing import Any

import anthropic
import httpx
import pytest

from voxray.testing.anthropic_api import AnthropicApi
from voxray.testing.faults import Fault
from voxray.testing.replies import Call, Reply

pytestmark = pytest.mark.anyio

ASK: dict[str, Any] = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "Say something"}]}
BEARER = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
OLD = {"x-api-key": "k", "anthropic-version": "2023-06-01"}


async def post(api: AnthropicApi, body: Any, headers: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient() as http:
        return await http.post(f"{api.base_url}/v1/messages", json=body, headers=headers)


async def test_the_vendors_sdk_reads_a_stream_with_every_kind_of_event() -> None:
    reply = Reply("Let me look.", calls=[Call("clock", {"zone": "UTC"})], reasoning="hm", usage=(7, 3, 2))
    async with AnthropicApi(replies=[reply], token_ms=1) as api:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=api.base_url, max_retries=0) as client:
            async with client.messages.stream(**ASK) as stream:
                message = await stream.get_final_message()
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert message.content[2].input == {"zone": "UTC"}  # type: ignore[union-attr]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (5, 2, 3)


@pytest.mark.parametrize("headers", [BEARER, OLD])
async def test_both_ways_to_send_the_key_are_taken(headers: dict[str, str]) -> None:
    async with AnthropicApi(key="k") as api:
        good = await post(api, ASK, headers)
        bad = await post(api, ASK, {**headers, "x-api-key": "no", "authorization": "Bearer no"})
    assert good.json()["content"] == [{"type": "text", "text": "Say something"}]
    assert (bad.status_code, bad.json()["error"]["type"]) == (401, "authentication_error")


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
async def test_sampling_parameters_are_refused_by_the_newer_version_only(name: str) -> None:
    async with AnthropicApi() as api:
        newer, older = await post(api, ASK | {name: 1}, BEARER), await post(api, ASK | {name: 1}, OLD)
    assert (newer.status_code, older.status_code) == (400, 200)


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": None},
        {"messages": []},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {
            "messages": [
                {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "x", "input": {}}]},
                {"role": "user", "content": "no result"},
            ]
        },
    ],
)
async def test_a_bad_request_is_refused(change: dict[str, Any]) -> None:
    async with AnthropicApi() as api:
        answer = await post(api, ASK | change, BEARER)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_an_overloaded_service_says_529_or_an_error_event() -> None:
    async with AnthropicApi(faults=[Fault(status=529), Fault("error", nth=2)]) as api:
        first, second = await post(api, ASK, BEARER), await post(api, ASK | {"stream": True}, BEARER)
    assert (first.status_code, first.json()["error"]["type"]) == (529, "overloaded_error")
    assert second.status_code == 200
    assert "event: error" in second.text
