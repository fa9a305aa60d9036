"""Checks of texts, the balance and what each kind of account may do, over a real socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from gigachat.server import GigaChatServer
from tests.server.api import BODY, SYNTAX, WEATHER, Api, sign_in

if TYPE_CHECKING:
    from gigachat.server.state.state import AccountKind

DETECTION = "GigaCheckDetection"
CLASSIFICATION = "GigaCheckClassification"
TEXT = "Тише едешь, дальше будешь, но иногда всё же стоит поторопиться, не правда ли, друзья? " * 2


def ask_ai(api: Api, text: Any, model: Any = DETECTION) -> httpx2.Response:
    return api.http.post("/ai/check", json={"input": text, "model": model})


def check_ai(api: Api, text: str, model: str = DETECTION) -> dict[str, Any]:
    verdict: dict[str, Any] = ask_ai(api, text, model).raise_for_status().json()
    assert list(verdict) == ["category", "characters", "tokens", "ai_intervals"]
    assert verdict["characters"] == len(text)
    count = api.http.post("/tokens/count", json={"model": "GigaChat", "input": [text]}).json()
    assert verdict["tokens"] == count[0]["tokens"]
    return verdict


@pytest.mark.parametrize("model", [DETECTION, CLASSIFICATION])
def test_a_text_is_of_a_person_unless_ordered_otherwise(api: Api, model: str) -> None:
    verdict = check_ai(api, TEXT, model)
    assert (verdict["category"], verdict["ai_intervals"]) == ("human", [])
    api.server.verdict(category="mixed", ai_intervals=[(1, 5)])
    api.server.verdict(category="ai")
    verdict = check_ai(api, TEXT, model)
    assert (verdict["category"], verdict["ai_intervals"]) == ("mixed", [[1, 5]])
    assert check_ai(api, TEXT, model)["category"] == "ai"
    assert check_ai(api, TEXT, model)["category"] == "human"


@pytest.mark.parametrize(
    ("text", "model", "status", "message"),
    [
        ("слово " * 19, DETECTION, 422, "Invalid params: input must have at least 20 words"),
        ("", DETECTION, 422, "Invalid params: input must have at least 20 words"),
        (None, DETECTION, 422, "Invalid params: input must have at least 20 words"),
        ("word " * 20, DETECTION, 422, "Invalid params: input must be in Russian"),
        ("word " * 15 + "слово " * 5, CLASSIFICATION, 422, "Invalid params: input must be in Russian"),
        (TEXT, "GigaChat", 404, "No such model"),
        (TEXT, None, 404, "No such model"),
        ([TEXT], DETECTION, 400, SYNTAX),
    ],
)
def test_texts_that_cannot_be_checked(api: Api, text: Any, model: Any, status: int, message: str) -> None:
    answer = ask_ai(api, text, model)
    assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})


def test_twenty_words_are_enough(api: Api) -> None:
    assert ask_ai(api, "слово " * 20).status_code == 200


# The filter


def ask_filter(api: Api, *texts: str, **fields: Any) -> httpx2.Response:
    messages = [{"role": "user", "content": text} for text in texts]
    return api.http.post("/filter/check", json={"model": "GigaFilter", "messages": messages, **fields})


def test_the_filter(api: Api) -> None:
    clean = ask_filter(api, "Привет, мир!").json()
    assert list(clean) == ["is_profane", "usage"]
    count = api.http.post("/tokens/count", json={"model": "GigaChat", "input": "Привет, мир!"}).json()
    assert clean == {"is_profane": False, "usage": {"filter_tokens": count[0]["tokens"]}}
    api.server.verdict(category="ai")
    api.server.verdict(is_profane=True)
    assert ask_filter(api, "Привет!").json()["is_profane"] is True
    assert ask_filter(api, "Привет!").json()["is_profane"] is False
    settings = {"neuro": False, "blacklist": True, "whitelist": True, "unnormalized_history": False}
    assert ask_filter(api, "Привет!", settings=settings).status_code == 200


def test_functions_cost_tokens_too(api: Api) -> None:
    without = ask_filter(api, "hi").json()["usage"]["filter_tokens"]
    assert ask_filter(api, "hi", functions=[WEATHER]).json()["usage"]["filter_tokens"] > without


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"model": "GigaChat"}, 404, "No such model"),
        ({"messages": []}, 422, "Invalid params: messages must not be empty"),
        ({"messages": None}, 400, SYNTAX),
        ({"messages": "hi"}, 400, SYNTAX),
        ({"messages": ["hi"]}, 400, SYNTAX),
        ({"messages": [{"role": "nobody", "content": "hi"}]}, 400, SYNTAX),
        ({"settings": []}, 400, SYNTAX),
        ({"settings": {"neuro": 1}}, 400, SYNTAX),
        ({"functions": {}}, 400, SYNTAX),
    ],
)
def test_what_the_filter_refuses(api: Api, change: dict[str, Any], status: int, message: str) -> None:
    answer = ask_filter(api, "hi", **change)
    assert (answer.status_code, answer.json()) == (status, {"status": status, "message": message})


# Accounts

FORBIDDEN = (403, {"status": 403, "message": "Permission denied"})


def test_the_balance(api: Api) -> None:
    answer = api.http.get("/balance").json()
    assert list(answer) == ["balance"]
    assert {"GigaChat", "embeddings"} <= {one["usage"] for one in answer["balance"]}
    for one in answer["balance"]:
        assert list(one) == ["usage", "value"]
        assert type(one["value"]) is int
    assert api.http.get(f"{api.server.origin}/v1/balance").json() == answer


@pytest.mark.parametrize(
    ("kind", "scope", "prepaid", "pays_as_it_goes"),
    [
        (None, "GIGACHAT_API_PERS", True, True),
        ("pers", "GIGACHAT_API_PERS", True, False),
        ("b2b", "GIGACHAT_API_B2B", True, False),
        ("corp", "GIGACHAT_API_CORP", False, True),
    ],
)
def test_kinds_of_accounts(kind: AccountKind | None, scope: str, prepaid: bool, pays_as_it_goes: bool) -> None:
    def check(answer: httpx2.Response, allowed: bool) -> None:
        assert answer.status_code == 200 if allowed else (answer.status_code, answer.json()) == FORBIDDEN

    with GigaChatServer(tls=False, account_kind=kind) as server:
        api = Api(server)
        assert server.scope == server.environment["GIGACHAT_SCOPE"] == scope
        check(api.http.get("/balance"), prepaid)
        check(ask_ai(api, TEXT), pays_as_it_goes)
        check(api.http.get("/batches"), pays_as_it_goes)
        line = b'{"id":"1","request":{}}'
        check(api.http.post("/batches?method=embedder", content=line), pays_as_it_goes)
        check(ask_filter(api, "hi"), True)
        check(api.http.post("/chat/completions", json=BODY), True)
        others = {"GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"} - {scope}
        for other in others:
            refused = sign_in(api.http, server, data={"scope": other})
            assert refused.json() == {"code": 7, "message": "scope from db not fully includes consumed scope"}
        api.http.close()


def test_an_unknown_kind_of_account() -> None:
    with pytest.raises(ValueError, match="account_kind must be one of pers, b2b, corp"):
        GigaChatServer(account_kind="free")  # type: ignore[arg-type]
