"""Secrets of MCP servers: which variables and arguments are secret, and how they are masked in texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gigachat._secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MASK = "**********"
_SHORTEST_SECRET = 4  # characters; shorter values occur in ordinary words
_SECRET_OPTION = re.compile(r"-.*(key|token|secret|passw|auth|credential)", re.IGNORECASE)
_SECRET_VARIABLE = re.compile(r"key|token|secret|pass(w|p|$)|auth|credential|cookie", re.IGNORECASE)
_HEADER_OPTION = re.compile(r"-H|(?i:-[\w-]*headers?)")
_HEADER_VARIABLE = re.compile(r"header", re.IGNORECASE)
_WORD = re.compile(r'[^\s"{},]+')  # also of JSON
_PASSWORD_OF_URL = re.compile(r"://[^/@\s]*:([^/@\s]*)@")
_SECRETS_BY_FORM = re.compile(
    r"(?<=://)[^/\s@]+(?=@)|(?<=bearer )\S+|(?<=basic )\S+|\b(sk|ghp|xox\w)[-_][\w-]{8,}", re.IGNORECASE
)
_COLOURS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class SecretMask:
    """Replaces secrets with asterisks.

    Args:
        values: The secrets. Those of less than four characters are not replaced.
    """

    def __init__(self, values: Iterable[str]) -> None:
        lines = {one_line(line) for value in values for line in value.splitlines()}
        longest_first = sorted(lines, key=len, reverse=True)  # one may contain another
        self._secrets = [Secret(line) for line in longest_first if len(line) >= _SHORTEST_SECRET]

    def masked(self, text: str) -> str:
        """Return a text in one line without the secrets, and without those that are known by their form."""
        text = one_line(text)  # first: a character inside a secret would hide it
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return _SECRETS_BY_FORM.sub(_MASK, text)


def one_line(text: str) -> str:
    """Return a text in one line, without colours and control characters."""
    text = _COLOURS.sub("", text)
    return " ".join("".join(one for one in text if one.isprintable() or one.isspace()).split())


def header_values(value: str) -> Iterable[str]:
    """Yield the value of a header field, and its words: a token may follow a scheme."""
    yield value
    yield from _WORD.findall(value)


def secret_variables(variables: Mapping[str, str]) -> Iterable[str]:
    """Yield the secrets of environment variables.

    They are the values of names such as `API_KEY`, header fields, and passwords in URLs.
    """
    for name, value in variables.items():
        if _SECRET_VARIABLE.search(name):
            yield value
        if _HEADER_VARIABLE.search(name):
            yield from header_values(value.partition(":")[2].strip() or value)
        yield from _PASSWORD_OF_URL.findall(value)


def secret_arguments(arguments: Sequence[str]) -> Iterable[str]:
    """Yield the secrets of arguments.

    They are the values of options such as `--token`, the header fields of options such as `--header`, every `value` of
    `name=value`, and URLs.
    """
    before = ""
    for argument in arguments:
        if _HEADER_OPTION.fullmatch(before) or _HEADER_OPTION.match(argument):
            yield from header_values(argument.partition(":")[2].strip())
        _, _, value = argument.partition("=")
        if "://" in argument:
            yield value or argument
            yield from _PASSWORD_OF_URL.findall(argument)
        elif not argument.startswith("-") and "=" not in before and _SECRET_OPTION.match(before):
            yield argument
        elif value:
            yield value
        before = argument
