"""Estimates of tokens against the recordings, and their calibration."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from gigachat import AsyncGigaChat, GigaChat, models
from gigachat.estimates import Calibration, TokenEstimate
from tests.contract.replay import Exchange, recording, recordings

UNKNOWN = 0.25
USER = {"role": "user", "content": "Расскажи сказку"}


@dataclass(frozen=True)
class Count:
    """What a recording counted."""

    content: Any
    tokens: int
    end: int = 0


def giga() -> GigaChat:
    return GigaChat(access_token="token", share_token=False)


def counts() -> list[Count]:
    """Return the different counts of the recordings whose texts are all the tokens."""
    found: dict[Any, Count] = {}
    for name in recordings():
        for exchange in recording(name):
            request = exchange.request_body
            if exchange.status != 200 or not isinstance(request, dict) or {"functions", "tools"} & request.keys():
                continue
            if exchange.path.endswith("tokens/count"):
                for text, counted in zip(request["input"], exchange.json, strict=True):
                    found[text, counted["tokens"]] = Count(text, counted["tokens"])
            elif exchange.path.endswith("chat/completions"):
                text, prompt, generated = answered(exchange)
                found[str(request["messages"]), prompt] = Count(request["messages"], prompt)
                found[text, generated] = Count(text, generated, end=1)
    return list(found.values())


def answered(exchange: Exchange) -> tuple[str, int, int]:
    """Return the text of a completion, the tokens of its prompt and its own."""
    if "/v2/" in exchange.path:
        streamed = exchange.request_body.get("stream")
        events = [json.loads(data) for _, data in exchange.named_events] if streamed else [exchange.json]
        parts = [part for event in events for message in event.get("messages", ()) for part in message["content"]]
        usage = events[-1]["usage"]
        return "".join(part["text"] for part in parts), usage["input_tokens"], usage["output_tokens"]
    chunks = [json.loads(data) for data in exchange.events] if exchange.request_body.get("stream") else [exchange.json]
    choices = [chunk["choices"][0] for chunk in chunks]
    text = "".join((choice.get("delta") or choice["message"])["content"] for choice in choices)
    usage = chunks[-1]["usage"]
    return text, usage["prompt_tokens"] + usage["precached_prompt_tokens"], usage["completion_tokens"]


def test_recorded_counts_are_within_the_stated_error() -> None:
    deviations = []
    for count in counts():
        estimate = giga().estimate_tokens(count.content)
        assert estimate.error == UNKNOWN
        deviations.append(abs(estimate.tokens + count.end - count.tokens) / count.tokens)
    assert len(deviations) >= 16
    assert max(deviations) < UNKNOWN
    assert sum(deviations) / len(deviations) < 0.06


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("Hello, world!", 4),
        ("Достопримечательности", 4),
        ("1, 2, 3", 7),
        ("A-1024", 6),
        ("{\n    \"a\": 1\n}", 9),
        ("snake_case_name", 5),
        ("你好世界", 2),
        ("😀", 1),
        ("\ud800", 1),
    ],
)  # fmt: skip
def test_kinds_of_text(text: str, tokens: int) -> None:
    assert giga().estimate_tokens(text).tokens == tokens
    assert giga().estimate_tokens([text, text]).tokens == 2 * tokens


CALL = {"name": "weather", "arguments": {"city": "Псков"}}
V2 = [{"role": "user", "content": [{"text": "Расскажи"}, {"text": "сказку"}]}]
ALONE = 8 + 4 + 3


@pytest.mark.parametrize(
    ("content", "tokens"),
    [
        ([USER], ALONE),
        (USER, ALONE),
        ({"messages": [USER], "temperature": 1}, ALONE),
        ([models.Messages.model_validate(USER)], ALONE),
        (models.Chat.model_validate({"messages": [USER]}), ALONE),
        (V2, ALONE),
        ([models.ChatMessage.model_validate(V2[0])], ALONE),
        (({"role": "system", "content": "Кратко"}, "Расскажи сказку"), ALONE + 4 + 1),
        ([USER, {"role": "assistant", "content": "", "function_call": CALL}], ALONE + 4 + 17),
        ([USER, {"role": "assistant", "content": [{"function_call": CALL}]}], ALONE + 4 + 17),
        ([USER, {"role": "function", "content": [{"function_result": {"name": "f", "result": {}}}]}], ALONE + 4 + 11),
        ([USER, {"role": "assistant", "content": None}], ALONE + 4),
        ([USER, {"role": "user", "content": [{"files": [{"id": "1"}]}]}], ALONE + 4),
        ([], 0),
    ],
)
def test_forms_of_a_prompt(content: Any, tokens: int) -> None:
    assert giga().estimate_tokens(content).tokens == tokens


@pytest.mark.parametrize(
    "content",
    [
        5,
        None,
        [5],
        [USER, 5],
        [{"role": "user", "content": [5]}],
        {"a": 1},
        [USER, {"a": 1}],
        {"messages": None},
        models.Usage(),
        models.ChatCompletion.model_validate({"choices": [], "created": 1}),
    ],
)
def test_what_is_neither_text_nor_messages_is_refused(content: Any) -> None:
    with pytest.raises(TypeError, match="expected texts or messages, not "):
        giga().estimate_tokens(content)


def test_the_largest_number_within_the_error() -> None:
    assert TokenEstimate(10, 0.25).most == 13
    assert TokenEstimate(0, 0.25).most == 0


# Calibration.


def completion(text: str, tokens: int, model: str = "GigaChat:2.0.28.2", prompt: int = 0, **message: Any) -> Any:
    message = {"role": "assistant", "content": text, **message}
    usage = {"prompt_tokens": 1, "precached_prompt_tokens": prompt - 1, "completion_tokens": tokens}
    return models.ChatCompletion.model_validate(
        {"choices": [{"index": 0, "message": message}], "created": 1, "model": model, "usage": usage if prompt else {
            "completion_tokens": tokens}}
    )  # fmt: skip


def completion_v2(parts: list[dict[str, Any]], **usage: Any) -> models.ChatCompletionResponse:
    messages = [{"role": "assistant", "content": parts}]
    return models.ChatCompletionResponse.model_validate({"messages": messages, "model": "GigaChat", "usage": usage})


TEXT = "сказка " * 100


def test_samples_correct_later_estimates() -> None:
    client = giga()
    assert client.estimate_tokens(TEXT) == TokenEstimate(100, UNKNOWN)
    for _ in range(50):
        client.calibrate_tokens(completion(TEXT, 151))
    calibrated = client.estimate_tokens(TEXT)
    assert 146 <= calibrated.tokens <= 150
    assert calibrated.error < 0.1
    # Of one model, with and without its version, for all views of the client.
    assert client.estimate_tokens(TEXT, "GigaChat:latest") == calibrated
    assert client.with_options(timeout=1).estimate_tokens(TEXT) == calibrated
    assert client.estimate_tokens(TEXT, "GigaChat-2") == TokenEstimate(100, UNKNOWN)
    assert giga().estimate_tokens(TEXT) == TokenEstimate(100, UNKNOWN)


def test_the_error_grows_with_deviations() -> None:
    client = giga()
    for tokens in (40, 250) * 20:
        client.calibrate_tokens(completion(TEXT, tokens))
    assert client.estimate_tokens(TEXT).error > 0.5


def test_the_prompt_is_a_sample_too() -> None:
    client = giga()
    for _ in range(50):
        client.calibrate_tokens(completion("", 0, prompt=224), [{"role": "user", "content": TEXT}])
    assert 195 <= client.estimate_tokens(TEXT).tokens <= 200


@pytest.mark.parametrize(
    "sample",
    [
        completion(TEXT, 900, function_call=CALL),
        completion(TEXT, 900, reasoning_content="Думаю"),
        completion("", 900),
        completion(TEXT, 0),
        completion_v2([{"text": TEXT}, {"function_call": CALL}], output_tokens=900),
        completion_v2([{"text": TEXT}, {"files": [{"id": "1"}]}], output_tokens=900),
        completion_v2([{"text": TEXT}]),
        models.ChatCompletionResponse.model_validate({"messages": []}),
        completion_v2([], input_tokens=0),
    ],
)
def test_a_completion_with_other_tokens_changes_nothing(sample: Any) -> None:
    client = giga()
    client.calibrate_tokens(sample, [USER])
    assert client.estimate_tokens(TEXT) == TokenEstimate(100, UNKNOWN)


def test_completions_of_v2_are_samples() -> None:
    client = giga()
    sample = completion_v2([{"text": TEXT}], output_tokens=201, input_tokens=2 * ALONE)
    client.calibrate_tokens(sample, [USER])
    assert 130 < client.estimate_tokens(TEXT).tokens < 140


def test_tokens_from_the_cache_belong_to_the_prompt() -> None:
    messages = [{"role": "user", "content": TEXT}]
    estimates = []
    for sample in (
        completion("", 0, prompt=224),
        completion_v2([], input_tokens=1, input_tokens_details={"prompt_tokens": 1, "cached_tokens": 223}),
        completion_v2([], input_tokens=224),
    ):
        client = giga()
        client.calibrate_tokens(sample, messages)
        estimates.append(client.estimate_tokens(TEXT, "GigaChat"))
    assert estimates[0] == estimates[1] == estimates[2] != TokenEstimate(100, UNKNOWN)


@pytest.mark.parametrize(
    ("sample", "content"), [(None, None), ("text", None), ([], [USER]), (completion(TEXT, 201), 5)]
)
def test_what_is_no_sample_changes_nothing(sample: Any, content: Any) -> None:
    client = giga()
    with pytest.raises(TypeError, match=r"expected (a completion of a chat v1 or v2|texts or messages), not "):
        client.calibrate_tokens(sample, content)
    assert client.estimate_tokens(TEXT) == TokenEstimate(100, UNKNOWN)


def test_older_samples_lose_their_weight() -> None:
    calibration = Calibration({})
    for actual in (50_000, 100_000):
        for _ in range(100):
            calibration.add("GigaChat", 50_000, actual)
    assert calibration.estimate("GigaChat", 100).tokens > 190


def test_models_are_bounded() -> None:
    client = giga()
    for number in range(100):
        client.calibrate_tokens(completion(TEXT, 200, f"Model-{number}:1"))
    assert len(client._service.token_sums) == 64
    assert client.estimate_tokens(TEXT, "Model-63").tokens > 100 == client.estimate_tokens(TEXT, "Model-64").tokens


def test_threads_calibrate_together() -> None:
    client = giga()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: client.calibrate_tokens(completion(TEXT, 201)), range(400)))
    assert 190 <= client.estimate_tokens(TEXT).tokens <= 200


def test_an_async_client_estimates_without_waiting() -> None:
    client = AsyncGigaChat(access_token="token")
    client.calibrate_tokens(completion(TEXT, 201))
    assert client.estimate_tokens(TEXT).tokens > 100
