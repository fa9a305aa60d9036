"""The real service, asked for recordings with the settings of the environment."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigachat._engine.calls import Call, RequestOptions
from gigachat._engine.requests import build_request
from gigachat.client import AsyncGigaChat
from gigachat.exceptions import ConfigurationError, ResponseError
from gigachat.testing.kept_request import api_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from starlette.requests import Request

    from gigachat._engine.transport import Response

__all__ = ["AccountService", "RecordingError", "ServiceAnswer"]

_OF_THE_CONNECTION = frozenset(
    {"accept-encoding", "authorization", "connection", "content-length", "cookie", "host", "transfer-encoding"}
)


class RecordingError(Exception):
    """Nothing can be recorded or given again; the text says why."""


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """A response of the service: a stream of bytes for a 2xx status, the body for an error."""

    status: int
    headers: Mapping[str, str]
    stream: Response | None
    body: bytes = b""


class AccountService:
    """The real service, with the settings of the variables `GIGACHAT_…`: address, TLS, proxy, authorization.

    Attributes:
        settings: Their values.
        most_bytes: Longest response that is read into memory.

    Raises:
        RecordingError: The variables are not those of an account.
    """

    def __init__(self) -> None:
        try:
            client = AsyncGigaChat()
            self._service = client._service
            # A failure is recorded as it is.
            self._session = client._async.with_options(RequestOptions(max_retries=0))
            build_request(self._service, self._session.options, _call("GET", "/models"), {})
        except ConfigurationError as error:
            raise RecordingError(f"to record, set the GIGACHAT_ variables of a real account: {error}") from None
        self._client = client
        self.settings = self._service.settings
        self.most_bytes = self._service.max_response_bytes

    @contextlib.asynccontextmanager
    async def open(self, request: Request, body: bytes) -> AsyncGenerator[ServiceAnswer, None]:
        """Send a request on and give the response, whatever its status; its body may be still to come.

        Raises:
            GigaChatException: The service sent no response, or refused the sign-in.
        """
        path = api_path(request)
        v2 = path.startswith("/v2/")
        base = "" if v2 else self.settings.base_url
        address = f"{base}{path.removeprefix('/v2' if v2 else '/v1')}"
        query = {name: request.query_params.getlist(name) for name in request.query_params}
        headers = {name: value for name, value in request.headers.items() if name not in _OF_THE_CONNECTION}
        call = _call(request.method, address, headers, body, query, v2=v2)
        try:
            async with self._session.open(call) as response:
                yield ServiceAnswer(response.status_code, response.headers, response)
        except ResponseError as error:
            if error.url in (self.settings.auth_url, f"{self.settings.base_url}/token"):
                raise  # the sign-in failed; the program gets no response
            yield ServiceAnswer(error.status_code, error.headers or {}, None, error.content or b"")

    @property
    def token(self) -> str:
        """The access token of the last request; empty without one."""
        authorization, transport = self._service.authorization, self._session.transport
        token = authorization.valid(transport.now()) if authorization else None
        return token.value if token is not None else ""

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
