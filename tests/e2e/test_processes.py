"""A client across processes, loops, copies, interruptions and its own end, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import os
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from pydantic import BaseModel

import gigachat.exceptions
from gigachat import (
    APITimeoutError,
    AsyncGigaChat,
    ClientClosedError,
    GigaChat,
    GigaChatException,
    ResponseError,
    ToolError,
    bulk,
)
from gigachat.mcp import McpTools
from gigachat.server import GigaChatServer
from tests.e2e.test_transport import Broken
from tests.support.callers import Caller, Mode, options
from tests.support.payloads import DONE, chunk, chunked, completion, event, http
from tests.support.programs import LEFT_OPEN, environment, run_quietly
from tests.support.raw_servers import Gate, is_open, raw_server
from tests.support.systems import needs_fork, needs_own_roots, needs_trio
from tests.support.waiting import begun, until

pytestmark = pytest.mark.costly

LONG = "Расскажи о себе"

# Fork.


ANSWERED = """
import asyncio, gc, os, signal, warnings
from gigachat import GigaChat, StreamInterruptedError

# Newer Pythons warn of any fork beside threads. Here it is on purpose.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

def answered(completion, question):
    assert question in completion.choices[0].message.content, (question, completion)

async def ask(giga, question):
    answered(await giga.achat(question), question)

def rest(stream, question, begun):
    text = begun + "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert question in text, (question, text)

signal.alarm(110)  # no child outlives a test that fails

def ended(child):
    assert os.waitpid(child, 0)[1] == 0
"""


@needs_fork
def test_parent_and_child_never_see_each_others_answers(server: GigaChatServer) -> None:
    """With connections open and streams half read, in both modes; what is open goes on in the parent alone."""
    program = f"""{ANSWERED}
def refused(step):
    try:
        step()
    except StreamInterruptedError as error:
        assert "parent process" in str(error), error
    else:
        raise AssertionError("a stream of the parent was read")

async def afirst(stream):
    return (await anext(stream)).choices[0].delta.content or ""

async def arest(stream, question, begun):
    text = begun + "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert question in text, (question, text)

giga = GigaChat()
runner = asyncio.Runner()
answered(giga.chat("before"), "before")
runner.run(ask(giga, "before"))
for number in range(15):
    stream = giga.stream(f"stream {{number}}")
    begun = next(stream).choices[0].delta.content or ""
    astream = giga.astream(f"async stream {{number}}")
    abegun = runner.run(afirst(astream))
    child = os.fork()
    question = f"{{number}} of {{os.getpid()}}"
    answered(giga.chat(question), question)
    if child == 0:
        signal.alarm(110)
        asyncio.run(ask(giga, "async " + question))
        rest(giga.stream("own " + question), "own " + question, "")
        refused(lambda: list(stream))
        refused(lambda: asyncio.run(afirst(astream)))
        if number % 3 == 0:
            stream.close()
            asyncio.run(astream.close())
        elif number % 3 == 1:
            del stream, astream
            gc.collect()
        if number % 2 == 0:
            giga.close()
        answered(GigaChat().chat(question), question)
        os._exit(0)
    ended(child)
    rest(stream, f"stream {{number}}", begun)
    runner.run(arest(astream, f"async stream {{number}}", abegun))
    runner.run(ask(giga, "async " + question))
giga.close()
runner.run(giga.aclose())
runner.close()
"""
    run_quietly(program, server)
    assert len(server.requests_to("oauth")) == 1  # a valid token lives on in the child


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("mode", ["blocking", "async"])
def test_hooks_change_nothing_of_that(server: GigaChatServer, mode: str) -> None:
    """With a hook, requests go through a client of httpx2, whose connections the child must leave alone too."""
    program = f"""{ANSWERED}
giga = GigaChat(max_retries=0, timeout=10)
runner = asyncio.Runner()
seen = []

async def ahook(request):
    seen.append(request)

async def ask_hooked(question):
    giga._aclient  # the client of this loop
    await ask(giga, question)

def chat(question):
    if {mode == "blocking"}:
        answered(giga.chat(question), question)
    else:
        runner.run(ask_hooked(question))

if {mode == "blocking"}:
    giga._client.event_hooks["request"].append(seen.append)
else:
    giga._aclient.event_hooks["request"].append(ahook)
chat("before")
for number in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        runner = asyncio.Runner()
        seen.clear()
        chat(f"child {{number}}")
        assert seen
        os._exit(0)
    chat(f"parent {{number}}")
    ended(child)
    chat(f"parent again {{number}}")
runner.run(giga.aclose())
runner.close()
"""
    run_quietly(program, server)
    assert len(server.requests_to("chat/completions")) == 16


@pytest.mark.slow
@needs_fork
def test_a_child_of_a_busy_thread_pool_can_ask(server: GigaChatServer) -> None:
    """Whatever the other threads held at the moment of the fork: slots, connections, locks, a sign-in under way."""
    program = f"""{ANSWERED}
import threading
from concurrent.futures import ThreadPoolExecutor

giga = GigaChat(max_concurrency=4, queue_timeout=30)
own_token = GigaChat(share_token=False)
# What another thread is importing at the moment of a fork, a child can never import: all that is needed is there first.
answered(giga.chat("before"), "before")
next(giga.stream("before"))
asyncio.run(ask(giga, "before"))
stop = threading.Event()

def busy(number):
    count = 0
    while not stop.is_set():
        answered(giga.chat(f"{{number}} {{count}}"), f"{{number}} {{count}}")
        next(giga.stream("left"))
        count += 1

def fork(number):
    child = os.fork()
    if child == 0:
        signal.alarm(110)
        for count in range(2):
            question = f"child {{number}} {{count}}"
            answered(giga.chat(question), question)
            answered(own_token.chat(question), question)
            asyncio.run(ask(giga, question))
        os._exit(0)
    ended(child)

with ThreadPoolExecutor(9) as pool:
    working = [pool.submit(busy, number) for number in range(7)]
    try:
        for forking in [pool.submit(fork, number) for number in range(15)]:
            forking.result(50)
    finally:
        stop.set()
    for one in working:
        one.result(50)
giga.close()
own_token.close()
"""
    run_quietly(program, server)


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("mode", ["blocking", "async"])
@pytest.mark.parametrize("end", ["dropped", "closed", "read"])
def test_a_child_leaves_alone_a_stream_of_the_parents_own_http_client(
    server: GigaChatServer, end: str, mode: str
) -> None:
    server.reply("word " * 30_000)  # more than the buffers of a socket hold
    program = f"""{ANSWERED}
from gigachat import APIConnectionError
import httpx2, ssl
trust = ssl.create_default_context(cafile=os.environ["GIGACHAT_CA_BUNDLE_FILE"])
giga = GigaChat(http_client=httpx2.Client(verify=trust), async_http_client=httpx2.AsyncClient(verify=trust))
runner = asyncio.Runner()
blocking = {mode == "blocking"}
streams = [giga.stream("held") if blocking else giga.astream("held")]

def following():
    return next(streams[0]) if blocking else runner.run(anext(streams[0]))

text = following().choices[0].delta.content or ""
child = os.fork()
if child == 0:
    signal.alarm(60)
    if {end == "closed"}:
        streams[0].close() if blocking else runner.run(streams[0].close())
    elif {end == "read"}:
        try:
            following()
        except APIConnectionError as error:
            assert "parent process" in str(error), error
        else:
            raise AssertionError("a stream of the parent was read")
    streams.clear()
    gc.collect()
    os._exit(0)
ended(child)
try:
    while True:
        text += following().choices[0].delta.content or ""
except (StopIteration, StopAsyncIteration):
    pass
assert text.split() == ["word"] * 30_000, len(text)
runner.close()
"""
    run_quietly(program, server)


@pytest.mark.slow
@needs_fork
def test_a_stream_of_the_parent_holds_no_slot_in_the_child(server: GigaChatServer) -> None:
    program = f"""{ANSWERED}
giga = GigaChat(max_concurrency=1, queue_timeout=20)
stream = giga.stream("held")
begun = next(stream).choices[0].delta.content or ""
child = os.fork()
if child == 0:
    signal.alarm(110)
    answered(giga.chat("child"), "child")
    stream.close()
    answered(giga.chat("again"), "again")
    os._exit(0)
ended(child)
rest(stream, "held", begun)
giga.close()
"""
    run_quietly(program, server)


@pytest.mark.slow
@needs_fork
@pytest.mark.parametrize("share_token", [True, False])
def test_a_child_does_not_wait_for_a_sign_in_of_the_parent(server: GigaChatServer, share_token: bool) -> None:
    server.delay(2, path="oauth")  # longer than it can take until the fork
    program = f"""{ANSWERED}
import threading, time
from contextlib import suppress
from gigachat import AuthenticationError

# What a first request loads is there before the fork.
with suppress(AuthenticationError), GigaChat(access_token="unknown") as first:
    first.chat("before")
giga = GigaChat(share_token={share_token})
signing_in = threading.Thread(target=giga.chat, args=("x",))
signing_in.start()
while giga._service.authorization._entry.refresh is None:
    time.sleep(0)
child = os.fork()
if child == 0:
    signal.alarm(110)
    answered(giga.chat("child"), "child")
    os._exit(0)
ended(child)
signing_in.join()
giga.close()
"""
    run_quietly(program, server)
    assert len(server.requests_to("oauth")) == 2


@pytest.mark.slow
@needs_fork
def test_workers_forked_by_gunicorn_share_a_client_made_before(server: GigaChatServer, tmp_path: Path) -> None:
    (tmp_path / "application.py").write_text("""
import os
from gigachat import GigaChat

giga = GigaChat()
giga.chat("before the workers")

def application(environ, start_response):
    question = environ["QUERY_STRING"]
    answer = giga.chat(question).choices[0].message.content
    streamed = "".join(giga.stream(question).text_stream)
    start_response("200 OK", [("Worker", str(os.getpid())), ("Connection", "close")])
    return [answer.encode(), b"|", streamed.encode()]
""")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--threads", "3"]
        command += ["--no-control-socket", "--log-level", "warning"]
        command += ["--bind", f"fd://{listener.fileno()}", "application:application"]
        gunicorn = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(server),
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"

        def ask(number: int) -> str:
            response = httpx2.get(f"{address}?question-{number}-", timeout=30, trust_env=False)
            assert response.status_code == 200
            assert [f"question-{number}-" in part for part in response.text.split("|")] == [True, True]
            return response.headers["worker"]

        try:
            with ThreadPoolExecutor(6) as pool:
                workers: set[str] = set()
                for _ in range(100):  # the kernel chooses the worker, and some start late
                    workers |= set(pool.map(ask, range(18)))
                    if len(workers) > 1:
                        break
        finally:
            gunicorn.terminate()
            said, _ = gunicorn.communicate(timeout=60)
    assert len(workers) > 1
    assert str(gunicorn.pid) not in workers
    assert said == ""
    assert len(server.requests_to("oauth")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_pool_of_processes(server: GigaChatServer, method: str, tmp_path: Path) -> None:
    """Clients travel to the workers, answers and errors travel back."""
    if sys.platform == "win32" and method != "spawn":
        pytest.skip("this system has no fork")
    program = tmp_path / "program.py"
    program.write_text(f"""
import asyncio, multiprocessing
from concurrent.futures import ProcessPoolExecutor
from gigachat import AsyncGigaChat, GigaChat, NotFoundError

def ask(giga, question):
    return giga.chat(question)

def ask_async(giga, question):
    return asyncio.run(giga.chat(question))

def fail(giga):
    giga.get_model("none")

def main():
    giga = GigaChat()
    giga.chat("before")
    stream = giga.stream("open")
    next(stream)
    view = giga.with_options(extra_headers={{"X-Of-The-View": "yes"}})
    with ProcessPoolExecutor(2, multiprocessing.get_context({method!r})) as pool:
        asked = [pool.submit(ask, client, f"question {{n}}") for n, client in enumerate((giga, view, giga, view))]
        asked.append(pool.submit(ask_async, AsyncGigaChat(), "question 4"))
        for number, answer in enumerate(asked):
            assert f"question {{number}}" in answer.result(50).choices[0].message.content
        try:
            pool.submit(fail, giga).result(50)
        except NotFoundError as error:
            assert error.status_code == 404 and error.request_id and "get_models" in str(error), error
        else:
            raise AssertionError("no error came")
    assert len(list(stream)) > 1
    giga.close()

if __name__ == "__main__":
    main()
""")
    run_quietly(program, server)
    of_the_view = [request for request in server.requests if "x-of-the-view" in request.headers]
    assert [request.json["messages"][0]["content"] for request in of_the_view] in (
        ["question 1", "question 3"],
        ["question 3", "question 1"],
    )


# Copies.


class Tenant(GigaChat):
    """A user's client, with an `__init__` and state of its own."""

    def __init__(self, name: str, *, labels: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.name = name
        self.labels = labels


def token_of_ours() -> str:
    return "token-of-ours"


def pickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


COPIES: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, pickled]


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_a_copy_asks_as_its_original_does(server: GigaChatServer, copied: Callable[[Any], Any]) -> None:
    giga = Tenant("one", labels=["a"], **options(server), model="GigaChat-2-Pro")
    giga.chat("x")
    stream = giga.stream(LONG)
    next(stream)
    view = giga.with_options(extra_headers={"X-Mine": "1"}, timeout=7, max_retries=1)
    for original in (giga, view):
        twin = copied(original)
        assert type(twin) is Tenant
        assert (twin.name, twin.labels) == ("one", ["a"])
        assert twin.chat("x").choices
        assert server.requests[-1].json["model"] == "GigaChat-2-Pro"
        assert server.requests[-1].headers.get("x-mine") == (None if original is giga else "1")
        assert len([*twin.stream("x")]) > 1
        assert asyncio.run(twin.achat("x")).choices
        if copied is not copy.copy:
            twin.labels.append("b")
            twin.close()
    assert giga.labels == ["a"]
    assert len([*stream]) > 1
    assert giga.chat("x").choices
    giga.close()


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_a_copy_of_an_async_client(server: GigaChatServer, copied: Callable[[Any], Any]) -> None:
    async def main() -> None:
        async with AsyncGigaChat(**options(server)) as giga:
            await giga.chat("x")
            twin = copied(giga.with_options(extra_query={"mine": "1"}))
            assert (await twin.chat("x")).choices
            assert [chunk async for chunk in twin.stream("x")]
            await twin.close()

    asyncio.run(main())
    assert len(server.requests_to("oauth")) == 1


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])
def test_bound_methods_of_all_groups_travel_between_processes(
    server: GigaChatServer, copied: Callable[[Any], Any]
) -> None:
    """As in `pool.submit(giga.chat, "…")`."""
    with GigaChat(**options(server)) as giga:
        assert copied(giga.chat)("x").choices
        assert copied(giga.chat.create)("x").messages
        assert copied(giga.assistants.get)().data == []
        assert copied(giga.threads.get_threads)().threads == []
        assert asyncio.run(copied(giga.achat)("x")).choices
        assert copied(giga.with_options(extra_headers={"X-Mine": "1"}).chat)("x").choices
        assert server.requests[-1].headers["x-mine"] == "1"


def test_a_named_function_for_tokens_travels_along(server: GigaChatServer) -> None:
    giga = GigaChat(base_url=server.base_url, ca_bundle_file=server.ca_bundle_file, access_token_provider=token_of_ours)
    for twin in (copy.deepcopy(giga), pickle.loads(pickle.dumps(giga))):
        token = twin.get_token()
        assert token is not None
        assert token.access_token == "token-of-ours"


def test_what_belongs_to_this_process_is_shared_by_deepcopy_and_refused_by_pickle(server: GigaChatServer) -> None:
    context = ssl.create_default_context(cafile=server.ca_bundle_file)
    reach = {**options(server), "ca_bundle_file": None}
    with httpx2.Client(verify=context) as own:
        for giga in (GigaChat(**reach, http_client=own), GigaChat(**reach, ssl_context=context)):
            assert giga.chat("x").choices
            twin = copy.deepcopy(giga)
            assert twin.chat("x").choices
            twin.close()
            assert giga.chat("x").choices
            with pytest.raises(TypeError, match=r"http_client or ssl_context .* make the client where it is used"):
                pickle.dumps(giga.with_options(timeout=5))
            giga.close()


# Errors.


class Small(BaseModel):
    word: str


@contextmanager
def dropping() -> Iterator[str]:
    def drop(connection: socket.socket, _: bytes) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    with raw_server(drop) as (origin, _):
        yield origin


def errors_met(server: GigaChatServer) -> Iterator[GigaChatException]:
    """Cause every error the SDK has, as a user meets it."""

    def met(act: Callable[[], Any]) -> GigaChatException:
        with pytest.raises(GigaChatException) as raised:
            act()
        return raised.value

    reach = {**options(server), "max_retries": 0}
    with GigaChat(**reach) as giga:
        giga.chat("x")
        for status in (400, 401, 402, 403, 404, 413, 418, 422, 423, 429, 500, 503):
            server.fail(status, "no", path="chat/completions", headers={"Retry-After": "3"}, times=2)
            yield met(lambda: giga.chat("x"))
            server.clear()
        server.fail(400, path="oauth", code=7)
        yield met(GigaChat(**reach, share_token=False).get_token)
        for answer in ('{"word":', '{"wor": 1}'):
            server.reply(answer)
            yield met(lambda: giga.chat_parse("x", response_format=Small))
        for reason in ("length", "blacklist"):
            server.reply({"content": "x", "finish_reason": reason})
            yield met(lambda: giga.chat_parse("x", response_format=Small))
        server.reply({"finish_reason": "error"})
        yield met(lambda: giga.chat("x"))
        server.cut(after_events=2)
        yield met(lambda: list(giga.stream("x")))
        server.stream_events([{"status": 429, "message": "no"}])
        yield met(lambda: list(giga.stream("x")))
        server.stream_events(["not json"])
        yield met(lambda: list(giga.stream("x")))
    yield met(lambda: giga.chat("x"))
    with GigaChat(**reach) as giga:
        yield met(lambda: giga.upload_file(("a.txt", Broken(b"x" * 1_000_000))))
    with GigaChat(**{**reach, "ca_bundle_file": None}) as giga:
        yield met(lambda: giga.chat("x"))
    with GigaChat(**reach, max_connections=1, queue_timeout=0.01) as giga:
        stream = giga.stream("x")
        next(stream)
        yield met(lambda: giga.chat("x"))
    for timeout in ("timeout", "total_timeout"):
        with GigaChat(**{**reach, timeout: 0.000001}) as giga:
            yield met(lambda: giga.chat("x"))
    with dropping() as origin, GigaChat(base_url=origin, access_token="t", max_retries=0) as giga:
        yield met(lambda: giga.chat("x"))
    yield met(lambda: GigaChat(timeout=-1))
    yield met(lambda: GigaChat(credentials="no key", base_url="http://127.0.0.1:1").chat("x"))
    yield gigachat.exceptions.ModelNotSpecifiedError()
    with GigaChat(**server.client_options) as giga:
        server.reply("I would rather not.")
        yield met(lambda: giga.chat_parse("x", into=list[Point]))
        server.reply_call("nowhere")
        yield met(lambda: giga.chat_run("x", tools=[point], on_error="raise"))
        server.reply_call("point", {"x": "left"})
        yield met(lambda: giga.chat_run("x", tools=[point], on_error="raise"))
        yield met(lambda: giga.conversation().load(__file__))
        budget = bulk.Budget(tokens=12)
        rows = [{"text": "x"}, {"text": "x"}]
        yield met(lambda: list(bulk.iterate(rows, giga=giga, prompt="{text}", max_tokens=9, budget=budget)))
        server.reply_call("refuse")
        yield met(lambda: giga.chat_run("x", tools=[refuse], on_error="raise"))
    yield met(lambda: McpTools([sys.executable, "-c", ""]).open())


class Point(BaseModel):
    x: int


def point(x: int) -> Point:
    return Point(x=x)


def refuse() -> None:
    raise ToolError("no")


@needs_own_roots
def test_every_error_travels_between_processes_with_all_it_knows(server: GigaChatServer) -> None:
    met = list(errors_met(server))
    names = set(gigachat.exceptions.__all__) - {"GigaChatWarning"}
    assert {type(error).__name__ for error in met} == names
    with_causes = 0
    for error in met:
        cause = vars(error).pop("cause", None)  # of this process
        with_causes += cause is not None
        for copied in COPIES:
            again: Any = copied(error)
            assert type(again) is type(error)
            assert str(again) == str(error)
            assert again.args == error.args
            assert again.__dict__ == error.__dict__
            if isinstance(error, ResponseError):
                for name in ("message", "code", "request_id", "retry_after", "body"):
                    assert getattr(again, name) == getattr(error, name)
                assert vars(again)["headers"]["Content-Type"] == (error.headers or {})["content-type"]
    assert with_causes > 2


# Loops.


def test_one_client_in_several_event_loops(server: GigaChatServer) -> None:
    giga = GigaChat(**options(server))

    async def main() -> int:
        await asyncio.gather(giga.achat("x"), giga.achat("y"))
        return len([chunk async for chunk in giga.astream("z")])

    for _ in range(3):
        assert asyncio.run(main()) > 1
    assert len(server.requests_to("chat/completions")) == 9
    assert len(server.requests_to("oauth")) == 1


def test_one_client_in_two_loops_of_two_threads_at_once(server: GigaChatServer) -> None:
    giga = GigaChat(**options(server))
    together = threading.Barrier(2)

    async def main(name: str) -> None:
        async def ask(number: int) -> None:
            question = f"{name}-{number}-"
            assert question in (await giga.achat(question)).choices[0].message.content
            together.wait(20)  # the other loop has open connections now
            assert question in await giga.astream(question).get_final_text()

        await ask(0)
        await asyncio.gather(*map(ask_alone, [f"{name}-{number}-" for number in range(1, 15)]))

    async def ask_alone(question: str) -> None:
        assert question in (await giga.achat(question)).choices[0].message.content
        assert question in await giga.astream(question).get_final_text()

    def run(name: str) -> None:
        asyncio.run(main(name))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(run, name) for name in ("left", "right")]:
            done.result(50)
    assert len(server.requests_to("oauth")) == 1


@needs_trio
def test_trio(server: GigaChatServer) -> None:
    asked: list[str] = []

    async def main() -> None:
        async with AsyncGigaChat(**options(server), max_concurrency=2, queue_timeout=20) as giga:

            async def ask(question: str) -> None:
                assert question in (await giga.chat(question)).choices[0].message.content
                assert question in await giga.stream(question).get_final_text()
                asked.append(question)

            async with trio.open_nursery() as nursery:
                for number in range(6):
                    nursery.start_soon(ask, f"question {number}")
            with pytest.raises(GigaChatException, match="404"):
                await giga.get_model("none")
            before = server.connections
            await giga.chat("x")
            assert server.connections == before
        with pytest.raises(GigaChatException, match="closed"):
            await giga.chat("x")

    trio.run(main)
    assert sorted(asked) == [f"question {number}" for number in range(6)]
    assert len(server.requests_to("oauth")) == 1


@needs_trio
@pytest.mark.filterwarnings(LEFT_OPEN)
def test_trio_cancels_retries_and_waits_for_slots(server: GigaChatServer) -> None:
    one_slot: dict[str, Any] = {"max_concurrency": 1, "queue_timeout": 0.05, "retry_backoff_factor": 0.01}

    async def main() -> None:
        async with AsyncGigaChat(**options(server), **one_slot) as giga:
            server.fail(500, path="chat/completions", times=2)
            assert (await giga.chat("x")).choices
            stream = giga.stream(LONG)
            await anext(stream)
            with pytest.raises(APITimeoutError, match="this thread or task holds"):
                await giga.chat("x")
            refused: list[GigaChatException] = []

            async def other() -> None:
                try:
                    await giga.chat("x")
                except GigaChatException as error:
                    refused.append(error)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
            assert "other requests or open streams" in str(refused[0])
            await stream.close()
            server.delay(20, path="chat/completions")
            with trio.move_on_after(0.2) as scope:
                await giga.chat("x")
            assert scope.cancelled_caught
            abandoned = giga.stream(LONG)
            await anext(abandoned)
            del abandoned
            gc.collect()
            assert (await giga.with_options(timeout=20).chat("x")).choices

    trio.run(main)


@needs_trio
def test_a_client_changes_between_trio_and_asyncio(server: GigaChatServer) -> None:
    giga = AsyncGigaChat(**options(server), max_concurrency=1)

    async def ask() -> int:
        assert (await giga.chat("x")).choices
        return len([chunk async for chunk in giga.stream("x")])

    for _ in range(2):
        assert trio.run(ask) == asyncio.run(ask()) > 1

    together = threading.Barrier(2)

    async def many() -> None:
        together.wait(20)
        for _ in range(10):
            await ask()

    with ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(trio.run, many), pool.submit(lambda: asyncio.run(many()))):
            done.result(50)


# The end of a client.


def test_after_its_end_every_call_says_so(server: GigaChatServer, mode: Mode, tmp_path: Path) -> None:
    with Caller(mode, options(server)) as caller:
        giga = caller.giga
        caller.chat("x")
        server.clear()
        view = giga.with_options(timeout=5)
        giga.close()
        caller.run(giga.aclose())
        giga.close()
        caller.run(giga.aclose())
        calls: dict[str, tuple[Any, ...]] = {
            "chat": ("x",),
            "chat.create": ("x",),
            "stream": ("x",),
            "chat.stream": ("x",),
            "embeddings": (["x"],),
            "tokens_count": (["x"],),
            "get_models": (),
            "get_model": ("GigaChat",),
            "upload_file": (("a.txt", b"text"),),
            "get_files": (),
            "get_file": ("1",),
            "download_file": ("1", str(tmp_path / "file")),
            "get_image": ("1",),
            "get_batches": (),
            "get_balance": (),
            "check_ai": ("x", "GigaCheckClassification"),
            "assistants.get": (),
            "threads.get_threads": (),
            "request": ("GET", "/models"),
        }
        for name, arguments in calls.items():
            for client in (giga, view):
                act = partial(caller.read, method=name) if name.endswith("stream") else partial(caller.do, name)
                with pytest.raises(GigaChatException, match="this client is closed"):
                    act(*arguments, giga=client)
    assert server.requests == []


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("count", [1, 2], ids=["for the answer", "for the answer and for a connection"])
def test_what_is_at_work_goes_on_when_the_client_is_closed(mode: Mode, count: int) -> None:
    """And frees its connection at its end, which closing could not."""
    gate = Gate()
    with raw_server(gate.answer) as (origin, received):
        reach = {"base_url": origin, "access_token": "t", "max_retries": 0, "max_connections": 1}
        with Caller(mode, reach) as caller:
            answers: list[Any] = []
            working = begun(lambda: answers.extend(caller.together(count, "x")))
            gate.wait_for(1)
            until(lambda: len(caller.transport._limiter._queue) == count - 1)
            for _ in range(2):
                caller.giga.close()
                asyncio.run(caller.giga.aclose())
            assert is_open(gate.connections[0])
            gate.open(count)
            working.join(20)
            assert [answer.choices[0].message.content for answer in answers] == ["ok"] * count
            assert len(received) == count
            until(lambda: not any(map(is_open, gate.connections)))
            with pytest.raises(ClientClosedError, match="closed"):
                caller.chat("x")


def test_closing_frees_idle_connections(mode: Mode) -> None:
    gate = Gate()
    gate.open(10)
    with raw_server(gate.answer) as (origin, _):
        with Caller(mode, {"base_url": origin, "access_token": "t"}) as caller:
            for _ in range(2):
                caller.chat("x")
            caller.together(2, "x")
            assert all(map(is_open, gate.connections))
        until(lambda: not any(map(is_open, gate.connections)))


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.parametrize("end", ["read", "closed", "collected"])
def test_a_stream_outlives_its_closed_client_and_frees_the_connection(mode: Mode, end: str) -> None:
    connections: list[socket.socket] = []
    go_on = threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connections.append(connection)
        connection.sendall(chunked([event("a")], whole=False))
        go_on.wait(20)
        connection.sendall(chunk(event("a") + DONE) + chunk(b""))

    with raw_server(answer) as (origin, _):
        caller = Caller(mode, {"base_url": origin, "access_token": "t"})
        giga = caller.giga
        stream: Any
        if mode == "blocking":
            with giga:
                stream = giga.stream(LONG)
                next(stream)
            assert is_open(connections[0])
            if end == "read":
                go_on.set()
                assert len([*stream]) == 1
            elif end == "closed":
                stream.close()
        else:

            async def main() -> Any:
                async with giga:
                    stream: Any = giga.astream(LONG)
                    await anext(stream)
                assert is_open(connections[0])
                if end == "read":
                    go_on.set()
                    assert len([chunk async for chunk in stream]) == 1
                elif end == "closed":
                    await stream.close()
                return stream

            stream = caller.run(main())
        if end == "collected":
            del stream
            gc.collect()
            caller.run(asyncio.sleep(0.01))
        until(lambda: not is_open(connections[0]))
        go_on.set()
        caller.close()


def test_a_client_closed_before_its_first_request_can_be_used(server: GigaChatServer, mode: Mode) -> None:
    with Caller(mode, options(server)) as caller:
        caller.giga.close()
        caller.run(caller.giga.aclose())
        assert caller.chat("x").choices
        assert len(server.requests_to("chat/completions")) == 1


def test_aclose_frees_the_connections_of_blocking_calls_too() -> None:
    gate = Gate()
    gate.open()
    with raw_server(gate.answer) as (origin, _):
        giga = GigaChat(base_url=origin, access_token="t")
        giga.chat("x")
        assert is_open(gate.connections[0])
        asyncio.run(giga.aclose())
        until(lambda: not is_open(gate.connections[0]))


def test_nothing_is_left_behind_by_a_client_that_nobody_closed(server: GigaChatServer) -> None:
    program = """
import asyncio, gc
from gigachat import GigaChat
giga = GigaChat()
giga.chat("x")
next(giga.stream("x"))
async def main():
    await giga.achat("x")
    async for chunk in giga.astream("x"):
        break
asyncio.run(main())
del giga
gc.collect()
"""
    run_quietly(program, server)


@pytest.mark.parametrize("work", ["chat", "stream"])
def test_a_notebook_under_nest_asyncio_ends_quietly(server: GigaChatServer, work: str) -> None:
    """Its event loop is neither closed nor shut down, and is collected when modules are already cleared."""
    program = f"""
import asyncio, nest_asyncio
from gigachat import AsyncGigaChat
nest_asyncio.apply()
async def cell():
    giga = AsyncGigaChat()
    if {work == "stream"}:
        stream = giga.stream("x")
        await anext(stream)
    await giga.chat("x")
asyncio.run(cell())
asyncio.run(cell())
"""
    run_quietly(program, server)


@pytest.mark.slow
def test_a_client_left_open_in_a_running_loop_is_collected_quietly(server: GigaChatServer) -> None:
    # The error holds the client in a circle, so that the collector finds it together with its connections.
    program = """
import asyncio, gc
from gigachat import AsyncGigaChat, NotFoundError
async def main():
    giga = AsyncGigaChat()
    try:
        await giga.get_model("none")
    except NotFoundError:
        pass
    del giga
    gc.collect()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
asyncio.run(main())
gc.collect()
"""
    run_quietly(program, server)


@pytest.mark.filterwarnings(LEFT_OPEN)
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="descriptors are counted in /proc")
@pytest.mark.parametrize("what", ["answers", "streams", "errors"])
def test_thousands_of_clients_that_nobody_closed_leave_nothing_open(mode: Mode, what: str) -> None:
    with GigaChatServer(tls=False) as server:
        model = GigaChat(**options(server))
        model.chat("x")
        count = 700 if what == "answers" else 200
        before = descriptors()
        most = 0

        def leave(giga: GigaChat) -> None:
            if what == "answers":
                giga.chat("x")
            elif what == "streams":
                next(giga.stream(LONG))
            else:
                with contextlib.suppress(ResponseError):
                    giga.get_model("none")

        async def aleave(giga: GigaChat) -> None:
            if what == "answers":
                await giga.achat("x")
            elif what == "streams":
                await anext(giga.astream(LONG))
            else:
                with contextlib.suppress(ResponseError):
                    await giga.aget_model("none")

        async def main() -> None:
            nonlocal most
            for _ in range(count):
                await aleave(copy.deepcopy(model))
                most = max(most, descriptors() - before)

        if mode == "hybrid":
            asyncio.run(main())
        else:
            for _ in range(count):
                leave(copy.deepcopy(model))
                most = max(most, descriptors() - before)
        gc.collect()
        until(lambda: descriptors() <= before + 2)  # the server closes its ends a moment later
        assert most < 100
        assert len(server.requests) >= count
        model.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    ["blocking stream", "async stream", "loop not closed", "thread at work", pytest.param("trio", marks=needs_trio)],
)
def test_the_interpreter_ends_quietly_with_streams_open(server: GigaChatServer, end: str) -> None:
    program = {
        "blocking stream": """
from gigachat import GigaChat
giga = GigaChat()
giga.chat("x")
stream = giga.stream("Расскажи о себе")
next(stream)
kept = [stream, lambda: stream]
kept.append(kept)
""",
        "async stream": """
import asyncio
from gigachat import GigaChat
giga = GigaChat()
kept = []
async def main():
    kept.append(giga.astream("Расскажи о себе"))
    await anext(kept[0])
    kept.append(asyncio.create_task(giga.achat("at work")))
    await asyncio.sleep(0)
asyncio.run(main())
""",
        "loop not closed": """
import asyncio
from gigachat import AsyncGigaChat
giga = AsyncGigaChat()
async def main():
    stream = giga.stream("Расскажи о себе")
    await anext(stream)
    return stream
runner = asyncio.Runner()
stream = runner.run(main())
del giga
runner.close()
""",
        "thread at work": """
import threading
from gigachat import GigaChat
giga = GigaChat()
begun = threading.Event()
def work():
    while True:
        next(giga.stream("Расскажи о себе"))
        begun.set()
threading.Thread(target=work, daemon=True).start()
begun.wait(20)
""",
        "trio": """
import trio
from gigachat import AsyncGigaChat
giga = AsyncGigaChat()
async def main():
    stream = giga.stream("Расскажи о себе")
    await anext(stream)
    return stream
stream = trio.run(main)
""",
    }[end]
    run_quietly(program, server)


# Subclasses.


class Noting(GigaChat):
    """Overrides what users override, each calling what it overrides."""

    def __init__(self, **options: Any) -> None:
        self.noted: list[str] = []
        super().__init__(**options)

    def chat(self, payload: Any, **fields: Any) -> Any:  # type: ignore[override]
        self.noted.append("chat")
        return super().chat(payload, **fields)

    async def achat(self, payload: Any, **fields: Any) -> Any:  # type: ignore[override]
        self.noted.append("achat")
        return await super().achat(payload, **fields)

    def stream(self, payload: Any = None, **fields: Any) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        self.noted.append("stream")
        return super().stream(payload, **fields)

    def astream(self, payload: Any = None, **fields: Any) -> Any:
        self.noted.append("astream")
        return super().astream(payload, **fields)

    def get_token(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        self.noted.append("get_token")
        return super().get_token()

    def embeddings(self, texts: Any, model: str = "Embeddings") -> Any:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        self.noted.append("embeddings")
        return super().embeddings(texts, model)

    def close(self) -> None:
        self.noted.append("close")
        super().close()


def test_methods_that_a_subclass_overrides_are_called_each_time(server: GigaChatServer) -> None:
    for made in (copy.copy, copy.deepcopy, pickled, lambda giga: giga.with_options(timeout=9), lambda giga: giga):
        client = made(Noting(**options(server)))
        client.noted = []
        for _ in range(2):
            assert client.chat("x", temperature=0.5).choices
            assert len(list(client.stream("x"))) > 1
            assert client.get_token().access_token
            assert client.embeddings(["x"]).data

            async def main(client: Noting = client) -> None:
                assert (await client.achat("x")).choices
                assert [chunk async for chunk in client.astream("x")]

            asyncio.run(main())
        with client:
            pass
        assert client.noted == ["chat", "stream", "get_token", "embeddings", "achat", "astream"] * 2 + ["close"]


class NotingAsync(AsyncGigaChat):
    """The same of the async client."""

    noted = 0

    async def chat(self, payload: Any, **fields: Any) -> Any:  # type: ignore[override]
        self.noted += 1
        return await super().chat(payload, **fields)

    def stream(self, payload: Any = None, **fields: Any) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride, reportIncompatibleMethodOverride]
        self.noted += 1
        return super().stream(payload, **fields)


def test_a_subclass_of_the_async_client(server: GigaChatServer) -> None:
    async def main() -> int:
        async with NotingAsync(**options(server)) as giga:
            for _ in range(2):
                assert (await giga.chat("x")).choices
                assert [chunk async for chunk in giga.stream("x")]
            return giga.noted

    assert asyncio.run(main()) == 4


# Ctrl-C.


def main_thread_sleeps() -> bool:
    return Path(f"/proc/self/task/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[0] == "S"


@pytest.fixture
def _signals() -> Iterator[None]:
    """Ctrl-C as in a terminal, and a signal that does nothing but have Python look which signals came."""
    # What is started in the background ignores Ctrl-C.
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGUSR1: lambda *_: None}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_signals")
@pytest.mark.skipif(sys.platform != "linux", reason="whether a thread sleeps is read in /proc")
@pytest.mark.parametrize("where", ["waiting for an answer", "inside a stream", "waiting for a slot", "in a pause"])
def test_ctrl_c_leaves_the_client_usable_and_the_slot_free(
    mode: Mode, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    interrupt = threading.Event()
    noticed = threading.Event()

    def interrupt_later() -> None:
        assert interrupt.wait(20)
        until(main_thread_sleeps)
        signal.pthread_kill(main_thread, signal.SIGINT)
        # A signal on the way into a system call is noticed only at its end: a thread that sleeps may wait for its turn.
        while not noticed.wait(0.05):
            signal.pthread_kill(main_thread, signal.SIGUSR1)

    done = threading.Event()

    def answer(connection: socket.socket, request: bytes) -> None:
        if b"interrupted" not in request:
            connection.sendall(http(completion("ok")))
        elif where == "inside a stream":
            connection.sendall(chunked([event("a")], whole=False))
            done.wait(20)
        elif where == "in a pause":
            connection.sendall(http(b"{}", status="503 Busy"))
        else:
            interrupt.set()
            done.wait(20)

    with raw_server(answer) as (origin, _):
        reach = {"base_url": origin, "access_token": f"t-{mode}-{where.replace(' ', '-')}", "max_concurrency": 1}
        with Caller(mode, {**reach, "queue_timeout": 20, "retry_backoff_factor": 50}) as caller:
            monkeypatch.setattr("random.uniform", lambda _, high: high)
            interrupter = begun(interrupt_later)
            if where == "in a pause":
                pause_with(caller, interrupt)
            limiter = caller.giga._service.limiter
            assert limiter is not None
            held = None
            if where == "waiting for a slot":
                held = asyncio.run(limiter.acquire(caller.giga._async.transport, 1, 1))
                begun(partial(interrupt_when, lambda: bool(limiter._queue), interrupt))
            act = read_until_interrupted if where == "inside a stream" else caller_chat
            try:
                with pytest.raises(KeyboardInterrupt):
                    act(caller, interrupt)
            finally:
                noticed.set()
                interrupter.join(20)
            done.set()
            if held is not None:
                held.release()
            assert caller.chat("x").choices
            assert limiter.taken() == 0


def interrupt_when(condition: Callable[[], bool], interrupt: threading.Event) -> None:
    until(condition)
    interrupt.set()


def caller_chat(caller: Caller, _: threading.Event) -> None:
    caller.chat("interrupted")


def pause_with(caller: Caller, interrupt: threading.Event) -> None:
    """Have the next pause between attempts interrupted."""
    sleep = caller.transport.sleep

    async def pause(seconds: float) -> None:
        interrupt.set()
        await sleep(seconds)

    caller.transport.sleep = pause


def read_until_interrupted(caller: Caller, interrupt: threading.Event) -> None:
    if caller.mode == "blocking":
        for _ in caller.giga.stream("interrupted"):
            interrupt.set()
        return

    async def main() -> None:
        async for _ in caller.giga.astream("interrupted"):
            interrupt.set()

    caller.run(main())


def test_an_async_client_can_be_made_while_the_program_ends(server: GigaChatServer) -> None:
    program = """
import atexit, os
from gigachat import AsyncGigaChat

def end():
    try:
        AsyncGigaChat()
    except RuntimeError:
        os._exit(3)

atexit.register(end)
"""
    run_quietly(program, server)
