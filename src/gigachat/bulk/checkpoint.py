"""The output of a job, which is its checkpoint too: JSON Lines, one line for each row.

* The first line is the header: the hash of the job and that of the input. Another job or input is refused.
* Each line is one `os.write` on a descriptor that only appends. So a killed process leaves at most one torn line, at
  the end, which the next run cuts off.
* Rows with a value are done. If a row has two lines, the later one counts: the row failed and was asked again.
* If lines must be removed or sorted, the end of a run writes a new file, which replaces the old one.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import threading
from array import array
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic_core import to_json

from gigachat.bulk.results import Report, Result
from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigachat.bulk.job import Job

MARK = "gigachat_bulk"
"""Field of the header."""
_VERSION = 1
_START = f'{{"{MARK}":'.encode()
_BLOCK = 1 << 16
_REPLACE = "give another file, or overwrite=True (--overwrite)"
_SHORTEST = 16  # bytes of a line
_PENDING = 1 << 16  # rows without a line before one that has a line
_SYNC = 1.0  # seconds between two writes to the disk, for power cuts; a kill loses nothing


class Numbers:
    """A set of row numbers, a bit for each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bits) and bool(self._bits[at] & 1 << (number & 7))

    def add(self, number: int) -> None:
        """Add a number."""
        at = number >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(max(at + 1 - len(self._bits), len(self._bits))))
        self._bits[at] |= 1 << (number & 7)

    def discard(self, number: int) -> None:
        """Remove a number."""
        if number in self:
            self._bits[number >> 3] &= ~(1 << (number & 7))


class Checkpoint:
    """The output of a job.

    Args:
        path: The file.
        job: The hash of the job.
        source: The hash of the input.
        overwrite: Whether a file of another job is replaced.
        ordered: Whether the end sorts the lines.
        retry_failed: Whether rows that failed are asked again. Their lines stay until there are new ones.

    Attributes:
        done: Rows that need not be asked again.
        failed: Rows whose last line is an error.
        report: The report of the lines in the file.

    Raises:
        ValueError: The file is of another job or input, or is no output of a job; or another process writes it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        job: str,
        source: str,
        *,
        overwrite: bool = False,
        ordered: bool = False,
        retry_failed: bool = False,
    ) -> None:
        if (Path(path).exists() and not Path(path).is_file()) or not Path(path).parent.is_dir():
            raise ValueError(f"{path} cannot be written: it is no regular file, or its directory is missing")
        self.path = Path(os.path.realpath(path))  # a link stays one when the file is written anew
        self.done = Numbers()
        self.failed = Numbers()
        self.report = Report()
        self._ordered = ordered
        self._retrying = retry_failed
        self._has_stale_lines = False  # whether lines must go
        self._last = -1
        self._expected: dict[int, str] = {}
        self._sync_error: OSError | None = None
        header = to_json({MARK: _VERSION, "job": job, "input": source}) + b"\n"
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(self.path, flags, 0o666)
        try:
            _lock(self._descriptor, self.path)
            if overwrite:
                os.ftruncate(self._descriptor, 0)
            if self._has_header(job, source):
                self._cut_torn_line()
                self._read()
            else:
                os.ftruncate(self._descriptor, 0)
                self._append(header)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._dirty = False
        self._closing = threading.Event()
        self._syncing = threading.Thread(target=self._sync, name="gigachat-bulk-sync", daemon=True)
        self._syncing.start()

    def write(self, result: Result, job: Job) -> None:
        """Append the line of a result."""
        self._append(line_of(result, job))
        number = result.number
        self._has_stale_lines |= number in self.failed
        self.failed.discard(number)
        self._record(number, failed=result.error is not None)

    def note_batch(self, batch: str, numbers: list[int]) -> None:
        """Append a line that names a submitted batch and its rows."""
        self._append(to_json({"batch": batch, "rows": numbers}) + b"\n")
        self._expect(batch, numbers)

    @property
    def batches(self) -> dict[str, list[int]]:
        """The numbers of the rows of each batch whose results are not written."""
        batches: dict[str, list[int]] = {}
        for number, batch in self._expected.items():
            batches.setdefault(batch, []).append(number)
        return batches

    def _expect(self, batch: str, numbers: list[int]) -> None:
        self._has_stale_lines = True  # the line of the batch is removed at the end
        self._expected.update(dict.fromkeys(numbers, batch))

    def finish(self) -> None:
        """Remove the lines that no longer count, and sort the lines if that is asked for.

        Raises:
            OSError: Another program has moved, removed or replaced the file.
        """
        if not _is_at(self._descriptor, self.path):
            raise OSError(f"{self.path} was moved, removed or replaced while the job wrote it")
        if self._has_stale_lines:
            self._rewrite()

    def close(self) -> None:
        """Close the file as it is, and release its lock."""
        self._closing.set()
        try:
            self._syncing.join()
        finally:  # also after Ctrl-C: the next run in this process needs the lock
            os.close(self._descriptor)

    def wanted(self, number: int) -> bool:
        """Whether a row must be asked."""
        return number not in self.done and (self._retrying or number not in self.failed or number in self._expected)

    def _append(self, line: bytes) -> None:
        if self._sync_error is not None:
            raise self._sync_error
        written = os.write(self._descriptor, line)
        if written != len(line):
            raise OSError(f"{self.path}: only {written} of {len(line)} bytes could be written; is the disk full?")
        self._dirty = True

    def _record(self, number: int, *, failed: bool) -> None:
        self._expected.pop(number, None)
        if failed:
            self.failed.add(number)
        else:
            self.done.add(number)
        self._has_stale_lines |= self._ordered and number < self._last
        self._last = max(number, self._last)

    def _cut_torn_line(self) -> None:
        with self._reader() as file:
            end = file.seek(0, os.SEEK_END)
            at = end
            while at:
                start = max(0, at - _BLOCK)
                file.seek(start)
                found = file.read(at - start).rfind(b"\n")
                if found >= 0:
                    at = start + found + 1
                    break
                at = start
        if at < end:
            os.ftruncate(self._descriptor, at)

    def _has_header(self, job: str, source: str) -> bool:
        """Whether the file has a header; it has none if it is empty or was torn there.

        Raises:
            ValueError: It is of another job or input, or is no output of a job.
        """
        with self._reader() as file:
            line = file.readline(_BLOCK)
        if not line.endswith(b"\n") and _START.startswith(line[: len(_START)]):
            return False
        header = _parse(line)
        if header is None or MARK not in header:
            raise ValueError(f"{self.path} exists and is no output of a job: {_REPLACE}")
        if header[MARK] != _VERSION:
            raise ValueError(f"{self.path} is the output of another version of gigachat: {_REPLACE}")
        for name, expected, what in (("job", job, "prompt, model or option"), ("input", source, "input")):
            if header.get(name) != expected:
                raise ValueError(f"{self.path} is the output of a job with another {what}: {_REPLACE}")
        return True

    def _read(self) -> None:
        most = os.fstat(self._descriptor).st_size // _SHORTEST + _PENDING
        with self._reader() as file:
            file.readline()  # the header
            for at, line in enumerate(file, start=2):
                value = _parse(line) or {}
                if isinstance(value.get("batch"), str) and isinstance(value.get("rows"), list):
                    self._expect(value["batch"], [number for number in value["rows"] if isinstance(number, int)])
                    continue
                number = _number_of(value)
                if number is None:
                    self._has_stale_lines = True  # torn by a power cut
                    continue
                if number > most:
                    raise ValueError(
                        f"line {at} of {self.path} has the number {number}, which no row of this job can have: remove "
                        "the line, or overwrite the file"
                    )
                failed = value.get("error") is not None
                if number in self.done or number in self.failed:
                    self._has_stale_lines = True
                    if number in self.failed:
                        self.failed.discard(number)
                        self.report.failed -= 1
                    else:
                        self.report.done -= 1
                self._record(number, failed=failed)
                self.report.done += not failed
                self.report.failed += failed
                self.report.cached += bool(value.get("cached"))
                self.report.count(usage_of(value), _cost_of(value))
        if self._retrying:
            self.report.failed = 0
        self.report.earlier = self.report.done + self.report.failed

    def _rewrite(self) -> None:
        """Write the file anew: the last line of each row, sorted if that is asked for."""
        offsets = array("q")
        position = 0
        with self._reader() as file:
            header = file.readline()
            position = len(header)
            for line in file:
                number = _number_of(_parse(line) or {})
                if number is not None:
                    if number >= len(offsets):
                        offsets.extend(array("q", [-1]) * (max(number + 1, len(offsets) * 2) - len(offsets)))
                    offsets[number] = position
                position += len(line)
            kept = sorted(offset for offset in offsets if offset >= 0) if not self._ordered else offsets
            beside = self.path.with_name(f"{self.path.name}.new")
            try:
                with beside.open("wb") as new:
                    shutil.copymode(self.path, beside)
                    new.write(header)
                    for batch, numbers in self.batches.items():
                        new.write(to_json({"batch": batch, "rows": numbers}) + b"\n")
                    for offset in kept:
                        if offset >= 0:
                            file.seek(offset)
                            new.write(file.readline())
                    new.flush()
                    _to_disk(new.fileno())
            except BaseException:  # the results stay in the old file
                beside.unlink(missing_ok=True)
                raise
        if sys.platform == "win32":  # it replaces no file that is open
            os.close(self._descriptor)
            self._descriptor = os.open(os.devnull, os.O_RDWR)
        beside.replace(self.path)

    def _reader(self) -> IO[bytes]:
        return self.path.open("rb")

    def _sync(self) -> None:
        while not self._closing.wait(_SYNC):
            if self._dirty:
                self._dirty = False
                try:
                    _to_disk(self._descriptor)
                except OSError as error:  # what was written may be lost: the next write raises it
                    self._sync_error = error
                    return


def line_of(result: Result, job: Job) -> bytes:
    """Return the line of a result."""
    line: dict[str, Any] = {"n": result.number, "id": result.id}
    if result.error is not None:
        error = result.error
        line["error"] = {"kind": error.kind, "message": error.message, "status": error.status}
    else:
        line["result"] = job.dump(result.value)
    if result.usage is not None:
        line["usage"] = result.usage._asdict()
    for name in ("cost", "request_id", "model", "finish_reason"):
        if (value := getattr(result, name)) is not None:
            line[name] = value
    if result.cached:
        line["cached"] = True
    try:
        return to_json(line, fallback=str, inf_nan_mode="null") + b"\n"
    except ValueError:  # half of a surrogate pair in the id or in the answer
        written = json.dumps(line, default=str)
        return json.dumps(json.loads(written, parse_constant=lambda _: None)).encode() + b"\n"


def _number_of(line: dict[str, Any]) -> int | None:
    number = line.get("n")
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None


def usage_of(line: dict[str, Any]) -> TokenCounts | None:
    """Return the usage in a line."""
    usage = line.get("usage")
    counts: list[Any] = [usage.get(name) if isinstance(usage, dict) else None for name in TokenCounts._fields]
    return TokenCounts(*counts) if all(isinstance(count, int) for count in counts) else None


def _cost_of(line: dict[str, Any]) -> float | None:
    cost = line.get("cost")
    return cost if isinstance(cost, int | float) else None


def read_results(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """Iterate over the results in the output of a job, without its header.

    Args:
        path: The file; the job may be running.

    Returns:
        A mapping for each row: its number `n`, its `id`, and `result` or `error`. If they are known, `usage`, `cost`,
        `request_id`, `model`, `finish_reason` and `cached` are there too. If a run with `retry_failed` was killed, a
        row can have two results; the later one counts.

    Raises:
        ValueError: It is no output of a job.
    """
    with Path(path).open("rb") as file:
        header = _parse(file.readline())
        if header is None or MARK not in header:
            raise ValueError(f"{path} is no output of a job")
        for line in file:
            value = _parse(line)
            if value is not None and "n" in value:
                yield value


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _lock(descriptor: int, path: Path) -> None:
    """Lock the file; the system releases the lock with the process.

    Raises:
        ValueError: Another process writes the file, or its file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 40, os.SEEK_SET)  # beyond what is read and written
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, path):
            raise BlockingIOError  # another process has just put a new file in its place
    except OSError as error:
        if isinstance(error, BlockingIOError) or sys.platform == "win32":
            raise ValueError(f"{path} is being written by another process: wait for it, or give another file") from None
        raise ValueError(f"{path} cannot be locked ({error}): give a file on a local disk") from None


def _to_disk(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
