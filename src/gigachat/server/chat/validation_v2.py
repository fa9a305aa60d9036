"""Validation of v2 chat requests (reference, sections 5 and 13)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gigachat.models.chat_completions import ChatTool
from gigachat.server.chat.history import v2_history
from gigachat.server.chat.validation import (
    SAMPLING,
    CheckedRequest,
    attached_files,
    check_files,
    check_format,
    check_functions,
    raw_messages,
    read_effort,
    requested_model,
)
from gigachat.server.engine import ChatRequest, Message
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.limits import check_limits
from gigachat.server.wire.messages import v2_messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.state.state import State
    from gigachat.server.wire.limits import Limits

TOOLS = frozenset(ChatTool.model_fields) - {"functions"}
"""The built-in tools."""
_LIMITS: Limits = {"ranker_options": {"top_n": "(0, +inf)"}}
_MODEL_OPTIONS: Limits = {**SAMPLING, "top_logprobs": "[1, 5]", "reasoning": {"max_tokens": "[0, +inf)"}}
_SEARCH: Limits = {"web_search": {"type": ("web_search", "actual_info_web_search", "safe_search")}}
_MODES = ("auto", "none", "forced", "any")
_FORCED_IN_OTHER_WORDS = ("function", "tool")
"""Modes that gpt2giga 0.3.0 sends for `forced`."""
_JOINED = frozenset({"user", "assistant"})


def check_chat_v2(options: Mapping[str, Any], state: State) -> CheckedRequest:
    """Return the checked request of `POST /v2/chat/completions`.

    Args:
        options: A body of the right shape.
        state: State of the server: open calls, threads, assistants, files, closed tools.

    Raises:
        Refusal: As the service would refuse it.
    """
    new = [message for raw in raw_messages(options) for message in v2_messages(raw, state.result_role)]
    history = v2_history(options, state)
    model = requested_model(options, history)
    check_files(new, state)
    messages = history.conversation(new, state, several=True)
    settings: Mapping[str, Any] = options.get("model_options") or {}
    check_limits(options, _LIMITS)
    check_limits(settings, _MODEL_OPTIONS)
    schema, pattern = check_format(settings, regex=True)
    specified, tools = _tools(options, state)
    described = check_functions(specified or history.functions, model, messages[-1])
    mode, must_call, tool = _tool_config(options, [str(one["name"]) for one in described], tools)
    if not settings.get("unnormalized_history"):
        messages = _normalized(messages)
    reasoning = settings.get("reasoning") or {}
    chat = ChatRequest(
        model=model,
        messages=messages,
        attached=attached_files(messages, state),
        functions=described if mode != "none" else (),
        must_call=must_call,
        several_calls=settings.get("parallel_tool_calls") is not False,
        tools=tools if mode != "none" else (),
        forced_tool=tool,
        schema=schema,
        pattern=pattern,
        max_tokens=settings.get("max_tokens"),
        effort=read_effort(reasoning.get("effort")),
        reasoning_tokens=reasoning.get("max_tokens"),
        options=options,
    )
    return CheckedRequest(chat, bool(options.get("stream")), float(settings.get("update_interval") or 0), history)


def _tools(options: Mapping[str, Any], state: State) -> tuple[list[Mapping[str, Any]], list[str]]:
    """Return the functions described and the names of the built-in tools offered."""
    functions: list[Mapping[str, Any]] = []
    names: list[str] = []
    for tool in options.get("tools") or ():
        if len(tool) != 1 or None in tool.values():
            raise invalid_shape("Each of tools must be an object with one field, the name of the tool.")
        [name] = tool
        if name == "functions":
            functions += tool[name].get("specifications") or ()
            continue
        if name not in TOOLS:
            raise Refusal(404, f"Unknown tool {name}")
        if name in state.closed_tools:
            raise Refusal(422, f"Tool {name} is unavailable")
        check_limits(tool, _SEARCH)
        names.append(name)
    return functions, names


def _tool_config(
    options: Mapping[str, Any], functions: Sequence[str], tools: Sequence[str]
) -> tuple[str, Sequence[str], str | None]:
    """Return the mode, the functions of which at least one must be called, and the built-in tool to use."""
    config = options.get("tool_config")
    if config is None:
        return "auto", (), None
    mode, function, tool = (config.get(name) for name in ("mode", "function_name", "tool_name"))
    if mode in _FORCED_IN_OTHER_WORDS:
        mode = "forced"
    if mode not in _MODES:
        raise invalid_params(f"tool_config.mode must be one of {', '.join(_MODES)}")
    if mode == "any":
        names = config.get("functions_names_any")
        return mode, _checked_names(functions if names is None else names, functions), None
    if mode != "forced":
        return mode, (), None  # a name with another mode is accepted (reference, section 5.4)
    if function is None and tool is None:
        raise invalid_params("tool_config of mode forced must have tool_name or function_name")
    if function is not None:
        return mode, _checked_names([function], functions), None
    if tool not in TOOLS:
        raise Refusal(404, f"Unknown tool {tool}")
    if tool not in tools:
        raise invalid_params(f"tool_config names tool {tool}, which is not in tools")
    return mode, (), tool


def _checked_names(names: Sequence[str], functions: Sequence[str]) -> Sequence[str]:
    """Return names of functions that must be called, if all are offered and there is one."""
    unknown = next((name for name in names if name not in functions), None)
    if unknown is not None:
        raise invalid_params(f"tool_config names function {unknown}, which is not in tools")
    if not names:
        raise invalid_params("tool_config of mode any must have a function to call")
    return names


def _normalized(messages: Sequence[Message]) -> list[Message]:
    """Turn a lone system message into a user's, and join neighbouring texts of one speaker (reference, section 5.3)."""
    if len(messages) == 1 and messages[0].role == "system":
        return [replace(messages[0], role="user")]
    joined: list[Message] = []
    for role, group in itertools.groupby(messages, lambda message: message.role):
        same = list(group)
        if role in _JOINED and len(same) > 1:
            content = "\n".join(message.content for message in same if message.content)
            calls = [call for one in same for call in one.calls]
            files = [file for one in same for file in one.files]
            joined.append(replace(same[-1], content=content, calls=calls, files=files))
        else:
            joined += same
    return joined
