"""The endpoints of assistants: create, list, modify, delete (reference, section 12.1).

An assistant is a model with instructions, functions and files. `runs` answers with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat.server.catalogue import find_model, read_model
from gigachat.server.chat.validation import check_functions
from gigachat.server.engine import Message
from gigachat.server.state.records import Assistant
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.requests import list_of, needed, read_object, typed
from gigachat.server.wire.responses import answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.service import Endpoint, Service
    from gigachat.server.state.state import State

_METADATA_PAIRS = 16
# Nothing is documented of refusals here (reference, section 12): statuses and texts are the server's own.


async def _list(request: Request, service: Service) -> Response:
    """Answer `GET /assistants`: all of them, or the one of `assistant_id`."""
    assistants = service.state.assistants
    wanted = request.query_params.get("assistant_id")
    found = assistants.all() if wanted is None else [assistants.get(wanted)]
    return answer(request, {"data": [_card(one, service.state) for one in found]})


async def _create(request: Request, service: Service) -> Response:
    """Answer `POST /assistants`."""
    body = read_object(await request.body())
    made = Assistant(read_model(body, "chat").id)
    _change(made, body, service.state)
    service.state.assistants.put(made)
    return answer(request, {"assistant_id": made.id, "created_at": made.created_at})


async def _modify(request: Request, service: Service) -> Response:
    """Answer `POST /assistants/modify`: what is absent or null stays as it is."""
    body = read_object(await request.body())
    assistant = service.state.assistants.get(needed(body, "assistant_id", str))
    _change(assistant, body, service.state)
    assistant.touch()
    service.state.assistants.put(assistant)
    return answer(request, _card(assistant, service.state))


async def _delete(request: Request, service: Service) -> Response:
    """Answer `POST /assistants/delete`."""
    assistant_id = needed(read_object(await request.body()), "assistant_id", str)
    service.state.assistants.delete(assistant_id)
    return answer(request, {"assistant_id": assistant_id, "deleted": True})


async def _delete_file(request: Request, service: Service) -> Response:
    """Answer `POST /assistants/files/delete`: the assistant loses the file, the account keeps it."""
    body = read_object(await request.body())
    assistant = service.state.assistants.get(needed(body, "assistant_id", str))
    file_id = needed(body, "file_id", str)
    if file_id not in assistant.file_ids:
        raise Refusal(404, service.state.files.unknown)
    assistant.file_ids.remove(file_id)
    assistant.touch()
    service.state.assistants.put(assistant)
    return answer(request, {"file_id": file_id, "deleted": True})


def _change(assistant: Assistant, body: Mapping[str, Any], state: State) -> None:
    """Set the given fields; if one is refused, none is set."""
    changes = {name: typed(body, name, str) for name in ("name", "description", "instructions")}
    changes["metadata"] = typed(body, "metadata", dict)
    if len(changes["metadata"] or ()) > _METADATA_PAIRS:
        raise invalid_params(f"metadata must not have more than {_METADATA_PAIRS} pairs")
    if body.get("file_ids") is not None:
        changes["file_ids"] = [state.files.get(one).id for one in list_of(body, "file_ids", str)]
    if body.get("functions") is not None:
        changes["functions"] = check_functions(
            list_of(body, "functions", dict), find_model(assistant.model), Message("user")
        )
    for name, value in changes.items():
        if value is not None:
            setattr(assistant, name, value)


def _card(assistant: Assistant, state: State) -> dict[str, Any]:
    """Return an assistant as the service shows it; what it has not is left out, as in the samples of threads."""
    shown: dict[str, Any] = {
        "assistant_id": assistant.id,
        "model": assistant.model,
        "name": assistant.name,
        "description": assistant.description,
        "instructions": assistant.instructions,
        "created_at": assistant.created_at,
        "updated_at": assistant.updated_at,
        "files": state.files.attached(assistant.file_ids),
        "metadata": assistant.metadata,
        "threads_count": sum(thread.assistant_id == assistant.id for thread in state.threads.all()),
        "functions": list(assistant.functions) or None,
    }
    return {name: value for name, value in shown.items() if value is not None}


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (
    ("GET", "/assistants", _list),
    ("POST", "/assistants", _create),
    ("POST", "/assistants/modify", _modify),
    ("POST", "/assistants/delete", _delete),
    ("POST", "/assistants/files/delete", _delete_file),
)
