"""A simulator of Anthropic's Messages API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import anyio

from voxray.testing.faults import Fault, FaultScript, Pieces, strike_first
from voxray.testing.http_server import Exchange, FakeServer, Request
from voxray.testing.replies import Replies, Reply, ReplyBook, count_words

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
MALFORMED = b"event: content_block_delta\ndata: {this is not json\n\n"
STRICT_VERSION = "2026-10-21"  # refuses sampling parameters


class AnthropicApi:
    """Speaks Anthropic's wire on loopback while its `async with` block runs; `base_url` is without "/v1".

    `replies`, `faults`, the delays, `key` and `requests` are as in `OpenAiApi`; the path is "/v1/messages". A fault of
    kind "error" sends an error event of type `code` (default "overloaded_error"). Each stream has a `ping`.
    """

    def __init__(
        self,
        *,
        replies: Replies = None,
        faults: Sequence[Fault] = (),
        first_token_ms: float = 0,
        token_ms: float = 0,
        key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_requests: int = 1000,
    ) -> None:
        self.replies = ReplyBook(replies)
        self.faults = FaultScript(faults)
        self.first_token_ms = first_token_ms
        self.token_ms = token_ms
        self.key = key
        self.server = FakeServer(self._answer, host=host, port=port, keep_requests=keep_requests)

    @property
    def base_url(self) -> str:
        return self.server.url

    @property
    def requests(self) -> deque[Request]:
        return self.server.requests

    async def __aenter__(self) -> Self:
        await self.server.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self.server.__aexit__(kind, error, trace)

    async def _answer(self, exchange: Exchange) -> None:
        request = exchange.request
        fault = self.faults.take(request.path)
        kind = (fault.code or ERROR_TYPES.get(fault.status, "api_error")) if fault else ""
        if await strike_first(exchange, fault, _error(kind, fault.message if fault else "")):
            return
        problem = self._problem(request)
        if problem is not None:
            status, message = problem
            exchange.json(status, _error(ERROR_TYPES[status], message))
            return
        body = request.json()
        reply = Reply() if fault and fault.kind == "empty" else self.replies.choose(body["messages"])
        if not body.get("stream"):
            await anyio.sleep(self.first_token_ms / 1000)
            exchange.json(200, _message(reply, body))
            return
        await self._stream(exchange, reply, body, fault)

    def _problem(self, request: Request) -> tuple[int, str] | None:
        """Status and message of a refusal, None if the request is good."""
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if not key or (self.key is not None and key != self.key):
            return 401, "invalid x-api-key"
        if (request.method, request.path) != ("POST", "/v1/messages"):
            return 404, f"unknown path {request.path}"
        try:
            body = request.json()
            messages = body["messages"]
        except (ValueError, KeyError, TypeError):
            return 400, "messages: field required"
        if request.headers.get("anthropic-version") == STRICT_VERSION:
            for name in ("temperature", "top_p", "top_k"):
                if name in body:
                    return 400, f"{name}: not supported"
        return _message_problem(body, messages)

    async def _stream(self, exchange: Exchange, reply: Reply, body: dict[str, Any], fault: Fault | None) -> None:
        error = {
            "type": "error",
            "error": {"type": (fault and fault.code) or "overloaded_error", "message": "simulated"},
        }
        exchange.head(200, "text/event-stream", {"request-id": "req_simulated"})
        pieces = Pieces(exchange, fault, error=_event(error), malformed=MALFORMED)
        start, *events = [_event(event) for event in reply.events or _events(reply, body)]
        first_token_ms = self.first_token_ms if reply.first_token_ms is None else reply.first_token_ms
        token_ms = self.token_ms if reply.token_ms is None else reply.token_ms
        await pieces.send(start)
        await anyio.sleep(first_token_ms / 1000)
        if not token_ms and fault is None:
            events = [b"".join(events)]
        for event in events:
            await pieces.send(event, token_ms / 1000)
        await pieces.end()


def _message_problem(body: dict[str, Any], messages: Any) -> tuple[int, str] | None:
    if not body.get("model") or not isinstance(body.get("max_tokens"), int):
        return 400, "model and max_tokens: field required"
    if not isinstance(messages, list) or not messages or messages[-1].get("role") != "user":
        return 400, "messages: the conversation must end with a user message"
    asked: set[str] = set()
    for message in messages:
        content = message.get("content")
        if message.get("role") not in ("user", "assistant") or not content:
            return 400, "messages: role must be user or assistant, content must not be empty"
        blocks = content if isinstance(content, list) else []
        answered = {block["tool_use_id"] for block in blocks if block.get("type") == "tool_result"}
        if asked != answered:
            return 400, "messages: each tool_use must have its tool_result in the next message"
        asked = {block["id"] for block in blocks if block.get("type") == "tool_use"}
    return None


def _events(reply: Reply, body: dict[str, Any]) -> list[dict[str, Any]]:
    prompt, completion, cached = reply.usage or (count_words(body["messages"]), max(1, len(reply.pieces())), 0)
    usage = {"input_tokens": prompt - cached, "cache_read_input_tokens": cached, "output_tokens": 1}
    message = {"id": "msg_simulated", "type": "message", "role": "assistant", "model": body["model"], "content": []}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message | {"usage": usage}}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(_blocks(reply)):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": reply.finish or ("tool_use" if reply.calls else "end_turn"), "stop_sequence": None}
    events.append({"type": "message_delta", "delta": stop, "usage": {"output_tokens": completion}})
    events.append({"type": "message_stop"})
    return events


def _blocks(reply: Reply) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Content blocks as they start, each with its deltas."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if reply.reasoning:
        deltas = [
            {"type": "thinking_delta", "thinking": reply.reasoning},
            {"type": "signature_delta", "signature": "c2ln"},
        ]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if reply.pieces():
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": p} for p in reply.pieces()]))
    for number, call in enumerate(reply.calls):
        half = len(call.json) // 2
        parts = [part for part in ("", call.json[:half], call.json[half:]) if part or call.json != "{}"]
        block = {"type": "tool_use", "id": call.id or f"toolu_{number}_{call.name}", "name": call.name, "input": {}}
        blocks.append((block, [{"type": "input_json_delta", "partial_json": part} for part in parts]))
    return blocks


def _message(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": "".join(reply.pieces())}] if reply.pieces() else []
    for number, call in enumerate(reply.calls):
        block = {"type": "tool_use", "id": call.id or f"toolu_{number}_{call.name}", "name": call.name}
        content.append(block | {"input": json.loads(call.json)})
    return {
        "id": "msg_simulated",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": reply.finish or ("tool_use" if reply.calls else "end_turn"),
        "usage": {"input_tokens": count_words(body["messages"]), "output_tokens": max(1, len(reply.pieces()))},
    }


def _event(event: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(event.get("type", "")).encode(), json.dumps(event).encode())


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_simulated"}
