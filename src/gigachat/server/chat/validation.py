"""The checks that both chat versions make, with the service's words for the refusals.

Reference, sections 4, 5 and 13. Unknown names are 404, wrong values 422. The shapes of bodies are those of `wire`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat._service import FUNCTION_NAME, MOST_MEDIA_MEGABYTES
from gigachat.server.catalogue import Model, find_model
from gigachat.server.engine import AttachedFile
from gigachat.server.wire.errors import Refusal, invalid_params

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.chat.history import History
    from gigachat.server.engine import ChatRequest, Message
    from gigachat.server.state.state import State
    from gigachat.server.wire.limits import Limits

_NO_REASONING = ("off", "none")
SAMPLING: Limits = {
    "temperature": "(0, +inf)",
    "top_p": "[0, 1]",
    "repetition_penalty": "(0, +inf)",
    "max_tokens": "(0, +inf)",
    "update_interval": "[0, +inf)",
}
_MOST_IMAGES = 10
_LONGEST_REGEX = 10_000


@dataclass(frozen=True, slots=True)
class CheckedRequest:
    """A checked request of either version: what the engine gets, and how the answer is sent and kept."""

    chat: ChatRequest
    stream: bool
    update_interval: float
    history: History

    @property
    def new_messages(self) -> Sequence[Mapping[str, Any]]:
        """The messages of the request as they came."""
        messages: Sequence[Mapping[str, Any]] = self.chat.options["messages"]
        return messages


def read_effort(effort: str | None) -> str | None:
    """Return how much to reason; None for not at all. Any text is an effort (reference, section 7)."""
    return None if effort in _NO_REASONING else effort


def check_format(options: Mapping[str, Any], *, regex: bool = False) -> tuple[Mapping[str, Any] | None, str | None]:
    """Check `response_format` (reference, sections 4.6 and 5.3).

    Args:
        options: The object that holds the field.
        regex: Whether the type `regex` is known.

    Returns:
        The JSON Schema of the answer and the regular expression it must match; at most one is not None.

    Raises:
        Refusal: 400 for an unknown type or an empty schema, 422 for wrong values.
    """
    wanted = options.get("response_format")
    if wanted is None:
        return None, None
    match wanted.get("type"):
        case "text":
            if len(wanted) > 1:
                raise invalid_params("response_format of type text must have no other fields")
            return None, None
        case "regex" if regex:
            return None, _checked_regex(wanted.get("regex"))
        case "json_schema":
            if not wanted.get("schema"):
                raise Refusal(400, "Empty schema with json format type is not supported")
            return wanted["schema"], None
        case kind:
            raise Refusal(400, f'Unknown type "{kind or ""}" in response_format')


def _checked_regex(pattern: str | None) -> str:
    if not pattern:
        raise Refusal(400, "Empty regex with regex format type is not supported")
    if len(pattern) > _LONGEST_REGEX:
        raise invalid_params(f"response_format.regex must have at most {_LONGEST_REGEX} characters")
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        raise invalid_params("response_format.regex is not a regular expression") from None
    return pattern


# Models, messages, files and functions of a request


def requested_model(options: Mapping[str, Any], history: History) -> Model:
    """Return the model to answer with: the one named, else that of the thread or the assistant.

    Raises:
        Refusal: 404 when there is none or it is unknown.
    """
    return find_model(options.get("model") or history.model or "", "chat")


def raw_messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the messages of a body as they came; there must be one.

    Raises:
        Refusal: 422 for none.
    """
    raw: list[dict[str, Any]] = body["messages"]
    if not raw:
        raise invalid_params("messages must not be empty")
    return raw


def check_files(messages: Sequence[Message], state: State) -> None:
    """Check that attached files exist and are not too many (reference, sections 9.2 and 14).

    Raises:
        Refusal: 404 for an unknown file, 422 for more than one image in a message or ten in all, or too large together.
    """
    images = size = 0
    for message in messages:
        media = [file for file in map(state.files.get, message.files) if file.mime.startswith(("image/", "audio/"))]
        found = sum(file.mime.startswith("image/") for file in media)
        if found > 1:
            raise invalid_params("a message must not have more than one image")
        images += found
        size += sum(len(file.content) for file in media)
    if images > _MOST_IMAGES:
        raise invalid_params(f"a request must not have more than {_MOST_IMAGES} images")
    if size >= MOST_MEDIA_MEGABYTES * 1024 * 1024:
        raise invalid_params("images and audio of a request must have less than 80 MB together")


def attached_files(messages: Sequence[Message], state: State) -> list[AttachedFile]:
    """Return the files of the last message of the user; those deleted since then are left out."""
    last = next((message for message in reversed(messages) if message.role == "user"), None)
    found = [state.files.get(one) for one in (last.files if last is not None else ()) if state.files.known(one)]
    return [AttachedFile(file.filename, file.mime, file.content) for file in found]


def check_functions(functions: Sequence[Mapping[str, Any]], model: Model, last: Message) -> Sequence[Mapping[str, Any]]:
    """Check descriptions of functions and return them.

    Args:
        functions: The descriptions.
        model: The model that would call them.
        last: The last message of the conversation.

    Raises:
        Refusal: 422 for a wrong name, or where a model of the third generation takes none.
    """
    wrong = [one["name"] for one in functions if not re.fullmatch(FUNCTION_NAME, one["name"])]
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
