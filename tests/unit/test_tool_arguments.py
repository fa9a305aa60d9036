"""Arguments that models give: what is read, what is refused and in which words; and tools in requests."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, BeforeValidator

import gigachat
from gigachat import GigaChatException, ToolArgumentsError, ToolContext, ToolError, models, tool, tools
from gigachat.tools import as_tool
from tests.unit.world import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.world import World

CONTEXT: ToolContext[str] = ToolContext("deps", step=2, call_id="call")


class Place(BaseModel):
    city: str
    streets: list[int] = []


def even(number: int) -> int:
    if number % 2:
        raise ValueError("the number\nis odd")
    return number


@tool
def find(
    city: str, days: int = 1, rate: float = 0.5, flag: bool = False, place: Place | None = None
) -> tuple[Any, ...]:
    """Find."""
    return city, days, rate, flag, place


@tool
def order(number: Annotated[int, AfterValidator(even)], either: int | list[int] = 0) -> int:
    return number


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ({"city": "Псков"}, ("Псков", 1, 0.5, False, None)),
        ('{"city": "Псков", "days": 2}', ("Псков", 2, 0.5, False, None)),
        (b'{"city": "\\u041f"}', ("П", 1, 0.5, False, None)),
        ({"city": "", "days": "3", "rate": "1e3", "flag": "true"}, ("", 3, 1000.0, True, None)),
        ({"city": "", "days": 3.0, "rate": 1}, ("", 3, 1.0, False, None)),
        ({"city": "", "place": {"city": "x", "streets": ["1"]}}, ("", 1, 0.5, False, Place(city="x", streets=[1]))),
    ],
)
def test_arguments_are_read(arguments: Any, result: Any) -> None:
    assert find.bind(arguments, CONTEXT)() == result


@pytest.mark.parametrize("arguments", [None, "", " \n", "null", {}, "{}"])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    made = tool(lambda days=1: days, name="f")
    assert made.bind(arguments, CONTEXT)() == 1
    with pytest.raises(ToolArgumentsError, match=r"^find: city is missing$"):
        find.bind(arguments, CONTEXT)


LONG = "y" * 1000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([1], "find: the arguments must be a JSON object, not an array"),
        ("[1]", "find: the arguments must be a JSON object, not an array"),
        ('"text"', "find: the arguments must be a JSON object, not str"),
        (5, "find: the arguments must be a JSON object, not int"),
        ('{"city": ', "find: the arguments are not valid JSON: EOF while parsing"),
        ("город Псков", "find: the arguments are not valid JSON: expected value at line 1 column 1"),
        ("[" * 100_000, "find: the arguments are not valid JSON: recursion limit exceeded"),
        (b"\xff", "find: the arguments are not valid JSON: "),
        ({"city": "\ud800"}, "find: "),
        ({"city": None}, "find: city: Input should be a valid string (given null)"),
        (
            {"days": "много", "flag": 7},
            "find: city is missing; days: Input should be a valid integer, unable to parse string as an integer "
            '(given "много"); flag: Input should be a valid boolean, unable to interpret input (given 7)',
        ),
        (
            {"city": "x", "days": LONG},
            f'find: days: Input should be a valid integer, unable to parse string as an integer (given "{LONG[:39]}…)',
        ),
        (
            {"city": "x", "place": {"streets": [1, "a"]}},
            "find: place.city: Field required; place.streets[1]: Input should be a valid integer",
        ),
        (
            {"city": "x", "town": "y"},
            'find: no parameter is called "town" (parameters: city, days, rate, flag, place)',
        ),
    ],
)
def test_wrong_arguments_are_named_in_one_line(arguments: Any, text: str) -> None:
    with pytest.raises(ToolArgumentsError, match="^" + re.escape(text)) as raised:
        find.bind(arguments, CONTEXT)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400
    assert isinstance(raised.value, GigaChatException)
    assert isinstance(raised.value, ValueError)


def test_many_wrong_arguments_make_a_short_text() -> None:
    given = {"city": "x", "place": {"city": "x", "streets": ["a"] * 1000}, **{f"more{n}": n for n in range(1000)}}
    with pytest.raises(ToolArgumentsError, match=r"990 more errors in place; no parameter is called .*, …") as raised:
        find.bind(given, CONTEXT)
    assert len(str(raised.value)) < 2000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"number": 3}, "order: number: the number is odd (given 3)"),
        (
            {"number": 2, "either": "a"},
            "order: either.int: Input should be a valid integer, unable to parse string as an integer "
            '(given "a"); either.list[int]: Input should be a valid array (given "a")',
        ),
    ],
)
def test_own_checks_and_unions_are_told(arguments: Any, text: str) -> None:
    with pytest.raises(ToolArgumentsError) as raised:
        order.bind(arguments, CONTEXT)
    assert str(raised.value) == text


@pytest.mark.parametrize("error", [TypeError, ZeroDivisionError, ValueError, KeyError, AttributeError, RuntimeError])
def test_an_error_of_a_types_own_validator_is_of_the_arguments(error: type[Exception]) -> None:
    def check(value: int) -> int:
        raise error("no such number")

    @tool
    def find(number: Annotated[int, AfterValidator(check)]) -> int:
        return number

    with pytest.raises(ToolArgumentsError, match=r"^find: .*no such number"):
        find.bind({"number": 1}, CONTEXT)


def test_an_exception_of_a_types_own_validator_is_told_with_its_class() -> None:
    def look_up(value: str) -> int:
        return {"a": 1}[value]

    @tool
    def find(number: Annotated[int, BeforeValidator(look_up)]) -> int:
        return number

    with pytest.raises(ToolArgumentsError) as raised:
        find.bind({"number": "b"})
    assert str(raised.value) == "find: KeyError: 'b'"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_an_exit_of_a_types_own_validator_is_raised(error: type[BaseException]) -> None:
    def leave(value: int) -> int:
        raise error

    @tool
    def find(number: Annotated[int, AfterValidator(leave)]) -> int:
        return number

    with pytest.raises(error):
        find.bind({"number": 1})


def test_a_tool_without_a_context_is_bound_without_one() -> None:
    @tool
    def double(number: int) -> int:
        return 2 * number

    assert double.bind({"number": "2"})() == 4


def test_the_given_arguments_are_not_changed() -> None:
    given = {"city": "x", "place": {"city": "y", "streets": ["1"]}}
    before = json.dumps(given)
    find.bind(given, CONTEXT)()
    assert json.dumps(given) == before


# Contexts and errors


class OwnContext(ToolContext[int]):
    pass


def first(context: ToolContext[str], query: str) -> Any:
    """Find.

    Args:
        context: Internal.
        query: What to find.
    """
    return context, query


def last(query: str, *, context: ToolContext) -> Any:  # the type of deps may be omitted
    return context, query


def optional(query: str, context: Annotated[ToolContext[str] | None, "note"] = None, **more: Any) -> Any:
    return context, query


def own_context(query: str, context: OwnContext) -> Any:
    return context, query


@pytest.mark.parametrize("function", [first, last, optional, own_context], ids=lambda one: one.__name__)
def test_a_context_is_given_and_not_shown(function: Callable[..., Any]) -> None:
    made = as_tool(function)
    assert list(made.parameters["properties"]) == made.parameters["required"] == ["query"]
    assert "context" not in json.dumps(made.parameters)
    assert "Internal" not in made.description + json.dumps(made.parameters)
    assert made.bind({"query": "q"}, CONTEXT)() == (CONTEXT, "q")
    with pytest.raises(ToolArgumentsError, match=r'no parameter is called "context" \(parameters: query\)'):
        made.bind({"query": "q", "context": 1}, CONTEXT)


def test_a_context_has_what_a_test_of_a_tool_needs() -> None:
    context = ToolContext({"db": 1})
    assert (context.deps, context.client, context.step, context.messages, context.call_id) == (
        {"db": 1},
        None,
        0,
        [],
        None,
    )
    assert first(ToolContext("x"), "q")[0].deps == "x"


def test_the_error_for_the_model_is_one_of_the_sdk() -> None:
    assert issubclass(ToolError, GigaChatException)
    assert str(ToolError("Такого города нет")) == "Такого города нет"


@pytest.mark.parametrize("name", ["tool", "Tool", "ToolContext", "ToolError", "ToolArgumentsError"])
def test_names_are_those_of_the_package(name: str) -> None:
    assert getattr(gigachat, name) is getattr(tools, name)


# Requests


def plain(city: str) -> str:
    """Погода."""
    return city


DESCRIBED = {
    "name": "plain",
    "description": "Погода.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
OTHER = {"name": "other", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    "function",
    [plain, as_tool(plain), as_tool(plain).function(), DESCRIBED],
    ids=["function", "tool", "model", "mapping"],
)
@pytest.mark.parametrize("in_payload", [False, True])
def test_functions_of_a_request_are_functions_tools_or_descriptions(
    world: World, function: Any, in_payload: bool
) -> None:
    functions = (function, OTHER)
    if in_payload:
        payload = {"messages": [{"role": "user", "content": "x"}], "functions": functions}
        world.chat(world.client(), payload)
        assert payload["functions"] is functions
    else:
        world.chat(world.client(), "x", functions=functions)
    assert json.loads(world.api_requests[-1].content or b"")["functions"] == [DESCRIBED, OTHER]


@pytest.mark.parametrize(
    "function",
    [plain, as_tool(plain), as_tool(plain).specification(), DESCRIBED],
    ids=["function", "tool", "model", "mapping"],
)
def test_tools_of_a_request_v2_are_functions_tools_or_descriptions(world: World, function: Any) -> None:
    world.answers = [Answer({"messages": []})]
    world.do(world.client(), "chat.create", "x", tools=[function, "web_search", OTHER], tool_config="plain")
    body = json.loads(world.api_requests[-1].content or b"")
    assert body["tools"] == [{"functions": {"specifications": [DESCRIBED, OTHER]}}, {"web_search": {}}]
    assert body["tool_config"] == {"mode": "forced", "function_name": "plain"}


def test_functions_of_assistants_threads_and_checks_are_functions_or_tools(world: World) -> None:
    created = Answer({"assistant_id": "a", "created_at": 1})
    ran = Answer({"thread_id": "t", "status": "ready", "created_at": 1})
    for method, answer, arguments in (
        ("assistants.create", created, {"model": "GigaChat", "name": "a", "functions": [plain]}),
        ("threads.run", ran, {"thread_id": "t", "thread_options": {"functions": [plain]}}),
    ):
        world.answers = [answer]
        world.do(world.client(), method, **arguments)
        assert json.loads(world.api_requests[-1].content or b"")["functions"] == [DESCRIBED]
    world.answers = [Answer({"status": 200})]
    world.do(world.client(), "validate_function", plain)
    assert json.loads(world.api_requests[-1].content or b"") == DESCRIBED


@pytest.mark.parametrize(
    ("functions", "text"),
    [
        ([plain, as_tool(plain)], "two tools are called 'plain': give one of them another name="),
        ([lambda: 1], "'<lambda>' cannot be the name of a tool"),
        ([Place], r"of a pydantic model pass Place\.model_json_schema\(\)"),
    ],
)
@pytest.mark.parametrize(("method", "field"), [("chat", "functions"), ("chat.create", "tools")])
def test_functions_that_cannot_be_sent_are_refused(
    world: World, functions: Any, text: str, method: str, field: str
) -> None:
    with pytest.raises(ValueError, match=text) as raised:
        world.do(world.client(), method, "x", **{field: functions})
    assert "\n" not in str(raised.value)
    assert world.requests == []


@pytest.mark.parametrize("kind", [models.Function, models.ChatFunctionSpecification])
@pytest.mark.parametrize("function", [plain, as_tool(plain)], ids=["function", "tool"])
def test_a_model_of_a_description_says_how_a_function_becomes_one(kind: Any, function: Any) -> None:
    with pytest.raises(ValueError, match=r"gigachat\.tool\(f\)\.function\(\)"):
        kind.model_validate(function)
