"""Translation of network errors into errors of the SDK, with the stage of the request and advice.

They are raised without their cause in the traceback, because their messages are complete; `error.cause` has it.
"""

from __future__ import annotations

import re
import ssl
import traceback
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import h11
import httpcore2

try:
    from socksio import SOCKSError
except ImportError:  # without the extra, nothing raises it
    from httpcore2 import ProxyError as SOCKSError  # type: ignore[assignment]

from gigachat._advice import (
    CERTIFICATE_REQUIRED,
    HALF_A_PAIR,
    PLAIN_HTTP,
    PROXY_LOGIN,
    certificate_advice,
    connecting_advice,
)
from gigachat._engine.errors import total_timeout_error
from gigachat._engine.transport import Failure, Stage, clock
from gigachat.exceptions import (
    APIConnectionError,
    APITimeoutError,
    CertificateError,
    ConfigurationError,
    GigaChatException,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gigachat._engine.transport import Request
    from gigachat._transport.proxies import Proxy

# h11 itself raises for a body of another length than announced, such as a changed file, resolving a host
# name raises UnicodeError, and a proxy that does not speak SOCKS causes SOCKSError.
_NOT_SENDABLE = (httpcore2.UnsupportedProtocol, httpcore2.LocalProtocolError, h11.LocalProtocolError, UnicodeError)
_NEVER_SENT = (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.ProxyError, SOCKSError)
_TIMEOUTS = (httpcore2.TimeoutException, TimeoutError)
WIRE_ERRORS = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    OSError,
    *_NOT_SENDABLE,
    *_NEVER_SENT,
)


def failure(
    error: BaseException,
    request: Request,
    stage: Stage,
    proxy: Proxy | None = None,
    outer: BaseException | None = None,
) -> GigaChatException | Failure:
    """Return the error of the SDK for a network error: a Failure if another attempt may succeed.

    Args:
        error: The network error.
        request: The request that failed.
        stage: Its stage.
        proxy: The proxy on the way.
        outer: The exception that the caller is handling; it is not a cause.
    """
    host = urlsplit(request.url).netloc
    failed = _failure(error, request, stage, host, proxy, outer)
    about = failed.error if isinstance(failed, Failure) else failed
    if isinstance(about, APIConnectionError):
        about.cause = error
    return failed


def _failure(
    error: BaseException, request: Request, stage: Stage, host: str, proxy: Proxy | None, outer: BaseException | None
) -> GigaChatException | Failure:
    limits = request.timeouts
    reason = str(error) or type(error).__name__
    if request.deadline is not None and isinstance(error, _TIMEOUTS) and clock() >= request.deadline:
        # The caller may have taken the time between two chunks, not the service.
        missing = f"the response of {host} was incomplete" if stage is Stage.READING else f"{host} did not answer"
        return Failure(stage, total_timeout_error(limits.total, missing))
    refused = _refused_certificate(error, outer, host, proxy)
    if refused is not None:
        return refused
    if isinstance(error, _NOT_SENDABLE):
        if "surrogates not allowed" in reason:
            reason = HALF_A_PAIR
        elif isinstance(error, UnicodeError) or reason.startswith("Illegal header"):
            reason = "a host name or a header is not valid"
        return ConfigurationError(f"the request to {host} cannot be sent: {reason}")
    if isinstance(error, _NEVER_SENT):
        there = f"{host} through the proxy {proxy.host_and_port}" if proxy else host
        advice = connecting_advice(request.url, proxied=proxy is not None, reason=reason)
        if isinstance(error, httpcore2.ConnectTimeout):
            text = f"no connection to {there}{_within(limits.connect)}{advice}"
            return Failure(Stage.CONNECTING, APITimeoutError(text))
        refusal = APIConnectionError(f"no connection to {there}: {reason}{advice}")
        # A proxy may lock an account that tries a wrong password again and again.
        return refusal if advice is PROXY_LOGIN else Failure(Stage.CONNECTING, refusal)
    if isinstance(error, httpcore2.WriteTimeout):
        return Failure(stage, APITimeoutError(f"{host} did not take the request{_within(limits.write)}"))
    if isinstance(error, _TIMEOUTS):
        waiting = "sent nothing more of its response" if stage is Stage.READING else "did not answer"
        return Failure(stage, APITimeoutError(f"{host} {waiting}{_within(limits.read, 'timeout=')}"))
    when, advice = "before a response came", ""
    if stage is Stage.READING:
        when = "during the response"
    elif request.url.startswith("http://"):
        reason, advice = reason.rstrip("."), PLAIN_HTTP
    return Failure(stage, APIConnectionError(f"the connection to {host} broke {when}: {reason}{advice}"))


def _within(seconds: float | None, option: str = "") -> str:
    # Without a limit of ours it was the system that gave up.
    return "" if seconds is None else f" within {option}{seconds:g} s"


_CLIENT_CERTIFICATE_REFUSED = re.compile("ALERT_(UNKNOWN_CA|.*CERTIFICATE)")


def _refused_certificate(
    raised: BaseException, outer: BaseException | None, host: str, proxy: Proxy | None
) -> CertificateError | None:
    for error in _causes(raised, outer):
        # Only errors of the ssl module itself have its attributes.
        if isinstance(error, ssl.SSLCertVerificationError):
            problem, advice = certificate_advice(getattr(error, "verify_code", 0))
            message = getattr(error, "verify_message", error)
            # The library does not say which of the two it was.
            whose = f"{host} (or of the proxy {proxy.host_and_port})" if proxy and proxy.speaks_tls else host
            return CertificateError(f"the certificate of {whose} {problem} ({message}): {advice}")
        alert = (getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
        if "CERTIFICATE_REQUIRED" in alert:
            return CertificateError(f"{host} {CERTIFICATE_REQUIRED}")
        if _CLIENT_CERTIFICATE_REFUSED.search(alert):
            return CertificateError(f"{host} refused our client certificate ({alert}): check cert_file=")
    return None


def _causes(error: BaseException | None, outer: BaseException | None) -> Iterator[BaseException]:
    while error is not None and error is not outer:
        yield error
        error = error.__cause__ or error.__context__


def forget_variables(raised: BaseException, outer: BaseException | None) -> None:
    """Clear the variables of frames that an exception has left: headers are among them, and tools print them.

    Args:
        raised: The exception.
        outer: The exception that the caller is handling; it is not changed.
    """
    for error in _causes(raised, outer):
        traceback.clear_frames(error.__traceback__)
