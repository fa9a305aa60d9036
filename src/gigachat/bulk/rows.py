"""The rows of a job: from files, standard input, tables and any iterable.

A row is a mapping. Text is a row with the field `text`. A line that cannot be read is a row with an error, so that it
does not end the job.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias

from gigachat.bulk.cache import digest
from gigachat.bulk.checkpoint import MARK
from gigachat.bulk.threads import in_background_loop

Source: TypeAlias = str | os.PathLike[str] | Iterable[Any]
"""A path, `-` for standard input, a DataFrame of pandas or Polars, a table of pyarrow, or any iterable of rows."""

FORMATS = ("jsonl", "csv", "tsv", "txt", "parquet")
_FORMAT_OF_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "txt",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_CHUNK = 1 << 20
_LONGEST_FIELD = 1 << 24  # characters of a field of CSV: of a quote that is not closed, no more is read
_DELIMITERS = ",;\t"
_QUOTED = re.compile('"[^"]*"')


class Row(NamedTuple):
    """A row.

    Attributes:
        number: Its number, from 0.
        data: Its fields.
        error: Why it cannot be read; None if it can.
    """

    number: int
    data: Any
    error: str | None = None

    @property
    def id(self) -> Any:
        """The row's `id`, or its number."""
        return self.data.get("id", self.number) if isinstance(self.data, Mapping) else self.number


class Rows:
    """The rows of a source, which can be read once. Standard input is JSON Lines if nothing else is said.

    Args:
        source: Where they come from.
        form: Format of a file: `jsonl`, `csv`, `tsv`, `txt` or `parquet`; by its name if None.

    Attributes:
        total: How many there are; None if it is not known.
        digest: What tells this input from others: of a file its bytes, else the number of rows and the first one.

    Raises:
        ValueError, TypeError: There is no such file, or it is no source of rows.
    """

    def __init__(self, source: Source, form: str | None = None) -> None:
        if form is not None and form not in FORMATS:
            raise ValueError(f"the format of the input is one of {', '.join(FORMATS)}, not {form!r}")
        self.total: int | None = None
        self._is_pipe = isinstance(source, str) and source == "-"
        self._is_lazy = False
        if isinstance(source, str | os.PathLike):
            self._open(source, form)
        else:
            self._take(source)

    def __iter__(self) -> Iterator[Row]:
        for number, item in enumerate(self._items):
            if isinstance(item, _Unreadable):
                yield Row(number, None, item.reason)
            else:
                yield Row(number, {"text": item} if isinstance(item, str) else item)

    @property
    def slow(self) -> bool:
        """Whether a thread must read the rows: a wait for a row would block the event loop, and other jobs in it."""
        return self._is_pipe or (self._is_lazy and in_background_loop())

    @property
    def first(self) -> Any:
        """Fields of the first row; None if there is none, or it cannot be read."""
        item = self._peek()
        if isinstance(item, _Unreadable):
            return None
        return {"text": item} if isinstance(item, str) else item

    def _peek(self) -> Any:
        item = next(self._items, None)
        if item is not None:
            self._items = chain([item], self._items)
        return item

    def _open(self, source: str | os.PathLike[str], form: str | None) -> None:
        if source == "-":
            if form == "parquet":
                raise ValueError("standard input cannot be Parquet: save it as a file")
            self._items = _standard_input(form or "jsonl")
            if form is None and isinstance(first := self._peek(), _Unreadable):
                raise ValueError(f"standard input: {first.reason}: give input_format= (--format) of its rows")
            self.digest = digest(None, self.first, fallback=str).hex()
            return
        path = Path(source)
        form = form or _FORMAT_OF_SUFFIX.get(path.suffix.lower())
        if form is None and path.suffix.lower() in (".xls", ".xlsx"):
            raise ValueError(f"{path}: files of Excel are not read: save it as CSV, in UTF-8")
        if form is None:
            raise ValueError(
                f"{path}: the name does not tell the format: give input_format= (--format), one of {', '.join(FORMATS)}"
            )
        if not path.is_file():
            what = "this is no regular file; - takes a pipe" if path.exists() else "there is no such file"
            raise ValueError(f"{path}: {what}")
        self.digest, count = _scan(path, quoted=form in ("csv", "tsv"))
        if form == "parquet":
            parquet = _parquet(path)
            self.total = parquet.metadata.num_rows
            self._items = _batch_rows(parquet.iter_batches(batch_size=1024))
            return
        self.total = max(0, count - 1) if form in ("csv", "tsv") else count
        self._items = _file_lines(path, form)

    def _take(self, source: Any) -> None:
        single = isinstance(source, bytes | bytearray | Mapping) or not isinstance(source, Iterable)
        if single and not hasattr(source, "to_batches"):
            raise TypeError(f"rows are a path, a table or an iterable of mappings, not {type(source).__name__}")
        table: Any = source
        if hasattr(table, "iter_rows") and hasattr(table, "columns"):  # Polars
            self.total = len(table)
            self._items = iter(table.iter_rows(named=True))
        elif hasattr(table, "itertuples") and hasattr(table, "columns"):  # pandas
            self.total = len(table)
            self._items = _pandas_rows(table)
        elif hasattr(table, "to_batches"):  # pyarrow
            _check_names(table.schema.names, "the table")
            self.total = table.num_rows
            self._items = _batch_rows(table.to_batches(max_chunksize=1024))
        else:
            self.total = len(table) if hasattr(table, "__len__") else None
            self._is_lazy = self.total is None
            self._items = iter(table)
        self.digest = digest(self.total, self.first, fallback=str).hex()

    _items: Iterator[Any]


class _Unreadable(NamedTuple):
    reason: str


def _scan(path: Path, *, quoted: bool) -> tuple[str, int]:
    """Return the digest of a file, and how many lines it has that are not empty; a line may be within quotes."""
    read = hashlib.sha256()
    lines, inside, last = 0, 0, b"\n"
    with path.open("rb") as file:
        if not quoted:
            for line in file:
                read.update(line)
                lines += not line.isspace()
            return read.hexdigest(), lines
        while chunk := file.read(_CHUNK):
            read.update(chunk)
            parts = chunk.split(b'"')
            lines += sum(part.count(b"\n") for part in parts[inside::2])
            inside = (inside + len(parts) - 1) % 2
            last = chunk[-1:]
    return read.hexdigest(), lines + (last != b"\n")


def _standard_input(form: str) -> Iterator[Any]:
    # Python cannot close what a thread waits for, and would abort at the end of the program without this reference.
    file = sys.stdin
    if not hasattr(file, "buffer"):
        raise ValueError("standard input is closed, or has no bytes: give a path, or the rows")
    yield from _lines_of(file.buffer, form, "standard input")


def _file_lines(path: Path, form: str) -> Iterator[Any]:
    with path.open("rb") as file:
        yield from _lines_of(file, form, str(path))


def _lines_of(file: IO[bytes], form: str, name: str) -> Iterator[Any]:
    if form in ("csv", "tsv"):
        yield from _csv_rows(file, form, name)
        return
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.rstrip(b"\r\n")
        if not line.strip():
            continue
        try:
            text = line.decode()
        except UnicodeDecodeError:
            yield _Unreadable(f"line {number} is not UTF-8: save the file as UTF-8")
            continue
        if form == "txt":
            yield text
            continue
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            yield _Unreadable(f"line {number} is not JSON")
            continue
        if number == 1 and isinstance(value, dict) and MARK in value:
            continue  # the header of an output
        if isinstance(value, dict | str):
            yield value
        else:
            yield _Unreadable(f"line {number} is neither an object nor text")


def _csv_rows(file: IO[bytes], form: str, name: str) -> Iterator[Any]:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    lines = _decode(file, name)
    head: list[str] = []
    for line in lines:
        head.append(line)
        if line.strip("\r\n"):
            break
    delimiter = "\t" if form == "tsv" else max(_DELIMITERS, key=_QUOTED.sub("", "".join(head)).count)
    # Strict, because a quote that is not closed would hide all further rows.
    reader = csv.reader(chain(head, lines), delimiter=delimiter, strict=True)
    try:
        names = next(filter(None, reader), [])
    except csv.Error as error:
        raise ValueError(f"{name} is not CSV: {error}") from None
    _check_names(names, name)
    while True:
        first = reader.line_num + 1
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield _Unreadable(_not_csv(error, first, reader.line_num))
            continue
        if values is None:
            return
        if not values:
            continue
        if len(values) != len(names):
            yield _Unreadable(f"line {reader.line_num} has {len(values)} fields, but the first line {len(names)}")
        else:
            yield dict(zip(names, values, strict=True))


def _not_csv(error: csv.Error, first: int, last: int) -> str:
    reason = str(error).replace("unexpected end of data", "a quote is not closed")
    if first == last:
        return f"line {last} is not CSV: {reason}"
    return f"lines {first} to {last} are not CSV: {reason}"


def _check_names(names: list[str], table: str) -> None:
    if twice := next((name for name in names if name and names.count(name) > 1), None):
        raise ValueError(f"{table} has two columns {twice!r}: rename one of them")


def _decode(file: IO[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.removeprefix(b"\xef\xbb\xbf").decode() if number == 1 else line.decode()
        except UnicodeDecodeError:
            raise ValueError(f"line {number} of {name} is not UTF-8, perhaps Windows-1251: save it as UTF-8") from None


def _parquet(path: Path) -> Any:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError("Parquet needs the package pyarrow: pip install pyarrow", name="pyarrow") from error
    try:
        file = parquet.ParquetFile(path)
    except ValueError as error:
        raise ValueError(f"{path} is not Parquet: {error}") from None
    _check_names(file.schema_arrow.names, str(path))
    return file


def _batch_rows(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        yield from batch.to_pylist()


def _pandas_rows(frame: Any) -> Iterator[Any]:
    missing = import_module("pandas").isna

    def plain(value: Any) -> Any:
        if hasattr(value, "__len__"):  # text, a list or an array
            return value.tolist() if hasattr(value, "tolist") else value
        if missing(value):
            return None
        return value.item() if hasattr(value, "item") else value

    names = [str(name) for name in frame.columns]
    _check_names(names, "the table")
    for values in frame.itertuples(index=False, name=None):
        yield dict(zip(names, map(plain, values), strict=True))


RowQueue: TypeAlias = "asyncio.Queue[Row | BaseException | None]"
"""Rows that a thread has read; None is their end."""


async def read_rows(rows: Iterable[Row], queue: RowQueue, *, ahead: int) -> AsyncGenerator[Row, None]:
    """Iterate over rows in an event loop.

    Args:
        rows: The rows.
        queue: Where a thread puts them. None, put there by others, ends the wait for a row.
        ahead: How many rows a thread reads ahead; 0 if no thread is needed.
    """
    if not ahead:
        for row in rows:
            yield row
        return
    loop = asyncio.get_running_loop()
    room = threading.Semaphore(ahead)
    over = False

    def reading() -> None:
        end: BaseException | None = None
        try:
            for row in rows:
                room.acquire()
                if over:
                    return
                loop.call_soon_threadsafe(queue.put_nowait, row)
        except BaseException as error:
            end = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(queue.put_nowait, end)

    threading.Thread(target=reading, name="gigachat-bulk-rows", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            room.release()
            yield item
    finally:
        over = True
        room.release()


async def slices(rows: AsyncIterator[Row], size: int) -> AsyncGenerator[list[Row], None]:
    """Return rows in slices."""
    part: list[Row] = []
    async for row in rows:
        part.append(row)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
