"""The progress of a job: a bar of rich or tqdm, lines on stderr, or a function of the caller."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from gigachat.bulk.backend import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat.bulk.results import Report

Progress: TypeAlias = "Callable[[Report], object] | Literal['rich', 'tqdm', 'lines'] | bool | None"

_INTERVAL = 0.2  # seconds between two updates
_LINE_INTERVAL = 10.0  # seconds between two lines
_FAST = 10.0  # rows a second that are shown without decimals
_WIDTH = 20  # of a bar; the text beside it may take two lines


class Watch:
    """Shows the progress of a job, five times a second at most.

    Args:
        progress: A function; `rich`, `tqdm` or `lines`; True takes the first of these that there is; None for nothing.

    Raises:
        ImportError: The library is not installed.
        TypeError, ValueError: It is none of these.
    """

    def __init__(self, progress: Progress) -> None:
        self._began = time.monotonic()
        self._next = 0.0
        self._show = _display(progress)
        self._own = not callable(progress)

    def update(self, report: Report, *, last: bool = False) -> None:
        """Show a report, unless the last one was shown too recently.

        Args:
            report: The report; its duration is set.
            last: Whether the job has ended: the report is then always shown.
        """
        now = time.monotonic()
        if not last and now < self._next:
            return
        self._next = now + _INTERVAL
        report.seconds = now - self._began
        if self._show is None:
            return
        try:
            self._show(report, last)
        except OSError:  # standard error has no reader, or its disk is full: the job continues
            if not self._own:
                raise
            self._show = None


def summary(report: Report) -> str:
    """Return a report as one line."""
    parts = [f"{report.done + report.failed}" + ("" if report.total is None else f" of {report.total}") + " rows"]
    if report.rate:
        parts.append(f"{report.rate:.{1 if report.rate < _FAST else 0}f} a second")
    if report.eta and report.stopped is None:
        parts.append(f"{_duration(report.eta)} left")
    return ", ".join([*parts, *_counts(report)])


def _counts(report: Report) -> list[str]:
    """Return the part of a summary that no bar has of its own."""
    parts = []
    if report.failed:
        parts.append(f"{report.failed} failed")
    tokens = report.usage.input_tokens + report.usage.output_tokens
    if tokens:
        parts.append(f"{tokens} tokens")
    if report.cost is not None:
        parts.append(f"{report.cost:.2f} roubles")
    if report.in_progress:
        parts.append(f"{report.in_progress} of {report.limit} in progress")
        if report.stopped == INTERRUPTED:
            parts.append("Ctrl-C again does not wait for them")
    return parts


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _display(progress: Any) -> Callable[[Report, bool], object] | None:
    if progress is None or progress is False:
        return None
    if callable(progress):
        return lambda report, _: progress(report)
    if progress is True:
        for kind in (_Rich, _Tqdm):
            try:
                return kind()
            except ImportError:
                continue
        return _Lines()
    kinds: dict[str, Callable[[], Callable[[Report, bool], object]]] = {
        "rich": _Rich,
        "tqdm": _Tqdm,
        "lines": _Lines,
    }
    if progress not in kinds:
        raise ValueError(f"progress is a function, True, 'rich', 'tqdm' or 'lines', not {progress!r}")
    return kinds[progress]()


class _Rich:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        class Terminal(Console):
            def on_broken_pipe(self) -> None:  # that of rich exits
                raise BrokenPipeError

        text = TextColumn("{task.description}", table_column=Column(no_wrap=False))
        self._bar = Progress(BarColumn(_WIDTH), text, console=Terminal(stderr=True), auto_refresh=False)
        self._task = self._bar.add_task("", total=None)

    def __call__(self, report: Report, last: bool) -> None:
        self._bar.start()  # not before the job has begun: it hides the cursor
        done = report.done + report.failed
        self._bar.update(self._task, completed=done, total=report.total, description=summary(report), refresh=True)
        if last:
            self._bar.stop()


class _Tqdm:
    def __init__(self) -> None:
        self._bar = import_module("tqdm").tqdm(unit=" rows")  # no extra has it

    def __call__(self, report: Report, last: bool) -> None:
        self._bar.total = report.total
        self._bar.n = report.done + report.failed
        self._bar.set_postfix_str(", ".join(_counts(report)))
        if last:
            self._bar.close()


class _Lines:
    def __init__(self) -> None:
        self._next = 0.0
        self._line = ""
        self._stopped: str | None = None

    def __call__(self, report: Report, last: bool) -> None:
        now = time.monotonic()
        due = last or report.stopped != self._stopped or now >= self._next
        if due and sys.stderr is not None and (line := summary(report)) != self._line:
            self._next, self._line, self._stopped = now + _LINE_INTERVAL, line, report.stopped
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
