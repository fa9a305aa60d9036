"""What can go wrong between a request and its answer, in a table: what the server does, and what kind of end that is.

The kinds are few; the rules are written for them. Nothing here knows the client.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto

from tests.faults.operations import Operation
from tests.support.payloads import chunked, head, http, payload
from tests.support.servers import Act, Peer, Received, cuts, hangs, says

__all__ = ["FAULTS", "WORDS", "Ends", "Fault", "status_answer"]

WORDS = "Слова сервера"


class Ends(Enum):
    """How a request ends."""

    GOOD = auto()
    """The good answer arrives all the same."""
    REFUSED = auto()
    """No connection: the service cannot have received the request."""
    LOST = auto()
    """No answer: the service may have received the request."""
    BROKEN = auto()
    """An answer of a good status begins and is not whole."""
    SHORT = auto()
    """An answer ends in order, but too early."""
    STATUS = auto()
    """An answer of a bad status."""
    UNREADABLE = auto()
    """A whole answer of a good status that is something else."""
    GARBLED = auto()
    """An answer of a good status whose compression is none."""


@dataclass(frozen=True)
class Fault:
    """One row of the table.

    Attributes:
        name: For the reader.
        ends: How a request ends that meets it.
        act: What the server does with a request of an operation.
        part: What of a stream's body arrives, for ends that break a stream off.
        status: Status of the answer.
        words: What the error's text must repeat of the answer.
        wait: Seconds the answer asks to wait; 0 where it asks nothing that can be understood.
        silent: Whether it is silence that the caller must break off.
        greeting: What the server does with the connection before it reads a request.
    """

    name: str
    ends: Ends
    act: Callable[[Operation], Act]
    part: Callable[[Operation], bytes] = lambda operation: b""
    status: int = 200
    words: str = ""
    wait: float = 0.0
    silent: bool = False
    greeting: Callable[[Peer], None] | None = None

    def __str__(self) -> str:
        return self.name


Answer = Callable[[Operation], bytes]


def _say(answer: Answer) -> Callable[[Operation], Act]:
    return lambda operation: says(answer(operation))


def _cut(answer: Answer) -> Callable[[Operation], Act]:
    return lambda operation: cuts(answer(operation))


def _hang(answer: Answer) -> Callable[[Operation], Act]:
    return lambda operation: hangs(answer(operation))


def _always(answer: bytes) -> Answer:
    return lambda operation: answer


_nothing = _always(b"")


def _no_act(_: Operation) -> Act:
    return lambda peer, _: None


def _reset(_: Operation) -> Act:
    return lambda peer, _: peer.reset()


def _reset_early(peer: Peer) -> None:
    peer.receive()
    peer.reset()


def _drip(operation: Operation) -> Act:
    def act(peer: Peer, _: Received) -> None:
        answer = operation.good_answer
        for index in range(len(answer)):
            peer.send(answer[index : index + 1])
            if index % 16 == 0:
                time.sleep(0.0005)  # so that pieces are not put together again

    return act


# Connections.


def _connections() -> Iterator[Fault]:
    yield Fault("refused", Ends.REFUSED, _no_act)
    yield Fault("reset-before-the-request", Ends.LOST, _no_act, greeting=_reset_early)
    yield Fault("reset-after-the-request", Ends.LOST, _reset)
    yield Fault("closed-without-an-answer", Ends.LOST, _cut(_nothing))
    yield Fault("silence", Ends.LOST, _hang(_nothing), silent=True)
    yield Fault("silence-in-the-head", Ends.LOST, _hang(lambda _: b"HTTP/1.1 200 OK\r\nContent-"), silent=True)
    yield Fault("silence-after-the-head", Ends.BROKEN, _hang(_only_head), silent=True)
    yield Fault("silence-in-the-body", Ends.BROKEN, _hang(_beginning(0.5)), _part(0.5), silent=True)
    yield Fault("slow-drip", Ends.GOOD, _drip)


def _only_head(operation: Operation) -> bytes:
    return _head_of(operation.good_answer)


def _head_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _beginning(share: float) -> Answer:
    """The head of a good answer and so much of its body."""

    def answer(operation: Operation) -> bytes:
        length = len(_only_head(operation))
        return operation.good_answer[: length + int((len(operation.good_answer) - length) * share)]

    return answer


def _part(share: float) -> Answer:
    answer = _beginning(share)
    return lambda operation: payload(answer(operation))


# Answers cut off.


def _cuts() -> Iterator[Fault]:
    def first(count: int) -> Answer:
        return lambda operation: operation.good_answer[:count]

    yield Fault("cut-in-the-status", Ends.LOST, _cut(first(7)))
    yield Fault("cut-behind-the-status", Ends.LOST, _cut(first(len("HTTP/1.1 200 Said\r\n"))))
    yield Fault("cut-in-the-headers", Ends.LOST, _cut(first(40)))
    yield Fault("cut-before-the-body", Ends.BROKEN, _cut(_only_head))

    def one_more(operation: Operation) -> bytes:
        return operation.good_answer[: len(_only_head(operation)) + 1]

    def last_byte(operation: Operation) -> bytes:
        return operation.good_answer[:-1]

    yield Fault("cut-in-the-first-byte", Ends.BROKEN, _cut(one_more))
    for share in (0.3, 0.6, 0.9):
        yield Fault(f"cut-at-{share:.0%}", Ends.BROKEN, _cut(_beginning(share)), _part(share))
    yield Fault("cut-in-the-last-byte", Ends.BROKEN, _cut(last_byte), lambda op: payload(last_byte(op)))


# Lengths and chunks that lie.


def _framings() -> Iterator[Fault]:
    def typed(operation: Operation, *headers: tuple[str, str | int]) -> bytes:
        return head(200, ("Content-Type", operation.content_type), *headers)

    def long(operation: Operation) -> bytes:
        return typed(operation, ("Content-Length", len(operation.answer) + 9)) + operation.answer

    def half(operation: Operation) -> bytes:
        return operation.answer[: len(operation.answer) // 2]

    def short(operation: Operation) -> bytes:
        return typed(operation, ("Content-Length", len(half(operation)))) + half(operation)

    def shorter_than_said(operation: Operation) -> bytes:
        return typed(operation, ("Content-Length", len(half(operation)))) + operation.answer

    def pieces(*sizes: str) -> Answer:
        def answer(operation: Operation) -> bytes:
            begun = chunked([half(operation)], content_type=operation.content_type, whole=False)
            return begun + b"".join(size.encode() + b"\r\nabc\r\n" for size in sizes)

        return answer

    yield Fault("longer-than-said", Ends.SHORT, _say(shorter_than_said), half)
    yield Fault("shorter-than-said", Ends.BROKEN, _cut(long), lambda operation: operation.answer)
    yield Fault("silent-and-shorter-than-said", Ends.BROKEN, _hang(long), lambda op: op.answer, silent=True)
    yield Fault("ends-too-early", Ends.SHORT, _say(short), half)
    for size in ("zz", "-3", "3;" + "x" * 200_000, "1" * 30):
        yield Fault(f"chunk-of-{size[:6]}", Ends.BROKEN, _cut(pieces(size)), half)
    yield Fault("chunk-cut", Ends.BROKEN, _cut(pieces("ffff")), half)

    def lengths(*values: str | int) -> Answer:
        return lambda operation: typed(operation, *(("Content-Length", value) for value in values)) + operation.answer

    yield Fault("length-of-minus-one", Ends.LOST, _cut(lengths(-1)))
    yield Fault("length-of-nonsense", Ends.LOST, _cut(lengths("many")))
    yield Fault("two-lengths", Ends.LOST, _cut(lengths(3, 4)))
    yield Fault("no-http", Ends.LOST, _cut(lambda _: b"SSH-2.0-OpenSSH_9.6\r\n"))
    yield Fault("endless-headers", Ends.LOST, _cut(lambda _: b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 40_000))

    def until_the_end(operation: Operation) -> bytes:
        return typed(operation) + operation.answer

    def old(operation: Operation) -> bytes:
        return until_the_end(operation).replace(b"HTTP/1.1", b"HTTP/1.0", 1)

    yield Fault("no-length", Ends.GOOD, _cut(until_the_end))
    yield Fault("http-1.0", Ends.GOOD, _cut(old))
    yield Fault(
        "answered-twice", Ends.GOOD, _say(lambda operation: operation.good_answer + http(b'{"not": "asked for"}'))
    )

    def with_trailers(operation: Operation) -> bytes:
        answer = chunked([operation.answer], content_type=operation.content_type, whole=False)
        return answer + b"0;why=not\r\nX-Trailer: yes\r\n\r\n"

    yield Fault("chunks-with-trailers", Ends.GOOD, _say(with_trailers))

    def bytewise(operation: Operation) -> bytes:
        single = [operation.answer[index : index + 1] for index in range(len(operation.answer))]
        return chunked(single, content_type=operation.content_type)

    yield Fault("one-byte-a-chunk", Ends.GOOD, _say(bytewise))

    def hinted(hint: bytes) -> Answer:
        return lambda operation: b"HTTP/1.1 " + hint + b"\r\nLink: </a>\r\n\r\n" + operation.good_answer

    yield Fault("100-first", Ends.GOOD, _say(hinted(b"100 Continue")))
    yield Fault("103-first", Ends.GOOD, _say(hinted(b"103 Early Hints")))
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"
    yield Fault("101", Ends.LOST, _cut(lambda _: switching))

    def closing(operation: Operation) -> bytes:
        return operation.good_answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    yield Fault("goodbye", Ends.GOOD, _cut(closing))


# Compression.


def _compressions() -> Iterator[Fault]:
    def encoded(body: Callable[[bytes], bytes]) -> Answer:
        def answer(operation: Operation) -> bytes:
            encoding = ("Content-Encoding", "gzip")
            return http(body(operation.answer), encoding, content_type=operation.content_type)

        return answer

    def corrupt(body: bytes) -> bytes:
        packed = bytearray(gzip.compress(body))
        packed[-6] ^= 0xFF  # of the check sum
        return bytes(packed)

    def cut(operation: Operation) -> bytes:
        return _head_of(encoded(gzip.compress)(operation)) + gzip.compress(operation.answer)[:9]

    yield Fault("gzip", Ends.GOOD, _say(encoded(gzip.compress)))
    yield Fault("gzip-that-is-none", Ends.GARBLED, _say(encoded(lambda body: body)))
    yield Fault("gzip-with-a-wrong-sum", Ends.GARBLED, _say(encoded(corrupt)))
    yield Fault("gzip-cut", Ends.BROKEN, _cut(cut))


# Bad statuses.

_STATUSES = (400, 402, 403, 404, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504, 401, 418, 599)


def status_answer(status: int, *headers: tuple[str, str | int], words: str = WORDS) -> bytes:
    """A refusal as the service writes it."""
    body = json.dumps({"status": status, "message": words}, ensure_ascii=False).encode()
    return http(body, ("X-Request-Id", f"r-{status}"), *headers, status=status)


def _statuses() -> Iterator[Fault]:
    for status in _STATUSES:
        answer = status_answer(status)
        yield Fault(str(status), Ends.STATUS, _say(_always(answer)), status=status, words=WORDS)
    page = b"<html>\n<head><title>Bad\r\nGateway</title></head></html>"
    text = json.dumps({"message": WORDS}).encode()
    packed = ("Content-Encoding", "gzip")
    for status in (403, 503):
        bodies = {
            "html": (http(page, status=status, content_type="text/html"), "<title>Bad Gateway</title>"),
            "empty": (http(b"", status=status), "no text"),
            "garbage": (http(b"\xff\xfe\x00\x01", status=status), ""),
            "wrong-json": (http(b"[1,2]", status=status), "[1,2]"),
            "gzip": (http(gzip.compress(text), packed, status=status), WORDS),
            "gzip-that-is-none": (http(text, packed, status=status), ""),
        }
        for name, (answer, words) in bodies.items():
            act = _say(_always(answer))
            yield Fault(f"{status}-{name}", Ends.STATUS, act, status=status, words=words)
        cut = head(status, ("Content-Length", 1000)) + b"half of "
        yield Fault(f"{status}-cut", Ends.STATUS, _cut(_always(cut)), status=status)
        yield Fault(f"{status}-and-silence", Ends.STATUS, _hang(_always(cut)), status=status, silent=True)
    for status in (301, 302, 307, 308):
        answer = http(b"", ("Location", "/v1/elsewhere"), status=status)
        yield Fault(f"redirect-{status}", Ends.STATUS, _say(_always(answer)), status=status)


def _waits() -> Iterator[Fault]:
    now = 1_790_000_000.0
    date = ("Date", formatdate(now, usegmt=True))
    asked: tuple[tuple[str, str, float], ...] = (
        ("seconds", "7", 7.0),
        ("a-fraction", "0.5", 0.5),
        ("a-date", formatdate(now + 7, usegmt=True), 7.0),
        ("a-past-date", formatdate(now - 7, usegmt=True), 0.0),
        ("an-hour", "3600", 3600.0),
        ("for-ever", "1e999", float("inf")),
        ("less-than-nothing", "-5", 0.0),
        ("nan", "nan", 0.0),
        ("text", "soon", 0.0),
    )
    for status in (429, 503):
        for name, value, wait in asked:
            answer = status_answer(status, ("Retry-After", value), date)
            act = _say(_always(answer))
            yield Fault(f"{status}-retry-after-{name}", Ends.STATUS, act, status=status, words=WORDS, wait=wait)


# Good statuses, wrong bodies.


def _contents() -> Iterator[Fault]:
    json_type = "application/json"
    bodies: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
        "html": ("text/html; charset=utf-8", lambda good: b"<!doctype html>\n<html>Sign in to the network</html>"),
        "html-called-json": (json_type, lambda good: b"<html></html>"),
        "empty": (json_type, lambda good: b""),
        "half-json": (json_type, lambda good: good[: len(good) // 2]),
        "wrong-shape": (json_type, lambda good: b'"text"'),
        "number": (json_type, lambda good: b"17"),
        "null": (json_type, lambda good: b"null"),
        "invalid-utf-8": (json_type, lambda good: b'{"a":"\xff\xfe"}'),
        "deep": (json_type, lambda good: b"[" * 20_000),
        "two-answers": (json_type, lambda good: good + good),
    }
    for name, (content_type, body) in bodies.items():

        def answer(
            operation: Operation, content_type: str = content_type, body: Callable[[bytes], bytes] = body
        ) -> bytes:
            return http(body(operation.answer), content_type=content_type)

        yield Fault(f"200-{name}", Ends.UNREADABLE, _say(answer))

    def with_mark(operation: Operation) -> bytes:
        mark = b"" if operation.raw else b"\xef\xbb\xbf"
        return http(mark + operation.answer, content_type=operation.content_type)

    yield Fault("200-byte-order-mark", Ends.GOOD, _say(with_mark))


FAULTS = tuple(
    fault
    for group in (_connections, _cuts, _framings, _compressions, _statuses, _waits, _contents)
    for fault in group()
)
