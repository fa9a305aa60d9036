"""Sources that the text of an answer cites, of chats v1 and v2, whole and streamed."""

from __future__ import annotations

import asyncio
import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from gigachat.models import ChatCompletion, ChatCompletionResponse, CitedSource
from tests.support.callers import whole
from tests.support.growth import is_linear
from tests.support.payloads import DONE, sse
from tests.unit.world import COMPLETION, Answer, World

RECORDED = Path(__file__).parents[1] / "contract" / "recorded" / "primary_chat_builtin_tools_a.json"
PAGES = {str(number): {"url": f"https://{number}.example/", "title": f"Page {number}"} for number in (1, 2, 10)}
CITED = {number: CitedSource(number, f"https://{number}.example/", f"Page {number}") for number in (1, 2, 10)}
ONE = CITED[1]


def v1(text: str, data: Any = None) -> ChatCompletion:
    message = {"role": "assistant", "content": text, "inline_data": data}
    return ChatCompletion.model_validate({**COMPLETION, "choices": [{"message": message}]})


def v2(text: str, data: Any = None) -> ChatCompletionResponse:
    message = {"role": "assistant", "content": [{"text": text, "inline_data": data}]}
    return ChatCompletionResponse.model_validate({"messages": [message]})


@pytest.mark.parametrize("answer", [v1, v2])
@pytest.mark.parametrize(
    ("text", "data", "cited"),
    [
        ("A [sources=[2]]. B [sources=[1]]. C [sources=[2]].", {"sources": PAGES}, [CITED[2], ONE]),
        ("A [sources=[10, 1]]", {"sources": PAGES}, [CITED[10], ONE]),
        ("A [sources=[1]][sources=[2]]", {"sources": PAGES, "images": []}, [ONE, CITED[2]]),
        ("A [sources=[3]] [sources=[1]]", {"sources": PAGES}, [ONE]),
        ("A [1], sources=[1], [sources=1], [sources=[]], [sources=[x]]", {"sources": PAGES}, []),
        ("A [sources=[1]]", None, []),
        ("A [sources=[1]]", {}, []),
        ("A [sources=[1]]", {"sources": {"1": {"title": "Page"}}}, [CitedSource(1, None, "Page")]),
        ("", {"sources": PAGES}, []),
        (f"A [sources=[{'9' * 5000}, 1]]", {"sources": {**PAGES, "9" * 5000: {"url": "u"}}}, [ONE]),
        ("A [sources=[\u0661]]", {"sources": {"\u0661": {"url": "u"}}}, []),
    ],
)
def test_sources_are_those_the_text_cites(answer: Any, text: str, data: Any, cited: list[CitedSource]) -> None:
    assert answer(text, data).sources == cited


@pytest.mark.parametrize("data", [{"sources": [1]}, {"sources": {"1": "u"}}, {"sources": {"1": {"url": 5}}}])
def test_other_forms_of_inline_data_are_read(data: Any) -> None:
    assert v1("A [sources=[1]]", data).sources in ([], [CitedSource(1)])


def test_an_answer_without_choices_cites_nothing() -> None:
    assert ChatCompletion.model_validate({**COMPLETION, "choices": []}).sources == []


def test_the_marks_of_a_part_refer_to_its_own_data() -> None:
    other = {"1": {"url": "https://other.example/", "title": "Other"}}
    parts = [
        {"text": "A [sources=[1]]", "inline_data": {"sources": PAGES}},
        {"text": "B [sources=[1]]", "inline_data": {"sources": other}},
        {"text": "C [sources=[2]]"},
        {"function_call": {"name": "f"}},
    ]
    messages = [
        {"role": "reasoning", "content": [{"text": "[sources=[10]]"}], "inline_data": {"sources": PAGES}},
        {"role": "assistant", "content": parts, "inline_data": {"sources": PAGES}},
    ]
    completion = ChatCompletionResponse.model_validate({"messages": messages})
    assert completion.sources == [ONE, CitedSource(1, "https://other.example/", "Other"), CITED[2]]


def test_sources_of_a_recording() -> None:
    bodies = [exchange["response"]["body"] for exchange in json.loads(RECORDED.read_text("utf-8"))]
    (body,) = [body for body in bodies if "[sources=[" in body]
    (source,) = ChatCompletionResponse.model_validate_json(body).sources
    assert (source.number, source.url) == (2, "https://realpython.com/python-news-february-2026/")
    assert source.title is not None
    assert source.title.startswith("pandas 3.0")


def test_sources_are_only_read() -> None:
    for completion in (v1("A"), v2("A")):
        with pytest.raises(AttributeError, match=r"sources of .* is read-only"):
            completion.sources = []  # type: ignore[misc]


def test_a_subclass_may_have_a_field_of_that_name() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Mine(ChatCompletion):
            sources: list[str]  # type: ignore[assignment]

    assert Mine.model_validate({**COMPLETION, "sources": ["mine"]}).sources == ["mine"]


def test_a_source_is_a_value() -> None:
    assert {ONE, CitedSource(1, "https://1.example/", "Page 1")} == {ONE}


@pytest.mark.parametrize("method", ["stream", "chat.stream"])
def test_sources_of_a_stream(world: World, method: str) -> None:
    texts = ["A [sour", "ces=[2]]", " B", " [sources=[1]]"]
    data: list[Any] = [None, {"sources": {"2": PAGES["2"]}, "images": [1]}, None, {"sources": {"1": PAGES["1"]}}]
    pieces = []
    for text, one in zip(texts, data, strict=True):
        more = {} if one is None else {"inline_data": one}
        v1_chunk = {"choices": [{"delta": {"content": text, **more}, "index": 0}]}
        v2_chunk = {"messages": [{"role": "assistant", "content": [{"text": text, **more}]}]}
        pieces.append(sse(v1_chunk if method == "stream" else v2_chunk))
    end = {"choices": [{"delta": {"content": ""}, "index": 0, "finish_reason": "stop"}]}
    world.answers = [Answer(pieces=[*pieces, sse(end if method == "stream" else {"finish_reason": "stop"}), DONE])]
    _, final, completion = whole(world.method(world.client(), method)("x"), asyncio.run)
    assert final == completion.text == "".join(texts)
    assert completion.sources == [CITED[2], ONE]


@pytest.mark.slow
def test_sources_are_found_in_linear_time() -> None:
    def answer(many: int) -> ChatCompletionResponse:
        pages = {str(number): {"url": "u"} for number in range(many)}
        parts = [{"text": f"[sources=[{number}]]"} for number in range(many)]
        message = {"role": "assistant", "content": parts, "inline_data": {"sources": pages}}
        return ChatCompletionResponse.model_validate({"messages": [message]})

    assert len(answer(10_000).sources) == 10_000
    assert is_linear(lambda response: response.sources, answer, 10_000)
