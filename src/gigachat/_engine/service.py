"""The configuration of a client: addresses, defaults, timeouts, retry policy, authorization and limiter.

All sessions of a client share it; `api` reads it to describe calls. Three things change: the first call of API v2 sets
its address, and samples of token counts and attached files are added.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gigachat._engine.attempts import send_with_retries
from gigachat._engine.auth.choice import authorization_for, identity_of
from gigachat._engine.auth.methods import checked_token
from gigachat._engine.limiter import shared_limiters
from gigachat._engine.retry import NO_RETRIES, RetryPolicy
from gigachat._engine.transport import Failure, Request, Timeouts
from gigachat._engine.uploaded_ids import UploadedIds
from gigachat._headers import checked_headers
from gigachat._secret import Secret
from gigachat._service import MOST_ERROR_BYTES, is_vendor_host
from gigachat.exceptions import APIResponseValidationError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gigachat._engine.auth.methods import Grant
    from gigachat._engine.calls import Call
    from gigachat._engine.limiter import Limiter
    from gigachat._engine.observation import Audience
    from gigachat._engine.pool import Pool
    from gigachat._engine.shared_limits import SharedLimits
    from gigachat._engine.transport import Transport
    from gigachat.estimates import TokenSums
    from gigachat.observers import Observer
    from gigachat.settings import Options

logger = logging.getLogger("gigachat")

USER_AGENT = "GigaChat-python-lib"
MODEL = "GigaChat"  # of requests that name none
_VERSIONED_PATH = re.compile(r"/(api/)?v\d+(/|$)")
_VERSION = re.compile(r"/v\d+$")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class Service:
    """The GigaChat service as one client is configured for it.

    Args:
        settings: Options of the client.
        provider: The caller's own function for access tokens.
        private: Whether the client's token is shared with no other client.
        expects_token: Whether requests without authorization are refused at any host.
        observers: Observers of the client's calls.
        shared: What the client shares with other processes.
        pool: The credentials of the client's calls, instead of the one of the settings.

    Raises:
        ConfigurationError: A header, access token or observer is invalid.
    """

    def __init__(
        self,
        settings: Options,
        provider: Callable[[], str | Awaitable[str]] | None = None,
        *,
        private: bool = False,
        expects_token: bool = False,
        observers: Sequence[Observer] | None = None,
        shared: SharedLimits | None = None,
        pool: Pool | None = None,
    ) -> None:
        # Deferred, so that importing the SDK does not load them.
        from pydantic_core import to_json

        from gigachat._engine.totals import client_totals

        self.observers: Audience | None = None
        if observers:
            from gigachat._engine.observation import Audience

            self.observers = Audience(observers)
        self.pool = pool
        self.usage = client_totals.private()
        self.dumps = partial(to_json, by_alias=True, exclude_none=True)
        self.settings = settings
        self.model = settings.model or MODEL
        self.max_response_bytes = settings.max_response_bytes
        defaults = {"profanity_check": settings.profanity_check, "flags": settings.flags}
        self.chat_defaults = {name: value for name, value in defaults.items() if value is not None}
        self.token_sums: dict[str, TokenSums] = {}
        self.uploaded_ids = UploadedIds()
        self.timeouts = Timeouts(*settings.timeouts, settings.queue_timeout, settings.total_timeout)
        self.policy = RetryPolicy(
            max_retries=settings.max_retries,
            backoff_factor=settings.retry_backoff_factor,
            on_status_codes=frozenset(settings.retry_on_status_codes),
            timeout=settings.retry_timeout,
            rate_limit_timeout=settings.rate_limit_timeout,
        )
        self.headers = {"user-agent": USER_AGENT, **_headers_of(settings)}
        if settings.access_token:
            token = checked_token(settings.access_token, "access_token= (or GIGACHAT_ACCESS_TOKEN)")
            self.headers["authorization"] = Secret(f"Bearer {token}")
        self.origin = _origin(settings.base_url)
        self.url = lru_cache(maxsize=256)(self._url)
        self.v2_urls = _v2_urls(settings)
        self._origins = tuple({self.origin, *map(_origin, self.v2_urls)})
        self.authorization, key = authorization_for(settings, provider, self._sign_in, private=private, shared=shared)
        self.limiter: Limiter | None = None
        if settings.max_concurrency and shared is None:
            self.limiter = shared_limiters.get((self.origin, key))
        elif settings.max_concurrency and shared is not None:
            self.limiter = shared.limiter(identity_of(settings).name)
            self.policy = self.policy._replace(refused=self.limiter.refused)
        # A gateway may add the authorization itself; the vendor's hosts refuse requests without one.
        self.needs_authorization = (
            expects_token or is_vendor_host(urlsplit(settings.base_url).hostname or "")
        ) and not (settings.cert_file or settings.ssl_context)

    def _url(self, path: str) -> str:
        """Return the address of a path: under the base address, or at its origin if the path names a version.

        Raises:
            ValueError: It is a full address of another origin, or empty.
        """
        if path and not path.startswith("/") and not _SCHEME.match(path):
            path = f"/{path}"
        if path.startswith("/"):
            return f"{self.origin if _VERSIONED_PATH.match(path) else self.settings.base_url}{path}"
        if path.startswith(tuple(f"{origin}/" for origin in self._origins)):
            return path
        raise ValueError(f"the address must be a path, or begin with {self.origin}/, where the client's requests go")

    def address(self, call: Call[Any]) -> str:
        """Return the address of a call, as far as it is known."""
        return f"{self.v2_urls[0]}{call.path}" if call.v2 else self.url(call.path)

    async def _sign_in(
        self, transport: Transport, call: Call[Grant | None], retry: bool, deadline: float | None
    ) -> Grant:
        """Send the request for a token: without headers of a context, without a slot."""
        headers = {"user-agent": USER_AGENT, **(call.headers or {})}
        request = Request(call.method, call.path, headers, call.content, self.timeouts, sign_in=True, deadline=deadline)
        logger.debug("signing in at %s", call.path)
        began = transport.now()
        response = await send_with_retries(transport, request, self.policy if retry else NO_RETRIES, repeatable=True)
        try:
            # In no variable: it contains a token.
            grant = call.read(await response.read(MOST_ERROR_BYTES, option=""), response.headers)
        except Failure as failure:
            raise failure.error from None
        if grant is None:
            raise APIResponseValidationError(
                "the response to the sign-in contains no access token: check auth_url=, and whether a proxy or a login "
                "page of the network answered instead"
            )
        if self.observers or logger.isEnabledFor(logging.INFO):
            from gigachat._engine.observation import tell_renewal

            tell_renewal(self.observers, call.path, transport.now() - began, grant)
        return grant


def _origin(url: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def _v2_urls(settings: Options) -> tuple[str, ...]:
    """Return where API v2 may be, the likeliest first: sources disagree for addresses under `/api` (section 1.1)."""
    if settings.v2_base_url:
        return (settings.v2_base_url,)
    base = settings.base_url
    if not _VERSION.search(base):
        return (base,)
    root = _VERSION.sub("", base)
    return (f"{root}/v2", f"{root.removesuffix('/api')}/v2") if root.endswith("/api") else (f"{root}/v2",)


def _headers_of(settings: Options) -> dict[str, str]:
    """Return the headers that the settings add to each API request."""
    session = {"x-session-id": settings.session_id} if settings.session_id else None
    try:
        return {
            **checked_headers(session, "session_id (or GIGACHAT_SESSION_ID)"),
            **checked_headers(settings.default_headers, "default_headers (or GIGACHAT_DEFAULT_HEADERS)"),
        }
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
