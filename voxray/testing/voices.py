"""Turns lines of a script into clips, with any installed voice or from WAV files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx

from voxray.audio.convert import PcmReader
from voxray.audio.wav import read_wav
from voxray.errors import PluginError
from voxray.registry import Registry, make
from voxray.specs import Spec, TtsSpec
from voxray.testing.call_account import Clip
from voxray.testing.script import Script
from voxray.wire.context import Context

PREFERRED = "espeak"  # speaks offline, and the same each time


class NoVoiceError(PluginError):
    """Nothing is installed that can speak the script."""


async def clips_of(script: Script, *, tts: str = "", voice: str = "") -> dict[tuple[str, str], Clip]:
    """Clips for every `say` and `wav` turn of `script`, by action and value.

    Raises:
        NoVoiceError: the script has words to say and no voice is installed.
        ValueError, OSError: a WAV file cannot be used.
        ProviderError: the voice failed.
    """
    clips: dict[tuple[str, str], Clip] = {}
    for turn in script.turns:
        if turn.action == "wav":
            pcm, rate_hz = await anyio.to_thread.run_sync(read_wav, Path(str(turn.value)))
            clips["wav", str(turn.value)] = Clip.of(pcm, rate_hz=rate_hz)
    lines = dict.fromkeys(str(turn.value) for turn in script.turns if turn.action == "say")
    if lines:
        for line, clip in (await speak(lines, tts=tts, voice=voice)).items():
            clips["say", line] = clip
    return clips


async def speak(lines: Iterable[str], *, tts: str = "", voice: str = "") -> dict[str, Clip]:
    """Speak each line with the installed voice `tts`, or espeak, or the first that needs no key."""
    spec = _choose(tts)
    options = {"voice": voice} if voice else {}
    clips = {}
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient())
        provider = make(spec, Context(spec.name, http=http, base_url=spec.base_url, secrets=_secrets(spec)), options)
        if hasattr(provider, "__aenter__"):
            provider = await stack.enter_async_context(provider)
        for line in lines:
            reader = PcmReader(provider.audio)
            pcm = b"".join([reader.feed(piece) async for piece in _sound(provider, line)])
            clips[line] = Clip.of(pcm, rate_hz=provider.audio.rate_hz)
    return clips


async def _sound(provider: Any, line: str) -> AsyncIterator[bytes]:
    if hasattr(provider, "synthesize"):
        async with provider.synthesize(line) as pieces:
            async for piece in pieces:
                yield piece
        return
    async with provider.open() as voice, voice.speak(_one(line)) as items:
        async for item in items:
            if isinstance(item, bytes):
                yield item


async def _one(line: str) -> AsyncIterator[str]:
    yield line


def _choose(name: str) -> TtsSpec:
    registry = Registry.load()
    if name:
        return registry.get(TtsSpec, name)
    offline = [spec for spec in registry.specs(TtsSpec) if not any(secret.required for secret in spec.secrets)]
    for spec in sorted(offline, key=lambda spec: spec.name != PREFERRED):
        return spec
    raise NoVoiceError("no voice is installed that works without a key; pip install voxray-espeak, or use --wav")


def _secrets(spec: Spec) -> Any:
    def find(key: str) -> str:
        for secret in spec.secrets:
            if secret.key == key:
                return next((os.environ[name] for name in (secret.env, *secret.also) if os.environ.get(name)), "")
        return ""

    return find
