"""Plivo for Voxray: phone calls over Audio Streams."""

from voxray.plugin import CarrierSpec, Secret, hookimpl


@hookimpl
def voxray_register_transports():
    return [
        CarrierSpec(
            name="plivo",
            title="Plivo Audio Streams",
            factory="voxray_plivo.carrier:PlivoCarrier",
            base_url="https://api.plivo.com",
            base_url_env="PLIVO_BASE_URL",
            docs_url="https://www.plivo.com/docs/voice/xml/audio-stream",
            secrets=(
                Secret("PLIVO_AUTH_ID", key="auth_id", config_key="plivo_auth_id", required=False),
                Secret("PLIVO_AUTH_TOKEN", key="auth_token", config_key="plivo_auth_token", required=False),
                Secret(
                    "PLIVO_MAIN_AUTH_TOKEN", key="main_auth_token", config_key="plivo_main_auth_token", required=False
                ),
            ),
            options={
                "content_type": {
                    "type": "string",
                    "enum": ["audio/x-mulaw;rate=8000", "audio/x-l16;rate=8000", "audio/x-l16;rate=16000"],
                    "default": "audio/x-mulaw;rate=8000",
                    "description": "Audio that Plivo is asked for, both ways. 16 kHz means four times the bytes, and "
                    "helps only calls that are wideband up to Plivo, as from SIP clients.",
                },
                "machine_detection_time_ms": {
                    "type": "integer",
                    "minimum": 2000,
                    "maximum": 10000,
                    "default": 5000,
                    "description": "Milliseconds that Plivo listens to tell a machine from a person.",
                },
            },
        )
    ]
