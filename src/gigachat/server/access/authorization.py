"""Sign-in by OAuth and by `/token`, and the token check of every API request (reference, sections 1.3 to 1.5).

No secret is logged or repeated.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.responses import Response

from gigachat.server.state.state import KIND_SCOPES
from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import answer, compact

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.server.service import Service
    from gigachat.server.state.state import State

_JWE_HEADER = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"RSA-OAEP-256","enc":"A256GCM"}').decode().rstrip("=")
_FORM = "application/x-www-form-urlencoded"


async def sign_in(request: Request, service: Service) -> Response:
    """Answer `POST /api/v2/oauth` (reference, section 1.3).

    Raises:
        Refusal: 400 or 401 in the gateway's shape.
    """
    state = service.state
    rquid = request.headers.get("rquid", "")
    if not _is_uuid4(rquid):
        # The service's own text is not documented.
        raise Refusal(400, "RqUID header must be a uuid4", code=2)
    key = _decoded(request, ("basic", "bearer"))
    if key is None:
        raise Refusal(400, "Can't decode 'Authorization' header", code=4)
    form = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)
    is_form = request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM
    scope = form.get("scope", [""])[0] if is_form else ""
    if not scope:
        raise Refusal(400, "scope is empty", code=5)
    if scope not in KIND_SCOPES.values():
        raise Refusal(400, "scope data format invalid", code=1)
    if not state.account.owns_key(key):
        raise Refusal(401, "credentials doesn't match db data", code=6)
    if scope != state.account.scope:
        raise Refusal(400, "scope from db not fully includes consumed scope", code=7)
    token = _access_token()
    state.tokens.add(token, state.token_lifetime)
    body = {"access_token": token, "expires_at": int((time.time() + state.token_lifetime) * 1000)}
    headers = {
        "content-type": "application/json",
        "allow": "GET, POST",
        "cache-control": "no-cache, no-store, max-age=0, must-revalidate",
    }
    return Response(compact(body), headers=headers)


async def sign_in_by_password(request: Request, service: Service) -> Response:
    """Answer `POST {v1}/token` (reference, section 1.4): `exp` is in seconds.

    Raises:
        Refusal: 401 when user or password are wrong or missing.
    """
    state = service.state
    pair = _decoded(request, ("basic",))
    if pair is None or not state.account.owns_password(pair):
        raise Refusal(401)
    token = secrets.token_urlsafe(130)
    state.tokens.add(token, state.password_token_lifetime)
    response = answer(request, {"tok": token, "exp": int(time.time() + state.password_token_lifetime)})
    del response.headers["allow"]
    return response


def check_access(request: Request, state: State) -> None:
    """Let an API request pass, or refuse it.

    A verified client certificate needs no header (reference, section 1.2); a header that is there counts all the same.

    Raises:
        Refusal: 401 `Unauthorized` or `Token has expired`.
    """
    header = request.headers.get("authorization")
    if header is None:
        transport = request.scope.get("state", {}).get("transport")
        if transport is not None and transport.get_extra_info("peercert"):
            return
        raise Refusal(401)
    word, _, token = header.partition(" ")
    known = state.tokens.check(token.strip()) if word.lower() == "bearer" else "unknown"
    if known == "expired":
        raise Refusal(401, "Token has expired")
    if known == "unknown":
        raise Refusal(401)


def _decoded(request: Request, words: tuple[str, ...]) -> bytes | None:
    """Return what the Authorization header holds after one of these words, decoded from base64."""
    word, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    if word.lower() not in words or not key:
        return None
    try:
        return base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_uuid4(text: str) -> bool:
    try:
        read = uuid.UUID(text)
    except ValueError:
        return False
    return read.version == 4 and str(read) == text.lower()


def _access_token() -> str:
    """Return a random token with the look and length of the service's: a JWE of about 1230 characters."""
    parts = (secrets.token_urlsafe(size) for size in (256, 12, 586, 16))
    return ".".join((_JWE_HEADER, *parts))
