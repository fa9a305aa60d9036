"""The loop: from a call to its answer, through authorization, repetition and limits.

State rules of one call: it holds at most one permit, from before the first attempt until the body is read or the stream
closed. An attempt ends in a good answer, an error or a failure of the connection. A 401 to a token of ours leads to one
renewal and one repetition; what else is repeated, `retry` decides. Nothing is repeated once an answer has begun.
"""

from __future__ import annotations

import json
import logging
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from gigachat._engine.auth import (
    Authorization,
    Grant,
    OAuth,
    PasswordLogin,
    ProvidedAuthorization,
    Token,
    checked_token,
    shared_slots,
)
from gigachat._engine.io import Failure, Port, Request, Response, Stage, Timeouts
from gigachat._engine.limits import Permit, shared_limiters
from gigachat._engine.retry import Retry, RetryPolicy
from gigachat._secret import Secret
from gigachat.context import context_headers
from gigachat.exceptions import (
    APIResponseValidationError,
    ConfigurationError,
    GigaChatException,
    ResponseError,
    error_for_status,
)
from gigachat.hosts import is_vendor_host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from gigachat._engine.auth import SignInMethod
    from gigachat._engine.call import Call, RequestOptions
    from gigachat.settings import Settings

__all__ = ["Engine", "Learned", "opened", "perform", "respond"]

logger = logging.getLogger("gigachat")

T = TypeVar("T")

USER_AGENT = "GigaChat-python-lib"
MODEL = "GigaChat"  # of requests that name none
_VERSIONED_PATH = re.compile(r"/(api/)?v\d+(/|$)")
_VERSION = re.compile(r"/v\d+$")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_READY = "access_token= (or GIGACHAT_ACCESS_TOKEN)"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(slots=True)
class Learned:
    """What a client has found out where sources disagree on the service; None is not yet known."""

    v2_address: str | None = None
    result_role: str | None = None


class Engine:
    """What a client knows of the service: addresses, headers, patience, authorization, and its two ports.

    Args:
        settings: The client's settings.
        blocking: The port of blocking callers.
        awaiting: The port of async callers.
        provider: The user's own source of access tokens.
    """

    def __init__(
        self,
        settings: Settings,
        blocking: Port,
        awaiting: Port,
        provider: Callable[[], str | Awaitable[str]] | None = None,
    ) -> None:
        from pydantic_core import to_json  # here, so that importing the SDK does not load it

        self._to_json = to_json
        self.settings = settings
        self.blocking = blocking
        self.awaiting = awaiting
        self.timeouts = Timeouts(*settings.timeouts, settings.queue_timeout)
        self.policy = RetryPolicy(
            max_retries=settings.max_retries,
            backoff_factor=settings.retry_backoff_factor,
            on_status_codes=frozenset(settings.retry_on_status_codes),
            timeout=settings.retry_timeout,
            rate_limit_timeout=settings.rate_limit_timeout,
        )
        self.model = settings.model or MODEL
        defaults = {"profanity_check": settings.profanity_check, "flags": settings.flags}
        self.chat_defaults = {name: value for name, value in defaults.items() if value is not None}
        self._headers = {"User-Agent": USER_AGENT, **_default_headers(settings)}
        self._origin = _origin(settings.base_url)
        self.v2_addresses = _v2_addresses(settings)
        self._origins = tuple({self._origin, *map(_origin, self.v2_addresses)})
        self.learned = Learned()
        self._method = _sign_in_method(settings)
        self.authorization: Authorization | ProvidedAuthorization | None = None
        key: Any = hash(settings.access_token)
        if settings.access_token:
            # A ready token is used as it is and never meets the shared ones.
            self._headers["Authorization"] = Secret(f"Bearer {checked_token(settings.access_token, _READY)}")
        elif provider is not None:
            key = id(provider)
            self.authorization = ProvidedAuthorization(provider, blocking)
        elif self._method is not None:
            key = _sharing_key(self._method, settings)
            slot = shared_slots.get(key) if settings.share_token else shared_slots.own()
            self.authorization = Authorization(self._method, slot, settings.token_expiry_buffer_ms / 1000)
        own = any(name.lower() == "authorization" for name in self._headers)
        # A gateway may add what is missing; the vendor surely refuses.
        needed = is_vendor_host(urlsplit(settings.base_url).hostname or "") and not (
            settings.cert_file or settings.ssl_context
        )
        self._adds_authorization = not own and (self.authorization is not None or needed)
        self._limiter = shared_limiters.get((self._origin, key)) if settings.max_concurrency else None

    def url(self, path: str) -> str:
        """Return the address of a path: under the base address, or at its origin if the path names a version.

        Raises:
            ValueError: A full address of another origin, or nothing.
        """
        if path and not path.startswith("/") and not _SCHEME.match(path):
            path = f"/{path}"
        if path.startswith("/"):
            return f"{self._origin if _VERSIONED_PATH.match(path) else self.settings.base_url}{path}"
        if path.startswith(tuple(f"{origin}/" for origin in self._origins)):
            return path
        raise ValueError(f"the address must be a path, or begin with {self._origin}/, where the client's requests go")

    def headers(self, call: Call[Any], options: RequestOptions) -> tuple[dict[str, str], bool]:
        """Return the headers of a call, and whether its authorization is for us to add.

        The later kinds win: client, context, call, options.

        Raises:
            ConfigurationError: Nobody brings an authorization, and the vendor surely wants one.
            TypeError, ValueError: A header that cannot be sent.
        """
        headers = self._headers.copy()
        ours = self._adds_authorization
        of_the_call = {} if call.json is None else {"Content-Type": "application/json"}
        of_the_call.update(call.headers or {})
        for source, more in (
            ("context variables", context_headers()),
            ("", of_the_call),
            ("extra_headers", options.extra_headers),
        ):
            if more:
                more = _checked(more, source) if source else more
                given = {name.lower() for name in more}
                headers = {name: value for name, value in headers.items() if name.lower() not in given}
                headers.update(more)
                ours = ours and "authorization" not in given
        if ours and self.authorization is None:
            raise ConfigurationError(
                "no authorization: pass credentials= (or set GIGACHAT_CREDENTIALS), or client_id= and client_secret=, "
                "user= and password=, access_token=, or cert_file="
            )
        return headers, ours

    def encoded(self, body: Any, extra: Mapping[str, Any] | None) -> bytes:
        """Return a JSON body, with more fields merged over it: compact UTF-8, not escaped."""
        if extra:
            body = {**json.loads(self._json(body)), **extra}
        content = self._json(body)
        if b"NaN" in content or b"Infinity" in content:
            json.loads(content, parse_constant=_refuse_number)
        return content

    def _json(self, body: Any) -> bytes:
        try:
            return self._to_json(body, by_alias=True, exclude_none=True)
        except ValueError:
            from gigachat.models.base import build_all

            # Before 2.14 pydantic writes no model whose class it has not built, as of one read as a part of another.
            build_all()
        return self._to_json(body, by_alias=True, exclude_none=True)

    async def permit(self, port: Port) -> Permit | None:
        """Wait for the right to have one more request in work; None where there is no limit."""
        limit = self.settings.max_concurrency
        if self._limiter is None or limit is None:
            return None
        return await self._limiter.acquire(port, limit, self.settings.queue_timeout)

    async def token(self, port: Port) -> Token:
        """Return a valid token of the client's authorization.

        Raises:
            GigaChatException: The sign-in failed.
        """
        assert self.authorization is not None
        return self.authorization.ready(port.now()) or await self.authorization.token(
            port, partial(self._sign_in, port)
        )

    def refuse(self, token: Token, now: float) -> bool:
        """Discard a token the service refused; whether another may be accepted."""
        return self.authorization is not None and self.authorization.refuse(token, now)

    async def _sign_in(self, port: Port, call: Call[Grant], repeat: bool) -> Grant:
        """Ask for a token: no header of a context, no permit, connections of its own."""
        headers = {"User-Agent": USER_AGENT, **(call.headers or {})}
        request = Request(call.method, call.path, headers, call.content, self.timeouts, sign_in=True)
        logger.debug("signing in at %s", call.path)
        policy = self.policy if repeat else RetryPolicy(0, 0.0, frozenset(), 0.0, 0.0)
        response = await _attempts(port, request, policy, call.repeatable)
        return call.read(await _body(response), response.headers)


async def perform(engine: Engine, port: Port, call: Call[T], options: RequestOptions) -> T:
    """Send a call and return its answer, read.

    Raises:
        GigaChatException: There is no good answer.
    """
    permit = await engine.permit(port)
    try:
        response = await respond(engine, port, call, options)
        return call.read(await _body(response), response.headers)
    finally:
        if permit is not None:
            permit.release()


@asynccontextmanager
async def opened(engine: Engine, port: Port, call: Call[Any], options: RequestOptions) -> AsyncIterator[Response]:
    """Send a call and give the good answer, whose body is read piece by piece; its connection is freed at the end.

    Raises:
        GigaChatException: There is no good answer, or it breaks off.
    """
    permit = await engine.permit(port)
    try:
        response = await respond(engine, port, call, options)
        try:
            yield response
        except Failure as failure:
            raise failure.error from failure.__cause__
        finally:
            await response.close()
    finally:
        if permit is not None:
            permit.release()


async def respond(engine: Engine, port: Port, call: Call[Any], options: RequestOptions) -> Response:
    """Send a call, and what it knows to send instead, and return the good answer whose body is still to be read.

    Raises:
        GigaChatException: There is no good answer.
    """
    while True:
        try:
            response = await _respond(engine, port, call, options)
        except ResponseError as error:
            other = call.otherwise(error) if call.otherwise is not None else None
            if other is None:
                raise
            call = other
        else:
            if call.answered is not None:
                call.answered()
            return response


async def _respond(engine: Engine, port: Port, call: Call[Any], options: RequestOptions) -> Response:
    headers, authorize = engine.headers(call, options)
    content = call.content
    if call.json is not None:
        content = engine.encoded(call.json, options.extra_body)
    query: Mapping[str, str | Sequence[str]] | None = engine.settings.default_query
    if call.query or options.extra_query:
        query = {**(query or {}), **(call.query or {}), **(options.extra_query or {})}
    timeouts = options.timeouts or engine.timeouts
    request = Request(call.method, engine.url(call.path), headers, content, timeouts, query, call.upload)
    policy = engine.policy
    if options.max_retries is not None:
        policy = replace(policy, max_retries=options.max_retries)
    return await _attempts(port, request, policy, call.repeatable, engine if authorize else None)


async def _attempts(
    port: Port, request: Request, policy: RetryPolicy, repeatable: bool, signed: Engine | None = None
) -> Response:
    started = port.now()
    retry: Retry | None = None
    refusal: tuple[str, GigaChatException] | None = None
    token: Token | None = None
    while True:
        if signed is not None:
            token = await signed.token(port)
            if refusal is not None and token.value == refusal[0]:
                raise refusal[1]  # there is no other token
            request.headers["Authorization"] = Secret(f"Bearer {token.value}")
        error: GigaChatException
        try:
            response = await port.send(request)
        except Failure as failure:
            error = failure.error
            error.__cause__ = failure.__cause__
            if failure.stage is not Stage.CONNECTING and not (repeatable and failure.stage is Stage.WAITING):
                raise error from failure.__cause__
        else:
            status = response.status_code
            if token is not None and status != 401:
                token.accepted = True
            if 200 <= status < 300:
                return response
            try:
                content = await response.read()
            except (Failure, APIResponseValidationError):
                content = b""  # broken off or badly compressed: the status says enough
            error = error_for_status(request.url, status, content, response.headers)
            if signed is not None and token is not None and status == 401 and refusal is None:
                refusal = token.value, error
                if signed.refuse(token, port.now()) and request.sendable_again:
                    continue
            if not request.sendable_again:
                raise error
        retry = retry or Retry(policy, started)
        pause = retry.pause_after(error, port.now())
        if pause is None:
            raise error
        logger.debug("%s %s failed (%s), next attempt in %.2f s", request.method, request.url, _kind(error), pause)
        await port.sleep(pause)


async def _body(response: Response) -> bytes:
    try:
        return await response.read()
    except Failure as failure:
        raise failure.error from failure.__cause__


def _kind(error: GigaChatException) -> str:
    return f"status {error.status_code}" if isinstance(error, ResponseError) else type(error).__name__


def _origin(url: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(url))


def _v2_addresses(settings: Settings) -> tuple[str, ...]:
    """Return where API v2 may be, the likeliest first: sources disagree for addresses under `/api` (section 1.1)."""
    if settings.v2_base_url:
        return (settings.v2_base_url,)
    base = settings.base_url
    if not _VERSION.search(base):
        return (base,)
    root = _VERSION.sub("", base)
    return (f"{root}/v2", f"{root.removesuffix('/api')}/v2") if root.endswith("/api") else (f"{root}/v2",)


def _sign_in_method(settings: Settings) -> SignInMethod | None:
    if settings.credentials:
        return OAuth(settings.auth_url, settings.scope, settings.credentials)
    if settings.client_id and settings.client_secret:
        return OAuth.from_pair(settings.auth_url, settings.scope, settings.client_id, settings.client_secret)
    if settings.user and settings.password:
        return PasswordLogin(f"{settings.base_url}/token", settings.user, settings.password)
    return None


def _sharing_key(method: SignInMethod, settings: Settings) -> tuple[Any, ...]:
    return (
        method.identity,
        settings.cert_file,
        settings.verify_ssl_certs,
        settings.ca_bundle_file,
        settings.trust_russian_ca,
        id(settings.ssl_context),
        hash(settings.proxy),
    )


def _refuse_number(name: str) -> None:
    raise ValueError(f"{name} is no number that JSON knows")


def _default_headers(settings: Settings) -> Mapping[str, str]:
    try:
        return _checked(settings.default_headers or {}, "default_headers (or GIGACHAT_DEFAULT_HEADERS)")
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError(problem)


def _checked(headers: Mapping[Any, Any], source: str) -> Mapping[str, str]:
    """Return headers that can be sent and are not shown. The texts name a header, never its value."""
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{source}: {name!r} is not a header name")
        if not isinstance(value, str):
            raise TypeError(f"{source}: the value of {name} must be text, not {type(value).__name__}")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"{source}: the value of {name} has a line break or letters that are not Latin")
    # Spaces around a value are no part of it, and the library would show it in refusing them.
    return {name: Secret(value.strip()) for name, value in headers.items()}
