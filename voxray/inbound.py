"""What the connected party sends besides audio. Part of `voxray.events`, which is where to import it from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxray.chat import Message, ToolSchema


@dataclass(frozen=True, slots=True)
class ClientReady:
    """The client can take the greeting. Only of protocols in which clients say so; doubled ones mean nothing."""


@dataclass(frozen=True, slots=True)
class TextReceived:
    """A typed turn of the user. `run` False: only remember it. `speak` False: answer in text, not in sound. `via` says
    how it came: "text" or "dtmf"."""

    text: str
    run: bool = True
    speak: bool = True
    via: str = "text"


@dataclass(frozen=True, slots=True)
class SpeakRequested:
    """Say this, now, in these words."""

    text: str


@dataclass(frozen=True, slots=True)
class ContextReplaced:
    """The whole conversation, from the client. `run`: answer it at once."""

    messages: Sequence[Message]
    run: bool = False


@dataclass(frozen=True, slots=True)
class ContextAppended:
    messages: Sequence[Message]
    run: bool = False


@dataclass(frozen=True, slots=True)
class ToolsReplaced:
    """Tools the *client* runs: the model's calls are sent to it and answered with `ToolAnswered`."""

    tools: Sequence[ToolSchema]
    tool_choice: str = "auto"


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """The client's result for one of its tools, as text."""

    call_id: str
    text: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class ReplyRequested:
    """Run the model on the conversation as it stands."""


@dataclass(frozen=True, slots=True)
class InterruptRequested:
    """The client wants silence now."""


@dataclass(frozen=True, slots=True)
class EndRequested:
    """The client asks us to end the call; `reason` goes into the record."""

    reason: str = "client asked"


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """One key: 0-9, * or #. Inbound, and logged as it is."""

    digit: str


@dataclass(frozen=True, slots=True)
class MarkReached:
    """The client has played everything up to the mark of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class VadUpdated:
    """New detector times from the client, None for unchanged."""

    stop_secs: float | None = None
    start_secs: float | None = None


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """Anything for the application. Inbound, and logged as it is."""

    kind: str
    data: Any = None
    id: str = ""


Inbound = (
    ClientReady
    | TextReceived
    | SpeakRequested
    | ContextReplaced
    | ContextAppended
    | ToolsReplaced
    | ToolAnswered
    | ReplyRequested
    | InterruptRequested
    | EndRequested
    | DtmfReceived
    | MarkReached
    | VadUpdated
    | ClientMessage
)
