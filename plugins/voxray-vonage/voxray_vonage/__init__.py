"""Vonage phone calls for Voxray: answered by NCCO, spoken over a websocket with plain PCM."""

from __future__ import annotations

from voxray.plugin import CarrierSpec, Secret, hookimpl

OPTIONS = {
    "rate_hz": {
        "type": "integer",
        "enum": [8000, 16000, 24000],
        "default": 16000,
        "description": "Sampling rate of the sound both ways. Ordinary lines carry 8000, calls from apps more.",
    },
    "busy_text": {
        "type": "string",
        "maxLength": 1500,
        "default": "All lines are busy. Please call again later.",
        "description": "Said by Vonage when all lines are taken: it cannot signal busy. Empty: hang up without a word.",
    },
    "private_key_file": {
        "type": "string",
        "default": "",
        "description": "File with the application's private key in PEM, instead of the secret `private_key`.",
    },
}


@hookimpl
def voxray_register_transports() -> list[CarrierSpec]:
    return [
        CarrierSpec(
            name="vonage",
            title="Vonage",
            factory="voxray_vonage.carrier:VonageCarrier",
            options=OPTIONS,
            secrets=(
                Secret(
                    "VONAGE_SIGNATURE_SECRET",
                    key="signature_secret",
                    config_key="vonage_signature_secret",
                    required=False,
                ),
                Secret(
                    "VONAGE_APPLICATION_ID", key="application_id", config_key="vonage_application_id", required=False
                ),
                Secret("VONAGE_PRIVATE_KEY", key="private_key", config_key="vonage_private_key", required=False),
            ),
            base_url="https://api.nexmo.com",
            base_url_env="VONAGE_BASE_URL",
            docs_url="https://developer.vonage.com/voice/voice-api/overview",
            note="16 kHz both ways; transfer, keys and outbound calls need the application's private key",
        )
    ]
