"""The real service, asked for recordings with the settings of the environment."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gigachat._engine.calls import Call, RequestOptions
from gigachat._engine.requests import build_request
from gigachat.client import AsyncGigaChat
from gigachat.exceptions import ConfigurationError, ResponseError
from gigachat.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from starlette.requests import Request

    from gigachat._engine.transport import Response
    from gigachat.testing.recording import Scrubber

__all__ = ["AccountService", "RecordingError", "ServiceAnswer", "api_path"]

_OF_THE_CONNECTION = frozenset(
    {"accept-encoding", "authorization", "connection", "content-length", "cookie", "host", "transfer-encoding"}
)
_SECRET_VALUE = 8
"""Shorter values of the user's own headers and parameters may be ordinary words."""


class RecordingError(Exception):
    """Nothing can be recorded or given again; the text says why."""


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """A response of the service: a good one is a stream of bytes, an error has its body."""

    status: int
    headers: Mapping[str, str]
    stream: Response | None
    body: bytes = b""


class AccountService:
    """The real service, asked as the variables `GIGACHAT_…` say: address, TLS, proxy, authorization.

    Args:
        scrubber: Learns the secrets.
    """

    def __init__(self, scrubber: Scrubber) -> None:
        try:
            client = AsyncGigaChat()
            self._service = client._service
            # A failure is recorded as it is.
            self._session = client._async.with_options(RequestOptions(max_retries=0))
            build_request(self._service, self._session.options, _call("GET", "/models"), {})
        except ConfigurationError as error:
            raise RecordingError(f"to record, set the GIGACHAT_ variables of a real account: {error}") from None
        self._client = client
        self._scrubber = scrubber
        self.most_bytes = self._service.max_response_bytes
        scrubber.add(*_secrets(self._service.settings))

    @contextlib.asynccontextmanager
    async def open(self, request: Request, body: bytes) -> AsyncGenerator[ServiceAnswer, None]:
        """Send a request on and give the response, whatever its status; its body may be still to come.

        Raises:
            GigaChatException: The service sent no response, or refused the sign-in.
        """
        path = api_path(request)
        v2 = path.startswith("/v2/")
        base = "" if v2 else self._service.settings.base_url
        address = f"{base}{path.removeprefix('/v2' if v2 else '/v1')}"
        query = {name: request.query_params.getlist(name) for name in request.query_params}
        headers = {name: value for name, value in request.headers.items() if name not in _OF_THE_CONNECTION}
        call = _call(request.method, address, headers, body, query, v2=v2)
        try:
            async with self._session.open(call) as response:
                self._hide_token()
                yield ServiceAnswer(response.status_code, response.headers, response)
        except ResponseError as error:
            settings = self._service.settings
            if error.url in (settings.auth_url, f"{settings.base_url}/token"):
                raise  # the sign-in failed; the program gets no response
            self._hide_token()
            yield ServiceAnswer(error.status_code, error.headers or {}, None, error.content or b"")

    def _hide_token(self) -> None:
        authorization, transport = self._service.authorization, self._session.transport
        token = authorization.valid(transport.now()) if authorization else None
        if token is not None:
            self._scrubber.add(token.value)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _call(
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    query: Mapping[str, Sequence[str]] | None = None,
    *,
    v2: bool = False,
) -> Call[None]:
    return Call(method, path, lambda content, headers: None, content=body or None, headers=headers, query=query, v2=v2)


def _secrets(settings: Settings) -> Iterator[str]:
    """Yield the values that are never shown, and the client id."""
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if name == "proxy" and value is not None:
            yield urlsplit(value).password or ""
        elif name in ("default_headers", "default_query"):
            yield from (one for one in (value or {}).values() if len(one) >= _SECRET_VALUE)
        elif isinstance(value, str) and (name == "client_id" or not field.repr):
            yield value


def api_path(request: Request) -> str:
    """Return the path from the version on (reference, section 1.1)."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.decode("latin-1").partition("?")[0].removeprefix("/api")
