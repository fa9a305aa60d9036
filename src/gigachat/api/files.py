"""Files of the account: uploaded, listed, read, deleted (reference, section 9)."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Literal, TypeVar

from gigachat import models
from gigachat._engine.calls import Call, get, segment
from gigachat._engine.endpoint import Mode, Resource, endpoint, procedure
from gigachat._engine.parsing import read_model, x_headers
from gigachat.api.attachments import attach_file
from gigachat.api.downloads import is_directory, replacing, safe_name
from gigachat.api.uploads import opened_upload

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gigachat._engine.session import Session
    from gigachat.api.uploads import UploadTypes

    FileT = TypeVar("FileT", bound=models.File)
    T = TypeVar("T")


class Files(Resource[Mode]):
    """Files kept by the service. A file that does not exist raises `NotFoundError`."""

    @procedure
    async def upload_file(
        self, file: UploadTypes, purpose: Literal["general", "assistant"] = "general"
    ) -> models.UploadedFile:
        """Upload a file; its id can then be attached to messages (reference, section 9.2).

        It is streamed and never held in memory whole. Name, type and size are checked first. A file opened here is
        closed again, a file object of yours is left open.

        Args:
            file: A path, bytes, a file object opened with `rb`, or a tuple `(name, content)`,
                `(name, content, type)`, `(name, content, type, headers)` with any of these as content or, there
                only, the text itself. Without a type, the name decides, else the first bytes.
                A file of a form (FastAPI, Flask, aiohttp) and a file of anyio or trio are taken as well.
            purpose: What the file is for.

        Raises:
            ValueError, TypeError: There is no such file, it is empty or too large, or nothing the service takes;
                nothing is sent.
        """
        with opened_upload(file, purpose) as upload:
            call = Call("POST", "/files", read_model(models.UploadedFile), upload=upload)
            return await self._session.send(call)

    @procedure
    async def attach(self, file: UploadTypes) -> models.UploadedFile:
        """Return a file to attach to messages: `giga.chat("…", files=[file])` (reference, sections 6 and 9.2).

        A content is uploaded once: if this client has attached it before, and the service still has it, that file is
        returned. A file object that can be read only once is uploaded each time.

        Args:
            file: As for `upload_file`.

        Raises:
            ValueError, TypeError: There is no such file, it is empty or too large, or nothing the service takes;
                nothing is sent.
        """
        return await attach_file(self._session, file)

    @endpoint
    def get_files(self) -> Call[models.UploadedFiles]:
        """Return all files of the account (reference, section 9.3)."""
        return get("/files", models.UploadedFiles)

    @endpoint
    def get_file(self, file: str) -> Call[models.UploadedFile]:
        """Return information about a file by its id (reference, section 9.3)."""
        return get(f"/files/{segment(file)}", models.UploadedFile)

    @endpoint
    def delete_file(self, file: str) -> Call[models.DeletedFile]:
        """Delete a file by its id (reference, section 9.4)."""
        return Call("POST", f"/files/{segment(file)}/delete", read_model(models.DeletedFile))

    @endpoint
    def get_image(self, file_id: str) -> Call[models.Image]:
        """Return an image (reference, section 9.5).

        If `X-Client-ID` was sent with the chat that made it, it must be sent here too.

        Args:
            file_id: Its id.

        Returns:
            The image; `content` is base64.
        """
        return content_call(file_id, _in_base64(models.Image), "application/jpg")

    @endpoint
    def get_file_content(self, file_id: str) -> Call[models.File]:
        """Return the content of a file, held in memory; `download_file` keeps a large one on disk (section 9.5).

        Args:
            file_id: Its id.

        Returns:
            The file; `content` is base64.
        """
        return content_call(file_id, _in_base64(models.File))

    @procedure
    async def download_file(self, file_id: str, path: str | os.PathLike[str]) -> Path:
        """Write the content of a file to disk piece by piece (reference, section 9.5).

        A file that is there already is replaced when the new one is whole, and stays if that fails.

        Args:
            file_id: Id of the file.
            path: Where to; in a directory, the file gets the name the service knows.

        Returns:
            The path that was written.

        Raises:
            ValueError: There is no such directory; nothing is sent.
            OSError: It cannot be written.
        """
        return await downloaded(self._session, file_id, path)


async def downloaded(session: Session, file_id: str, path: str | os.PathLike[str]) -> Path:
    """Write the content of a file to disk; see `download_file`."""
    from pathlib import Path

    target = Path(path)
    if is_directory(path):
        asked = get(f"/files/{segment(file_id)}", models.UploadedFile)
        known = await session.send(asked)
        target /= safe_name(known.filename) or safe_name(file_id) or "file"
    call = content_call(file_id, lambda content, headers: None)
    with replacing(target) as file:
        async with session.open(call) as response:
            while piece := await response.receive():
                file.write(piece)
    return target


def content_call(
    file_id: str,
    read: Callable[[bytes, Mapping[str, str]], T],
    accept: str = "application/octet-stream",
) -> Call[T]:
    """Return the call that is answered with the content of a file."""
    return Call("GET", f"/files/{segment(file_id)}/content", read, headers={"accept": accept}, repeatable=True)


def _in_base64(kind: type[FileT]) -> Callable[[bytes, Mapping[str, str]], FileT]:
    def read(content: bytes, headers: Mapping[str, str]) -> FileT:
        return kind(content=base64.b64encode(content).decode(), x_headers=x_headers(headers))

    return read
