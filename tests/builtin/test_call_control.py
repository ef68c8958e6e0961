"""The model ends the call."""

from __future__ import annotations

from typing import Any

import pytest

from voxray.builtin.call_control import CallControl
from voxray.testing.virtual import VIRTUAL_BACKEND

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return VIRTUAL_BACKEND


class Session:
    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def hang_up(self, cause: str = "agent_ended", detail: str = "") -> None:
        self.ended.append((cause, detail))


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [({"reason": "all done"}, "all done"), ({}, ""), ({"reason": 3}, ""), ({"reason": "x" * 999}, "x" * 200)],
)
async def test_the_tool_hangs_up_with_the_models_reason(arguments: dict[str, Any], detail: str) -> None:
    session = Session()
    async with CallControl().open() as (tool,):
        assert tool.schema.name == "end_call"
        await tool.run(arguments, session)  # type: ignore[arg-type]
    assert session.ended == [("agent_ended", detail)]
