"""What a prompt costs: its tokens, those found in the cache, and the context window they must fit into.

Reference, sections 4.3, 6 and 14. It must not know how usage looks on the wire: the two contracts write it differently.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gigachat.server.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gigachat.server.engines import ChatRequest, Engine, FunctionCall
    from gigachat.server.state import State

# Tokens of the frame around the messages.
_FRAME = 8
_MESSAGE_FRAME = 3
# Of the second generation (reference, section 14); that of the third is not published.
_CONTEXT_WINDOW = 128_000


@dataclass(slots=True)
class PromptUsage:
    """What a prompt costs: tokens to pay and tokens found in the cache (reference, section 4.3)."""

    charged: int
    cached: int


def prompt_usage(chat: ChatRequest, engine: Engine, state: State, *, always_cached: int) -> PromptUsage:
    """Return the cost of a prompt and remember its beginnings; at least one token is always charged.

    Args:
        chat: The checked request.
        engine: Who counts.
        state: The prompt cache and the files attached.
        always_cached: Tokens of the frame every account has in its cache.

    Raises:
        Refusal: 413 when the prompt is larger than the context window, 422 when an attached text is.
    """
    described = _described(chat)
    total = _FRAME + engine.count(described)
    key = hash((chat.model.id, described))
    keys: list[int] = []
    sizes: list[int] = []
    for message in chat.messages:
        _check_texts(message.files, engine, state)
        arguments = (json.dumps(call.arguments, ensure_ascii=False) for call in message.calls)
        text = "".join([message.content, *arguments])
        total += _MESSAGE_FRAME + engine.count(text)
        key = hash((key, message.role, message.name, text))
        keys.append(key)
        sizes.append(total)
    if total > _CONTEXT_WINDOW:
        raise Refusal(413)
    known = state.prompts.hit(keys)
    cached = min(sizes[known - 1] if known else always_cached, total - 1)
    return PromptUsage(total - cached, cached)


def call_tokens(call: FunctionCall, engine: Engine) -> int:
    """Return what a function call of an answer costs."""
    return engine.count(call.name) + engine.count(json.dumps(call.arguments, ensure_ascii=False))


def _described(chat: ChatRequest) -> str:
    offered = chat.options.get("functions") or chat.options.get("tools") or chat.functions
    return json.dumps(offered, ensure_ascii=False) if offered else ""


def _check_texts(files: Sequence[str], engine: Engine, state: State) -> None:
    """Refuse a plain text that is larger than the window; what is in other documents is not looked into."""
    for file_id in files:
        if not state.files.known(file_id):
            continue  # deleted since it was attached
        file = state.files.get(file_id)
        if file.mime == "text/plain" and engine.count(file.content.decode("utf-8", "replace")) > _CONTEXT_WINDOW:
            raise Refusal(422)
