"""Batches: many requests processed in the background, with their answers in a file (reference, section 11).

Each line is answered as its endpoint would answer it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from gigachat._service import BATCH_METHODS, MOST_BATCH_REQUESTS
from gigachat.models.chat import Chat
from gigachat.server.chat.v1 import AnswerV1
from gigachat.server.chat.validation_v1 import check_chat
from gigachat.server.endpoints.embeddings import EMBEDDINGS, embedded
from gigachat.server.state.records import Batch, StoredFile
from gigachat.server.wire.errors import Refusal, invalid_params
from gigachat.server.wire.requests import read_object
from gigachat.server.wire.responses import compact
from gigachat.server.wire.shapes import check_shape

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service

_log = logging.getLogger("gigachat.server")


async def _create(request: Request, service: Service) -> dict[str, Any]:
    """Answer `POST /batches`; what a refusal of the file says is not documented."""
    _check_account(service)
    method = request.query_params.get("method", "")
    if method not in BATCH_METHODS:
        raise invalid_params(f"method must be one of: {', '.join(BATCH_METHODS)}")
    lines = _read(await request.body())
    batch = service.state.batches.put(Batch(method, len(lines), lines))
    service.later(_work(batch, service))
    return batch.card()


def _resume(service: Service) -> None:
    """Restart the batches that an earlier server has not finished. They wait until batches are listed."""
    unfinished = service.state.batches.unfinished
    while unfinished:
        service.later(_work(unfinished.pop(), service))


async def _list(request: Request, service: Service) -> dict[str, Any] | list[dict[str, Any]]:
    """Answer `GET /batches`: all of them, or the one of `batch_id`. Sources disagree on the form (section 15)."""
    _check_account(service)
    _resume(service)
    batches = service.state.batches
    wanted = request.query_params.get("batch_id")
    found = batches.all() if wanted is None else [batches.get(wanted)]
    cards = [one.card() for one in found]
    return cards if service.state.bare_batches else {"batches": cards}


def _check_account(service: Service) -> None:
    if not service.state.account.pays_as_you_go:
        raise Refusal(403)


def _read(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Return ids and requests of the lines of a file; empty lines are passed over.

    Raises:
        Refusal: 400 for a line that is no JSON object, 422 for one that lacks something, too many or none.
    """
    lines: list[tuple[str, dict[str, Any]]] = []
    ids: set[str] = set()
    for number, raw in enumerate(body.split(b"\n"), 1):
        if not raw.strip():
            continue
        line = read_object(raw)
        line_id, request = line.get("id"), line.get("request")
        if not isinstance(line_id, str) or not line_id:
            raise invalid_params(f"line {number}: id is required")
        if line_id in ids:
            raise invalid_params(f"line {number}: id {line_id} is not unique")
        if not isinstance(request, dict):
            raise invalid_params(f"line {number}: request is required")
        ids.add(line_id)
        lines.append((line_id, request))
    if not lines:
        raise invalid_params("the file has no requests")
    if len(lines) > MOST_BATCH_REQUESTS:
        raise invalid_params(f"the file has {len(lines)} requests, at most {MOST_BATCH_REQUESTS} are allowed")
    return lines


async def _work(batch: Batch, service: Service) -> None:
    """Answer the requests in turn, then store the file of the answers."""
    batch.status = "in_progress"
    batch.completed = batch.failed = 0
    output: list[bytes] = []
    for line_id, request in batch.requests:
        await asyncio.sleep(service.batch_pace)
        try:
            output.append(compact({"id": line_id, "result": await _result(batch.method, request, service)}))
            batch.completed += 1
        except Refusal as refused:
            output.append(compact({"id": line_id, "error": refused.body()}))
            batch.failed += 1
        except Exception:
            # As for an ordinary request: logged, and answered with 500.
            _log.exception("a request of a batch failed")
            output.append(compact({"id": line_id, "error": Refusal(500).body()}))
            batch.failed += 1
        batch.touch()
    content = b"\n".join([*output, b""])
    file = StoredFile(f"{batch.id}.jsonl", content, "application/octet-stream")
    batch.output_file_id = service.state.files.put(file).id
    batch.status = "completed"
    batch.requests = ()
    service.state.batches.put(batch)


async def _result(method: str, request: dict[str, Any], service: Service) -> dict[str, Any]:
    check_shape(request, EMBEDDINGS if method == "embedder" else Chat, strict=service.state.strict)
    if method == "embedder":
        return await embedded(request, service)
    made = await AnswerV1.begin(check_chat(request, service.state), service)
    return await made.whole()


ENDPOINTS: Endpoints = (
    ("POST", "/batches", _create),
    ("GET", "/batches", _list),
)
