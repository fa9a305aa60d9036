"""The errors of the SDK.

An error holds plain values and can be pickled and copied. Its text is one line: the server's words verbatim, ours in
English, and what to do about it where that is known. An error never contains a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Self

from gigachat._advice import CREDENTIALS, response_advice
from gigachat._headers import retry_after

__all__ = [
    "APIConnectionError",
    "APIResponseValidationError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "CertificateError",
    "ClientClosedError",
    "ConfigurationError",
    "ContentFilterFinishReasonError",
    "ConversationFormatError",
    "ForbiddenError",
    "GenerationError",
    "GigaChatException",
    "GigaChatWarning",
    "InvalidJSONError",
    "JobStoppedError",
    "LengthFinishReasonError",
    "McpError",
    "ModelNotSpecifiedError",
    "ModelUnavailableError",
    "NotFoundError",
    "PaymentRequiredError",
    "QueueTimeoutError",
    "RateLimitError",
    "RefusalError",
    "RequestEntityTooLargeError",
    "ResponseError",
    "SchemaMismatchError",
    "ServerError",
    "StreamInterruptedError",
    "ToolArgumentsError",
    "ToolError",
    "ToolNotFoundError",
    "TotalTimeoutError",
    "UnprocessableEntityError",
]

_BYTES = (bytes, bytearray, memoryview)
_EXCERPT = 200  # characters of a body that is not JSON shown in an error's text


class GigaChatException(Exception):
    """Base of every error of the SDK."""


class GigaChatWarning(UserWarning):
    """An argument does nothing and another one was probably meant."""


class ConfigurationError(GigaChatException, ValueError):
    """A setting, a credential or a file is invalid. Raised before any request to the API."""


class ModelNotSpecifiedError(GigaChatException):
    """No model was given. Kept for code written for 0.2.3; the SDK now has a default model."""

    def __init__(self) -> None:
        super().__init__("no model given: pass model=..., set GigaChat(model=...) or GIGACHAT_MODEL")

    def __reduce__(self) -> tuple[type[ModelNotSpecifiedError], tuple[()], dict[str, Any]]:
        return type(self), (), self.__dict__


class ResponseError(GigaChatException):
    """The service returned an error status (reference, section 13).

    Args:
        url: Address of the request.
        status_code: HTTP status.
        content: Raw body of the response.
        headers: Headers of the response; their names are case-insensitive.
    """

    _authorization = CREDENTIALS  # where that of the request came from

    def __init__(self, url: Any, status_code: int, content: bytes | None, headers: Mapping[str, str] | None) -> None:
        super().__init__(url, status_code, content, headers)
        self.url = str(url)
        self.status_code = status_code
        self.content = content
        self.headers = headers

    @property
    def body(self) -> Any:
        """The body parsed as JSON; None if it is not JSON."""
        content: Any = self.content
        if isinstance(content, dict | list):
            return content  # of an error that a test or a gateway made
        try:
            return json.loads(content or b"")
        except (ValueError, TypeError, RecursionError):
            return None

    @property
    def message(self) -> str:
        """Message of the server; an excerpt of a body that is not JSON, empty if there is no body."""
        body = self.body
        message = body.get("message") if isinstance(body, dict) else None
        if isinstance(message, str):
            return message
        content: Any = self.content or b""
        words = bytes(content).decode("utf-8", "replace") if isinstance(content, _BYTES) else str(content)
        text = " ".join(words.split())
        return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…"

    @property
    def code(self) -> int | None:
        """The integer `code` of the body, which OAuth errors have (reference, section 1.3); None if it has none."""
        body = self.body
        code = body.get("code") if isinstance(body, dict) else None
        return code if isinstance(code, int) and not isinstance(code, bool) else None

    @property
    def request_id(self) -> str | None:
        """The server's `x-request-id`; its support asks for it."""
        return self.headers.get("x-request-id") if isinstance(self.headers, Mapping) else None

    @property
    def retry_after(self) -> float:
        """Seconds that the server asks to wait; 0.0 if the header is missing or invalid."""
        return retry_after(self.headers if isinstance(self.headers, Mapping) else {})

    def __str__(self) -> str:
        try:
            status = f"{self.status_code} {HTTPStatus(self.status_code).phrase}"
        except ValueError:
            status = str(self.status_code)
        where = f"{self.url}, request id {self.request_id}" if self.request_id else self.url
        line = f"{status}: {self.message or 'no text'} ({where})"
        advice = response_advice(self, self._authorization)
        text = " ".join(f"{line}. {advice}".split() if advice else line.split())
        return text.encode("utf-8", "replace").decode()  # JSON may have half a surrogate pair, which cannot be printed


class BadRequestError(ResponseError):
    """400: the request has the wrong shape, or OAuth refused it."""


class AuthenticationError(ResponseError):
    """401: no token, a bad or expired one, or a wrong authorization key."""


class PaymentRequiredError(ResponseError):
    """402: the tokens bought for this model are used up."""


class ForbiddenError(ResponseError):
    """403: the account may not use this."""


class NotFoundError(ResponseError):
    """404: no such model, file, tool or address."""


class RequestEntityTooLargeError(ResponseError):
    """413: the prompt or text is longer than the model takes.

    Attributes:
        text_index: Index of the text, from `embed` and `embed_slices`; None from other methods.
    """

    text_index: int | None = None

    def __str__(self) -> str:
        line = super().__str__()
        return line if self.text_index is None else f"text {self.text_index}: {line}"


class UnprocessableEntityError(ResponseError):
    """422: wrong values or a wrong order of messages."""


class ModelUnavailableError(ResponseError):
    """423: the model is switched off for a time. Such a request is never retried."""


class RateLimitError(ResponseError):
    """429: more requests at once than the account permits."""


class ServerError(ResponseError):
    """5xx: the service failed."""


class ClientClosedError(GigaChatException, RuntimeError):
    """A closed client, or a closed HTTP client given to it, was used."""


class APIConnectionError(GigaChatException, ConnectionError):
    """The service could not be reached, or the connection broke before a response.

    Attributes:
        cause: The exception of the network or of a library, if there is one; it is not pickled.
    """

    cause: BaseException | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, {name: value for name, value in self.__dict__.items() if name != "cause"}

    def __copy__(self) -> Self:
        copied = type(self)(*self.args)
        copied.__dict__.update(self.__dict__)
        return copied


class APITimeoutError(APIConnectionError, TimeoutError):
    """Connecting, sending, waiting for the answer or for a free slot took longer than permitted."""


class QueueTimeoutError(APITimeoutError):
    """No slot or connection became free within `queue_timeout`. The request was not sent."""


class TotalTimeoutError(APITimeoutError):
    """A call took longer than `total_timeout`."""


class CertificateError(APIConnectionError):
    """TLS refused a certificate, the server's or ours."""


class StreamInterruptedError(APIConnectionError):
    """A stream ended before its end mark. What it had delivered is valid but incomplete."""


class _CompletionError(GigaChatException):
    """Base of the errors about completions."""

    completion: Any = None
    completions: list[Any]

    def _keep(self, completion: Any) -> None:
        self.completion = completion
        self.completions = [] if completion is None else [completion]

    @property
    def usage(self) -> Any:
        """Sum of the usage of all `completions`; None if it is not known."""
        from gigachat._usage import total_usage

        return total_usage(self.completions)


class APIResponseValidationError(_CompletionError, ValueError):
    """A response with a 2xx status cannot be parsed.

    Attributes:
        content: The raw body.
        completion: In errors of `chat_parse`, the completion that does not fit the wanted type.
        completions: All completions of the call, the last one included: `repair=` makes several.
        usage: Sum of their usage.
    """

    def __init__(self, message: str, *, content: bytes | None = None, completion: Any = None) -> None:
        super().__init__(message)
        self.content = content
        self._keep(completion)


class ToolArgumentsError(GigaChatException, ValueError):
    """The arguments that a model gave for a tool do not fit. The text names each wrong argument."""


class ToolError(GigaChatException):
    """An error of a call of a tool, whose text the model receives as it is.

    A tool raises it. A run raises it for a call that was not run or exceeded its timeout, with `on_error="raise"`.
    Before the text of other exceptions, the model receives the name of their class.
    """


class ConversationFormatError(GigaChatException, ValueError):
    """What was read is not a saved conversation, or one by the other version of the API."""


class ToolNotFoundError(GigaChatException):
    """The model called a function that it was not given."""


class JobStoppedError(GigaChatException):
    """A bulk job ended before its input did: its budget is spent, or the service refuses everything."""


class McpError(GigaChatException, ConnectionError):
    """An MCP server did not start, ended, broke the connection, or sent an HTTP error or an invalid response."""


class _AnswerError(APIResponseValidationError):
    """Base of the errors about the text of an answer.

    Attributes:
        problems: What is wrong, each with its place.
    """

    def __init__(
        self, message: str, *, content: bytes | None = None, completion: Any = None, problems: Sequence[str] = ()
    ) -> None:
        super().__init__(message, content=content, completion=completion)
        self.problems = list(problems)


class RefusalError(_AnswerError):
    """The model answered in words where JSON was wanted: most likely it refused."""


class InvalidJSONError(_AnswerError):
    """The answer has no text, or its JSON is invalid."""


class SchemaMismatchError(_AnswerError):
    """The JSON of the answer does not fit the wanted type. `problems` has the path and reason of each error."""


class GenerationError(_CompletionError):
    """The service responded with status 200, but failed to generate (reference, section 13).

    Raised if the response has neither text nor a call, by the methods that parse a response, and by a stream after its
    last chunk.

    Attributes:
        completion: The completion, also of a stream; None if it cannot be read.
        completions: All completions of the call.
        usage: Sum of their usage.
    """

    def __init__(self, message: str, *, completion: Any = None) -> None:
        super().__init__(message)
        self._keep(completion)


class _FinishReasonError(_CompletionError):
    """Base of the errors about a completion that ended otherwise than asked."""

    _text = ""

    def __init__(self, completion: Any) -> None:
        super().__init__(completion)
        self._keep(completion)

    def __str__(self) -> str:
        return self._text


class LengthFinishReasonError(_FinishReasonError):
    """The answer was cut by the token limit, so that it cannot be parsed.

    Attributes: `completion`, `completions`, `usage`.
    """

    _text = "the answer was cut by the token limit (finish_reason 'length'): raise max_tokens"


class ContentFilterFinishReasonError(_FinishReasonError, ValueError):
    """The service restricted the topic and answered with a stock phrase.

    Attributes: `completion`, `completions`, `usage`.
    """

    def __str__(self) -> str:
        reason = getattr(self.completion, "finish_reason", None) or "blacklist"  # chats v1 have one such reason only
        return f"the service restricted this topic (finish_reason {reason!r}) and answered with a stock phrase"
