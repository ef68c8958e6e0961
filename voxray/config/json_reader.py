"""A strict JSON reader that knows where everything is and explains what is wrong.

Common slips (a comment, a trailing comma, single quotes, `True`) are reported and read over, so that one run shows all
problems of a file; what cannot be read over ends the reading.
"""

from __future__ import annotations

import re
from typing import Any

from voxray.config.document import MAX_DEPTH, MAX_INTEGER, Findings, Lines
from voxray.config.problems import Path, quote

_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_SIMPLE_STRING = re.compile(r'"([^"\\\x00-\x1f]*)"')
_STRING_PART = re.compile(r'[^"\\\x00-\x1f]+')
_SINGLE_QUOTED = re.compile(r"'([^'\n]*)'")
_WORD = re.compile(r"[^\s,:\[\]{}\"'/#]+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_FOREIGN = {"True": "true", "False": "false", "None": "null", "undefined": "null", "TRUE": "true", "FALSE": "false"}
_LONGEST_NUMBER = 400


class JsonReader:
    """Reads one text once."""

    def __init__(self, text: str, found: Findings) -> None:
        self._text = text
        self._found = found
        self._lines = Lines(text)
        self._at = 0

    def read(self) -> Any:
        """The value in the text. Raises StopReadingError after noting why."""
        self._skip(())
        if self._at >= len(self._text):
            raise self._stop((), "the file is empty", "syntax", 'the least that is valid is "{}"')
        value = self._value((), 0)
        self._skip(())
        if self._at < len(self._text):
            raise self._stop((), f"unexpected {self._here()} after the end of the configuration", "syntax")
        return value

    def _value(self, path: Path, depth: int) -> Any:
        start = self._at
        self._found.values[path] = self._lines.place(start)
        char = self._text[start : start + 1]
        if char in ("{", "["):
            if depth >= MAX_DEPTH:
                raise self._stop(path[:4], f"nested more than {MAX_DEPTH} levels deep", "nesting")
            return self._object(path, depth + 1) if char == "{" else self._array(path, depth + 1)
        if char == '"':
            return self._string(path)
        if char == "'":
            return self._single_quoted(path)
        if not char:
            raise self._stop(path, "the file ends where a value is expected", "syntax")
        word = _WORD.match(self._text, start)
        if word is None:
            raise self._stop(path, f"expected a value, found {self._here()}", "syntax")
        self._at = word.end()
        return self._word(word[0], path, start)

    def _word(self, word: str, path: Path, start: int) -> Any:
        if word in _WORDS:
            return _WORDS[word]
        number = _NUMBER.fullmatch(word)
        if number is not None and len(word) <= _LONGEST_NUMBER:
            if number[1] is None and number[2] is None:
                value: float = int(word)
            else:
                value = float(word)
            if abs(value) <= MAX_INTEGER or ((number[1] or number[2]) and abs(value) < 1e308):
                return value
        self._found.suspect.add(path)
        if number is not None:
            self._note(path, start, f"{quote(word)[1:-1]} is out of range", "number")
        elif word.lstrip("+-") in ("NaN", "Infinity", "nan", "inf", "Inf"):
            self._note(path, start, f"{word} is not a JSON number", "number")
        elif word in _FOREIGN:
            self._note(path, start, f"{word} is not JSON", "syntax", f"write {_FOREIGN[word]}")
        elif word[0] in "+-.0123456789":
            self._note(path, start, f"{quote(word)[1:-1]} is not a JSON number", "number")
        else:
            self._note(path, start, f"{quote(word)} needs double quotes", "syntax")
        return None

    def _object(self, path: Path, depth: int) -> dict[str, Any]:
        opened = self._at
        result: dict[str, Any] = {}
        self._at += 1
        self._skip(path)
        while not self._take("}"):
            start = self._at
            key = self._key(path, opened)
            inner = (*path, key)
            if key in result:
                line = self._found.keys[inner][0]
                self._note(path, start, f"duplicate key {quote(key)}", "duplicate-key", f"it is first in line {line}")
            else:
                self._found.keys[inner] = self._lines.place(start)
            self._skip(path)
            if not self._take(":"):
                raise self._stop(inner, f'expected ":" after the key, found {self._here()}', "syntax")
            self._skip(inner)
            result[key] = self._value(inner, depth)
            self._separator(path, opened, "}")
        return result

    def _array(self, path: Path, depth: int) -> list[Any]:
        opened = self._at
        result: list[Any] = []
        self._at += 1
        self._skip(path)
        while not self._take("]"):
            result.append(self._value((*path, len(result)), depth))
            self._separator(path, opened, "]")
        return result

    def _key(self, path: Path, opened: int) -> str:
        char = self._text[self._at : self._at + 1]
        if char == '"':
            return self._string(path)
        if char == "'":
            return self._single_quoted(path)
        word = _WORD.match(self._text, self._at)
        if word is None:
            if not char:
                raise self._unclosed(path, opened, "object")
            raise self._stop(path, f"expected a key in double quotes, found {self._here()}", "syntax")
        self._note(path, self._at, f"the key {quote(word[0])} needs double quotes", "syntax")
        self._at = word.end()
        return word[0]

    def _separator(self, path: Path, opened: int, close: str) -> None:
        """Go past the comma, if one is due; stay before `close`."""
        self._skip(path)
        comma = self._at
        if self._take(","):
            self._skip(path)
            if self._text.startswith(close, self._at):
                self._note(path, comma, f'comma before the closing "{close}"', "trailing-comma", "remove it")
            return
        if self._text.startswith(close, self._at):
            return
        kind = "object" if close == "}" else "list"
        if self._at >= len(self._text):
            raise self._unclosed(path, opened, kind)
        if self._text[self._at] in "]}:,":
            raise self._stop(path, f'expected "," or "{close}", found {self._here()}', "syntax")
        self._note(path, self._at, f'missing "," before {self._here()}', "missing-comma")

    def _string(self, path: Path) -> str:
        start = self._at
        simple = _SIMPLE_STRING.match(self._text, start)
        if simple is not None:
            self._at = simple.end()
            return simple[1]
        parts: list[str] = []
        self._at += 1
        while not self._take('"'):
            part = _STRING_PART.match(self._text, self._at)
            if part is not None:
                parts.append(part[0])
                self._at = part.end()
                continue
            char = self._text[self._at : self._at + 1]
            if char == "\\":
                parts.append(self._escape(path))
            elif char in ("", "\n", "\r"):
                self._at = start
                raise self._stop(path, "this string has no closing quote in its line", "syntax")
            else:
                self._note(path, self._at, f"control character U+{ord(char):04X} in a string", "syntax", "escape it")
                self._at += 1
        return "".join(parts)

    def _escape(self, path: Path) -> str:
        start = self._at
        char = self._text[start + 1 : start + 2]
        self._at += 2
        if char in _ESCAPES:
            return _ESCAPES[char]
        code = self._hex4(start + 2) if char == "u" else None
        if code is None:
            self._note(path, start, f"{quote(chr(92) + char)[1:-1]} is not an escape of JSON", "syntax")
            return ""
        self._at += 4
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)
        low = self._hex4(self._at + 2) if self._text.startswith("\\u", self._at) else None
        if code < 0xDC00 and low is not None and 0xDC00 <= low <= 0xDFFF:
            self._at += 6
            return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00))
        self._note(path, start, f"\\u{code:04x} is half of a surrogate pair", "unicode")
        return "\ufffd"

    def _hex4(self, start: int) -> int | None:
        digits = self._text[start : start + 4]
        return int(digits, 16) if re.fullmatch(r"[0-9a-fA-F]{4}", digits) else None

    def _single_quoted(self, path: Path) -> str:
        match = _SINGLE_QUOTED.match(self._text, self._at)
        if match is None:
            raise self._stop(path, "this string has no closing quote in its line", "syntax")
        self._note(path, self._at, "single quotes are not JSON", "syntax", "use double quotes")
        self._at = match.end()
        return match[1]

    def _skip(self, path: Path) -> None:
        """Go past white space and, complaining, past comments."""
        while True:
            space = _SPACE.match(self._text, self._at)
            self._at = space.end() if space else self._at
            comment = _COMMENT.match(self._text, self._at)
            if comment is None:
                return
            self._note(
                path, self._at, "JSON has no comments", "comment", 'use a key such as "_comment", or a .yaml file'
            )
            self._at = comment.end()

    def _take(self, char: str) -> bool:
        taken = self._text.startswith(char, self._at)
        self._at += taken
        return taken

    def _here(self) -> str:
        char = self._text[self._at : self._at + 1]
        if not char:
            return "the end of the file"
        return f"'{char}'" if char.isprintable() and not char.isspace() else f"the character U+{ord(char):04X}"

    def _unclosed(self, path: Path, opened: int, kind: str) -> Exception:
        line, column = self._lines.place(opened)
        return self._stop(path, f"the file ends inside the {kind} that begins at {line}:{column}", "syntax")

    def _note(self, path: Path, offset: int, message: str, rule: str, remedy: str = "") -> None:
        self._found.add(path, self._lines.place(offset), message, rule, remedy)

    def _stop(self, path: Path, message: str, rule: str, remedy: str = "") -> Exception:
        return self._found.stop(path, self._lines.place(self._at), message, rule, remedy)
