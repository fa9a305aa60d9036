"""What the service accepts as a v1 chat request, and with which words it refuses the rest.

Reference, sections 4.1, 4.2, 4.4, 4.6 and 13; what v2 has in common with v1 is here too. Wrong JSON types are 400,
wrong values and orders 422. Unknown fields are ignored (see `strict`). It must not answer anything itself: it returns
the checked request or raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gigachat.server.catalogue import Model, find_model
from gigachat.server.chat.history import History, v1_history
from gigachat.server.engine import ChatRequest, Message
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.messages import check_result, v1_message
from gigachat.server.wire.requests import NUMBER, list_of, typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.state.records import StoredFile
    from gigachat.server.state.state import State

_MOST_IMAGES = 10
_MOST_MEDIA = 80 * 1024 * 1024
_LONGEST_REGEX = 10_000
_BUILT_IN = frozenset({"text2image", "text2model3d", "get_file_content"})
FUNCTION_NAME = re.compile(r"[A-Za-z_.\-][A-Za-z0-9_.\-]*")
EFFORTS = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A checked request of either contract: what the engine needs, and how the answer is to be sent and kept."""

    chat: ChatRequest
    stream: bool
    update_interval: float
    history: History = field(default_factory=History)

    @property
    def new_messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages of the request as they came."""
        messages: Sequence[Mapping[str, Any]] = self.chat.options["messages"]
        return messages


def check_chat(options: Mapping[str, Any], state: State) -> CheckedRequest:
    """Return the checked request of `POST /v1/chat/completions`.

    Args:
        options: The body received.
        state: What the server remembers: open calls, threads, assistants, files.

    Raises:
        Refusal: As the service would refuse it.
    """
    history = v1_history(options, state)
    model = requested_model(options, history)
    stream = bool(typed(options, "stream", bool))
    new = [v1_message(one) for one in raw_messages(options)]
    check_files(new, state)
    messages = history.conversation(new, state)
    for message in messages[len(messages) - len(new) :]:
        if message.role == "function":
            check_result(message.name or "", message.content, 422)
    max_tokens, interval = check_numbers(options)
    described = check_functions(list_of(options, "functions", dict) or history.functions, model, messages[-1])
    mode, forced, preset = _mode(options, [str(one["name"]) for one in described])
    own = [one for one in described if one["name"] not in _BUILT_IN]
    tools: Sequence[str] = [one["name"] for one in described if one["name"] in _BUILT_IN]
    if mode == "auto" and not described:
        tools = ["text2image"]
    schema, _ = check_format(options)
    chat = ChatRequest(
        model=model,
        messages=messages,
        functions=own if mode != "none" else (),
        forced=forced if forced not in _BUILT_IN else None,
        preset=preset,
        tools=tools if mode != "none" else (),
        forced_tool=forced if forced in _BUILT_IN else None,
        schema=schema,
        max_tokens=max_tokens,
        effort=_effort(options),
        options=options,
    )
    _check_the_rest(options)
    return CheckedRequest(chat, stream, interval, history)


def requested_model(options: Mapping[str, Any], history: History) -> Model:
    """Return the model to answer with: the one named, else that of the thread or the assistant.

    Raises:
        Refusal: 404 when there is none or it is unknown.
    """
    return find_model(typed(options, "model", str) or history.model or "", "chat")


def raw_messages(options: Mapping[str, Any]) -> list[Any]:
    """Return the messages of a request as they came; there must be one.

    Raises:
        Refusal: 400 for a wrong type, 422 for none.
    """
    raw: list[Any] = typed(options, "messages", list) or []
    if not raw:
        raise invalid_params("messages must not be empty")
    return raw


def check_files(messages: Sequence[Message], state: State) -> None:
    """Check that the files attached are there, and that they are not too many (reference, sections 9.2 and 14).

    Raises:
        Refusal: 404 for an unknown file, 422 for more than one image in a message or ten in all, or too large together.
    """
    media: list[StoredFile] = []
    for message in messages:
        files = [file for file in map(state.files.get, message.files) if file.mime.startswith(("image/", "audio/"))]
        if len(_images(files)) > 1:
            raise invalid_params("a message must not have more than one image")
        media += files
    if len(_images(media)) > _MOST_IMAGES:
        raise invalid_params(f"a request must not have more than {_MOST_IMAGES} images")
    if sum(len(file.content) for file in media) >= _MOST_MEDIA:
        raise invalid_params("images and audio of a request must have less than 80 MB together")


def _images(files: Sequence[StoredFile]) -> list[StoredFile]:
    return [file for file in files if file.mime.startswith("image/")]


def check_numbers(options: Mapping[str, Any]) -> tuple[int | None, float]:
    """Check the sampling numbers and return `max_tokens` and `update_interval`.

    Raises:
        Refusal: 400 for a wrong type, 422 for a number out of range.
    """
    for name in ("temperature", "repetition_penalty"):
        value = typed(options, name, NUMBER)
        if value is not None and value <= 0:
            raise invalid_params(f"{name} must be in range (0, +inf)")
    top_p = typed(options, "top_p", NUMBER)
    if top_p is not None and not 0 <= top_p <= 1:
        raise invalid_params("top_p must be in range [0, 1]")
    max_tokens: int | None = typed(options, "max_tokens", int)
    if max_tokens is not None and max_tokens <= 0:
        raise invalid_params("max_tokens must be in range (0, +inf)")
    interval = typed(options, "update_interval", NUMBER) or 0.0
    if interval < 0:
        raise invalid_params("update_interval must be in range [0, +inf)")
    return max_tokens, float(interval)


def check_functions(functions: Sequence[Mapping[str, Any]], model: Model, last: Message) -> Sequence[Mapping[str, Any]]:
    """Check descriptions of functions and return them.

    Args:
        functions: The descriptions.
        model: Who would call them.
        last: The last message of the conversation.

    Raises:
        Refusal: 400 for a wrong shape, 422 for a wrong name, or where a model of the third generation takes none.
    """
    names: list[str] = []
    for one in functions:
        names.append(typed(one, "name", str) or "")
        typed(one, "parameters", dict)
    wrong = [name for name in names if not FUNCTION_NAME.fullmatch(name)]
    if wrong:
        raise invalid_params(
            "Invalid function names. Only Latin letters (A-Z or a-z), underscore (_), hyphen (-), dot (.) "
            f"and digits (not leading) are allowed.: [{' '.join(wrong)}]"
        )
    if functions and model.third_generation and last.role not in ("user", "function"):
        raise Refusal(
            422,
            "INVALID_PARAMS: functions or thinking_functions should only appeal in user, function messages "
            "or random role messages",
        )
    return functions


def check_format(options: Mapping[str, Any], *, regex: bool = False) -> tuple[Mapping[str, Any] | None, str | None]:
    """Check `response_format` (reference, sections 4.6 and 5.3).

    Args:
        options: Where the field is.
        regex: Whether the type `regex` is known.

    Returns:
        The JSON Schema the answer must obey and the regular expression it must match; at most one is not None.

    Raises:
        Refusal: 400 for a wrong shape or type, 422 for wrong values.
    """
    wanted = typed(options, "response_format", dict)
    if wanted is None:
        return None, None
    kind = typed(wanted, "type", str)
    if kind == "text":
        if len(wanted) > 1:
            raise invalid_params("response_format of type text must have no other fields")
        return None, None
    if kind == "regex" and regex:
        pattern = typed(wanted, "regex", str)
        if not pattern:
            raise Refusal(400, "Empty regex with regex format type is not supported")
        if len(pattern) > _LONGEST_REGEX:
            raise invalid_params(f"response_format.regex must have at most {_LONGEST_REGEX} characters")
        try:
            re.compile(pattern)
        except (re.error, OverflowError, RecursionError):
            raise invalid_params("response_format.regex is not a regular expression") from None
        return None, pattern
    if kind != "json_schema":
        raise Refusal(400, f'Unknown type "{kind or ""}" in response_format')
    typed(wanted, "strict", bool)
    schema: Mapping[str, Any] | None = typed(wanted, "schema", dict)
    if not schema:
        raise Refusal(400, "Empty schema with json format type is not supported")
    return schema, None


def check_ranker(options: Mapping[str, Any], name: str) -> None:
    """Check the settings of a ranker of functions; the local server offers all of them to the engine anyway.

    Raises:
        Refusal: 400 for a wrong shape, 422 for a number out of range.
    """
    ranker = typed(options, name, dict)
    if ranker is None:
        return
    typed(ranker, "enabled", bool)
    typed(ranker, "embeddings_model", str)
    top = typed(ranker, "top_n", int)
    if top is not None and top <= 0:
        raise invalid_params(f"{name}.top_n must be in range (0, +inf)")


def _mode(options: Mapping[str, Any], names: Sequence[str]) -> tuple[str, str | None, Mapping[str, Any]]:
    """Return the mode of `function_call`, the name of what must be called, if any, and its preset arguments."""
    mode = options.get("function_call")
    if mode is None:
        # Sources disagree; the vendor's own clients leave it out where they offer functions, and count on calls.
        return "auto" if set(names) - set(_BUILT_IN) else "none", None, {}
    if mode == "none":
        return "none", None, {}
    if mode == "auto":
        return "auto", None, {}
    if isinstance(mode, str):
        raise invalid_params('function_call must be "none", "auto" or an object with a name')
    if not isinstance(mode, dict):
        raise invalid_shape()
    name = typed(mode, "name", str)
    if name not in names:
        raise invalid_params(f"function_call names function {name}, which is not in functions")
    return "forced", name, typed(mode, "partial_arguments", dict) or {}


def _effort(options: Mapping[str, Any]) -> str | None:
    effort: str | None = typed(options, "reasoning_effort", str)
    if effort is not None and effort not in EFFORTS:
        raise invalid_params(f"reasoning_effort must be one of {', '.join(EFFORTS)}")
    return effort


def _check_the_rest(options: Mapping[str, Any]) -> None:
    """Check the fields that change nothing here."""
    typed(options, "profanity_check", bool)
    typed(options, "n", int)
    list_of(options, "flags", str)
    check_ranker(options, "function_ranker")
    # An object by the documents, a list by the published client (reference, section 15).
    typed(options, "additional_data", (dict, list))
