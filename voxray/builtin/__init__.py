"""What the core itself offers, registered through the same hooks as everybody else's plugins."""

from __future__ import annotations

import os

from voxray.plugin import (
    SerializerSpec,
    ToolSourceSpec,
    TransportSpec,
    TurnDetectorSpec,
    VadSpec,
    hookimpl,
)


@hookimpl
def voxray_register_providers() -> list[VadSpec | TurnDetectorSpec | ToolSourceSpec]:
    return [
        VadSpec(
            name="energy",
            title="Energy of the signal",
            factory="voxray.builtin.energy_vad:EnergyVad",
            options={
                "threshold": {
                    "type": "number",
                    "default": 0.02,
                    "minimum": 0.0001,
                    "maximum": 1,
                    "description": "RMS (0..1) that counts as certain speech; quiet microphones want 0.01",
                },
            },
        ),
        ToolSourceSpec(
            name="call_control",
            title="Call control: lets the model end the call, transfer it and press keys",
            factory="voxray.builtin.call_control:CallControl",
            options={
                "tools": {
                    "type": "array",
                    "items": {"type": "string", "enum": ["end_call", "transfer_call", "send_dtmf"]},
                    "default": ["end_call"],
                    "description": "what the model may do",
                },
                "transfer_to": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                    "default": {},
                    "description": "names the model may transfer to, and their numbers; none: any number",
                },
            },
        ),
    ]


@hookimpl
def voxray_register_transports() -> list[TransportSpec]:
    return [
        TransportSpec(
            name="websocket",
            title="WebSocket at /ws",
            factory="voxray.builtin.websocket:WebSocketListener",
            enabled_by=("websocket", "both"),
        )
    ]


@hookimpl
def voxray_register_serializers() -> list[SerializerSpec]:
    return [
        SerializerSpec(
            name="json", title="JSON text and binary PCM", factory="voxray.builtin.json_frames:JsonFrames", query=""
        ),
        SerializerSpec(
            name="rtvi",
            title="RTVI as text and binary PCM",
            factory="voxray.builtin.rtvi_frames:RtviFrames",
            query="rtvi",
        ),
        SerializerSpec(
            name="protobuf",
            title="Protobuf frames, with RTVI inside",
            factory="voxray.builtin.protobuf_frames:ProtobufFrames",
            query="format=protobuf",
        ),
    ]


@hookimpl(trylast=True)
def voxray_resolve_secret(name: str) -> str | None:
    return os.environ.get(name) or None
