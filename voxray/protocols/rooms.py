"""Room services: people and phones meet the agent in a room of a vendor, which carries the sound."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from voxray.protocols.carrier import Webhook
from voxray.protocols.transport import PendingTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class DialIn:
    """A phone call that the service holds until the agent's room can take it."""

    call_id: str
    call_domain: str = ""
    caller: str = ""
    callee: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)  # of SIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room of one call. `invitation` is what the client needs to join, named as its library wants it; `agent_token`
    lets the agent in."""

    name: str
    url: str
    agent_token: str = field(repr=False)
    invitation: Mapping[str, str] = field(default_factory=dict, repr=False)
    dial_in: DialIn | None = None


class WebhookFieldsError(ValueError):
    """A webhook lacks fields; `missing` names all of them."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(f"missing: {', '.join(missing)}")
        self.missing = missing


class Rooms(Protocol):
    """Made once at server start as `factory(context, **options)` with a `ListenerContext`."""

    name: str
    dial_in_path: str  # of the webhook by which phone calls are announced; "" if the service brings none

    async def create(self, session_id: str, dial_in: DialIn | None = None) -> Room:
        """Make a room for one call, with tokens for the agent and for one client. Raises ProviderError."""

    def join(self, room: Room) -> AbstractAsyncContextManager[PendingTransport]:
        """The agent in the room, until the block is left. `established` waits for the first other one there.

        Raises ProviderError on entering.
        """

    async def delete(self, room: Room) -> None:
        """The call is over, or never began. Rooms that are gone already are no error. Raises ProviderError."""

    def refusal(self, webhook: Webhook) -> str:
        """Why a webhook's signature is not accepted; "" if it is, or if no secret for it is configured."""

    def dial_in(self, webhook: Webhook) -> DialIn | None:
        """The phone call that a webhook announces; None where the service only tries the address.

        Raises:
            WebhookFieldsError: fields are missing.
            ValueError: it is no JSON object.
        """
