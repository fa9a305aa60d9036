"""Files attached to messages: uploaded once for each content, and checked before anything is sent (section 9.2)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, TypeAlias, TypeVar

from gigachat import models
from gigachat._engine.calls import Call, get, segment
from gigachat._engine.parsing import read_model
from gigachat._service import FILE_KINDS, FILE_TYPES, MOST_MEDIA_MEGABYTES
from gigachat.api.uploads import opened_upload
from gigachat.exceptions import APIResponseValidationError, GigaChatException, NotFoundError

if TYPE_CHECKING:
    from gigachat._engine.session import Session
    from gigachat._engine.transport import Upload
    from gigachat.api.uploads import UploadTypes

    FileReference: TypeAlias = str | models.UploadedFile | models.AnswerFile

MessageT = TypeVar("MessageT")

_BLOCK = 256 * 1024  # bytes read at once for the digest


async def attach_file(session: Session, file: UploadTypes, kind: str | None = None) -> models.UploadedFile:
    """Return the uploaded file of a content: one that this client has uploaded and the service still has, or a new one.

    Args:
        session: Sends the requests.
        file: As for `upload_file`.
        kind: The only kind that is accepted; None for any.

    Raises:
        ValueError, TypeError: The service, or the kind, does not accept such a file; nothing is sent.
    """
    with opened_upload(file, "general") as upload:
        if kind is not None:
            _check_kind(upload, kind)
        call = Call("POST", "/files", read_model(models.UploadedFile), upload=upload)
        content: Any = _HashedContent(upload.file)
        digest = None
        if upload.repeatable:
            digest = await session.transport.call(partial(_digest, content, upload.filename), None, awaited=False)
        if digest is None:
            return _with_id(await session.send(call))
        call.upload = replace(upload, file=content)
        key = f"{digest} {upload.content_type}"
        ids = session.service.uploaded_ids
        async with ids.lock(key, session.transport):
            file_id = ids.id_of(key)
            if file_id is not None:
                try:
                    return _with_id(await session.send(get(f"/files/{segment(file_id)}", models.UploadedFile)))
                except NotFoundError:
                    pass  # deleted since then, or it belongs to another account
            uploaded = _with_id(await session.send(call))
            if content.digest() == digest:  # otherwise the file has changed since
                ids.remember(key, uploaded.id_)
            return uploaded


def _with_id(uploaded: models.UploadedFile) -> models.UploadedFile:
    """Return an uploaded file that can be attached.

    Raises:
        APIResponseValidationError: Its id is not one of a file.
    """
    if uploaded.id_ in ("", ".", ".."):
        raise APIResponseValidationError(f"the response has {uploaded.id_!r} as the id of the file")
    return uploaded


def _check_kind(upload: Upload, kind: str) -> None:
    """Refuse a file of another kind.

    Raises:
        ValueError: It is one.
    """
    upload_kind = FILE_KINDS.get(upload.content_type.partition(";")[0].strip().lower())
    if upload_kind is None or upload_kind.name != kind:
        formats = ", ".join(name[1:] for name, mime in FILE_TYPES.items() if FILE_KINDS[mime].name == kind)
        raise ValueError(f"{upload.filename} is {upload.content_type}, not {kind}: give one of {formats}")


class _HashedContent:
    """A content with the digest of what has been read since its beginning.

    Args:
        file: The content.
    """

    def __init__(self, file: bytes | IO[bytes]) -> None:
        import hashlib  # deferred: few chats have files

        self._new_hash = hashlib.sha256
        self._file: Any = BytesIO(file) if isinstance(file, bytes) else file
        self._hash = self._new_hash()

    def digest(self) -> str:
        """Return the digest of the bytes read."""
        return self._hash.hexdigest()

    def read(self, size: int = -1) -> Any:
        """Return the next bytes."""
        block = self._file.read(size)
        if isinstance(block, bytes):
            self._hash.update(block)
        return block

    def seek(self, *place: int) -> int:
        """Move, and begin a new digest."""
        self._hash = self._new_hash()
        position: int = self._file.seek(*place)
        return position

    def tell(self) -> int:
        """Return the position."""
        position: int = self._file.tell()
        return position

    def seekable(self) -> bool:
        """Whether it can be sent again."""
        return True


def _digest(content: _HashedContent, filename: str) -> str | None:
    """Return the digest of a content; None if it can be read only once."""
    try:
        content.seek(0)
    except OSError:  # a file of the system, such as those in /proc
        return None
    try:
        while block := content.read(_BLOCK):
            if not isinstance(block, bytes):
                raise OSError(f"it gives {type(block).__name__}, not bytes")
        digest = content.digest()
        content.seek(0)
    except OSError as error:
        raise GigaChatException(f"the file {filename} cannot be read: {error}") from error
    return digest


def ids_of(files: Any) -> list[str]:
    """Return the ids of files of one message.

    Args:
        files: Uploaded files, files of answers, or ids.

    Raises:
        TypeError, ValueError: It is no list of these, or a message cannot have all of them (section 6).
    """
    if isinstance(files, str | bytes) or not isinstance(files, Sequence):
        raise TypeError(f"files= takes a list, not {type(files).__name__}: files=[giga.attach(path)]")
    by_id: dict[str, Any] = {}
    for file in files:
        file_id = getattr(file, "id_", file)
        if not isinstance(file_id, str):
            raise TypeError(f"files= takes uploaded files or their ids, not {type(file).__name__}: giga.attach(path)")
        if not file_id or (file is file_id and os.path.splitext(file_id)[1].lower() in FILE_TYPES):
            raise ValueError(f"files= takes ids of uploaded files, not {file_id[:100]!r}: giga.attach(path)")
        by_id.setdefault(file_id, file)
    kinds = [kind_of(file) for file in by_id.values()]
    if kinds.count("image") > 1:
        raise ValueError("a message can have one image: send each image in a message of its own")
    media = zip(by_id.values(), kinds, strict=True)
    size = sum(getattr(file, "bytes_", 0) for file, kind in media if kind in ("image", "audio"))
    if size >= MOST_MEDIA_MEGABYTES * 1024 * 1024:
        raise ValueError(f"images and audio of a request must have less than {MOST_MEDIA_MEGABYTES} MB together")
    return [*by_id]


def kind_of(file: Any) -> str | None:
    """Return the kind of a file: text, image or audio; None if it is not known, as of an id."""
    if isinstance(file, models.AnswerFile):
        return "image" if file.is_image else file.target
    if not isinstance(file, models.UploadedFile):
        return None
    mime = FILE_TYPES.get(os.path.splitext(file.filename)[1].lower())
    return FILE_KINDS[mime].name if mime is not None else next(iter(file.modalities or ()), None)


def with_files(messages: Sequence[MessageT], files: Any) -> list[MessageT]:
    """Return messages, v1 or v2, with files attached to the last one; the caller's message is not changed.

    Raises:
        TypeError, ValueError: See `ids_of`; or the last message is not the user's.
    """
    ids = ids_of(files)
    message: Any = messages[-1]
    if message.role != "user":
        raise ValueError("files= are attached to the last message, which must be the user's")
    if isinstance(message, models.ChatMessage):
        more: dict[str, Any] = {
            "content": [*(message.content or ()), models.ChatContentPart.model_validate({"files": ids})]
        }
    else:
        more = {"attachments": [*(message.attachments or ()), *ids]}
    changed: Any = message.model_copy(update=more)
    return [*messages[:-1], changed]
