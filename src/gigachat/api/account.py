"""The account: its balance of tokens (reference, section 10.5), and what this client used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat import models
from gigachat._engine.calls import Call, get
from gigachat._engine.endpoint import Mode, Resource, endpoint

if TYPE_CHECKING:
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

    @property
    def usage(self) -> ClientUsage:
        """What chats and embeddings of this client, and of its `with_options` views, used so far in this process.

        A stream counts when it ends. A copy by `copy.deepcopy` or pickle, and a forked child process, begin at zero.
        """
        return self._service.usage.snapshot()
