"""Lets the model end the call, hand the caller on, and press keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from voxray.chat import ToolSchema
from voxray.events import Cause
from voxray.protocols.call import SessionHandle
from voxray.protocols.tools import Tool

MAX_REASON = 200  # characters that go into the record


def _schema(name: str, description: str, parameter: str, meaning: str, *, required: bool = True) -> ToolSchema:
    properties = {parameter: {"type": "string", "description": meaning}}
    return ToolSchema(
        name, description, {"type": "object", "properties": properties, "required": [parameter] if required else []}
    )


END_CALL = _schema(
    "end_call",
    "End the phone call. Use it when the caller says goodbye or wants to hang up, after your own goodbye.",
    "reason",
    "Why the call ends, in a few words",
    required=False,
)
TRANSFER_CALL = _schema(
    "transfer_call",
    "Hand the caller on to another number or person. Tell them first; the call ends for you.",
    "to",
    "Number to transfer to, in international form",
)
SEND_DTMF = _schema(
    "send_dtmf", "Press keys on the telephone, for menus of the other side.", "digits", "The keys: 0-9, * and #"
)


class CallControl:
    """`transfer_to` maps names that the model may say to numbers; if there are any, it may transfer to no others."""

    def __init__(
        self,
        context: object = None,
        *,
        tools: Sequence[str] = ("end_call",),
        transfer_to: Mapping[str, str] | None = None,
    ) -> None:
        self._transfer_to = transfer_to or {}
        made = {
            "end_call": Tool(schema=END_CALL, run=_end_call),
            "transfer_call": Tool(schema=TRANSFER_CALL, run=self._transfer_call),
            "send_dtmf": Tool(schema=SEND_DTMF, run=_send_dtmf),
        }
        self._tools = tuple(made[name] for name in tools)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Sequence[Tool]]:
        yield self._tools

    async def _transfer_call(self, arguments: Mapping[str, Any], session: SessionHandle) -> str:
        to = str(arguments.get("to", "")).strip()
        if self._transfer_to:
            number = self._transfer_to.get(to)
            if number is None:
                return f"error: calls can be transferred to {', '.join(sorted(self._transfer_to))} only"
            to = number
        if not to:
            return "error: no number was given"
        session.transfer(to)
        return "The caller is transferred once they have heard what you said."


async def _end_call(arguments: Mapping[str, Any], session: SessionHandle) -> str:
    reason = arguments.get("reason", "")
    session.hang_up(Cause.AGENT_ENDED, reason[:MAX_REASON] if isinstance(reason, str) else "")
    return "The call ends once your goodbye was heard."


async def _send_dtmf(arguments: Mapping[str, Any], session: SessionHandle) -> str:
    session.send_dtmf(str(arguments.get("digits", "")).strip())
    return "The keys were sent."
