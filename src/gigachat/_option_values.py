"""Values of options: parsed from arguments or environment variables, and checked.

Errors are `ValueError`s of one line. They name what is expected and never repeat a value.
"""

from __future__ import annotations

import json
import math
import os
from typing import Annotated, Any, Protocol, TypeAlias
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat

from gigachat._secret import Secret
from gigachat._service import BASE_URL, OAUTH_PATH

_QUOTES = ("''", '""', "``", "“”", "„“", "‘’", "«»")
_CHAT_PATH = "/chat/completions"
_V2_PATHS = ("/api/v2", "/v2")
_PHASES = ("connect", "read", "write")
_LONGEST_WAIT = 2_147_483  # seconds: system calls count milliseconds in 32 bits
_INVISIBLE = "\ufeff\u200b\u2060"  # byte order mark and zero-width spaces


def revealed(value: Any) -> Any:
    """Return the text of a `SecretStr`, of pydantic or alike; other values as they are."""
    reveal = getattr(value, "get_secret_value", None)
    return reveal() if callable(reveal) else value


def is_given(value: Any) -> bool:
    """Whether the value of an option is more than None or empty text."""
    return unquoted(revealed(value)) not in (None, "")


def unquoted(value: Any) -> Any:
    """Remove spaces, line breaks and quotes around a value."""
    if isinstance(value, str):
        value = _stripped(value)
        while len(value) > 1 and value[0] + value[-1] in _QUOTES:
            value = _stripped(value[1:-1])
    return value


def _stripped(value: str) -> str:
    return value.strip().strip(_INVISIBLE).strip()


def split(value: Any) -> Any:
    """Read a list given as text: JSON or separated by commas."""
    value = unquoted(value)
    if not isinstance(value, str):
        return value
    if value.startswith(("[", "{")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("not valid JSON") from None
    return [item for part in value.split(",") if (item := unquoted(part))]


def model_names(value: Any) -> tuple[str, ...]:
    """Read names of models: a list, or text as of `split`.

    Raises:
        ValueError: It is something else.
    """
    read = split(value)
    names: list[Any] = [unquoted(name) for name in read] if isinstance(read, list | tuple) else [None]
    if not all(isinstance(name, str) and name for name in names):
        raise ValueError("must be a list of names of models, such as ['GigaChat-2-Pro', 'GigaChat-2']")
    return tuple(map(encodable, names))


def pairs(value: Any) -> Any:
    """Read a mapping given as text: JSON or `name=value` separated by commas."""
    read = split(value)
    if isinstance(read, list) and all(isinstance(item, str) and "=" in item for item in read):
        return {name.strip(): text.strip() for name, _, text in (item.partition("=") for item in read)}
    if isinstance(read, list) and isinstance(value, str):
        raise ValueError("give name=value, several separated by commas, or a JSON object")
    return read


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which must be a number
    except ValueError:
        raise ValueError("not a valid address") from None  # the original text repeats it
    labels = (parts.hostname or "x").removesuffix(".").split(".")
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError("not a valid address: its host has an empty or too long part")
    if any(map(str.isspace, parts.hostname or "")):
        raise ValueError("no spaces in the address")
    return parts


def http_url(value: str) -> str:
    parts = _parts(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give a full address that starts with https://")
    if any(map(str.isspace, value)):
        raise ValueError("no spaces in the address")
    if parts.username or parts.password:
        raise ValueError("no user or password in the address; use user= and password=")
    if parts.query or parts.fragment:
        raise ValueError("no query or fragment in the address")
    return value.rstrip("/")


def base_url(value: str) -> str:
    if value.endswith(_CHAT_PATH):
        raise ValueError(f"remove {_CHAT_PATH}: the client appends the paths of its methods to this address")
    return value


def v1_url(value: str) -> str:
    path = urlsplit(value).path
    if path == OAUTH_PATH:
        raise ValueError(f"this is the address for auth_url=; base_url= is usually {BASE_URL}")
    if path in _V2_PATHS:
        right = path.replace("v2", "v1")
        raise ValueError(f"end it in {right}, not {path}: chat.create, chat.parse and chat.stream use API v2 anyway")
    return value


_PROXY_FORM = (
    "give a proxy address such as http://user:password@proxy.example:3128 or socks5://proxy.example:1080, with / ? # "
    "in the password written as %2F %3F %23"
)


def checked_proxy(value: str) -> str:
    """Return the address of a proxy, with a scheme.

    Raises:
        ValueError: The address is invalid. The message does not repeat it.
    """
    if "://" not in value:
        value = Secret(f"http://{value}")
    try:
        parts = _parts(value)
    except ValueError:
        raise ValueError(_PROXY_FORM) from None
    if parts.scheme not in ("http", "https", "socks", "socks5", "socks5h") or not parts.hostname:
        raise ValueError(_PROXY_FORM)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(_PROXY_FORM)  # a password with an unescaped slash: its beginning looks like the host
    return value


_LIMITS_FORM = (
    "give the address of a Redis such as redis://:password@redis.example:6379/0, rediss:// for TLS, or "
    "unix:///run/redis.sock?db=0, with / ? # % in the password written as %2F %3F %23 %25"
)
_LIMITS_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")


def checked_limits(value: str) -> str:
    """Return the address of the Redis of shared limits.

    Raises:
        ValueError: The address is invalid. The message does not repeat it.
    """
    try:
        parts = _parts(value)
    except ValueError:
        raise ValueError(_LIMITS_FORM) from None
    place = parts.path if parts.scheme == "unix" else parts.hostname
    database = parts.path.strip("/") if parts.scheme in ("redis", "rediss") else "0"
    if not value.startswith(("redis://", "rediss://", "unix://")) or not place or not (database or "0").isdecimal():
        raise ValueError(_LIMITS_FORM)
    if parts.fragment:
        raise ValueError(_LIMITS_FORM)  # a password with an unescaped number sign
    # Others replace options of the SDK, or fail with the first call.
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not query.keys() <= {"db", *(_LIMITS_TLS if parts.scheme == "rediss" else ())}:
        raise ValueError(f"after ? only db= is allowed, and with rediss:// also {', '.join(_LIMITS_TLS)}")
    if not query.get("db", "0").isdecimal():
        raise ValueError("db= must be a number")
    if query.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise ValueError("ssl_cert_reqs= must be required, optional or none")
    return value


def encodable(value: str) -> str:
    # Python reads bytes of the environment that are not UTF-8 as halves of surrogate pairs.
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid UTF-8") from None
    return value


def path_text(value: Any) -> Any:
    try:
        return os.fspath(value)
    except TypeError:
        raise ValueError("give a path") from None


def readable_file(value: str) -> str:
    # os.path, because it answers where pathlib raises: names too long, with a NUL, of an unknown user.
    path = os.path.expanduser(value)
    if not path.isprintable() or "-----" in path:
        raise ValueError("give the path of a file, not its content")
    if not os.path.isfile(path):
        raise ValueError(f"no such file: {path if len(path) < 256 else path[:255] + '…'}")
    if not os.access(path, os.R_OK):
        raise ValueError(f"the file cannot be read: {path}")
    return path


def readable_path(value: str) -> str:
    path = os.path.expanduser(value)
    return path if os.path.isdir(path) else readable_file(value)


def checked_timeout(value: Any) -> Any:
    """Check seconds, a `(connect, read)` pair, or an HTTP library's timeout object."""
    if value is None:
        return None
    if isinstance(value, str):
        value = split(value)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError("give seconds, or a pair (connect, read) in seconds")
        return tuple(_positive_seconds(item) for item in value)
    if all(hasattr(value, phase) for phase in _PHASES):
        for phase in _PHASES:
            if (seconds := getattr(value, phase)) is not None:
                _positive_seconds(seconds)
        return value
    return _positive_seconds(value)


def _positive_seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise ValueError("give a number of seconds") from None
    if isinstance(value, bool) or not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError("must be a number of seconds above zero")
    return bounded_seconds(seconds)


def bounded_seconds(value: float) -> float:
    if value > _LONGEST_WAIT:
        raise ValueError(f"must be at most {_LONGEST_WAIT} seconds, which are 24 days")
    return value


def timeouts_of(timeout: Timeout) -> tuple[float | None, float | None, float | None]:
    """Return the seconds of a timeout for connecting, waiting for data and sending.

    Raises:
        ValueError: It is not a timeout. The error names the option.
    """
    try:
        checked = checked_timeout(timeout)
    except ValueError as error:
        raise ValueError(f"timeout: {error}") from None
    if isinstance(checked, tuple):
        return checked[0], checked[1], checked[1]
    if isinstance(checked, float):
        return checked, checked, checked
    return checked.connect, checked.read, checked.write


class TimeoutPhases(Protocol):
    """Timeout object of an HTTP library, such as `httpx2.Timeout`: seconds for each phase, None without limit."""

    connect: float | None
    read: float | None
    write: float | None


Timeout: TypeAlias = float | tuple[float, float] | TimeoutPhases
"""Seconds for each phase, a pair (connect, read), or an HTTP library's object."""

Text = Annotated[str, AfterValidator(encodable), BeforeValidator(unquoted)]
# Hidden also in a printed dump of the settings. The validator that is written last runs first.
Hidden = Annotated[str, AfterValidator(encodable), AfterValidator(Secret), BeforeValidator(revealed)]
HiddenText = Annotated[Text, AfterValidator(Secret), BeforeValidator(revealed)]
HttpUrl = Annotated[Text, AfterValidator(http_url)]
BaseUrl = Annotated[HttpUrl, AfterValidator(base_url)]
V1Url = Annotated[BaseUrl, AfterValidator(v1_url)]
File = Annotated[str, BeforeValidator(path_text), BeforeValidator(unquoted)]
Seconds = Annotated[FiniteFloat, AfterValidator(bounded_seconds)]
Status = Annotated[int, Field(ge=100, le=599)]
