"""What the service accepts as a v2 chat request, and with which words it refuses the rest.

Reference, sections 5 and 13. Wrong shapes are 400, unknown models and tools 404, wrong values and orders 422. Unknown
fields are ignored (see `strict`). It must not answer anything itself: it returns the checked request or raises.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gigachat.server.chat.history import v2_history
from gigachat.server.chat.validation_v1 import (
    EFFORTS,
    CheckedRequest,
    check_files,
    check_format,
    check_functions,
    check_numbers,
    check_ranker,
    raw_messages,
    requested_model,
)
from gigachat.server.engine import ChatRequest, Message
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.messages import state_of, v2_messages
from gigachat.server.wire.requests import list_of, needed, typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.state.state import State

TOOLS = frozenset(
    {
        "web_search",
        "url_content_extraction",
        "code_interpreter",
        "image_generate",
        "model_3d_generate",
        "get_datetime",
        "memory",
    }
)
"""The built-in tools."""
_SEARCHES = ("web_search", "actual_info_web_search", "safe_search")
_MODES = ("auto", "none", "forced")
_FORCED_IN_OTHER_WORDS = ("function", "tool")
"""Modes that gpt2giga 0.3.0 sends for `forced`."""
_JOINED = frozenset({"user", "assistant"})


def check_chat_v2(options: Mapping[str, Any], state: State) -> CheckedRequest:
    """Return the checked request of `POST /v2/chat/completions`.

    Args:
        options: The body received.
        state: What the server remembers and was told: open calls, threads, assistants, files, closed tools.

    Raises:
        Refusal: As the service would refuse it.
    """
    stream = bool(typed(options, "stream", bool))
    # Wrong shapes first: they are refused before anything is looked up.
    new = [message for raw in raw_messages(options) for message in v2_messages(raw, state.result_role)]
    history = v2_history(options, state)
    model = requested_model(options, history)
    check_files(new, state)
    messages = history.conversation(new, state)
    settings: Mapping[str, Any] = typed(options, "model_options", dict) or {}
    max_tokens, interval = check_numbers(settings)
    schema, pattern = check_format(settings, regex=True)
    specified, tools = _tools(options, state)
    described = check_functions(specified or history.functions, model, messages[-1])
    mode, function, tool = _tool_config(options, [str(one["name"]) for one in described], tools)
    if not typed(settings, "unnormalized_history", bool):
        messages = _normalized(messages)
    chat = ChatRequest(
        model=model,
        messages=messages,
        functions=described if mode != "none" else (),
        forced=function,
        several_calls=True,
        tools=tools if mode != "none" else (),
        forced_tool=tool,
        schema=schema,
        pattern=pattern,
        max_tokens=max_tokens,
        effort=_effort(settings),
        options=options,
    )
    _check_the_rest(options, settings)
    return CheckedRequest(chat, stream, interval, history)


def _tools(options: Mapping[str, Any], state: State) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the functions described and the names of the built-in tools offered."""
    functions: list[Mapping[str, Any]] = []
    names: list[str] = []
    for tool in list_of(options, "tools", dict):
        if len(tool) != 1:
            raise invalid_shape()
        [name] = tool
        if name == "functions":
            described = list_of(needed(tool, name, dict), "specifications", dict)
            for one in described:
                needed(one, "name", str)
                needed(one, "parameters", dict)
                _check_examples(one)
            functions += described
            continue
        if name not in TOOLS:
            raise Refusal(404, f"Unknown tool {name}")
        if name in state.closed_tools:
            raise Refusal(422, f"Tool {name} is unavailable")
        settings = needed(tool, name, dict)
        if name == "web_search":
            _check_search(settings)
        names.append(name)
    return functions, names


def _check_examples(function: Mapping[str, Any]) -> None:
    typed(function, "description", str)
    typed(function, "return_parameters", dict)
    for example in list_of(function, "few_shot_examples", dict):
        needed(example, "request", str)
        needed(example, "params", dict)


def _check_search(settings: Mapping[str, Any]) -> None:
    kind = typed(settings, "type", str)
    if kind is not None and kind not in _SEARCHES:
        raise invalid_params(f"web_search.type must be one of {', '.join(_SEARCHES)}")
    list_of(settings, "indexes", str)
    list_of(settings, "flags", str)


def _tool_config(
    options: Mapping[str, Any], functions: Sequence[str], tools: Sequence[str]
) -> tuple[str, str | None, str | None]:
    """Return the mode, and of a forced one the function to call or the built-in tool to use."""
    config = typed(options, "tool_config", dict)
    if config is None:
        return "auto", None, None
    mode = typed(config, "mode", str)
    if mode in _FORCED_IN_OTHER_WORDS:
        mode = "forced"
    function = typed(config, "function_name", str)
    tool = typed(config, "tool_name", str)
    if mode not in _MODES:
        raise invalid_params(f"tool_config.mode must be one of {', '.join(_MODES)}")
    if mode != "forced":
        return mode, None, None  # a name beside another mode is tolerated (reference, section 5.4)
    if function is None and tool is None:
        raise invalid_params("tool_config of mode forced must have tool_name or function_name")
    if function is not None:
        if function not in functions:
            raise invalid_params(f"tool_config names function {function}, which is not in tools")
        return mode, function, None
    if tool not in TOOLS:
        raise Refusal(404, f"Unknown tool {tool}")
    if tool not in tools:
        raise invalid_params(f"tool_config names tool {tool}, which is not in tools")
    return mode, None, tool


def _effort(settings: Mapping[str, Any]) -> str | None:
    reasoning = typed(settings, "reasoning", dict)
    effort: str | None = typed(reasoning, "effort", str) if reasoning is not None else None
    if effort in (None, "off"):
        return None
    if effort not in EFFORTS:
        raise invalid_params(f"reasoning.effort must be one of {', '.join(EFFORTS)}, off")
    return effort


def _normalized(messages: Sequence[Message]) -> list[Message]:
    """Turn a lone system message into a user's, and join neighbouring texts of one speaker (reference, section 5.3)."""
    if len(messages) == 1 and messages[0].role == "system":
        return [replace(messages[0], role="user")]
    joined: list[Message] = []
    for message in messages:
        before = joined[-1] if joined else None
        if before is not None and before.role == message.role and message.role in _JOINED:
            content = f"{before.content}\n{message.content}"
            joined[-1] = replace(message, content=content, files=(*before.files, *message.files))
        else:
            joined.append(message)
    return joined


def _check_the_rest(options: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Check the fields that change nothing here."""
    typed(settings, "preset", str)
    top_logprobs = typed(settings, "top_logprobs", int)
    if top_logprobs is not None and not 1 <= top_logprobs <= 5:
        raise invalid_params("top_logprobs must be in range [1, 5]")
    typed(options, "disable_filter", bool)
    check_ranker(options, "ranker_options")
    user = typed(options, "user_info", dict)
    if user is not None:
        typed(user, "timezone", str)
    filters = typed(options, "filter_config", dict) or {}
    for side, names in (("request_content", ("neuro", "blacklist", "whitelist")), ("response_content", ("blacklist",))):
        switches = typed(filters, side, dict) or {}
        for name in names:
            typed(switches, name, bool)
    list_of(options, "flags", str)
    typed(options, "memory_id", str)
    state_of(options)
