"""Clients of the package `openai` for the service: signed in, with the TLS rules of a client of this package.

The service accepts plain chats of `openai` at API v1 (reference, section 1.1).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gigachat._engine.endpoint import Mode, Resource, mode_endpoint
from gigachat._engine.requests import context_headers, missing_authorization
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    import httpx2
    import openai

    from gigachat._engine.session import Session

_OLDEST = 3  # the first version over httpx2
_PLACEHOLDER_KEY = "-"  # the package requires one; the sign-in replaces it
_NOT_OURS = ("OpenAI-Organization", "OpenAI-Project")  # the package takes them from the environment


class OpenAIClients(Resource[Mode]):
    """The method that returns a client of `openai`."""

    _own_clients: tuple[httpx2.Client | None, httpx2.AsyncClient | None]  # of the user; the client sets them

    @mode_endpoint  # the caller gets what the method of its mode returns
    def openai_client(self) -> OpenAIInBothModes:
        """Return a client of the package `openai` that is signed in and trusts the Russian root certificate.

        `openai.OpenAI` for blocking callers, `openai.AsyncOpenAI` for async ones. It sends its requests to `base_url`
        over connections of its own and refreshes the token. It has the proxy, `timeout` and the headers of this client,
        and the authorization of the context variables at each request. It has not `total_timeout`, `extra_body`, slots,
        retries, fallback models and other context variables. It does not retry: the package would repeat chats that
        the service may have billed. Use it as a context manager, or close it.

        Its requests raise errors of `openai`; a failed sign-in raises a `GigaChatException`.

        The service accepts plain chats of the package (reference, section 1.1).

        Raises:
            ConfigurationError: The package is missing or too old, this client has no authorization, or it has an HTTP
                client of yours.
        """
        return OpenAIInBothModes(self)


class OpenAIInBothModes:
    """The clients of `openai` in both modes.

    Args:
        resource: The client that they are made for.
    """

    def __init__(self, resource: OpenAIClients[Any]) -> None:
        self._resource = resource

    def blocking(self) -> openai.OpenAI:
        """Return the client for blocking callers."""
        client: openai.OpenAI = _package().OpenAI(**self._options(self._resource._blocking))
        return client

    def awaited(self) -> openai.AsyncOpenAI:
        """Return the client for async callers."""
        client: openai.AsyncOpenAI = _package().AsyncOpenAI(**self._options(self._resource._async))
        return client

    def _options(self, session: Session) -> dict[str, Any]:
        from gigachat._transport.sign_in import signed_client  # here, for it loads the HTTP library

        if any(self._resource._own_clients):
            raise ConfigurationError(
                "openai_client() does not use http_client= and async_http_client=: make the client of openai yourself, "
                "with http_client=... and api_key=giga.get_token().access_token"
            )
        service, options = session.service, session.options
        foreign = dict.fromkeys((*_NOT_OURS, *_names_in_environment()), _package().omit)
        authorize = "authorization" not in options.headers
        given = {**service.headers, **context_headers()}
        if authorize and "authorization" not in given and service.authorization is None and service.needs_authorization:
            raise missing_authorization()
        return {
            "base_url": service.settings.base_url,
            "api_key": _PLACEHOLDER_KEY,
            "default_headers": {**foreign, **service.headers, **options.headers},
            "default_query": {**(service.settings.default_query or {}), **options.query},
            "max_retries": 0,
            "http_client": signed_client(session, authorize=authorize),
        }


def _names_in_environment() -> list[str]:
    """Return the names of the headers that the package takes from the environment, without the authorization."""
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    names = [line.partition(":")[0].strip() for line in lines if ":" in line]
    return [name for name in names if name.lower() != "authorization"]  # which is replaced in any case


def _package() -> Any:
    try:
        import openai
    except ImportError:
        version = 0
    else:
        version = int(openai.__version__.partition(".")[0])
        if version >= _OLDEST:
            return openai
    problem = "an old version of openai is installed" if version else "the package openai is not installed"
    raise ConfigurationError(f'openai_client(): {problem}: pip install "openai>={_OLDEST}"')
