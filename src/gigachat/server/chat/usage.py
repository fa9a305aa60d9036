"""The cost of a prompt: its tokens, those in the cache, and the context window (reference, sections 4.3, 6, 14)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat.server.state.state import cached_prefix
from gigachat.server.tokens import count_all
from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.engine import ChatRequest, Message, Spent
    from gigachat.server.state.state import State

# Tokens of the frame around the messages.
_FRAME = 8
_MESSAGE_FRAME = 3


@dataclass(slots=True)
class PromptUsage:
    """The cost of a prompt: tokens to pay and tokens found in the cache (reference, section 4.3)."""

    charged: int
    cached: int

    @classmethod
    def of(cls, spent: Spent) -> PromptUsage:
        """Return the cost an engine reports; at least one token is charged."""
        cached = max(0, min(spent.cached, spent.prompt - 1))
        return cls(max(1, spent.prompt - cached), cached)


async def prompt_usage(chat: ChatRequest, state: State, *, always_cached: int) -> PromptUsage:
    """Return the cost of a prompt and remember its beginnings; at least one token is always charged.

    Args:
        chat: The checked request.
        state: The prompt cache and the files attached.
        always_cached: Tokens of the frame every account has in its cache.

    Raises:
        Refusal: 402 when the tokens of this model are used up, 413 when the prompt is larger than the context window,
            422 when an attached text is.
    """
    if not state.can_pay(chat.model):
        raise Refusal(402)
    described = _described(chat)
    texts = [_said(message) for message in chat.messages]
    head, *counts = await count_all([described, *texts])
    total = _FRAME + head
    key = hash((chat.model.id, described))
    keys: list[int] = []
    sizes: list[int] = []
    for message, text, count in zip(chat.messages, texts, counts, strict=True):
        await _check_texts(message.files, state, chat.model.window)
        total += _MESSAGE_FRAME + count
        key = hash((key, message.role, message.name, text))
        keys.append(key)
        sizes.append(total)
    if total > chat.model.window:
        raise Refusal(413)
    known = cached_prefix(state.prompts, keys)
    cached = min(sizes[known - 1] if known else always_cached, total - 1)
    return PromptUsage(total - cached, cached)


async def answer_tokens(text: str, calls: Sequence[Mapping[str, Any]]) -> int:
    """Return what the text and the function calls of an answer cost."""
    said = [text]
    for call in calls:
        said += (call["name"], json.dumps(call.get("arguments"), ensure_ascii=False))
    return sum(await count_all(said))


def _said(message: Message) -> str:
    arguments = (json.dumps(call.arguments, ensure_ascii=False) for call in message.calls)
    return "".join([message.content, *arguments])


def _described(chat: ChatRequest) -> str:
    offered = chat.options.get("functions") or chat.options.get("tools") or chat.functions
    return json.dumps(offered, ensure_ascii=False) if offered else ""


async def _check_texts(files: Sequence[str], state: State, window: int) -> None:
    """Refuse a plain text that is larger than the window; what is in other documents is not looked into."""
    for file_id in files:
        if not state.files.known(file_id):
            continue  # deleted since it was attached
        file = state.files.get(file_id)
        if file.mime != "text/plain":
            continue
        [count] = await count_all([file.content.decode("utf-8", "replace")])
        if count > window:
            raise Refusal(422)
