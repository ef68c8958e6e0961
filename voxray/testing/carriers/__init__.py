"""Simulated carriers, by name. Imported when one is asked for."""

from __future__ import annotations

from importlib import import_module
from uuid import uuid4

from voxray.testing.phone_wire import PhoneFacts, PhoneWire

WIRES = {
    "twilio": "voxray.testing.carriers.twilio:TwilioWire",
    "telnyx": "voxray.testing.carriers.telnyx:TelnyxWire",
    "plivo": "voxray.testing.carriers.plivo:PlivoWire",
    "exotel": "voxray.testing.carriers.exotel:ExotelWire",
    "vonage": "voxray.testing.carriers.vonage:VonageWire",
    "genesys": "voxray.testing.carriers.genesys:GenesysWire",
}

# Where the server finds the secret that the simulated carrier signs with, and the account.
SECRET_ENV = {
    "twilio": "TWILIO_AUTH_TOKEN",
    "plivo": "PLIVO_AUTH_TOKEN",
    "exotel": "EXOTEL_STREAM_PASSWORD",
    "vonage": "VONAGE_SIGNATURE_SECRET",
    "genesys": "GENESYS_CLIENT_SECRET",
}
ACCOUNT_ENV = {"twilio": "TWILIO_ACCOUNT_SID", "plivo": "PLIVO_AUTH_ID", "exotel": "EXOTEL_ACCOUNT_SID"}


def new_facts(carrier: str, *, caller: str = "", callee: str = "", account_id: str = "") -> PhoneFacts:
    """A call that never was before, with ids as this carrier makes them."""
    call, stream = uuid4(), uuid4()
    ids = {
        "twilio": (f"CA{call.hex}", f"MZ{stream.hex}"),
        "telnyx": (f"v3:{call.hex}", str(stream)),
        "exotel": (call.hex, stream.hex),
    }
    call_id, stream_id = ids.get(carrier, (str(call), str(stream)))
    given = {"caller": caller, "callee": callee, "account_id": account_id}
    return PhoneFacts(call_id=call_id, stream_id=stream_id, **{name: value for name, value in given.items() if value})


def make_wire(carrier: str, facts: PhoneFacts, *, secret: str = "") -> PhoneWire:
    """One call of the carrier of this name; `secret` "" leaves its requests unsigned.

    Raises:
        ValueError: there is no such simulator.
    """
    if carrier not in WIRES:
        raise ValueError(f'no simulated carrier "{carrier}"; known are {", ".join(WIRES)}')
    module, _, name = WIRES[carrier].partition(":")
    wire: PhoneWire = getattr(import_module(module), name)(facts, secret=secret)
    return wire
