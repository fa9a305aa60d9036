"""The names in the types for annotations are those that the package knows."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest
from pydantic import TypeAdapter

from gigachat import catalogue, models, types
from gigachat._service import SCOPES
from gigachat.api import arguments


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (types.ModelName, [model.name for model in catalogue.MODELS.values() if model.type == "chat"]),
        (types.EmbedderName, [model.name for model in catalogue.MODELS.values() if model.type == "embedder"]),
        (types.CheckerName, [model.name for model in catalogue.MODELS.values() if model.type == "aicheck"]),
        (types.Scope, SCOPES),
        (types.Role, [role.value for role in models.MessagesRole]),
        (types.Role, arguments._ROLES),
        (types.ChatRole, arguments._ROLES_V2),
    ],
)
def test_the_names_are_the_known_ones(names: Any, known: Any) -> None:
    assert set(get_args(names)) == set(known)


@pytest.mark.parametrize(
    ("fields", "model"), [(types.MessageFields, models.Messages), (types.ChatMessageFields, models.ChatMessage)]
)
def test_the_fields_of_a_message_are_those_of_its_model(fields: Any, model: Any) -> None:
    assert get_type_hints(fields).keys() <= model.model_fields.keys()
    message = {"role": "user", "content": "x"}
    assert TypeAdapter(fields).validate_python(message) == message


def test_every_type_is_public() -> None:
    own = {name for name in vars(types) if name[0].isupper()}
    assert own - {"Any", "Literal", "Mapping", "Required", "Sequence", "TypeAlias", "TypedDict"} == {*types.__all__}
