"""Failures inside a response with status 200: of chats v1 and v2 and of threads, whole and streamed."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from gigachat import APIResponseValidationError, ForbiddenError, GenerationError, ModelUnavailableError
from tests.support.payloads import DONE, sse
from tests.unit.world import COMPLETION, Answer, World, error

CALL = {"name": "weather", "arguments": {}}
DETAILS = {"code": 7, "message": "the model\nwas restarted"}
USAGE_V2 = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}


class Small(BaseModel):
    word: str


def v1(message: dict[str, Any], reason: str, **more: Any) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": "", **message}, "index": 0, "finish_reason": reason}
    return {**COMPLETION, "choices": [choice], **more}


def v2(message: dict[str, Any], reason: str, **more: Any) -> dict[str, Any]:
    parts = [{name.replace("content", "text"): value} for name, value in message.items()]
    messages = [{"role": "assistant", "content": parts}]
    return {"model": "m", "created_at": 1, "messages": messages, "finish_reason": reason, "usage": USAGE_V2, **more}


def thread(message: dict[str, Any], reason: str, **more: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "", **message}
    return {"thread_id": "t", "message": said, "finish_reason": reason, "object": "threads.messages.run", **more}


FORMS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "chat": (v1, ("x",)),
    "chat.create": (v2, ("x",)),
    "threads.run_messages": (thread, (["x"],)),
    "threads.rerun_messages": (thread, ("t",)),
}
FAILURES: list[tuple[dict[str, Any], str]] = [
    ({"reason": "error"}, "the service failed to respond (finish_reason 'error')"),
    ({"reason": "stop", "error_details": DETAILS}, "the service failed to respond: the model was restarted"),
    ({"reason": "error", "error_details": {"code": 7}}, 'the service failed to respond: {"code": 7}'),
    ({"reason": "stop", "error_details": {"message": "x" * 300}}, f"the service failed to respond: {'x' * 200}…"),
]


@pytest.mark.parametrize("method", FORMS)
@pytest.mark.parametrize(("failure", "text"), FAILURES)
def test_a_failure_without_content_is_raised(world: World, method: str, failure: dict[str, Any], text: str) -> None:
    body, arguments = FORMS[method]
    world.answers = [Answer(body({}, **failure))]
    with pytest.raises(GenerationError) as raised:
        world.do(world.client(), method, *arguments)
    assert raised.value.args == (text,)
    assert raised.value.completion.error_details == failure.get("error_details")
    assert len(world.api_requests) == 1  # the service may have billed it


@pytest.mark.parametrize("method", FORMS)
@pytest.mark.parametrize("failure", [{"reason": "error"}, {"reason": "stop", "error_details": DETAILS}])
@pytest.mark.parametrize("message", [{"content": "So far"}, {"function_call": CALL}], ids=["text", "call"])
def test_a_failure_with_content_is_returned(
    world: World, method: str, failure: dict[str, Any], message: dict[str, Any]
) -> None:
    body, arguments = FORMS[method]
    world.answers = [Answer(body(message, **failure))]
    completion = world.do(world.client(), method, *arguments)
    assert completion.error_details == failure.get("error_details")


@pytest.mark.parametrize("method", FORMS)
@pytest.mark.parametrize("details", [None, {}])
def test_no_details_are_no_failure(world: World, method: str, details: Any) -> None:
    body, arguments = FORMS[method]
    world.answers = [Answer(body({}, "stop", error_details=details))]
    assert world.do(world.client(), method, *arguments).error_details == details


@pytest.mark.parametrize("method", ["chat", "chat.create", "threads.rerun_messages", "chat_parse", "chat.parse"])
def test_details_alone_are_a_failure(world: World, method: str) -> None:
    world.answers = [Answer({"error_details": DETAILS, "model": "m"})]
    options: dict[str, Any] = {"response_format": Small} if "parse" in method else {}
    with pytest.raises(GenerationError, match=r"the model was restarted$"):
        world.do(world.client(), method, "x", **options)


@pytest.mark.parametrize(("method", "body"), [("chat_parse", v1), ("chat.parse", v2)])
@pytest.mark.parametrize("failure", [{"reason": "error"}, {"reason": "stop", "error_details": DETAILS}])
@pytest.mark.parametrize("content", ["", '{"word": "so far"}'])
def test_parse_raises_a_failure_with_its_text(
    world: World, method: str, body: Any, failure: dict[str, Any], content: str
) -> None:
    world.answers = [Answer(body({"content": content}, **failure))]
    with pytest.raises(GenerationError) as raised:
        world.do(world.client(), method, "x", response_format=Small)
    assert raised.value.completion.text == content


def chunk_v1(text: str, reason: str | None = None, **more: Any) -> bytes:
    choice = {"delta": {"content": text}, "index": 0, **({"finish_reason": reason} if reason else {})}
    return sse({"choices": [choice], "created": 1, "model": "m", "object": "chat.completion", **more})


def chunk_v2(text: str, reason: str | None = None, **more: Any) -> bytes:
    name = b"event: response.message.done\n" if reason else b"event: response.message.delta\n"
    body = {"model": "m", "created_at": "1", "messages": [{"role": "assistant", "content": [{"text": text}]}], **more}
    return name + sse({**body, **({"finish_reason": reason} if reason else {})})


STREAMS: dict[str, tuple[Any, str]] = {
    "stream": (chunk_v1, "choices"),
    "chat.stream": (chunk_v2, "messages"),
    "threads.rerun_messages_stream": (chunk_v1, "choices"),
}


@pytest.mark.parametrize("method", STREAMS)
@pytest.mark.parametrize("failure", [{"reason": "error"}, {"reason": "stop", "error_details": DETAILS}])
@pytest.mark.parametrize("text", ["", "So far"])
def test_a_stream_raises_after_its_last_chunk(world: World, method: str, failure: dict[str, Any], text: str) -> None:
    event, _ = STREAMS[method]
    answer = Answer(pieces=[event(text) + event("", **failure), DONE])
    world.answers = [answer]
    seen: list[Any] = []
    with pytest.raises(GenerationError) as raised:
        world.read(world.client(), "x", method=method, into=seen)
    assert len(seen) == 2
    assert seen[-1].error_details == failure.get("error_details")
    completion = raised.value.completion
    said = completion.message.content if method.startswith("threads") else completion.text
    assert (said, completion.error_details) == (text, failure.get("error_details"))
    assert answer.state in ("closed", "finished")


@pytest.mark.parametrize("method", STREAMS)
def test_details_alone_end_a_stream(world: World, method: str) -> None:
    event, _ = STREAMS[method]
    world.answers = [Answer(pieces=[event("So far"), sse({"error_details": DETAILS})])]
    seen: list[Any] = []
    with pytest.raises(GenerationError, match=r"restarted$"):
        world.read(world.client(), "x", method=method, into=seen)
    assert len(seen) == (2 if method == "chat.stream" else 1)  # a chunk of v2 may have no messages


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(423, "Locked", Retry_After="1"), ModelUnavailableError),
        (error(403, "The model is temporarily unavailable due to technical reasons"), ForbiddenError),
    ],
    ids=["423", "403"],
)
def test_a_model_that_is_switched_off_is_not_asked_again(world: World, answer: Answer, kind: type[Exception]) -> None:
    world.answers = [answer]
    with pytest.raises(kind, match="choose another model"):
        world.chat(world.client(max_retries=5), "x")
    assert len(world.api_requests) == 1
    assert world.sleeps == []


def test_no_setting_has_a_model_that_is_switched_off_asked_again(world: World) -> None:
    world.answers = [error(423), error(423)]
    with pytest.raises(ModelUnavailableError):
        world.do(world.client(max_retries=5, retry_on_status_codes=[423, 500]), "get_models")
    assert len(world.api_requests) == 1


def test_a_model_that_is_switched_off_in_mid_stream(world: World) -> None:
    world.answers = [Answer(pieces=[chunk_v1("So far"), sse({"status": 423, "message": "Locked"})])]
    seen: list[Any] = []
    with pytest.raises(ModelUnavailableError):
        world.read(world.client(), "x", into=seen)
    assert len(seen) == 1


@pytest.mark.parametrize("body", [{"error_details": []}, {"error_details": {}}, {"error_details": "x"}, [], "x"])
def test_an_invalid_response_without_details_stays_invalid(world: World, body: Any) -> None:
    world.answers = [Answer(body)]
    with pytest.raises(APIResponseValidationError):
        world.chat(world.client(), "x")


@pytest.mark.parametrize("form", [v1, v2])
def test_a_failure_can_be_printed(form: Any) -> None:
    world = World("blocking")
    world.answers = [Answer(form({"content": ""}, "error", error_details={"message": "half \ud83d"}))]
    giga = world.client()
    with pytest.raises(GenerationError) as raised:
        giga.chat("x") if form is v1 else giga.chat.create("x")
    assert str(raised.value) == "the service failed to respond: half ?"
