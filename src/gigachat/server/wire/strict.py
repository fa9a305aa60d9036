"""The strict mode: fields that the API notes do not list are refused, so that misspelt names are found.

The fields are those of the SDK's request models; `_MORE` names the few that the models leave out. Values are not
checked here: each endpoint does that in either mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.exceptions import HTTPException

from gigachat.models import chat as v1
from gigachat.models import chat_completions as v2
from gigachat.models.base import build_all
from gigachat.models.threads import ThreadRunOptions
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.requests import read_json

if TYPE_CHECKING:
    from starlette.requests import Request

_EMBEDDINGS = {"model": Any, "input": Any}
_STATE_IDS: dict[str, Any] = dict.fromkeys(("tool_state_id", "tools_state_id", "functions_state_id"), Any)
_MORE: Mapping[type[BaseModel], Mapping[str, Any]] = {
    v1.Chat: {"additional_data": Any},
    v1.Messages: {"created": Any},
    v1.Function: {"parameters": Any},
    v2.ChatCompletionRequest: {**_STATE_IDS, "memory_id": Any},
    v2.ChatMessage: _STATE_IDS,
    v2.ChatContentPart: {"logprobs": Any},
    v2.ChatFunctionCall: {"id": Any},
    # These tools have no options.
    v2.ChatTool: {name: {} for name in v2.ChatTool.model_fields.keys() - {"functions", "web_search"}},
}
_NOT_SENT = frozenset({"additional_fields"})
_ASSISTANT = {
    **dict.fromkeys(("name", "description", "instructions", "file_ids", "metadata"), Any),
    "functions": list[v1.Function],
}
_MESSAGES = {"messages": list[v1.Messages]}


def fields_of(kind: Any) -> Mapping[str, Any]:
    """Return the types of the fields of an object by name; nothing for a type without known fields."""
    if isinstance(kind, Mapping):
        return kind
    found: dict[str, Any] = {}
    for model in alternatives(kind):
        if isinstance(model, type) and issubclass(model, BaseModel):
            found |= _fields_of_model(model)
    return found


@cache
def _fields_of_model(model: type[BaseModel]) -> dict[str, Any]:
    build_all(model)  # type: ignore[arg-type]
    fields = {
        field.alias or name: field.annotation
        for name, field in model.model_fields.items()
        if not field.exclude and name not in _NOT_SENT
    }
    return fields | dict(_MORE.get(model, {}))


def alternatives(kind: Any) -> Iterator[Any]:
    """Yield the types a value may have, those of unions and annotations apart."""
    arguments = get_args(kind)
    if not arguments or get_origin(kind) in (list, dict):
        yield kind
    else:
        for one in arguments:
            yield from alternatives(one)


_ID = {"assistant_id": Any}
_RUN = {**fields_of(ThreadRunOptions), "thread_id": Any, "stream": Any}
BODIES: Mapping[str, Any] = {
    "POST /v1/chat/completions": v1.Chat,
    "POST /v2/chat/completions": v2.ChatCompletionRequest,
    "POST /v1/embeddings": _EMBEDDINGS,
    "POST /v1/tokens/count": _EMBEDDINGS,
    "POST /v1/functions/validate": v1.Function,
    "POST /v1/ai/check": {"input": Any, "model": Any},
    "POST /v1/filter/check": {
        **_MESSAGES,
        "model": Any,
        "settings": dict.fromkeys(("neuro", "blacklist", "whitelist", "unnormalized_history"), Any),
        "functions": list[v1.Function],
    },
    "POST /v1/assistants": {**_ASSISTANT, "model": Any},
    "POST /v1/assistants/modify": {**_ASSISTANT, **_ID},
    "POST /v1/assistants/delete": _ID,
    "POST /v1/assistants/files/delete": {**_ID, "file_id": Any},
    "POST /v1/threads": {},
    "POST /v1/threads/retrieve": {"threads_ids": Any},
    "POST /v1/threads/delete": {"thread_id": Any},
    "POST /v1/threads/messages": {**_MESSAGES, **_ID, "thread_id": Any, "model": Any},
    "POST /v1/threads/run": {**_RUN, **_ID},
    "POST /v1/threads/messages/run": {**_RUN, **_ID, **_MESSAGES, "model": Any, "update_interval": Any},
    "POST /v1/threads/messages/rerun": {**_RUN, "update_interval": Any},
}
"""The fields of JSON bodies: a model, or the types of the fields by name."""
FORMS: Mapping[str, Sequence[str]] = {
    "POST /oauth": ("scope",),
    "POST /v1/token": ("scope",),
    "POST /v1/files": ("file", "purpose"),
}
QUERIES: Mapping[str, Sequence[str]] = {
    "POST /v1/batches": ("method",),
    "GET /v1/batches": ("batch_id",),
    "GET /v1/assistants": ("assistant_id",),
    "GET /v1/threads": ("assistants_ids", "limit", "before"),
    "GET /v1/threads/messages": ("thread_id", "limit", "before"),
    "GET /v1/threads/run": ("thread_id",),
}
_BATCHES = "POST /v1/batches"
# Bodies that are not checked as one object: the lines of a batch are checked each, the second is an OpenAPI document,
# and the published client sends a form to the last that the service ignores (section 9.4).
UNCHECKED = (_BATCHES, "POST /v1/functions/convert", "POST /v1/files/{file_id}/delete")


async def check_fields(request: Request, endpoint: str) -> None:
    """Refuse a request with a field its endpoint does not list.

    A body that cannot be read is let through: the endpoint refuses it in the service's own words.

    Args:
        request: The request.
        endpoint: Method and path: `POST /v1/embeddings`.

    Raises:
        Refusal: 422 with the path of the field, such as `messages[0].foo`.
    """
    for name, _ in parse_qsl(request.url.query, keep_blank_values=True):
        _check_name(name, QUERIES.get(endpoint, ()))
    body = await request.body()
    if endpoint in FORMS:
        try:
            form = await request.form()
        except HTTPException:
            return
        try:
            for name in form:
                _check_name(name, FORMS[endpoint])
        except Refusal:
            await form.close()
            raise
    elif endpoint == _BATCHES:
        kind = _EMBEDDINGS if request.query_params.get("method") == "embedder" else v1.Chat
        for number, line in enumerate(body.splitlines()):
            _check_json(line, {"id": Any, "request": kind}, f"[{number}]")
    elif endpoint in BODIES:
        _check_json(body, BODIES[endpoint], "")


def _check_name(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise invalid_params(f"unknown field {name}")


def _check_json(body: bytes, kind: Any, path: str) -> None:
    try:
        value = read_json(body)
    except Refusal:
        return
    _check(value, kind, path)


def _check(value: Any, kind: Any, path: str) -> None:
    if isinstance(value, dict):
        fields = fields_of(kind)
        if not fields and not isinstance(kind, Mapping):
            return  # free, as a schema or arguments
        for name, inner in value.items():
            place = f"{path}.{name}" if path else name
            if name in fields:
                _check(inner, fields[name], place)
            elif kind is not v2.ChatTool:  # the endpoint itself refuses an unknown tool
                raise invalid_params(f"unknown field {place}")
    elif isinstance(value, list):
        for item in (get_args(one)[0] for one in alternatives(kind) if get_origin(one) is list):
            for number, one in enumerate(value):
                _check(one, item, f"{path}[{number}]")
