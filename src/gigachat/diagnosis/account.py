"""The steps of a diagnosis that send API requests with a client of their own: from the sign-in to the balance.

Texts of the service are not shown, because a gateway may repeat a key in them: only statuses, numbers and names are.
"""

from __future__ import annotations

import re
import ssl
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gigachat._service import BASE_URL, SCOPES
from gigachat.catalogue import find
from gigachat.context import authorization_cvar, custom_headers_cvar
from gigachat.diagnosis.certificate import alert, code_of_certificate
from gigachat.diagnosis.codes import Code
from gigachat.exceptions import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    ConfigurationError,
    ForbiddenError,
    GenerationError,
    GigaChatException,
    NotFoundError,
    ResponseError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat import GigaChat
    from gigachat.diagnosis.codes import Found
    from gigachat.settings import Options

_QUESTION = "Привет"
_MOST_MODELS = 30
_SECRET = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-.*|.{48,}|ey.*\..*\..*", re.IGNORECASE)
_SCOPE = re.compile(r"GIGACHAT_API_[A-Z0-9]{1,8}|[A-Z_]{1,32}", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[\w-]{1,64}")
_BY_STATUS = {
    401: Code.TOKEN_REFUSED,
    402: Code.NO_TOKENS_LEFT,
    403: Code.ACCESS_DENIED,
    404: Code.WRONG_ADDRESS,
    405: Code.WRONG_ADDRESS,
    423: Code.MODEL_OFF,
    429: Code.BUSY,
}
_WRONG_SCOPE, _UNREADABLE, _NO_SCOPE, _UNKNOWN_KEY, _OTHER_SCOPE = 1, 4, 5, 6, 7
"""Numbers of the OAuth gateway's errors (reference, section 1.3)."""
_REFUSED_BY_METHOD = {
    "none": Code.NO_KEY,
    **dict.fromkeys(("credentials", "client_id", "user"), Code.NEW_TOKEN_REFUSED),
}
"""What status 401 means after a sign-in, or without any."""
_NO_LIST = (404, 405, 501)


def authorization_of(client: GigaChat) -> str:
    """Return how a client is authorized: the name of an option, `header` or `none`."""
    settings = client._settings
    given = (client._options.headers, settings.default_headers, custom_headers_cvar.get())
    names = {name.lower() for headers in given for name in headers or ()}
    if authorization_cvar.get() or "authorization" in names:
        return "header"
    for name in ("access_token", "credentials", "client_id", "user"):
        if getattr(settings, name):
            return name
    if client._access_token_provider is not None:
        return "access_token_provider"
    return next((name for name in ("cert_file", "ssl_context") if getattr(settings, name)), "none")


def needs_key(client: GigaChat) -> bool:
    """Whether the service refuses the requests of a client without a key."""
    return client._service.needs_authorization


def shown_model(name: str) -> str:
    """Return the name of a model, unless a secret was set in its place."""
    return "hidden" if _SECRET.fullmatch(name) else name


def sign_in(client: GigaChat, of_scope: Callable[[str], GigaChat], timeout: float) -> tuple[Found, Found | None]:
    """Sign in; return what the steps of the sign-in and of the scope found.

    Args:
        client: The client.
        of_scope: Returns the client with another scope.
        timeout: Longest wait in seconds, for the texts.
    """
    method = authorization_of(client)
    if method not in ("credentials", "client_id", "user", "access_token_provider"):
        return (Code.NO_SIGN_IN, {}), (Code.SCOPE_NOT_USED, {})
    scope = client._settings.scope
    facts = {"scope": scope if _SCOPE.fullmatch(scope) else "hidden"}
    started = time.monotonic()
    try:
        client.get_token()
    except ResponseError as error:
        return _refused_sign_in(error, method, facts, of_scope, scope)
    except APIResponseValidationError:
        return (Code.WRONG_AUTH_ADDRESS, {"status": "200"}), None
    except (GigaChatException, OSError) as error:
        if method == "access_token_provider":
            return (Code.TOKEN_FUNCTION_FAILED, {"problem": type(error).__name__}), None
        return failure(error, timeout), None
    except Exception as error:
        if method != "access_token_provider":
            raise
        return (Code.TOKEN_FUNCTION_FAILED, {"problem": type(error).__name__}), None
    if method == "access_token_provider":
        return (Code.NO_SIGN_IN, {}), (Code.SCOPE_NOT_USED, {})
    signed_in = Code.SIGNED_IN, {"seconds": f"{time.monotonic() - started:.2f}"}
    return signed_in, (Code.SCOPE_NOT_USED, {}) if method == "user" else (Code.SCOPE_GRANTED, facts)


def _refused_sign_in(
    error: ResponseError, method: str, facts: dict[str, str], of_scope: Callable[[str], GigaChat], scope: str
) -> tuple[Found, Found | None]:
    status = {"status": str(error.status_code)}
    if method == "user" and error.status_code == 401:
        return (Code.PASSWORD_WRONG, status), None
    if error.status_code in (400, 401) and error.code in (_WRONG_SCOPE, _NO_SCOPE):
        return (Code.KEY_READ, {}), (Code.WRONG_SCOPE, facts)
    if error.status_code in (400, 401) and error.code == _OTHER_SCOPE:
        right = [other for other in SCOPES if other != scope and _signs_in(of_scope(other))]
        return (Code.KEY_READ, {}), (Code.OTHER_ACCOUNT, {**facts, "right_scope": ", ".join(right) or "none"})
    if error.status_code == 401 and error.code in (_UNKNOWN_KEY, _UNREADABLE):
        return (Code.KEY_REVOKED, status), None
    if error.status_code in (404, 405) or 300 <= error.status_code < 400:
        return (Code.WRONG_AUTH_ADDRESS, status), None
    if error.status_code == 429:
        return (Code.SIGN_IN_LIMIT, status), None
    if error.status_code in (400, 401):
        return (Code.SIGN_IN_REFUSED, {**status, **_request_id(error)}), None
    return failure(error, 0), None


def _signs_in(client: GigaChat) -> bool:
    try:
        client.get_token()
    except GigaChatException:
        return False
    return True


def models(client: GigaChat, model: str, timeout: float) -> Found:
    """Find the model in the list of the address."""
    try:
        listed = [one.id_ for one in client.get_models().data]
    except ResponseError as error:
        if error.status_code in _NO_LIST:
            return Code.MODELS_NOT_LISTED, {"status": str(error.status_code)}
        if error.status_code == 401 and (code := _REFUSED_BY_METHOD.get(authorization_of(client))):
            return code, {"status": "401"}
        return failure(error, timeout)
    except GigaChatException as error:
        return failure(error, timeout)
    if model in listed:
        return Code.MODEL_FOUND, {"models": str(len(listed))}
    try:
        client.get_model(model)  # a name with a version need not be in the list
    except NotFoundError:
        old = urlsplit(client._settings.base_url).hostname == urlsplit(BASE_URL).hostname
        names = ", ".join(name[:40] for name in listed[:_MOST_MODELS])
        return (Code.MODEL_ELSEWHERE if old and find(model) else Code.NO_SUCH_MODEL), {"models": names}
    except GigaChatException as error:
        return failure(error, timeout)
    return Code.MODEL_FOUND, {"models": str(len(listed))}


def answer(client: GigaChat, timeout: float) -> Found:
    """Ask the model for one token."""
    started = time.monotonic()
    try:
        client.chat(_QUESTION, max_tokens=1)
    except GigaChatException as error:
        return failure(error, timeout)
    return Code.ANSWERED, {"seconds": f"{time.monotonic() - started:.2f}"}


def stream(client: GigaChat, timeout: float) -> Found:
    """Ask the model for one token in a stream, and read the stream to its end."""
    started, first = time.monotonic(), 0.0
    try:
        with client.stream(_QUESTION, max_tokens=1) as chunks:
            for _ in chunks:
                first = first or time.monotonic() - started
    except StreamInterruptedError:
        return Code.STREAM_INTERRUPTED, {}
    except GigaChatException as error:
        return failure(error, timeout)
    return Code.STREAMED, {"seconds": f"{first:.2f}"}


def balance(client: GigaChat, timeout: float) -> Found:
    """Read the balance."""
    try:
        packages = client.get_balance().balance
    except ForbiddenError as error:
        return Code.NO_BALANCE, {"status": str(error.status_code)}
    except ResponseError as error:
        if error.status_code in _NO_LIST:
            return Code.NO_BALANCE, {"status": str(error.status_code)}
        return failure(error, timeout)
    except GigaChatException as error:
        return failure(error, timeout)
    facts = {"balance": ", ".join(f"{package.usage[:40]}: {package.value:.10g}" for package in packages)}
    return (Code.BALANCE_SPENT if any(package.value <= 0 for package in packages) else Code.BALANCE), facts


def failure(error: Exception, timeout: float) -> Found:
    """Return the code of an error of the client.

    Args:
        error: The error.
        timeout: Longest wait in seconds, for the texts.
    """
    if isinstance(error, ResponseError):
        return _response_failure(error)
    if isinstance(error, APIResponseValidationError):
        return Code.BAD_RESPONSE, {}
    if isinstance(error, GenerationError):
        return Code.SERVICE_FAILED, {"status": "200"}
    if isinstance(error, APITimeoutError):
        return Code.TIMED_OUT, {"seconds": f"{timeout:g}"}
    if isinstance(error, APIConnectionError):
        return _connection_failure(error)
    if isinstance(error, ConfigurationError):
        return Code.SETTINGS_INVALID, {"problem": str(error)}
    return Code.UNEXPECTED, {"problem": type(error).__name__}


def _response_failure(error: ResponseError) -> Found:
    facts = {"status": str(error.status_code), **_request_id(error)}
    message = error.message.lower()
    if error.status_code == 404 and "no such model" in message:
        return Code.NOT_A_CHAT_MODEL, facts
    if error.status_code == 403 and "temporarily unavailable" in message:
        return Code.MODEL_OFF, facts
    if 300 <= error.status_code < 400:
        return Code.WRONG_ADDRESS, facts
    return _BY_STATUS.get(error.status_code, Code.SERVICE_FAILED if error.status_code >= 500 else Code.REFUSED), facts


def _connection_failure(error: APIConnectionError) -> Found:
    cause: BaseException | None = error.cause
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return code_of_certificate(getattr(cause, "verify_code", 0)), {
                "problem": getattr(cause, "verify_message", "")
            }
        if isinstance(cause, ssl.SSLError):
            return alert(cause, shown=False)
        if isinstance(cause, OSError) and cause.strerror:
            return Code.CONNECTION_BROKEN, {"problem": cause.strerror}
        cause = cause.__cause__ or cause.__context__
    return Code.CONNECTION_BROKEN, {"problem": type(error.cause or error).__name__}


def key_code(settings: Options) -> Code | None:
    """Return what is wrong with the shape of a key; None if there is none or it is well-formed."""
    from gigachat._engine.auth.methods import key_problem

    problem = key_problem(settings.credentials) if settings.credentials else None
    return None if problem is None else KEY_CODES[problem]


KEY_CODES = {
    "non_ascii": Code.KEY_IS_PLACEHOLDER,
    "brackets": Code.KEY_IS_PLACEHOLDER,
    "placeholder": Code.KEY_IS_PLACEHOLDER,
    "space": Code.KEY_HAS_SPACE,
    "quote": Code.KEY_HAS_SPACE,
    "uuid": Code.KEY_IS_UUID,
    "jwt": Code.KEY_IS_JWT,
    "colon": Code.KEY_HAS_COLON,
    "not_base64": Code.KEY_NOT_BASE64,
}


def _request_id(error: ResponseError) -> dict[str, str]:
    given = error.request_id or ""
    return {"request_id": given} if _REQUEST_ID.fullmatch(given) else {}
