"""The web service of `examples/`: browsers that leave or stop reading, and eight workers with one account."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer
from tests.support.browsers import CASES, UVICORN, browser, chats, check_slot_is_freed, piece, served
from tests.support.programs import environment
from tests.support.systems import needs_fork
from tests.support.waiting import until

pytestmark = [pytest.mark.costly, needs_fork]

EXAMPLES = Path(__file__).parents[2] / "examples"
GUNICORN = ("gunicorn", "--config", str(EXAMPLES / "gunicorn.conf.py"), "--bind", "127.0.0.1:0", "--no-control-socket")

PROGRAM = f"""
import gc, sys
gc.disable()  # no slot depends on it
sys.path.insert(0, {str(EXAMPLES)!r})
import sse_endpoint
sse_endpoint.SEND_TIMEOUT = 0.5
app = sse_endpoint.app
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM, "utf-8")
    return tmp_path


@pytest.mark.parametrize("command", [UVICORN, (*GUNICORN, "--workers", "1")], ids=["uvicorn", "gunicorn"])
@pytest.mark.parametrize("case", CASES)
def test_a_browser_that_reads_no_more_frees_its_slot(
    command: tuple[str, ...], case: str, server: GigaChatServer, folder: Path
) -> None:
    variables = {**environment(server), "GIGACHAT_MAX_CONCURRENCY": "1"}
    with served(folder, *command, "program:app", environment=variables) as port:
        check_slot_is_freed(case, port, "/chat", server)


def test_eight_workers_share_what_the_account_permits(server: GigaChatServer, folder: Path) -> None:
    for _ in range(1000):
        server.stream_events([piece("Жили-были.")], keep_open=True)
    with served(folder, *GUNICORN, "program:app", environment=environment(server)) as port:
        for _ in range(2):  # the second time with the slots that the first browsers leave
            with contextlib.ExitStack() as browsers:
                for _ in range(200):  # the kernel chooses the worker; a browser of a busy one waits
                    connection = browsers.enter_context(browser(port, "/chat"))
                    connection.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        assert connection.recv(12) == b"HTTP/1.1 200"
                    if len(chats(server)) >= 8:
                        break
                until(lambda: len(chats(server)) == 8)
            until(lambda: not chats(server))
    assert len(server.requests_to("/oauth")) == 8
