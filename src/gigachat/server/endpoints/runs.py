"""Runs: answers in threads, at once, streamed or in the background (reference, section 12.2).

A run is a v1 chat over the history of a thread. Its answer is appended to the thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gigachat.models.threads import ThreadRunOptions
from gigachat.server.chat.history import History
from gigachat.server.chat.usage import answer_tokens
from gigachat.server.chat.v1 import AnswerV1, v1_usage
from gigachat.server.chat.validation_v1 import check_chat
from gigachat.server.endpoints.threads import MESSAGES, message_card, new_messages, thread_of
from gigachat.server.state.records import ThreadMessage
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.limits import check_limits
from gigachat.server.wire.requests import read_body
from gigachat.server.wire.shapes import fields_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.orders.replies import Part
    from gigachat.server.service import Endpoints, Service
    from gigachat.server.state.records import Thread

_RUN = {**fields_of(ThreadRunOptions), "thread_id": str, "stream": bool | None, "update_interval": float | None}
_LIMITS = {"limit": "(0, +inf)", "temperature": "(0, 2]"}
_OBJECT = "threads.messages.run"
# Fields about the thread; the other fields become fields of the chat.
_OF_THE_THREAD = frozenset({"thread_id", "assistant_id", "model", "messages", "limit", "storage"})
_log = logging.getLogger("gigachat.server")


async def _start(request: Request, service: Service) -> Response | dict[str, Any]:
    """Answer `POST /threads/run`: the run is in the background, or streamed."""
    body = await read_body(request, {**_RUN, "assistant_id": str | None}, strict=service.state.strict)
    thread = thread_of(body, service.state)
    run = await _run(request, body, thread, thread.messages, service)
    service.state.threads.put(thread)
    if run.asked.stream:
        return await run.respond(request)
    service.later(run.work())
    await asyncio.sleep(0)  # the work begins, and locks the thread
    return {"status": "in_progress", "thread_id": thread.id, "created_at": int(time.time())}


async def _show(request: Request, service: Service) -> dict[str, Any]:
    """Answer `GET /threads/run`: status of the last run, with the question and the answer."""
    thread = service.state.threads.get(request.query_params.get("thread_id", ""))
    return {
        "status": thread.status,
        "thread_id": thread.id,
        "updated_at": thread.updated_at,
        "model": thread.model,
        "messages": [message_card(one, service.state.files) for one in _last_exchange(thread.messages)],
    }


async def _add_and_run(request: Request, service: Service) -> Response:
    """Answer `POST /threads/messages/run`: a refused request leaves the thread as it was."""
    body = await read_body(request, {**_RUN, **MESSAGES}, strict=service.state.strict)
    new = new_messages(body, service.state)
    thread = thread_of(body, service.state)
    added = [ThreadMessage(one, thread.model) for one in new]
    run = await _run(request, body, thread, [*thread.messages, *added], service)
    thread.messages += added
    service.state.threads.put(thread)
    return await run.respond(request)


async def _rerun(request: Request, service: Service) -> Response:
    """Answer `POST /threads/messages/rerun`: the last answer is generated again and replaced."""
    body = await read_body(request, _RUN, strict=service.state.strict)
    thread = service.state.threads.unlocked(body["thread_id"])
    run = await _run(request, body, thread, thread.messages[: _without_answer(thread.messages)], service)
    return await run.respond(request)


async def _run(
    request: Request, body: Mapping[str, Any], thread: Thread, messages: Sequence[ThreadMessage], service: Service
) -> _Run:
    """Return the run of a request.

    Args:
        request: The request.
        body: Its body.
        thread: The thread the answer belongs to.
        messages: The history that is answered.
        service: The parts of the server that a run uses.

    Raises:
        Refusal: For the reasons of a chat; 422 for a limit or a temperature out of range.
    """
    check_limits(body, _LIMITS)
    options = {name: value for name, value in body.items() if name not in _OF_THE_THREAD and value is not None}
    options |= {"model": thread.model, "messages": [one.message for one in messages]}
    assistants, assistant_id = service.state.assistants, thread.assistant_id or ""
    assistant = assistants.get(assistant_id) if assistants.known(assistant_id) else None
    history = _History(True, thread, assistant, body.get("limit"), answered=list(messages))
    asked = check_chat(options, service.state, history)
    return await _Run.begin(asked, service, request.headers.get("x-client-id"))


@dataclass
class _History(History):
    """The history of a run: messages that are in the thread already."""

    answered: Sequence[ThreadMessage] = ()

    @property
    def past(self) -> Sequence[ThreadMessage]:
        """The messages that are answered."""
        return self.answered

    def keep(self, new: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]], reason: str) -> None:
        """Put the answer behind the messages that it answers, and unlock the thread."""
        assert self.thread is not None
        if self.thread.run_lock:
            self.thread.status = "ready"
        self.thread.messages[:] = self.answered
        super().keep((), answers, reason)


@dataclass
class _Run(AnswerV1):
    """One answer in a thread, which is locked until the answer is there or has failed."""

    charged: bool = False
    """Whether a chunk has charged the prompt."""

    async def work(self) -> None:
        """Answer in the background; a refusal is reported only by the status of the thread."""
        try:
            await self.whole()
        except Refusal:
            pass
        except Exception:
            _log.exception("a run failed")

    async def whole(self) -> dict[str, Any]:
        """Return the body of the answer, once it is in the thread."""
        with self._locked():
            return await super().whole()

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Yield the events of the stream."""
        with self._locked():
            async with aclosing(super().events()) as events:
                async for one in events:
                    yield one

    @contextmanager
    def _locked(self) -> Iterator[None]:
        assert self.asked.history.thread is not None
        threads = self.service.state.threads
        thread = threads.unlocked(self.asked.history.thread.id)
        thread.status = "in_progress"
        thread.touch()
        try:
            yield
        finally:
            if thread.run_lock:
                thread.status = "failed"
                thread.touch()
                threads.put(thread)

    def body(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return the body: the fields of the only choice stand beside the others."""
        body = {**self.around({}), **super().body(parts), "object": _OBJECT}
        choice = body.pop("choices")[0]
        return {**body, "message": choice["message"], "finish_reason": choice.get("finish_reason")}

    def around(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Return a chunk that holds this choice."""
        return {**super().around(choice), "object": _OBJECT}

    async def chunk(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        """Return a chunk that holds this choice and charges for itself, the first for the prompt too."""
        delta = choice["delta"]
        text = delta.get("content", "") + delta.get("reasoning_content", "")
        calls = [delta["function_call"]] if "function_call" in delta else []
        prompt, cached = (0, 0) if self.charged else (self.prompt.charged, self.prompt.cached)
        self.charged = True
        spent = await answer_tokens(text, calls)
        return {**self.around(choice), "usage": v1_usage(prompt, spent, cached)}


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
