"""Suggestions for misspelled names of arguments, and for the names that other clients use."""

from __future__ import annotations

import logging
import os
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gigachat.exceptions import GigaChatWarning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

logger = logging.getLogger("gigachat")

REQUEST_OPTIONS = (
    "extra_headers",
    "extra_query",
    "extra_body",
    "timeout",
    "max_retries",
    "session_id",
    "fallback_models",
)
"""Arguments of `with_options`."""
_OPTIONS_ELSEWHERE = {
    "api_base": "base_url",
    "api_key": "credentials",
    "api_url": "base_url",
    "auth_key": "credentials",
    "authorization_key": "credentials",
    "ca_bundle": "ca_bundle_file",
    "cert": "cert_file",
    "endpoint": "base_url",
    "headers": "default_headers",
    "key": "credentials",
    "model_name": "model",
    "proxies": "proxy",
    "request_timeout": "timeout",
    "retries": "max_retries",
    "ssl_verify": "verify_ssl_certs",
    "token": "access_token",
    "url": "base_url",
    "username": "user",
    "verify": "verify_ssl_certs",
    "verify_ssl": "verify_ssl_certs",
}


def nearest(name: str, known: Iterable[str], likeness: float = 0.85) -> str | None:
    """Return the known name that is most like a name, if any is.

    The default tells `temprature` from `temperature`, and leaves `top_k` beside `top_p`.
    """
    import difflib  # deferred: only mistakes need it

    return next(iter(difflib.get_close_matches(name.lower(), known, 1, likeness)), None)


def report_unknown_variables(prefix: str, known: Collection[str]) -> None:
    """Log each environment variable that is not read but has a name like one that is, once.

    Args:
        prefix: Prefix of the variables.
        known: Names of those that are read, without the prefix and in lower case.
    """
    given = {name.upper(): name for name in os.environ if name.upper().startswith(prefix)}
    for variable in given:
        name = variable.removeprefix(prefix).lower()
        if name in known:
            continue
        meant = f"{prefix}{_OPTIONS_ELSEWHERE.get(name) or nearest(name, known, 0.8) or ''}".upper()
        if meant != prefix and meant not in given:
            _report_variable(given[variable], meant)


@lru_cache
def _report_variable(variable: str, meant: str) -> None:
    logger.warning("GigaChat does not read the environment variable %s: did you mean %s?", variable, meant)


def misplaced(name: str, options: Collection[str], fields: Collection[str]) -> str:
    """Return what to write instead of an argument that `with_options` does not have.

    Args:
        name: Name of the argument.
        options: Names of the options of a client.
        fields: Names of the fields of a chat.
    """
    if name in fields:
        instead = f"it is a field of a chat: giga.chat(..., {name}=...)"
    elif name in options:
        instead = f"it is an option of the client: GigaChat({name}=...)"
    else:
        close = nearest(name, REQUEST_OPTIONS, 0.7) or _OPTIONS_ELSEWHERE.get(name)
        instead = f"write {close}=" if close in REQUEST_OPTIONS else f"it takes {', '.join(REQUEST_OPTIONS)}"
    return f"with_options has no argument {name}=: {instead}"


def report_unknown_options(unknown: Mapping[str, Any], options: Iterable[str], fields: Collection[str]) -> None:
    """Warn of arguments of a client that do nothing: of each that has a likely name, and of the others in the log.

    Args:
        unknown: The arguments.
        options: Names of the options that there are.
        fields: Names of the fields of a chat.
    """
    ignored = sorted(name for name, value in unknown.items() if value is not None)
    meant = {name: _OPTIONS_ELSEWHERE.get(name) or nearest(name, options, 0.8) for name in ignored}
    if others := [name for name in ignored if meant[name] is None]:
        logger.warning("GigaChat got unknown arguments, which do nothing: %s", ", ".join(others))
        for name in others:
            if name in fields:
                logger.warning("%s= is a field of a chat: giga.chat(..., %s=...)", name, name)
    for name, option in meant.items():
        if option is not None:
            text = f"GigaChat has no argument {name}=, and it does nothing: write {option}="
            warnings.warn(text, GigaChatWarning, stacklevel=3)


_METHODS_ELSEWHERE = {
    "batches": "create_batch(...)",
    "completions": "chat(...)",
    "files": "upload_file(...)",
    "generate": "chat(...)",
    "images": "get_image(...)",
    "invoke": "chat(...)",
    "models": "get_models()",
    "responses": "chat.create(...)",
}


class OtherNames:
    """Say which method is meant by a name of another client, or of the other mode."""

    if not TYPE_CHECKING:  # to a type checker, a class with `__getattr__` has every attribute

        def __getattr__(self, name):
            own = type(self).__name__
            if name in _METHODS_ELSEWHERE:
                raise AttributeError(f"{own} has no {name}: write giga.{_METHODS_ELSEWHERE[name]}")
            plain = name.removeprefix("a").removeprefix("_")
            if not name.startswith("_") and plain != name and hasattr(type(self), plain):
                raise AttributeError(f"{own} has no {name}: its plain names are awaited, await giga.{plain}(...)")
            raise AttributeError(f"{own!r} object has no attribute {name!r}", name=name, obj=self)
