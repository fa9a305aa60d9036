"""The file of a recording, and how a request differs from a recorded one."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, Field, JsonValue, ValidationError

from gigachat.testing.recording import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["differences", "file_name", "read_file", "write_file"]

_FORMAT = 1
_WIDTH = 116
_LONGEST_NAME = 220
"""Bytes; file systems take 255."""


class _Request(BaseModel):
    method: str
    path: str


class _Event(BaseModel):
    event: str = Field("", pattern=r"^[^\r\n]*$")
    data: JsonValue


class _Answer(BaseModel):
    status: int = Field(ge=200, le=599, strict=True)
    headers: dict[str, Annotated[str, Field(pattern=r"^[ -~\x80-\xff]*$")]]
    events: list[_Event] = []
    text: str = ""
    base64: Base64Bytes = b""


class _Exchange(BaseModel):
    request: _Request
    answer: _Answer


class _File(BaseModel):
    """The required fields of a file. Others are permitted."""

    format: Literal[1]
    exchanges: list[_Exchange]


def file_name(module: str, nodeid: str) -> str:
    """Return the name of a test's file."""
    name = nodeid.partition("::")[2] or nodeid
    readable = re.sub(r"[^\w.-]+", "-", name.replace("::", ".")).strip("-")
    # Two parameters may differ in nothing that a file name keeps.
    same = re.fullmatch(r"[\w.]+(\[[\w.-]*[\w.]\])?", name.replace("::", "."))
    if not same or len(readable) >= 100 or len(f"{module}{readable}".encode()) > _LONGEST_NAME:
        start = readable[:90].encode()[: max(0, _LONGEST_NAME - len(module.encode()))].decode(errors="ignore")
        readable = f"{start}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"{module}.{readable}.json"


def read_file(path: Path) -> list[dict[str, Any]]:
    """Return the exchanges of a file; none if it does not exist.

    Raises:
        ValueError: The file cannot be read, or is not a recording; the message names it.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
        _File.model_validate(content)
    except FileNotFoundError:
        return []
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise ValueError(
            f"{path} is not a recording that this version of gigachat reads: {place}: {problem['msg']}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a recording: {error}") from None
    exchanges: list[dict[str, Any]] = content["exchanges"]
    return exchanges


def write_file(path: Path, exchanges: Sequence[Mapping[str, Any]]) -> None:
    """Write exchanges; a file that exists is replaced in one step.

    Raises:
        OSError: The file cannot be written.
    """
    text = _pretty({"format": _FORMAT, "exchanges": list(exchanges)}, 0) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        new = Path(folder, path.name)
        # A lone surrogate is written as its escape, as in JSON.
        new.write_bytes(text.encode("utf-8", "backslashreplace"))
        new.replace(path)


def differences(asked: Any, recorded: Any, path: str = "") -> Iterator[str]:
    """Yield in words where a request differs from a recorded one; `***` there is any text."""
    if isinstance(asked, dict) and isinstance(recorded, dict):
        missing = dict.fromkeys(name for name in recorded if name not in asked)
        hidden = [name for name in missing if HIDDEN in name]
        for name in asked:
            place = f"{path}.{name}" if path else str(name)
            twin = name if name in recorded else next((one for one in hidden if _fits(name, one)), None)
            if twin in missing:
                del missing[twin]
                hidden.remove(twin)
            if twin is None:
                yield f"{place} was not there"
            else:
                yield from differences(asked[name], recorded[twin], place)
        for name in missing:
            yield f"{path}.{name} is missing" if path else f"{name} is missing"
    elif isinstance(asked, list) and isinstance(recorded, list):
        if len(asked) != len(recorded):
            yield f"{path} has {len(asked)} items, recorded were {len(recorded)}"
        for number, (one, other) in enumerate(zip(asked, recorded, strict=False)):
            yield from differences(one, other, f"{path}[{number}]")
    elif not _fits(asked, recorded):
        yield f"{path} is {_short(asked)}, recorded was {_short(recorded)}"


def _fits(asked: Any, recorded: Any) -> bool:
    """Whether a value is a recorded one; the secrets of an account are not known when they are given again."""
    if not isinstance(recorded, str) or not isinstance(asked, str):
        return bool(asked == recorded) or (recorded == HIDDEN and not isinstance(asked, (dict, list)))
    first, *others = recorded.split(HIDDEN)
    if not others or not asked.startswith(first):
        return asked == recorded
    at = len(first)
    for part in others[:-1]:
        at = asked.find(part, at) + len(part)
        if at < len(part):
            return False
    return asked.endswith(others[-1]) and at + len(others[-1]) <= len(asked)


def _pretty(value: Any, depth: int) -> str:
    """Return indented JSON; a value that fits on one line stays on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    numbers = isinstance(value, list) and all(isinstance(one, (int, float)) for one in value)
    if not value or not isinstance(value, (dict, list)) or numbers or len(flat) + depth <= _WIDTH:
        return flat
    space = " " * (depth + 1)
    if isinstance(value, list):
        lines = [space + _pretty(one, depth + 1) for one in value]
        return "[\n" + ",\n".join(lines) + "\n" + " " * depth + "]"
    lines = [f"{space}{json.dumps(name, ensure_ascii=False)}: {_pretty(one, depth + 1)}" for name, one in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
