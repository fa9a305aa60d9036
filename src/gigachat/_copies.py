"""What a client is when it is copied, pickled or printed.

A copy by `copy.copy` shares everything with its client. A deep copy and an unpickled client are new clients with the
same options. A pickle contains the credentials, and no token, socket or lock.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import httpx2

    from gigachat.observers import Observer
    from gigachat.settings import Options

_REMADE = frozenset(("_settings", "_own_clients", "_service", "_blocking", "_async"))


class Copies:
    """Base of the clients: how they are copied, pickled and printed."""

    _settings: Options
    _access_token_provider: Callable[[], str | Awaitable[str]] | None
    _observers: Sequence[Observer] | None
    _own_clients: tuple[httpx2.Client | None, httpx2.AsyncClient | None]

    @abstractmethod
    def _connect(
        self, settings: Options, http_client: httpx2.Client | None, async_http_client: httpx2.AsyncClient | None
    ) -> None:
        """Make what is not copied."""

    def __copy__(self) -> Self:
        view = object.__new__(type(self))
        view.__dict__.update(self.__dict__)
        return view

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A new client with the same settings, TLS context, HTTP clients, observers and function for tokens.
        other = self.__copy__()
        memo[id(self)] = other
        memo[id(self._access_token_provider)] = self._access_token_provider
        memo[id(self._observers)] = self._observers
        other.__dict__ |= copy.deepcopy(self._own_state(), memo)
        other._connect(self._settings, *self._own_clients)
        return other

    def __getstate__(self) -> dict[str, Any]:
        # With credentials, without tokens, sockets and locks.
        if any(self._own_clients) or self._settings.ssl_context is not None:
            raise TypeError(
                "this client cannot be pickled: its http_client or ssl_context belongs to this process; make the "
                "client where it is used"
            )
        return {**self._own_state(), "_settings": self._settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._connect(state["_settings"], None, None)

    def _own_state(self) -> dict[str, Any]:
        """Return the attributes of a subclass or of the user, and the options of this view."""
        return {name: value for name, value in self.__dict__.items() if name not in _REMADE}

    def __repr__(self) -> str:
        settings: Options | None = self.__dict__.get("_settings")  # None if an option was refused
        options = f"base_url={settings.base_url!r}, model={settings.model!r}" if settings else ""
        return f"{type(self).__name__}({options})"
