"""The demo's agent: what it is made of, and where to find what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from voxray.config.load import check_bytes
from voxray.config.settings import Settings
from voxray.errors import ConfigError, PluginError, VoxrayError
from voxray.registry import GROUP, Registry
from voxray.specs import LlmSpec, PeersSpec, Spec, SttSpec, TtsSpec, VadSpec

FOLDER = Path(__file__).parent
FLOW = FOLDER / "hotel.yaml"
PARTS: tuple[tuple[type[Spec], str], ...] = (
    (SttSpec, "pocketsphinx"),
    (LlmSpec, "dialogue"),
    (TtsSpec, "espeak"),
    (VadSpec, "silero"),
)
WEBRTC = "webrtc"  # welcome, not needed
HOTEL_DESK = EntryPoint("hotel_desk", "voxray.demo.hotel_desk", GROUP)
TURN_STOP_SECS = 0.6  # brisk: the desk asks short questions
ABOUT = {
    "title": "Harbor Hotel",
    "heading": "Talk to the Harbor Hotel",
    "text": "Book a room, change a booking, cancel it, or ask something. Everything runs on this machine: "
    "no key, no network. Interrupt whenever you like.",
    "sayings": [
        "I want to book a room for two nights.",
        "I want to change my booking.",
        "Cancel booking two one five.",
        "What are your opening hours?",
        "When is breakfast?",
        "Goodbye.",
    ],
}


class MissingPartsError(VoxrayError):
    """Packages that the demo is made of are not installed, or broken."""


def demo_registry(entries: Iterable[EntryPoint] | None = None) -> Registry:
    """The demo's own plugins, and WebRTC if it is installed. What else there is does not matter.

    `entries` are those installed unless given.

    Raises:
        MissingPartsError: some are missing; the message says what to install.
    """
    names = {WEBRTC, *(name for _, name in PARTS)}
    found = entry_points(group=GROUP) if entries is None else entries
    installed = [entry for entry in found if entry.name in names]
    registry = Registry.load(only=(), entries=[*installed, HOTEL_DESK])
    missing = {name for kind, name in PARTS if not _has(registry, kind, name)}
    broken = [f"{each.distribution} could not be loaded: {each.error}" for each in registry.broken]
    if broken:
        raise MissingPartsError("; ".join(broken))
    if missing:
        packages = " ".join(sorted(f"voxray-{name}" for name in missing))
        raise MissingPartsError(f"the demo needs packages that are not installed; try: pip install {packages}")
    return registry


def demo_settings(registry: Registry, *, host: str = "127.0.0.1", port: int = 3042) -> Settings:
    """The demo's configuration. The environment has no say in it.

    Raises:
        ConfigError: `host` cannot be used.
    """
    ways = {"transport": "both", "webrtc_ice_servers": []} if _has(registry, PeersSpec, WEBRTC) else {}
    raw = json.dumps(demo_config(host=host, port=port, **ways), indent=2).encode()
    settings, problems = check_bytes(raw, "the demo's configuration", registry, {})
    if settings is None:
        raise ConfigError("the demo's configuration has errors", tuple(problems))
    return settings


def demo_config(**rest: Any) -> Mapping[str, Any]:
    """What a config.json would say."""
    flow = import_module("voxray_dialogue.loading").load(str(FLOW))
    return {
        **rest,
        "stt_provider": "pocketsphinx",
        "llm_provider": "dialogue",
        "tts_provider": "espeak",
        "vad_type": "silero",
        "providers": {
            "pocketsphinx": {"stt": {"grammar": import_module("voxray_dialogue.grammar").jsgf(flow)}},
            "dialogue": {"llm": {"flow": str(FLOW)}},
        },
        "turn_detection": "silence",
        "turn_stop_secs": TURN_STOP_SECS,
        "allow_interruptions": True,
        "tools": ["hotel_desk", "call_control"],
        "greeting": _greeting(flow),
    }


def _greeting(flow: Any) -> str:
    """What the flow says first, before the caller has said anything."""
    engine, matching = import_module("voxray_dialogue.engine"), import_module("voxray_dialogue.matching")
    spoken = engine.reply(flow, matching.Matcher(flow), [], ())
    return " ".join(item.text for item in spoken if isinstance(item, engine.Say))


def _has(registry: Registry, kind: type[Spec], name: str) -> bool:
    try:
        registry.get(kind, name)
    except PluginError:
        return False
    return True
