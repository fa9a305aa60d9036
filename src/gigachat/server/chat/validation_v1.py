"""Validation of v1 chat requests (reference, sections 4.1, 4.2 and 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat.server.chat.history import v1_history
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
from gigachat.server.engine import ChatRequest
from gigachat.server.wire.errors import invalid_params
from gigachat.server.wire.limits import check_limits
from gigachat.server.wire.messages import check_result, v1_message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.chat.history import History
    from gigachat.server.state.state import State
    from gigachat.server.wire.limits import Limits

_BUILT_IN = frozenset({"text2image", "text2model3d", "get_file_content"})
_LIMITS: Limits = {**SAMPLING, "reasoning_max_tokens": "[0, +inf)", "function_ranker": {"top_n": "(0, +inf)"}}


def check_chat(options: Mapping[str, Any], state: State, history: History | None = None) -> CheckedRequest:
    """Return the checked request of `POST /v1/chat/completions`.

    Args:
        options: A body of the right shape.
        state: State of the server: open calls, threads, assistants, files.
        history: For a run: its thread, whose messages are answered. That of `storage` and the request when None.

    Raises:
        Refusal: As the service would refuse it.
    """
    is_run = history is not None
    history = v1_history(options, state) if history is None else history
    model = requested_model(options, history)
    check_limits(options, _LIMITS)
    raw = raw_messages(options)
    new = [] if is_run else [v1_message(one) for one in raw]
    check_files(new, state)
    messages = history.conversation(new, state)
    for message in messages if is_run else messages[len(messages) - len(new) :]:
        if message.role == "function":
            check_result(message.name or "", message.content, 422)
    described = check_functions(options.get("functions") or history.functions, model, messages[-1])
    mode, forced, preset = _mode(options, [str(one["name"]) for one in described])
    own = [one for one in described if one["name"] not in _BUILT_IN]
    tools: Sequence[str] = [one["name"] for one in described if one["name"] in _BUILT_IN]
    if mode == "auto" and not described:
        tools = ["text2image"]
    schema, _ = check_format(options)
    chat = ChatRequest(
        model=model,
        messages=messages,
        attached=attached_files(messages, state),
        functions=own if mode != "none" else (),
        must_call=(forced,) if forced is not None and forced not in _BUILT_IN else (),
        preset=preset,
        tools=tools if mode != "none" else (),
        forced_tool=forced if forced in _BUILT_IN else None,
        schema=schema,
        max_tokens=options.get("max_tokens"),
        effort=read_effort(options.get("reasoning_effort")),
        reasoning_tokens=options.get("reasoning_max_tokens"),
        options=options,
    )
    return CheckedRequest(chat, bool(options.get("stream")), float(options.get("update_interval") or 0), history)


def _mode(options: Mapping[str, Any], names: Sequence[str]) -> tuple[str, str | None, Mapping[str, Any]]:
    """Return the mode of `function_call`, the name of the function to call, if any, and its preset arguments."""
    mode = options.get("function_call")
    if mode is None:
        # Sources disagree. The vendor's own clients omit it when they offer functions, and expect calls.
        return "auto" if set(names) - _BUILT_IN else "none", None, {}
    if mode in ("none", "auto"):
        return str(mode), None, {}
    if isinstance(mode, str):
        raise invalid_params('function_call must be "none", "auto" or an object with a name')
    if mode["name"] not in names:
        raise invalid_params(f"function_call names function {mode['name']}, which is not in functions")
    return "forced", mode["name"], mode.get("partial_arguments") or {}
