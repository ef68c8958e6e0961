"""A server with one carrier, that carrier's REST API, and callers; for tests of the whole way of a phone call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from tests.server.serving import Served, serving
from voxray.audio.format import PCM_16K
from voxray.builtin.call_control import CallControl
from voxray.config.settings import TelephonySettings
from voxray.protocols.call import CallInfo, Outcome
from voxray.protocols.stt import SpeechToText
from voxray.registry import Registry, make
from voxray.server.calls import Hooks
from voxray.session.services import Services, SessionOptions
from voxray.specs import CarrierSpec
from voxray.testing.call_account import Clip
from voxray.testing.fakes import ScriptedLlm, ScriptedStt, ScriptedTts, services, speech
from voxray.testing.phone import NO_FAULTS, PhoneCaller, PhoneFaults
from voxray.testing.phone_rest import PhoneExchange
from voxray.testing.phone_wire import PhoneWire
from voxray.wire.context import Context

SHORT = Clip.of(speech(PCM_16K, 0.5))
ALL_IS_WELL_SECS = 10.0  # until a test that hangs is given up
WHOLE_ANSWER = "All is well. And it will be so for a rather long time, as far as anybody can tell today."


@dataclass(slots=True)
class PhoneLine:
    server: Served
    exchange: PhoneExchange
    llm: ScriptedLlm
    calls: list[CallInfo] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @asynccontextmanager
    async def called(self, faults: PhoneFaults = NO_FAULTS, **options: Any) -> AsyncIterator[PhoneCaller]:
        """A call, during which nothing may be sent that the carrier would not have taken."""
        wire: Any = options.pop("wire", self.exchange.wire)
        async with PhoneCaller(self.url, wire, faults=faults, **options) as caller:
            self.exchange.caller = caller
            yield caller
        assert caller.rejected == []
        assert self.exchange.rejected == []


@asynccontextmanager
async def phone_line(
    wire: PhoneWire,
    secrets: Mapping[str, str],
    *,
    replies: Any = (WHOLE_ANSWER, "Goodbye."),
    tools: tuple[str, ...] = (),
    telephony: TelephonySettings = TelephonySettings(caller_id="+15005550001"),  # noqa: B008
    carrier_options: Mapping[str, Any] | None = None,
    max_sessions: int = 0,
    busy_for: int = 0,
    stt: SpeechToText | None = None,
    **options: Any,
) -> AsyncIterator[PhoneLine]:
    llm = ScriptedLlm(replies, first_token_secs=0, token_secs=0)
    parts: Services = services(
        stt=stt or ScriptedStt(["hello there", "stop"], delay_secs=0.01),
        llm=llm,
        tts=ScriptedTts(first_audio_secs=0, secs_per_char=0.02),
        **({"tools": [CallControl(tools=tools)]} if tools else {}),
    )
    chosen = SessionOptions(
        **{"greeting": "Good day.", "turn_stop_secs": 0.3, "interrupt_min_speech_ms": 100, **options}
    )
    calls: list[CallInfo] = []
    outcomes: list[Outcome] = []
    hooks = Hooks(started=(calls.append,), ended=(lambda info, outcome: outcomes.append(outcome),))
    spec = Registry.load(only=[wire.name]).get(CarrierSpec, wire.name)
    with anyio.fail_after(ALL_IS_WELL_SECS):
        async with PhoneExchange(wire, busy_for=busy_for) as exchange, httpx.AsyncClient() as http:
            context = Context(wire.name, http=http, secrets=lambda key: secrets.get(key, ""), base_url=exchange.url)
            async with serving(
                parts=parts,
                options=chosen,
                hooks=hooks,
                max_sessions=max_sessions,
                carriers=[make(spec, context, dict(carrier_options or {}))],
                telephony=telephony,
            ) as server:
                yield PhoneLine(server, exchange, llm, calls, outcomes)
                await server.emptied()
