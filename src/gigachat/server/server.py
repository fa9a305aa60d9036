"""The server as a thing to start and stop: a socket, a thread, certificates, and the orders of tests.

uvicorn speaks HTTP here; only this module knows it. It must not know what is answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gigachat._service import API_PATH, OAUTH_PATH
from gigachat.server.access.certificates import Certificates
from gigachat.server.app import create_app
from gigachat.server.chat.validation_v2 import TOOLS
from gigachat.server.orders.faults import Fault
from gigachat.server.orders.matching import ReceivedChat, describe, fits, read_chats, wanted
from gigachat.server.orders.queue import Events, Reply, Script
from gigachat.server.state.state import KIND_SCOPES, Account, State
from gigachat.server.state.store import Store
from gigachat.server.wire.messages import RESULT_ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from os import PathLike
    from types import TracebackType

    from starlette.types import ASGIApp, Receive, Scope, Send

    from gigachat.server.engine import Engine
    from gigachat.server.orders.matching import When
    from gigachat.server.orders.replies import Payload
    from gigachat.server.state.requests import Received
    from gigachat.server.state.state import AccountKind

_START_TIMEOUT = 10.0
_STOP_TIMEOUT = 10.0
_log = logging.getLogger("gigachat.server")
_log.addHandler(logging.NullHandler())


class GigaChatServer:
    """A local GigaChat, running in a thread between `start` and `stop`; a context manager does both.

    Args:
        tls: Serve HTTPS with a certificate of the server's own authority.
        mtls: Demand a client certificate of that authority too; it then stands for a token. Needs `tls`.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        names: Names and addresses beside the local ones under which others reach the server, for its certificate.
        pace: Seconds between the chunks of a stream; 0 is full speed.
        token_lifetime: Seconds an OAuth token lives.
        password_token_lifetime: Seconds a token of `/token` lives.
        engine: What answers; the echo when None.
        account_kind: `pers` or `b2b` (prepaid) or `corp` (pays as it goes): grants the scope of that kind and closes to
            it what the service closes, the balance to the one, batches and `ai/check` to the others; one request of a
            person is in work at a time, ten of a company, and ten sign-ins a second are permitted. With None the scope
            is that of a person, everything is open and nothing is limited.
        batch_pace: Seconds before each request of a batch; 0 is full speed.
        strict: Refuse every field of a request that the API notes don't list.
        result_role: The only role that may bring function results in chat v2, `function` or `tool`; both may when None.
        closed_tools: Names of built-in tools that chat v2 refuses as unavailable.
        rate: Requests of all kinds that are let in within a second; any number when None.
        seed: Makes faults of a probability happen to the same requests each time.
        state: Folder in which account, certificates, files, batches, assistants and threads are kept, for servers to
            come; memory when None. One server at a time.

    Raises:
        ValueError: For settings that can't be: mTLS without TLS, negative times, unknown kinds, tools or roles.
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
        account_kind: AccountKind | None = None,
        batch_pace: float = 0.0,
        strict: bool = False,
        result_role: Literal["function", "tool"] | None = None,
        closed_tools: Collection[str] = (),
        rate: int | None = None,
        seed: int | None = None,
        state: str | PathLike[str] | None = None,
    ) -> None:
        if mtls and not tls:
            raise ValueError("mtls needs tls")
        if min(pace, batch_pace, token_lifetime, password_token_lifetime) < 0:
            raise ValueError("paces and lifetimes are seconds and can't be negative")
        if rate is not None and rate < 1:
            raise ValueError("rate is at least one request a second")
        if account_kind not in (None, *KIND_SCOPES):
            raise ValueError(f"account_kind is one of {', '.join(KIND_SCOPES)}")
        if result_role not in (None, *RESULT_ROLES):
            raise ValueError(f"result_role is one of {', '.join(RESULT_ROLES)}")
        unknown = {closed_tools} if isinstance(closed_tools, str) else set(closed_tools) - TOOLS
        if unknown:
            raise ValueError(f"closed_tools is a collection of names out of {', '.join(sorted(TOOLS))}")
        self._tls = tls
        self._mtls = mtls
        self._host = host
        self._wanted_port = port
        self._names = [names] if isinstance(names, str) else list(names)
        self._pace = pace
        self._batch_pace = batch_pace
        self._engine = engine
        self._seed = seed
        self._script = Script(seed)
        self._store = None if state is None else Store(Path(state))
        told: dict[str, Any] = {
            "token_lifetime": token_lifetime,
            "password_token_lifetime": password_token_lifetime,
            "strict": strict,
            "rate": rate,
            "result_role": result_role,
            "closed_tools": frozenset(closed_tools),
        }
        if self._store is None:
            self._state = State(account=Account(kind=account_kind), **told)
        else:
            self._state = State.kept_in(self._store, account_kind, **told)
        self._connections = 0
        self._port: int | None = None
        self._certificates: Certificates | None = None
        self._uvicorn: _Uvicorn | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Start serving; return when connections are accepted.

        Raises:
            OSError: The address can't be listened on.
            RuntimeError: The server runs already, or did not come up.
        """
        if self._uvicorn is not None:
            raise RuntimeError("the server runs already")
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listener = socket.create_server((self._host, self._wanted_port), family=family, backlog=2048)
        try:
            self._port = listener.getsockname()[1]
            if self._store is not None:
                self._store.open()
            folder = self._store.folder / "certificates" if self._store else None
            self._certificates = Certificates(self._host, self._names, folder)
            self._uvicorn = _Uvicorn(self._config(self._certificates))
            self._thread = threading.Thread(
                target=self._uvicorn.serve_on, args=(listener,), name="gigachat-server", daemon=True
            )
            self._thread.start()
            if not self._uvicorn.ready.wait(_START_TIMEOUT) or not self._uvicorn.started:
                raise RuntimeError("the local GigaChat server did not start")
        except BaseException:
            self.stop()
            listener.close()
            raise
        return self

    def stop(self) -> None:
        """Stop at once, whatever is open, and remove the certificate files. Harmless when repeated."""
        if self._uvicorn is not None and self._thread is not None:
            self._uvicorn.stop()
            if self._thread.ident is not None:
                self._thread.join(_STOP_TIMEOUT)
        self._uvicorn = None
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
    def scope(self) -> str:
        """The one scope granted to the key."""
        return self._state.account.scope

    @property
    def credentials(self) -> str:
        """The authorization key: base64 of client id and secret."""
        return self._state.account.credentials

    @property
    def client_id(self) -> str:
        """First half of the key."""
        return self._state.account.client_id

    @property
    def client_secret(self) -> str:
        """Second half of the key."""
        return self._state.account.client_secret

    @property
    def user(self) -> str:
        """User name for `/token`."""
        return self._state.account.user

    @property
    def password(self) -> str:
        """Password for `/token`."""
        return self._state.account.password

    @property
    def ca_bundle_file(self) -> str:
        """Path of the authority's certificate, PEM."""
        return self._files.ca_bundle_file

    @property
    def ca_bundle_der_file(self) -> str:
        """Path of the authority's certificate, DER."""
        return self._files.ca_bundle_der_file

    @property
    def client_cert_file(self) -> str:
        """Path of a client certificate of the authority, PEM."""
        return self._files.client_cert_file

    @property
    def client_key_file(self) -> str:
        """Path of the client certificate's key, PEM, not encrypted."""
        return self._files.client_key_file

    @property
    def client_encrypted_key_file(self) -> str:
        """Path of the same key, encrypted with `client_key_password`."""
        return self._files.client_encrypted_key_file

    @property
    def client_key_password(self) -> str:
        """Password of the encrypted key."""
        return self._files.client_key_password

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

    # Orders

    def reply(
        self,
        answer: str | Mapping[str, Any],
        *more: str | Mapping[str, Any],
        when: When | None = None,
        model: str | None = None,
        function: str | None = None,
        always: bool = False,
        after: float = 0.0,
    ) -> None:
        """Order the next chat answers, plain or streamed as it will be asked for.

        Orders are obeyed in the order they were given, each by the first chat that fits it; then those given with
        `always`, the newest first; what no order fits, the engine answers.

        Args:
            answer: The text; or a message of v1 (`content`, `function_call`, `functions_state_id`,
                `reasoning_content`, with `finish_reason` beside them) or of v2 (`content` as an array of parts,
                `tool_state_id`, with `finish_reason` beside them); or a whole answer: with `choices` it goes out
                as it is, with `messages` what it leaves out is added. The forms are translated where the request
                is of the other version.
            more: Answers for the chats after that.
            when: Only for a chat whose last message holds this text, whatever the case, or in which this expression
                is found; or for which this function of a `ReceivedChat` is true.
            model: Only for a chat that names this model.
            function: Only for a chat whose last message is the result of this function; or, if it is no result, that
                offers this function or built-in tool.
            always: Give the last of the answers again and again.
            after: Seconds to wait before answering.
        """
        *once, last = (answer, *more)
        for one in once:
            self._script.add(Reply(one, after, when, model, function))
        self._script.add(Reply(last, after, when, model, function, always))

    def reply_call(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        when: When | None = None,
        model: str | None = None,
        function: str | None = None,
        always: bool = False,
        after: float = 0.0,
    ) -> None:
        """Order that the next chat is answered with a call of a function; the rest is as in `reply`.

        Args:
            name: The function to call.
            arguments: Its arguments; none when None.
            when: See `reply`.
            model: See `reply`.
            function: See `reply`.
            always: See `reply`.
            after: See `reply`.
        """
        call = {"function_call": {"name": name, "arguments": dict(arguments or {})}}
        self.reply(call, when=when, model=model, function=function, always=always, after=after)

    def fail(
        self,
        status: int | None = None,
        message: str | None = None,
        *,
        path: str | None = None,
        times: int | None = 1,
        probability: float = 1.0,
        code: int | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        expired_token: bool = False,
        cut_bytes: int | None = None,
        cut_events: int | None = None,
        drip: float | None = None,
        garbage: bool = False,
        content_type: str | None = None,
    ) -> None:
        """Order that coming requests go wrong: an error before anything else is looked at, or a spoiled answer.

        Args:
            status: HTTP status of an error; None lets the request be answered.
            message: Text; the service's usual one for the status when None.
            path: End of the path of the requests meant; any when None.
            times: How many requests; all when None.
            probability: That a request meant meets it.
            code: Number for the OAuth gateway's error shape.
            body: Bytes to send instead of any JSON; HTML unless they look like JSON.
            headers: Headers to add or replace, such as `Retry-After`.
            delay: Seconds to wait before answering.
            expired_token: 401 as for a token that has expired.
            cut_bytes: Bytes of the body after which the connection is closed.
            cut_events: Events of a stream after which the connection is closed; only a request for a stream is meant.
            drip: Seconds before each single byte of the body.
            garbage: Random bytes in the place of the body.
            content_type: Instead of the right content type.

        Raises:
            ValueError: A value cannot be; the text names it.
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        self.add_fault(Fault(**{**given, "times": times}))

    def add_fault(self, fault: Fault) -> None:
        """Order a fault, as `fail` does; those of a file are read by `faults.faults_from_file`."""
        self._script.add(fault)

    def delay(self, seconds: float, *, path: str | None = None, times: int = 1) -> None:
        """Order a pause before the next `times` requests whose path ends with `path` are looked at; see `fail`."""
        self.fail(delay=seconds, path=path, times=times)

    def cut(self, after_events: int = 3) -> None:
        """Order that the next stream is broken off, its body not ended, after so many events; see `fail`."""
        self.fail(cut_events=after_events)

    def stream_events(self, payloads: Sequence[Payload], *, keep_open: bool = False) -> None:
        """Order the next stream literally.

        Args:
            payloads: Bytes go out as they are, each item in a chunk of its own; a text becomes one `data:` line, a
                dictionary the JSON of one event, a pair of a name and a dictionary a named event as v2 sends them.
                Nothing is added, `[DONE]` neither.
            keep_open: Leave body and connection open after them.
        """
        self._script.add(Events(list(payloads), keep_open))

    def spend(self, package: str, tokens: int) -> None:
        """Take tokens off a package of the balance: `GigaChat`, `GigaChat-Pro`, `GigaChat-Max` or `embeddings`.

        Raises:
            ValueError: There is no such package.
        """
        self._state.spend(package, tokens)

    def revoke_tokens(self) -> None:
        """Refuse every token given out so far: 401 `Unauthorized`."""
        self._state.tokens.revoke()

    # What came

    @property
    def requests(self) -> list[Received]:
        """The requests received so far, oldest first."""
        return self._state.journal.all()

    def requests_to(self, path: str) -> list[Received]:
        """Return the requests whose path ends with `path`."""
        return [request for request in self.requests if request.path.endswith(path)]

    @property
    def connections(self) -> int:
        """Connections accepted so far, handshake included."""
        return self._connections

    @property
    def chats(self) -> list[ReceivedChat]:
        """The chat requests among `requests`, of both versions, read; also those that were answered with an error."""
        return read_chats(self.requests)

    def assert_asked(
        self,
        when: When | None = None,
        *,
        model: str | None = None,
        function: str | None = None,
        times: int | None = None,
    ) -> ReceivedChat:
        """Check that a chat came, and return the last one that fits.

        Args:
            when: A text the last message holds, whatever the case, an expression found in it, or a function of a
                `ReceivedChat`.
            model: The model the chat named.
            function: A function or built-in tool the chat offered, or whose result was its last message; see `reply`.
            times: How many chats must fit, one or more; any number when None.

        Raises:
            AssertionError: None did, or not so many; the text says what was asked.
        """
        __tracebackhide__ = True
        requests = self.requests
        chats = read_chats(requests)
        fitting = [chat for chat in chats if fits(chat, when, model, function)]
        if fitting and times in (None, len(fitting)):
            return fitting[-1]
        words = "nobody asked" if not fitting else f"asked {len(fitting)} times, not {times}:"
        text = f"{words} {wanted(when, model, function)}; {describe(chats, requests, when)}"
        raise AssertionError(text)

    def assert_nothing_asked(self) -> None:
        """Check that no chat came.

        Raises:
            AssertionError: One did; the text says what was asked.
        """
        __tracebackhide__ = True
        chats = self.chats
        if chats:
            raise AssertionError(describe(chats, ()))

    def clear(self) -> None:
        """Forget requests and orders; tokens stay valid."""
        self._state.journal.clear()
        self._script.clear()

    def reset(self) -> None:
        """Begin anew with the same account: requests, orders, files, batches, threads and assistants are gone.

        Address and tokens stay valid. What is at work goes on to its end and is noted no more.
        """
        self._script = Script(self._seed)
        self._state = self._state.fresh()
        self._app = self._application()

    # The machine

    @property
    def _files(self) -> Certificates:
        if self._certificates is None:
            raise RuntimeError("the server has not been started")
        return self._certificates

    def _application(self) -> ASGIApp:
        """Return what answers, with the memory and the orders of this moment."""
        return create_app(
            self._state,
            self._script,
            self._engine,
            pace=self._pace,
            batch_pace=self._batch_pace,
            environment=self.environment if self._certificates is not None else None,
        )

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def _config(self, certificates: Certificates) -> uvicorn.Config:
        self._app = self._application()
        config = uvicorn.Config(
            self._answer,
            http=_protocol(self._connected),
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            workers=1,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
        )
        config.load()
        if self._tls:
            config.ssl = certificates.server_context(client_certificate=self._mtls)
        return config

    def _connected(self) -> None:
        self._connections += 1


def _protocol(connected: Callable[[], None]) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol with a count of connections and the transport handed to the app."""

    class Protocol(H11Protocol):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.logger = _log
            self.access_log = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # The app closes it to break a stream off and asks it for the client's certificate.
            self.app_state = {**self.app_state, "transport": transport}
            # asyncio does this only for sockets made with an explicit protocol number; without it each answer
            # waits 40 ms for the client's delayed acknowledgement.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected()

    return Protocol


class _Uvicorn(uvicorn.Server):
    """uvicorn in a thread that can be stopped at once from another one."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    def serve_on(self, listener: socket.socket) -> None:
        """Serve until stopped; the body of the thread."""
        try:
            asyncio.run(self.serve(sockets=[listener]))
        finally:
            self.ready.set()
            listener.close()

    def stop(self) -> None:
        """Ask the server to stop; callable from any thread."""
        self.should_exit = True
        loop, stopping = self._loop, self._stopping
        if loop is not None and stopping is not None:
            try:
                loop.call_soon_threadsafe(stopping.set)
            except RuntimeError:
                _log.debug("the loop had ended already")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)  # Sets the Date header before the first request.
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        assert self._stopping is not None
        while not self.should_exit:
            try:
                async with asyncio.timeout(1.0):
                    await self._stopping.wait()
            except TimeoutError:
                await self.on_tick(0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A connection accepted this very moment needs some turns of the loop before it can be closed cleanly,
        # and asyncio drops it unclosed if the listening server is closed first.
        for listener in sockets or []:
            with contextlib.suppress(NotImplementedError):  # the loop of Windows
                asyncio.get_running_loop().remove_reader(listener)
        await _turns(5)
        for server in self.servers:
            server.close()
        # Open streams end because their caller is gone, as they would for any other reason.
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        answering = list(self.server_state.tasks)
        if answering:
            await asyncio.wait(answering, timeout=2.0)
        # What is left are handshakes that nobody will finish.
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await _turns(5)


async def _turns(number: int) -> None:
    """Let the loop go round so many times."""
    for _ in range(number):
        await asyncio.sleep(0)
