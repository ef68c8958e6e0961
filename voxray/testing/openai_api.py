"""A simulator of OpenAI's HTTP API: models, chat, transcription, speech and the transcription socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import anyio

from voxray.testing.faults import Fault, FaultScript, Pieces, strike_first
from voxray.testing.http_server import Exchange, FakeServer, Request
from voxray.testing.openai_audio import Transcripts, speak, transcribe, transcribe_live
from voxray.testing.openai_errors import error_body, refuse
from voxray.testing.replies import Call, Replies, Reply, ReplyBook, count_words

if TYPE_CHECKING:
    from collections import deque
    from types import TracebackType

PREFIX = "/v1"
STREAM_ERROR = b'data: {"error": {"message": "simulated fault", "type": "server_error", "code": "%b"}}\n\n'


class OpenAiApi:
    """Speaks OpenAI's wire on loopback while its `async with` block runs; point a plugin's base URL at `base_url`.

    * `replies`: what chat answers: a function of the request's messages, or a list of texts and `Reply`s used in order
      (the last one for ever). Without: the user's last message comes back.
    * `transcripts`: the same for transcription: a function of the uploaded WAV, or a list of texts. Without: "hello".
    * `faults`: see `Fault`; paths end with "/models", "/chat/completions", "/audio/transcriptions", "/audio/speech" and
      "/realtime".
    * Delays: `first_token_ms` before the first text, `token_ms` between deltas (0: all in one packet), `first_audio_ms`
      before the first sound, `transcription_ms` before a transcript.
    * Speech is a tone of `audio_ms_per_char` for each character, in pcm16 24 kHz; `paced`: not faster than real time.
    * `key`: answer 401 to any other. `requests` holds what came, newest last; `keep_requests` bounds it.
    """

    def __init__(
        self,
        *,
        replies: Replies = None,
        transcripts: Transcripts = None,
        faults: Sequence[Fault] = (),
        first_token_ms: float = 0,
        token_ms: float = 0,
        first_audio_ms: float = 0,
        transcription_ms: float = 0,
        audio_ms_per_char: float = 60,
        paced: bool = False,
        key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        keep_requests: int = 1000,
    ) -> None:
        self.replies = ReplyBook(replies)
        self.transcripts = transcripts
        self.heard = 0  # transcriptions so far
        self.faults = FaultScript(faults)
        self.first_token_ms = first_token_ms
        self.token_ms = token_ms
        self.first_audio_ms = first_audio_ms
        self.transcription_ms = transcription_ms
        self.audio_ms_per_char = audio_ms_per_char
        self.paced = paced
        self.key = key
        self.server = FakeServer(self._answer, host=host, port=port, keep_requests=keep_requests)
        self._routes: dict[tuple[str, str], Callable[[OpenAiApi, Exchange, Fault | None], Any]] = {
            ("GET", "/models"): _models,
            ("POST", "/chat/completions"): _chat,
            ("POST", "/audio/transcriptions"): transcribe,
            ("POST", "/audio/speech"): speak,
            ("GET", "/realtime"): transcribe_live,
        }

    @property
    def base_url(self) -> str:
        return self.server.url + PREFIX

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
        failure = error_body(fault.message, fault.code or "simulated", "server_error") if fault else {}
        if await strike_first(exchange, fault, failure):
            return
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            refuse(exchange, 401, "Incorrect API key provided", "invalid_api_key")
            return
        route = self._routes.get((request.method, request.path.removeprefix(PREFIX)))
        if route is None:
            refuse(exchange, 404, f"unknown path {request.path}", "not_found")
            return
        await route(self, exchange, fault)


async def _models(api: OpenAiApi, exchange: Exchange, fault: Fault | None) -> None:
    names = ("gpt-6-luna", "gpt-transcribe", "gpt-live-transcribe", "gpt-4o-mini-tts")
    exchange.json(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


async def _chat(api: OpenAiApi, exchange: Exchange, fault: Fault | None) -> None:
    try:
        body = exchange.request.json()
        model, messages = body["model"], body["messages"]
    except (ValueError, KeyError, TypeError):
        refuse(exchange, 400, "model and messages are required", "invalid_request")
        return
    reply = Reply() if fault and fault.kind == "empty" else api.replies.choose(messages)
    usage = _usage(reply, messages)
    first_token_ms = api.first_token_ms if reply.first_token_ms is None else reply.first_token_ms
    if first_token_ms and not body.get("stream"):
        await anyio.sleep(first_token_ms / 1000)
    if not body.get("stream"):
        exchange.json(200, _completion(reply, model, usage))
        return
    with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    exchange.head(200, "text/event-stream", {"x-request-id": "req_simulated"})
    code = fault.code.encode() if fault else b""
    pieces = Pieces(exchange, fault, error=STREAM_ERROR % code)
    start, deltas, end = _events(reply, model, usage if with_usage else None)
    token_ms = api.token_ms if reply.token_ms is None else reply.token_ms
    if not token_ms and fault is None:  # the lean way: one packet for head, one for the whole reply
        exchange.write(start)
        if first_token_ms:
            await anyio.sleep(first_token_ms / 1000)
        exchange.write(b"".join(deltas) + end)
        exchange.end()
        return
    await pieces.send(start)
    delay_ms = first_token_ms
    for delta in deltas:
        await pieces.send(delta, delay_ms / 1000)
        delay_ms = token_ms
    await pieces.send(end)
    await pieces.end()


def _events(reply: Reply, model: str, usage: dict[str, Any] | None) -> tuple[bytes, list[bytes], bytes]:
    """The stream: its first event, the deltas, and the rest."""
    if reply.events:
        return b": simulated\n\n", [b"data: %b\n\n" % json.dumps(event).encode() for event in reply.events], DONE
    frame = {"id": "chatcmpl-simulated", "object": "chat.completion.chunk", "created": 0, "model": model}
    before = json.dumps(frame)[:-1].encode() + b', "choices": [{"index": 0, "delta": '

    def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
        ending = json.dumps(finish).encode()
        return b'data: %b%b, "finish_reason": %b}]}\n\n' % (before, json.dumps(delta).encode(), ending)

    deltas = [event({"reasoning_content": piece}) for piece in reply.reasoning.split()]
    deltas += [event({"content": piece}) for piece in reply.pieces()]
    for index, call in enumerate(reply.calls):
        half = len(call.json) // 2
        named = {"name": call.name, "arguments": ""}
        deltas.append(
            event({"tool_calls": [{"index": index, "id": _id(call, index), "type": "function", "function": named}]})
        )
        for part in (call.json[:half], call.json[half:]):
            deltas.append(event({"tool_calls": [{"index": index, "function": {"arguments": part}}]}))
    end = event({}, reply.finish or ("tool_calls" if reply.calls else "stop"))
    if usage is not None:
        end += b"data: %b\n\n" % json.dumps({**frame, "choices": [], "usage": usage}).encode()
    return event({"role": "assistant", "content": ""}), deltas, end + DONE


DONE = b"data: [DONE]\n\n"


def _completion(reply: Reply, model: str, usage: dict[str, Any]) -> dict[str, Any]:
    calls = [
        {"id": _id(call, index), "type": "function", "function": {"name": call.name, "arguments": call.json}}
        for index, call in enumerate(reply.calls)
    ]
    message = {"role": "assistant", "content": "".join(reply.pieces()) or None} | (
        {"tool_calls": calls} if calls else {}
    )
    finish = reply.finish or ("tool_calls" if calls else "stop")
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def _usage(reply: Reply, messages: list[dict[str, Any]]) -> dict[str, Any]:
    prompt, completion, cached = reply.usage or (count_words(messages), max(1, len(reply.pieces())), 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _id(call: Call, index: int) -> str:
    return call.id or f"call_{index}_{call.name}"
