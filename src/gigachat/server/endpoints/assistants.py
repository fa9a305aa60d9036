"""The endpoints of assistants: create, list, modify, delete (reference, section 12.1).

An assistant is a model with instructions, functions and files. `runs` answers with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat.models.chat import Function
from gigachat.server.catalogue import find_model, read_model
from gigachat.server.chat.validation import check_functions
from gigachat.server.engine import Message
from gigachat.server.state.records import Assistant
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.requests import read_body
from gigachat.server.wire.responses import present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service
    from gigachat.server.state.state import State

_METADATA_PAIRS = 16
# Nothing is documented of refusals here (reference, section 12): statuses and texts are the server's own.

FIELDS = {
    **dict.fromkeys(("name", "description", "instructions"), str | None),
    "metadata": dict[str, Any] | None,
    "file_ids": list[str] | None,
    "functions": list[Function] | None,
}
_ID = {"assistant_id": str}


async def _list(request: Request, service: Service) -> dict[str, Any]:
    """Answer `GET /assistants`: all of them, or the one of `assistant_id`."""
    assistants = service.state.assistants
    wanted = request.query_params.get("assistant_id")
    found = assistants.all() if wanted is None else [assistants.get(wanted)]
    return {"data": [_card(one, service.state) for one in found]}


async def _create(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /assistants`."""
    body = await read_body(request, {**FIELDS, "model": str | None}, strict=service.state.strict)
    made = Assistant(read_model(body, "chat").id)
    _change(made, body, service.state)
    service.state.assistants.put(made)
    return {"assistant_id": made.id, "created_at": made.created_at}


async def _modify(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /assistants/modify`: what is absent or null stays as it is."""
    body = await read_body(request, {**FIELDS, **_ID}, strict=service.state.strict)
    assistant = service.state.assistants.get(body["assistant_id"])
    _change(assistant, body, service.state)
    assistant.touch()
    service.state.assistants.put(assistant)
    return _card(assistant, service.state)


async def _delete(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /assistants/delete`."""
    body = await read_body(request, _ID, strict=service.state.strict)
    service.state.assistants.delete(body["assistant_id"])
    return {"assistant_id": body["assistant_id"], "deleted": True}


async def _delete_file(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /assistants/files/delete`: the assistant loses the file, the account keeps it."""
    body = await read_body(request, {**_ID, "file_id": str}, strict=service.state.strict)
    assistant, file_id = service.state.assistants.get(body["assistant_id"]), body["file_id"]
    if file_id not in assistant.file_ids:
        raise Refusal(404, service.state.files.unknown)
    assistant.file_ids.remove(file_id)
    assistant.touch()
    service.state.assistants.put(assistant)
    return {"file_id": file_id, "deleted": True}


def _change(assistant: Assistant, body: Mapping[str, Any], state: State) -> None:
    """Set the given fields; if one is refused, none is set."""
    changes = {name: body[name] for name in FIELDS if body.get(name) is not None}
    if len(changes.get("metadata", ())) > _METADATA_PAIRS:
        raise invalid_params(f"metadata must not have more than {_METADATA_PAIRS} pairs")
    for file_id in changes.get("file_ids", ()):
        state.files.get(file_id)
    check_functions(changes.get("functions", ()), find_model(assistant.model), Message("user"))
    for name, value in changes.items():
        setattr(assistant, name, value)


def _card(assistant: Assistant, state: State) -> dict[str, Any]:
    """Return an assistant as the service shows it; what it has not is left out, as in the samples of threads."""
    return present(
        assistant_id=assistant.id,
        model=assistant.model,
        name=assistant.name,
        description=assistant.description,
        instructions=assistant.instructions,
        created_at=assistant.created_at,
        updated_at=assistant.updated_at,
        files=state.files.attached(assistant.file_ids),
        metadata=assistant.metadata,
        threads_count=sum(thread.assistant_id == assistant.id for thread in state.threads.all()),
        functions=list(assistant.functions) or None,
    )


ENDPOINTS: Endpoints = (
    ("GET", "/assistants", _list),
    ("POST", "/assistants", _create),
    ("POST", "/assistants/modify", _modify),
    ("POST", "/assistants/delete", _delete),
    ("POST", "/assistants/files/delete", _delete_file),
)
