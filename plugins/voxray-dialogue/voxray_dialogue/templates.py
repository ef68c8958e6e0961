"""What is said and sent: text with `{slot}`, `{result.field}` and `{help}` in it.

`{nights:night,nights}` adds the word for one or for many, `{code:digits}` reads out digit by digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_FIELD = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill in the fields; unknown ones become nothing, spaces are tidied."""
    text = _FIELD.sub(lambda found: _show(_look_up(found[1].strip(), values), found[2] or ""), template)
    return re.sub(r"\s+([.,!?])", r"\1", " ".join(text.split()))


def value_of(template: Any, values: Mapping[str, Any]) -> Any:
    """Like `render`, but a template that is just one field keeps the value's type, and an unknown field is None."""
    if not isinstance(template, str):
        return template
    alone = _FIELD.fullmatch(template.strip())
    return _look_up(alone[1].strip(), values) if alone and not alone[2] else render(template, values)


def field_names(template: str) -> Iterator[str]:
    """The names a template mentions: "nights", "result.code"."""
    for found in _FIELD.finditer(template):
        yield found[1].strip()


def look_up(path: str, values: Mapping[str, Any]) -> Any:
    return _look_up(path, values)


def _look_up(path: str, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _show(value: Any, how: str) -> str:
    if value is None:
        return ""
    if how == "digits":
        return " ".join(str(value))
    if "," in how:
        one, many = (word.strip() for word in how.split(",", 1))
        return f"{value} {one if value in (1, '1') else many}"
    return str(value)
