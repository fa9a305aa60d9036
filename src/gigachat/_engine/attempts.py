"""The attempts of one request: sign, send, and decide whether to send again.

An attempt returns a 2xx response, an error response, or a failure of the connection. A 401 to a token of the client
leads to one refresh and one more attempt; `retry` decides about everything else. Nothing is sent again once a response
with a good status has begun.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gigachat._advice import ACCESS_TOKEN, NO_AUTHORIZATION, SIGN_IN
from gigachat._engine.errors import error_for_status, total_timeout_error
from gigachat._engine.retry import Retry
from gigachat._engine.transport import Failure, Stage
from gigachat._service import MOST_ERROR_BYTES
from gigachat.exceptions import (
    APIResponseValidationError,
    APITimeoutError,
    GigaChatException,
    ResponseError,
    TotalTimeoutError,
)

if TYPE_CHECKING:
    from gigachat._engine.auth.tokens import Authorization, ProvidedAuthorization, Token
    from gigachat._engine.observation import CallObservation
    from gigachat._engine.retry import RetryPolicy
    from gigachat._engine.transport import Request, Response, Transport

logger = logging.getLogger("gigachat")


async def send_with_retries(
    transport: Transport,
    request: Request,
    policy: RetryPolicy,
    repeatable: bool,
    authorization: Authorization | ProvidedAuthorization | None = None,
    observation: CallObservation | None = None,
) -> Response:
    """Send a request until it is answered or must not be sent again.

    Args:
        transport: Sends each attempt.
        request: The request; its `authorization` header is set for each attempt.
        policy: How often and how long to retry.
        repeatable: Whether it may be sent again when the service may have received it.
        authorization: Where its token comes from; None leaves the request as it is.
        observation: What tells of the attempts.

    Returns:
        A response with a good status whose body has not been read.

    Raises:
        GigaChatException: The request failed.
    """
    started = transport.now()
    retry: Retry | None = None
    rejection: tuple[str, GigaChatException] | None = None
    token: Token | None = None
    while True:
        if authorization is not None:
            token = authorization.fresh(transport.now()) or await _token(authorization, transport, request)
            if rejection is not None and token.value == rejection[0]:
                raise rejection[1]  # there is no other token
            request.headers["authorization"] = token.header
        if observation is not None:
            observation.sent()
        try:
            response = await transport.send(request)
        except Failure as failure:
            error = failure.error
            if observation is not None:
                observation.attempted(None, error)
            if isinstance(error, TotalTimeoutError):
                raise error from None
            if failure.stage is not Stage.CONNECTING and not (repeatable and failure.stage is Stage.WAITING):
                raise error from None
        else:
            status = response.status_code
            if observation is not None:
                observation.attempted(response)
            if token is not None and status != 401:
                token.accepted = True
            if 200 <= status < 300:
                return response
            error = await _status_error(request, response, authorization)
            if policy.refused is not None:
                policy.refused(error)
            if request.deadline is not None and transport.now() >= request.deadline:
                raise total_timeout_error(request.timeouts.total, str(error))
            if authorization is not None and token is not None and status == 401 and rejection is None:
                rejection = token.value, error
                if authorization.invalidate(token, transport.now()) and request.sendable_again:
                    if observation is not None:
                        observation.retrying(0.0)
                    continue
            if not request.sendable_again:
                raise error
        now = transport.now()
        retry = retry or Retry(policy, started)
        pause = retry.pause_after(error, now)
        if pause is None:
            raise error from None
        if request.deadline is not None and now + pause >= request.deadline:
            raise total_timeout_error(request.timeouts.total, str(error))
        reason = type(error).__name__
        if isinstance(error, ResponseError):
            reason = f"status {error.status_code}, request id {error.request_id or '-'}"
        logger.debug("%s %s failed (%s), next attempt in %.2f s", request.method, request.url, reason, pause)
        if observation is not None:
            observation.retrying(pause)
        await transport.sleep(pause)


async def _token(authorization: Authorization | ProvidedAuthorization, transport: Transport, request: Request) -> Token:
    try:
        token = await authorization.get(transport, request.deadline)
    except APITimeoutError as error:
        if isinstance(error, TotalTimeoutError) or request.deadline is None or transport.now() < request.deadline:
            raise
        raise total_timeout_error(request.timeouts.total, str(error)) from None
    if request.deadline is not None and transport.now() >= request.deadline:
        raise total_timeout_error(request.timeouts.total, "the access token came too late")
    return token


async def _status_error(
    request: Request, response: Response, authorization: Authorization | ProvidedAuthorization | None
) -> ResponseError:
    try:
        content = await response.read(MOST_ERROR_BYTES)
    except (Failure, APIResponseValidationError):
        content = b""  # interrupted, too long or badly compressed: the status is enough
    if request.sign_in:
        source = SIGN_IN
    elif authorization is not None:
        source = authorization.source
    else:
        source = ACCESS_TOKEN if "authorization" in request.headers else NO_AUTHORIZATION
    return error_for_status(request.url, response.status_code, content, response.headers, authorization=source)
