"""The contract checks of the core."""

import pytest

from voxray.testing.anthropic_api import AnthropicApi
from voxray.testing.checks import Named, check_llm
from voxray.testing.faults import Fault
from voxray.testing.plugin_check import check_plugin

pytestmark = pytest.mark.anyio


def test_the_plugin_keeps_its_promises() -> None:
    check_plugin("voxray_anthropic")


async def test_claude_is_a_language_model() -> None:
    async with (
        AnthropicApi(replies=["Hello to you."]) as good,
        AnthropicApi(faults=[Fault(status=401, times=0)]) as refused,
        AnthropicApi(faults=[Fault("reset", times=0)]) as dropped,
    ):
        await check_llm(
            Named("anthropic", good.base_url),
            refused=Named("anthropic", refused.base_url),
            dropped=Named("anthropic", dropped.base_url),
        )
