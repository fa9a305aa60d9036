"""The balance of the account (reference, section 10.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat.server.wire.errors import Refusal
from gigachat.server.wire.responses import answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gigachat.server.service import Endpoint, Service


async def _balance(request: Request, service: Service) -> Response:
    """Answer `GET /balance`; an account that pays as it goes has none."""
    account = service.state.account
    if not account.has_balance:
        raise Refusal(403)
    return answer(request, {"balance": [{"usage": name, "value": left} for name, left in account.left.items()]})


ENDPOINTS: Sequence[tuple[str, str, Endpoint]] = (("GET", "/balance", _balance),)
