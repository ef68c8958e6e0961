"""The tools of a call: opened when it starts, run for the model, bounded in time and size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
from anyio.abc import TaskGroup

from voxray.chat import ToolCall, ToolResult, ToolSchema
from voxray.errors import ProviderError
from voxray.events import ProviderFailed, ToolAnswered, ToolCalled, ToolReturned, ToolsReplaced
from voxray.protocols.call import SessionHandle
from voxray.protocols.tools import Tool, ToolSource
from voxray.session.conversation import Conversation
from voxray.session.log import EventLog

LONGEST_RESULT = 16_384  # characters; a model reads no more of it in a phone call
CLIENT_TOOL_SECS = 30.0


class ToolBox:
    """Every tool the model may use now, ours and the client's."""

    def __init__(self, log: EventLog, conversation: Conversation, session: SessionHandle, tasks: TaskGroup) -> None:
        self._log = log
        self._conversation = conversation
        self._session = session
        self._tasks = tasks
        self._tools: dict[str, Tool] = {}
        self._client: ToolsReplaced = ToolsReplaced(())
        self._answers: dict[str, tuple[anyio.Event, list[ToolAnswered]]] = {}

    async def open(self, sources: Sequence[ToolSource], stack: AsyncExitStack) -> None:
        """Open the sources for this call; one that fails is reported and left out."""
        for source in sources:
            try:
                tools = await stack.enter_async_context(source.open())
            except ProviderError as error:
                self._log.append(ProviderFailed("tools", error.provider, str(error), error.retryable))
                continue
            self._tools.update({tool.schema.name: tool for tool in tools})

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
        return [*(tool.schema for tool in self._tools.values()), *self._client.tools]

    @property
    def choice(self) -> str:
        return self._client.tool_choice

    async def run(self, reply: int, calls: Sequence[ToolCall]) -> None:
        """Run `calls` side by side; returns when each has a result in the conversation.

        If the caller of this is cancelled, interruptible tools are cancelled too; the others finish and their results
        join the conversation.
        """
        waiting = []
        for call in calls:
            done = anyio.Event()
            scope = anyio.CancelScope()
            tool = self._tools.get(call.name)
            self._tasks.start_soon(self._one, reply, call, tool, scope, done)
            waiting.append((done, scope, tool))
        try:
            for done, _, _ in waiting:
                await done.wait()
        except anyio.get_cancelled_exc_class():
            for _, scope, tool in waiting:
                if tool is None or tool.interruptible:
                    scope.cancel()
            raise

    async def _one(
        self, reply: int, call: ToolCall, tool: Tool | None, scope: anyio.CancelScope, done: anyio.Event
    ) -> None:
        by_client = tool is None and call.name in {schema.name for schema in self._client.tools}
        text, failed = "error: cancelled because the caller interrupted", True
        try:
            with scope:
                self._log.append(ToolCalled(reply, call.id, call.name, call.arguments, by_client))
                if tool is not None:
                    text, failed = await self._local(tool, call.arguments)
                elif by_client:
                    text, failed = await self._remote(call.id)
                else:
                    text = f'error: there is no tool named "{call.name}"'
        finally:
            self._conversation.returned(ToolResult(call.id, call.name, text, failed))
            self._log.append(ToolReturned(reply, call.id, call.name, text, failed))
            done.set()

    async def _local(self, tool: Tool, arguments: Mapping[str, Any]) -> tuple[str, bool]:
        try:
            with anyio.fail_after(tool.timeout_secs):
                result = await tool.run(arguments, self._session)
            return _bounded(result if isinstance(result, str) else json.dumps(result, default=str)), False
        except TimeoutError:
            return f"error: no result within {tool.timeout_secs:g} s", True
        except Exception as error:  # a tool may fail in any way; the model must learn of it, the call must go on
            return _bounded(f"error: {type(error).__name__}: {error}"), True

    async def _remote(self, call_id: str) -> tuple[str, bool]:
        done, answers = self._answers.setdefault(call_id, (anyio.Event(), []))
        try:
            with anyio.move_on_after(CLIENT_TOOL_SECS):
                await done.wait()
        finally:
            del self._answers[call_id]
        if not answers:
            return f"error: the client did not answer within {CLIENT_TOOL_SECS:g} s", True
        return _bounded(answers[0].text), answers[0].failed


def _bounded(text: str) -> str:
    return text if len(text) <= LONGEST_RESULT else text[:LONGEST_RESULT] + " … (cut)"
