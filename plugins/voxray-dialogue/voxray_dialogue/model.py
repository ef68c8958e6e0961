"""The dialogue as a language model: it streams its words and asks for tools like one."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from anyio.lowlevel import checkpoint

from voxray.chat import Prompt, TextDelta, ToolCall
from voxray.errors import ProviderRefused
from voxray.streaming import streaming
from voxray_dialogue.engine import Say, reply
from voxray_dialogue.loading import FlowError, load
from voxray_dialogue.matching import Matcher

if TYPE_CHECKING:
    from voxray.protocols.context import ProviderContext

_FEW_WORDS = re.compile(r"\s*(?:\S+\s*){1,4}")


class DialogueModel:
    """LanguageModel that follows a flow. `flow` is the file's path.

    Raises:
        ProviderRefused: the flow cannot be used; all its problems are listed.
    """

    def __init__(self, context: ProviderContext, *, flow: str) -> None:
        try:
            self._flow = load(flow)
        except FlowError as error:
            raise ProviderRefused(context.name, str(error)) from error
        self._matcher = Matcher(self._flow)

    @streaming
    async def generate(self, prompt: Prompt) -> AsyncGenerator[TextDelta | ToolCall, None]:
        """Yield the reply a few words at a time. Needs the whole conversation; raises nothing."""
        tools = () if prompt.tool_choice == "none" else (tool.name for tool in prompt.tools)
        between = ""
        for item in reply(self._flow, self._matcher, prompt.messages, tools):
            if isinstance(item, Say):
                for words in _FEW_WORDS.findall(between + item.text):
                    yield TextDelta(words)
                    await checkpoint()
                between = " "
            else:
                yield item
