"""What all tests need, and the sample that `make test` runs."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from zlib import crc32

import pytest

from gigachat.exceptions import GigaChatException
from tests.support.differences import REFUSED, difference

_MODES = ("mode", "world")  # names of parameters that are a mode

collect_ignore = ["clients"]  # they run in environments of their own: make test-clients


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sample",
        action="store_true",
        help="run each value of each parameter once, in one of the modes; few random examples; no slow tests",
    )
    parser.addoption("--transport", help="the transport of clients that name none")
    parser.addoption("--fewer-costly", action="store_true", help="with --sample: run a fifth of the costly tests")


def pytest_configure() -> None:
    # Loading the authorities of the system takes 30 ms for each TLS context, and no test needs them.
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "authority.pem")


def pytest_collection_finish() -> None:
    gc.freeze()  # a test's `gc.collect()` then skips what was imported and collected: 0.2 s each time


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.hookimpl(trylast=True)  # -k and -m choose first
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--sample"):
        return
    few_costly = config.getoption("--fewer-costly")
    covered: set[tuple[object, ...]] = set()
    sample: set[pytest.Item] = set()
    # In the order of a checksum, so that the values of one parameter meet different values of another.
    for item in sorted(items, key=lambda item: crc32(item.nodeid.encode())):
        if item.get_closest_marker("slow"):
            continue
        test = item.nodeid.partition("[")[0]
        call = getattr(item, "callspec", None)
        parameters = call.params if call else {}
        values: set[tuple[object, ...]] = {
            (test, name, _key(value)) for name, value in parameters.items() if name not in _MODES
        }
        values = values or {(test,)}
        if values <= covered:
            continue
        covered |= values
        if not (few_costly and item.get_closest_marker("costly") and crc32(item.nodeid.encode()) % 5):
            sample.add(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in sample])
    items[:] = [item for item in items if item in sample]


def _key(value: object) -> object:
    try:
        hash(value)
    except TypeError:
        return id(value)
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test that does not hold for the transport."""
    if item.config.getoption("--transport") and (reason := difference(item.nodeid)):
        pytest.skip(reason)
    return (yield from _unless_refused(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test whose options the transport refuses."""
    return (yield from _unless_refused(item))


def _unless_refused(item: pytest.Item) -> Generator[None, object, object]:
    try:
        return (yield)
    except GigaChatException as error:
        if item.config.getoption("--transport") and REFUSED in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(autouse=True)
def _logger_as_before() -> Iterator[None]:
    """A snippet that sets up logging must not change what the next test sees."""
    logger = logging.getLogger("gigachat")
    level, handlers = logger.level, logger.handlers.copy()
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture(autouse=True)
def _no_environment_of_the_developer(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """A key or a proxy in the developer's environment must not change what a test sees."""
    for name in tuple(os.environ):
        if name.startswith("GIGACHAT_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    if transport := pytestconfig.getoption("--transport"):
        monkeypatch.setenv("GIGACHAT_TRANSPORT", transport)
