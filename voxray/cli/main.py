"""The program's entry: which commands there are, and what becomes of their errors.

Own commands are a table, so that listing them imports none. Plugins are loaded only for `--help` and for names that
the table does not know.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click

from voxray import __version__
from voxray.errors import ConfigError, VoxrayError

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("voxray.cli.serve:command", "Answer calls."),
    "demo": ("voxray.cli.demo:command", "Talk to a finished agent, offline."),
    "call": ("voxray.cli.call:command", "Call an agent with a synthetic caller."),
    "dial": ("voxray.cli.dial:command", "Have a running server call a number."),
    "validate": ("voxray.cli.validate:command", "Check a configuration."),
    "schema": ("voxray.cli.schema:command", "Print the configuration's JSON Schema."),
    "providers": ("voxray.cli.providers:command", "Show what the installed plugins offer."),
    "doctor": ("voxray.cli.doctor:command", "Find out what is wrong with this installation."),
    "new": ("voxray.cli.new:command", "Write a plugin to start from."),
}

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Program(click.Group):
    """A group whose commands are imported when they are run."""

    _plugins_loaded = False

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load_plugins()
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, _, attribute = COMMANDS[cmd_name][0].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        self._load_plugins()
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        known = name.startswith("-") or ctx.resilient_parsing or self.get_command(ctx, name) is not None
        if not known:
            close = get_close_matches(name, [*COMMANDS, *self.commands], n=1)
            ctx.fail(f'no command named "{name}"; ' + (f'did you mean "{close[0]}"?' if close else "see voxray --help"))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            if name in COMMANDS:
                rows.append((name, COMMANDS[name][1]))
            elif not self.commands[name].hidden:
                rows.append((name, self.commands[name].get_short_help_str()))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        return _reporting(lambda: super(Program, self).main(*args, **kwargs))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)

    def _load_plugins(self) -> None:
        """Let plugins add their commands. A set of plugins that contradict each other must not take the help away."""
        if self._plugins_loaded:
            return
        self._plugins_loaded = True
        from voxray.registry import Registry

        try:
            registry = Registry.load()
        except VoxrayError as error:
            click.echo(f"voxray: {error}", err=True)
            return
        registry.manager.hook.voxray_register_commands(cli=self)


def _reporting(run: Callable[[], Any]) -> Any:
    """Turn the program's own errors into lines on stderr and an exit status."""
    try:
        return run()
    except ConfigError as error:
        for line in [str(problem) for problem in error.problems] or [f"voxray: {error}"]:
            click.echo(line, err=True)
        sys.exit(2)
    except VoxrayError as error:
        click.echo(f"voxray: {error}", err=True)
        sys.exit(1)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxray", message="%(prog)s %(version)s")
def cli() -> None:
    """Voxray: one JSON file in, a voice agent out."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program; ends in SystemExit with its status."""
    sys.exit(cli.main(args=None if arguments is None else list(arguments), prog_name="voxray"))


if __name__ == "__main__":
    main()
