"""Exit statuses of the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigachat.exceptions import GigaChatException

OK, FAILED, USAGE, ACCESS, LIMIT, NETWORK = range(6)
INTERRUPTED = 130  # as shells show SIGINT

_OF_STATUS = {401: ACCESS, 403: ACCESS, 402: LIMIT, 429: LIMIT}


def status_of(error: GigaChatException) -> int:
    """Return the exit status for an error of the client."""
    from gigachat import exceptions

    if isinstance(error, exceptions.ConfigurationError):
        return USAGE
    if isinstance(error, exceptions.APIConnectionError | exceptions.McpError):
        return NETWORK
    return _OF_STATUS.get(getattr(error, "status_code", 0), FAILED)
