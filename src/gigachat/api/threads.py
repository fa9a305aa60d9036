"""Threads: conversations kept by the service, and runs of the model in them (reference, section 12.2)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from gigachat import models
from gigachat._engine.calls import Call, StreamCall, get, post
from gigachat._engine.endpoint import Async, Blocking, Mode, Namespace, Resource, endpoint, namespace, stream_endpoint
from gigachat._engine.failures import ERROR, failure_text
from gigachat._engine.parsing import read_chunks, read_completion, read_model
from gigachat.api.arguments import checked_ids, given, ids, messages_of, model_of, with_described
from gigachat.api.streaming import ACCEPT, ChoiceAccumulator, finish_reason, finished, joined, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from gigachat.api.arguments import Message
    from gigachat.types import ModelName

    Options: TypeAlias = models.ThreadRunOptions | Mapping[str, Any]
    ThreadStream: TypeAlias = StreamCall[models.ThreadCompletionChunk, models.ThreadCompletion]


class ThreadsNamespace(Namespace[Mode]):
    """Threads of the account. A stream sends its request when its first chunk is read, or on entering `with`."""

    @endpoint
    def get_threads(
        self, assistants_ids: Sequence[str] | None = None, limit: int | None = None, before: int | None = None
    ) -> Call[models.Threads]:
        """Return the threads (reference, section 12.2).

        Args:
            assistants_ids: Only those of these assistants.
            limit: Most threads wanted.
            before: Only those before it; sources do not say of what kind, most likely a Unix time in seconds.
        """
        call = get("/threads", models.Threads)
        call.query = {**given(assistants_ids=checked_ids(assistants_ids, "assistants_ids")), **_page(limit, before)}
        return call

    list = get_threads

    @endpoint
    def create_thread(self) -> Call[str]:
        """Create an empty thread and return its id (reference, section 12.2)."""
        read = read_model(models.Thread)
        return Call("POST", "/threads", lambda content, headers: read(content, headers).id_, json={})

    @endpoint
    def retrieve(self, threads_ids: Sequence[str]) -> Call[models.Threads]:
        """Return the threads of some ids (reference, section 12.2)."""
        if not threads_ids:
            raise ValueError("threads_ids is empty: give at least one id")
        body = {"threads_ids": checked_ids(threads_ids, "threads_ids")}
        return post("/threads/retrieve", body, models.Threads, repeatable=True)

    @endpoint
    def delete(self, thread_id: str) -> Call[bool]:
        """Delete a thread by its id and return True (reference, section 12.2)."""
        return Call("POST", "/threads/delete", lambda content, headers: True, json=ids(thread_id=thread_id))

    @endpoint
    def get_messages(
        self, thread_id: str, limit: int | None = None, before: int | None = None
    ) -> Call[models.ThreadMessages]:
        """Return the messages of a thread (reference, section 12.2).

        Args:
            thread_id: Its id.
            limit: Most messages wanted.
            before: Only those before it; sources do not say of what kind, most likely a Unix time in seconds.
        """
        call = get("/threads/messages", models.ThreadMessages)
        call.query = {**ids(thread_id=thread_id), **_page(limit, before)}
        return call

    @endpoint
    def add_message(self, thread_id: str, message: Message) -> Call[models.ThreadMessagesResponse]:
        """Add a message to a thread; no answer is made (reference, section 12.2).

        Args:
            thread_id: Its id.
            message: A message, or what the user says.
        """
        body = {**ids(thread_id=thread_id), "messages": messages_of(message)}
        return post("/threads/messages", body, models.ThreadMessagesResponse)

    @endpoint
    def add_messages(
        self, thread_id: str | None = None, messages: Sequence[Message] | None = None
    ) -> Call[models.ThreadMessagesResponse]:
        """Add messages to a thread; no answer is made (reference, section 12.2).

        Args:
            thread_id: Its id; a new thread if not given.
            messages: Messages, or what the user says.
        """
        place = {"model": self._service.model} if thread_id is None else ids(thread_id=thread_id)
        body = {**place, "messages": messages_of(messages or ())}
        return post("/threads/messages", body, models.ThreadMessagesResponse)

    @endpoint
    def run(
        self,
        thread_id: str,
        assistant_id: str | None = None,
        thread_options: Options | None = None,
        options: Options | None = None,
    ) -> Call[models.ThreadRunResponse]:
        """Have the messages of a thread answered in the background, see `get_run` (reference, section 12.2).

        Args:
            thread_id: Id of the thread.
            assistant_id: Assistant that answers.
            thread_options: How the answer is made.
            options: Older name of `thread_options`.
        """
        body = _run_body(thread_id, assistant_id, thread_options, options)
        return post("/threads/run", body, models.ThreadRunResponse)

    @endpoint
    def get_run(self, thread_id: str) -> Call[models.ThreadRunResult]:
        """Return the status of a thread's run, and its messages (reference, section 12.2)."""
        call = get("/threads/run", models.ThreadRunResult)
        call.query = ids(thread_id=thread_id)
        return call

    @stream_endpoint
    def run_stream(
        self,
        thread_id: str,
        assistant_id: str | None = None,
        thread_options: Options | None = None,
        options: Options | None = None,
    ) -> ThreadStream:
        """Return the answer to the messages of a thread as a stream; arguments as for `run` (section 12.2)."""
        return _stream("/threads/run", _run_body(thread_id, assistant_id, thread_options, options))

    @endpoint
    def run_messages(
        self,
        messages: Sequence[Message],
        thread_id: str | None = None,
        assistant_id: str | None = None,
        model: ModelName | str | None = None,
        thread_options: Options | None = None,
    ) -> Call[models.ThreadCompletion]:
        """Add messages to a thread and return the answer to them (reference, section 12.2).

        Args:
            messages: Messages, or what the user says.
            thread_id: Id of the thread; a new one if not given.
            assistant_id: Assistant that answers.
            model: Model of a new thread without an assistant; the client's if not given.
            thread_options: How the answer is made.
        """
        body = self._messages_body(messages, thread_id, assistant_id, model, thread_options)
        return _answer_call("/threads/messages/run", body)

    @stream_endpoint
    def run_messages_stream(
        self,
        messages: Sequence[Message],
        thread_id: str | None = None,
        assistant_id: str | None = None,
        model: ModelName | str | None = None,
        thread_options: Options | None = None,
        update_interval: float | None = None,
    ) -> ThreadStream:
        """Like `run_messages`, as a stream of chunks (reference, section 12.2).

        `update_interval` is the time between chunks, in seconds.
        """
        body = self._messages_body(messages, thread_id, assistant_id, model, thread_options)
        return _stream("/threads/messages/run", body, update_interval)

    @endpoint
    def rerun_messages(self, thread_id: str, thread_options: Options | None = None) -> Call[models.ThreadCompletion]:
        """Have the last messages of a thread answered anew (reference, section 12.2).

        Args:
            thread_id: Id of the thread.
            thread_options: How the answer is made.
        """
        body = _run_body(thread_id, None, thread_options)
        return _answer_call("/threads/messages/rerun", body)

    @stream_endpoint
    def rerun_messages_stream(
        self, thread_id: str, thread_options: Options | None = None, update_interval: float | None = None
    ) -> ThreadStream:
        """Like `rerun_messages`, as a stream of chunks (reference, section 12.2).

        `update_interval` is the time between chunks, in seconds.
        """
        return _stream("/threads/messages/rerun", _run_body(thread_id, None, thread_options), update_interval)

    def _messages_body(
        self,
        messages: Sequence[Message],
        thread_id: str | None,
        assistant_id: str | None,
        model: str | None,
        thread_options: Options | None,
    ) -> dict[str, Any]:
        place = ids(**given(thread_id=thread_id, assistant_id=assistant_id))
        if not place:
            place["model"] = model or self._service.model
        return {**_options(thread_options), **place, "messages": messages_of(messages)}


class BlockingThreadsNamespace(ThreadsNamespace[Blocking]):
    """Create, read, run and delete threads."""

    _mode = Blocking


class AsyncThreadsNamespace(ThreadsNamespace[Async]):
    """Create, read, run and delete threads, awaited."""

    _mode = Async


class Threads(Resource[Mode]):
    """Threads on the client itself."""

    @namespace
    def threads(self) -> ThreadsNamespace[Mode]:
        """Threads: `client.threads.get_threads()`."""
        kind: Any = AsyncThreadsNamespace if self._mode is Async else BlockingThreadsNamespace
        threads: ThreadsNamespace[Mode] = kind(self)
        return threads


def _page(limit: int | None, before: int | None) -> dict[str, str]:
    return {name: str(value) for name, value in (("limit", limit), ("before", before)) if value}


def _run_body(
    thread_id: str, assistant_id: str | None, thread_options: Options | None, options: Options | None = None
) -> dict[str, Any]:
    if options is not None:
        # From here over the method and its descriptor to the caller.
        warnings.warn("`options` is deprecated, use `thread_options`", DeprecationWarning, stacklevel=4)
    return {
        **_options(options if thread_options is None else thread_options),
        **ids(thread_id=thread_id, **given(assistant_id=assistant_id)),
    }


def _options(options: Options | None) -> dict[str, Any]:
    if options is None:
        return {}
    read = model_of(models.ThreadRunOptions, with_described(options, "functions"), "thread_options")
    return read.model_dump(exclude_none=True, by_alias=True, exclude={"stream"})


def _answer_call(path: str, body: dict[str, Any]) -> Call[models.ThreadCompletion]:
    return Call("POST", path, read_completion(models.ThreadCompletion, _failure, _has_content), json=body)


def _failure(completion: models.ThreadCompletion | models.ThreadCompletionChunk) -> str | None:
    details = completion.error_details
    choices = completion.choices if isinstance(completion, models.ThreadCompletionChunk) else (completion,)
    return failure_text(details) if details or ERROR in map(finish_reason, choices) else None


def _has_content(completion: models.ThreadCompletion) -> bool:
    return bool(completion.message.content) or completion.message.function_call is not None


def _stream(path: str, body: dict[str, Any], update_interval: float | None = None) -> ThreadStream:
    body = {**body, **given(update_interval=update_interval), "stream": True}
    call = Call("POST", path, read_model(models.ThreadCompletion), json=body, headers=ACCEPT)
    read = read_chunks(models.ThreadCompletionChunk)
    return StreamCall(call, read, finished, text, _Accumulator, _failure, _answer, sums_usage=True)


def _answer(completion: models.ThreadCompletion) -> tuple[str | None, str]:
    """Return why the answer ended, and its text."""
    return completion.finish_reason, completion.message.content


class _Accumulator(ChoiceAccumulator["models.ThreadCompletion"]):
    """Joins the chunks of an answer; each counts its own tokens."""

    _apart = ("choices", "usage")

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[str, Any] = {}

    def _join(self, chunk: Any) -> None:
        super()._join(chunk)
        for name, tokens in chunk.usage.model_dump(exclude_unset=True, exclude_none=True).items():
            before = self._usage.get(name, 0)
            self._usage[name] = before + tokens if isinstance(before, int) and isinstance(tokens, int) else tokens

    def completion(self) -> models.ThreadCompletion:
        """Return the answer so far."""
        answer = self.choices().get(0, {"message": {"role": "assistant"}})
        fields = {"usage": self._usage, "message": answer["message"], "finish_reason": answer.get("finish_reason")}
        return joined(models.ThreadCompletion, {**self._fields, **fields})
