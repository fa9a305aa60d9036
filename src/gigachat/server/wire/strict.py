"""The strict mode: every field the API notes do not list is refused, so that misspelt ones are found.

One table says what each endpoint of the reference accepts. Values are not looked at, that is done by the checks of the
endpoints in either mode; schemas, arguments, metadata and the like are free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException

from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.requests import read_json

if TYPE_CHECKING:
    from starlette.requests import Request

_Rule: TypeAlias = "Mapping[str, _Rule] | Sequence[_Rule] | None"
"""The fields of an object with their own rules, the one rule for the items of an array, or None: anything.

A field `*` stands for all that are not listed.
"""


def _fields(*names: str, **rules: _Rule) -> dict[str, _Rule]:
    return {**dict.fromkeys(names), **rules}


# Sections 4.1 to 4.6

_FUNCTION = _fields(
    "name", "description", "parameters", "return_parameters", few_shot_examples=[_fields("request", "params")]
)
_V1_MESSAGE: dict[str, _Rule] = _fields(
    "role",
    "content",
    "name",
    "attachments",
    "functions_state_id",
    "reasoning_content",
    "id",
    "created",
    function_call=_fields("name", "arguments"),
)
_V1_MESSAGE["data_for_context"] = [_V1_MESSAGE]
_V1_FUNCTION_CALL = _fields("name", "partial_arguments")
_V1_CHAT = _fields(
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "repetition_penalty",
    "stream",
    "update_interval",
    "reasoning_effort",
    "profanity_check",
    "n",
    "flags",
    "additional_data",
    messages=[_V1_MESSAGE],
    function_call=_V1_FUNCTION_CALL,
    functions=[_FUNCTION],
    response_format=_fields("type", "schema", "strict"),
    storage=_fields("is_stateful", "limit", "assistant_id", "thread_id", "metadata"),
    function_ranker=_fields("enabled", "top_n"),
)

# Sections 5.1 to 5.4

_STATE_IDS = ("tool_state_id", "tools_state_id", "functions_state_id")
_PART = _fields(
    "text",
    "logprobs",
    files=[_fields("id", "mime", "target")],
    function_call=_fields("id", "name", "arguments"),
    function_result=_fields("name", "result"),
    inline_data=_fields("sources", "images", "widgets"),
    tool_execution=_fields("name", "status", "seconds_left", "censored"),
)
_NOTHING: _Rule = {}
_TOOL = _fields(
    "*",  # a tool nobody knows is refused in the service's own words
    functions=_fields(specifications=[_FUNCTION]),
    web_search=_fields("type", "indexes", "flags"),
    url_content_extraction=_NOTHING,
    code_interpreter=_NOTHING,
    image_generate=_NOTHING,
    model_3d_generate=_NOTHING,
    get_datetime=_NOTHING,
    memory=_NOTHING,
)
_V2_CHAT = _fields(
    "model",
    "stream",
    "disable_filter",
    "assistant_id",
    "flags",
    "memory_id",
    *_STATE_IDS,
    messages=[_fields("role", "message_id", *_STATE_IDS, content=[_PART])],
    model_options=_fields(
        "temperature",
        "top_p",
        "max_tokens",
        "repetition_penalty",
        "update_interval",
        "unnormalized_history",
        "top_logprobs",
        "preset",
        response_format=_fields("type", "schema", "strict", "regex"),
        reasoning=_fields("effort"),
    ),
    tools=[_TOOL],
    tool_config=_fields("mode", "tool_name", "function_name"),
    ranker_options=_fields("enabled", "top_n", "embeddings_model"),
    user_info=_fields("timezone"),
    storage=_fields("limit", "thread_id", "metadata"),
    filter_config=_fields(
        request_content=_fields("neuro", "blacklist", "whitelist"), response_content=_fields("blacklist")
    ),
)

# Section 8

_EMBEDDINGS = _fields("model", "input")

# Section 12

_ASSISTANT = _fields("name", "description", "instructions", "file_ids", "metadata", functions=[_FUNCTION])
_RUN = _fields(
    "thread_id",
    "stream",
    "temperature",
    "top_p",
    "limit",
    "max_tokens",
    "repetition_penalty",
    "profanity_check",
    "flags",
    function_call=_V1_FUNCTION_CALL,
    functions=[_FUNCTION],
)


@dataclass(frozen=True, slots=True)
class _Accepted:
    """What one endpoint accepts; a body without a rule is not looked into."""

    body: _Rule = None
    query: Sequence[str] = ()
    form: Sequence[str] | None = None
    """Fields of a form, in the body."""
    batch: bool = False
    """Whether the body holds a request in each line."""


ACCEPTED = {
    "POST /oauth": _Accepted(form=("scope",)),
    "POST /v1/token": _Accepted(form=("scope",)),
    "GET /v1/models": _Accepted(),
    "GET /v1/models/{model:path}": _Accepted(),
    "POST /v1/chat/completions": _Accepted(_V1_CHAT),
    "POST /v2/chat/completions": _Accepted(_V2_CHAT),
    "POST /v1/embeddings": _Accepted(_EMBEDDINGS),
    "POST /v1/tokens/count": _Accepted(_EMBEDDINGS),
    "POST /v1/files": _Accepted(form=("file", "purpose")),
    "GET /v1/files": _Accepted(),
    "GET /v1/files/{file_id}": _Accepted(),
    "GET /v1/files/{file_id}/content": _Accepted(),
    # The published client sends an odd form here; the service ignores it (section 9.4).
    "POST /v1/files/{file_id}/delete": _Accepted(),
    # The body is an OpenAPI document.
    "POST /v1/functions/convert": _Accepted(),
    "POST /v1/functions/validate": _Accepted(_FUNCTION),
    "POST /v1/ai/check": _Accepted(_fields("input", "model")),
    "POST /v1/filter/check": _Accepted(
        _fields(
            "model",
            messages=[_V1_MESSAGE],
            settings=_fields("neuro", "blacklist", "whitelist", "unnormalized_history"),
            functions=[_FUNCTION],
        )
    ),
    "GET /v1/balance": _Accepted(),
    "POST /v1/batches": _Accepted(query=("method",), batch=True),
    "GET /v1/batches": _Accepted(query=("batch_id",)),
    "GET /v1/assistants": _Accepted(query=("assistant_id",)),
    "POST /v1/assistants": _Accepted({**_ASSISTANT, "model": None}),
    "POST /v1/assistants/modify": _Accepted({**_ASSISTANT, "assistant_id": None}),
    "POST /v1/assistants/delete": _Accepted(_fields("assistant_id")),
    "POST /v1/assistants/files/delete": _Accepted(_fields("assistant_id", "file_id")),
    "GET /v1/threads": _Accepted(query=("assistants_ids", "limit", "before")),
    "POST /v1/threads": _Accepted(_NOTHING),
    "POST /v1/threads/retrieve": _Accepted(_fields("threads_ids")),
    "POST /v1/threads/delete": _Accepted(_fields("thread_id")),
    "GET /v1/threads/messages": _Accepted(query=("thread_id", "limit", "before")),
    "POST /v1/threads/messages": _Accepted(_fields("thread_id", "model", "assistant_id", messages=[_V1_MESSAGE])),
    "POST /v1/threads/run": _Accepted({**_RUN, "assistant_id": None}),
    "GET /v1/threads/run": _Accepted(query=("thread_id",)),
    "POST /v1/threads/messages/run": _Accepted(
        {**_RUN, "assistant_id": None, "model": None, "messages": [_V1_MESSAGE], "update_interval": None}
    ),
    "POST /v1/threads/messages/rerun": _Accepted({**_RUN, "update_interval": None}),
}


async def check_fields(request: Request, endpoint: str) -> None:
    """Refuse a request with a field its endpoint doesn't list.

    A body that can't be read is let through: the endpoint refuses it in the service's own words.

    Args:
        request: The request.
        endpoint: Method and path: `POST /v1/embeddings`.

    Raises:
        Refusal: 422 with the path of the field, such as `messages[0].foo`.
    """
    accepted = ACCEPTED[endpoint]
    for name, _ in parse_qsl(request.url.query, keep_blank_values=True):
        _known(name, accepted.query)
    body = await request.body()
    if accepted.form is not None:
        try:
            form = await request.form()
        except HTTPException:
            return
        try:
            for name in form:
                _known(name, accepted.form)
        except Refusal:
            await form.close()
            raise
    elif accepted.batch:
        rule = _EMBEDDINGS if request.query_params.get("method") == "embedder" else _V1_CHAT
        for number, line in enumerate(body.splitlines()):
            _check_json(line, _fields("id", request=rule), f"[{number}]")
    elif accepted.body is not None:
        _check_json(body, accepted.body, "")


def _known(name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise _unknown(name)


def _check_json(body: bytes, rule: _Rule, path: str) -> None:
    try:
        value = read_json(body)
    except Refusal:
        return
    _check(value, rule, path)


def _check(value: Any, rule: _Rule, path: str) -> None:
    if isinstance(rule, Mapping) and isinstance(value, dict):
        for name, inner in value.items():
            place = f"{path}.{name}" if path else name
            if name not in rule and "*" not in rule:
                raise _unknown(place)
            _check(inner, rule.get(name), place)
    elif isinstance(rule, Sequence) and isinstance(value, list):
        for number, item in enumerate(value):
            _check(item, rule[0], f"{path}[{number}]")


def _unknown(path: str) -> Refusal:
    return invalid_params(f"unknown field {path}")
