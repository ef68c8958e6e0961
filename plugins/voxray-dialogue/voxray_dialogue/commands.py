"""`voxray dialogue check|grammar|chat`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from voxray.chat import Message, ToolCall
    from voxray_dialogue.flow import Flow


def add(cli: click.Group) -> None:
    """Add the group to the program."""
    cli.add_command(dialogue)


@click.group(name="dialogue")
def dialogue() -> None:
    """Check and try dialogue flows."""


@dialogue.command(name="check")
@click.argument("flow", type=click.Path())
def check(flow: str) -> None:
    """Report everything that is wrong with a flow; exit status 2 if there is something."""
    loaded = _load(flow)
    click.echo(f"{flow}: {len(loaded.steps)} steps, {len(loaded.intents)} intents, {len(loaded.slots)} slots")


@dialogue.command(name="grammar")
@click.argument("flow", type=click.Path())
def grammar(flow: str) -> None:
    """Print what callers may say as a JSGF grammar, for a recogniser."""
    from voxray_dialogue.grammar import jsgf
    from voxray_dialogue.loading import FlowError

    try:
        click.echo(jsgf(_load(flow)), nl=False)
    except FlowError as error:
        click.echo(str(error), err=True)
        sys.exit(2)


@dialogue.command(name="chat")
@click.argument("flow", type=click.Path())
def chat(flow: str) -> None:
    """Type to a flow. Tools answer with the examples in its `tools`; end with an empty line."""
    from voxray.chat import Assistant, ToolResult, User
    from voxray_dialogue.engine import Say, reply
    from voxray_dialogue.flow import END_CALL, TRANSFER_CALL, Call
    from voxray_dialogue.matching import Matcher

    loaded = _load(flow)
    matcher = Matcher(loaded)
    tools = {END_CALL, TRANSFER_CALL, *(step.tool for step in loaded.steps.values() if isinstance(step, Call))}
    messages: list[Message] = []
    while True:
        out = reply(loaded, matcher, messages, tools)
        said = " ".join(item.text for item in out if isinstance(item, Say))
        calls = tuple(item for item in out if not isinstance(item, Say))
        if said:
            click.echo(f"agent: {said}")
        messages.append(Assistant(said, calls))
        messages += [ToolResult(call.id, call.name, _example(loaded, call)) for call in calls]
        if any(call.name in (END_CALL, TRANSFER_CALL) for call in calls):
            return
        if not calls:
            text = click.prompt("you", default="", show_default=False)
            if not text:
                return
            messages.append(User(text))


def _example(flow: Flow, call: ToolCall) -> str:
    result = json.dumps(flow.examples.get(call.name, {}))
    click.echo(f"tool:  {call.name} {json.dumps(dict(call.arguments))} -> {result}")
    return result


def _load(path: str) -> Flow:
    from voxray_dialogue.loading import FlowError, load

    try:
        return load(path)
    except FlowError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
