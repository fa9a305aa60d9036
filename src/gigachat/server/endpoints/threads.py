"""The endpoints of threads: create, list, show, delete, read and add messages (reference, section 12.2).

`runs` answers in them.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from gigachat.models.chat import Messages
from gigachat.server.catalogue import read_model
from gigachat.server.chat.history import kept_messages
from gigachat.server.chat.validation import check_files, raw_messages
from gigachat.server.state.records import Thread
from gigachat.server.wire.errors import invalid_params
from gigachat.server.wire.messages import v1_message
from gigachat.server.wire.requests import read_body
from gigachat.server.wire.responses import api_headers, present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service
    from gigachat.server.state.records import Files, ThreadMessage
    from gigachat.server.state.state import State

# Nothing is documented of refusals here (reference, section 12): statuses and texts are the server's own.

MESSAGES = {"messages": list[Messages], **dict.fromkeys(("thread_id", "assistant_id", "model"), str | None)}
"""The shape of new messages and of what names their thread."""


async def _list(request: Request, service: Service) -> dict[str, Any]:
    """Answer `GET /threads`, newest first; `before` is taken for a time, as the fields it is compared with are."""
    wanted = request.query_params.getlist("assistants_ids")
    limit, before = _number(request, "limit"), _number(request, "before")
    found = [
        one
        for one in service.state.threads.all()
        if (not wanted or one.assistant_id in wanted) and (before is None or one.created_at < before)
    ]
    return {"threads": [_card(one) for one in found[:limit]]}


async def _create(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /threads`: an empty thread."""
    await read_body(request, {}, strict=service.state.strict)
    return _card(service.state.threads.put(Thread()))


async def _retrieve(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /threads/retrieve` in the order asked for; threads that are not there are left out."""
    threads = service.state.threads
    body = await read_body(request, {"threads_ids": list[str] | None}, strict=service.state.strict)
    return {"threads": [_card(threads.get(one)) for one in body.get("threads_ids") or () if threads.known(one)]}


async def _delete(request: Request, service: Service) -> Response:
    """Answer `POST /threads/delete` with an empty body."""
    body = await read_body(request, {"thread_id": str}, strict=service.state.strict)
    service.state.threads.get(body["thread_id"]).status = "deleted"
    service.state.threads.delete(body["thread_id"])
    return Response(headers=api_headers(request.headers))


async def _messages(request: Request, service: Service) -> dict[str, Any]:
    """Answer `GET /threads/messages`: the last `limit` messages created before `before`, oldest first."""
    thread = service.state.threads.get(request.query_params.get("thread_id", ""))
    limit, before = _number(request, "limit"), _number(request, "before")
    found = [one for one in thread.messages if before is None or one.created_at < before]
    shown = [message_card(one, service.state.files) | {"model": one.model} for one in found[-(limit or 0) :]]
    return {"thread_id": thread.id, "messages": shown}


async def _add(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /threads/messages`: without a thread, one is created for the assistant or the model."""
    body = await read_body(request, MESSAGES, strict=service.state.strict)
    messages = new_messages(body, service.state)
    thread = thread_of(body, service.state)
    added = thread.append(messages)
    service.state.threads.put(thread)
    noted = [{"created_at": one.created_at, "message_id": one.id} for one in added]
    return {"thread_id": thread.id, "messages": noted}


def new_messages(body: Mapping[str, Any], state: State) -> list[dict[str, Any]]:
    """Return the messages of a body, checked.

    Their order is checked when they are answered.

    Raises:
        Refusal: 404 for an unknown file, 422 for none.
    """
    raw = raw_messages(body)
    check_files([v1_message(one) for one in raw], state)
    return raw


def thread_of(body: Mapping[str, Any], state: State) -> Thread:
    """Return the thread of a body with its changes, or a new one for its assistant or its model.

    It is not kept yet, so that a request refused later changes nothing.

    Raises:
        Refusal: 404 for an unknown thread, assistant or model, 422 for a locked thread or when none is named.
    """
    changes: dict[str, Any] = {}
    if body.get("assistant_id") is not None:
        assistant = state.assistants.get(body["assistant_id"])
        changes = {"assistant_id": assistant.id, "model": assistant.model}
    if body.get("model") is not None:
        changes["model"] = read_model(body, "chat").id
    if body.get("thread_id") is not None:
        thread = state.threads.unlocked(body["thread_id"])
        return replace(thread, **changes) if changes else thread
    if not changes:
        raise invalid_params("thread_id, assistant_id or model is required")
    return Thread(**changes)


def message_card(message: ThreadMessage, files: Files) -> dict[str, Any]:
    """Return a message of either chat contract as the service shows it; what it has not is left out."""
    [read, *_] = kept_messages([message])
    return present(
        message_id=message.id,
        role=message.role,
        content=read.content,
        attachments=files.attached(read.files) or None,
        created_at=message.created_at,
        function_call=next((present(**asdict(call)) for call in read.calls), None),
        finish_reason=message.finish_reason,
    )


def _card(thread: Thread) -> dict[str, Any]:
    return present(
        id=thread.id,
        model=thread.model,
        assistant_id=thread.assistant_id,
        created_at=thread.created_at,
        updated_at=thread.updated_at,
        status=thread.status,
        run_lock=thread.run_lock,
    )


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) == 0:
        raise invalid_params(f"{name} must be an integer greater than 0")
    return int(text)


ENDPOINTS: Endpoints = (
    ("GET", "/threads", _list),
    ("POST", "/threads", _create),
    ("POST", "/threads/retrieve", _retrieve),
    ("POST", "/threads/delete", _delete),
    ("GET", "/threads/messages", _messages),
    ("POST", "/threads/messages", _add),
)
