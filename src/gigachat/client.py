"""The clients: all endpoints, blocking, async, or both under the names of 0.2."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal, Never, Self

from gigachat._compat import AsyncNames
from gigachat._copies import Copies
from gigachat._engine.calls import NO_OPTIONS, RequestOptions, checked_options
from gigachat._engine.endpoint import Async, Blocking, Mode, async_variant
from gigachat._engine.session import Session, run
from gigachat._openai import OpenAIClients
from gigachat._suggestions import OtherNames, misplaced, report_unknown_options
from gigachat.api import (
    account,
    assistants,
    authentication,
    batches,
    chat,
    embeddings,
    files,
    functions,
    moderation,
    raw_requests,
    runs,
    threads,
)
from gigachat.api import models as api_models
from gigachat.exceptions import ConfigurationError, GigaChatWarning

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from os import PathLike

    import httpx2
    from pydantic import SecretStr

    from gigachat._engine.service import Service
    from gigachat._engine.transport import Transport
    from gigachat.credentials import Credential
    from gigachat.observers import Observer
    from gigachat.settings import Options, Timeout
    from gigachat.types import ModelName, Scope

__all__ = ["AsyncGigaChat", "Client", "GigaChat", "GigaChatAsyncClient", "GigaChatSyncClient"]


class Client(
    Copies,
    chat.Chat[Mode],
    runs.Runs[Mode],
    embeddings.Embeddings[Mode],
    api_models.Models[Mode],
    files.Files[Mode],
    batches.Batches[Mode],
    functions.Functions[Mode],
    moderation.Moderation[Mode],
    account.Account[Mode],
    assistants.Assistants[Mode],
    threads.Threads[Mode],
    raw_requests.RawRequests[Mode],
    authentication.Authentication[Mode],
    OpenAIClients[Mode],
    OtherNames,
):
    """Base of all clients: the options, and every endpoint.

    Every endpoint raises `GigaChatException` if its request fails; a stream raises it while it is read. An invalid
    argument raises `ValueError` or `TypeError`, and nothing is sent. `Raises` of a method lists what is special to it.

    Each option but the HTTP clients, the observers and the function for tokens can also be set by the environment
    variable of its name with `GIGACHAT_` in front; an argument wins over it. None and empty text mean not given.

    Args:
        base_url: Address of the API; `https://api.giga.chat/v1` is the newer host.
        v2_base_url: Address of API v2, if it cannot be made of `base_url`.
        auth_url: Address that issues OAuth tokens.
        credentials: Authorization key of your project.
        client_id: Client id; with `client_secret` instead of the key.
        client_secret: Client secret.
        scope: `GIGACHAT_API_PERS`, `GIGACHAT_API_B2B` or `GIGACHAT_API_CORP`.
        access_token: Access token, used as it is and never refreshed.
        pool: Several credentials instead of one: a call uses one that the service does not refuse.
        access_token_provider: Function that returns an access token, or for async calls an awaitable of one. It is
            called before every attempt, so it should cache the token. Its exceptions are not changed.
        user: User name; with `password` instead of the key.
        password: Password.
        model: Model of requests that name none; `GigaChat` if not given.
        fallback_models: Models that are asked, in this order, when the model of a chat cannot answer.
        session_id: `X-Session-ID` of each API request, which keeps them on the same prompt cache. A header of the
            request, a context variable and `default_headers` win over it.
        profanity_check: Whether the service filters profanity.
        flags: Feature flags sent with each chat.
        function_result_role: Role of function results in chats v2, `function` or `tool`. If not given: `function`
            for the vendor's hosts, elsewhere as the message says.
        timeout: Seconds, a pair (connect, read), or an HTTP library's timeout object.
        max_connections: Most connections open at once.
        max_concurrency: Most requests in progress at once per credential and process.
        limits: Address of a Redis, through which processes share tokens and `max_concurrency`; needs the extra `redis`.
        queue_timeout: Longest wait for a slot or a connection, in seconds.
        max_retries: Most retries after failures; 0 switches them off.
        retry_backoff_factor: Longest first pause between attempts, in seconds; it doubles each time.
        retry_on_status_codes: HTTP statuses that are retried.
        retry_timeout: No attempt of a request starts later than this after its first, in seconds.
        rate_limit_timeout: Longest sum of a request's waits after 429, in seconds.
        total_timeout: Longest time of one call in seconds, from its start to its last byte, retries included.
        max_response_bytes: Longest decoded response that is read into memory, in bytes.
        token_expiry_buffer_ms: How long before its expiry a token is refreshed, in milliseconds.
        share_token: Whether tokens are shared between the clients of this process.
        verify_ssl_certs: Whether the server's certificate is verified.
        trust_russian_ca: Whether the Russian root certificate is trusted for the vendor's hosts.
        ca_bundle_file: Certificates trusted in addition to the system's: PEM or DER, file or folder.
        cert_file: Client certificate for mTLS, PEM.
        key_file: Its key, if not in the same file.
        key_file_password: Password of an encrypted key.
        ssl_context: Own TLS context, used as it is instead of all TLS options.
        proxy: Address of a proxy.
        default_headers: Headers added to every API request.
        default_query: Query parameters added to every API request.
        transport: HTTP library: `httpcore2`, or the faster `pyreqwest`, which needs the extra `gigachat[fast]`.
        http_client: `httpx2.Client` for blocking requests; the SDK never closes it.
        async_http_client: `httpx2.AsyncClient` for async requests; the SDK never closes it.
        observers: Objects that are told of each call.

    Raises:
        ConfigurationError: An option is invalid. The message names the option, not its value.
    """

    _options: RequestOptions = NO_OPTIONS
    _pool: Sequence[Credential] = ()

    def __init__(
        self,
        *positional: Never,
        base_url: str | None = None,
        auth_url: str | None = None,
        credentials: str | SecretStr | None = None,
        scope: Scope | str | None = None,
        access_token: str | SecretStr | None = None,
        model: ModelName | str | None = None,
        session_id: str | None = None,
        profanity_check: bool | None = None,
        user: str | None = None,
        password: str | SecretStr | None = None,
        timeout: Timeout | None = None,
        verify_ssl_certs: bool | None = None,
        ca_bundle_file: str | PathLike[str] | None = None,
        cert_file: str | PathLike[str] | None = None,
        key_file: str | PathLike[str] | None = None,
        key_file_password: str | SecretStr | None = None,
        ssl_context: ssl.SSLContext | None = None,
        flags: Sequence[str] | None = None,
        max_connections: int | None = None,
        max_retries: int | None = None,
        retry_backoff_factor: float | None = None,
        retry_on_status_codes: Sequence[int] | None = None,
        client_id: str | None = None,
        client_secret: str | SecretStr | None = None,
        access_token_provider: Callable[[], str | Awaitable[str]] | None = None,
        v2_base_url: str | None = None,
        function_result_role: Literal["function", "tool"] | None = None,
        max_concurrency: int | None = None,
        limits: str | SecretStr | None = None,
        queue_timeout: float | None = None,
        retry_timeout: float | None = None,
        rate_limit_timeout: float | None = None,
        total_timeout: float | None = None,
        max_response_bytes: int | None = None,
        token_expiry_buffer_ms: int | None = None,
        share_token: bool | None = None,
        trust_russian_ca: bool | None = None,
        proxy: str | SecretStr | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, str] | None = None,
        transport: Literal["httpcore2", "pyreqwest"] | None = None,
        fallback_models: Sequence[ModelName | str] | None = None,
        http_client: httpx2.Client | None = None,
        async_http_client: httpx2.AsyncClient | None = None,
        observers: Sequence[Observer] | None = None,
        pool: Sequence[Credential] | None = None,
        **unknown: Never,
    ) -> None:
        if positional:
            del positional  # tools print the variables of frames
            raise TypeError(
                f"{type(self).__name__} takes its arguments by name: {type(self).__name__}(credentials=...)"
            )
        from gigachat._option_values import is_given
        from gigachat.settings import Options, load_options

        options = Options.model_fields.keys()
        given = {name: value for name, value in locals().items() if name in options and value is not None}
        self._access_token_provider = access_token_provider
        self._observers = observers
        # An empty key is a key that is missing; a client without any may be one of a gateway that adds it.
        self._expects_token = any(name in given and not is_given(given[name]) for name in _SECRETS)
        try:
            if unknown:
                report_unknown_options(unknown, [*options, *_ARGUMENTS_ONLY], _CHAT_FIELDS)
            if pool is not None:
                from gigachat.credentials import checked_pool

                self._pool = checked_pool(pool, given, access_token_provider)
            settings = load_options(given, authorized=access_token_provider is not None or pool is not None)
            self._connect(settings, http_client, async_http_client)
        except (ConfigurationError, GigaChatWarning) as error:
            # The frames hold credentials as variables, which error trackers print.
            raise error.with_traceback(None) from None

    def _connect(
        self, settings: Options, http_client: httpx2.Client | None, async_http_client: httpx2.AsyncClient | None
    ) -> None:
        from gigachat._client_service import service_of
        from gigachat._transport import async_transport, blocking_transport
        from gigachat._transport.event_loops import in_event_loop
        from gigachat._transport.tls import context_for

        if settings.cert_file or settings.ca_bundle_file:
            context_for(settings, host="")  # so that invalid files are named here and not by the first request
        self._settings = settings
        self._own_clients = http_client, async_http_client
        service = service_of(
            settings,
            self._access_token_provider,
            self._pool,
            private=any(self._own_clients),
            expects_token=self._expects_token,
            observers=self._observers,
        )
        self._start(service, blocking_transport(settings, http_client), async_transport(settings, async_http_client))
        if self._mode is Async or in_event_loop():  # the first call would block the event loop by all this
            from gigachat._transport.preparation import prepare_async_calls
            from gigachat.models.chat import ChatCompletion, ChatCompletionChunk

            ChatCompletion.model_rebuild()
            ChatCompletionChunk.model_rebuild()
            if async_http_client is None:
                prepare_async_calls(settings)

    def _start(self, service: Service, blocking: Transport, awaiting: Transport) -> None:
        self._service = service
        self._blocking = Session(service, blocking, self._options)
        self._async = Session(service, awaiting, self._options)

    def with_options(
        self,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        timeout: Timeout | None = None,
        max_retries: int | None = None,
        session_id: str | None = None,
        fallback_models: Sequence[ModelName | str] | None = None,
        **unknown: Never,
    ) -> Self:
        """Return a view of this client whose requests differ. It shares everything else with this client.

        Options of this client apply where they are not given again.

        Args:
            extra_headers: Headers added to each request; `Authorization` among them replaces the client's token.
            extra_query: Query parameters added.
            extra_body: Fields merged over each JSON body.
            timeout: Seconds, a pair (connect, read), or an HTTP library's timeout object.
            max_retries: Most retries after failures.
            session_id: `X-Session-ID` of each request. It wins over context variables, `extra_headers` win over it.
            fallback_models: Models asked when the model of a chat cannot answer; an empty list switches it off.
            **unknown: There are no others.
        """
        if unknown:
            raise TypeError(misplaced(next(iter(unknown)), type(self._settings).model_fields, _CHAT_FIELDS))
        more = checked_options(
            self._settings,
            extra_headers=extra_headers,
            extra_query=extra_query,
            extra_body=extra_body,
            timeout=timeout,
            max_retries=max_retries,
            session_id=session_id,
            fallback_models=fallback_models,
        )
        view = copy.copy(self)
        view._options = self._options.with_more(more)
        view._start(self._service, self._blocking.transport, self._async.transport)
        return view


_SECRETS = ("credentials", "client_secret", "access_token", "password")
_CHAT_FIELDS = chat.ChatFields.__annotations__
_ARGUMENTS_ONLY = ("access_token_provider", "http_client", "async_http_client", "observers", "pool")


class GigaChat(Client[Blocking], AsyncNames):
    """The client of the GigaChat API: blocking, and async under names with an `a` in front.

    `with GigaChat(...) as giga: giga.chat("…")`, or `async with GigaChat(...) as giga: await giga.achat("…")`.
    Safe to use from many threads, tasks and event loops, asyncio's and trio's.
    """

    _mode = Blocking
    aopenai_client = async_variant(OpenAIClients.openai_client)

    def close(self) -> None:
        """Close the connections of blocking calls; later calls are refused, unless this client was never used.

        Requests in progress finish; the last one closes the connections.
        """
        run(self._blocking.transport.close())

    async def aclose(self) -> None:
        """Close all connections, those of blocking calls too; later calls are refused as after `close`."""
        self.close()
        await self._async.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


class AsyncGigaChat(Client[Async]):
    """The async client of the GigaChat API: the plain names, awaited.

    `async with AsyncGigaChat(...) as giga: await giga.chat("…")`. Safe to use from many tasks and event loops,
    asyncio's and trio's.
    """

    _mode = Async

    async def close(self) -> None:
        """Close the connections; later calls are refused, unless this client was never used.

        Requests in progress finish; the last one closes the connections.
        """
        await self._async.transport.close()

    aclose = close

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    if not TYPE_CHECKING:  # type checkers refuse it by themselves

        def __enter__(self):
            raise TypeError("AsyncGigaChat is opened with `async with`")

        def __exit__(self, *error):
            """Exist: `with` looks for it before it enters."""


# In 0.2 the hybrid was made of these two; here it is one class under three names.
GigaChatSyncClient = GigaChat
GigaChatAsyncClient = GigaChat

if not TYPE_CHECKING:  # to a type checker, a module with `__getattr__` has every name

    def __getattr__(name):
        from gigachat import _compat_client

        if name not in vars(_compat_client):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_compat_client, name)
