"""What the local server answers beyond chats, embeddings and models: the shapes of the exchanges built from the notes.

Each request is made by the public client over state that was made for it. Fields an exchange shows must be there with
values of the same types; a list may be of another length, and what the service may leave out or leave null may be so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from tests.contract.replay import recording
from tests.contract.test_recordings import ANSWERED_BY_THE_REST, RUN_OPTIONS, STREAMED_BY_THE_REST, fields_of
from tests.support.payloads import WEATHER

from gigachat import ForbiddenError, GigaChat, NotFoundError, ResponseError
from gigachat.server import GigaChatServer

DOCUMENT = """
openapi: 3.0.0
info: {title: Погода, version: '1'}
paths:
  /weather:
    get:
      operationId: weather
      description: Погода в городе
      parameters: [{name: city, in: query, required: true, schema: {type: string}}]
"""
# Left out or null where there is nothing to say.
OPTIONAL = {"warnings", "attachments", "modalities", "output_file_id", "assistant_id", "description"}


class Account:
    """A client of a local server, and what it keeps: a file, two assistants, a thread with an answer, a batch."""

    def __init__(self, server: GigaChatServer, http: httpx2.Client) -> None:
        self.heard: list[httpx2.Response] = []
        http.event_hooks = {"response": [self.hear]}
        self.giga = giga = GigaChat(
            base_url=server.base_url,
            auth_url=server.auth_url,
            credentials=server.credentials,
            http_client=http,
            share_token=False,
            max_retries=0,
        )
        self.file = giga.upload_file(("заметка.txt", "Купить хлеб.")).id_
        about: dict[str, Any] = {"file_ids": [self.file], "functions": [WEATHER], "metadata": {"team": 1}}
        self.assistant = giga.assistants.create(
            "GigaChat", "Помощник", "Отвечай коротко.", "О чём", **about
        ).assistant_id
        # One without functions, so that its answer is text.
        self.talker = giga.assistants.create("GigaChat", "Собеседник").assistant_id
        message = {"role": "user", "content": "Привет", "attachments": [self.file]}
        self.thread = giga.threads.run_messages([message], assistant_id=self.talker).thread_id
        self.batch = giga.create_batch(
            ["Привет", {"model": "unknown", "messages": [{"role": "user", "content": "x"}]}]
        ).id_
        giga.wait_batch(self.batch, poll_interval=0.01, timeout=30)

    def hear(self, response: httpx2.Response) -> None:
        response.read()
        self.heard.append(response)


CALLS: dict[str, Callable[[Account, GigaChat], Any]] = {
    "upload_file": lambda account, giga: giga.upload_file(("заметка.txt", "Купить хлеб.")),
    "get_files": lambda account, giga: giga.get_files(),
    "get_file": lambda account, giga: giga.get_file(account.file),
    "delete_file": lambda account, giga: giga.delete_file(account.file),
    "create_batch": lambda account, giga: giga.create_batch(["Привет"]),
    "get_batches": lambda account, giga: giga.get_batches(),
    "get_batches_one": lambda account, giga: giga.get_batches(account.batch),
    "openapi_function_convert": lambda account, giga: giga.openapi_function_convert(DOCUMENT),
    "validate_function": lambda account, giga: giga.validate_function(WEATHER),
    "validate_function_wrong": lambda account, giga: giga.validate_function({"description": "Погода"}),
    "check_ai": lambda account, giga: giga.check_ai("слово " * 30, "GigaCheckDetection"),
    "check_filter": lambda account, giga: giga.check_filter("Привет", settings={"neuro": True}, functions=[WEATHER]),
    "get_balance": lambda account, giga: giga.get_balance(),
    "assistants_get": lambda account, giga: giga.assistants.get(account.assistant),
    "assistants_create": lambda account, giga: giga.assistants.create("GigaChat", "Другой"),
    "assistants_update": lambda account, giga: giga.assistants.update(account.assistant, name="Другой"),
    "assistants_delete": lambda account, giga: giga.assistants.delete(account.assistant),
    "assistants_delete_file": lambda account, giga: giga.assistants.delete_file(account.assistant, account.file),
    "threads_get_threads": lambda account, giga: giga.threads.get_threads([account.talker], 10),
    "threads_list": lambda account, giga: giga.threads.list(),
    "threads_retrieve": lambda account, giga: giga.threads.retrieve([account.thread]),
    "threads_get_messages": lambda account, giga: giga.threads.get_messages(account.thread, 10),
    "threads_add_message": lambda account, giga: giga.threads.add_message(account.thread, "Привет"),
    "threads_add_messages": lambda account, giga: giga.threads.add_messages(account.thread, ["Привет", "Пока"]),
    "threads_run": lambda account, giga: giga.threads.run(account.thread, account.talker, RUN_OPTIONS),
    "threads_get_run": lambda account, giga: giga.threads.get_run(account.thread),
    "threads_run_messages": lambda account, giga: giga.threads.run_messages(
        ["Привет"], account.thread, account.talker, None, RUN_OPTIONS
    ),
    "threads_rerun_messages": lambda account, giga: giga.threads.rerun_messages(account.thread, RUN_OPTIONS),
}
STREAMS: dict[str, Callable[[Account, GigaChat], Any]] = {
    "threads_run_stream": lambda account, giga: giga.threads.run_stream(account.thread, None, RUN_OPTIONS),
    "threads_run_messages_stream": lambda account, giga: giga.threads.run_messages_stream(["Привет"], account.thread),
    "threads_rerun_messages_stream": lambda account, giga: giga.threads.rerun_messages_stream(account.thread),
}


@contextmanager
def opened() -> Iterator[Account]:
    with GigaChatServer(tls=False) as server, httpx2.Client(trust_env=False) as http:
        yield Account(server, http)


@pytest.fixture(scope="module")
def shared() -> Iterator[Account]:
    with opened() as account:
        yield account


@pytest.fixture
def account(request: pytest.FixtureRequest, shared: Account) -> Iterator[Account]:
    """The account of all tests; a test that deletes something has its own."""
    if "delete" not in request.node.name:
        yield shared
        return
    with opened() as account:
        yield account


def check_shape(answer: Any, documented: Any, place: str = "") -> None:
    """Check that an answer has the fields of a documented one, and values of their types."""
    if isinstance(documented, dict):
        assert isinstance(answer, dict), place
        for name, value in documented.items():
            if name in OPTIONAL and answer.get(name) is None:
                continue
            assert name in answer, f"{place}.{name}"
            if value is not None:
                check_shape(answer[name], value, f"{place}.{name}")
    elif isinstance(documented, list):
        assert isinstance(answer, list), place
        for item in answer:
            # Items of a list may be of several kinds: it must be one of them.
            problems = [problem for other in documented if (problem := _problem(item, other, f"{place}[]"))]
            assert len(problems) < len(documented), problems
    else:
        assert type(answer) is type(documented), place


def _problem(answer: Any, documented: Any, place: str) -> str | None:
    try:
        check_shape(answer, documented, place)
    except AssertionError as error:
        return str(error)
    return None


def test_every_answer_is_checked() -> None:
    assert set(CALLS) == set(ANSWERED_BY_THE_REST)
    assert set(STREAMS) == set(STREAMED_BY_THE_REST)


@pytest.mark.parametrize("name", CALLS)
def test_answers(account: Account, name: str) -> None:
    read = CALLS[name](account, account.giga)
    answer = account.heard[-1]
    documented = recording(name)[-1]
    sent = answer.json()
    check_shape(sent, documented.json)
    assert fields_of(read) == sent
    assert answer.content == json.dumps(sent, ensure_ascii=False, separators=(",", ":")).encode()
    assert answer.headers["content-type"] == documented.headers["content-type"]
    assert read.x_headers["x-request-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("name", STREAMS)
def test_streams(account: Account, name: str) -> None:
    read = list(STREAMS[name](account, account.giga))
    answer = account.heard[-1]
    *lines, end = answer.content.decode().strip().split("\n\n")
    assert end == "data: [DONE]"
    sent = [json.loads(line.removeprefix("data: ")) for line in lines]
    first, last = (json.loads(data) for data in recording(name)[-1].events)
    check_shape(sent[0], first)
    check_shape(sent[-1], last)
    assert [fields_of(chunk) for chunk in read] == sent
    # Prompt tokens are counted by the first chunk only.
    assert [chunk.usage.prompt_tokens > 0 for chunk in read] == [True] + [False] * (len(read) - 1)


def test_lines_of_results(account: Account) -> None:
    results = account.giga.batch_results(account.batch)
    good, bad = (json.loads(line) for line in recording("batch_results")[-1].body.splitlines())
    sent = [json.loads(line) for line in account.heard[-1].content.splitlines()]
    assert [fields_of(result) for result in results] == sent
    check_shape(sent[0], good)
    check_shape(sent[1], bad)


def test_a_new_thread_and_its_end(account: Account) -> None:
    thread = account.giga.threads.create_thread()
    check_shape(account.heard[-1].json(), recording("threads_create_thread")[-1].json)
    assert account.giga.threads.delete(thread) is True
    assert account.heard[-1].content == recording("threads_delete")[-1].body == b""


def test_contents(account: Account) -> None:
    for name in ("get_image", "get_file_content"):
        getattr(account.giga, name)(account.file)
        answer = account.heard[-1]
        assert answer.content == "Купить хлеб.".encode()
        assert answer.headers["content-type"] == recording(name)[-1].headers["content-type"]


REFUSALS: list[tuple[str, Callable[[GigaChat], Any], type[ResponseError]]] = [
    ("get_batches_unknown", lambda giga: giga.get_batches("unknown"), NotFoundError),
    ("get_balance_refused", lambda giga: giga.get_balance(), ForbiddenError),
]


@pytest.mark.parametrize(("name", "call", "error"), REFUSALS, ids=[name for name, _, _ in REFUSALS])
def test_refusals(name: str, call: Callable[[GigaChat], Any], error: type[ResponseError]) -> None:
    with GigaChatServer(tls=False, account_kind="corp") as server:
        with GigaChat(
            base_url=server.base_url,
            auth_url=server.auth_url,
            credentials=server.credentials,
            scope=server.scope,
            share_token=False,
        ) as giga:
            with pytest.raises(error) as caught:
                call(giga)
    documented = recording(name)[-1]
    assert caught.value.body == documented.json
    assert caught.value.status_code == documented.status
