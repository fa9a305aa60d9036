"""The log: the logger `gigachat`, switched on by `GIGACHAT_LOG` or by a logging configuration of the program.

Calls are logged at `INFO` when they end, their attempts at `DEBUG`. No line has content, secrets or query parameters.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from gigachat.exceptions import ConfigurationError
from gigachat.observers import Observer

if TYPE_CHECKING:
    from gigachat.observers import Attempt, ObservedCall, ObservedRun, ObservedTool, TokenRenewal

VARIABLE = "GIGACHAT_LOG"
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}

logger = logging.getLogger("gigachat")


def configure() -> None:
    """Set the level of the logger as the environment says, and print its lines if the program does not.

    Raises:
        ConfigurationError: The level is unknown.
    """
    name = os.environ.get(VARIABLE, "").strip(" \t\r\n'\"").lower()
    if not name:
        return
    if name not in _LEVELS:
        raise ConfigurationError(f"environment variable {VARIABLE}: must be one of {', '.join(_LEVELS)}")
    logger.setLevel(_LEVELS[name])
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handler.addFilter(_is_not_printed)
        logger.addHandler(handler)


def _is_not_printed(record: logging.LogRecord) -> bool:
    """Whether the program has not configured logging since."""
    return not logging.getLogger().handlers


class CallLog(Observer):
    """Logs calls, runs and tools. Retries are logged by the engine."""

    def call_started(self, call: ObservedCall) -> None:
        """Log the beginning of a call."""
        logger.debug("%s%s, %s", _named(call), " as a stream" if call.stream else "", _request(call))

    def attempt(self, call: ObservedCall, attempt: Attempt) -> None:
        """Log the outcome of an attempt."""
        outcome = attempt.status if attempt.error is None else attempt.error.__name__
        logger.debug(
            "%s: attempt %d, %s in %.3f s, %s", _named(call), attempt.number, outcome, attempt.seconds, _request(call)
        )

    def answered(self, call: ObservedCall) -> None:
        """Log the response."""
        if call.stream:
            logger.debug("%s: the stream begins, %s", _named(call), _request(call))
        else:
            logger.info(
                "%s: %s in %.3f s%s, %s", _named(call), call.status, call.seconds, _tokens(call), _request(call)
            )

    def failed(self, call: ObservedCall, error: BaseException) -> None:
        """Log the failure, without the text of the error, which may repeat content."""
        name = type(error).__name__
        logger.info("%s: %s, %s in %.3f s, %s", _named(call), call.outcome, name, call.seconds, _request(call))

    def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
        """Log the end of a stream."""
        reason = call.outcome if error is None else f"{call.outcome}, {type(error).__name__}"
        logger.info("%s: stream %s in %.3f s%s, %s", _named(call), reason, call.seconds, _tokens(call), _request(call))

    def token_renewed(self, renewal: TokenRenewal) -> None:
        """Log a new token, never the token itself."""
        logger.debug(
            "signed in at %s in %.3f s, the token is valid for %.0f s, request id %s",
            renewal.url,
            renewal.seconds,
            renewal.lifetime,
            renewal.request_id or "-",
        )

    def run_started(self, run: ObservedRun) -> None:
        """Log the beginning of a run."""
        logger.debug("run %d with tools %s", run.id, ", ".join(run.tools))

    def run_ended(self, run: ObservedRun, error: BaseException | None) -> None:
        """Log the end of a run."""
        reason = run.stop or run.outcome if error is None else type(error).__name__
        logger.info("run %d: %s after %d answers in %.3f s", run.id, reason, run.steps, run.seconds)

    def tool_started(self, tool: ObservedTool) -> None:
        """Log the beginning of a tool."""
        logger.debug("run %d: tool %s, call %s", tool.run.id, tool.name, tool.call_id or "-")

    def tool_ended(self, tool: ObservedTool, error: BaseException | None) -> None:
        """Log the end of a tool."""
        reason = tool.outcome if error is None else f"{tool.outcome}, {type(error).__name__}"
        logger.debug("run %d: tool %s %s in %.3f s", tool.run.id, tool.name, reason, tool.seconds)


def _named(call: ObservedCall) -> str:
    model = call.response_model or call.model or ""
    named = f"{call.method} {call.path} {model}".rstrip()
    return f"call {call.id}: {named if named.isprintable() else ascii(named)}"  # a line break would begin another line


def _tokens(call: ObservedCall) -> str:
    return "" if call.usage is None else f", {call.usage.input_tokens}+{call.usage.output_tokens} tokens"


def _request(call: ObservedCall) -> str:
    return f"request id {call.request_id or '-'}"
