"""The ASGI application: its routes, its middleware and the endpoints of models.

Each module of an endpoint has a table `ENDPOINTS`. Each version answers with and without `/api` before it (reference,
section 1.1).
"""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route

from gigachat._service import OAUTH_PATH
from gigachat.server.access.authorization import check_access, sign_in, sign_in_by_password
from gigachat.server.access.rate_limits import Limits
from gigachat.server.catalogue import MODELS, find_model
from gigachat.server.chat import v1, v2
from gigachat.server.endpoints import (
    account,
    assistants,
    batches,
    embeddings,
    files,
    functions,
    moderation,
    runs,
    threads,
)
from gigachat.server.engines.echo import Echo
from gigachat.server.engines.embedders import hashed_vector
from gigachat.server.middleware import FrontDesk
from gigachat.server.orders.queue import Orders
from gigachat.server.page.page import Page
from gigachat.server.service import Service
from gigachat.server.state.state import State
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import answer, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from gigachat.server.engine import Embedder, Engine
    from gigachat.server.service import Endpoint, Endpoints

_log = logging.getLogger("gigachat.server")


def create_app(
    state: State | None = None,
    orders: Orders | None = None,
    engine: Engine | None = None,
    *,
    embedder: Embedder = hashed_vector,
    pace: float = 0.0,
    batch_pace: float = 0.0,
    environment: Mapping[str, str] | None = None,
) -> Starlette:
    """Return the local GigaChat as an ASGI application, for any ASGI server.

    Args:
        state: Account, settings and memory; a fresh one when omitted.
        orders: Replies and faults ordered by tests; none when omitted.
        engine: What answers; the echo when omitted.
        embedder: What makes vectors; words are hashed when omitted.
        pace: Seconds between the chunks of a stream; 0 is full speed.
        batch_pace: Seconds before each request of a batch; 0 is full speed.
        environment: Variables that point the SDK at it, shown on the page without the key.
    """
    state, orders, engine = state or State(), orders or Orders(), engine or Echo()
    service = Service(state, orders, engine, embedder, pace, batch_pace, environment or {})
    routes = [_route("POST", OAUTH_PATH, sign_in, service)]
    for version, tables in _TABLES.items():
        for prefix in (version, f"/api{version}"):
            for method, path, endpoint in chain.from_iterable(tables):
                routes.append(_route(method, prefix + path, endpoint, service))
    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Page, service=service),
            Middleware(FrontDesk, state=service.state, orders=service.orders),
            Middleware(Limits, state=service.state),
        ],
        exception_handlers={Refusal: _refused, HTTPException: _not_routed, Exception: _crashed},
    )
    app.router.redirect_slashes = False
    return app


def _route(method: str, path: str, endpoint: Endpoint, service: Service) -> Route:
    """Return the route of an endpoint behind the check of authorization."""

    async def handle(request: Request) -> Response:
        if endpoint not in _OPEN:
            check_access(request, service.state)
        try:
            found = await endpoint(request, service)
            return found if isinstance(found, Response) else answer(request, found)
        except (Refusal, HTTPException):
            raise
        except ClientDisconnect:
            return Response()  # the client has disconnected
        except Exception:
            # Otherwise the ASGI server would close the connection after the response, during the next request.
            _log.exception("a request failed")
            return refusal(request.headers, Refusal(500))

    return Route(path, handle, methods=[method])


async def _models(request: Request, service: Service) -> dict[str, Any]:
    return {"object": "list", "data": [model.card() for model in MODELS if model.listed]}


async def _model(request: Request, service: Service) -> dict[str, Any]:
    return find_model(request.path_params["model"]).card()


ENDPOINTS: Endpoints = (
    ("GET", "/models", _models),
    ("GET", "/models/{model:path}", _model),
    ("POST", "/token", sign_in_by_password),
)
_OPEN = (sign_in, sign_in_by_password)
"""Endpoints that need no token."""
_TABLES = {
    "/v1": (
        ENDPOINTS,
        v1.ENDPOINTS,
        embeddings.ENDPOINTS,
        files.ENDPOINTS,
        batches.ENDPOINTS,
        functions.ENDPOINTS,
        moderation.ENDPOINTS,
        account.ENDPOINTS,
        assistants.ENDPOINTS,
        threads.ENDPOINTS,
        runs.ENDPOINTS,
    ),
    "/v2": (v2.ENDPOINTS,),
}


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    request.state.refusal_detail = error.detail
    return refusal(request.headers, error)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(request.headers, Refusal(error.status_code))


async def _crashed(request: Request, error: Exception) -> Response:
    return refusal(request.headers, Refusal(500))
