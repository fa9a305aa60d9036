"""The account: its balance of tokens (reference, section 10.5)."""

from __future__ import annotations

from gigachat import models
from gigachat._engine.calls import Call, get
from gigachat._engine.endpoint import Mode, Resource, endpoint


class Account(Resource[Mode]):
    """The account of the client."""

    @endpoint
    def get_balance(self) -> Call[models.Balance]:
        """Return what is left of the account's packages of tokens (reference, section 10.5).

        Raises:
            ForbiddenError: The account pays as it goes and has no packages.
        """
        return get("/balance", models.Balance)
