"""Which model is asked after the model of a chat has failed. It sends nothing itself.

Another model is asked only after an error response: nothing was generated then. After a lost connection or a timeout,
the service may have generated an answer, which it bills. A response with status 200 is final, whatever is in it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gigachat._advice import is_switched_off

if TYPE_CHECKING:
    from gigachat._engine.calls import Call, RequestOptions
    from gigachat._engine.service import Service
    from gigachat.exceptions import GigaChatException, ResponseError

logger = logging.getLogger("gigachat")

_MODEL_STATUSES = (402, 413, 429)


class Fallback:
    """The models of one call.

    Args:
        service: What the client is configured with.
        options: The options of the view.
        call: The chat.

    Attributes:
        model: The fallback model that is asked; None while it is the call's own model.
    """

    __slots__ = ("_call", "_failures", "_first", "_own_model", "_remaining", "_service", "model")

    def __init__(self, service: Service, options: RequestOptions, call: Call[Any]) -> None:
        self.model: str | None = None
        self._service = service
        self._call = call
        self._first: ResponseError | None = None
        self._failures: list[str] = []
        models = service.settings.fallback_models if options.fallback_models is None else options.fallback_models
        body = call.json if isinstance(call.json, Mapping) else dict(call.json or ())
        self._own_model: str | None = None
        self._remaining: list[str] = []
        if body.get("model"):  # otherwise an assistant or a thread has the model
            self._own_model = options.body.get("model", body["model"])
            self._remaining = [name for name in dict.fromkeys(models) if name != self._own_model]

    def after(self, error: ResponseError) -> ResponseError | None:
        """Choose the model that is asked after a failure; if there is none, return the error of the call.

        If all models fail, it is the error of the call's own model, with the others as notes.
        """
        if not self._may_ask_another(error):
            self.note(error)
            return error
        first = self._first
        if first is None:
            if not self._remaining or not _is_of_the_model(error):
                return error
            self._first = error.with_traceback(None)  # its frames refer to this object
        else:
            first.add_note(f"fallback model {self.model!r}: {error}")
            if not self._remaining:
                return first
        failed, self.model = self.model or self._own_model, self._remaining.pop(0)
        self._failures.append(f"{failed!r}: {error}")
        logger.warning("model %s failed (%d), asking the fallback model %s", failed, error.status_code, self.model)
        return None

    def note(self, error: GigaChatException) -> None:
        """Add the model to the error that ends a call, and the failures of the models before it."""
        if self.model is not None:
            error.add_note(f"fallback model {self.model!r}, after {'; '.join(self._failures)}")

    def _may_ask_another(self, error: ResponseError) -> bool:
        """Whether the service itself responded, and cannot have generated an answer."""
        service, call = self._service, self._call
        addresses = [f"{url}{call.path}" for url in service.v2_urls] if call.v2 else [service.url(call.path)]
        if error.url not in addresses:
            return False  # an error of the sign-in, or of a request that a token provider made
        return error.status_code < 500 or error.status_code in service.policy.on_status_codes


def _is_of_the_model(error: ResponseError) -> bool:
    """Whether the same request to another model may succeed."""
    status = error.status_code
    if status == 404:
        return isinstance(error.body, dict) and "no such model" in error.message.lower()
    return status >= 500 or status in _MODEL_STATUSES or is_switched_off(error)
