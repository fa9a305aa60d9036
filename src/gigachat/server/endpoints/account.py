"""The balance of the account (reference, section 10.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from gigachat.server.service import Endpoints, Service


async def _balance(request: Request, service: Service) -> dict[str, Any]:
    """Answer `GET /balance`; an account that pays as it goes has none."""
    account = service.state.account
    if not account.has_balance:
        raise Refusal(403)
    return {"balance": [{"usage": name, "value": left} for name, left in account.left.items()]}


ENDPOINTS: Endpoints = (("GET", "/balance", _balance),)
