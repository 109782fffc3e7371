from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telic._http import ServerSentEvents
from telic._http._sse import Event


def read(*chunks):
    events = ServerSentEvents()
    found = [event for chunk in chunks for event in events.feed(chunk)]
    return found + events.finish()


def test_names_comments_and_several_data_lines():
    text = b": hello\n\nevent: ping\ndata: a\ndata:b\nid: 7\n\ndata\n\n"
    assert read(text) == [Event(b"ping", b"a\nb"), Event(b"", b"")]


def test_a_last_event_without_its_blank_line_is_given():
    assert read(b"data: 1\n\ndata: 2") == [Event(b"", b"1"), Event(b"", b"2")]


def test_a_byte_order_mark_hides_no_event():
    assert read(b"\xef\xbb\xbfdata: 1\n\ndata: 2\n\n") == [Event(b"", b"1"), Event(b"", b"2")]


def test_one_long_line_in_many_pieces_is_one_event():
    pieces = [b"data: ", *[b"x" * 1000] * 1000, b"\n", b"\n", b"data: 2\r", b"\r"]
    assert read(*pieces) == [Event(b"", b"x" * 1_000_000), Event(b"", b"2")]


EVENTS = [Event(b"", b'{"a": 1}'), Event(b"delta", b"x\ny"), Event(b"", b"[DONE]")]


@given(st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.integers(0, 60), max_size=8))
def test_events_are_the_same_in_whatever_pieces_they_come(end, cuts):
    lines = [b'data: {"a": 1}', b"", b"event: delta", b"data: x", b"data: y", b"", b"data: [DONE]", b"", b""]
    text = end.join(lines)
    points = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    assert read(*(text[a:b] for a, b in zip(points, points[1:], strict=False))) == EVENTS
