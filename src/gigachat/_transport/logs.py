"""What the HTTP library writes to its own logs of our requests, without what may be secret. Nothing else is changed."""

from __future__ import annotations

import logging
import re

import httpx2

__all__ = ["quietly"]


class _QuietURL(httpx2.URL):
    """An address whose query is not logged: there may be a key in it."""


def quietly(request: httpx2.Request) -> httpx2.Request:
    """Return a request, made so that the library logs its address without the query."""
    if request.url.query:
        request.url = _QuietURL(request.url)
    return request


def _without_query(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(arg.copy_with(query=None) if isinstance(arg, _QuietURL) else arg for arg in record.args)
    return True


def _without_login(record: logging.LogRecord) -> bool:
    record.msg = re.sub(r"auth=\(.*\)", "auth=(...)", str(record.msg))
    return True


logging.getLogger("httpx2").addFilter(_without_query)
logging.getLogger("httpcore2.socks").addFilter(_without_login)
