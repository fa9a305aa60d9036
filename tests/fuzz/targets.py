"""What any bytes must do: one target a reader of bytes, its invariant in one sentence.

`make test` runs the targets over the corpus beside this file and over the recorded and documented answers; `make fuzz`
looks for bytes that break them. A target returns nothing and raises nothing.
"""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable, Iterator
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx2

from gigachat import GigaChat, GigaChatException, models
from gigachat._engine.auth.methods import OAuth
from gigachat._engine.errors import error_for_status
from gigachat._engine.parsing import parse
from gigachat._engine.sse import Event, EventSplitter
from gigachat._headers import server_time
from gigachat.exceptions import APIResponseValidationError
from gigachat.models import APIResponse
from gigachat.schema import inline_references, simplify

__all__ = ["TARGETS", "corpus", "seeds"]

_ANSWERS: dict[str, type[APIResponse]] = {
    name: kind
    for name in dir(models)
    if isinstance(kind := getattr(models, name), type) and issubclass(kind, APIResponse)
}
_STREAMS = ("stream", "chat.stream", "threads.rerun_messages_stream")


def _parted(data: bytes) -> tuple[str, bytes]:
    """Return the first line as text, and the rest."""
    first, _, rest = data.partition(b"\n")
    return first.decode("latin-1"), rest


def _chosen(names: tuple[str, ...], name: str) -> str:
    """Return the name, or for one that is none another that depends on it."""
    return name if name in names else names[sum(map(ord, name)) % len(names)]


def _check_error(error: GigaChatException) -> None:
    assert str(error) == " ".join(str(error).split()) != ""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(again), str(again)) == (type(error), str(error))


def events(data: bytes) -> None:
    """Wherever a body is cut, its events are the same, and no line break but LF and CR is one."""
    whole = EventSplitter()
    expected = whole.feed(data) + whole.finish()
    for size in (1, 2, 7):
        splitter = EventSplitter()
        found: list[Event] = []
        for start in range(0, len(data), size):
            found += splitter.feed(data[start : start + size])
        assert found + splitter.finish() == expected
    assert all(b"\r" not in event.data for event in expected)


def answers(data: bytes) -> None:
    """Any bytes are an answer that reads again as itself when written, or an APIResponseValidationError.

    The first line names the model.
    """
    name, content = _parted(data)
    kind = _ANSWERS[_chosen(tuple(_ANSWERS), name)]
    try:
        answer = parse(kind, content, {})
    except APIResponseValidationError as error:
        _check_error(error)
        return
    again = kind.model_validate(answer.model_dump(by_alias=True, exclude_unset=True))
    assert again.model_dump_json(by_alias=True) == answer.model_dump_json(by_alias=True)


class _Service:
    """Answers every request with the same body."""

    body = b""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=self.body, headers={"content-type": "text/event-stream"})


@cache
def _client() -> tuple[_Service, GigaChat]:
    service = _Service()
    http = httpx2.Client(transport=httpx2.MockTransport(service))
    return service, GigaChat(access_token="token", http_client=http, max_retries=0)


def streams(data: bytes) -> None:
    """Any body is chunks and then a text and a whole, or a GigaChatException.

    The first line names the method.
    """
    name, body = _parted(data)
    service, giga = _client()
    service.body = body
    stream = attrgetter(_chosen(_STREAMS, name))(giga)("a")
    try:
        for chunk in stream:
            chunk.model_dump_json()
        assert isinstance(stream.get_final_text(), str)
        stream.get_final_completion().model_dump_json()
    except GigaChatException as error:
        _check_error(error)


def sign_in(data: bytes) -> None:
    """Any answer to a sign-in is a token that can be sent and a moment that can be counted with, or our error."""
    try:
        grant = OAuth("https://host/oauth", "GIGACHAT_API_PERS", "YTpi").call().read(data, {})
    except GigaChatException as error:
        _check_error(error)
        return
    if grant is None:
        return
    assert grant.access_token.isascii()
    assert grant.access_token.isprintable()
    assert 0 <= grant.expires_at <= 10**15
    assert 0 < grant.lifetime <= 24 * 3600


def refusals(data: bytes) -> None:
    """Any status, body, `Retry-After` and `Date` are an error of one readable line that asks for a finite patience or
    an endless one, never for less than none.

    The first line is the status, the next two the headers.
    """
    status, rest = _parted(data)
    wait, rest = _parted(rest)
    date, body = _parted(rest)
    number = int(status) if status.isascii() and status.isdigit() and len(status) < 10 else 500
    headers = {"retry-after": wait, "date": date}
    error = error_for_status("https://host/", number, body, headers)
    _check_error(error)
    assert error.retry_after >= 0
    assert not math.isnan(error.retry_after)
    assert math.isfinite(server_time(headers))
    assert isinstance(error.message, str)
    assert error.code is None or isinstance(error.code, int)


def schemas(data: bytes) -> None:
    """Any JSON object becomes a flat schema without references that stays as it is a second time, or is a ValueError;
    the object itself is not changed.
    """
    try:
        schema = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(schema, dict):
        return
    before = json.dumps(schema)
    try:
        inlined = inline_references(schema)
        simple = simplify(schema)
    except ValueError:
        return
    finally:
        assert json.dumps(schema) == before
    assert json.dumps(inline_references(inlined)) == json.dumps(inlined)
    assert json.dumps(simplify(simple)) == json.dumps(simple)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (events, answers, streams, sign_in, refusals, schemas)
}

_CORPUS = Path(__file__).parent / "corpus"


def corpus(target: str) -> Path:
    """Return the folder of the inputs of a target that were worth keeping."""
    return _CORPUS / target


def seeds(target: str) -> Iterator[bytes]:
    """Yield the inputs of a target that the recorded and documented exchanges give."""
    from tests.contract.replay import recording, recordings

    for name in recordings():
        for exchange in recording(name):
            body, headers = exchange.body, exchange.headers
            streamed = headers.get("content-type") == "text/event-stream"
            if target == "events" and streamed:
                yield body
            elif target == "streams" and streamed:
                version = "chat.stream" if exchange.path.startswith("/v2/") else "stream"
                yield (
                    f"{'threads.rerun_messages_stream' if '/threads/' in exchange.path else version}\n".encode() + body
                )
            elif target == "sign_in" and exchange.endpoint in ("oauth", "token"):
                yield body
            elif target == "refusals" and exchange.status != 200:
                yield f"{exchange.status}\n7\n{exchange.date}\n".encode() + body
            elif target == "answers" and body[:1] in (b"{", b"[") and not streamed and exchange.status == 200:
                yield from (f"{kind}\n".encode() + body for kind, model in _ANSWERS.items() if _reads(model, body))
            elif target == "schemas" and isinstance(exchange.request_body, dict):
                yield from (json.dumps(one).encode() for one in _schemas_in(exchange.request_body))


def _reads(kind: type[APIResponse], body: bytes) -> bool:
    try:
        parse(kind, body, {})
    except GigaChatException:
        return False
    return True


def _schemas_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(value.get("properties"), dict):
            yield value
        for item in value.values():
            yield from _schemas_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _schemas_in(item)
