"""Assistants: create, list, change, delete (reference, section 12.1). Their messages are in threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat import models
from gigachat._engine.calls import Call, get, post
from gigachat._engine.endpoint import Async, Blocking, Mode, Namespace, Resource, endpoint, namespace
from gigachat.api.arguments import checked_ids, given, ids, models_of, with_described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from gigachat.api.arguments import Function
    from gigachat.types import ModelName

    Functions: TypeAlias = Sequence[Function]


class AssistantsNamespace(Namespace[Mode]):
    """Assistants of the account."""

    @endpoint
    def get(self, assistant_id: str | None = None) -> Call[models.Assistants]:
        """Return the assistants, or the one of an id (reference, section 12.1)."""
        call = get("/assistants", models.Assistants)
        if assistant_id is not None:
            call.query = ids(assistant_id=assistant_id)
        return call

    @endpoint
    def create(
        self,
        model: ModelName | str,
        name: str,
        instructions: str | None = None,
        description: str | None = None,
        file_ids: Sequence[str] | None = None,
        functions: Functions | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Call[models.CreateAssistant]:
        """Create an assistant (reference, section 12.1).

        Args:
            model: Name of the model that answers.
            name: Its name.
            instructions: Its system message.
            description: What it is for.
            file_ids: Ids of files it knows.
            functions: Functions it may call.
            metadata: Data of your own, up to 16 pairs.
        """
        own = given(description=description, instructions=instructions, metadata=metadata)
        body = {**ids(model=model, name=name), **own, **_lists(file_ids, functions)}
        return post("/assistants", body, models.CreateAssistant)

    @endpoint
    def update(
        self,
        assistant_id: str,
        name: str | None = None,
        description: str | None = None,
        instructions: str | None = None,
        file_ids: Sequence[str] | None = None,
        functions: Functions | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Call[models.Assistant]:
        """Change an assistant by its id; arguments as for `create`, None changes nothing (reference, section 12.1)."""
        own = given(name=name, description=description, instructions=instructions, metadata=metadata)
        body = {**ids(assistant_id=assistant_id), **own, **_lists(file_ids, functions)}
        return post("/assistants/modify", body, models.Assistant)

    @endpoint
    def delete(self, assistant_id: str) -> Call[models.AssistantDelete]:
        """Delete an assistant by its id (reference, section 12.1)."""
        return post("/assistants/delete", ids(assistant_id=assistant_id), models.AssistantDelete)

    @endpoint
    def delete_file(self, assistant_id: str, file_id: str) -> Call[models.AssistantFileDelete]:
        """Remove a file from an assistant, by their ids (reference, section 12.1)."""
        body = ids(assistant_id=assistant_id, file_id=file_id)
        return post("/assistants/files/delete", body, models.AssistantFileDelete)


class BlockingAssistantsNamespace(AssistantsNamespace[Blocking]):
    """Create, list, change and delete assistants."""

    _mode = Blocking


class AsyncAssistantsNamespace(AssistantsNamespace[Async]):
    """Create, list, change and delete assistants, awaited."""

    _mode = Async


class Assistants(Resource[Mode]):
    """Assistants on the client itself."""

    @namespace
    def assistants(self) -> AssistantsNamespace[Mode]:
        """Assistants: `client.assistants.get()`."""
        kind: Any = AsyncAssistantsNamespace if self._mode is Async else BlockingAssistantsNamespace
        assistants: AssistantsNamespace[Mode] = kind(self)
        return assistants


def _lists(file_ids: Sequence[str] | None, functions: Functions | None) -> dict[str, Any]:
    described = with_described(given(functions=functions), "functions").get("functions")
    return given(
        file_ids=checked_ids(file_ids, "file_ids"),
        functions=None if described is None else models_of(models.Function, described, "functions"),
    )
