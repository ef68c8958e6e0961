"""YAML configurations: plain values with places, and the same limits as JSON."""

from __future__ import annotations

import pytest

from voxray.config.document import parse_document


def lines(text: str) -> list[str]:
    return [str(problem) for problem in parse_document(text.encode(), "c.yaml").problems]


def test_plain_values_read_as_json_has_them() -> None:
    text = "a: 1\nb: 2.5\nc: true\nd: null\ne: none\nf: no\ng: 22:30\nh: '3'\ni: [x, y]\nj: {k: ~}\n"
    document = parse_document(text.encode(), "c.yml")
    assert document.problems == ()
    assert document.data == {
        "a": 1, "b": 2.5, "c": True, "d": None, "e": "none", "f": "no", "g": "22:30", "h": "3", "i": ["x", "y"],
        "j": {"k": None},
    }  # fmt: skip


def test_keys_and_values_know_their_place() -> None:
    document = parse_document(b"a: 1\nb:\n  - x\n  - c: 2\n", "c.yaml")
    assert document.place(("b",), key=True) == (2, 1)
    assert document.place(("b", 1, "c")) == (4, 8)


def test_an_alias_stands_for_its_value() -> None:
    document = parse_document(b"a: &x [1, 2]\nb: *x\n", "c.yaml")
    assert document.data == {"a": [1, 2], "b": [1, 2]}
    assert document.place(("b", 1)) == (2, 4)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", 'c.yaml:2:1  $: duplicate key "a"; it is first in line 1'),
        ("a: .inf\n", "c.yaml:1:4  $.a: .inf is not allowed as a number"),
        ("a: 99999999999999999999\n", "c.yaml:1:4  $.a: 99999999999999999999 is out of range"),
        ("a: *b\n", 'c.yaml:1:4  $.a: "*b" names nothing that is complete here'),
        ("a: &a [*a]\n", 'c.yaml:1:8  $.a[0]: "*a" names nothing that is complete here'),
        ("? [a]\n: 1\n", "c.yaml:1:3  $: a key must be a plain word"),
        ("a: 1\n---\nb: 2\n", "c.yaml:2:1  $: more than one YAML document in the file"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "c.yaml:3:3  $.c: merge keys are not supported; write the keys out"),
    ],
)
def test_a_slip_is_named_with_its_place(text: str, line: str) -> None:
    assert lines(text) == [line]


def test_tags_are_refused_and_nothing_is_made_of_them() -> None:
    assert "is not supported" in lines("a: !!python/object/apply:os.system [x]\n")[0]


def test_broken_yaml_is_named_with_its_place() -> None:
    assert lines("a: [1\nb: 2\n")[0].startswith("c.yaml:2:")
    assert lines("a: \x07\n")[0].startswith("c.yaml:1:")


def test_an_alias_bomb_is_bounded() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 20000 values" in lines("\n".join(levels))[-1]


def test_deep_nesting_is_refused_at_its_place() -> None:
    assert lines("[" * 100_000)[0].startswith("c.yaml:1:65  ")
