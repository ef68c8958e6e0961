"""Calls from browsers over WebRTC for Voxray."""

from __future__ import annotations

from voxray.plugin import PeersSpec, hookimpl


@hookimpl
def voxray_register_transports() -> list[PeersSpec]:
    return [
        PeersSpec(
            name="webrtc",
            title="WebRTC: Opus and data channels, offers by HTTP",
            factory="voxray_webrtc.peers:WebRtcPeers",
            enabled_by=("smallwebrtc", "both", "webrtc"),
            options={
                "bit_rate": {
                    "type": "integer",
                    "default": 32_000,
                    "minimum": 12_000,
                    "maximum": 128_000,
                    "description": "bit/s that our speech in Opus aims at; it takes up to 1.6 times as much",
                },
                "grace_secs": {
                    "type": "number",
                    "default": 15,
                    "minimum": 0,
                    "maximum": 120,
                    "description": "how long a call waits for a client whose connection was lost",
                },
                "addresses": {
                    "type": "array",
                    "items": {"type": "string"},
                    "default": [],
                    "description": "the machine's addresses to offer to clients; none: all, loopback if there are none",
                },
            },
            docs_url="https://aiortc.readthedocs.io/",
        )
    ]
