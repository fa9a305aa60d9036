"""Events out of bytes: the same whatever the pieces, and those of the rules of server-sent events."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from gigachat._engine.sse import Event, EventSplitter

BOM = b"\xef\xbb\xbf"

# What could be taken for the end of a line and is text: U+2028, U+2029, U+0085, and the controls str.splitlines knows.
LOOK_LIKE_ENDS = ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"]
text = st.one_of(
    st.sampled_from(["[DONE]", "{}", "", " ", "  x", ":", "x:y", *LOOK_LIKE_ENDS]),
    st.text(st.sampled_from(["a", " ", ":", "{", "ж", "\0", *LOOK_LIKE_ENDS]), max_size=6),
).map(str.encode)
fields = st.sampled_from(
    [
        b"data:",
        b"data: ",
        b"data",
        b"event:",
        b"event: ",
        b"event",
        b":",
        b"id: ",
        b"retry:",
        b"Data:",
        b"dataset:",
        b"",
    ]
)
lines = st.tuples(fields, st.one_of(text, st.binary(max_size=4)), st.sampled_from([b"\n", b"\r", b"\r\n"])).map(
    b"".join
)
ends = st.sampled_from([b"\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\r\n\n"])
streams = st.lists(st.one_of(lines, ends, st.binary(max_size=3)), max_size=14).map(b"".join)
bodies = st.one_of(streams, streams.map(BOM.__add__))


def reference(body: bytes, *, ended: bool) -> list[Event]:
    """Read a whole body by the rules, one line after the other."""
    *complete, rest = re.split(rb"\r\n|\n|\r", body.removeprefix(BOM))
    if ended:
        # The end of the body ends the last line and the last event.
        complete += [rest, b""]
    events = []
    name: str | None = None
    data: list[bytes] = []
    for line in complete:
        if not line:
            if data:
                events.append(Event(name, b"\n".join(data)))
            name, data = None, []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"event":
            name = value.decode("utf-8", "replace") or None
        if field == b"data":
            data.append(value)
            if data == [b"[DONE]"]:
                events.append(Event(name, b"[DONE]"))  # needs no empty line
                data = []
    return events


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(body) + 1) for cut in cuts})
    return [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]


def read(pieces: list[bytes]) -> list[Event]:
    splitter = EventSplitter()
    return [event for piece in pieces for event in splitter.feed(piece)] + splitter.finish()


@given(bodies, st.lists(st.integers(0, 1000), max_size=8))
@example(b"data: a\r\ndata: b\r\n\r\n", [8])
@example(b"data: a\r\n\r\n", [8, 9, 10])
@example(BOM + b"data: a\n\n", [1, 2])
@example("data: ж\u2028\u2029\u0085\n\n".encode(), [7, 9, 12])
def test_pieces_do_not_matter(body: bytes, cuts: list[int]) -> None:
    assert read(pieces_of(body, cuts)) == read([body])


@given(bodies)
def test_single_bytes_are_enough(body: bytes) -> None:
    assert read([body[place : place + 1] for place in range(len(body))]) == read([body])


@given(bodies)
@example(b"data: a\ndata:b\n\n")
@example(b"event: x\n\ndata: a\n\n")
@example(b": data: a\n\n:\n\n")
@example(b"data: [DONE]")
@example(b"data: x\ndata: [DONE]\n\n")
@example(b"data\n\n")
@example(b"event: x\nevent\ndata: a\n\n")
def test_events_are_those_of_the_rules(body: bytes) -> None:
    assert read([body]) == reference(body, ended=True)


@given(bodies, st.lists(st.integers(0, 1000), min_size=1, max_size=4))
@example(b"data: a\n\ndata: [DONE]\n", [9, 21])
@example(b"data: a\r\rdata: b\r", [9])
def test_an_event_is_there_with_its_last_byte(body: bytes, cuts: list[int]) -> None:
    # Who waits for a stream waits for no byte more than needed.
    splitter = EventSplitter()
    seen = b""
    events: list[Event] = []
    for piece in pieces_of(body, cuts):
        seen += piece
        events += splitter.feed(piece)
        if BOM.startswith(seen[:3]) and len(seen) < 3:
            continue  # could still be a byte order mark
        assert events == reference(seen, ended=False)
