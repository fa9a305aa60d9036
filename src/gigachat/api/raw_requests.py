"""A request to any address of the API, for endpoints that have no method yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat import models
from gigachat._engine.calls import Call, RequestOptions
from gigachat._engine.endpoint import Mode, Resource, procedure
from gigachat._headers import Headers, checked_headers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

_READING = ("GET", "HEAD", "OPTIONS")


class RawRequests(Resource[Mode]):
    """Requests to endpoints that have no method."""

    @procedure
    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | BaseModel | None = None,
        content: bytes | None = None,
        params: Mapping[str, str | Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> models.RawResponse:
        """Send a request with the client's authorization, retries and limits, and return the raw response.

        Args:
            method: HTTP method; `GET`, `HEAD` and `OPTIONS` are retried if the connection breaks.
            path: Path under the base address, such as `/models`; one with a version of its own, such as
                `/v2/chat/completions`, is taken at the host's root. A full address must be on the client's host.
            json: Body as JSON.
            content: Body as bytes, instead of `json`.
            params: Query parameters; a list repeats one.
            headers: Further headers; `Authorization` among them replaces the client's token.

        Raises:
            ResponseError: The service refused it; of the class of its status.
        """
        if not all(isinstance(text, str) for text in (method, path)):
            raise TypeError("method and path must be text")
        if not (method.isascii() and method.isalpha()):
            raise ValueError(f"{method!r} is not an HTTP method such as 'GET'")
        if json is not None and content is not None:
            raise TypeError("give json= or content=, not both")
        if content is not None and not isinstance(content, bytes):
            raise TypeError(f"content= takes bytes, not {type(content).__name__}")
        method = method.upper()
        call: Call[bytes] = Call(
            method,
            path,
            lambda body, _: body,
            json=json,
            content=content,
            query=params,
            repeatable=method in _READING,
        )
        session = self._session.with_options(RequestOptions(checked_headers(headers, "headers")))
        async with session.open(call) as response:
            content = await response.read(self._service.max_response_bytes)
            return models.RawResponse(response.status_code, Headers(response.headers), content)
