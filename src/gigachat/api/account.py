"""The account: its balance (reference, section 10.5), what this client used, and the diagnosis of its settings."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gigachat import models
from gigachat._advice import PROVIDER
from gigachat._engine.calls import Call, get
from gigachat._engine.endpoint import Mode, Resource, endpoint, procedure

if TYPE_CHECKING:
    from collections.abc import Callable

    from gigachat._engine.session import Session
    from gigachat.diagnosis import Language, Report
    from gigachat.usage import ClientUsage


class Account(Resource[Mode]):
    """The account of the client."""

    @endpoint
    def get_balance(self) -> Call[models.Balance]:
        """Return what is left of the account's packages of tokens (reference, section 10.5).

        Raises:
            ForbiddenError: The account pays as it goes and has no packages.
        """
        return get("/balance", models.Balance)

    @procedure
    async def diagnose(self, *, language: Language | None = None, timeout: float = 15.0) -> Report:
        """Examine each step from the settings to an answer, and return what was found and what to do about it.

        The steps are settings, names, TCP, proxy, TLS, clock, sign-in, scope, models, an answer, a stream and the
        balance. The answer and the stream cost a few tokens. Steps that depend on a failed one are skipped. Nothing
        is retried, and no text contains a secret. No network failure is raised.

        Args:
            language: Language of the texts, `en` or `ru`; that of the system if None.
            timeout: Longest wait of a step for the network, in seconds.

        Returns:
            The report. `print(report)` shows it, `report.ok` is true if nothing failed.

        Raises:
            ValueError: The language or the timeout is invalid.
        """
        from gigachat._engine.side_by_side import in_thread
        from gigachat.diagnosis import diagnose

        session, client = self._session, cast("Any", self)
        token = None if session.transport.blocking else await _provided_token(session)
        stopping = threading.Event()
        examine = partial(diagnose, lambda: client, language=language, timeout=timeout, token=token, stopping=stopping)
        try:
            return await in_thread(session.transport, examine)
        finally:
            stopping.set()  # after a cancellation or a signal the thread sends nothing more

    @property
    def usage(self) -> ClientUsage:
        """What chats and embeddings of this client, and of its `with_options` views, used so far in this process.

        A stream counts when it ends. A copy by `copy.deepcopy` or pickle, and a forked child process, begin at zero.
        """
        return self._service.usage.snapshot()


async def _provided_token(session: Session) -> Callable[[], str] | None:
    """Call the caller's function for tokens, which may need the event loop; return a function with its outcome."""
    authorization = session.service.authorization
    if authorization is None or authorization.source != PROVIDER:
        return None
    try:
        token = await authorization.get(session.transport)
    except Exception as error:
        return partial(_raise, error)
    return lambda: token.value


def _raise(error: Exception) -> str:
    raise error
