"""Exotel for Voxray: phone calls by the Voicebot applet."""

from collections.abc import Iterable

from voxray.plugin import CarrierSpec, Secret, hookimpl

OPTIONS = {
    "sample_rate": {
        "type": "integer",
        "enum": [8000, 16000, 24000],
        "default": 8000,
        "description": "Samples per second that we ask for; what counts in a call is the start message.",
    },
    "stream_username": {
        "type": "string",
        "default": "voxray",
        "description": "User name in the applet's address, with exotel_stream_password.",
    },
}


@hookimpl
def voxray_register_transports() -> Iterable[CarrierSpec]:
    return [
        CarrierSpec(
            name="exotel",
            title="Exotel",
            factory="voxray_exotel.carrier:ExotelCarrier",
            secrets=(
                Secret("EXOTEL_API_KEY", config_key="exotel_api_key", required=False),
                Secret("EXOTEL_API_TOKEN", key="api_token", config_key="exotel_api_token", required=False),
                Secret("EXOTEL_ACCOUNT_SID", key="account_sid", config_key="exotel_account_sid", required=False),
                Secret(
                    "EXOTEL_STREAM_PASSWORD",
                    key="stream_password",
                    config_key="exotel_stream_password",
                    required=False,
                ),
            ),
            options=OPTIONS,
            base_url="https://api.exotel.com",
            base_url_env="EXOTEL_BASE_URL",
            docs_url="https://developer.exotel.com/docs/agentstream/getting-started",
            note="no REST hang-up, transfer or machine detection",
        )
    ]
