"""Rules of reading that hold for the models of all answers, those to come among them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Iterator
from typing import Any, get_args

import pytest
from pydantic import ValidationError, create_model
from pydantic.fields import FieldInfo

from gigachat import models
from gigachat.models.base import APIResponse, WireModel
from gigachat.models.chat import Function


def _inside(annotation: Any) -> Iterator[type[WireModel]]:
    """Yield the models in a field's type."""
    if isinstance(annotation, type) and issubclass(annotation, WireModel):
        yield annotation
    for part in get_args(annotation):
        yield from _inside(part)


def _of_answers() -> list[type[WireModel]]:
    """Return the answers' models and those inside them; functions are what the user described, read by other rules."""
    public = [getattr(models, name) for name in dir(models)]
    waiting: list[type[WireModel]] = [
        kind for kind in public if isinstance(kind, type) and issubclass(kind, APIResponse)
    ]
    waiting.append(models.BatchResult)  # a line, which comes without headers
    found: dict[type[WireModel], None] = {}
    while waiting:
        kind = waiting.pop()
        if kind not in found and kind is not Function:
            found[kind] = None
            waiting += [inner for field in kind.model_fields.values() for inner in _inside(field.annotation)]
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


every_model = pytest.mark.parametrize(
    "kind", _of_answers(), ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
)


def _name(name: str, field: FieldInfo) -> str:
    return field.alias or name


def _read(kind: type[WireModel], body: Any) -> tuple[Any, dict[str, str]]:
    """Return what is read of JSON, and what is wrong by field."""
    try:
        return kind.model_validate_json(json.dumps(body)), {}
    except ValidationError as error:
        return None, {str(one["loc"][0]): one["type"] for one in error.errors() if one["loc"]}


@every_model
def test_null_is_as_good_as_nothing(kind: type[WireModel]) -> None:
    """A field that may be absent may be null, and then holds the same."""
    least = _minimal(kind)
    absent, _ = _read(kind, least)
    for name, field in kind.model_fields.items():
        if not field.is_required():
            answer, wrong = _read(kind, {**least, _name(name, field): None})
            assert not wrong, name
            assert getattr(answer, name) == getattr(absent, name), name


@every_model
def test_what_is_not_known_is_kept(kind: type[WireModel]) -> None:
    """A field nobody knows is there under its name, and goes out again."""
    new = {"mood": ["calm", 0.5, None, {"deep": True}]}
    minimal = _minimal(kind)
    answer, wrong = _read(kind, {**minimal, "not_known_yet": new})
    assert not wrong
    assert answer.not_known_yet == new
    assert json.loads(answer.model_dump_json(by_alias=True))["not_known_yet"] == new


PLAIN = {"id_": "id", "object_": "object", "bytes_": "size", "type_": "type"}


@every_model
def test_fields_have_their_plain_names_too_to_be_read(kind: type[WireModel]) -> None:
    answer, _ = _read(kind, _minimal(kind))
    for field in PLAIN.keys() & kind.model_fields.keys():
        name = PLAIN[field]
        assert getattr(answer, name) == getattr(answer, field)
        with pytest.raises(AttributeError, match=f"^{name} of {kind.__name__} is read-only$"):
            setattr(answer, name, "other")
        assert name not in answer.model_dump()


@pytest.mark.parametrize("name", ["id", "object", "size", "type", "text"])
def test_a_subclass_may_have_fields_of_those_names(name: str) -> None:
    for kind in (models.UploadedFile, models.Model, models.ChatCompletion):
        # A warning is an error here.
        own: Any = create_model("Own", __base__=kind, **{name: (str, ...)})  # type: ignore[call-overload]
        answer = own.model_validate({"id": "i", "choices": [], name: "own"})
        assert getattr(answer, name) == answer.model_dump()[name] == "own"
        setattr(answer, name, "other")
        assert getattr(answer, name) == "other"


def test_other_names_can_be_set() -> None:
    function = models.Function(name="f")
    function.id = "own"  # type: ignore[attr-defined]
    assert function.model_dump(exclude_unset=True) == {"name": "f", "id": "own"}


@every_model
def test_headers_are_shown_last(kind: type[WireModel]) -> None:
    answer, _ = _read(kind, _minimal(kind))
    fields = [name for name, _ in answer.__repr_args__()]
    assert "x_headers" not in fields[:-1]


@every_model
def test_an_answer_is_not_awaitable(kind: type[WireModel]) -> None:
    """Code that takes plain and async functions alike awaits whatever can be awaited."""
    answer, _ = _read(kind, _minimal(kind))
    assert not inspect.isawaitable(answer)
    assert not isinstance(answer, Awaitable)


def _minimal(kind: type[WireModel]) -> dict[str, Any]:
    """Return the least JSON that is read, found by what is wrong with less."""
    guesses: list[Any] = ["x", 1, True, [], {}]
    body: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if not field.is_required():
            continue
        key = _name(name, field)
        inner = [_minimal(one) for one in _inside(field.annotation)]
        body[key] = next(guess for guess in (*guesses, *inner) if key not in _read(kind, {key: guess})[1])
    return body
