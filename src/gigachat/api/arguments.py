"""Arguments of callers as fields and models. Errors are one line and contain no values.

A chat, v1 or v2, is given as text, a model, a mapping of its fields or a list of messages.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gigachat import models
from gigachat._advice import HALF_A_PAIR
from gigachat._suggestions import REQUEST_OPTIONS, nearest
from gigachat._validation import path_of, reason, refuse_not_json

if TYPE_CHECKING:
    from typing import TypeAlias

    from pydantic import BaseModel

    from gigachat.types import MessageFields

    ModelT = TypeVar("ModelT", bound=BaseModel)
    Message: TypeAlias = str | models.Messages | MessageFields | Mapping[str, Any]
    Function: TypeAlias = models.Function | Mapping[str, Any] | Callable[..., Any]
    """A description, a `Tool`, or the Python function that one is made of."""


_ROLES = ("system", "user", "assistant", "function", "search_result", "function_in_progress")
_ROLES_V2 = ("system", "user", "assistant", "function", "tool", "reasoning")
# Roles of other APIs, and the ones that this API has for them.
_OTHER_ROLES = {
    "ai": "assistant",
    "bot": "assistant",
    "developer": "system",
    "human": "user",
    "model": "assistant",
    "tool": "function",
}
# Arguments that are not fields of a chat, and what has them.
_ARGUMENTS_OF = {
    **dict.fromkeys(
        ("approve", "deps", "max_repeats", "max_steps", "on_error", "parallel", "tool_timeout", "tools", "transcript"),
        "a run (chat_run, chat.run)",
    ),
    **dict.fromkeys(("into", "repair", "simplify", "strict"), "chat_parse and chat.parse"),
    **dict.fromkeys(("compact", "session_id", "storage", "system", "window"), "a conversation"),
}
_LISTS = ("messages", "functions", "tools", "flags")
_WITH_SCHEMAS = ("functions", "tools", "response_format", "model_options")
# What a value must be, by the type of pydantic's error and the end of the value's place.
_OF_PLACES = {
    "model_type": {
        r"^messages\[\d+\]$": "must be a message, such as {'role': 'user', 'content': '…'}",
        r"^functions\[\d+\]$": "must be a Function or a mapping of its fields; tools of the service go into "
        "giga.chat.create(tools=[...])",
        r"^tools\[\d+\]$": "must be the name of a tool, a function or a mapping",
        r"response_format$": "must be {'type': 'json_schema', 'schema': {...}}",
    },
    "list_type": {r"\]\.content$": "must be text, a part or a list of them"},
    "string_type": {r"\.attachments\[\d+\]$": "must be the id of a file, such as giga.upload_file(...).id_"},
}


def refuse_keywords(
    fields: Mapping[str, Any],
    known: Collection[str],
    instead: Mapping[str, str],
    methods: tuple[str, str],
    *,
    stream: bool,
) -> None:
    """Refuse keywords that are certainly mistakes. Other unknown fields are sent, and payloads may have any.

    Args:
        fields: The keywords.
        known: Names of the fields of the request.
        instead: Fields of the other version of the API, with what to write here.
        methods: Methods that return a whole answer and a stream.
        stream: Whether a stream is wanted.

    Raises:
        TypeError: A keyword decides about the method, is an option of the client, an argument of other methods or a
            field of the other version, or is close to such a name.
    """
    for name, value in fields.items():
        if value is None:
            continue
        if name == "stream":
            if bool(value) is not stream:
                raise TypeError(f"stream={bool(value)} is another method: giga.{methods[bool(value)]}(...)")
        elif name in known:
            continue
        elif name in instead:
            raise TypeError(f"{name}= {instead[name]}")
        elif name in REQUEST_OPTIONS:
            raise TypeError(f"{name}= is an option of requests: giga.with_options({name}=...)")
        elif name in _ARGUMENTS_OF:
            raise TypeError(f"{name}= is an argument of {_ARGUMENTS_OF[name]}, not a field of a chat")
        elif close := nearest(name, (*known, *_ARGUMENTS_OF)):
            owner = "" if close in known else f" of {_ARGUMENTS_OF[close]}"
            raise TypeError(f"a chat has no field {name}=: did you mean {close}={owner}?")


def payload_fields(payload: Any, kind: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of the request for a payload, in a new mapping.

    Args:
        payload: What was passed.
        kind: Class of the request.

    Raises:
        TypeError, ValueError: The payload is invalid.
    """
    if isinstance(payload, str):
        if not payload:
            raise ValueError("the message is empty")
        return {"messages": [{"role": "user", "content": payload}]}
    if payload is None:
        return {}
    if isinstance(payload, (Mapping, kind)):
        return dict(payload)
    if isinstance(payload, Sequence) and not isinstance(payload, bytes | bytearray):
        return {"messages": payload}
    if hasattr(payload, "role"):
        raise TypeError("no messages: one message goes into a list, chat([message])")
    raise TypeError(
        f"a chat is text, a {kind.__name__}, a mapping of its fields or a list of messages, "
        f"not {type(payload).__name__}"
    )


def chat_request(kind: type[ModelT], fields: dict[str, Any], model: str | None, stream: bool) -> ModelT:
    """Return the request of a chat.

    Args:
        kind: Class of the request.
        fields: Its fields.
        model: Model of a request that names none; None where an assistant or thread has one.
        stream: Whether a stream is wanted.

    Raises:
        ValueError: A field is missing or wrong, or there is no message.
    """
    named = fields.get("model")
    if model is not None and not (named.strip() if isinstance(named, str) else named):
        fields["model"] = model
    if stream or "stream" in fields:
        fields["stream"] = stream or None  # the method decides
    if "role" in fields and "messages" not in fields:
        raise ValueError("no messages: one message goes into a list, chat([{...}])")
    _check_fields(fields)
    request = validated(kind, fields)
    if not getattr(request, "messages", None):
        raise ValueError("messages is empty: give at least one message")
    return request


def _check_fields(fields: Mapping[str, Any]) -> None:
    """Check fields of a chat for mistakes that its model would accept or describe badly.

    Raises:
        ValueError: A field that must be a list is one of its elements, or a schema is none or has what JSON lacks.
    """
    for name in _LISTS:
        value = fields.get(name)
        if isinstance(value, str | Mapping) or hasattr(value, "model_dump"):
            raise ValueError(f"{name} must be a list: {name}=[...]")
    for name in _WITH_SCHEMAS:
        if name in fields:
            refuse_not_json(fields[name], name)
    _check_format(fields.get("response_format"))
    _check_format(field_of(fields.get("model_options"), "response_format"))


def _check_format(response_format: Any) -> None:
    """Refuse a schema that is neither a mapping nor text nor a type.

    Raises:
        ValueError: It is none of these.
    """
    schema = response_format.get("schema") if isinstance(response_format, Mapping) else None
    if schema is None or isinstance(schema, Mapping | str):
        return
    from gigachat.models.response_format import is_type  # here, for it loads pydantic

    if not (is_type(schema) or hasattr(schema, "model_fields")):
        raise ValueError(f"response_format.schema must be a JSON Schema or a type, not {type(schema).__name__}")


def check_roles(
    messages: Iterable[models.Messages | models.ChatMessage], place: str = "messages", *, v2: bool = False
) -> None:
    """Refuse roles of other APIs and misspelled ones. Newer roles of the service are sent.

    Args:
        messages: The messages.
        place: What the caller knows them as.
        v2: Whether they are of API v2.

    Raises:
        ValueError: Another role is meant.
    """
    roles = _ROLES_V2 if v2 else _ROLES
    for index, message in enumerate(messages):
        role = message.role
        if role in roles or role.lower() in roles:
            continue
        if meant := _OTHER_ROLES.get(role.lower()) or nearest(role, roles, 0.75):
            version = "v2" if v2 else "v1"
            raise ValueError(f"{place}[{index}].role: {role!r} is no role of API {version}: write {meant!r}")


def with_described(fields: Any, name: Literal["functions", "tools"]) -> Any:
    """Return fields with descriptions instead of Python functions and `Tool`s, in a new mapping if there are any.

    Args:
        fields: The fields of a request; what is not a mapping is returned as it is.
        name: The field that holds functions, of chats v1 or v2.

    Raises:
        TypeError, ValueError: No tool can be made of a function, or two tools have one name.
    """
    several = fields.get(name) if isinstance(fields, Mapping) else None
    if not isinstance(several, Sequence) or isinstance(several, str | bytes) or not any(map(callable, several)):
        return fields
    several = [*several]
    from gigachat.tools import as_tool, is_callable_tool  # here, for it loads pydantic

    names: list[str] = []
    for place, one in enumerate(several):
        if is_callable_tool(one):
            tool = as_tool(one)
            names.append(tool.name)
            several[place] = tool.function() if name == "functions" else tool.specification()
    refuse_repeated_names(names)
    return {**fields, name: several}


def refuse_class(response_format: Any, method: str) -> None:
    """Refuse a class where a format is wanted.

    Raises:
        TypeError: It is a class.
    """
    if inspect.isclass(response_format):
        raise TypeError(f"response_format= takes a schema here; for a class use {method}(..., response_format=...)")


def refuse_repeated_names(names: Iterable[str]) -> None:
    """Refuse two tools of one name.

    Raises:
        ValueError: A name occurs twice.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(
                f"two tools are called {name!r}: give one of them another name=, or its McpTools a prefix="
            )
        seen.add(name)


def field_of(value: Any, name: str) -> Any:
    """Return a field of a model or mapping; None where there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def validated(kind: type[ModelT], fields: Mapping[str, Any], wrong: Callable[[str], Exception] = ValueError) -> ModelT:
    """Return fields as a model.

    Raises:
        ValueError: They do not fit; or what `wrong` makes of the reason.
    """
    try:
        # The validator itself: a fifth faster than the method before it.
        model: ModelT = kind.__pydantic_validator__.validate_python(fields)
        return model
    except ValueError as error:
        reason = problem(error)
    # Raised outside the handler: the original error holds the content.
    raise wrong(reason)


def problem(error: ValueError) -> str:
    """Return what is wrong with a chat, in one line and without its content."""
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_input=False, include_url=False)[0]
    parts = _fields_in(first["loc"])
    if first["type"].startswith("recursion"):
        return f"{path_of(parts[:2])} is nested too deeply, or contains itself"
    place = path_of(parts)
    if place == "function_call":
        return "function_call is 'auto', 'none' or {'name': '…'}"
    if place == "messages" and first["type"] == "missing":
        return "no messages: give a text, or messages=[...]"
    if first["type"] == "string_type" and place.endswith("].content"):
        return f"{place}: text is expected. Files go into attachments=[id], parts into giga.chat.create (API v2)"
    if first["type"] == "string_unicode":
        return f"{place}: {HALF_A_PAIR}"
    wrong = reason(first)
    if first["type"] in _OF_PLACES:
        wrong = next((text for end, text in _OF_PLACES[first["type"]].items() if re.search(end, place)), wrong)
    return f"{place}: {wrong}" if place else wrong


def _fields_in(location: Sequence[int | str]) -> list[int | str]:
    """Return the names of fields and the indexes in a location, without pydantic's names of a union's members."""
    return [
        part for part in location if isinstance(part, int) or (part.isidentifier() and part.islower() and part != "str")
    ]


def model_of(kind: type[ModelT], value: Any, name: str) -> ModelT:
    """Return a model, or a mapping of its fields, as the model.

    Args:
        kind: Class of the model.
        value: What was passed.
        name: What the caller knows it as.

    Raises:
        TypeError: It is neither.
        ValueError: A field is missing or wrong.
    """
    refuse_not_json(value, name)
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a {kind.__name__} or a mapping of its fields, not {type(value).__name__}")
    return validated(kind, dict(value), lambda reason: ValueError(f"{name}: {reason}"))


def models_of(kind: type[ModelT], values: Any, name: str) -> list[ModelT]:
    """Return a list of models or mappings as models; see `model_of`."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a list, not {type(values).__name__}: {name}=[...]")
    return [model_of(kind, value, f"{name}[{index}]") for index, value in enumerate(values)]


def messages_of(messages: Any) -> list[models.Messages]:
    """Return one or several messages (`Message`) as models; text is a message of the user.

    Raises:
        TypeError, ValueError: A message is invalid, or there is none.
    """
    if isinstance(messages, str | Mapping | models.Messages):
        messages = [messages]
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        raise TypeError(f"messages must be a list, not {type(messages).__name__}")
    if not messages:
        raise ValueError("messages is empty: give at least one message")
    said = [{"role": "user", "content": message} if isinstance(message, str) else message for message in messages]
    read = models_of(models.Messages, said, "messages")
    check_roles(read)
    return read


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def checked_id(value: str, name: str) -> str:
    """Return an id.

    Raises:
        TypeError, ValueError: It is not text, or is empty.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if not value:
        raise ValueError(f"{name} is empty")
    return value


def ids(**values: str) -> dict[str, str]:
    """Return ids as fields; see `checked_id`."""
    return {name: checked_id(value, name) for name, value in values.items()}


def checked_ids(values: Iterable[str] | None, name: str) -> list[str] | None:
    """Return ids, None where none are given; see `checked_id`."""
    if values is None:
        return None
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list of ids")
    return [checked_id(value, f"{name}[{index}]") for index, value in enumerate(values)]
