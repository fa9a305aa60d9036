"""Translation of errors of pyreqwest into those of httpcore2 and `ssl`, from which the errors of the SDK are made.

Its classes do not tell whether a request was sent: a timeout while the response is awaited is an error of connecting,
too. The list of causes does: a request was not sent if a cause is the error of its connector, and only then.
"""

from __future__ import annotations

import re
import ssl
from typing import Any

import httpcore2
from pyreqwest.exceptions import BuilderError, PyreqwestError, RequestTimeoutError

from gigachat._engine.transport import Stage

_CONNECTING = "client error (Connect)"
_CERTIFICATE = "invalid peer certificate: "
_ALERT = re.compile(r"received fatal alert: (?:the peer .*)?(\w+)")
_VERIFY_CODES = {  # those of OpenSSL, by the error of rustls
    "UnknownIssuer": 20,
    "Expired": 10,
    "NotValidYet": 9,
    "NotValidForName": 62,
    "certificate expired": 10,
    "certificate not valid yet": 9,
    "certificate not valid for name": 62,
    "CaUsedAsEndEntity": 18,
}
_OTHER_WORDS = {  # reasons for which there is advice, in the words of OpenSSL and httpcore2
    "proxy authorization required": "407 Proxy Authentication Required",
    "credentials not accepted": "authentication failed",  # of a SOCKS proxy
    "corrupt message": "WRONG_VERSION_NUMBER",
    "HandshakeFailure": "SSLV3_ALERT_HANDSHAKE_FAILURE",
}


def translated(error: BaseException, stage: Stage) -> tuple[BaseException, Stage]:
    """Return the error of httpcore2 for one of pyreqwest, and the stage of the request.

    Args:
        error: Any exception; others than those of pyreqwest are returned as they are.
        stage: The stage, as far as the caller knows it.
    """
    if not isinstance(error, PyreqwestError):
        return error, stage
    causes = _causes(error)
    reason = causes[-1] if causes else error.message
    if isinstance(error, BuilderError):
        return _with_cause(httpcore2.UnsupportedProtocol(reason), error), Stage.CONNECTING
    connecting = stage is not Stage.READING and _CONNECTING in causes
    timed_out = isinstance(error, RequestTimeoutError)
    if not connecting:
        kind = httpcore2.ReadTimeout if timed_out else httpcore2.ReadError
        return _with_cause(kind(reason), _tls_error(causes) or error), stage
    if timed_out:
        return _with_cause(httpcore2.ConnectTimeout(reason), error), Stage.CONNECTING
    for words, others in _OTHER_WORDS.items():
        if words in reason:
            reason = f"{others} ({reason})"
    return _with_cause(httpcore2.ConnectError(reason), _tls_error(causes) or error), Stage.CONNECTING


def _causes(error: PyreqwestError) -> list[str]:
    details: Any = getattr(error, "details", None) or {}
    return [cause["message"] for cause in details.get("causes") or ()]


def _with_cause(translation: BaseException, error: BaseException) -> BaseException:
    translation.__cause__ = error
    return translation


def _tls_error(causes: list[str]) -> ssl.SSLError | None:
    """Return what OpenSSL would have raised for a certificate that one of the two sides refused."""
    for cause in causes:
        if cause.startswith(_CERTIFICATE):
            message = cause.removeprefix(_CERTIFICATE)
            refused: Any = ssl.SSLCertVerificationError(1, message)
            codes = (code for words, code in _VERIFY_CODES.items() if message.startswith(words))
            refused.verify_code, refused.verify_message = next(codes, 1), message
            return refused  # type: ignore[no-any-return]
        if alert := _ALERT.search(cause):
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", alert[1]).upper()
            told: Any = ssl.SSLError(1, cause)
            told.reason = f"ALERT_{words}"
            return told  # type: ignore[no-any-return]
    return None
