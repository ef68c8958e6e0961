"""The hotel's book of rooms: three tools for the demo's agent, in memory."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from voxray.chat import ToolSchema
from voxray.hookspecs import hookimpl
from voxray.protocols.call import SessionHandle
from voxray.protocols.tools import Tool
from voxray.specs import ToolSourceSpec

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FULL_DAYS = frozenset({"Saturday"})  # somebody has to be turned away
MAX_BOOKINGS = 500  # the oldest are forgotten
MAX_NIGHTS, MAX_GUESTS = 14, 4


@dataclass(frozen=True, slots=True)
class Booking:
    day: str
    nights: int
    guests: int


# Known to every caller, so that there is something to change and to cancel.
STANDING = {"834": Booking("Monday", 2, 2), "348": Booking("Friday", 3, 1), "246": Booking("Sunday", 1, 2)}


@hookimpl
def voxray_register_providers() -> list[ToolSourceSpec]:
    return [ToolSourceSpec(name="hotel_desk", title="Hotel desk", factory="voxray.demo.hotel_desk:HotelDesk")]


class HotelDesk:
    """ToolSource. Bookings live as long as the server; the standing ones are there again at each call."""

    def __init__(self, context: object = None) -> None:
        self._bookings: OrderedDict[str, Booking] = OrderedDict()
        self._tools = (
            _tool("book_room", "Book a room.", self._book, {"nights": _NIGHTS, "day": _DAY, "guests": _GUESTS}),
            _tool("change_booking", "Move a booking to another day.", self._change, {"code": _CODE, "day": _DAY}),
            _tool("cancel_booking", "Cancel a booking.", self._cancel, {"code": _CODE}),
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Sequence[Tool]]:
        self._bookings.update(STANDING)
        yield self._tools

    async def _book(self, arguments: Mapping[str, Any], session: SessionHandle) -> Mapping[str, str]:
        booking = Booking(
            _day(arguments), _count(arguments, "nights", MAX_NIGHTS), _count(arguments, "guests", MAX_GUESTS)
        )
        if booking.day in FULL_DAYS:
            return {"status": "full", "full_day": booking.day}
        code = self._free_code(booking)
        self._bookings[code] = booking
        while len(self._bookings) > MAX_BOOKINGS:
            self._bookings.popitem(last=False)
        return {"status": "booked", "code": code}

    async def _change(self, arguments: Mapping[str, Any], session: SessionHandle) -> Mapping[str, str]:
        code, day = str(arguments.get("code", "")), _day(arguments)
        if code not in self._bookings:
            return {"status": "unknown"}
        if day in FULL_DAYS:
            return {"status": "full", "full_day": day}
        old = self._bookings[code]
        self._bookings[code] = Booking(day, old.nights, old.guests)
        return {"status": "changed"}

    async def _cancel(self, arguments: Mapping[str, Any], session: SessionHandle) -> Mapping[str, str]:
        found = self._bookings.pop(str(arguments.get("code", "")), None)
        return {"status": "cancelled" if found else "unknown"}

    def _free_code(self, booking: Booking) -> str:
        """Three digits that follow from the booking, so that a demo can be repeated; the next free ones if taken."""
        first = zlib.crc32(repr(booking).encode())
        codes = (f"{100 + (first + step) % 900}" for step in range(900))
        return next(code for code in codes if code not in self._bookings)


def _day(arguments: Mapping[str, Any]) -> str:
    day = str(arguments.get("day", "")).capitalize()
    if day not in DAYS:
        raise ValueError(f"day must be one of {', '.join(DAYS)}")
    return day


def _count(arguments: Mapping[str, Any], name: str, most: int) -> int:
    count = arguments.get(name)
    if not isinstance(count, int) or not 1 <= count <= most:
        raise ValueError(f"{name} must be a whole number from 1 to {most}")
    return count


_DAY = {"type": "string", "enum": list(DAYS)}
_CODE = {"type": "string", "pattern": "^[0-9]{3}$", "description": "The booking code, three digits"}
_NIGHTS = {"type": "integer", "minimum": 1, "maximum": MAX_NIGHTS}
_GUESTS = {"type": "integer", "minimum": 1, "maximum": MAX_GUESTS}


def _tool(name: str, description: str, run: Any, properties: Mapping[str, Any]) -> Tool:
    parameters = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return Tool(schema=ToolSchema(name, description, parameters), run=run)
