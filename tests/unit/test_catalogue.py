"""The catalogue of models: names with versions, what the service lists, values of the caller."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from gigachat import catalogue
from gigachat.catalogue import ModelInfo, Price
from tests.contract.replay import recording
from tests.unit.world import Answer, World

MAX = catalogue.MODELS["GigaChat-2-Max"]
PRICE = Price(input=0.5, output=1.0, date=date(2026, 11, 1))
NEW = {"id": "GigaChat-9", "object": "model", "owned_by": "salutedevices", "type": "chat"}


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("GigaChat-2-Max", "GigaChat-2-Max"),
        ("GigaChat-2-Max:latest", "GigaChat-2-Max"),
        ("GigaChat:2.0.28.2", "GigaChat"),
        ("GigaChat-3-Ultra:32.3.18.5", "GigaChat-3-Ultra"),
        ("GigaChat-2-Pro-2025-09", "GigaChat-2-Pro"),
        ("GigaChat-2-Pro-2025-09-01:latest", "GigaChat-2-Pro"),
        ("GigaEmbeddings-3B-2025-09", "GigaEmbeddings-3B-2025-09"),
        ("GigaChat-9", None),
        ("gigachat", None),
        ("", None),
    ],
)
def test_names_with_and_without_a_version(name: str, known: str | None) -> None:
    found = catalogue.find(name)
    assert found == (None if known is None else catalogue.MODELS[known])
    assert catalogue.window(name) == (None if found is None else found.window)


@pytest.mark.parametrize("function", [catalogue.find, catalogue.window])
@pytest.mark.parametrize("model", [None, 5, MAX])
def test_what_is_no_name_is_refused(function: Any, model: Any) -> None:
    with pytest.raises(TypeError, match="model is the name of a model, not "):
        function(model)


def test_windows() -> None:
    assert catalogue.window("GigaChat-2:latest") == 261_120
    assert catalogue.window("GigaChat-preview") is None
    assert catalogue.window("Embeddings") is None


def test_every_recorded_and_every_served_model_is_known() -> None:
    pytest.importorskip("cryptography", reason="the server's dependencies are not installed")
    from gigachat.server.catalogue import MODELS as SERVED

    recorded = [model["id"] for model in recording("get_models")[-1].json["data"]]
    assert {*recorded, *(model.id for model in SERVED)} <= set(catalogue.MODELS)
    for model in SERVED:
        assert catalogue.MODELS[model.id].type == model.type


def test_prices_are_those_of_the_caller() -> None:
    assert all(model.price is None for model in catalogue.MODELS.values())


def test_models_of_the_service_come_first(world: World) -> None:
    listed = {"object": "list", "data": [NEW, {"id": "GigaChat-2-Max", "object": "model", "owned_by": "x"}]}
    world.answers.append(Answer(listed))
    new, best, *others = world.do(world.client(), "models_info")
    assert new == ModelInfo("GigaChat-9", "chat", listed=True)
    assert best == replace(MAX, listed=True)
    assert {model.name for model in others} == set(catalogue.MODELS) - {"GigaChat-2-Max"}
    assert {model.listed for model in others} == {False}
    assert [request.url.rpartition("/")[2] for request in world.api_requests] == ["models"]


def test_values_of_the_caller_win(world: World) -> None:
    world.answers.append(Answer({"object": "list", "data": [{**NEW, "type": "newer"}]}))
    own = [
        ModelInfo("GigaChat-9", window=1000),
        ModelInfo("GigaChat-2-Max", price=PRICE, functions=False),
        ModelInfo("Own", "chat", 8192),
    ]
    models = {model.name: model for model in world.do(world.client(), "models_info", iter(own))}
    assert models["GigaChat-9"] == ModelInfo("GigaChat-9", "newer", 1000, listed=True)
    assert models["GigaChat-2-Max"] == replace(MAX, price=PRICE, functions=False, listed=False)
    assert models["Own"] == ModelInfo("Own", "chat", 8192, listed=False)
    assert catalogue.MODELS["GigaChat-2-Max"] == MAX
