"""The tools of a call: opened when it starts, run for the model, bounded in time and size, their effects gated."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup

from voxray.boundary import boundary
from voxray.chat import ToolCall, ToolResult, ToolSchema
from voxray.errors import ProviderError
from voxray.events import ProviderFailed, ServerMessage, ToolAnswered, ToolCalled, ToolReturned, ToolsReplaced
from voxray.protocols.call import CallInfo, SessionHandle
from voxray.protocols.tools import Tool, ToolSource
from voxray.session.conversation import Conversation
from voxray.session.groups import only
from voxray.session.log import EventLog
from voxray.session.playout import Lease

logger = logging.getLogger(__name__)

LONGEST_RESULT = 16_384  # characters; a model reads no more of it in a phone call
CLIENT_TOOL_SECS = 30.0
OPEN_SECS = 5.0  # the model is not asked before the tools are there, unless they take longer
FAREWELL_SECS = 1.0  # for what a tool was doing when the call ended

Answer = tuple[str, bool]  # (text, failed)
CANCELLED: Answer = ("error: cancelled because the caller interrupted", True)
NOT_STARTED: Answer = ("error: not started because the caller interrupted", True)


class ToolBox:
    """Every tool the model may use now, ours and the client's."""

    def __init__(self, log: EventLog, conversation: Conversation, session: SessionHandle, tasks: TaskGroup) -> None:
        self._log = log
        self._conversation = conversation
        self._session = session
        self._tasks = tasks
        self._tools: dict[int, Sequence[Tool]] = {}  # by number of their source
        self._closed = 0  # sources still to be opened
        self._opened = anyio.Event()
        self._client = ToolsReplaced(())
        self._answers: dict[str, tuple[anyio.Event, list[ToolAnswered]]] = {}
        self._shielded: set[anyio.CancelScope] = set()

    def open(self, sources: Sequence[ToolSource]) -> None:
        """Open the sources for this call, side by side; one that fails is reported and left out."""
        self._closed = len(sources)
        for number, source in enumerate(sources):
            self._tasks.start_soon(self._hold, number, source)
        if sources:
            self._tasks.start_soon(self._hurry)
        else:
            self._opened.set()

    async def opened(self) -> None:
        """Wait until all sources have answered, but not long."""
        with anyio.move_on_after(OPEN_SECS):
            await self._opened.wait()

    def replace_client_tools(self, tools: ToolsReplaced) -> None:
        self._client = tools

    def answered(self, answer: ToolAnswered) -> None:
        """The client returned a result; unknown ids are ignored."""
        if answer.call_id in self._answers:
            done, answers = self._answers[answer.call_id]
            answers.append(answer)
            done.set()

    @property
    def schemas(self) -> list[ToolSchema]:
        ours = [tool.schema for tool in self._ours().values()]
        names = {schema.name for schema in ours}
        return ours + [schema for schema in self._client.tools if schema.name not in names]

    def choice(self, round: int) -> str:
        """What the client wants of the model; a tool that must be called is called once, not in each round."""
        choice = self._client.tool_choice
        return choice if round == 1 or choice == "none" else "auto"

    async def run(self, lease: Lease, calls: Sequence[ToolCall]) -> None:
        """Run `calls` side by side; returns when each has a result in the conversation.

        If the caller of this is cancelled, interruptible tools are cancelled too; the others finish and their results
        join the conversation.
        """
        ours = self._ours()
        by_client = {schema.name for schema in self._client.tools} - ours.keys()
        waiting = []
        for call in calls:
            if call.name in by_client:
                self._answers[call.id] = (anyio.Event(), [])
            self._log.append(ToolCalled(lease.reply, call.id, call.name, call.arguments, call.name in by_client))
            done, scope, tool = anyio.Event(), anyio.CancelScope(), ours.get(call.name)
            self._tasks.start_soon(self._one, lease, call, tool, scope, done)
            waiting.append((done, scope, tool))
        lease.working = True
        try:
            for done, _, _ in waiting:
                await done.wait()
        except anyio.get_cancelled_exc_class():
            for _, scope, tool in waiting:
                if tool is not None and tool.interruptible:
                    scope.cancel()
            raise
        finally:
            lease.working = False

    # ── sources ──

    async def _hold(self, number: int, source: ToolSource) -> None:
        try:
            with only(ProviderError):
                async with source.open() as tools:
                    self._tools[number] = tools
                    self._ready()
                    await anyio.sleep_forever()
        except ProviderError as error:
            self._log.append(ProviderFailed("tools", error.provider, str(error), error.retryable))
            if self._tools.pop(number, None) is None:
                self._ready()

    def _ready(self) -> None:
        self._closed -= 1
        if not self._closed:
            self._opened.set()

    async def _hurry(self) -> None:
        """At the end of the call, give tools that must not be cut off a moment to finish."""
        try:
            await anyio.sleep_forever()
        finally:
            for scope in self._shielded:
                scope.deadline = anyio.current_time() + FAREWELL_SECS

    def _ours(self) -> dict[str, Tool]:
        return {tool.schema.name: tool for _, tools in sorted(self._tools.items()) for tool in tools}

    # ── one call of a tool ──

    async def _one(
        self, lease: Lease, call: ToolCall, tool: Tool | None, scope: anyio.CancelScope, done: anyio.Event
    ) -> None:
        text, failed = CANCELLED
        try:
            with scope:
                if tool is not None:
                    text, failed = await self._local(lease, tool, call.arguments)
                elif call.id in self._answers:
                    text, failed = await self._remote(call.id)
                else:
                    text = f'error: there is no tool named "{call.name}"'
        finally:
            if len(text) > LONGEST_RESULT:
                text = text[:LONGEST_RESULT] + " … (cut)"
            self._conversation.returned(ToolResult(call.id, call.name, text, failed))
            self._log.append(ToolReturned(lease.reply, call.id, call.name, text, failed))
            done.set()

    async def _local(self, lease: Lease, tool: Tool, arguments: Mapping[str, Any]) -> Answer:
        if tool.effect and (lease.revoked or self._tasks.cancel_scope.cancel_called):
            return NOT_STARTED
        text = ""
        limit = anyio.CancelScope(deadline=anyio.current_time() + tool.timeout_secs, shield=not tool.interruptible)
        if limit.shield:
            self._shielded.add(limit)
        try:
            with limit, boundary(f'the tool "{tool.schema.name}"') as fault:
                result = await tool.run(arguments, _Hand(self._session, lease))
                text = result if isinstance(result, str) else json.dumps(result, default=str)
        finally:
            self._shielded.discard(limit)
        if limit.cancelled_caught:
            return f"error: no result within {tool.timeout_secs:g} s", True
        if fault.error is not None:  # the model must learn of it
            return f"error: {type(fault.error).__name__}: {fault.error}", True
        return text, False

    async def _remote(self, call_id: str) -> Answer:
        done, answers = self._answers[call_id]
        try:
            with anyio.move_on_after(CLIENT_TOOL_SECS):
                await done.wait()
        finally:
            self._answers.pop(call_id, None)
        if not answers:
            return f"error: the client did not answer within {CLIENT_TOOL_SECS:g} s", True
        return answers[0].text, answers[0].failed


class _Hand:
    """The call in the hands of a tool. A reply that was cut off no longer ends the call: the caller has more to say."""

    def __init__(self, session: SessionHandle, lease: Lease) -> None:
        self._session = session
        self._lease = lease

    @property
    def info(self) -> CallInfo:
        return self._session.info

    def say(self, text: str) -> None:
        self._session.say(text)

    def interrupt(self) -> None:
        self._session.interrupt()

    def hang_up(self, cause: str = "agent_ended", detail: str = "") -> None:
        if not self._lease.revoked:
            self._session.hang_up(cause, detail)

    def transfer(self, to: str) -> None:
        if not self._lease.revoked:
            self._session.transfer(to)

    def send_dtmf(self, digits: str) -> None:
        self._session.send_dtmf(digits)

    def send(self, message: ServerMessage) -> None:
        self._session.send(message)

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._session.start_soon(work)
