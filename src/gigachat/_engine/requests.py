"""A call as the request that is sent: address, headers and body; and the headers that a context adds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gigachat._advice import HALF_A_PAIR, WITHOUT_ACCOUNT
from gigachat._engine.transport import Request
from gigachat._headers import checked_headers
from gigachat._secret import Secret
from gigachat._validation import path_of
from gigachat.context import (
    agent_id_cvar,
    authorization_cvar,
    client_id_cvar,
    custom_headers_cvar,
    operation_id_cvar,
    request_id_cvar,
    service_id_cvar,
    session_id_cvar,
    trace_id_cvar,
)
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gigachat._engine.calls import Call, RequestOptions
    from gigachat._engine.service import Service

_CONTEXT_HEADERS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("authorization", authorization_cvar.get),
    ("x-session-id", session_id_cvar.get),
    ("x-request-id", request_id_cvar.get),
    ("x-service-id", service_id_cvar.get),
    ("x-operation-id", operation_id_cvar.get),
    ("x-client-id", client_id_cvar.get),
    ("x-trace-id", trace_id_cvar.get),
    ("x-agent-id", agent_id_cvar.get),
)


def context_headers() -> dict[str, str]:
    """Return the headers that the context variables ask for (reference, section 2.1); names in lower case.

    Raises:
        TypeError, ValueError: A header cannot be sent.
    """
    headers: dict[str, str] = {}
    for name, get in _CONTEXT_HEADERS:
        if value := get():
            headers[name] = Secret(value) if isinstance(value, str) else value
    if headers:
        headers = checked_headers(headers, "context variables")
    if custom_headers_cvar.get():  # in no variable: tools print those of frames
        headers |= checked_headers(custom_headers_cvar.get(), "context variables")
    return headers


def build_request(
    service: Service,
    options: RequestOptions,
    call: Call[Any],
    context: Mapping[str, str],
    v2_url: str = "",
    model: str | None = None,
) -> tuple[Request, bool]:
    """Return the request of a call, and whether the client's authorization must be added.

    `v2_url` is the base address of calls of API v2. `model` takes the place of the model in the body.

    Headers of the client come first, then those of the context, of the call and of the options; the later ones win.

    Raises:
        ConfigurationError: Nothing brings an authorization, and the vendor refuses requests without one.
        ValueError: The address is of another origin, or the body is not JSON.
    """
    headers = {**service.headers, **context}
    content = call.content
    if call.json is not None:
        headers["content-type"] = "application/json"
        try:
            content = service.dumps(call.json)  # compact UTF-8, not escaped, without fields that are None
        except ValueError:
            content = None
        if content is None:
            from gigachat.models.base import build_all

            # Before 2.14, pydantic does not write a model whose class is not built, as of a part of one that it parsed.
            build_all()
            content = written(service, call.json)
        changes = options.body if model is None else {**options.body, "model": model}
        if changes:
            content = written(service, {**_parsed(content), **changes})
        elif b"NaN" in content or b"Infinity" in content:
            _parsed(content)
    if call.headers:
        headers.update(call.headers)
    if options.headers:
        headers.update(options.headers)
    authorize = "authorization" not in headers and (service.authorization is not None or service.needs_authorization)
    if authorize and service.authorization is None:
        raise missing_authorization()
    query: Mapping[str, str | Sequence[str]] | None = service.settings.default_query
    if call.query or options.query:
        query = {**(query or {}), **(call.query or {}), **options.query}
    timeouts = options.timeouts or service.timeouts
    url = f"{v2_url}{call.path}" if call.v2 else service.url(call.path)
    return Request(call.method, url, headers, content, timeouts, query, call.upload), authorize


def has_authorization(options: RequestOptions, call: Call[Any], context: Mapping[str, str]) -> bool:
    """Whether a call has an authorization of its caller, which takes the place of the client's."""
    return any("authorization" in headers for headers in (context, call.headers or {}, options.headers))


def missing_authorization() -> ConfigurationError:
    """Return the error for a client without any authorization."""
    return ConfigurationError(
        "no authorization: pass credentials= (or set GIGACHAT_CREDENTIALS), or client_id= and client_secret=, "
        f"user= and password=, access_token=, or cert_file={WITHOUT_ACCOUNT}"
    )


def written(service: Service, body: Any) -> bytes:
    """Return JSON: compact UTF-8, not escaped, without fields that are None.

    Raises:
        ValueError: The body is not JSON.
    """
    try:
        content = service.dumps(body)
    except ValueError as error:
        reason = _unwritable(service, body, str(error))
    else:
        if b"NaN" in content or b"Infinity" in content:
            _parsed(content)
        return content
    # Raised outside the handler: the original error is pydantic's.
    raise ValueError(reason)


def _unwritable(service: Service, body: Any, reason: str) -> str:
    if "surrogates" in reason:
        return HALF_A_PAIR
    if "depth exceeded" in reason:  # pydantic 2.12 names a circular reference here too
        return "the body is not JSON: it is nested too deeply"
    if "Circular reference" in reason:
        return "the body is not JSON: it contains itself"
    place = path_of(_place_not_json(service, body))
    return f"the body is not JSON: {place}: {reason}" if place else f"the body is not JSON: {reason}"


def _place_not_json(service: Service, value: Any) -> list[str | int]:
    """Return the place of the first part of a value that is not JSON."""
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    elif hasattr(type(value), "model_fields"):
        parts = value
    for name, part in parts:
        try:
            service.dumps([part])
        except ValueError:
            return [name, *_place_not_json(service, part)]
    return []


def _parsed(content: bytes) -> Any:
    """Parse JSON; NaN and infinities are refused."""
    return json.loads(content, parse_constant=refuse_number)


def refuse_number(name: str) -> None:
    """Refuse NaN and infinities, as `parse_constant` of `json.loads`."""
    raise ValueError(f"{name} is not a number in JSON")
