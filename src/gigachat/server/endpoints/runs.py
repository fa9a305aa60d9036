"""Runs: answers in threads, at once, streamed or in the background (reference, section 12.2).

A run is a v1 chat over the history of a thread. Its answer is appended to the thread.
"""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from gigachat.models.threads import ThreadRunOptions
from gigachat.server.chat.history import History
from gigachat.server.chat.usage import answer_tokens
from gigachat.server.chat.v1 import answered, streamed
from gigachat.server.chat.validation import check_limits
from gigachat.server.chat.validation_v1 import check_chat
from gigachat.server.endpoints.threads import MESSAGES, message_card, new_messages, thread_of
from gigachat.server.engine import FunctionCall
from gigachat.server.state.records import ThreadMessage
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.responses import DONE, answer, event
from gigachat.server.wire.shapes import fields_of, read_body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.chat.v1 import AnswerV1
    from gigachat.server.chat.validation import CheckedRequest
    from gigachat.server.service import Endpoints, Service
    from gigachat.server.state.records import Thread
    from gigachat.server.state.state import State

_RUN = {**fields_of(ThreadRunOptions), "thread_id": str, "stream": bool | None, "update_interval": float | None}
_OBJECT = "threads.messages.run"
# What a body says of the thread; all else goes into the chat.
_OF_THE_THREAD = frozenset({"thread_id", "assistant_id", "model", "messages", "limit", "storage"})
_HOTTEST = 2.0
_TEXTS = ("content", "reasoning_content")
_log = logging.getLogger("gigachat.server")


async def _start(request: Request, service: Service) -> Response:
    """Answer `POST /threads/run`: the run is in the background, or streamed."""
    body = await read_body(request, {**_RUN, "assistant_id": str | None}, strict=service.state.strict)
    thread = thread_of(body, service.state)
    asked = _checked(thread, thread.messages, body, service.state)
    run = _Run(service.state.threads.put(thread), service)
    if asked.stream:
        return await run.stream(request, asked)
    run.begin()
    service.later(run.work(asked))
    return answer(request, {"status": thread.status, "thread_id": thread.id, "created_at": int(time.time())})


async def _show(request: Request, service: Service) -> Response:
    """Answer `GET /threads/run`: status of the last run, with the question and the answer."""
    thread = service.state.threads.get(request.query_params.get("thread_id", ""))
    shown = {
        "status": thread.status,
        "thread_id": thread.id,
        "updated_at": thread.updated_at,
        "model": thread.model,
        "messages": [message_card(one, service.state.files) for one in _last_exchange(thread.messages)],
    }
    return answer(request, shown)


async def _add_and_run(request: Request, service: Service) -> Response:
    """Answer `POST /threads/messages/run`: a refused request leaves the thread as it was."""
    body = await read_body(request, {**_RUN, **MESSAGES}, strict=service.state.strict)
    new = new_messages(body, service.state)
    thread = thread_of(body, service.state)
    added = [ThreadMessage(one, thread.model) for one in new]
    asked = _checked(thread, [*thread.messages, *added], body, service.state)
    thread.append(new)
    service.state.threads.put(thread)
    return await _Run(thread, service).answer(request, asked)


async def _rerun(request: Request, service: Service) -> Response:
    """Answer `POST /threads/messages/rerun`: the last answer is generated again and replaced."""
    body = await read_body(request, _RUN, strict=service.state.strict)
    thread = service.state.threads.unlocked(body["thread_id"])
    kept = _without_answer(thread.messages)
    asked = _checked(thread, thread.messages[:kept], body, service.state)
    return await _Run(thread, service, kept).answer(request, asked)


@dataclass(slots=True)
class _Run:
    """One answer in a thread, which is locked until the answer is there or has failed.

    `kept` is how many messages stay before the answer; None for all.
    """

    thread: Thread
    service: Service
    kept: int | None = None
    message_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    streaming: bool = False

    def begin(self) -> None:
        """Lock the thread."""
        self.thread.status = "in_progress"
        self.thread.touch()

    def end(self, message: Mapping[str, Any], reason: str) -> None:
        """Put the answer into the thread and unlock it."""
        if self.kept is not None:
            del self.thread.messages[self.kept :]
        self.thread.append([message], finish_reason=reason, message_id=self.message_id)
        self._unlock("ready")

    def give_up(self) -> None:
        """Unlock the thread if the run has not ended."""
        self._unlock("failed")

    def _unlock(self, status: Literal["ready", "failed"]) -> None:
        if self.thread.status == "in_progress":
            self.thread.status = status
            self.thread.touch()
            if self.service.state.threads.known(self.thread.id):
                self.service.state.threads.put(self.thread)

    async def work(self, asked: CheckedRequest) -> None:
        """Answer in the background; that a run was refused shows only in the status of its thread."""
        try:
            await self._completion(asked)
        except Refusal:
            pass
        except Exception:
            _log.exception("a run failed")

    async def answer(self, request: Request, asked: CheckedRequest) -> Response:
        """Answer the request itself, plain or streamed as it wants."""
        if asked.stream:
            return await self.stream(request, asked)
        self.begin()
        completion = await self._completion(asked, request.headers.get("x-client-id"))
        choice = completion["choices"][0]
        shown = {
            "object": _OBJECT,
            "model": completion.get("model", asked.chat.model.resolved),
            "thread_id": self.thread.id,
            "message_id": self.message_id,
            "created": completion.get("created", int(time.time())),
            "usage": completion.get("usage"),
            "message": choice["message"],
            "finish_reason": choice.get("finish_reason"),
        }
        return answer(request, shown)

    async def stream(self, request: Request, asked: CheckedRequest) -> Response:
        """Answer the request itself with a stream."""
        self.begin()
        try:
            return await streamed(request, asked, self.service, self._events)
        finally:
            if not self.streaming:
                self.give_up()

    async def _completion(self, asked: CheckedRequest, client_id: str | None = None) -> dict[str, Any]:
        try:
            completion = await answered(asked, self.service, client_id)
            choice = completion["choices"][0]
            self.end(choice["message"], choice.get("finish_reason") or "stop")
        finally:
            self.give_up()
        return completion

    async def _events(
        self, made: AnswerV1, chunks: AsyncGenerator[dict[str, Any], None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the events of a run: each chunk pays for itself, the first for the prompt too.

        The reason of the end comes with the last text, as in the only sample.
        """
        self.streaming = True
        engine = self.service.engine
        prompt, cached = made.prompt.charged, made.prompt.cached
        message: dict[str, Any] = {"content": "", "role": "assistant"}
        reason = "stop"
        waiting: dict[str, Any] | None = None
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    choice = chunk["choices"][0]
                    delta: dict[str, Any] = choice["delta"]
                    for name, value in delta.items():
                        message[name] = message.get(name, "") + value if name in _TEXTS else value
                    last = "finish_reason" in choice
                    if last:
                        reason = choice["finish_reason"]
                        if waiting is not None and delta == {"content": ""}:
                            waiting["choices"] = [{**waiting["choices"][0], "finish_reason": reason}]
                            continue
                    if waiting is not None:
                        yield event(waiting)
                        waiting = None
                    call = delta.get("function_call")
                    calls = [] if call is None else [FunctionCall(call["name"], call["arguments"])]
                    spent = await answer_tokens("".join(delta.get(name) or "" for name in _TEXTS), calls, engine)
                    waiting = {
                        "choices": [choice],
                        "created": int(time.time()),
                        "model": chunk["model"],
                        "object": _OBJECT,
                        "usage": {
                            "prompt_tokens": prompt,
                            "completion_tokens": spent,
                            "total_tokens": prompt + spent,
                            "precached_prompt_tokens": cached,
                        },
                        "thread_id": self.thread.id,
                        "message_id": self.message_id,
                    }
                    prompt, cached = 0, 0
            if waiting is not None:
                yield event(waiting)
            self.end(message, reason)
        except Refusal:
            if waiting is not None:
                yield event(waiting)
            raise
        finally:
            self.give_up()
        yield DONE


def _checked(
    thread: Thread, messages: Sequence[ThreadMessage], body: Mapping[str, Any], state: State
) -> CheckedRequest:
    """Return the chat request of a run.

    Args:
        thread: The thread the answer belongs to.
        messages: The history that is answered.
        body: The request of the run.
        state: What the server remembers.

    Raises:
        Refusal: As a chat would be refused; 422 for a limit or a temperature out of range.
    """
    check_limits(body, {"limit": "(0, +inf)"})
    options = {name: value for name, value in body.items() if name not in _OF_THE_THREAD and value is not None}
    options |= {"model": thread.model, "messages": [one.message for one in messages]}
    known = thread.assistant_id is not None and state.assistants.known(thread.assistant_id)
    assistant = state.assistants.get(str(thread.assistant_id)) if known else None
    history = History(False, replace(thread, messages=list(messages)), assistant, body.get("limit"))
    asked = check_chat(options, state, history)
    if (options.get("temperature") or 0) > _HOTTEST:
        raise invalid_params(f"temperature must be in range (0, {_HOTTEST:g}]")
    return asked


def _without_answer(messages: Sequence[ThreadMessage]) -> int:
    """Return how many messages there are before the last answer."""
    kept = len(messages)
    while kept > 0 and messages[kept - 1].role == "assistant":
        kept -= 1
    return kept


def _last_exchange(messages: Sequence[ThreadMessage]) -> Sequence[ThreadMessage]:
    """Return the last answer and what it answers."""
    start = _without_answer(messages)
    while start > 0 and messages[start - 1].role != "assistant":
        start -= 1
    return messages[start:]


ENDPOINTS: Endpoints = (
    ("POST", "/threads/run", _start),
    ("GET", "/threads/run", _show),
    ("POST", "/threads/messages/run", _add_and_run),
    ("POST", "/threads/messages/rerun", _rerun),
)
