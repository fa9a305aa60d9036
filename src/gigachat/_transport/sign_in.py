"""Clients of httpx2 for other packages: they sign in, and have the TLS contexts and proxies of the default transport.

A 401 leads to one refresh of the token and one repetition of the request, as in `_engine.attempts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from gigachat._engine.session import run
from gigachat._transport.client_options import client_options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from gigachat._engine.auth.tokens import Authorization, ProvidedAuthorization, Token
    from gigachat._engine.session import Session
    from gigachat._engine.transport import Transport


class SignIn(httpx2.Auth):
    """Gives requests the access token in place of any other authorization.

    Args:
        authorization: Where the token comes from; None leaves requests without authorization.
        transport: Sends the sign-in, in the mode of the requests.
    """

    def __init__(self, authorization: Authorization | ProvidedAuthorization | None, transport: Transport) -> None:
        self._authorization = authorization
        self._transport = transport

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request of a blocking client."""
        token = run(self._sign(request))
        response = yield request
        if self._is_replaceable(token, response):
            run(self._sign(request))
            yield request

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request of an async client."""
        token = await self._sign(request)
        response = yield request
        if self._is_replaceable(token, response):
            await self._sign(request)
            yield request

    async def _sign(self, request: httpx2.Request) -> Token | None:
        authorization, transport = self._authorization, self._transport
        request.headers.pop("authorization", None)
        if authorization is None:
            return None
        token = authorization.fresh(transport.now()) or await authorization.get(transport)
        request.headers["authorization"] = token.header
        return token

    def _is_replaceable(self, token: Token | None, response: httpx2.Response) -> bool:
        """Whether the service refused the token, and may accept another one."""
        if self._authorization is None or token is None:
            return False
        if response.status_code == 401:
            return self._authorization.invalidate(token, self._transport.now())
        token.accepted = True
        return False


def signed_client(session: Session, *, authorize: bool) -> httpx2.Client | httpx2.AsyncClient:
    """Return a client of httpx2 in the mode of a session.

    Args:
        session: Its service signs in; its options have the timeouts.
        authorize: Whether requests get the authorization of the service.
    """
    service, transport = session.service, session.transport
    options = client_options(service.settings, service.settings.base_url, session.options.timeouts)
    if authorize:
        options["auth"] = SignIn(service.authorization, transport)
    return httpx2.Client(**options) if transport.blocking else httpx2.AsyncClient(**options)
