"""How a call is held: the configuration, then the dialled number, what came with the call, and what plugins say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from voxray.boundary import boundary
from voxray.builtin.chat_json import parse_messages
from voxray.chat import Message, System
from voxray.config.settings import Settings
from voxray.protocols.call import CallInfo, CallSetup
from voxray.session.services import SessionOptions

logger = logging.getLogger(__name__)

ENERGY_MIN_VOLUME = 0.05  # speech seldom reaches more on the scale of the energy detector

Preparer = Callable[[CallInfo], CallSetup | None]


class Preparation:
    """Makes the options of each call."""

    def __init__(
        self,
        options: SessionOptions,
        personas: Mapping[str, Mapping[str, str]] | None = None,
        preparers: Sequence[Preparer] = (),
    ) -> None:
        self._options = options
        self._personas = personas or {}
        self._preparers = preparers

    def __call__(self, call: CallInfo) -> SessionOptions:
        """The options of this call. What cannot be understood of its body is logged and left out."""
        options = applied(self._options, _persona(self._personas.get(call.callee, {})))
        try:
            options = applied(options, setup_of(call.body))
        except ValueError as error:
            logger.warning("what came with a call cannot be used", extra={"error": str(error)})
        for preparer in self._preparers:
            with boundary("a plugin's voxray_prepare_call"):
                setup = preparer(call)
                if setup is not None:
                    return applied(options, setup)
        return options


def setup_of(body: Mapping[str, Any]) -> CallSetup:
    """What a call's body says: `system_prompt`, `messages`, `greeting`, `language`, at the top, in `context` or in
    `body`; `context` may also be the system prompt itself.

    Raises:
        ValueError: one of them is of the wrong kind.
    """
    places: list[Mapping[str, Any]] = [body]
    prompt = ""
    for name in ("context", "body"):
        inner = body.get(name)
        if isinstance(inner, Mapping):
            places.append(inner)
            if isinstance(inner.get("context"), Mapping):
                places.append(inner["context"])
        elif isinstance(inner, str) and name == "context":
            prompt = inner

    def text(name: str) -> str:
        found = next((place[name] for place in places if place.get(name)), "")
        if not isinstance(found, str):
            raise ValueError(f'"{name}" must be a string')
        return found

    messages: Any = next((place["messages"] for place in places if place.get("messages")), [])
    return CallSetup(
        system_prompt=text("system_prompt") or prompt,
        messages=parse_messages(messages),
        greeting=text("greeting"),
        language=text("language"),
    )


def _persona(persona: Mapping[str, str]) -> CallSetup:
    return CallSetup(
        system_prompt=persona.get("system_prompt", ""),
        greeting=persona.get("greeting", ""),
        language=persona.get("language", ""),
    )


def applied(options: SessionOptions, setup: CallSetup) -> SessionOptions:
    """`options` with what `setup` says; it says nothing where it is empty."""
    messages: tuple[Message, ...] = options.messages
    if setup.system_prompt or any(isinstance(message, System) for message in setup.messages):
        messages = tuple(message for message in messages if not isinstance(message, System))
    if setup.system_prompt:
        messages = (System(setup.system_prompt), *messages)
    return replace(
        options,
        messages=(*messages, *setup.messages),
        greeting=setup.greeting or options.greeting,
        language=setup.language or options.language,
    )


def session_options(settings: Settings) -> SessionOptions:
    """How calls are held, from the configuration."""
    energy = settings.vad_type == "energy"
    return SessionOptions(
        turn_detection=settings.turn_detection,
        turn_stop_secs=settings.turn_stop_secs,
        turn_pre_speech_ms=settings.turn_pre_speech_ms + settings.vad_start_secs * 1000,
        turn_max_duration_secs=settings.turn_max_duration_secs,
        user_turn_stop_timeout_secs=settings.user_turn_stop_timeout_secs,
        user_idle_timeout_secs=settings.user_idle_timeout_secs,
        vad_confidence=settings.vad_confidence,
        vad_start_secs=settings.vad_start_secs_vad,
        vad_stop_secs=settings.vad_stop_secs,
        vad_min_volume=min(settings.vad_min_volume, ENERGY_MIN_VOLUME) if energy else settings.vad_min_volume,
        allow_interruptions=settings.allow_interruptions,
        interruption_strategy=settings.interruption_strategy,
        min_words=max(1, settings.min_words),
        interruption_phrases=settings.interruption_phrases,
        interrupt_min_speech_ms=settings.interrupt_min_speech_ms,
        messages=(System(settings.system_prompt),) if settings.system_prompt else (),
        greeting=settings.greeting,
        waiting_phrase=settings.waiting_phrase,
        fallback_phrase=settings.fallback_phrase,
        language=settings.stt_language or None,
        max_silence_secs=settings.max_silence_secs,
        max_duration_secs=max(0.0, settings.rtc_max_duration_secs),
        max_tool_rounds=settings.max_tool_rounds,
        input_queue_cap=settings.pipeline_input_queue_cap,
        dtmf_timeout_secs=settings.telephony.dtmf_timeout_secs,
        dtmf_terminator=settings.telephony.dtmf_terminator,
    )
