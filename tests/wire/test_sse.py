"""The decoder of server-sent events, cut in every way."""

from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from voxray.wire.sse import SseDecoder, SseEvent

STREAM = (
    '\ufeff: hello\r\ndata: {"a":\r\ndata: "ü"}\r\n\r\nevent: ping\ndata:x\nid: 3\n\ndata\rdata: y\r\rnoise\n\n'
).encode()
EVENTS = [SseEvent("", '{"a":\n"ü"}'), SseEvent("ping", "x"), SseEvent("", "\ny")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
@settings(max_examples=200, deadline=None)
def test_it_does_not_matter_where_the_stream_is_cut(cuts: list[int]) -> None:
    decoder = SseDecoder()
    edges = [0, *sorted(cuts), len(STREAM)]
    events = [event for a, b in pairwise(edges) for event in decoder.feed(STREAM[a:b])]
    assert events + decoder.finish() == EVENTS


def test_one_byte_at_a_time() -> None:
    decoder = SseDecoder()
    assert [event for byte in STREAM for event in decoder.feed(bytes([byte]))] == EVENTS


def test_an_event_without_its_blank_line_comes_at_the_end() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: last") == []
    assert decoder.finish() == [SseEvent("", "last")]


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 200, b"data: " + b"x" * 60 + b"\ndata: " + b"x" * 60 + b"\n"])
def test_an_event_beyond_the_limit_is_refused(piece: bytes) -> None:
    with pytest.raises(ValueError, match="larger than 100 bytes"):
        SseDecoder(max_bytes=100).feed(piece)


def test_what_is_not_utf8_is_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        SseDecoder().feed(b"data: \xff\n\n")
