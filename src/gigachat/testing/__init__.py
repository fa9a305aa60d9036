"""Test a program that uses GigaChat: a pytest plugin with a local server, its clients, and recordings of real answers.

pytest loads this module at each start, so it must not import the client, the server or pydantic before a fixture is
used. Fixtures:

- `gigachat_server`: a running `GigaChatServer`, to which `GigaChat()` in any code goes during the test;
- `gigachat_client`, `gigachat_aclient`: clients of it, closed after the test;
- `gigachat_recorder`: instead of the server, recorded answers of the real service; `--gigachat-record` records them;
- `gigachat_server_options`: arguments of the server, to be overridden.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping

    from gigachat import AsyncGigaChat, GigaChat
    from gigachat.server import GigaChatServer, Message, Received, ReceivedChat
    from gigachat.testing.recorder import Recorder, RecordingServer

__all__ = [
    "GigaChatServer",
    "Message",
    "Received",
    "ReceivedChat",
    "Recorder",
    "gigachat_aclient",
    "gigachat_client",
    "gigachat_recorder",
    "gigachat_server",
    "gigachat_server_options",
]

_MODULES = {
    "GigaChatServer": "gigachat.server",
    "Message": "gigachat.server",
    "Received": "gigachat.server",
    "ReceivedChat": "gigachat.server",
    "Recorder": "gigachat.testing.recorder",
}
_CONNECTION = frozenset(
    f"GIGACHAT_{name}"
    for name in (
        "BASE_URL",
        "V2_BASE_URL",
        "AUTH_URL",
        "CREDENTIALS",
        "API_KEY",
        "AUTH_KEY",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "SCOPE",
        "ACCESS_TOKEN",
        "USER",
        "PASSWORD",
        "VERIFY_SSL_CERTS",
        "CA_BUNDLE_FILE",
        "CERT_FILE",
        "KEY_FILE",
        "KEY_FILE_PASSWORD",
        "PROXY",
    )
)
"""Variables that say where requests go and who sends them; the others are the tested program's own choice."""
_RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # There is no __dir__, because pytest accesses every name that it lists.
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(_imported(_MODULES[name]), name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--gigachat-record`."""
    parser.getgroup("gigachat").addoption(
        "--gigachat-record",
        action="store_true",
        help="let gigachat_recorder ask the real service and write its answers, instead of giving recorded ones",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell the recorder of a test that the test does not pass."""
    report = yield
    recorder = item.stash.get(_RECORDER, None)
    if recorder is None or report.passed:
        return report
    # A test that is expected to fail has no other recording, but it replaces none.
    recorder.passed = hasattr(report, "wasxfail") and not recorder.path.exists()
    if recorder.recording and report.failed and report.when == "call":
        report.sections.append(("gigachat_recorder", f"{recorder.path} was not written: the test failed"))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Write the recording of a test whose fixtures are closed."""
    yield
    recorder = item.stash.get(_RECORDER, None)
    if recorder is not None and (problem := recorder.save()):
        pytest.fail(problem, pytrace=False)


@pytest.fixture(scope="session")
def gigachat_server_options() -> dict[str, Any]:
    """Return arguments for the `GigaChatServer` of `gigachat_server`; override it to give others."""
    return {}


@pytest.fixture(scope="session")
def _gigachat_running_server() -> Iterator[Callable[[Mapping[str, Any]], GigaChatServer]]:
    """Return a function that returns the running server with some options: modules may override them differently."""
    running: list[tuple[Mapping[str, Any], GigaChatServer]] = []
    with ExitStack() as opened:

        def server_of(options: Mapping[str, Any]) -> GigaChatServer:
            for known, server in running:
                if known == options:
                    return server
            started: GigaChatServer = opened.enter_context(_imported("gigachat.server").GigaChatServer(**options))
            running.append((dict(options), started))
            return started

        yield server_of


@pytest.fixture(scope="session")
def _gigachat_recording_server() -> Iterator[RecordingServer]:
    with _imported("gigachat.testing.recorder").RecordingServer() as server:
        yield server


@pytest.fixture
def gigachat_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> GigaChatServer:
    """Return a running local server that knows nothing of other tests; `GIGACHAT_…` variables point at it.

    One server runs for the whole session, or one for each `gigachat_server_options`: its address and key stay the same,
    so that a client kept by your code continues to work. Pauses before retries are switched off, unless
    `GIGACHAT_RETRY_BACKOFF_FACTOR` is set.
    """
    if "gigachat_recorder" in request.fixturenames:
        pytest.fail("a test has either gigachat_server or gigachat_recorder: both say where requests go", pytrace=False)
    options = request.getfixturevalue("gigachat_server_options")
    server: GigaChatServer = request.getfixturevalue("_gigachat_running_server")(options)
    server.reset()
    _set_environment(server, monkeypatch)
    if "GIGACHAT_RETRY_BACKOFF_FACTOR" not in os.environ:
        monkeypatch.setenv("GIGACHAT_RETRY_BACKOFF_FACTOR", "0")
    return server


@pytest.fixture
def gigachat_recorder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Give the test recorded answers of the real service; with `--gigachat-record` record them.

    They are kept in `recordings/<module>.<test>.json` beside the test. To record, the `GIGACHAT_…` variables of a real
    account must be set; then, as without the option, `GigaChat()` in any code goes to a local address. A request that
    was not recorded is refused with 501, and the test fails with a sentence that says what differs.
    """
    recording = bool(request.config.getoption("--gigachat-record"))
    server: RecordingServer = request.getfixturevalue("_gigachat_recording_server")
    module = _imported("gigachat.testing.recorder")
    try:
        recorder: Recorder = module.Recorder(request.path, _nodeid(request.node), recording=recording)
    except module.RecordingError as error:
        pytest.fail(str(error), pytrace=False)
    _set_environment(server, monkeypatch, _CONNECTION | {"GIGACHAT_DEFAULT_QUERY"})
    request.node.stash[_RECORDER] = recorder
    with server.playing(recorder):
        yield recorder
    problems = recorder.finish()
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    if unused := recorder.unused():
        request.node.warn(pytest.PytestWarning(unused))


@pytest.fixture
def gigachat_client(request: pytest.FixtureRequest) -> Iterator[GigaChat]:
    """Return a `GigaChat` of the local server, or of the recordings if the test has `gigachat_recorder`."""
    _start_server(request)
    with import_module("gigachat.client").GigaChat() as client:
        yield client


@pytest.fixture
def gigachat_aclient(request: pytest.FixtureRequest) -> Iterator[AsyncGigaChat]:
    """Return an `AsyncGigaChat`, as `gigachat_client`; it works in any event loop, asyncio's and trio's."""
    _start_server(request)
    import asyncio

    client: AsyncGigaChat = import_module("gigachat.client").AsyncGigaChat()
    yield client
    # A separate event loop, so that the thread's own one is not replaced.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(client.close())


def _nodeid(item: pytest.Item) -> str:
    """Return the id of a test without the group that pytest-xdist adds."""
    names = [node.name for node in item.listchain() if isinstance(node, (pytest.Class, pytest.Item))]
    return "::".join((item.nodeid.partition("::")[0], *names))


def _start_server(request: pytest.FixtureRequest) -> None:
    """Start the recorder if the test uses it, otherwise the local server."""
    recorded = "gigachat_recorder" in request.fixturenames
    request.getfixturevalue("gigachat_recorder" if recorded else "gigachat_server")


def _set_environment(
    server: GigaChatServer, monkeypatch: pytest.MonkeyPatch, instead_of: Collection[str] = _CONNECTION
) -> None:
    for name in tuple(os.environ):
        if name.upper() in instead_of:
            monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    # A proxy of the developer's network does not lead back here.
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name)
        monkeypatch.setenv(name, f"{known},localhost" if known else "localhost")


def _imported(name: str) -> Any:
    """Return a module that needs the extra `server`."""
    try:
        return import_module(name)
    except ImportError as error:
        if (error.name or "").startswith("gigachat"):
            raise
        pytest.fail(
            f'gigachat.testing needs the package {error.name}: pip install ".[server]" in a copy of the repository',
            pytrace=False,
        )
