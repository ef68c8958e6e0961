"""Multipart form bodies, as far as file uploads need them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)
_NAME = re.compile(r'\bname="([^"]*)"')
_FILENAME = re.compile(r'\bfilename="([^"]*)"')


@dataclass(frozen=True, slots=True)
class FormPart:
    """One field or file of a form."""

    body: bytes
    filename: str = ""
    content_type: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def parse_form(content_type: str, body: bytes) -> dict[str, FormPart]:
    """The parts of a `multipart/form-data` body by name; of equal names the last.

    Raises:
        ValueError: it is no such body.
    """
    found = _BOUNDARY.search(content_type)
    if found is None or "multipart/form-data" not in content_type.lower():
        raise ValueError("not a multipart form")
    parts: dict[str, FormPart] = {}
    for piece in body.split(b"--" + found[1].encode("latin-1"))[1:]:
        if piece.startswith(b"--"):
            return parts
        raw_head, blank, content = piece.partition(b"\r\n\r\n")
        head = raw_head.decode("utf-8", "replace")
        name = _NAME.search(head)
        if not blank or name is None:
            raise ValueError("a part without a name")
        filename = _FILENAME.search(head)
        kind = re.search(r"content-type:\s*(\S+)", head, re.IGNORECASE)
        parts[name[1]] = FormPart(
            content.removesuffix(b"\r\n"), filename[1] if filename else "", kind[1] if kind else ""
        )
    raise ValueError("the form has no end")
