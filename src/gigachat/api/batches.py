"""Batches: up to 500 requests in one file, processed in the background (reference, section 11)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from gigachat import models
from gigachat._advice import HALF_A_PAIR
from gigachat._engine.calls import Call
from gigachat._engine.endpoint import Mode, Resource, endpoint, procedure
from gigachat._engine.parsing import parse, read_model, x_headers
from gigachat._engine.requests import refuse_number, written
from gigachat._service import BATCH_METHODS, MOST_BATCH_REQUESTS
from gigachat.api.arguments import check_roles, checked_id, model_of, with_described
from gigachat.api.chat import merged_fields
from gigachat.api.files import content_call
from gigachat.api.uploads import blocking_file, opened_file
from gigachat.exceptions import APIResponseValidationError, APITimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat._engine.service import Service

    BatchMethod: TypeAlias = Literal["chat_completions", "embedder"]
    BatchRequest: TypeAlias = str | models.Chat | Mapping[str, Any]
    BatchFile: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | IO[str] | Iterable[BatchRequest]

_UNFINISHED = ("created", "in_progress")
_EMBEDDER = "Embeddings"


class Batches(Resource[Mode]):
    """Requests that are processed in the background. A batch that does not exist raises `NotFoundError`."""

    @endpoint
    def create_batch(self, file: BatchFile, method: BatchMethod = "chat_completions") -> Call[models.Batch]:
        """Submit requests to be processed in the background; for pay-as-you-go accounts (section 11).

        Args:
            file: The requests as JSONL, up to 500 lines `{"id": …, "request": {…}}` with different ids: a path, bytes,
                text or a file object. Or the requests themselves: texts, `Chat`s, mappings of the fields of one, or
                of `id` and `request`; those without an id get their number, from 1, and those without a model the
                client's.
            method: What they are: `chat_completions`, or `embedder` for requests to embeddings.

        Returns:
            The batch. `wait_batch` waits for it, `batch_results` reads what it brought.

        Raises:
            ValueError, TypeError: There is no such file, or a line the service would refuse; nothing is sent.
            ForbiddenError: The account does not pay as it goes.
        """
        if method not in BATCH_METHODS:
            raise ValueError(f"method is one of {', '.join(BATCH_METHODS)}, not {method!r}")
        return Call(
            "POST",
            "/batches",
            read_model(models.Batch),
            content=_checked(_lines(file, method, self._service)),
            headers={"content-type": "application/octet-stream"},
            query={"method": method},
        )

    @endpoint
    def get_batches(self, batch_id: str | None = None) -> Call[models.Batches]:
        """Return the account's batches, or one of them (reference, section 11).

        Args:
            batch_id: Id of the only one wanted.
        """
        return _batches_call(batch_id)

    @procedure
    async def wait_batch(
        self,
        batch: str | models.Batch,
        poll_interval: float = 10.0,
        timeout: float | None = None,
        progress: Callable[[models.Batch], object] | None = None,
    ) -> models.Batch:
        """Wait until a batch is completed (reference, section 11).

        Args:
            batch: The batch, or its id.
            poll_interval: Seconds between two looks at it.
            timeout: Longest wait in seconds; None waits for as long as it takes.
            progress: Called with the batch after each look; `request_counts` says how far it is.

        Returns:
            The batch, its `status` most likely `completed`.

        Raises:
            APITimeoutError: The batch is not done in time. It continues, and you can wait for it again.
        """
        for name, seconds in (("poll_interval", poll_interval), ("timeout", timeout)):
            if not (seconds is None or isinstance(seconds, int | float)):
                raise TypeError(f"{name} must be a number of seconds, not {type(seconds).__name__}")
        if not poll_interval > 0:
            raise ValueError("poll_interval must be above 0")
        if timeout is not None and not timeout >= 0:
            raise ValueError("timeout must be 0 or more")
        batch_id = _id(batch)
        transport = self._session.transport
        until = None if timeout is None else transport.now() + timeout
        while True:
            known = await self._known(batch_id)
            if progress is not None:
                progress(known)
            if known.status not in _UNFINISHED:
                return known
            left = poll_interval if until is None else until - transport.now()
            if left <= 0:
                counts = known.request_counts
                raise APITimeoutError(
                    f"batch {batch_id} is not done within timeout={timeout:g} s: {known.status}, "
                    f"{counts.completed + counts.failed} of {counts.total}. It continues; wait for it again"
                )
            await transport.sleep(min(poll_interval, left))

    @procedure
    async def batch_results(self, batch: str | models.Batch) -> list[models.BatchResult]:
        """Return what a batch brought: an answer or an error for each request, by its id, in any order (section 11).

        Args:
            batch: The batch, completed, or its id.

        Returns:
            The results. One that cannot be read has its text in `line`. More than `max_response_bytes` are refused:
            `download_file` writes the batch's `output_file_id` to disk.

        Raises:
            APIResponseValidationError: It has no results: most likely it is not completed.
        """
        known = batch
        if not isinstance(known, models.Batch) or not known.output_file_id:
            known = await self._known(_id(batch))
        try:
            call = content_call(known.output_file_id or "", _read_results)
        except ValueError:  # no id, or what is none
            raise APIResponseValidationError(
                f"batch {known.id_} has no results: it is {known.status or 'of no status'}"
            ) from None
        return await self._session.send(call)

    async def _known(self, batch_id: str) -> models.Batch:
        found = await self._session.send(_batches_call(batch_id))
        for one in found.batches:
            if one.id_ == batch_id:
                one.x_headers = found.x_headers
                return one
        raise APIResponseValidationError(f"the answer does not hold the batch {batch_id}")


def _id(batch: str | models.Batch) -> str:
    return batch.id_ if isinstance(batch, models.Batch) else checked_id(batch, "batch")


def _batches_call(batch_id: str | None) -> Call[models.Batches]:
    query = None if batch_id is None else {"batch_id": checked_id(batch_id, "batch_id")}
    return Call("GET", "/batches", _read_batches, query=query, repeatable=True)


def _read_batches(content: bytes, headers: Mapping[str, str]) -> models.Batches:
    """Read batches in each of the forms sources tell of: wrapped, a bare array, a single one."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, list):
        content = b'{"batches":%s}' % content
    elif isinstance(value, dict) and "batches" not in value and "id" in value:
        content = b'{"batches":[%s]}' % content
    return parse(models.Batches, content, x_headers(headers))


def _read_results(content: bytes, headers: Mapping[str, str]) -> list[models.BatchResult]:
    return [_result(line) for line in content.split(b"\n") if line.strip()]


def _result(line: bytes) -> models.BatchResult:
    try:
        return models.BatchResult.model_validate_json(line)
    except ValueError:
        return models.BatchResult(line=line.decode("utf-8", "replace").strip())


def _lines(file: Any, method: str, service: Service) -> bytes:
    """Return the lines of a batch, as they are or made of its requests."""
    if isinstance(file, str) and file.lstrip("\ufeff \t\r\n").startswith(("{", "[{")):
        return _encoded(file)
    if isinstance(file, str | os.PathLike):
        with opened_file(file, "names no file; the requests themselves go in as a list or as bytes") as opened:
            try:
                return opened.read()
            except OSError as error:
                raise ValueError(f"{os.fspath(file)!r} cannot be read: {error.strerror}") from error
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file)
    file = blocking_file(file)
    if callable(getattr(file, "read", None)):
        content = file.read()
        if not isinstance(content, bytes | str):
            raise TypeError("the file object reads neither bytes nor text")
        return _encoded(content) if isinstance(content, str) else content
    if isinstance(file, Mapping) or not isinstance(file, Iterable):
        raise TypeError(f"a batch is a file of requests or a list of them, not {type(file).__name__}")
    lines = [_line(one, index, method, service) for index, one in enumerate(islice(file, MOST_BATCH_REQUESTS + 1))]
    if len(lines) > MOST_BATCH_REQUESTS:
        raise ValueError(f"the batch has more than {MOST_BATCH_REQUESTS} requests: hand in several")
    return b"\n".join(lines) + b"\n" if lines else b""


def _line(one: Any, index: int, method: str, service: Service) -> bytes:
    name = f"request {index + 1}"
    number: Any = None
    if isinstance(one, Mapping) and "request" in one:
        number, one = one.get("id"), one["request"]
    body: dict[str, Any]
    if method == "embedder":
        body = {"input": [one]} if isinstance(one, str) else dict(one) if isinstance(one, Mapping) else {}
        if not body.get("input"):
            raise ValueError(f"{name} has no input: give a text, or a mapping of the fields of a request to embeddings")
        body.setdefault("model", _EMBEDDER)
    else:
        if isinstance(one, str):
            one = {"messages": [{"role": "user", "content": one}]}
        chat = model_of(models.Chat, with_described(one, "functions"), name)
        if not chat.messages:
            raise ValueError(f"{name}: messages is empty: give at least one message")
        check_roles(chat.messages, f"{name}.messages")
        body = {"model": service.model, **service.chat_defaults, **merged_fields(chat)}
        body.pop("stream", None)
    if number is None:
        number = index + 1
    if isinstance(number, bool) or not isinstance(number, str | int):
        raise TypeError(f"{name}: id must be text, not {type(number).__name__}")
    try:
        return written(service, {"id": str(number), "request": body})
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(HALF_A_PAIR) from None


def _as_utf8(content: bytes) -> bytes:
    """Return JSON in UTF-8 without a mark; UTF-16 and UTF-32 are read, as PowerShell writes them."""
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
    else:
        return content if encoding == "utf-8" else text.encode()
    raise ValueError(f"line {number} of the batch is not UTF-8, perhaps Windows-1251: save the file as UTF-8")


def _checked(content: bytes) -> bytes:
    """Return the lines of a batch if the service can take them. The texts name a line, never what it says."""
    content = _as_utf8(content)
    if content.lstrip().startswith(b"["):
        raise ValueError(
            "the batch is a list in JSON, but the service takes one request a line: pass the list itself, such as that "
            "of json.load(file)"
        )
    seen: set[Any] = set()
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=refuse_number)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ValueError(f"line {number} of the batch is not a JSON object")
        identifier = value.get("id")
        if isinstance(identifier, bool) or not isinstance(identifier, str | int) or not str(identifier):
            raise ValueError(f"line {number} of the batch has no id")
        if identifier in seen:
            raise ValueError(f"line {number} of the batch has the id {identifier!r} of a line before it")
        if not isinstance(value.get("request"), dict):
            raise ValueError(f"line {number} of the batch has no request: it must be an object")
        seen.add(identifier)
    if not seen:
        raise ValueError("the batch is empty")
    if len(seen) > MOST_BATCH_REQUESTS:
        raise ValueError(
            f"the batch has {len(seen)} requests; the service takes up to {MOST_BATCH_REQUESTS}: hand in several"
        )
    return content
