"""The ASGI application: routes, the front desk that notes requests and obeys orders, the small endpoints.

Everything answers under `/v1` and `/api/v1` (reference, section 1.1). It must not hold state of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gigachat.server.answers import JSON_TYPE, answer, api_headers, gone, refusal
from gigachat.server.authorization import check_access, sign_in, sign_in_by_password
from gigachat.server.catalogue import MODELS, find_model
from gigachat.server.chat import complete_chat
from gigachat.server.checks import read_model, read_object, typed
from gigachat.server.echo import Echo
from gigachat.server.errors import Refusal, invalid_params, invalid_shape
from gigachat.server.script import Fault, Script
from gigachat.server.state import Received, State

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gigachat.server.engines import Engine

_PREFIXES = ("/v1", "/api/v1")
_LARGEST_BODY = 64 * 1024 * 1024

_Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    state: State | None = None,
    script: Script | None = None,
    engine: Engine | None = None,
    *,
    pace: float = 0.0,
) -> Starlette:
    """Return the local GigaChat as an ASGI application, for any ASGI server.

    Args:
        state: Account, token lifetimes and memory; a fresh one when omitted.
        script: Orders of tests; none when omitted.
        engine: What answers; the echo when omitted.
        pace: Seconds between the chunks of a stream; 0 is full speed.
    """
    state = state or State()
    script = script or Script()
    desk = _Endpoints(state, script, engine or Echo(), pace)
    routes = [Route("/api/v2/oauth", desk.oauth, methods=["POST"])]
    for prefix in _PREFIXES:
        routes += [
            Route(f"{prefix}/chat/completions", desk.guarded(desk.chat), methods=["POST"]),
            Route(f"{prefix}/models", desk.guarded(desk.models), methods=["GET"]),
            Route(f"{prefix}/models/{{model:path}}", desk.guarded(desk.model), methods=["GET"]),
            Route(f"{prefix}/embeddings", desk.guarded(desk.embeddings), methods=["POST"]),
            Route(f"{prefix}/tokens/count", desk.guarded(desk.tokens_count), methods=["POST"]),
            Route(f"{prefix}/token", desk.token, methods=["POST"]),
        ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_FrontDesk, state=state, script=script)],
        exception_handlers={Refusal: _refused, HTTPException: _not_routed, Exception: _crashed},
    )
    app.router.redirect_slashes = False
    return app


class _Endpoints:
    """One method per endpoint; chat and sign-in have modules of their own."""

    def __init__(self, state: State, script: Script, engine: Engine, pace: float) -> None:
        self._state = state
        self._script = script
        self._engine = engine
        self._pace = pace

    def guarded(self, handler: _Handler) -> _Handler:
        """Return the handler behind the check of authorization."""

        async def let_in(request: Request) -> Response:
            check_access(request, self._state)
            return await handler(request)

        return let_in

    async def oauth(self, request: Request) -> Response:
        return await sign_in(request, self._state)

    async def token(self, request: Request) -> Response:
        return await sign_in_by_password(request, self._state)

    async def chat(self, request: Request) -> Response:
        return await complete_chat(request, self._state, self._script, self._engine, self._pace)

    async def models(self, request: Request) -> Response:
        return answer(request, {"object": "list", "data": [model.card() for model in MODELS if model.listed]})

    async def model(self, request: Request) -> Response:
        return answer(request, find_model(request.path_params["model"]).card())

    async def embeddings(self, request: Request) -> Response:
        """Answer `POST /embeddings` (reference, section 8.1): usage is per item, the model's bare name comes back."""
        body = read_object(await request.body())
        model = read_model(body, "embedder")
        data: list[dict[str, Any]] = []
        for index, text in enumerate(_texts(body)):
            made = self._engine.embed(text, model)
            if made.tokens > model.text_limit:
                raise Refusal(413, f"Tokens limit exceeded: {made.tokens} of {model.text_limit} in input {index}")
            usage = {"prompt_tokens": made.tokens}
            data.append({"object": "embedding", "index": index, "embedding": made.vector, "usage": usage})
        return answer(request, {"object": "list", "model": model.id, "data": data})

    async def tokens_count(self, request: Request) -> Response:
        """Answer `POST /tokens/count` (reference, section 8.2): a bare array."""
        body = read_object(await request.body())
        read_model(body, None)
        counts = [
            {"object": "tokens", "tokens": self._engine.count(text), "characters": len(text)} for text in _texts(body)
        ]
        return answer(request, counts)


def _texts(body: dict[str, Any]) -> list[str]:
    """Return the field `input`: a text or a list of texts, at least one."""
    texts = typed(body, "input", (str, list))
    if isinstance(texts, str):
        return [texts]
    if not texts:
        raise invalid_params("input must not be empty")
    if not all(isinstance(text, str) for text in texts):
        raise invalid_shape()
    return list(texts)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refusal(request.headers, error)


async def _not_routed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(request.headers, Refusal(error.status_code))


async def _crashed(request: Request, error: Exception) -> Response:
    return refusal(request.headers, Refusal(500))


class _FrontDesk:
    """Notes every request as it came, then obeys what tests ordered for it, then passes it on."""

    def __init__(self, app: ASGIApp, state: State, script: Script) -> None:
        self._app = app
        self._state = state
        self._script = script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > _LARGEST_BODY:
                await refusal(Headers(scope=scope), Refusal(413))(scope, receive, send)
                return
        received = Received(scope["method"], scope["path"], scope["headers"], scope["query_string"], bytes(body))
        self._state.journal.add(received)
        delay = self._script.delay(received.path)
        if delay is not None and await gone(receive, delay.seconds):
            return
        fault = self._script.fault(received.path)
        if fault is not None:
            if not await gone(receive, fault.delay):
                await _fault_answer(Headers(scope=scope), fault)(scope, receive, send)
            return

        unread = True

        async def replay() -> Message:
            nonlocal unread
            if unread:
                unread = False
                return {"type": "http.request", "body": received.body, "more_body": False}
            return await receive()

        await self._app(scope, replay, send)


def _fault_answer(request_headers: Headers, fault: Fault) -> Response:
    """Return an ordered error; one with a body of its own is sent as the page of a gateway would be."""
    if fault.body is None:
        response = refusal(request_headers, Refusal(fault.status, fault.message, code=fault.code))
    else:
        kind = JSON_TYPE if fault.body[:1] in (b"{", b"[") else "text/html"
        headers = {"content-type": kind, **api_headers(request_headers)}
        response = Response(fault.body, fault.status, headers)
    response.headers.update(fault.headers)
    return response
