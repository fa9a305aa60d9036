"""Typical mistakes of callers, and the line that each gets: what to write instead, before a request where possible."""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, SecretStr

from gigachat import AsyncGigaChat, AuthenticationError, ConfigurationError, GigaChat, GigaChatWarning, ResponseError
from gigachat._compat import AsyncNames
from gigachat._service import AUTH_URL, BASE_URL, TOOLS
from gigachat._suggestions import _report_variable
from gigachat.models import (
    Chat,
    ChatCompletionRequest,
    ChatFunctionSpecification,
    ChatMessage,
    ChatTool,
    Function,
    JsonSchemaResponseFormat,
    Messages,
)
from gigachat.settings import Settings
from tests.unit.namespaces import body
from tests.unit.world import KEY, Answer, World, error

both_clients = pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
LOCAL = "https://localhost/api/v1"


# Empty options.


@both_clients
@pytest.mark.parametrize("empty", ["", " ", '""', SecretStr("")], ids=repr)
@pytest.mark.parametrize("option", [*Settings.model_fields])
def test_empty_text_is_not_given(option: str, empty: Any, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(Settings(), option)
    assert getattr(Settings(**{option: empty}), option) == default
    assert getattr(kind(**{option: empty})._settings, option) == default
    if isinstance(empty, str):
        monkeypatch.setenv(f"GIGACHAT_{option.upper()}", empty)
        assert getattr(kind()._settings, option) == default


@both_clients
def test_the_environment_is_read_for_an_empty_argument(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", KEY)
    assert kind(credentials="", access_token="")._settings.credentials == KEY
    assert kind(credentials="", access_token_provider=lambda: "token")._settings.credentials is None
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "")
    monkeypatch.setenv("GIGACHAT_SCOPE", "hush")
    monkeypatch.setenv("GIGACHAT_TIMEOUT", "0")
    with pytest.raises(ConfigurationError, match=r"^environment variable GIGACHAT_TIMEOUT: "):
        kind(timeout="")


@pytest.mark.parametrize("made", [lambda giga: giga, deepcopy, lambda giga: pickle.loads(pickle.dumps(giga))])
@pytest.mark.parametrize("option", ["credentials", "access_token"])
def test_a_client_with_an_empty_key_sends_nothing_without_authorization(
    option: str, made: Callable[[GigaChat], GigaChat], world: World
) -> None:
    empty: dict[str, Any] = {option: ""}
    giga = made(GigaChat(base_url=LOCAL, **empty))
    giga._start(giga._service, world, world)
    says = r"^no authorization: pass credentials=.*; without an account: gigachat run -- python \.\.\.$"
    with pytest.raises(ConfigurationError, match=says):
        world.chat(giga, "x")
    assert world.requests == []
    world.chat(giga.with_options(extra_headers={"Authorization": "Bearer token"}), "x")
    assert world.requests[0].headers["authorization"] == "Bearer token"


SECRETS: dict[str, tuple[str, dict[str, Any]]] = {
    "credentials": (KEY, {}),
    "client_secret": ("secret", {"client_id": "id"}),
    "access_token": ("hush-hush", {}),
    "password": ("secret", {"user": "user"}),
    "key_file_password": ("secret", {}),
    "proxy": ("http://user:secret@proxy:3128", {}),
}


@both_clients
@pytest.mark.parametrize("option", SECRETS)
def test_secrets_may_be_secret_strings_of_pydantic(option: str, kind: Any) -> None:
    value, more = SECRETS[option]
    giga = kind(**{option: SecretStr(value)}, **more)
    assert getattr(giga._settings, option) == value
    assert value not in repr(giga._settings)


def test_a_refused_secret_string_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="proxy: give a proxy address") as raised:
        GigaChat(proxy=SecretStr("ftp://user:hush@host"))
    assert "hush" not in str(raised.value)


# Options that are not options.


@both_clients
def test_options_given_by_position_are_refused_by_name(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{kind.__name__} takes its arguments by name: {kind.__name__}\("):
        kind("YTpi")


@both_clients
@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ("api_key", "credentials"),
        ("credential", "credentials"),
        ("token", "access_token"),
        ("api_base", "base_url"),
        ("base_ulr", "base_url"),
        ("verify_ssl", "verify_ssl_certs"),
        ("http_clients", "http_client"),
    ],
)
def test_an_unknown_argument_near_an_option_is_warned_of(wrong: str, option: str, kind: Any, caplog: Any) -> None:
    with pytest.warns(GigaChatWarning) as caught:
        giga = kind(**{wrong: "hush"}, model="m")
    (warning,) = caught
    assert str(warning.message) == f"GigaChat has no argument {wrong}=, and it does nothing: write {option}="
    assert warning.filename == __file__
    assert caplog.records == []
    assert giga._settings.model == "m"


@both_clients
def test_other_unknown_arguments_are_logged_without_their_values(kind: Any, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "gigachat"):
        giga = kind(zone="hush-hush", colour=False, model="m", verbose=None, api_key=None)  # None is not given
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "GigaChat got unknown arguments, which do nothing: colour, zone"
    assert giga._settings.model == "m"


def test_each_unknown_argument_has_its_warning() -> None:
    mistakes: dict[str, Any] = {"api_key": "a", "modell": "b"}
    with pytest.warns(GigaChatWarning) as caught:
        GigaChat(**mistakes)
    assert [str(warning.message).split()[4] for warning in caught] == ["api_key=,", "modell=,"]


def test_a_warning_that_is_an_error_comes_before_anything_is_opened() -> None:
    options: dict[str, Any] = {"api_key": "a", "ca_bundle_file": "/no/such/file"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", GigaChatWarning)
        with pytest.raises(GigaChatWarning):
            GigaChat(**options)


@both_clients
def test_a_variable_near_one_that_is_read_is_logged_once(
    kind: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = {
        "GIGACHAT_MODLE": "GIGACHAT_MODEL",
        "GIGACHAT_TOKEN": "GIGACHAT_ACCESS_TOKEN",
        "GIGACHAT_API_BASE": "GIGACHAT_BASE_URL",
    }
    _report_variable.cache_clear()
    for variable in (
        *wrong,
        "GIGACHAT_API_KEY",
        "GIGACHAT_CREDENTIALS",
        "GIGACHAT_SCOP",
        "GIGACHAT_SCOPE",
        "GIGACHAT_X",
    ):
        monkeypatch.setenv(variable, "hush")
    for _ in range(2):
        kind()
    assert {record.getMessage() for record in caplog.records} == {
        f"GigaChat does not read the environment variable {variable}: did you mean {meant}?"
        for variable, meant in wrong.items()
    }
    assert len(caplog.records) == len(wrong)


# Addresses and times.


@both_clients
@pytest.mark.parametrize("option", ["base_url", "v2_base_url"])
def test_the_address_of_a_method_is_not_the_base_address(option: str, kind: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{option}: remove /chat/completions: the client appends the paths"):
        kind(**{option: f"{LOCAL}/chat/completions/"})


@both_clients
@pytest.mark.parametrize(("path", "right"), [("/api/v2", "/api/v1"), ("/v2/", "/v1")])
def test_the_address_of_api_v2_is_not_the_base_address(path: str, right: str, kind: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"^base_url: end it in {right}, not {path.rstrip('/')}: chat\.create"
    ):
        kind(base_url=f"https://api.giga.chat{path}")
    assert kind(base_url=f"https://gateway/giga{path}")._settings.base_url == f"https://gateway/giga{path}".rstrip("/")
    assert kind(v2_base_url=f"https://api.giga.chat{path}")


@both_clients
def test_the_address_that_issues_tokens_is_not_the_base_address(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^base_url: this is the address for auth_url=; .* {BASE_URL}$"):
        kind(base_url=AUTH_URL)


@pytest.mark.parametrize("timeout", [1e10, (5, 1e10), httpx2.Timeout(5, write=1e10)])
def test_a_timeout_longer_than_systems_take_is_refused(timeout: Any) -> None:
    says = "must be at most 2147483 seconds, which are 24 days"
    with pytest.raises(ConfigurationError, match=f"^timeout: {says}$"):
        GigaChat(timeout=timeout)
    with pytest.raises(ValueError, match=f"^timeout: {says}$"):
        GigaChat().with_options(timeout=timeout)


@pytest.mark.parametrize("option", ["queue_timeout", "total_timeout", "retry_timeout", "rate_limit_timeout"])
def test_a_wait_longer_than_systems_take_is_refused(option: str) -> None:
    waits: dict[str, Any] = {option: 1e10}
    with pytest.raises(ConfigurationError, match=f"^{option}: must be at most 2147483 seconds"):
        GigaChat(**waits)


@pytest.mark.parametrize("timeout", [2_147_483, (1, 2_147_483), httpx2.Timeout(None)])
def test_the_longest_timeouts_are_taken(timeout: Any, world: World) -> None:
    world.chat(world.client(timeout=timeout), "x")
    assert world.api_requests


# Keywords and messages of chats.

MESSAGES = [{"role": "user", "content": "x"}]
FORMAT = "must be {'type': 'json_schema', 'schema': {...}}"
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
ANSWER: dict[str, Any] = {"messages": [], "choices": []}  # of both versions
WHOLE = ["chat", "chat.create"]
ALL = [*WHOLE, "stream", "chat.stream"]


def asked(world: World, method: str, **fields: Any) -> Any:
    if method.endswith("stream"):
        return world.read(world.client(), "x", method=method, **fields)
    return world.do(world.client(), method, "x", **fields)


@pytest.mark.parametrize(
    ("methods", "fields", "says"),
    [
        (["chat"], {"stream": True}, "stream=True is another method: giga.stream(...)"),
        (["chat.create"], {"stream": 1}, "stream=True is another method: giga.chat.stream(...)"),
        (["stream"], {"stream": False}, "stream=False is another method: giga.chat(...)"),
        (["chat.stream"], {"stream": False}, "stream=False is another method: giga.chat.create(...)"),
        (["chat"], {"tools": [FUNCTION]}, "tools= belongs to chats v2; a chat v1 takes functions=[...]"),
        (["chat"], {"tool_choice": "auto"}, "tool_choice= belongs to another API; a chat v1 takes function_call="),
        (["chat.create"], {"tool_choice": "auto"}, "tool_choice= belongs to another API; a chat v2 takes tool_config="),
        (["chat.create"], {"functions": [FUNCTION]}, "functions= belongs to chats v1; a chat v2 takes tools=[...]"),
        (ALL, {"temprature": 0.4}, "a chat has no field temprature=: did you mean temperature=?"),
        (ALL, {"max_step": 3}, "a chat has no field max_step=: did you mean max_steps= of a run (chat_run, chat.run)?"),
        (ALL, {"sytem": "x"}, "a chat has no field sytem=: did you mean system= of a conversation?"),
        (WHOLE, {"into": int}, "into= is an argument of chat_parse and chat.parse, not a field of a chat"),
        (ALL, {"approve": len}, "approve= is an argument of a run (chat_run, chat.run), not a field of a chat"),
        (WHOLE, {"max_token": 5}, "a chat has no field max_token=: did you mean max_tokens=?"),
        (WHOLE, {"Flags": ["a"]}, "a chat has no field Flags=: did you mean flags=?"),
        (
            ALL,
            {"fallback_models": ["GigaChat-2"]},
            "fallback_models= is an option of requests: giga.with_options(fallback_models=...)",
        ),
        (ALL, {"session_id": "s"}, "session_id= is an option of requests: giga.with_options(session_id=...)"),
        (ALL, {"timeout": 5}, "timeout= is an option of requests: giga.with_options(timeout=...)"),
        (WHOLE, {"extra_body": {}}, "extra_body= is an option of requests: giga.with_options(extra_body=...)"),
    ],
)
def test_keywords_that_cannot_be_meant_are_refused(
    methods: list[str], fields: dict[str, Any], says: str, world: World
) -> None:
    for method in methods:
        with pytest.raises(TypeError) as raised:
            asked(world, method, **fields)
        assert str(raised.value) == says
    assert world.requests == []


@pytest.mark.parametrize("method", ["chat_parse", "chat.parse"])
@pytest.mark.parametrize(("name", "meant"), [("repar", "repair"), ("stric", "strict"), ("simplfy", "simplify")])
def test_misspelled_arguments_of_structured_answers_are_refused(
    method: str, name: str, meant: str, world: World
) -> None:
    with pytest.raises(TypeError, match=f"no field {name}=: did you mean {meant}= of chat_parse and chat.parse"):
        world.do(world.client(), method, "x", into=int, **{name: 1})
    assert world.requests == []


@pytest.mark.parametrize("method", WHOLE)
@pytest.mark.parametrize("schema", [5, [int]])
def test_a_schema_of_a_response_is_a_mapping_or_a_type(method: str, schema: Any, world: World) -> None:
    says = rf"^response_format\.schema must be a JSON Schema or a type, not {type(schema).__name__}$"
    with pytest.raises(ValueError, match=says):
        world.do(world.client(), method, "x", response_format={"schema": schema})
    assert world.requests == []


@pytest.mark.parametrize("method", WHOLE)
def test_a_field_that_is_not_json_is_named(method: str, world: World) -> None:
    with pytest.raises(ValueError, match=r"^the body is not JSON: newest: Unable to .* <class 'type'>"):
        world.do(world.client(), method, "x", newest=int)
    with pytest.raises(ValueError, match=r"^the body is not JSON: newest\[1\]\.a: Unable to .* <class 'type'>"):
        world.do(world.client(), method, "x", newest=[1, {"b": 1, "a": int}])
    assert world.requests == []


@pytest.mark.parametrize("method", WHOLE)
def test_other_keywords_are_sent(method: str, world: World) -> None:
    world.answers.append(Answer(ANSWER))
    unknown = {"seed": 3, "top_k": 40, "store": True, "newest": [1]}
    world.do(world.client(), method, "x", **unknown, stream=False, temprature=None, tool_choice=None)
    assert body(world).items() >= unknown.items()
    assert not body(world).keys() & {"stream", "temprature", "tool_choice"}


@pytest.mark.parametrize("kind", [dict, Chat, ChatCompletionRequest])
def test_payloads_may_have_any_field(kind: Any, world: World) -> None:
    world.answers.append(Answer(ANSWER))
    unknown = {"temprature": 0.4, "tool_choice": "auto", "timeout": 5, "message": "x"}
    payload = kind(messages=MESSAGES, stream=True, **unknown)
    world.do(world.client(), "chat.create" if kind is ChatCompletionRequest else "chat", payload)
    assert body(world).items() >= unknown.items()
    assert "stream" not in body(world)


def test_payloads_of_v2_may_have_fields_of_v1(world: World) -> None:
    world.answers.append(Answer(ANSWER))
    world.do(world.client(), "chat.create", {"messages": MESSAGES, "function_call": "auto"})
    assert body(world)["function_call"] == "auto"


@pytest.mark.parametrize(
    ("role", "meant"),
    [("usr", "user"), ("tool", "function"), ("developer", "system"), ("Human", "user"), ("asistant", "assistant")],
)
@pytest.mark.parametrize("kind", [dict, Messages])
def test_roles_of_other_apis_are_refused(role: str, meant: str, kind: Any, world: World) -> None:
    messages = [*MESSAGES, kind(role=role, content="y")]
    says = rf"^messages\[1\]\.role: '{role}' is no role of API v1: write '{meant}'$"
    with pytest.raises(ValueError, match=says):
        world.chat(world.client(), messages)
    with pytest.raises(ValueError, match=says):
        world.do(world.client(), "check_filter", messages)
    with pytest.raises(ValueError, match=says):
        world.do(world.client(), "threads.add_messages", "id", messages)
    with pytest.raises(ValueError, match=rf"^request 1\.messages\[1\]\.role: '{role}' is no role of API v1: "):
        world.do(world.client(), "create_batch", [{"messages": messages}])
    assert world.requests == []


@pytest.mark.parametrize(
    ("role", "meant"), [("usr", "user"), ("developer", "system"), ("Human", "user"), ("tools", "tool")]
)
@pytest.mark.parametrize("kind", [dict, ChatMessage])
@pytest.mark.parametrize("method", ["chat.create", "chat.stream"])
def test_roles_of_other_apis_are_refused_in_v2(method: str, role: str, meant: str, kind: Any, world: World) -> None:
    with pytest.raises(ValueError, match=rf"^messages\[1\]\.role: '{role}' is no role of API v2: write '{meant}'$"):
        asked(world, method, messages=[*MESSAGES, kind(role=role, content="y")])
    assert world.requests == []


@pytest.mark.parametrize("role", ["system", "user", "assistant", "function", "tool", "reasoning", "moderator"])
def test_roles_of_v2_and_newer_ones_are_sent(role: str, world: World) -> None:
    world.answers.append(Answer(ANSWER))
    world.do(world.client(), "chat.create", [{"role": role, "content": "x"}])
    assert body(world)["messages"][0]["role"] == role


@pytest.mark.parametrize("role", ["system", "user", "assistant", "function", "search_result", "moderator"])
def test_roles_of_the_service_and_newer_ones_are_sent(role: str, world: World) -> None:
    world.chat(world.client(), [{"role": role, "content": "x"}])
    assert body(world)["messages"][0]["role"] == role


@pytest.mark.parametrize("method", WHOLE)
def test_one_message_goes_into_a_list(method: str, world: World) -> None:
    with pytest.raises(ValueError, match=r"^no messages: one message goes into a list, chat\(\[\{\.\.\.\}\]\)$"):
        world.do(world.client(), method, MESSAGES[0])
    kind: Any = Messages if method == "chat" else ChatMessage
    with pytest.raises(TypeError, match=r"^no messages: one message goes into a list, chat\(\[message\]\)$"):
        world.do(world.client(), method, kind(role="user", content="x"))


def test_parts_of_messages_belong_to_the_other_version(world: World) -> None:
    with pytest.raises(ValueError, match=r"^messages") as raised:
        world.chat(world.client(), [{"role": "user", "content": [{"type": "text", "text": "x"}]}])
    place, _, advice = str(raised.value).partition(": ")
    assert place == "messages[0].content"
    assert advice == "text is expected. Files go into attachments=[id], parts into giga.chat.create (API v2)"


@pytest.mark.parametrize(
    ("methods", "payload", "fields", "says"),
    [
        (WHOLE, None, {"messages": MESSAGES[0]}, "messages must be a list: messages=[...]"),
        (WHOLE, None, {"messages": "x"}, "messages must be a list: messages=[...]"),
        (WHOLE, {"messages": MESSAGES[0]}, {}, "messages must be a list: messages=[...]"),
        (WHOLE, "x", {"flags": "f"}, "flags must be a list: flags=[...]"),
        (["chat"], "x", {"functions": FUNCTION}, "functions must be a list: functions=[...]"),
        (["chat"], "x", {"functions": Function(name="f")}, "functions must be a list: functions=[...]"),
        (["chat.create"], "x", {"tools": "web_search"}, "tools must be a list: tools=[...]"),
        (["chat.create"], "x", {"tools": Function(name="f")}, "tools must be a list: tools=[...]"),
        (
            ["chat"],
            "x",
            {"functions": ["web_search"]},
            "functions[0]: must be a Function or a mapping of its fields; tools of the service go into "
            "giga.chat.create(tools=[...])",
        ),
        (["chat.create"], "x", {"tools": [5]}, "tools[0]: must be the name of a tool, a function or a mapping"),
        (WHOLE, ["x"], {}, "messages[0]: must be a message, such as {'role': 'user', 'content': '…'}"),
        (WHOLE, [{"content": "x"}], {}, "messages[0].role: is missing"),
        (WHOLE, [{}], {}, "messages[0].role: is missing"),
        (["chat"], [{"role": "", "content": "x"}], {}, "messages[0].role: is empty"),
        (["chat"], "x", {"temperature": "warm"}, "temperature: must be a number"),
        (["chat"], "x", {"temperature": float("nan")}, "temperature: must be a finite number"),
        (["chat"], "x", {"max_tokens": 1.5}, "max_tokens: must be a whole number"),
        (["chat"], "x", {"profanity_check": "no way"}, "profanity_check: must be true or false"),
        (WHOLE[:1], "x", {"response_format": "json"}, f"response_format: {FORMAT}"),
        (WHOLE[1:], "x", {"response_format": "json"}, f"model_options.response_format: {FORMAT}"),
        (
            ["chat"],
            [{**MESSAGES[0], "attachments": [5]}],
            {},
            "messages[0].attachments[0]: must be the id of a file, such as giga.upload_file(...).id_",
        ),
        (
            ["chat.create"],
            [{"role": "user", "content": 5}],
            {},
            "messages[0].content: must be text, a part or a list of them",
        ),
        (["chat"], "x", {"storage": True}, "storage: must be a mapping of its fields"),
        (["chat.create"], "x", {"model_options": "fast"}, "model_options: must be a mapping of its fields"),
        (["chat.create"], "x", {"model": 5}, "model: must be text"),
    ],
)
def test_fields_of_a_wrong_kind_say_what_they_must_be(
    methods: list[str], payload: Any, fields: dict[str, Any], says: str, world: World
) -> None:
    for method in methods:
        with pytest.raises(ValueError, match=r"^") as raised:
            world.do(world.client(), method, payload, **fields)
        assert type(raised.value) is ValueError
        assert str(raised.value) == says
    assert world.requests == []


def test_messages_and_functions_may_come_from_generators(world: World) -> None:
    world.chat(world.client(), messages=(message for message in MESSAGES), functions=iter([Function(name="f")]))
    assert body(world)["messages"] == MESSAGES
    assert body(world)["functions"] == [{"name": "f"}]


# Schemas that are not JSON.


def schema(default: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": {"type": "string", "default": default}}}


NOT_JSON: dict[str, tuple[Any, str]] = {
    "NaN": (float("nan"), "nan is not a number in JSON"),
    "infinity": (float("-inf"), "-inf is not a number in JSON"),
    "set": ({1, 2}, "JSON has no set: give a list"),
    "frozenset": (frozenset(), "JSON has no frozenset: give a list"),
    "bytes": (b"x", "JSON has no bytes: give text"),
}
WITH_SCHEMA: dict[str, tuple[str, list[Any], Callable[[Any], dict[str, Any]], str]] = {
    "dictionary": (
        "chat",
        ["x"],
        lambda bad: {"functions": [{"name": "f", "parameters": schema(bad)}]},
        "functions[0].parameters.",
    ),
    "function": (
        "chat",
        ["x"],
        lambda bad: {"functions": [Function(name="f", parameters=schema(bad))]},
        "functions[0].parameters.",
    ),
    "payload": (
        "chat",
        [],
        lambda bad: {"payload": {"messages": MESSAGES, "functions": [{"name": "f", "parameters": schema(bad)}]}},
        "functions[0].parameters.",
    ),
    "format": (
        "chat",
        ["x"],
        lambda bad: {"response_format": {"type": "json_schema", "schema": schema(bad)}},
        "response_format.schema.",
    ),
    "typed format": (
        "chat",
        ["x"],
        lambda bad: {"response_format": JsonSchemaResponseFormat(schema=schema(bad))},
        "response_format.schema.",
    ),
    "tool of v2": (
        "chat.create",
        ["x"],
        lambda bad: {"tools": [{"name": "f", "parameters": schema(bad)}]},
        "tools[0].parameters.",
    ),
    "specification of v2": (
        "chat.create",
        ["x"],
        lambda bad: {"tools": [ChatFunctionSpecification(name="f", parameters=schema(bad))]},
        "tools[0].parameters.",
    ),
    "format of v2": (
        "chat.create",
        ["x"],
        lambda bad: {"response_format": {"type": "json_schema", "schema": schema(bad)}},
        "model_options.response_format.schema.",
    ),
    "check": (
        "validate_function",
        [],
        lambda bad: {"function": {"name": "f", "parameters": schema(bad)}},
        "function.parameters.",
    ),
    "assistant": (
        "assistants.create",
        ["m", "n"],
        lambda bad: {"functions": [{"name": "f", "parameters": schema(bad)}]},
        "functions[0].parameters.",
    ),
    "batch": (
        "create_batch",
        [],
        lambda bad: {
            "file": [{"messages": MESSAGES, "response_format": {"type": "json_schema", "schema": schema(bad)}}]
        },
        "request 1.response_format.schema.",
    ),
}


@pytest.mark.parametrize("case", WITH_SCHEMA)
@pytest.mark.parametrize("kind", NOT_JSON)
def test_a_schema_that_is_not_json_is_refused(kind: str, case: str, world: World) -> None:
    bad, says = NOT_JSON[kind]
    method, arguments, fields, place = WITH_SCHEMA[case]
    with pytest.raises(ValueError, match="JSON") as raised:
        world.do(world.client(), method, *arguments, **fields(bad))
    assert str(raised.value) == f"{place}properties.x.default: {says}"
    assert world.requests == []


def test_a_schema_that_contains_itself_is_refused(world: World) -> None:
    endless: dict[str, Any] = {"type": "object"}
    endless["properties"] = {"x": endless}
    for method, fields in (
        ("chat", {"functions": [{"name": "f", "parameters": endless}]}),
        ("chat.create", {"tools": [{"name": "f", "parameters": endless}]}),
        ("validate_function", {"function": {"name": "f", "parameters": endless}}),
    ):
        with pytest.raises(ValueError, match=r"is nested too deeply, or contains itself$"):
            world.do(world.client(), method, *(["x"] if method.startswith("chat") else []), **fields)
    assert world.requests == []


def test_defaults_of_a_class_may_be_infinite(world: World) -> None:
    class Price(BaseModel):
        most: float = math.inf

    world.answers.append(Answer({"choices": [{"message": {"role": "assistant", "content": "{}"}}]}))
    _, price = world.do(world.client(), "chat_parse", "x", response_format=Price)
    assert price.most == math.inf
    assert body(world)["response_format"]["schema"]["properties"]["most"]["default"] is None


# Texts that are none.

HALF = "\ud83d"


@pytest.mark.parametrize(
    ("method", "arguments", "options"),
    [
        ("chat", [f"x{HALF}"], {}),
        ("chat.create", [f"x{HALF}"], {}),
        ("chat", [[{"role": "user", "content": HALF}]], {}),
        ("chat.create", [[{"role": "user", "content": HALF}]], {}),
        ("chat", ["x"], {"additional_fields": {"a": HALF}}),
        ("embeddings", [[HALF]], {}),
        ("tokens_count", [[HALF]], {}),
        ("check_ai", [HALF, "m"], {}),
        ("check_filter", [HALF], {}),
        ("get_model", [HALF], {}),
        ("openapi_function_convert", [HALF], {}),
        ("create_batch", [[HALF]], {}),
        ("create_batch", ['{"id": "' + HALF + '"}'], {}),
    ],
)
def test_half_a_surrogate_pair_is_refused(method: str, arguments: list[Any], options: Any, world: World) -> None:
    with pytest.raises(ValueError, match="half a surrogate pair, which UTF-8 cannot hold") as raised:
        world.do(world.client(), method, *arguments, **options)
    assert type(raised.value) is ValueError
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    assert world.requests == []


def test_the_advice_about_surrogate_pairs_is_right() -> None:
    assert HALF.encode("utf-16", "surrogatepass").decode("utf-16", "replace") == "\ufffd"
    assert "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16", "replace") == "\U0001f600"


def test_a_body_that_is_not_json_is_refused(world: World) -> None:
    for giga, fields in (
        (world.client(), {"additional_fields": {"a": object()}}),
        (world.client().with_options(extra_body={"a": object()}), {}),
    ):
        with pytest.raises(ValueError, match=r"^the body is not JSON: ") as raised:
            world.chat(giga, "x", **fields)
        assert type(raised.value) is ValueError
    assert world.requests == []


def test_a_header_that_contains_itself_is_refused() -> None:
    value: Any = []
    value.append(value)
    with pytest.raises(TypeError, match="the value of x must be text, not list"):
        GigaChat().with_options(extra_headers={"x": value})


# Names and modes of other clients.


def test_completions_are_a_name_of_another_client() -> None:
    chat: Any = GigaChat().chat
    with pytest.raises(AttributeError, match=r"^there is no chat\.completions: giga\.chat\("):
        chat.completions.create(messages=MESSAGES)
    with pytest.raises(AttributeError, match=r"^'BlockingChatNamespace' object has no attribute 'other'$"):
        print(chat.other)


@both_clients
@pytest.mark.parametrize(
    ("name", "instead"),
    [("models", "get_models()"), ("files", "upload_file(...)"), ("invoke", "chat(...)"), ("completions", "chat(...)")],
)
def test_groups_of_methods_of_another_client_are_answered_with_ours(name: str, instead: str, kind: Any) -> None:
    giga = kind()
    assert not hasattr(giga, name)
    with pytest.raises(AttributeError) as raised:
        getattr(giga, name)
    assert str(raised.value) == f"{kind.__name__} has no {name}: write giga.{instead}"
    assert hasattr(giga, instead.partition("(")[0])
    with pytest.raises(AttributeError, match=rf"^'{kind.__name__}' object has no attribute 'other'$"):
        print(giga.other)


@pytest.mark.parametrize("name", [name for name in vars(AsyncNames) if name.startswith("a")])
def test_names_of_the_hybrid_client_are_plain_on_the_async_one(name: str) -> None:
    assert hasattr(GigaChat(), name)
    with pytest.raises(AttributeError, match=rf"^AsyncGigaChat has no {name}: .* await giga\.") as raised:
        getattr(AsyncGigaChat(), name)
    plain = str(raised.value).partition("await giga.")[2].removesuffix("(...)")
    assert hasattr(AsyncGigaChat(), plain)


def test_what_is_async_says_so() -> None:
    giga: Any = AsyncGigaChat()
    with pytest.raises(TypeError, match=r"^AsyncGigaChat is opened with `async with`$"):
        with giga:
            pass
    with pytest.raises(TypeError, match=r"^this stream is async: open it with `async with`$"):
        with giga.stream("x"):
            pass
    with pytest.raises(TypeError, match=r"^this stream is async: read it with `async for`$"):
        print(list(giga.stream("x")))


def test_what_is_blocking_says_so(world: World) -> None:
    async def opened() -> None:
        stream: Any = world.client().stream("x")
        async with stream:
            pass

    with pytest.raises(TypeError, match=r"^this stream is blocking: open it with `with`; astream and AsyncGigaChat"):
        asyncio.run(opened())
    assert world.requests == []


# Responses to mistakes.


def test_a_401_says_that_the_request_carried_no_key(world: World) -> None:
    world.answers = [error(401, "Unauthorized") for _ in range(2)]
    giga = GigaChat(base_url=LOCAL)
    giga._start(giga._service, world, world)
    says = r"The request carried no key: pass credentials= \(or set GIGACHAT_CREDENTIALS\)\.$"
    with pytest.raises(AuthenticationError, match=says) as raised:
        world.chat(giga, "x")
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"access_token": "t"},
            "is invalid: pass a new access_token=, or credentials= to have the client get one",
        ),
        ({"access_token_provider": lambda: "t"}, "is invalid: access_token_provider= must return a new one"),
        ({}, "Check `credentials` and `scope`"),
    ],
)
def test_a_401_names_what_the_token_came_from(options: dict[str, Any], says: str, world: World) -> None:
    world.answers = [error(401, "Token has expired") for _ in range(2)]
    with pytest.raises(AuthenticationError) as raised:
        world.chat(world.client(**options), "x")
    assert says in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("options", "answer", "says"),
    [
        ({"auth_url": "https://h/v1"}, error(404, "Not Found"), f"auth_url= is usually {AUTH_URL}."),
        ({"auth_url": "https://h/v1"}, Answer(b"<html>", 405), f"auth_url= is usually {AUTH_URL}."),
        ({"user": "u", "password": "p"}, error(404, "Not Found"), "at base_url=, which usually ends in /api/v1."),
        ({"user": "u", "password": "p"}, error(401, "Unauthorized"), "`user` and `password`."),
        ({}, error(401, "Unauthorized"), "Check `credentials` and `scope`"),
    ],
)
def test_a_refused_sign_in_names_its_options(options: dict[str, Any], answer: Answer, says: str, world: World) -> None:
    world.sign_ins = [answer]
    with pytest.raises(ResponseError) as raised:
        world.chat(world.client(**options), "x")
    assert says in str(raised.value)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize(
    ("method", "arguments", "message", "says"),
    [
        ("get_file", ["x"], "No such file", "get_files() lists your files."),
        ("get_file_content", ["x"], "No such model", "get_files() lists your files."),
        ("delete_file", ["x"], "Not Found", "get_files() lists your files."),
        ("chat", [[{"role": "user", "content": "x", "attachments": ["y"]}]], "No such file", "Attach the file again: "),
        ("chat.create", ["x"], "No such file", "Attach the file again: attach() uploads it. get_files() lists"),
        ("get_batches", ["x"], "Batch task not found", "get_batches() lists your batches."),
        ("batch_results", ["x"], "Batch task not found", "get_batches() lists your batches."),
        ("threads.get_messages", ["x"], "No such thread", "threads.get_threads() lists your threads."),
        ("assistants.get", ["x"], "No such assistant", "assistants.get() lists your assistants."),
    ],
)
def test_a_404_names_the_method_that_lists_what_there_is(
    method: str, arguments: list[Any], message: str, says: str, world: World
) -> None:
    world.answers = [error(404, message)]
    with pytest.raises(ResponseError) as raised:
        world.do(world.client(), method, *arguments)
    assert says in str(raised.value)


def test_the_newer_host_is_named_to_users_of_the_vendor_only(world: World) -> None:
    for base_url, named in (
        ("https://gigachat.devices.sberbank.ru/api/v1", True),
        (LOCAL, False),
        ("https://h/v1", False),
    ):
        world.answers = [error(404, "No such model")]
        with pytest.raises(ResponseError, match=r"get_models\(\) lists what this address serves") as raised:
            world.chat(world.client(base_url=base_url), "x")
        assert ("https://api.giga.chat/v1" in str(raised.value)) is named


@pytest.mark.parametrize(
    ("tool", "says"),
    [("web_serch", "Did you mean 'web_search'?"), ("telepathy", f"Tools of the service are {', '.join(TOOLS)}.")],
)
def test_an_unknown_tool_gets_the_names_of_tools(tool: str, says: str, world: World) -> None:
    world.answers = [error(404, f"Unknown tool {tool}")]
    with pytest.raises(ResponseError) as raised:
        world.do(world.client(), "chat.create", "x", tools=[tool])
    assert str(raised.value).endswith(f"/chat/completions). {says}")


def test_the_tools_named_are_those_of_the_model() -> None:
    assert {*TOOLS, "functions"} == {*ChatTool.model_fields}


@pytest.mark.parametrize(
    ("options", "answer", "says"),
    [
        ({"base_url": "https://h"}, error(404, "Not Found"), "base_url= usually ends in /api/v1"),
        ({"base_url": "https://h"}, Answer(b"<html>", 405), "base_url= usually ends in /api/v1"),
        ({"base_url": "http://h/v1"}, Answer(b"The plain HTTP request was sent to HTTPS port", 400), "write https://"),
        ({}, error(400, "Your request contains invalid JSON syntax."), "Roles of API v1 are system, user, assistant"),
        ({}, error(400, 'Unknown type "json_object" in response_format'), "use chat_parse"),
    ],
)
def test_responses_that_mistakes_cause_say_what_to_write(
    options: dict[str, str], answer: Answer, says: str, world: World
) -> None:
    world.answers = [answer]
    with pytest.raises(ResponseError) as raised:
        world.chat(world.client(**options), "x")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_404_of_an_address_with_a_version_is_about_something_else(world: World) -> None:
    world.answers = [error(404, "Not Found")]
    with pytest.raises(ResponseError) as raised:
        world.chat(world.client(), "x")
    assert "base_url" not in str(raised.value)


def test_a_long_text_of_embeddings_is_split(world: World) -> None:
    world.answers = [error(413, "Tokens limit exceeded: 4005 of 512 in input 0")]
    with pytest.raises(ResponseError, match="Split the text, or choose a model of embeddings"):
        world.do(world.client(), "embeddings", ["x"])


@pytest.mark.parametrize("content", [b"bad", bytearray(b"bad"), "bad", {"message": "bad"}, ["bad"], 5, None, object()])
@pytest.mark.parametrize("headers", [None, {}, [("a", "b")], {"x-request-id": "r"}])
def test_an_error_of_any_content_can_be_printed(content: Any, headers: Any) -> None:
    made = ResponseError("https://host/x", 400, content, headers)
    assert str(made).startswith("400 Bad Request: ")
    assert made.retry_after == 0
    assert made.code is None
    assert "bad" in made.message or content in (5, None) or type(content) is object


def test_an_option_of_requests_is_named_with_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"^timeout: give a number of seconds"):
        GigaChat(access_token="t").with_options(timeout="x")  # type: ignore[arg-type]


@both_clients
@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("temperature", "it is a field of a chat: giga.chat(..., temperature=...)"),
        ("model", "it is a field of a chat: giga.chat(..., model=...)"),
        ("verify_ssl_certs", "it is an option of the client: GigaChat(verify_ssl_certs=...)"),
        ("retries", "write max_retries="),
        ("headers", "write extra_headers="),
        ("request_timeout", "write timeout="),
        ("foo", "it takes extra_headers, extra_query, extra_body, timeout, max_retries, session_id, fallback_models"),
    ],
)
def test_an_argument_that_with_options_does_not_have_is_named(name: str, instead: str, kind: Any) -> None:
    with pytest.raises(TypeError) as raised:
        kind(access_token="t").with_options(**{name: "hush"})
    assert str(raised.value) == f"with_options has no argument {name}=: {instead}"


def test_a_field_of_a_chat_is_no_argument_of_the_client(caplog: pytest.LogCaptureFixture) -> None:
    mistakes: dict[str, Any] = {"temperature": 0.5, "zone": "z"}
    GigaChat(**mistakes)
    assert [record.getMessage() for record in caplog.records] == [
        "GigaChat got unknown arguments, which do nothing: temperature, zone",
        "temperature= is a field of a chat: giga.chat(..., temperature=...)",
    ]


@pytest.mark.parametrize(
    ("options", "kind", "says"),
    [
        ({"max_retries": "x"}, ValueError, "max_retries must be a whole number, 0 or more"),
        ({"max_retries": 1.5}, ValueError, "max_retries must be a whole number, 0 or more"),
        ({"extra_headers": ["a"]}, TypeError, "extra_headers must be a mapping, not list"),
        ({"extra_query": "a=1"}, TypeError, "extra_query must be a mapping, not str"),
        ({"extra_body": ["a"]}, TypeError, "extra_body must be a mapping, not list"),
    ],
)
def test_options_of_requests_of_a_wrong_kind_say_what_they_must_be(
    options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind) as raised:
        GigaChat(access_token="t").with_options(**options)
    assert str(raised.value) == says


def test_the_headers_of_a_file_must_be_a_mapping(world: World) -> None:
    with pytest.raises(TypeError, match="the headers of a file must be a mapping, not str"):
        world.do(world.client(), "upload_file", ("a.txt", b"text", "text/plain", "headers"))


@pytest.mark.parametrize(("version", "method"), [("v1", "chat_parse"), ("v2", "chat.parse")])
def test_the_format_of_another_api_is_answered_with_the_method_for_json(
    world: World, version: str, method: str
) -> None:
    message = "Empty schema with json format type is not supported"
    world.answers = [Answer({"status": 422, "message": message}, 422)]
    ask = "chat" if version == "v1" else "chat.create"
    with pytest.raises(ResponseError, match=rf"For JSON, use {method}\("):
        world.do(world.client(), ask, "x")
