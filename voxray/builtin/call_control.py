"""Lets the model end the call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from voxray.chat import ToolSchema
from voxray.events import Cause
from voxray.protocols.call import SessionHandle
from voxray.protocols.tools import Tool

MAX_REASON = 200  # characters that go into the record

END_CALL = ToolSchema(
    "end_call",
    "End the phone call. Use it when the caller says goodbye or wants to hang up, after your own goodbye.",
    {
        "type": "object",
        "properties": {"reason": {"type": "string", "description": "Why the call ends, in a few words"}},
    },
)


class CallControl:
    def __init__(self, context: object = None) -> None:
        self._tools = (Tool(schema=END_CALL, run=_end_call, effect=True),)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Sequence[Tool]]:
        yield self._tools


async def _end_call(arguments: Mapping[str, Any], session: SessionHandle) -> str:
    reason = arguments.get("reason", "")
    session.hang_up(Cause.AGENT_ENDED, reason[:MAX_REASON] if isinstance(reason, str) else "")
    return "The call ends once your goodbye was heard."
