"""Twilio for Voxray: phone calls over Media Streams."""

from voxray.plugin import CarrierSpec, Secret, hookimpl


@hookimpl
def voxray_register_transports():
    return [
        CarrierSpec(
            name="twilio",
            title="Twilio Media Streams",
            factory="voxray_twilio.carrier:TwilioCarrier",
            base_url="https://api.twilio.com",
            base_url_env="TWILIO_BASE_URL",
            docs_url="https://www.twilio.com/docs/voice/twiml/stream",
            secrets=(
                Secret("TWILIO_ACCOUNT_SID", key="account_sid", config_key="twilio_account_sid", required=False),
                Secret("TWILIO_AUTH_TOKEN", key="auth_token", config_key="twilio_auth_token", required=False),
                Secret("TWILIO_API_KEY", key="api_key", config_key="twilio_api_key", required=False),
                Secret("TWILIO_API_SECRET", key="api_secret", config_key="twilio_api_secret", required=False),
                Secret("TWILIO_WEBHOOK_KEY", key="webhook_key", config_key="twilio_webhook_key", required=False),
            ),
            options={
                "verify_handshake": {
                    "type": "boolean",
                    "default": False,
                    "description": "Refuse media sockets whose handshake Twilio has not signed. The one-time token of "
                    "the webhook protects them already; this serves TwiML that is kept at Twilio. Needs the auth "
                    "token.",
                },
                "machine_detection_mode": {
                    "type": "string",
                    "enum": ["Enable", "DetectMessageEnd"],
                    "default": "Enable",
                    "description": "What answering machine detection waits for: Enable decides as early as it can, "
                    "DetectMessageEnd waits for the beep.",
                },
                "machine_detection_timeout_secs": {
                    "type": "integer",
                    "minimum": 3,
                    "maximum": 59,
                    "default": 30,
                    "description": "Seconds after which Twilio gives up telling a machine from a person.",
                },
            },
        )
    ]
