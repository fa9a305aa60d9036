"""Transports in a forked child process, which never uses the connections of its parent.

A fork does not wait for threads that connect: create the client, or fork, before you start threads.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from gigachat._engine.transport import Failure, Stage
from gigachat.exceptions import APIConnectionError

process = 0
"""Number of forks between the first process and this one."""


class _Transport(Protocol):
    def forked(self) -> list[object]:
        """Forget connections; return what must be neither closed nor collected here."""
        ...


_transports: weakref.WeakSet[_Transport] = weakref.WeakSet()
_inherited: list[object] = []


def watch(transport: _Transport) -> None:
    """Call a transport's `forked` in each child process."""
    _transports.add(transport)


def keep(*inherited: object) -> None:
    """Keep objects of the parent, which close its connections when they are collected."""
    _inherited.extend(inherited)


def inherited_response() -> Failure:
    """Return the failure of a read from a response of the parent."""
    error = APIConnectionError("the response was opened in the parent process and can be read only there")
    return Failure(Stage.READING, error)


def _forked() -> None:
    global process
    process += 1
    for transport in list(_transports):
        _inherited.extend(transport.forked())


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forked)
