"""Access tokens: the process-wide cache, and the single refresh that all callers of one key share.

Invariant: a refresh is in progress exactly as long as its `_Refresh` exists, which only the coroutine that leads it
references, and its outcome has not been signalled. If that coroutine ends without an outcome (cancelled, or by an
exception of a signal handler), the next waiter leads. A token given by the caller or by a context variable never gets
here. Nothing here is pickled.
"""

from __future__ import annotations

import copy
import inspect
import threading
from typing import TYPE_CHECKING, Any
from weakref import ref

from gigachat._advice import CREDENTIALS, PROVIDER
from gigachat._engine.auth.methods import Grant, checked_token
from gigachat._engine.parsing import x_headers
from gigachat._engine.registry import Registry
from gigachat._engine.signals import Signal
from gigachat._secret import Secret
from gigachat.exceptions import APITimeoutError, ConfigurationError, GigaChatException, TotalTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from gigachat._engine.auth.methods import SignInMethod
    from gigachat._engine.calls import Call
    from gigachat._engine.transport import Transport

    SignIn: TypeAlias = Callable[[Transport, Call[Grant | None], bool, float | None], Awaitable[Grant]]
    """Sends the request for a token; says whether to retry, and the deadline of the call."""

_REFRESH_PAUSE = 5.0  # seconds between attempts to refresh a token that is still valid
_REJECTION_MEMORY = 60.0  # seconds in which a rejected successor of a rejected token is not replaced
_LOOK_AGAIN = 1.0  # seconds after which a waiter looks whether the refresh still has a leader
_TAKEOVER = 120.0  # seconds after which a waiter leads a refresh of its own


class Token:
    """An access token and its state. Times are seconds on the engine's clock."""

    __slots__ = ("accepted", "expires", "grant", "half_life", "header", "next_refresh", "obtained", "successor")

    def __init__(self, grant: Grant, asked: float, obtained: float, successor: bool) -> None:
        self.grant = grant
        self.header = Secret(f"Bearer {grant.access_token}")
        self.expires = asked + grant.lifetime
        self.half_life = grant.lifetime / 2
        self.next_refresh = 0.0
        self.obtained = obtained
        self.successor = successor  # of one that the service rejected
        self.accepted = False  # whether the service accepted it: in a response other than 401

    @property
    def value(self) -> str:
        """The token itself."""
        return self.grant.access_token


class _Outcome:
    """The outcome of a refresh: a token, an error, or neither if it was cancelled."""

    __slots__ = ("error", "signal", "token")

    def __init__(self) -> None:
        self.signal = Signal()
        self.token: Token | None = None
        self.error: GigaChatException | None = None


class _Refresh:
    """A refresh in progress, referenced by its leader only."""

    __slots__ = ("__weakref__", "outcome")

    def __init__(self, outcome: _Outcome) -> None:
        self.outcome = outcome


class TokenEntry:
    """The cached token of one key."""

    def __init__(self) -> None:
        self.token: Token | None = None
        self.rejected = False
        self._rejected_value: str | None = None
        self.reset()

    def reset(self) -> None:
        """Repair the entry after a fork: a valid token is kept, a refresh in progress is the parent's."""
        self.lock = threading.Lock()
        self.refresh: ref[_Refresh] | None = None

    def reject(self) -> None:
        """Discard the token, which the service rejected."""
        self._rejected_value = None if self.token is None else self.token.value
        self.token = None
        self.rejected = True

    def had(self) -> tuple[str, ...]:
        """Return the tokens that a refresh must replace: the present one, and the last rejected one."""
        present = None if self.token is None else self.token.value
        return tuple(value for value in (present, self._rejected_value) if value is not None)


class Authorization:
    """Gets, refreshes and invalidates the token of one cache entry.

    Args:
        method: How to sign in.
        entry: Where the token is cached.
        buffer: Seconds before its expiry at which a token is refreshed.
        sign_in: Sends the request for a token.
    """

    source = CREDENTIALS

    def __init__(self, method: SignInMethod, entry: TokenEntry, buffer: float, sign_in: SignIn) -> None:
        self._method = method
        self._entry = entry
        self._buffer = buffer
        self._sign_in = sign_in

    def fresh(self, now: float) -> Token | None:
        """Return the cached token unless it needs a refresh."""
        token = self._entry.token
        if token is None:
            return None
        due = token.expires - min(self._buffer, token.half_life)
        return token if now < due or now < token.next_refresh else None

    def valid(self, now: float) -> Token | None:
        """Return the cached token if it has not expired."""
        token = self._entry.token
        return token if token is not None and now < token.expires else None

    async def get(self, transport: Transport, deadline: float | None = None) -> Token:
        """Return a token; sign in, or wait for the sign-in of another caller, if necessary.

        Raises:
            GigaChatException: The sign-in failed and no valid token is left.
        """
        entry = self._entry
        waited_since = transport.now()
        while True:
            with entry.lock:
                now = transport.now()
                token = self.valid(now)
                known = entry.refresh
                refresh = None if known is None else known()
                if refresh is not None and refresh.outcome.signal.is_set():
                    refresh = None  # it has ended; a traceback still references it
                if token is not None and (refresh is not None or self.fresh(now) is token):
                    return token
                leads = refresh is None or now >= waited_since + _TAKEOVER
                if refresh is None or leads:
                    refresh = _Refresh(_Outcome())
                    entry.refresh = ref(refresh)
            outcome = refresh.outcome
            if leads:
                await self._lead(outcome, token, transport, deadline)
            else:
                del refresh  # a waiter's reference would outlive the coroutine that leads
                left = _LOOK_AGAIN if deadline is None else min(_LOOK_AGAIN, deadline - now)
                if left <= 0:
                    raise APITimeoutError("the sign-in of another caller is still in progress")
                await transport.wait(outcome.signal, left)
            if outcome.token is not None:
                return outcome.token
            if outcome.error is not None:
                raise copy.copy(outcome.error)

    async def _lead(self, outcome: _Outcome, valid: Token | None, transport: Transport, deadline: float | None) -> None:
        entry = self._entry
        asked = transport.now()
        try:
            grant = await self._sign_in(transport, self._method.call(), valid is None, deadline)
            with entry.lock:
                outcome.token = Token(grant, asked, transport.now(), entry.rejected)
                entry.token, entry.rejected = outcome.token, False
        except GigaChatException as error:
            now = transport.now()
            if valid is None or now >= valid.expires:
                if not isinstance(error, TotalTimeoutError):
                    outcome.error = error  # a total timeout is the leader's own: another waiter leads
                raise
            with entry.lock:
                valid.next_refresh = now + _REFRESH_PAUSE
                if entry.token is valid:
                    outcome.token = valid
        finally:
            outcome.signal.set()

    def invalidate(self, token: Token, now: float) -> bool:
        """Discard a token that the service rejected, and no other; whether another may be accepted."""
        entry = self._entry
        with entry.lock:
            if entry.token is not token:
                return True
            if token.successor and not token.accepted and now < token.obtained + _REJECTION_MEMORY:
                return False
            entry.reject()
            return True


class ProvidedAuthorization:
    """Gets tokens from the caller's own function, before each attempt.

    Args:
        provide: Returns a token, or an awaitable of one.
    """

    source = PROVIDER

    def __init__(self, provide: Callable[[], str | Awaitable[str]]) -> None:
        if not callable(provide):
            raise ConfigurationError(f"access_token_provider= takes a function, not {type(provide).__name__}")
        self._provide = provide

    def fresh(self, now: float) -> Token | None:
        """Return nothing: the function is called for each attempt."""
        return None

    valid = fresh

    async def get(self, transport: Transport, deadline: float | None = None) -> Token:
        """Return the token that the function returns.

        Raises:
            ConfigurationError: It returned something else. What it raises itself passes through.
        """
        value: Any = self._provide()
        if inspect.isawaitable(value):
            if transport.blocking:
                if inspect.iscoroutine(value):
                    value.close()
                raise ConfigurationError(
                    "access_token_provider= is async, which a blocking call cannot await: use AsyncGigaChat or the "
                    "methods with an a in front, or give a plain function"
                )
            value = await value
        value = Secret(value) if isinstance(value, str) else value
        now = transport.now()
        return Token(Grant(checked_token(value, "access_token_provider="), 0, 0.0, x_headers({})), now, now, False)

    def invalidate(self, token: Token, now: float) -> bool:
        """Return that another token may be accepted."""
        return True


shared_tokens: Registry[TokenEntry] = Registry(TokenEntry, TokenEntry.reset)
