"""Reading of the files of answers, by the client that requested the answer (reference, section 9.5).

Completions refer to an object of this module by the protocol of `models.answer_files`: a model knows no client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat._engine.calls import RequestOptions
from gigachat._engine.endpoint import Async
from gigachat._engine.session import run
from gigachat.api.files import content_call, downloaded

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from gigachat import models
    from gigachat._engine.endpoint import Resource
    from gigachat._engine.session import Session


class AnswerFileReader:
    """Reads and saves the files of answers.

    Args:
        resource: The client, or its namespace of chats.
    """

    def __init__(self, resource: Resource[Any]) -> None:
        attribute = getattr(resource, "_attribute", None)  # of a namespace: its client, and its name there
        client: Resource[Any] = resource if attribute is None else attribute[0]
        self._only_awaited = client._mode is Async
        self._blocking, self._async = resource._blocking, resource._async

    def read(self, file: models.AnswerFile, client_id: str | None) -> bytes:
        """Return the content of a file."""
        return run(_content(self._session("aread()"), file, client_id))

    async def aread(self, file: models.AnswerFile, client_id: str | None) -> bytes:
        """Return the content of a file."""
        return await _content(self._async, file, client_id)

    def save(self, file: models.AnswerFile, path: str | os.PathLike[str], client_id: str | None) -> Path:
        """Write the content of a file to disk."""
        return run(downloaded(_for_user(self._session("asave(path)"), client_id), file.id_, path))

    async def asave(self, file: models.AnswerFile, path: str | os.PathLike[str], client_id: str | None) -> Path:
        """Write the content of a file to disk."""
        return await downloaded(_for_user(self._async, client_id), file.id_, path)

    def _session(self, awaited: str) -> Session:
        if self._only_awaited:
            raise ValueError(f"an AsyncGigaChat requested this answer: await file.{awaited}")
        return self._blocking


async def _content(session: Session, file: models.AnswerFile, client_id: str | None) -> bytes:
    return await _for_user(session, client_id).send(content_call(file.id_, lambda content, headers: content))


def _for_user(session: Session, client_id: str | None) -> Session:
    """Return a session for the files of an end user: the service demands the `X-Client-ID` of their request."""
    if client_id is None or not (client_id.isascii() and client_id.isprintable()):
        return session  # what cannot be sent is not from this client
    return session.with_options(RequestOptions({"x-client-id": client_id}))
