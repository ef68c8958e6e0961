"""`voxray call`: an agent's test call from the command line."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from voxray.testing.conversation import CallResult
    from voxray.testing.phone_line import PhoneLine
    from voxray.testing.script import Script

HELD, NOT_HELD, NOT_CONNECTED = 0, 1, 3  # 2 is click's, for wrong usage
MAX_COUNT = 1000
MAX_CONCURRENCY = 200
DEFAULT_LINE = "Hello, can you hear me?"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(name="call")
@click.argument("url")
@click.option("--say", "lines", multiple=True, metavar="TEXT", help="Say this and hear the answer. Repeatable.")
@click.option("--wav", "files", multiple=True, type=FILE, metavar="FILE", help="Play this as a turn. Repeatable.")
@click.option("--script", "script_file", type=FILE, metavar="YAML", help="Hold this script; see the how-to.")
@click.option("--tts", default="", help="Voice for what is said; espeak if it is installed.")
@click.option("--voice", default="", help="The voice's own choice of voice.")
@click.option("--count", default=1, type=click.IntRange(1, MAX_COUNT), show_default=True, help="Calls to make.")
@click.option("--concurrency", default=1, type=click.IntRange(1, MAX_CONCURRENCY), show_default=True, help="At once.")
@click.option(
    "--record", type=click.Path(path_type=Path), help="Write what the agent said: a folder, or one .wav file."
)
@click.option("--api-key", default="", envvar="VOXRAY_SERVER_API_KEY", help="The server's key, if it asks for one.")
@click.option("--carrier", default="", metavar="NAME", help="Call by phone, through this simulated carrier.")
@click.option(
    "--secret", default=None, help="What the carrier signs with. Default: the carrier's environment variable."
)
@click.option("--public-url", default="", metavar="URL", help="Address that the carrier knows, behind proxy_host.")
@click.option("--from", "caller", default="", metavar="NUMBER", help="The phone's own number.")
@click.option("--to", "callee", default="", metavar="NUMBER", help="The number that is dialled.")
@click.option(
    "--dial",
    "dial_port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Be the carrier's API at this port, and wait for the server to place the call.",
)
@click.option("--timeout", default=30.0, type=click.FloatRange(0.1, 3600), show_default=True, help="For an answer, s.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the results as JUnit XML.")
def command(
    url: str,
    *,
    lines: tuple[str, ...],
    files: tuple[Path, ...],
    script_file: Path | None,
    record: Path | None,
    as_json: bool,
    junit: Path | None,
    **options: Any,
) -> None:
    """Call the agent at URL (ws://HOST:PORT/ws, or just HOST:PORT) and check what it answers.

    With --carrier, call it by phone: URL is the server's (http://HOST:PORT), or that of its webhook.

    Speaks in real time, waits for the greeting and for each answer, and shows how long every stage took.

    \b
    Exit status: 0 the script held, 1 it did not, 2 wrong usage, 3 no connection.
    """
    from voxray.cli.call_report import report
    from voxray.errors import VoxrayError

    _check(url, options["count"], record)
    script = _script(lines, files, script_file)
    options["phone"] = _phone(script, options)
    try:
        results = _calls(url, script, record is not None, options)
        _write(results, record, junit, script.name)
    except (VoxrayError, ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error
    report(results, as_json=as_json, url=url)
    if not any(result.connected for result in results):
        sys.exit(NOT_CONNECTED)
    sys.exit(HELD if all(result.ok for result in results) else NOT_HELD)


def _calls(url: str, script: Script, record: bool, options: dict[str, Any]) -> list[CallResult]:
    import anyio

    from voxray.cli.call_report import progress_shown
    from voxray.testing.conversation import converse_many
    from voxray.testing.voices import clips_of

    async def run() -> list[CallResult]:
        clips = await clips_of(script, tts=options["tts"], voice=options["voice"])
        with progress_shown(options["count"]) as progress:
            return await converse_many(
                url,
                script,
                clips,
                count=options["count"],
                concurrency=options["concurrency"],
                api_key=options["api_key"],
                timeout_secs=options["timeout"],
                record=record,
                progress=progress,
                phone=options["phone"],
            )

    # A hundred callers in one process send 5000 frames a second.
    return anyio.run(run, backend_options={"use_uvloop": find_spec("uvloop") is not None})


def _phone(script: Script, options: dict[str, Any]) -> PhoneLine | None:
    carrier, dial_port = options["carrier"], options["dial_port"]
    if not carrier:
        if options["secret"] or options["public_url"] or dial_port is not None:
            raise click.UsageError("--secret, --public-url and --dial are for phones: say which --carrier")
        return None
    from voxray.testing.carriers import ACCOUNT_ENV, SECRET_ENV, WIRES
    from voxray.testing.phone_line import PhoneLine, unknowable

    if carrier not in WIRES:
        raise click.BadParameter(f'"{carrier}" is none of {", ".join(WIRES)}', param_hint="--carrier")
    if found := unknowable(script):
        raise click.UsageError(f"{', '.join(found)}: a phone carries sound only, no words; leave it out with --carrier")
    if dial_port is not None and options["count"] > 1:
        raise click.UsageError("--dial waits for one call, not for --count")
    secret = options["secret"]
    return PhoneLine(
        carrier=carrier,
        secret=os.environ.get(SECRET_ENV.get(carrier, ""), "") if secret is None else secret,
        public_url=options["public_url"],
        caller=options["caller"],
        callee=options["callee"],
        account_id=os.environ.get(ACCOUNT_ENV.get(carrier, ""), ""),
        dial_port=dial_port,
    )


def _check(url: str, count: int, record: Path | None) -> None:
    from voxray.testing.caller import is_loopback

    try:
        local = is_loopback(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from error
    if count > 1 and not local:
        raise click.UsageError("--count is for agents on this machine: others' servers are not for load tests")
    if record and count > 1 and record.suffix == ".wav":
        raise click.UsageError("--record needs a folder for several calls")


def _script(lines: tuple[str, ...], files: tuple[Path, ...], script_file: Path | None) -> Script:
    from voxray.testing.script import Script, Turn, load_script, spoken

    if sum(map(bool, (lines, files, script_file))) > 1:
        raise click.UsageError("--say, --wav and --script exclude each other; a script can do all of it")
    if script_file:
        return load_script(script_file)
    if files:
        return Script(turns=[Turn(action="wav", value=str(file)) for file in files])
    return spoken(lines or (DEFAULT_LINE,))


def _write(results: list[CallResult], record: Path | None, junit: Path | None, name: str) -> None:
    from voxray.audio.wav import wav_bytes
    from voxray.testing.junit import junit_xml

    for result in results if record else ():
        if result.audio is None or record is None:
            continue
        path = record if record.suffix == ".wav" else record / f"call-{result.number:03d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wav_bytes(result.pcm, result.audio.rate_hz))
        result.recording = str(path)
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_text(junit_xml(results, name=name), encoding="utf-8")
