"""Structured answers: any type, JSON among words, errors, and asking again."""

from __future__ import annotations

import copy
import enum
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal, NewType

import pytest
from pydantic import AfterValidator, BaseModel, Field, RootModel, TypeAdapter
from typing_extensions import TypedDict

from gigachat import (
    APIResponseValidationError,
    ContentFilterFinishReasonError,
    GenerationError,
    InvalidJSONError,
    LengthFinishReasonError,
    RefusalError,
    SchemaMismatchError,
    ServerError,
)
from gigachat.models import JsonSchemaResponseFormat
from tests.unit.test_failures import v1, v2
from tests.unit.world import Answer, World, error

FORMS: dict[str, Any] = {"chat_parse": v1, "chat.parse": v2}
each_version = pytest.mark.parametrize("method", FORMS)


class Person(BaseModel):
    name: str
    age: int


class Company(BaseModel):
    title: str


class Measured(BaseModel):
    size: float


class Anything(BaseModel):
    note: str = ""


class Node(BaseModel):
    name: str
    children: list[Node] = []


@dataclass
class Point:
    x: int
    y: int


class City(TypedDict):
    title: str


class Color(enum.Enum):
    RED = "red"


class Plain:
    """Of which pydantic knows nothing."""


Meters = NewType("Meters", int)
ANNA = '{"name": "Anna", "age": 30}'
IVAN = '{"name": "Ivan", "age": 41}'


def answering(method: str, text: str, reason: str = "stop", **more: Any) -> Answer:
    return Answer(FORMS[method]({"content": text}, reason, **more))


def parsed(world: World, method: str, text: str, into: Any, **options: Any) -> Any:
    world.answers.append(answering(method, text))
    return world.do(world.client(), method, "x", into=into, **options)[1]


def sent(world: World, number: int = -1) -> Any:
    return json.loads(world.api_requests[number].content or b"")


def asked_format(world: World) -> Any:
    body = sent(world)
    return body.get("model_options", body)["response_format"]


# Types


OBJECTS: list[tuple[Any, str, Any]] = [
    (Person, ANNA, Person(name="Anna", age=30)),
    (Point, '{"x": 1, "y": 2}', Point(1, 2)),
    (City, '{"title": "Псков"}', {"title": "Псков"}),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (Node, '{"name": "a", "children": [{"name": "b"}]}', Node(name="a", children=[Node(name="b")])),
    (TypeAdapter(Person), ANNA, Person(name="Anna", age=30)),
]
VALUES: list[tuple[Any, str, Any]] = [
    (list[Person], f"[{ANNA}]", [Person(name="Anna", age=30)]),
    (list[Node], '[{"name": "a", "children": []}]', [Node(name="a")]),
    (tuple[int, str], '[1, "a"]', (1, "a")),
    (set[int], "[1, 1]", {1}),
    (RootModel[list[int]], "[1]", RootModel[list[int]]([1])),
    (int, "42", 42),
    (str, '"[1] {a}"', "[1] {a}"),
    (date, '"2026-02-03"', date(2026, 2, 3)),
    (Decimal, '"0.12345678901234567890123"', Decimal("0.12345678901234567890123")),
    (Literal["yes", "no"], '"no"', "no"),
    (Person | Company, '{"title": "Сбер"}', Company(title="Сбер")),
    (Person | None, "null", None),
    (Color, '"red"', Color.RED),
    (Annotated[int, Field(gt=1)], "2", 2),
    (Meters, "5", 5),
    (Any, '{"a": 1}', {"a": 1}),
    (TypeAdapter(list[int]), "[1, 2]", [1, 2]),
]


def names(case: Any) -> Any:
    return str(case) if not isinstance(case, str) else ""


@each_version
@pytest.mark.parametrize(("into", "text", "value"), OBJECTS, ids=names)
def test_an_object_is_the_answer_itself(world: World, method: str, into: Any, text: str, value: Any) -> None:
    assert parsed(world, method, text, into) == value
    asked = asked_format(world)
    assert (asked["type"], asked["strict"]) == ("json_schema", True)
    assert asked["schema"]["type"] == "object"
    assert "value" not in asked["schema"].get("properties", {})


@each_version
@pytest.mark.parametrize(("into", "text", "value"), VALUES, ids=names)
def test_another_value_is_asked_for_and_read_as_a_property(
    world: World, method: str, into: Any, text: str, value: Any
) -> None:
    assert parsed(world, method, f'{{"value": {text}}}', into, strict=False) == value
    asked = asked_format(world)
    assert asked["strict"] is False
    assert asked["schema"].keys() - {"$defs"} == {"type", "properties", "required"}
    assert asked["schema"]["required"] == ["value"]
    inner = asked["schema"]["properties"]["value"]
    assert "$defs" not in inner
    # A reference leads somewhere.
    for name in json.dumps(asked).split('"#/$defs/')[1:]:
        assert name.partition('"')[0] in asked["schema"]["$defs"]


@each_version
def test_a_class_of_response_format_is_asked_for_as_before(world: World, method: str) -> None:
    world.answers = [answering(method, "[1]"), answering(method, "[1]")]
    kind = RootModel[list[int]]
    assert world.do(world.client(), method, "x", response_format=kind)[1].root == [1]
    assert asked_format(world)["schema"] == kind.model_json_schema()


@each_version
@pytest.mark.parametrize("option", ["into", "response_format"])
def test_the_flat_form_of_the_schema_is_sent_on_demand(world: World, method: str, option: str) -> None:
    world.answers = [answering(method, '{"name": "a"}')]
    assert world.do(world.client(), method, "x", **{option: Node}, simplify=True)[1] == Node(name="a")
    assert "$" not in json.dumps(asked_format(world)["schema"])


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, TypeError, "give into= with the type of the value"),
    ({"response_format": {"schema": {}}}, TypeError, "pydantic model class; into= takes any type"),
    ({"into": Person, "response_format": Person}, TypeError, "not both"),
    ({"into": Person(name="Anna", age=30)}, TypeError, "not an object of class Person"),
    ({"into": 5}, TypeError, "not an object of class int"),
    ({"into": "Person"}, TypeError, "not an object of class str"),
    ({"into": Plain}, ValueError, "Plain has no JSON Schema: Unable to generate"),
    ({"into": list["Nobody"]}, ValueError, "has no JSON Schema: .* not fully defined"),  # type: ignore[name-defined]  # noqa: F821
    ({"into": Callable[[int], int]}, ValueError, "has no JSON Schema: Cannot generate"),
    ({"into": Person, "repair": -1}, ValueError, "0 or more"),
    ({"into": Person, "repair": True}, ValueError, "0 or more"),
    ({"into": Person, "repair": "2"}, ValueError, "0 or more"),
    ({"into": Person, "repair": 1, "storage": {"is_stateful": True}}, ValueError, "omit one of them"),
]


@each_version
@pytest.mark.parametrize(("options", "kind", "says"), BAD)
def test_bad_arguments_are_refused_before_any_request(
    world: World, method: str, options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says) as raised:
        world.do(world.client(), method, "x", **options)
    assert type(raised.value) is kind
    assert len(str(raised.value).splitlines()) == 1
    assert "Anna" not in str(raised.value)
    assert world.requests == []


def test_a_type_is_a_schema_in_each_format(world: World) -> None:
    expected = {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}
    assert JsonSchemaResponseFormat.model_validate({"schema": int}).schema_ == expected
    assert JsonSchemaResponseFormat.model_validate({"schema": {"type": "integer"}}).schema_ == {"type": "integer"}


# JSON among words


FOUND: list[tuple[Any, str, Any]] = [
    (Person, f"```json\n{ANNA}\n```", "Anna"),
    (Person, f"```\r\n{ANNA}\r\n```", "Anna"),
    (Person, f"Вот ответ:\n```json\n{ANNA}\n```\nГотово.", "Anna"),
    (Person, f"Вот ответ: {ANNA}. Готово.", "Anna"),
    (Person, f"См. [1], [2] и {{}}: {ANNA}", "Anna"),
    (Person, f"Формат {{имя, возраст}}: {ANNA}", "Anna"),
    (Person, f'Формат {{"name": <имя>}}: {ANNA}', "Anna"),
    (Person, f"<think>Может быть, {IVAN}? Нет.</think>\n{ANNA}", "Anna"),
    (Person, f"{ANNA}\n{IVAN}", "Anna"),
    (Person, f'{{"city": "Псков"}} {ANNA}', "Anna"),
    (list[Person], f'Пример: [{IVAN}]. Ответ: {{"value": [{ANNA}]}}', "Anna"),
    (list[Person], f"[{ANNA}]", "Anna"),
    (list[Person], f"Вот: [{ANNA}]", "Anna"),
    (list[Person], f'{{"comment": "\\"value\\": 1", "value": [{ANNA}]}}', "Anna"),
    (Person | Company, f"Вот: {ANNA}", "Anna"),
]


@each_version
@pytest.mark.parametrize(("into", "text", "name"), FOUND)
def test_json_is_found_among_words(world: World, method: str, into: Any, text: str, name: str) -> None:
    value = parsed(world, method, text, into)
    assert (value[0] if isinstance(value, list) else value).name == name


def test_a_list_of_plain_values_is_found_in_fences_but_not_in_prose(world: World) -> None:
    assert parsed(world, "chat_parse", "Вот:\n```json\n[1, 2]\n```", list[int]) == [1, 2]
    with pytest.raises(RefusalError):
        parsed(world, "chat_parse", "Не знаю, см. [1].", list[int])


NOT_FOUND: list[tuple[Any, str, type[Exception], str]] = [
    (Person, "Не могу ответить.", RefusalError, "it has no JSON"),
    (str, "Привет", RefusalError, "it has no JSON"),
    (Person, "<think>" + ANNA, RefusalError, "it has no JSON"),
    (Person, "", InvalidJSONError, "the answer has no text"),
    (Person, '{"name": "Anna", "age": 30', InvalidJSONError, "the JSON is invalid: Expecting ',' delimiter: line 1"),
    (Person, "{'name': 'Anna'}", InvalidJSONError, "the JSON is invalid"),
    (Person, "[" * 200_000, InvalidJSONError, "nested too deeply"),
    (int, "[" + "1" * 5000 + "]", InvalidJSONError, "the JSON is invalid"),
    (list[Person], f'{{"value": [{ANNA}, {IVAN}', InvalidJSONError, "the JSON is invalid"),
    (Anything, '{"people": [{"note": "one"}, {"note": "two"', InvalidJSONError, "the JSON is invalid"),
    (Person, '{"name": "Anna"}', SchemaMismatchError, "does not fit Person: age: Field required"),
    (Person, '{"name": 1, "age": "x"}', SchemaMismatchError, r"name: .* \(and 1 more\)"),
    (Person, f'{{"result": {ANNA}}}', SchemaMismatchError, r"name: Field required"),
    (int, "42", SchemaMismatchError, "value: the property is missing"),
    (int, '{"answer": 42}', SchemaMismatchError, "Input should be a valid integer"),
    (
        list[Person],
        f'{{"value": [{ANNA}, {{"name": "Ivan"}}]}}',
        SchemaMismatchError,
        r"value\[1\].age: Field required",
    ),
    (Anything | None, '{"value": 5}', SchemaMismatchError, "value: Input should be"),
    (float, '{"value": NaN}', SchemaMismatchError, "value: NaN is not a number in JSON"),
    (Measured, '{"size": -Infinity}', SchemaMismatchError, "-Infinity is not a number in JSON"),
    (list[Person], "[5]", SchemaMismatchError, r"does not fit list\[Person\]: "),
    (Annotated[int, Field(gt=5)], '{"value": 1}', SchemaMismatchError, "does not fit int: value: "),
    (Person | None, '{"value": 5}', SchemaMismatchError, r"does not fit Person \| None: "),
    (dict[str, Literal["a"]], '{"x": 5}', SchemaMismatchError, r"does not fit dict\[str, Literal\['a'\]\]: "),
    (tuple[int, ...], '{"value": ["x"]}', SchemaMismatchError, r"does not fit tuple\[int, \.\.\.\]: "),
]


@each_version
@pytest.mark.parametrize(("into", "text", "kind", "says"), NOT_FOUND)
def test_what_is_not_there_is_not_guessed(
    world: World, method: str, into: Any, text: str, kind: type[Any], says: str
) -> None:
    with pytest.raises(kind, match=says) as raised:
        parsed(world, method, text, into)
    assert type(raised.value) is kind
    assert "Anna" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert [one.text for one in raised.value.completions] == [text]
    assert raised.value.completion is raised.value.completions[0]
    assert raised.value.usage is raised.value.completion.usage
    for twin in (copy.copy(raised.value), pickle.loads(pickle.dumps(raised.value))):
        assert (twin.problems, twin.completions) == (raised.value.problems, raised.value.completions)


def test_the_tries_are_bounded(world: World) -> None:
    validated: list[str] = []

    class Counted(BaseModel):
        a: str

        @classmethod
        def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Counted:
            validated.append(str(json_data))
            return super().model_validate_json(json_data, **options)

    world.answers.append(answering("chat_parse", '{"b": 1} ' * 5000))
    with pytest.raises(SchemaMismatchError):
        world.do(world.client(), "chat_parse", "x", response_format=Counted)
    assert 900 < len(validated) < 1100


def test_a_validator_of_the_caller_is_quoted_in_one_line(world: World) -> None:
    class Strict(BaseModel):
        @classmethod
        def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Strict:
            raise ValueError("no luck")

    world.answers.append(answering("chat_parse", "{}"))
    with pytest.raises(SchemaMismatchError, match="does not fit Strict: no luck"):
        world.do(world.client(), "chat_parse", "x", response_format=Strict)


def looked_up(name: str) -> str:
    return {"Anna": "Анна"}[name]


Known = Annotated[str, AfterValidator(looked_up)]


class Friend(BaseModel):
    name: Known


@each_version
@pytest.mark.parametrize(
    ("into", "text", "problem"),
    [(Known, '{"value": "Ivan"}', "value: KeyError: 'Ivan'"), (Friend, '{"name": "Ivan"}', "KeyError: 'Ivan'")],
    ids=["value", "model"],
)
def test_any_exception_of_a_validator_is_a_mismatch(
    world: World, method: str, into: Any, text: str, problem: str
) -> None:
    world.answers = [counted(method, text)]
    with pytest.raises(SchemaMismatchError, match=problem) as raised:
        world.do(world.client(), method, "x", into=into)
    assert raised.value.problems == [problem]
    assert raised.value.completion.text == text
    assert raised.value.usage.total_tokens == 12
    assert isinstance(raised.value.__cause__, KeyError)


@each_version
def test_any_exception_of_a_validator_is_asked_again(world: World, method: str) -> None:
    world.answers = [counted(method, '{"name": "Ivan"}'), counted(method, '{"name": "Anna"}')]
    assert world.do(world.client(), method, "x", into=Friend, repair=1)[1] == Friend.model_construct(name="Анна")
    assert "KeyError: 'Ivan'" in said(sent(world)["messages"][2])


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_exit_of_a_validator_is_raised(world: World, error: type[BaseException]) -> None:
    def leave(name: str) -> str:
        raise error

    world.answers = [answering("chat_parse", '{"value": "x"}')]
    with pytest.raises(error):
        world.do(world.client(), "chat_parse", "x", into=Annotated[str, AfterValidator(leave)])


@each_version
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("length", LengthFinishReasonError),
        ("blacklist", ContentFilterFinishReasonError),
        ("request_blacklist", ContentFilterFinishReasonError),
        ("error", GenerationError),
    ],
)
def test_an_answer_that_is_not_whole_is_not_read_nor_asked_for_again(
    world: World, method: str, reason: str, kind: type[Any]
) -> None:
    world.answers = [answering(method, ANNA, reason)]
    with pytest.raises(kind) as raised:
        world.do(world.client(), method, "x", into=Person, repair=3)
    assert type(raised.value) is kind
    assert [one.text for one in raised.value.completions] == [ANNA]
    assert raised.value.usage == raised.value.completion.usage
    assert len(world.api_requests) == 1


def test_a_call_of_a_function_is_not_asked_for_again(world: World) -> None:
    world.answers = [Answer(v1({"function_call": {"name": "f", "arguments": {}}}, "function_call"))]
    with pytest.raises(APIResponseValidationError, match="it calls a function") as raised:
        world.do(world.client(), "chat_parse", "x", into=Person, repair=3)
    assert type(raised.value) is APIResponseValidationError
    assert len(world.api_requests) == 1


# Asking again


USAGE: dict[str, Any] = {
    "chat_parse": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "precached_prompt_tokens": 1},
    "chat.parse": {
        "input_tokens": 10,
        "output_tokens": 2,
        "total_tokens": 12,
        "input_tokens_details": {"cached_tokens": 1},
    },
}


def counted(method: str, text: str, reason: str = "stop") -> Answer:
    return answering(method, text, reason, usage=USAGE[method])


def said(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@each_version
def test_the_model_is_asked_again_with_its_last_answer_and_what_is_wrong(world: World, method: str) -> None:
    world.answers = [counted(method, "Не могу."), counted(method, '{"name": "Anna"}'), counted(method, ANNA)]
    completion, value = world.do(world.client(), method, "x", into=Person, repair=2, temperature=0.2)
    assert value == Person(name="Anna", age=30)
    first, second, third = (sent(world, number) for number in range(3))
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert said(second["messages"][1]) == "Не могу."
    assert "it has no JSON" in said(second["messages"][2])
    # The second one takes the place of the first.
    assert [said(message) for message in third["messages"][:2]] == ["x", '{"name": "Anna"}']
    assert len(third["messages"]) == 3
    assert "age: Field required" in said(third["messages"][2])
    for body in (second, third):
        assert {**body, "messages": first["messages"]} == first
    usage = completion.usage.model_dump(exclude_unset=True)
    assert usage["total_tokens"] == 36
    assert 3 in (usage.get("precached_prompt_tokens"), usage.get("input_tokens_details", {}).get("cached_tokens"))


@each_version
def test_fields_without_a_name_are_kept_when_the_model_is_asked_again(world: World, method: str) -> None:
    world.answers = [counted(method, "{"), counted(method, ANNA)]
    world.do(world.client(), method, "x", into=Person, repair=1, additional_fields={"new": 1})
    assert [sent(world, number)["new"] for number in range(2)] == [1, 1]
    assert [message["role"] for message in sent(world)["messages"]] == ["user", "assistant", "user"]


@each_version
def test_the_error_has_every_completion(world: World, method: str) -> None:
    world.answers = [counted(method, text) for text in ("one", "{", "{}")]
    with pytest.raises(SchemaMismatchError) as raised:
        world.do(world.client(), method, "x", into=Person, repair=2)
    assert [one.text for one in raised.value.completions] == ["one", "{", "{}"]
    assert raised.value.completion is raised.value.completions[-1]
    assert raised.value.completion.usage.total_tokens == 12
    assert raised.value.usage.total_tokens == 36
    assert raised.value.problems == ["name: Field required", "age: Field required"]
    assert pickle.loads(pickle.dumps(raised.value)).usage == raised.value.usage


@each_version
def test_an_answer_that_is_cut_at_the_second_attempt_ends_it(world: World, method: str) -> None:
    world.answers = [counted(method, "one"), counted(method, ANNA, "length")]
    with pytest.raises(LengthFinishReasonError) as raised:
        world.do(world.client(), method, "x", into=Person, repair=5)
    assert [one.text for one in raised.value.completions] == ["one", ANNA]


@each_version
def test_a_failure_to_generate_at_the_second_attempt_has_both_completions(world: World, method: str) -> None:
    world.answers = [counted(method, "one"), Answer(FORMS[method]({}, "error", usage=USAGE[method]))]
    with pytest.raises(GenerationError) as raised:
        world.do(world.client(), method, "x", into=Person, repair=5)
    assert [one.text for one in raised.value.completions] == ["one", ""]


@each_version
def test_a_failed_request_at_the_second_attempt_is_caused_by_the_first_answer(world: World, method: str) -> None:
    world.answers = [counted(method, "one"), error(500)]
    with pytest.raises(ServerError) as raised:
        world.do(world.client(max_retries=0), method, "x", into=Person, repair=5)
    cause = raised.value.__cause__
    assert isinstance(cause, RefusalError)
    assert [one.text for one in cause.completions] == ["one"]


def test_the_usage_of_answers_without_usage_is_not_known() -> None:
    body = v2({"content": "one"}, "stop", usage=None)
    world = World("blocking")
    world.answers = [Answer(body), Answer(body)]
    with pytest.raises(RefusalError) as raised:
        world.do(world.client(), "chat.parse", "x", into=Person, repair=1)
    assert raised.value.usage is None
    assert len(raised.value.completions) == 2


def test_the_messages_of_the_caller_are_not_changed(world: World) -> None:
    messages = [{"role": "user", "content": "x"}]
    world.answers = [counted("chat_parse", "one"), counted("chat_parse", ANNA)]
    world.do(world.client(), "chat_parse", messages, into=Person, repair=1)
    assert messages == [{"role": "user", "content": "x"}]
