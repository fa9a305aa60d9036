"""The endpoints of files: upload, list, show, read, delete (reference, section 9).

A file's name is only a label and never used as a path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gigachat._service import FILE_KINDS
from gigachat.server.state.records import StoredFile
from gigachat.server.wire.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.wire.responses import api_headers

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service

_PURPOSES = ("general", "assistant")


async def _upload(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /files` (reference, section 9.2); the texts of its refusals are not documented."""
    try:
        form = await request.form(max_files=1)
    except (HTTPException, FormParserError):  # starlette 1.0 lets the parser's own error through
        raise invalid_shape("The body is not multipart/form-data with one file.") from None
    try:
        uploaded = form.get("file")
        if not isinstance(uploaded, UploadFile) or not uploaded.filename:
            raise invalid_params("file is required: a part of multipart/form-data with a file name and a type")
        purpose = form.get("purpose") or "general"
        if purpose not in _PURPOSES:
            raise invalid_params(f"purpose must be one of: {', '.join(_PURPOSES)}")
        mime = (uploaded.content_type or "").partition(";")[0].strip().lower()
        kind = FILE_KINDS.get(mime)
        if kind is None:
            raise invalid_params(f"files of type {mime or 'unknown'} are not accepted")
        if (uploaded.size or 0) > kind.limit:
            raise Refusal(413)
        content = await uploaded.read()
    finally:
        await form.close()
    return service.state.files.put(StoredFile(uploaded.filename, content, mime, str(purpose))).card()


async def _list(request: Request, service: Service) -> dict[str, Any]:
    return {"data": [one.card() for one in service.state.files.all()]}


async def _show(request: Request, service: Service) -> dict[str, Any]:
    return service.state.files.get(request.path_params["file_id"]).card()


async def _read(request: Request, service: Service) -> Response:
    """Answer `GET /files/{id}/content` (reference, section 9.5)."""
    content = service.state.files.content(request.path_params["file_id"], request.headers.get("x-client-id"))
    return Response(content, headers={"content-type": "application/octet-stream", **api_headers(request.headers)})


async def _delete(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /files/{id}/delete` (reference, section 9.4): whatever the body holds is ignored."""
    file_id = request.path_params["file_id"]
    service.state.files.delete(file_id)
    return {"id": file_id, "deleted": True, "access_policy": "private"}


ENDPOINTS: Endpoints = (
    ("POST", "/files", _upload),
    ("GET", "/files", _list),
    ("GET", "/files/{file_id}", _show),
    ("GET", "/files/{file_id}/content", _read),
    ("POST", "/files/{file_id}/delete", _delete),
)
