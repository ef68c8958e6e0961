"""Broken JSON gets a line, a column and a cause."""

from __future__ import annotations

import json

import pytest

from voxray.config.document import MAX_BYTES, parse_document


def lines(text: str | bytes) -> list[str]:
    raw = text if isinstance(text, bytes) else text.encode()
    return [str(problem) for problem in parse_document(raw, "c.json").problems]


def test_good_json_reads_as_the_standard_library_reads_it() -> None:
    text = '{"a": [1, -2.5e3, true, null, "\\u00e9\\n\\ud83d\\ude00"], "b": {"c": {}}, "d": []}'
    document = parse_document(text.encode(), "c.json")
    assert document.problems == ()
    assert document.data == json.loads(text)


def test_keys_and_values_know_their_place() -> None:
    document = parse_document(b'{\n  "a": [1,\n    {"b": 2}]\n}', "c.json")
    assert document.place(("a",), key=True) == (2, 3)
    assert document.place(("a",)) == (2, 8)
    assert document.place(("a", 1, "b")) == (3, 11)
    assert document.place(("a", 1, "missing")) == (3, 5)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{\n  "a": 1,\n}', 'c.json:2:9  $: comma before the closing "}"; remove it'),
        ('{"a": [1, 2,]}', 'c.json:1:12  $.a: comma before the closing "]"; remove it'),
        ('{"a": 1, "a": 2}', 'c.json:1:10  $: duplicate key "a"; it is first in line 1'),
        ('{"a": 1 "b": 2}', 'c.json:1:9  $: missing "," before \'"\''),
        ('{"a": 1} // x', 'c.json:1:10  $: JSON has no comments; use a key such as "_comment", or a .yaml file'),
        ('{/* x */"a": 1}', 'c.json:1:2  $: JSON has no comments; use a key such as "_comment", or a .yaml file'),
        ("{'a': 1}", "c.json:1:2  $: single quotes are not JSON; use double quotes"),
        ("{a: 1}", 'c.json:1:2  $: the key "a" needs double quotes'),
        ('{"a": True}', "c.json:1:7  $.a: True is not JSON; write true"),
        ('{"a": NaN}', "c.json:1:7  $.a: NaN is not a JSON number"),
        ('{"a": -Infinity}', "c.json:1:7  $.a: -Infinity is not a JSON number"),
        ('{"a": 1e999}', "c.json:1:7  $.a: 1e999 is out of range"),
        ('{"a": 99999999999999999999}', "c.json:1:7  $.a: 99999999999999999999 is out of range"),
        ('{"a": 007}', "c.json:1:7  $.a: 007 is not a JSON number"),
        ('{"a": hello}', 'c.json:1:7  $.a: "hello" needs double quotes'),
        ('{"a": "\\ud800"}', "c.json:1:8  $.a: \\ud800 is half of a surrogate pair"),
        ('{"a": "\\q"}', "c.json:1:8  $.a: \\\\q is not an escape of JSON"),
        ('{"a": "x\ty"}', "c.json:1:9  $.a: control character U+0009 in a string; escape it"),
        ('{"a": "x\n"}', "c.json:1:7  $.a: this string has no closing quote in its line"),
        ('{"a" 1}', "c.json:1:6  $.a: expected \":\" after the key, found '1'"),
        ('{"a": }', "c.json:1:7  $.a: expected a value, found '}'"),
        ('{"a": [1}', 'c.json:1:9  $.a: expected "," or "]", found \'}\''),
        ('{"a": 1', "c.json:1:8  $: the file ends inside the object that begins at 1:1"),
        ('{"a": 1} x', "c.json:1:10  $: unexpected 'x' after the end of the configuration"),
        ("", 'c.json:1:1  $: the file is empty; the least that is valid is "{}"'),
        ('{"a":\u00a01}', "c.json:1:6  $.a: expected a value, found the character U+00A0"),
    ],
)
def test_a_slip_is_named_with_its_place(text: str, line: str) -> None:
    assert lines(text) == [line]


def test_reading_goes_on_after_a_slip() -> None:
    assert len(lines("{\"a\": 1,, 'b': 2}")) == 1
    assert len(lines('{\'a\': True, "b": [1,], // x\n "c": NaN,}')) == 6


def test_a_byte_order_mark_is_a_warning() -> None:
    problems = parse_document(b'\xef\xbb\xbf{"a": 1}', "c.json").problems
    assert [(problem.severity, problem.rule) for problem in problems] == [("warning", "byte-order-mark")]


def test_bytes_that_are_not_utf_8_are_named_with_their_place() -> None:
    assert lines(b'{\n "a": "\xc3\xa9\xff"}') == [
        "c.json:2:9  $: byte 0xff is not UTF-8; save the file as UTF-8",
    ]
    assert "UTF-16" in lines('{"a": 1}'.encode("utf-16"))[0]


def test_deep_nesting_is_refused_at_its_place() -> None:
    assert lines("[" * 100_000)[0].startswith("c.json:1:65  $[0][0][0][0]: nested more than 64 levels deep")
    assert lines('{"a":' * 100_000)[0].startswith("c.json:1:321  ")


def test_a_huge_file_is_refused() -> None:
    assert lines(b" " * (MAX_BYTES + 1)) == [f"c.json:1:1  $: the file is larger than {MAX_BYTES} bytes"]


def test_a_file_full_of_slips_does_not_print_a_thousand_lines() -> None:
    assert len(lines("[" + "'x'," * 10_000 + "1]")) == 100
