"""Every option of the client once: its environment name, default, unit and check.

`Settings` is a pydantic-settings class and may be subclassed with a prefix of one's own. It reads the environment,
makes what can be understood understandable and refuses the rest; it does no I/O but looking whether files exist.
"""

from __future__ import annotations

import json
import math
import os
import ssl
from typing import Annotated, Any, Literal, Protocol, Self, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gigachat._secret import Secret
from gigachat._service import AUTH_URL, BASE_URL, SCOPE
from gigachat.exceptions import ConfigurationError

__all__ = ["AUTH_URL", "BASE_URL", "ENV_PREFIX", "SCOPE", "Settings", "Timeout", "checked_proxy"]

ENV_PREFIX = "GIGACHAT_"

_CREDENTIALS_ALIASES = ("GIGACHAT_API_KEY", "GIGACHAT_AUTH_KEY")
_TOKEN_KINDS = (("access_token",), ("credentials",), ("client_id", "client_secret"), ("user", "password"))
_AUTHORIZATION_KINDS = (*_TOKEN_KINDS, ("cert_file", "key_file", "key_file_password"))


_QUOTES = ("''", '""', "``", "“”", "„“", "‘’", "«»")
_INVISIBLE = "\ufeff\u200b\u2060"  # byte order mark and spaces of no width, left by editors and pages


def _unquote(value: Any) -> Any:
    """Remove the spaces, line breaks and quotes that copying leaves around a value."""
    if isinstance(value, str):
        value = _stripped(value)
        while len(value) > 1 and value[0] + value[-1] in _QUOTES:
            value = _stripped(value[1:-1])
    return value


def _stripped(value: str) -> str:
    return value.strip().strip(_INVISIBLE).strip()


def _split(value: Any) -> Any:
    """Read a list given as text: JSON or separated by commas."""
    value = _unquote(value)
    if not isinstance(value, str):
        return value
    if value.startswith(("[", "{")):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("not valid JSON") from None
    return [item for part in value.split(",") if (item := _unquote(part))]


def _pairs(value: Any) -> Any:
    """Read a mapping given as text: JSON or `name=value` separated by commas."""
    value = _split(value)
    if isinstance(value, list) and all(isinstance(item, str) and "=" in item for item in value):
        return {name.strip(): text.strip() for name, _, text in (item.partition("=") for item in value)}
    return value


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # which must be a number
    except ValueError:
        raise ValueError("not a valid address") from None  # the original text repeats it
    labels = (parts.hostname or "x").removesuffix(".").split(".")
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError("not a valid address: its host has an empty or too long part")
    return parts


def _http_url(value: str) -> str:
    parts = _parts(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give a full address that starts with https://")
    if parts.username or parts.password:
        raise ValueError("no user or password in the address; use user= and password=")
    if parts.query or parts.fragment:
        raise ValueError("no query or fragment in the address")
    return value.rstrip("/")


_PROXY_FORM = (
    "give a proxy address such as http://user:password@proxy.example:3128 or socks5://proxy.example:1080, with / ? # "
    "in the password written as %2F %3F %23"
)


def checked_proxy(value: str) -> str:
    """Return the address of a proxy, with a scheme.

    Raises:
        ValueError: It is not one that can be used; the text does not repeat it.
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
        raise ValueError(_PROXY_FORM)  # the password goes on there, and what stands before it looks like the host
    return value


def _path(value: Any) -> Any:
    try:
        return os.fspath(value)
    except TypeError:
        raise ValueError("give a path") from None


def _readable_file(value: str) -> str:
    # os.path, because it answers where pathlib raises: names too long, with a NUL, of an unknown user.
    path = os.path.expanduser(value)
    if not path.isprintable() or "-----" in path:
        raise ValueError("give the path of a file, not its content")
    if not os.path.isfile(path):
        raise ValueError(f"no such file: {path if len(path) < 256 else path[:255] + '…'}")
    if not os.access(path, os.R_OK):
        raise ValueError(f"the file cannot be read: {path}")
    return path


def _readable_path(value: str) -> str:
    path = os.path.expanduser(value)
    return path if os.path.isdir(path) else _readable_file(value)


def _timeout(value: Any) -> Any:
    """Check seconds, a `(connect, read)` pair, or an HTTP library's timeout object."""
    if value is None:
        return None
    if isinstance(value, str):
        value = _split(value)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError("give seconds, or a pair (connect, read) in seconds")
        return tuple(_positive_seconds(item) for item in value)
    if all(hasattr(value, phase) for phase in ("connect", "read", "write")):
        return value
    return _positive_seconds(value)


def _positive_seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        raise ValueError("give a number of seconds") from None
    if isinstance(value, bool) or not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError("must be a number of seconds above zero")
    return seconds


def timeouts_of(timeout: Timeout) -> tuple[float | None, float | None, float | None]:
    """Return the seconds for connecting, waiting for data and sending that a timeout stands for.

    Raises:
        ValueError: It is not a timeout.
    """
    checked = _timeout(timeout)
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

_DEFAULT_TIMEOUTS = (10.0, 300.0, 60.0)

_Text = Annotated[str, BeforeValidator(_unquote)]
_Hidden = Annotated[str, AfterValidator(Secret)]  # where a dump of the settings is printed
_HiddenText = Annotated[_Text, AfterValidator(Secret)]
_HttpUrl = Annotated[_Text, AfterValidator(_http_url)]
_File = Annotated[str, BeforeValidator(_path), BeforeValidator(_unquote)]
_Status = Annotated[int, Field(ge=100, le=599)]


class _Environment(EnvSettingsSource):
    """The environment, without what copying leaves around its values, and without what explicit arguments rule out."""

    def __init__(self, settings_cls: type[BaseSettings], given: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._given = given

    def __call__(self) -> dict[str, Any]:
        read = {name: _unquote(value) for name, value in super().__call__().items()}
        values = {name: value for name, value in read.items() if value not in ("", None)}
        if "credentials" not in values and self.env_prefix.upper() == ENV_PREFIX:
            aliases = (_unquote(os.environ.get(name)) for name in _CREDENTIALS_ALIASES)
            if alias := next(filter(None, aliases), None):
                values["credentials"] = alias
        for kind in _AUTHORIZATION_KINDS:
            if any(self._given.get(name) is not None for name in kind):
                # Authorization given as an argument switches off every kind that is only in the environment.
                others = {name for other in _AUTHORIZATION_KINDS if other != kind for name in other}
                values = {name: value for name, value in values.items() if name not in others}
        return values


class Settings(BaseSettings):
    """Options of a client; each is also an argument of `GigaChat` and a `GIGACHAT_*` environment variable.

    Raises:
        pydantic.ValidationError: A value cannot be understood; the text names the option, never a value.
    """

    base_url: _HttpUrl = Field(default=BASE_URL, description="Address of the API.")
    v2_base_url: _HttpUrl | None = Field(
        default=None, description="Address of API v2; made of `base_url` if unset: `/api/v2`, else `/v2`."
    )
    auth_url: _HttpUrl = Field(default=AUTH_URL, description="Address that issues OAuth tokens.")
    credentials: _HiddenText | None = Field(
        default=None, repr=False, description="Authorization key of the project (base64)."
    )
    client_id: _Text | None = Field(default=None, description="Client id, with `client_secret` instead of the key.")
    client_secret: _HiddenText | None = Field(default=None, repr=False, description="Client secret.")
    scope: _Text = Field(default=SCOPE, description="GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP.")
    access_token: _HiddenText | None = Field(default=None, repr=False, description="Ready access token.")
    user: _Text | None = Field(default=None, description="User name, with `password` instead of the key.")
    password: _Hidden | None = Field(default=None, repr=False, description="Password of `user`.")
    model: _Text | None = Field(default=None, description="Model of requests that name none; `GigaChat` if unset.")
    profanity_check: bool | None = Field(default=None, description="Whether the service filters profanity.")
    flags: Annotated[list[str] | None, BeforeValidator(_split)] = Field(
        default=None, description="Feature flags sent with each chat."
    )
    function_result_role: Literal["function", "tool"] | None = Field(
        default=None,
        description="Role of function results in chats v2; `function` for the vendor's hosts, else as given, if unset.",
    )

    timeout: Annotated[Any, BeforeValidator(_timeout)] = Field(
        default=None,
        description="Seconds, or (connect, read); connect 10, read 300, write 60 if unset.",
    )
    max_connections: int | None = Field(default=None, ge=1, description="Most connections open at once.")
    max_concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Most requests in work at once per credential and process; off if unset.",
    )
    queue_timeout: FiniteFloat = Field(
        default=600.0, gt=0, description="Longest wait in seconds for a slot or a connection."
    )
    max_retries: int = Field(default=2, ge=0, description="Most repetitions after failures; 0 switches them off.")
    retry_backoff_factor: FiniteFloat = Field(
        default=0.5,
        ge=0,
        description="Longest first pause between attempts in seconds; it doubles each time.",
    )
    retry_on_status_codes: Annotated[tuple[_Status, ...], BeforeValidator(_split)] = Field(
        default=(429, 500, 502, 503, 504), description="HTTP statuses that are tried again."
    )
    retry_timeout: FiniteFloat = Field(
        default=60.0, ge=0, description="No attempt starts later than this many seconds after the first."
    )
    rate_limit_timeout: FiniteFloat = Field(
        default=60.0, ge=0, description="Longest sum of a request's waits after 429, in seconds."
    )
    total_timeout: FiniteFloat | None = Field(
        default=None, gt=0, description="Longest time of one call in seconds, retries included; off if unset."
    )
    max_response_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1, description="Longest decoded response read into memory, in bytes."
    )
    token_expiry_buffer_ms: int = Field(
        default=60000, ge=0, description="How long before its expiry a token is renewed, in milliseconds."
    )
    share_token: bool = Field(default=True, description="Share tokens between clients of this process.")

    verify_ssl_certs: bool = Field(default=True, description="Verify the server's certificate.")
    trust_russian_ca: bool = Field(
        default=True, description="Trust the Russian Trusted Root CA for the vendor's hosts."
    )
    ca_bundle_file: Annotated[_File, AfterValidator(_readable_path)] | None = Field(
        default=None,
        description="Certificates trusted in addition to the system's: PEM or DER, file or folder.",
    )
    cert_file: Annotated[_File, AfterValidator(_readable_file)] | None = Field(
        default=None, description="Client certificate (PEM) for mTLS."
    )
    key_file: Annotated[_File, AfterValidator(_readable_file)] | None = Field(
        default=None, description="Key of the client certificate, if not in the same file."
    )
    key_file_password: _Hidden | None = Field(default=None, repr=False, description="Password of an encrypted key.")
    ssl_context: ssl.SSLContext | None = Field(
        default=None, repr=False, description="Own TLS context, used as it is instead of all TLS options."
    )
    proxy: Annotated[_HiddenText, AfterValidator(checked_proxy)] | None = Field(
        default=None, repr=False, description="Address of a proxy; the usual environment variables if unset."
    )
    default_headers: Annotated[dict[str, _Hidden] | None, BeforeValidator(_pairs)] = Field(
        default=None, repr=False, description="Headers added to every API request."
    )
    default_query: Annotated[dict[str, _Hidden] | None, BeforeValidator(_pairs)] = Field(
        default=None, repr=False, description="Query parameters added to every API request."
    )

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        enable_decoding=False,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the SDK's reading of the environment in the place of the plain one."""
        given = cast("InitSettingsSource", init_settings).init_kwargs
        return init_settings, _Environment(settings_cls, given), dotenv_settings, file_secret_settings

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        prefix = self.model_config.get("env_prefix", "").upper()
        for one, other in (("user", "password"), ("client_id", "client_secret"), ("cert_file", "key_file")):
            given, missing = getattr(self, one), getattr(self, other)
            if missing and not given:
                raise ValueError(f"{other} (or {prefix}{other.upper()}) is set without {one}")
            if given and not missing and other != "key_file":
                raise ValueError(f"{one} (or {prefix}{one.upper()}) is set without {other}")
        if self.credentials and self.client_id:
            raise ValueError(
                f"give either credentials (or {prefix}CREDENTIALS) or client_id and client_secret (or "
                f"{prefix}CLIENT_ID, {prefix}CLIENT_SECRET), not both"
            )
        return self

    @property
    def timeouts(self) -> tuple[float | None, float | None, float | None]:
        """Seconds for connecting, waiting for data and sending."""
        return _DEFAULT_TIMEOUTS if self.timeout is None else timeouts_of(self.timeout)


def load_settings(given: dict[str, Any], *, authorized: bool = False) -> Settings:
    """Build the settings of a client from its arguments and the environment.

    Args:
        given: The arguments.
        authorized: Whether the client has its tokens from elsewhere: then no authorization is read, nor may be given.

    Raises:
        ConfigurationError: A value cannot be understood. The text names the argument or variable; of the values, it
            shows none but the path of a missing file.
    """
    own = {name: value for name, value in given.items() if value is not None}
    others = [name for kind in _AUTHORIZATION_KINDS for name in kind if authorized and name not in own]
    if authorized and (other := next((name for kind in _TOKEN_KINDS for name in kind if name in own), None)):
        raise ConfigurationError(f"give either access_token_provider or {other}, not both")
    try:
        return Settings(**own).model_copy(update=dict.fromkeys(others))
    except ValidationError as error:
        problems = [_problem(dict(details), given) for details in error.errors(include_input=False)]
    # Raised outside the handler: the original error holds the values.
    raise ConfigurationError("; ".join(problems))


def _problem(details: dict[str, Any], given: dict[str, Any]) -> str:
    name = next((str(part) for part in details["loc"]), "")
    reason = str(details["msg"]).removeprefix("Value error, ")
    if not name:
        return reason
    source = name if given.get(name) is not None else f"environment variable {ENV_PREFIX}{name.upper()}"
    return f"{source}: {reason[:1].lower()}{reason[1:]}"
