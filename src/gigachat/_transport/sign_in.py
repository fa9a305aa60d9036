"""Clients of httpx2 for other packages: they sign in, and have the TLS contexts and proxies of the default transport.

An authorization of the context takes the place of the client's. A 401 to a token of the client leads to one refresh of
the token and one repetition of the request, as in `_engine.attempts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

from gigachat._engine.requests import context_headers, missing_authorization
from gigachat._engine.session import run
from gigachat._transport.client_options import client_options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from gigachat._engine.auth.tokens import Token
    from gigachat._engine.service import Service
    from gigachat._engine.session import Session
    from gigachat._engine.transport import Transport


class SignIn(httpx2.Auth):
    """Gives requests the authorization of the context or of the client, in place of any other.

    Args:
        service: Has the authorization of the client.
        transport: Sends the sign-in, in the mode of the requests.
    """

    def __init__(self, service: Service, transport: Transport) -> None:
        self._service = service
        self._transport = transport

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Send a request of a blocking client."""
        token = run(self._sign(request))
        response = yield request
        if self._refused(token, response):
            run(self._sign(request))
            yield request

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request of an async client."""
        token = await self._sign(request)
        response = yield request
        if self._refused(token, response):
            await self._sign(request)
            yield request

    async def _sign(self, request: httpx2.Request) -> Token | None:
        service, transport = self._service, self._transport
        request.headers.pop("authorization", None)
        given = {**service.headers, **context_headers()}.get("authorization")
        if given is not None:
            request.headers["authorization"] = given
            return None
        if service.authorization is None:
            if service.needs_authorization:
                raise missing_authorization()
            return None
        token = service.authorization.fresh(transport.now()) or await service.authorization.get(transport)
        request.headers["authorization"] = token.header
        return token

    def _refused(self, token: Token | None, response: httpx2.Response) -> bool:
        """Note whether the service accepted the token. Return whether it refused it, and may accept another one."""
        authorization = self._service.authorization
        if authorization is None or token is None:
            return False
        if response.status_code == 401:
            return authorization.invalidate(token, self._transport.now())
        token.accepted = True
        return False


def signed_client(session: Session, *, authorize: bool) -> httpx2.Client | httpx2.AsyncClient:
    """Return a client of httpx2 in the mode of a session.

    Args:
        session: Its service signs in; its options have the timeouts.
        authorize: Whether requests get the authorization of the context or of the service.
    """
    service, transport = session.service, session.transport
    options = client_options(service.settings, service.settings.base_url, session.options.timeouts)
    if authorize:
        options["auth"] = SignIn(service, transport)
    return httpx2.Client(**options) if transport.blocking else httpx2.AsyncClient(**options)
