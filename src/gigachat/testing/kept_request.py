"""Requests as they are kept: without headers, and of files only the digest."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from math import inf
from typing import TYPE_CHECKING, Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from gigachat.testing.recording import HIDDEN, shown_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.testing.recording import Scrubber

__all__ = ["api_path", "kept_request"]


async def kept_request(request: Request, scrubber: Scrubber) -> dict[str, Any]:
    """Return a request as it is kept."""
    asked: dict[str, Any] = {"method": request.method, "path": api_path(request)}
    if request.query_params:
        asked["query"] = {name: request.query_params.getlist(name) for name in request.query_params}
    body = await request.body()
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        with contextlib.suppress(MultiPartException):
            return {**asked, "form": await _form(request, scrubber)}
    shown = shown_body(content_type, body)
    return {**asked, **({"bytes": _digest(body, scrubber)} if "base64" in shown else shown)}


async def _form(request: Request, scrubber: Scrubber) -> dict[str, Any]:
    """Return the parts of a form; several of one name are a list."""
    form: dict[str, list[Any]] = {}
    async with request.form(max_files=inf, max_fields=inf, max_part_size=sys.maxsize) as parts:
        for name, value in parts.multi_items():
            kept: Any = value
            if isinstance(value, UploadFile):
                kept = {"filename": value.filename, "type": value.content_type}
                kept |= _digest(await value.read(), scrubber)
            form.setdefault(name, []).append(kept)
    return {name: values[0] if len(values) == 1 else values for name, values in form.items()}


def _digest(content: bytes, scrubber: Scrubber) -> dict[str, Any]:
    """Return what is kept of a content: nothing of one with secrets, which may be others when it is given again."""
    kept = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return kept if scrubber.clean_bytes(content) == content else dict.fromkeys(kept, HIDDEN)


def api_path(request: Request) -> str:
    """Return the path from the version on (reference, section 1.1)."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.decode("latin-1").partition("?")[0].removeprefix("/api")
