"""Log lines, as text for people or as JSON for machines.

A record is one line whatever it contains. Values that are secrets, or are called like secrets, are replaced. What
people said travels only in the extra `pii` and is printed only at level debug.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from voxray import log_context

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FIRST = ("session_id", "request_id", "transport", "stage", "duration_ms")  # in this order, before other extras
OWN = ("time", "level", "msg", "logger", "error", "pii")  # an extra of such a name gets an underscore
HIDDEN = "***"
# Names that hold secrets; "token" alone would hide counts of tokens, which are no secret.
SECRET_WORDS = (
    "api_key",
    "apikey",
    "secret",
    "password",
    "passwd",
    "authorization",
    "credential",
    "private_key",
    "cookie",
)
SECRET_ENDS = ("_token", "_key", "-key", "-token")
SECRET_NAMES = ("token", "key", "auth", "bearer")
MAX_DEPTH = 6

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send the log of the whole program to one place: JSON to stdout, text to stderr, or either to `stream`.

    `level` is one of `LEVELS`. Replaces what was configured before.
    """
    handler = logging.StreamHandler(stream or (sys.stdout if as_json else sys.stderr))
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    # Their own debug lines repeat every frame and request, payloads included.
    for noisy in ("httpcore", "httpx", "hpack", "openai", "anthropic", "websockets", "hypercorn", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, LEVELS[level]))


class JsonFormatter(logging.Formatter):
    """One JSON object for each record: time, level, msg, logger, then the context and the extras."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": rfc3339(record.created),
            "level": level_name(record.levelno),
            "msg": record.getMessage(),
            "logger": record.name,
            **dict(fields(record)),
        }
        if record.exc_info:
            line["error"] = _exception(record)
        return json.dumps(line, ensure_ascii=False, default=str).translate(_LINE_BREAKS_IN_JSON)


class TextFormatter(logging.Formatter):
    """`time LEVEL msg key=value …`; values with blanks or control characters are quoted as in JSON."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [rfc3339(record.created), level_name(record.levelno).upper().ljust(5), _escaped(record.getMessage())]
        parts += [f"{_escaped(key)}={_value(value)}" for key, value in fields(record)]
        if record.exc_info:
            parts.append(f"error={_value(_exception(record))}")
        return " ".join(parts)


def fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    """The context of the running call and the record's extras, secrets replaced."""
    extras = {key: value for key, value in vars(record).items() if key not in _STANDARD and not key.startswith("_")}
    context = {"session_id": log_context.session_id.get(), "request_id": log_context.request_id.get()}
    extras = {key: value for key, value in context.items() if value} | extras
    pii = extras.pop("pii", None)
    for key in [*(key for key in FIRST if key in extras), *(key for key in extras if key not in FIRST)]:
        yield f"{key}_" if key in OWN else key, safe(key, extras[key])
    if pii is not None and logging.getLogger().isEnabledFor(logging.DEBUG) and record.levelno <= logging.DEBUG:
        yield "pii", safe("pii", pii)


def safe(key: str, value: Any, depth: int = 0) -> Any:
    """`value` fit for a log: secrets replaced, however deep they sit."""
    if is_secret(key, value):
        return HIDDEN
    if depth >= MAX_DEPTH:
        return str(type(value).__name__)
    if isinstance(value, Mapping):
        return {str(name): safe(str(name), inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [safe("", inner, depth + 1) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def is_secret(key: str, value: Any) -> bool:
    name = key.lower()
    if type(value).__name__ == "SecretValue":
        return True
    if value is None or isinstance(value, bool | int | float):
        return False
    return (
        any(word in name for word in SECRET_WORDS) or name.endswith(SECRET_ENDS) or name in SECRET_NAMES
    ) and not name.endswith("idempotency_key")


def level_name(number: int) -> str:
    """The highest of our four levels that is not above `number`."""
    return next((name for name, level in reversed(LEVELS.items()) if number >= level), "debug")


def rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _exception(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)).rstrip() if record.exc_info else ""


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, str) and (not text or any(letter in ' "=' or not letter.isprintable() for letter in text)):
        return json.dumps(text, ensure_ascii=False).translate(_LINE_BREAKS_IN_JSON)
    return text.translate(_LINE_BREAKS_IN_JSON)


def _escaped(text: str) -> str:
    """`text` on one line, control characters spelt out: a caller cannot write lines of their own into the log."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


# JSON lets these pass unescaped, and terminals and log readers break or obey them.
_LINE_BREAKS_IN_JSON = {code: f"\\u{code:04x}" for code in (0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)}
