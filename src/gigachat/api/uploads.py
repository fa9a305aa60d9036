"""Uploads: the name, type and size of a file, checked before anything is sent (reference, section 9.2).

Types are determined by names and first bytes, never by tables of the system, so that all machines agree. No file is
read completely.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from io import UnsupportedOperation
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias

from gigachat._advice import HALF_A_PAIR
from gigachat._engine.transport import Upload
from gigachat._headers import checked_headers
from gigachat._service import FILE_KINDS, FILE_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigachat._types import FileTypes


class FormFile(Protocol):
    """A file of a form, as of FastAPI, Litestar or aiohttp."""

    @property
    def filename(self) -> str | None:
        """Its name."""
        ...

    @property
    def file(self) -> IO[bytes]:
        """Its content."""
        ...


class StoredFile(Protocol):
    """A file of a form, as of Flask or Quart."""

    @property
    def filename(self) -> str | None:
        """Its name."""
        ...

    @property
    def stream(self) -> IO[bytes]:
        """Its content."""
        ...


class WrappedFile(Protocol):
    """A file object that is read with await, as of anyio or trio."""

    @property
    def wrapped(self) -> IO[bytes]:
        """The file object inside it."""
        ...


UploadTypes: TypeAlias = "FileTypes | FormFile | StoredFile | WrappedFile"

_HEAD = 4096  # bytes that tell what a file is
_BEGINNINGS = (
    (rb"\xff\xd8\xff", ".jpg"),
    (rb"\x89PNG\r\n\x1a\n", ".png"),
    (rb"II\*\x00(?!.{4}CR)|MM\x00\*", ".tiff"),  # raw photos of Canon begin alike
    (rb"BM.{4}\x00{4}", ".bmp"),
    (rb"%PDF-", ".pdf"),
    (rb"RIFF.{4}WAVE", ".wav"),
    (rb"OggS.{24,60}OpusHead", ".opus"),
    (rb"OggS", ".ogg"),
    (rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", ".mp3"),
    # The brand tells sound from photos (HEIC, AVIF) and films of QuickTime.
    (rb".{4}ftypM4[AB]", ".m4a"),
    (rb".{4}ftyp(iso[m2-9]|mp4\d|mp71|avc1|dash|M4V|F4V|f4v|mmp4|MSNV)", ".mp4"),
    (rb"\x1aE\xdf\xa3", ".weba"),
    (rb"PK\x03\x04.{26}mimetypeapplication/epub", ".epub"),
    (rb"PK\x03\x04.*?word/", ".docx"),
    (rb"PK\x03\x04.*?ppt/", ".pptx"),
    (rb"PK\x03\x04.*?xl/", ".xlsx"),
    # Text in any encoding but UTF-16 has no control characters.
    (rb"(\xff\xfe|\xfe\xff).*|[^\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]+\Z", ".txt"),
)


@contextmanager
def opened_upload(file: UploadTypes, purpose: str) -> Iterator[Upload]:
    """Give what is sent for a file. A file opened here is closed at the end, the caller's own is left open.

    Args:
        file: What the caller passed; see `upload_file`.
        purpose: What the file is for.

    Raises:
        TypeError: It cannot be uploaded.
        ValueError: The service does not accept such a file.
    """
    if isinstance(getattr(file, "id_", None), str):
        raise TypeError(f"{type(file).__name__}: the service has this file already: attach it with files=[file]")
    name, content, mime, headers = _parts(file)
    if isinstance(content, str | os.PathLike):
        absent = "names no file"
        if not isinstance(file, tuple):
            absent += "; to upload text itself, pass its bytes or a tuple: ('name.txt', text)"
        with opened_file(content, absent) as opened:
            yield _checked(name or os.path.basename(os.fsdecode(content)), opened, mime, purpose, headers)
    else:
        yield _checked(name, content, mime, purpose, headers)


def _parts(file: Any) -> tuple[str | None, Any, str | None, dict[str, str]]:
    """Return name, content, type and headers as given. Text beside a name is the content itself, as in 0.2."""
    if not isinstance(file, tuple):
        from gzip import GzipFile  # deferred: it loads the decompressor

        # Of a form's file, whose `name` may be that of the field; that of a `GzipFile` is a path, and deprecated.
        name = None if isinstance(file, GzipFile) else getattr(file, "filename", None)
        return name if isinstance(name, str) and name else None, _content(blocking_file(file)), None, {}
    if not 2 <= len(file) <= 4:
        raise ValueError("a tuple must be (name, content), (name, content, type) or (name, content, type, headers)")
    name, content, mime, headers = (*file, None, None)[:4]
    if name is not None and not isinstance(name, str):
        raise TypeError(f"the name of a file must be text, not {type(name).__name__}")
    if mime is not None and not isinstance(mime, str):
        raise TypeError(f"the type of a file must be text such as 'text/plain', not {type(mime).__name__}")
    if headers is not None and not isinstance(headers, Mapping):
        raise TypeError(f"the headers of a file must be a mapping, not {type(headers).__name__}")
    checked = checked_headers({"content-type": mime} if mime else None, "the type of a file")
    checked |= checked_headers(headers, "the headers of a file")
    mime = checked.pop("content-type", None)
    sent = {name: checked[name.lower()] for name in headers or () if name.lower() in checked}
    if isinstance(content, str):
        try:
            content = content.encode()
        except UnicodeEncodeError:
            raise ValueError(HALF_A_PAIR) from None
    else:
        content = _content(blocking_file(content))
    return name or None, content, mime or None, sent


def blocking_file(file: Any) -> Any:
    """Return the file object inside an object that is read with await, or that is not read itself."""
    read = getattr(file, "read", None)
    if isinstance(file, bytes | str | os.PathLike) or (read is not None and not inspect.iscoroutinefunction(read)):
        return file
    inner = (getattr(file, name, None) for name in ("file", "wrapped"))
    return next((one for one in inner if callable(getattr(one, "read", None))), file)


def _content(content: Any) -> Any:
    if isinstance(content, bytearray | memoryview):
        return bytes(content)
    if isinstance(content, bytes | str | os.PathLike):
        return content
    if not callable(getattr(content, "read", None)):
        raise TypeError(
            "a file is a path, bytes, a file object opened with 'rb', or a tuple (name, content, type), not "
            f"{type(content).__name__}"
        )
    try:
        nothing = content.read(0)
    except UnsupportedOperation:  # it is open for writing only
        nothing = None
    if inspect.iscoroutine(nothing):
        nothing.close()
        raise TypeError("the file object is read with await: pass its content, (name, await file.read())")
    if not isinstance(nothing, bytes):
        raise TypeError("the file object does not read bytes: open the file with open(path, 'rb')")
    return content


def opened_file(path: str | os.PathLike[str], absent: str) -> IO[bytes]:
    """Open a file of the caller to be read.

    Args:
        path: Its path.
        absent: What to say about a path at which there is nothing.

    Raises:
        ValueError: It cannot be opened. The message shows the path, for that may be text by mistake, only in part.
    """
    path = shown = os.fsdecode(path)  # an object that is also a number would be taken for a descriptor
    shown = shown if len(shown) <= 100 else f"{shown[:100]}…"
    if not os.path.isfile(path):
        raise ValueError(f"{shown!r} {'is a directory' if os.path.isdir(path) else absent}")
    try:
        return open(path, "rb")
    except OSError as error:
        raise ValueError(f"{shown!r} cannot be read: {error.strerror}") from error


def _checked(
    name: str | None, content: bytes | IO[bytes], mime: str | None, purpose: str, headers: Mapping[str, str]
) -> Upload:
    if not purpose or not isinstance(purpose, str):
        raise ValueError("purpose must be a text such as 'general'")
    if not purpose.isascii():
        raise ValueError("purpose must have ASCII characters only, such as 'general'")
    size, head = _measured(content)
    own_name = None if isinstance(content, bytes) else getattr(content, "name", None)
    if name is None and isinstance(own_name, str):
        name = os.path.basename(own_name) or None
    if name is not None:
        name = name.encode("utf-8", "replace").decode()  # of a file on a disk whose names have another encoding
    shown = name or "the content"
    if size == 0:
        raise ValueError(f"{shown} is empty")
    extension = _extension(name) or (_told(head) if head is not None else None)
    if mime is None:
        if extension is None:
            raise ValueError(
                f"{shown}: cannot tell a type that the service takes, which are {_listed()}. To send it anyway, "
                "give its type: (name, content, 'type/subtype')"
            )
        mime = FILE_TYPES[extension]
    kind = FILE_KINDS.get(mime.partition(";")[0].strip().lower())
    if kind is not None and size is not None and size > kind.limit:
        raise ValueError(
            f"{shown} has {size / 1024**2:.1f} MB; the service takes {kind.name} files of up to {kind.megabytes} MB: "
            "make it smaller, or send it in parts"
        )
    return Upload(content, name or f"upload{extension or ''}", mime, {"purpose": purpose}, headers)


def _measured(content: bytes | IO[bytes]) -> tuple[int | None, bytes | None]:
    """Return size and first bytes; None where they cannot be known without reading."""
    if isinstance(content, bytes):
        return len(content), content[:_HEAD]
    seekable = getattr(content, "seekable", None)
    try:
        measurable = seekable is not None and seekable()
        if measurable:
            content.seek(0, os.SEEK_END)
    except OSError:  # a file of the system, such as those in /proc
        measurable = False
    if not measurable:
        peek = getattr(content, "peek", None)
        return None, bytes(peek(_HEAD)[:_HEAD]) if peek is not None else None
    size = content.tell()
    content.seek(0)
    head = content.read(_HEAD)
    content.seek(0)
    return size, head


def _extension(name: str | None) -> str | None:
    extension = os.path.splitext(name or "")[1].lower()
    return extension if extension in FILE_TYPES else None


def _told(head: bytes) -> str | None:
    """Return the extension of the kind of file that begins so."""
    return next((extension for beginning, extension in _BEGINNINGS if re.match(beginning, head, re.DOTALL)), None)


def _listed() -> str:
    return ", ".join(extension.removeprefix(".") for extension in FILE_TYPES)
