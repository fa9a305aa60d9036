"""What must come of a fault in an operation, computed from the rules of behaviour alone.

Before an answer begins, a lost connection is repeated where the service cannot have received the request, or where it
only reads; a listed status always, as long as the body can be sent again. 429 waits on an account of its own. A 401
leads to one renewal and one repetition. Once an answer of a good status has begun, nothing is repeated. Pauses are
those of a client whose chance always picks the longest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gigachat import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ForbiddenError,
    GigaChatException,
    NotFoundError,
    PaymentRequiredError,
    RateLimitError,
    RequestEntityTooLargeError,
    ResponseError,
    ServerError,
    StreamInterruptedError,
    UnprocessableEntityError,
)
from tests.faults.faults import Ends, Fault
from tests.faults.operations import Operation

__all__ = ["MAX_RETRIES", "RATE_LIMIT_TIMEOUT", "RETRIED", "Expected", "expected", "status_error"]

MAX_RETRIES = 2
RATE_LIMIT_TIMEOUT = 10.0
RETRIED = (429, 500, 502, 503, 504)
_LONGEST_WAIT = 60.0

_CLASSES: dict[int, type[ResponseError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: ForbiddenError,
    404: NotFoundError,
    413: RequestEntityTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error(status: int) -> type[ResponseError]:
    """The class that stands for a status."""
    return _CLASSES.get(status, ServerError if status >= 500 else ResponseError)


@dataclass
class Expected:
    """What must come of one call.

    Attributes:
        attempts: How often the request is sent.
        tokens: The number of the token of each attempt.
        sign_ins: How many sign-ins there are in all.
        pauses: The pauses between attempts.
        error: Class of the error; None for the good result.
        says: What its text holds.
        cause: Whether it knows the library's error as its cause.
        chunks: How many chunks of a stream arrive.
        wrong_bytes: Whether the result is what the server sent, although that is not the good answer.
    """

    attempts: int = 0
    tokens: list[int] = field(default_factory=list)
    sign_ins: int = 1
    pauses: list[float] = field(default_factory=list)
    error: type[GigaChatException] | None = None
    says: tuple[str, ...] = ()
    cause: bool = False
    chunks: int = 0
    wrong_bytes: bool = False


def expected(operation: Operation, fault: Fault, times: int | None, *, renews: bool = True) -> Expected:
    """Compute what must come of an operation that meets a fault so many times, None for ever.

    Args:
        operation: The operation.
        fault: The fault.
        times: How often it is met.
        renews: Whether a 401 is about a token, which can be renewed.
    """
    result = Expected()
    retries = waits = 0
    waited = 0.0
    while True:
        result.attempts += 1
        result.tokens.append(result.sign_ins)
        if fault.ends is Ends.GOOD or (times is not None and result.attempts > times):
            result.chunks = operation.dialect.chunks if operation.dialect else 0
            return result
        if fault.status == 401 and renews:
            if result.sign_ins == 1 and not operation.once:
                result.sign_ins += 1
                continue
            return _failed(result, operation, fault)
        if not _repeatable(operation, fault):
            return _failed(result, operation, fault)
        if fault.status == 429:
            left = RATE_LIMIT_TIMEOUT - waited
            pause = fault.wait * 1.25 if fault.wait else 0.5 * 2**waits
            waits += 1
            if left <= 0 or fault.wait > min(left, _LONGEST_WAIT):
                return _failed(result, operation, fault)
            pause = min(pause, left)
            waited += pause
        else:
            if retries == MAX_RETRIES or fault.wait > _LONGEST_WAIT:
                return _failed(result, operation, fault)
            retries += 1
            pause = fault.wait * 1.25  # the client of the tests has no backoff
        result.pauses.append(pause)


def _repeatable(operation: Operation, fault: Fault) -> bool:
    match fault.ends:
        case Ends.REFUSED:
            return True
        case Ends.LOST:
            return operation.kind == "reads"
        case Ends.STATUS:
            return fault.status in RETRIED and not operation.once
    return False


def _failed(result: Expected, operation: Operation, fault: Fault) -> Expected:
    """Add what the failure looks like."""
    match fault.ends:
        case Ends.REFUSED:
            _raises(result, APIConnectionError, "no connection to", cause=True)
        case Ends.LOST if fault.silent:
            _raises(result, APITimeoutError, "did not answer within timeout=", cause=True)
        case Ends.LOST:
            _raises(result, APIConnectionError, "before a response came", cause=True)
        case Ends.STATUS:
            _raises(result, status_error(fault.status), f"{fault.status}", fault.words)
        case Ends.UNREADABLE if operation.dialect:
            _raises(result, APIResponseValidationError, "expected a stream of events")
        case Ends.UNREADABLE:
            _body_was(result, operation, "cannot be read as")
        case Ends.GARBLED:
            _raises(result, APIResponseValidationError, "compressed response cannot be decoded")
        case Ends.BROKEN | Ends.SHORT if operation.dialect:
            result.chunks, ended = operation.dialect.delivered(fault.part(operation))
            if not ended:
                why = "within timeout=" if fault.silent else ""
                cause = fault.ends is Ends.BROKEN
                _raises(result, StreamInterruptedError, "ended prematurely", why, cause=cause)
        case Ends.SHORT:
            _body_was(result, operation, "cannot be read as")
        case Ends.BROKEN if fault.silent:
            _raises(result, APITimeoutError, "sent nothing more of its response within timeout=", cause=True)
        case Ends.BROKEN:
            _raises(result, APIConnectionError, "broke during the response", cause=True)
    return result


def _body_was(result: Expected, operation: Operation, says: str) -> None:
    if operation.raw:
        result.wrong_bytes = True  # bytes are never wrong
    else:
        _raises(result, APIResponseValidationError, says)


def _raises(result: Expected, error: type[GigaChatException], *says: str, cause: bool = False) -> None:
    result.error, result.says, result.cause = error, says, cause
