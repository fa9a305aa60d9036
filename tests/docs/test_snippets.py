"""Every Python snippet of the pages, run as printed against the local server."""

from __future__ import annotations

import contextvars
import gc
import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from gigachat import GigaChat
from gigachat.client import Client
from gigachat.server import GigaChatServer
from tests.docs.pages import ERRORS, FILES, PAGES, READMES, ROOT, SETTINGS, Block, python_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# What the snippets of both READMEs print, in their order.
PRINTED = (
    r".*Какие факторы влияют на стоимость страховки на дом\?.*",
    r".*«Как меня зовут\?».*",
    r".*«Расскажи сказку».*«И ещё одну».*\n \d+",
    r".*«Привет!».*\n.*«Расскажи сказку».*",
    r".*Функция weather вернула: \{\"city\":\"Псков\",\"temperature\":-3\} \{'city': 'Псков'\}",
    r"\w+ 30",
    r"1024\n\d+\n.*«Что купить\?».*\ncat\.jpg\n.*web_search.*«Что нового в Пскове\?».* \['https://example.com/'\]",
)

# The same for the pages of methods.
API = ("docs/api.md", "docs/api.ru.md")
API_PRINTED = (
    r".*«Привет!».*\nstop \d+",
    r".*«Расскажи сказку».*«И ещё одну».*stop",
    r"\w+ 30",
    r".*Функция weather вернула: \{\"city\": \"Псков\", \"temperature\": -3\}\n.*web_search.*«Что нового в Пскове\?».*",
    r"\{'city': 'Псков'.*\}\n\{'city': 'Псков'.*\}",
    r".*«Что купить\?».*\ncat\.jpg \d+\n\[.*'shopping\.txt'.*\]",
    r"(created\n|in_progress\n)*completed\n1 .*«Столица Франции\?».*\n2 .*«Столица Италии\?».*",
    r"weather True\nFalse\n(ai|human|mixed)\n\[\('GigaChat', \d+\).*\]",
    r".*«Привет!».*«Как дела\?».*\nuser Привет!\nassistant .*\nuser Как дела\?\nassistant .*",
    r"200 [0-9a-f-]{36} \d+",
    r"[0-9a-f-]{36}",
    r"request-42",
    r".*«Привет!».*",
    r".*«Привет!».*",
    r".*«Привет!».*",
)

# Quotations, see test_pages; and files, see test_mcp_page, test_testing_page and test_recipes.
NOT_RUN = ("CONTRIBUTING.md", "docs/mcp.md", "docs/mcp.ru.md", "docs/testing.md", "docs/testing.ru.md", *FILES)
RUN = [block for page in PAGES if page not in (*READMES, *API, *NOT_RUN) for block in python_blocks(page)]
API_BLOCKS = [(block, number) for page in API for number, block in enumerate(python_blocks(page))]
README_BLOCKS = [
    pytest.param(block, number, marks=[pytest.mark.slow] if page.endswith(".ru.md") else [])
    for page in READMES
    for number, block in enumerate(python_blocks(page))
]


def each(twins: tuple[str, str]) -> list[Any]:
    """Return both pages as parameters; that in Russian is left out of the sample."""
    return [twins[0], pytest.param(twins[1], marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def _somewhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Files that a snippet writes are not left in the repository."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names other than this machine's are not looked up: a snippet that goes elsewhere fails at once."""
    resolve = socket.getaddrinfo

    def local(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("localhost", "127.0.0.1", "::1", b"localhost", b"127.0.0.1"):
            raise OSError(f"a snippet wanted to reach {host!r}")
        return resolve(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", local)


@pytest.fixture(scope="module")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def server(running: GigaChatServer) -> Iterator[GigaChatServer]:
    running.clear()
    with _environment(running):
        yield running


def _environment(server: GigaChatServer) -> Any:
    # One attempt of a few seconds: a broken snippet fails soon and with the first error.
    limits = {"GIGACHAT_MAX_RETRIES": "0", "GIGACHAT_TIMEOUT": "10"}
    return mock.patch.dict(os.environ, {**server.environment, **limits})


def _filled_in(block: Block, server: GigaChatServer, access_token: str = "") -> str:
    """Return the code of a snippet with its placeholders replaced, as the reader would do it."""
    values = {
        "your-authorization-key": server.credentials,
        "your-client-id": server.account.client_id,
        "your-client-secret": server.account.client_secret,
        "your-user": server.account.user,
        "your-password": server.account.password,
        "your-access-token": access_token,
        "your-key-password": server.certificates.client_key_password,
        "client.pem": server.client_cert_file,
        "client.key": server.certificates.client_encrypted_key_file,
    }
    # In one pass: what is filled in is random, and may look like a placeholder.
    known = re.compile("|".join(map(re.escape, values)))
    assert "your-" not in known.sub("", block.text), f"{block}: a placeholder that the test does not know"
    return known.sub(lambda found: repr(values[found[0]])[1:-1], block.text)


def _snippet(page: str, text: str) -> Block:
    """Return the snippet of a page that contains a text."""
    (found,) = (block for block in python_blocks(page) if text in block.text)
    return found


def _run(code: str, block: Block) -> None:
    program = compile("\n" * block.line + code, block.page, "exec", dont_inherit=True)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    # A context of its own: what a snippet sets there must not reach other tests.
    contextvars.copy_context().run(exec, program, namespace)
    namespace.clear()
    gc.collect()  # clients left open free their connections here


@pytest.mark.parametrize("page", READMES)
def test_it_is_known_what_each_snippet_prints(page: str) -> None:
    assert len(python_blocks(page)) == len(PRINTED)


@pytest.mark.parametrize(("block", "number"), README_BLOCKS, ids=str)
def test_readme_snippet_prints_what_it_promises(
    block: Block, number: int, server: GigaChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(_filled_in(block, server), block)
    printed = capsys.readouterr().out
    assert re.fullmatch(PRINTED[number], printed.strip(), re.DOTALL), printed


@pytest.mark.parametrize("page", API)
def test_it_is_known_what_each_snippet_of_the_api_prints(page: str) -> None:
    assert len(python_blocks(page)) == len(API_PRINTED)


@pytest.mark.slow
@pytest.mark.parametrize(("block", "number"), API_BLOCKS, ids=str)
def test_api_snippet_prints_what_it_promises(
    block: Block, number: int, server: GigaChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(_filled_in(block, server), block)
    printed = capsys.readouterr().out
    assert re.fullmatch(API_PRINTED[number], printed.strip(), re.DOTALL), printed


@pytest.mark.slow
@pytest.mark.parametrize("block", RUN, ids=str)
def test_other_snippets_run(block: Block, server: GigaChatServer) -> None:
    _run(_filled_in(block, server, _token()), block)


@pytest.mark.parametrize("page", each(SETTINGS))
def test_each_way_to_authorize_is_let_in(page: str, server: GigaChatServer) -> None:
    block = _snippet(page, "key_file_password=")
    code = _filled_in(block, server, _token())
    with _made() as clients:
        _run(code, block)
        ways = [_way(client) for client in clients]
        assert ways == ["credentials", "client_id", "user", "access_token", "access_token_provider", "cert_file"]
        for client, way in zip(clients, ways, strict=True):
            if way != "cert_file":
                assert client.chat("Привет!").choices
    with GigaChatServer(mtls=True) as strict, _environment(strict), _made() as clients:
        _run(_filled_in(block, strict, "any"), block)
        assert clients[-1].chat("Привет!").choices
        assert "authorization" not in strict.requests[-1].headers


@pytest.mark.parametrize("page", each(SETTINGS))
def test_the_tenants_token_is_the_one_that_goes_out(page: str, server: GigaChatServer) -> None:
    block = _snippet(page, "authorization_cvar.set(")
    with GigaChat(share_token=False) as other:
        issued = other.get_token()
    assert issued is not None
    server.clear()
    _run(_filled_in(block, server, issued.access_token), block)
    assert [request.path for request in server.requests] == ["/api/v1/chat/completions"]
    assert server.requests[0].headers["authorization"] == f"Bearer {issued.access_token}"


@pytest.mark.parametrize("page", each(ERRORS))
@pytest.mark.parametrize(
    ("status", "printed"), [(429, r"Too many requests at once.*"), (402, r"402 Payment Required: .* buy more .*")]
)
def test_the_errors_snippet_meets_an_error(
    page: str, status: int, printed: str, server: GigaChatServer, capsys: pytest.CaptureFixture[str]
) -> None:
    block = _snippet(page, "except RateLimitError:")
    server.fail(status, path="chat/completions")
    _run(_filled_in(block, server), block)
    out = capsys.readouterr().out.strip()
    assert re.fullmatch(printed, out), out


@pytest.mark.slow
def test_snippets_pass_the_type_checker(tmp_path: Path) -> None:
    for number, block in enumerate([*python_blocks("README.md"), *python_blocks("docs/api.md"), *RUN]):
        (tmp_path / f"snippet_{number}.py").write_text(f"# {block}\n{block.text}", "utf-8")
    arguments = ["--config-file", "pyproject.toml", "--cache-dir", ".mypy_cache", "--no-error-summary"]
    arguments += ["--disable-error-code", "import-untyped"]  # of pandas
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _token() -> str:
    with GigaChat() as giga:
        token = giga.get_token()
    assert token is not None
    return token.access_token


def _way(client: GigaChat) -> str:
    if client._access_token_provider is not None:
        return "access_token_provider"
    settings = client._settings
    kinds = ("access_token", "user", "client_id", "cert_file", "credentials")
    return next(kind for kind in kinds if getattr(settings, kind))


@contextmanager
def _made() -> Iterator[list[Any]]:
    """Collect the clients that are made, and close them."""
    clients: list[Any] = []
    init: Callable[..., None] = Client.__init__

    def noted(client: Any, **options: Any) -> None:
        init(client, **options)
        clients.append(client)

    with mock.patch.object(Client, "__init__", noted):
        yield clients
    for client in clients:
        client.close()
