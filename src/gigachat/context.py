"""Context variables that add headers to the requests made inside a context, and that move a chat's address.

A gateway sets them per tenant or per task. They act on API requests only, never on sign-in.
"""

from __future__ import annotations

from contextvars import ContextVar

__all__ = [
    "agent_id_cvar",
    "authorization_cvar",
    "chat_completions_url_cvar",
    "chat_url_cvar",
    "client_id_cvar",
    "custom_headers_cvar",
    "operation_id_cvar",
    "request_id_cvar",
    "service_id_cvar",
    "session_id_cvar",
    "trace_id_cvar",
]

authorization_cvar: ContextVar[str | None] = ContextVar("authorization_cvar", default=None)
"""Whole value of `Authorization`, for example `Bearer <access token>`; no token of the client is used then."""
client_id_cvar: ContextVar[str | None] = ContextVar("client_id_cvar", default=None)
"""`X-Client-ID`: the end user, for logs and for access to generated files."""
request_id_cvar: ContextVar[str | None] = ContextVar("request_id_cvar", default=None)
"""`X-Request-ID`: id of the request in the service's logs."""
session_id_cvar: ContextVar[str | None] = ContextVar("session_id_cvar", default=None)
"""`X-Session-ID`: keeps the requests of a session on the same prompt cache."""
service_id_cvar: ContextVar[str | None] = ContextVar("service_id_cvar", default=None)
"""`X-Service-ID`."""
operation_id_cvar: ContextVar[str | None] = ContextVar("operation_id_cvar", default=None)
"""`X-Operation-ID`."""
trace_id_cvar: ContextVar[str | None] = ContextVar("trace_id_cvar", default=None)
"""`X-Trace-ID`."""
agent_id_cvar: ContextVar[str | None] = ContextVar("agent_id_cvar", default=None)
"""`X-Agent-ID`."""
custom_headers_cvar: ContextVar[dict[str, str] | None] = ContextVar("custom_headers_cvar", default=None)
"""Any further headers; they win over those of the other variables and of the client."""
chat_url_cvar: ContextVar[str] = ContextVar("chat_url_cvar", default="/chat/completions")
"""Path, or full address on the same origin, of the v1 chat endpoint."""
chat_completions_url_cvar: ContextVar[str | None] = ContextVar("chat_completions_url_cvar", default=None)
"""Path, or full address on the same origin, of the v2 chat endpoint; None means the usual one."""
