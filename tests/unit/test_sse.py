"""Server-sent events: each rule of the splitter once; any other split of the same bytes is in the property tests."""

from __future__ import annotations

import pytest

from gigachat._engine.sse import Event, EventSplitter

BOM = b"\xef\xbb\xbf"


def read(*pieces: bytes) -> list[Event]:
    splitter = EventSplitter()
    return [event for piece in pieces for event in splitter.feed(piece)] + splitter.finish()


def data(*texts: bytes) -> list[Event]:
    return [Event(None, text) for text in texts]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_line_ends_in_three_ways(end: bytes) -> None:
    assert read(end.join([b"data: a", b"", b"data: b", b"", b""])) == data(b"a", b"b")


@pytest.mark.parametrize("letter", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_a_line_ends_in_no_other_way(letter: str) -> None:
    text = f'{{"text":"before{letter}after"}}'.encode()
    assert read(b"data: " + text + b"\n\n") == data(text)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\ndata:\ndata: b\n\n", b"a\n\nb"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"data\ndata\n\n", b"\n"),
        (b"data: a: b\n\n", b"a: b"),
        (b"data: a\nid: 7\nretry: 10\nunknown: x\n\n", b"a"),
        (b": comment\ndata: a\n:\n\n", b"a"),
        (BOM + b"data: a\n\n", b"a"),
    ],
)
def test_the_data_of_an_event(body: bytes, expected: bytes) -> None:
    assert read(body) == data(expected)


@pytest.mark.parametrize(
    "body", [b"", b"\n\n\n", b": comment\n\n", b"event: ping\n\n", b"id: 1\n\n", BOM, b"DATA: a\n\n"]
)
def test_an_event_without_data_is_none(body: bytes) -> None:
    assert read(body) == []


def test_a_name_belongs_to_one_event() -> None:
    body = b"event: response.message.delta\ndata: a\n\ndata: b\n\nevent:c\ndata: c\n\nevent: lost\n\ndata: d\n\n"
    assert read(body) == [Event("response.message.delta", b"a"), Event(None, b"b"), Event("c", b"c"), Event(None, b"d")]


def test_a_byte_order_mark_is_one_at_the_very_beginning_only() -> None:
    assert read(b"data: a\n\n" + BOM + b"data: b\n\n") == data(b"a")
    assert read(BOM[:1], BOM[1:], b"data: a\n\n") == data(b"a")


def test_the_lf_of_a_crlf_may_come_later() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == data(b"a")
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"data: b\r") == []
    assert splitter.feed(b"\ndata: c\r\n") == []
    assert splitter.feed(b"\r\n") == data(b"b\nc")


@pytest.mark.parametrize("mark", [b"data: [DONE]\n", b"data:[DONE]\r", b"data: [DONE]\r\n"])
def test_the_end_mark_needs_no_empty_line(mark: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\n" + mark) == data(b"a", b"[DONE]")
    assert splitter.feed(b"\n") == []
    assert splitter.finish() == []


@pytest.mark.parametrize("body", [b"data: x\ndata: [DONE]\n\n", b"data: [DONE] \n\n", b'data: "[DONE]"\n\n'])
def test_text_that_holds_the_end_mark_is_text(body: bytes) -> None:
    (event,) = read(body)
    assert event.data != b"[DONE]"


@pytest.mark.parametrize("body", [b"data: a", b"data: a\n", b"data: a\r", b"data: a\n\n"])
def test_the_end_of_the_body_ends_the_last_event(body: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(body) + splitter.finish() == data(b"a")
    assert splitter.finish() == []


def test_an_event_comes_with_the_piece_that_completes_it() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n") == []
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\ndata: b\n\nda") == data(b"a", b"b")
    assert splitter.feed(b"ta: c\n") == []
    assert splitter.feed(b"\n") == data(b"c")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_pieces_of_whole_events(end: bytes) -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a" + end + end) + splitter.feed(b"data: b\n\n") == data(b"a", b"b")
    assert splitter.feed(end.join([b"data: c", b"", b"data: d", b"", b""])) == data(b"c", b"d")
    assert splitter.feed(b"data: e" + end + b"data: f\n\n") == data(b"e\nf")


def test_a_name_without_a_value_is_none() -> None:
    assert read(b"event: a\nevent\ndata: x\n\n", b"event: a\nevent:\ndata: y\n\n") == data(b"x", b"y")


def test_a_long_line_in_many_pieces_is_put_together_once() -> None:
    pieces = [b"data: ", *[b"x" * 100] * 10_000, b"\n", b"\n"]
    assert read(*pieces) == data(b"x" * 1_000_000)


def test_a_name_that_is_not_utf8_does_no_harm() -> None:
    assert read(b"event: \xff\ndata: a\n\n") == [Event("\ufffd", b"a")]
