"""The context that a tool receives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic

from typing_extensions import TypeVar

Deps = TypeVar("Deps", default=None)


@dataclass
class ToolContext(Generic[Deps]):
    """What a tool knows of the run that calls it.

    A parameter annotated with this class receives it. The model does not see the parameter.

    Attributes:
        deps: What the caller gave to the run, for example a database connection.
        client: The client of the run.
        step: Number of the request whose response asked for the call, from 1.
        messages: Messages of the run so far.
        call_id: Id of the call, None if the service gave none.
    """

    deps: Deps
    client: Any = None
    step: int = 0
    messages: list[Any] = field(default_factory=list)
    call_id: str | None = None
