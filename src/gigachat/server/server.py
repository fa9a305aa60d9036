"""`GigaChatServer`: start and stop of the local server, its addresses and credentials."""

from __future__ import annotations

import math
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from gigachat._service import API_PATH, OAUTH_PATH
from gigachat.server.access.certificates import Certificates
from gigachat.server.app import create_app
from gigachat.server.chat.validation_v2 import TOOLS
from gigachat.server.controls import Controls
from gigachat.server.engines.embedders import hashed_vector
from gigachat.server.orders.queue import Orders
from gigachat.server.state.state import KIND_SCOPES, State
from gigachat.server.state.store import Store
from gigachat.server.uvicorn_thread import UvicornThread
from gigachat.server.wire.messages import RESULT_ROLES

if TYPE_CHECKING:
    from collections.abc import Collection
    from os import PathLike
    from types import TracebackType

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gigachat.server.engine import Embedder, Engine
    from gigachat.server.state.state import Account, AccountKind

_ADDRESS = "address"


class GigaChatServer(Controls):
    """A local GigaChat, running in a thread between `start` and `stop`; a context manager does both.

    Args:
        tls: Serve HTTPS with a certificate of the server's own authority.
        mtls: Require a client certificate of that authority, which replaces the token. Needs `tls`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one, with `state` that of the last server if it is still free.
        names: Further names and addresses of the server, for its certificate.
        pace: Seconds between the chunks of a stream; 0 is full speed.
        token_lifetime: Seconds an OAuth token lives.
        password_token_lifetime: Seconds a token of `/token` lives.
        engine: Generates the answers; the echo when None.
        embedder: Computes the vectors; hashes words when omitted.
        account_kind: `pers` or `b2b` (prepaid) or `corp` (pays as it goes): grants the scope of that kind and closes
            the methods that the service closes to it: the balance to `corp`, batches and `ai/check` to the others. A
            person may have one request in progress, a company ten; ten sign-ins a second are permitted. None grants
            the scope of a person, with all methods and without limits.
        batch_pace: Seconds before each request of a batch; 0 is full speed.
        strict: Refuse every field of a JSON body that the API notes don't list.
        result_role: The only role that may bring function results in chat v2, `function` or `tool`; both may when None.
        closed_tools: Names of built-in tools that chat v2 refuses as unavailable.
        bare_batches: Answer `GET /batches` with a list, as official clients read it, instead of an object with a list.
        rate: Requests a second; more are refused with 429. Unlimited when None.
        seed: Makes faults with a probability repeatable.
        state: Folder in which account, port, certificates, files, batches, assistants and threads are stored, for
            later servers; memory when None. One server uses it at a time.

    Raises:
        ValueError: An invalid setting: mTLS without TLS, a negative time, an unknown kind, tool or role; or the state
            cannot be read.
    """

    def __init__(
        self,
        *,
        tls: bool = True,
        mtls: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Collection[str] = (),
        pace: float = 0.0,
        token_lifetime: float = 1800.0,
        password_token_lifetime: float = 86400.0,
        engine: Engine | None = None,
        embedder: Embedder = hashed_vector,
        account_kind: AccountKind | None = None,
        batch_pace: float = 0.0,
        strict: bool = False,
        result_role: Literal["function", "tool"] | None = None,
        closed_tools: Collection[str] = (),
        bare_batches: bool = False,
        rate: int | None = None,
        seed: int | None = None,
        state: str | PathLike[str] | None = None,
    ) -> None:
        if mtls and not tls:
            raise ValueError("mtls needs tls")
        if not all(0 <= seconds < math.inf for seconds in (pace, batch_pace, token_lifetime, password_token_lifetime)):
            raise ValueError("paces and lifetimes must be finite seconds, 0 or more")
        if rate is not None and rate < 1:
            raise ValueError("rate must be at least one request a second")
        if account_kind not in (None, *KIND_SCOPES):
            raise ValueError(f"account_kind must be one of {', '.join(KIND_SCOPES)}")
        if result_role not in (None, *RESULT_ROLES):
            raise ValueError(f"result_role must be one of {', '.join(RESULT_ROLES)}")
        unknown = {closed_tools} if isinstance(closed_tools, str) else set(closed_tools) - TOOLS
        if unknown:
            raise ValueError(f"closed_tools must be a collection of names among {', '.join(sorted(TOOLS))}")
        self._tls = tls
        self._mtls = mtls
        self._host = host
        self._wanted_port = port
        self._names = [names] if isinstance(names, str) else list(names)
        self._pace = pace
        self._batch_pace = batch_pace
        self._engine = engine
        self._embedder = embedder
        self._seed = seed
        self._store = None if state is None else Store(Path(state))
        try:
            memory = State.of(
                account_kind,
                self._store,
                token_lifetime=token_lifetime,
                password_token_lifetime=password_token_lifetime,
                strict=strict,
                rate=rate,
                result_role=result_role,
                closed_tools=frozenset(closed_tools),
                bare_batches=bare_batches,
            )
        except BaseException:
            if self._store is not None:
                self._store.close()
            raise
        super().__init__(memory, Orders(seed))
        self.port_changed = False
        """Whether the port of the last server with this state was taken, so that the address is another one."""
        self._port: int | None = None
        self._certificates: Certificates | None = None
        self._thread: UvicornThread | None = None
        self._connections = 0

    def start(self) -> Self:
        """Start serving; return when connections are accepted.

        Raises:
            OSError: The address can't be listened on.
            RuntimeError: The server is running already, or did not start.
        """
        if self._thread is not None:
            raise RuntimeError("the server runs already")
        listener = None
        try:
            if self._store is not None:
                self._store.open()
            listener = self._listen()
            self._port = listener.getsockname()[1]
            self._certificates = Certificates(self._host, self._names, self._store)
            self._app = self._application()
            tls = self._certificates.server_context(client_certificate=self._mtls) if self._tls else None
            self._thread = UvicornThread(self._answer, listener, tls)
            self._thread.start()
        except BaseException:
            self.stop()
            if listener is not None:
                listener.close()
            raise
        return self

    def _listen(self) -> socket.socket:
        """Return the listening socket. The state keeps its port."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        kept = [] if self._store is None or self._wanted_port else self._store.read(_ADDRESS, _checked_port)
        self.port_changed = False
        for port in kept:
            try:
                return socket.create_server((self._host, port), family=family, backlog=2048)
            except OSError:
                self.port_changed = True
        listener = socket.create_server((self._host, self._wanted_port), family=family, backlog=2048)
        if self._store is not None:
            self._store.save(_ADDRESS, _ADDRESS, {"port": listener.getsockname()[1]})
        return listener

    def stop(self) -> None:
        """Close all connections, stop, and remove the certificate files. Calling it again has no effect."""
        if self._thread is not None:
            self._thread.stop()
            self._connections += self._thread.connections
        self._thread = None
        if self._certificates is not None:
            self._certificates.close()
        if self._store is not None:
            self._store.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Addresses and credentials

    @property
    def origin(self) -> str:
        """Scheme, host and port: `https://localhost:8443`."""
        if self._port is None:
            raise RuntimeError("the server has not been started")
        name = "localhost" if self._host in ("127.0.0.1", "0.0.0.0", "::", "") else self._host  # noqa: S104
        return f"{'https' if self._tls else 'http'}://{f'[{name}]' if ':' in name else name}:{self._port}"

    @property
    def base_url(self) -> str:
        """Address of the API, for `base_url`."""
        return f"{self.origin}{API_PATH}"

    @property
    def auth_url(self) -> str:
        """Address of the sign-in, for `auth_url`."""
        return f"{self.origin}{OAUTH_PATH}"

    @property
    def account(self) -> Account:
        """The account: its client id and secret, its user name and password for `/token`, and its kind."""
        return self._state.account

    @property
    def scope(self) -> str:
        """The one scope granted to the key."""
        return self.account.scope

    @property
    def credentials(self) -> str:
        """The authorization key: base64 of client id and secret."""
        return self.account.credentials

    @property
    def certificates(self) -> Certificates:
        """The authority's certificate and a client's, in files of several forms."""
        if self._certificates is None:
            raise RuntimeError("the server has not been started")
        return self._certificates

    @property
    def ca_bundle_file(self) -> str:
        """Path of the authority's certificate, PEM."""
        return self.certificates.ca_bundle_file

    @property
    def client_cert_file(self) -> str:
        """Path of a client certificate of the authority, PEM."""
        return self.certificates.client_cert_file

    @property
    def client_key_file(self) -> str:
        """Path of the client certificate's key, PEM, not encrypted."""
        return self.certificates.client_key_file

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that point the SDK at this server."""
        variables = {"GIGACHAT_BASE_URL": self.base_url}
        if self._mtls:
            variables["GIGACHAT_CERT_FILE"] = self.client_cert_file
            variables["GIGACHAT_KEY_FILE"] = self.client_key_file
        else:
            variables["GIGACHAT_AUTH_URL"] = self.auth_url
            variables["GIGACHAT_CREDENTIALS"] = self.credentials
            variables["GIGACHAT_SCOPE"] = self.scope
        if self._tls:
            variables["GIGACHAT_CA_BUNDLE_FILE"] = self.ca_bundle_file
        return variables

    @property
    def client_options(self) -> dict[str, Any]:
        """The same as arguments of a client: `GigaChat(**server.client_options)`."""
        return {name.removeprefix("GIGACHAT_").lower(): value for name, value in self.environment.items()}

    @property
    def connections(self) -> int:
        """Connections accepted so far, TLS handshake included."""
        return self._connections + (self._thread.connections if self._thread is not None else 0)

    def reset(self) -> None:
        """Reset to a new server with the same account: requests, orders and records are removed.

        Address and tokens stay valid. Requests in progress finish and are no longer recorded.
        """
        self._orders = Orders(self._seed)
        self._state = self._state.fresh()
        self._app = self._application()

    def _application(self) -> ASGIApp:
        """Return a new application with the present state and orders."""
        return create_app(
            self._state,
            self._orders,
            self._engine,
            embedder=self._embedder,
            pace=self._pace,
            batch_pace=self._batch_pace,
            environment=self.environment if self._certificates is not None else None,
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _checked_port(port: int) -> int:
    if port not in range(1, 65536):
        raise ValueError(f"{port!r} is not a port")
    return port
