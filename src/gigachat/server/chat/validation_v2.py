"""Validation of v2 chat requests (reference, sections 5 and 13). Unknown fields are ignored."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gigachat.server.chat.history import v2_history
from gigachat.server.chat.validation import (
    EFFORTS,
    SAMPLING,
    CheckedRequest,
    check_files,
    check_format,
    check_functions,
    check_values,
    raw_messages,
    requested_model,
)
from gigachat.server.engine import ChatRequest, Message
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.messages import state_of, v2_messages
from gigachat.server.wire.requests import list_of, needed, typed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.chat.validation import Table
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
_FIELDS: Table = {
    "stream": bool,
    "model_options": dict,
    "disable_filter": bool,
    "ranker_options": {"enabled": bool, "embeddings_model": str, "top_n": (int, "(0, +inf)")},
    "user_info": {"timezone": str},
    "filter_config": {
        "request_content": {"neuro": bool, "blacklist": bool, "whitelist": bool},
        "response_content": {"blacklist": bool},
    },
    "flags": [str],
    "memory_id": str,
}
_MODEL_OPTIONS: Table = {
    **SAMPLING,
    "reasoning": {"effort": (str, (*EFFORTS, "off"))},
    "unnormalized_history": bool,
    "preset": str,
    "top_logprobs": (int, "[1, 5]"),
}
_FUNCTION: Table = {"description": str, "return_parameters": dict}
_SEARCH: Table = {
    "type": (str, ("web_search", "actual_info_web_search", "safe_search")),
    "indexes": [str],
    "flags": [str],
}
_MODES = ("auto", "none", "forced")
_FORCED_IN_OTHER_WORDS = ("function", "tool")
"""Modes that gpt2giga 0.3.0 sends for `forced`."""
_JOINED = frozenset({"user", "assistant"})


def check_chat_v2(options: Mapping[str, Any], state: State) -> CheckedRequest:
    """Return the checked request of `POST /v2/chat/completions`.

    Args:
        options: The body received.
        state: State of the server: open calls, threads, assistants, files, closed tools.

    Raises:
        Refusal: As the service would refuse it.
    """
    # Wrong shapes first: they are refused before anything is looked up.
    new = [message for raw in raw_messages(options) for message in v2_messages(raw, state.result_role)]
    history = v2_history(options, state)
    model = requested_model(options, history)
    check_values(options, _FIELDS)
    state_of(options)
    check_files(new, state)
    messages = history.conversation(new, state)
    settings: Mapping[str, Any] = options.get("model_options") or {}
    check_values(settings, _MODEL_OPTIONS)
    schema, pattern = check_format(settings, regex=True)
    specified, tools = _tools(options, state)
    described = check_functions(specified or history.functions, model, messages[-1])
    mode, function, tool = _tool_config(options, [str(one["name"]) for one in described], tools)
    if not settings.get("unnormalized_history"):
        messages = _normalized(messages)
    effort = (settings.get("reasoning") or {}).get("effort")
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
        max_tokens=settings.get("max_tokens"),
        effort=None if effort == "off" else effort,
        options=options,
    )
    return CheckedRequest(chat, bool(options.get("stream")), float(settings.get("update_interval") or 0), history)


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
                check_values(one, _FUNCTION)
                for example in list_of(one, "few_shot_examples", dict):
                    needed(example, "request", str)
                    needed(example, "params", dict)
            functions += described
            continue
        if name not in TOOLS:
            raise Refusal(404, f"Unknown tool {name}")
        if name in state.closed_tools:
            raise Refusal(422, f"Tool {name} is unavailable")
        check_values(needed(tool, name, dict), _SEARCH if name == "web_search" else {}, f"{name}.")
        names.append(name)
    return functions, names


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
        return mode, None, None  # a name with another mode is accepted (reference, section 5.4)
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


def _normalized(messages: Sequence[Message]) -> list[Message]:
    """Turn a lone system message into a user's, and join neighbouring texts of one speaker (reference, section 5.3)."""
    if len(messages) == 1 and messages[0].role == "system":
        return [replace(messages[0], role="user")]
    joined: list[Message] = []
    for role, group in itertools.groupby(messages, lambda message: message.role):
        same = list(group)
        if role in _JOINED and len(same) > 1:
            content = "\n".join(message.content for message in same)
            joined.append(replace(same[-1], content=content, files=[file for one in same for file in one.files]))
        else:
            joined += same
    return joined
