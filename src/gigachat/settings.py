"""The options of the client: names, defaults, units and checks.

`Options` is a plain pydantic model, which clients make of their arguments and of the environment. `Settings` makes the
same of the environment as a pydantic-settings class, for callers; it is loaded when it is first used.
"""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gigachat._option_values import (
    BaseUrl,
    File,
    Hidden,
    HiddenText,
    HttpUrl,
    Seconds,
    Status,
    Text,
    Timeout,
    V1Url,
    checked_limits,
    checked_proxy,
    checked_timeout,
    is_given,
    model_names,
    pairs,
    readable_file,
    readable_path,
    split,
    timeouts_of,
    unquoted,
)
from gigachat._service import AUTH_URL, BASE_URL, SCOPE
from gigachat._suggestions import report_unknown_variables
from gigachat._validation import reason
from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigachat._environment_settings import Settings as Settings

__all__ = ["AUTH_URL", "BASE_URL", "ENV_PREFIX", "SCOPE", "Settings", "Timeout"]

ENV_PREFIX = "GIGACHAT_"

_CREDENTIALS_ALIASES = ("GIGACHAT_API_KEY", "GIGACHAT_AUTH_KEY")
_OTHER_VARIABLES = ["log", *(name.removeprefix(ENV_PREFIX).lower() for name in _CREDENTIALS_ALIASES)]
_TOKEN_KINDS = (("access_token",), ("credentials",), ("client_id", "client_secret"), ("user", "password"))
_AUTHORIZATION_KINDS = (*_TOKEN_KINDS, ("cert_file", "key_file", "key_file_password"))
_DEFAULT_TIMEOUTS = (10.0, 300.0, 60.0)


class Options(BaseModel):
    """Options of a client; each is also an argument of `GigaChat` and a `GIGACHAT_*` environment variable.

    Raises:
        pydantic.ValidationError: A value is invalid. The message names the option, never a value.
    """

    base_url: V1Url = Field(default=BASE_URL, description="Address of the API.")
    v2_base_url: BaseUrl | None = Field(
        default=None, description="Address of API v2; made of `base_url` if unset: `/api/v2`, else `/v2`."
    )
    auth_url: HttpUrl = Field(default=AUTH_URL, description="Address that issues OAuth tokens.")
    credentials: HiddenText | None = Field(
        default=None, repr=False, description="Authorization key of the project (base64)."
    )
    client_id: Text | None = Field(default=None, description="Client id, with `client_secret` instead of the key.")
    client_secret: HiddenText | None = Field(default=None, repr=False, description="Client secret.")
    scope: Text = Field(default=SCOPE, description="GIGACHAT_API_PERS, GIGACHAT_API_B2B or GIGACHAT_API_CORP.")
    access_token: HiddenText | None = Field(default=None, repr=False, description="Access token, used as it is.")
    user: Text | None = Field(default=None, description="User name, with `password` instead of the key.")
    password: Hidden | None = Field(default=None, repr=False, description="Password of `user`.")
    model: Text | None = Field(default=None, description="Model of requests that name none; `GigaChat` if unset.")
    fallback_models: Annotated[tuple[str, ...], BeforeValidator(model_names)] = Field(
        default=(), description="Models asked in this order when the model of a chat cannot answer; none if unset."
    )
    session_id: Text | None = Field(
        default=None, description="`X-Session-ID` of each API request; keeps them on the same prompt cache."
    )
    profanity_check: bool | None = Field(default=None, description="Whether the service filters profanity.")
    flags: Annotated[list[str] | None, BeforeValidator(split)] = Field(
        default=None, description="Feature flags sent with each chat."
    )
    function_result_role: Literal["function", "tool"] | None = Field(
        default=None,
        description="Role of function results in chats v2; `function` for the vendor's hosts, else as given, if unset.",
    )

    timeout: Annotated[Any, BeforeValidator(checked_timeout)] = Field(
        default=None,
        description="Seconds, or (connect, read); connect 10, read 300, write 60 if unset.",
    )
    max_connections: int | None = Field(default=None, ge=1, description="Most connections open at once.")
    max_concurrency: int | None = Field(
        default=None,
        ge=1,
        description="Most requests in progress at once per credential and process; off if unset.",
    )
    limits: Annotated[HiddenText, AfterValidator(checked_limits)] | None = Field(
        default=None, repr=False, description="Address of a Redis that shares slots and tokens with other processes."
    )
    queue_timeout: Seconds = Field(
        default=600.0, gt=0, description="Longest wait in seconds for a slot or a connection."
    )
    max_retries: int = Field(default=2, ge=0, description="Most retries after failures; 0 switches them off.")
    retry_backoff_factor: Seconds = Field(
        default=0.5,
        ge=0,
        description="Longest first pause between attempts in seconds; it doubles each time.",
    )
    retry_on_status_codes: Annotated[tuple[Status, ...], BeforeValidator(split)] = Field(
        default=(429, 500, 502, 503, 504), description="HTTP statuses that are retried."
    )
    retry_timeout: Seconds = Field(
        default=60.0, ge=0, description="No attempt starts later than this many seconds after the first."
    )
    rate_limit_timeout: Seconds = Field(
        default=60.0, ge=0, description="Longest sum of a request's waits after 429, in seconds."
    )
    total_timeout: Seconds | None = Field(
        default=None, gt=0, description="Longest time of one call in seconds, retries included; off if unset."
    )
    max_response_bytes: int = Field(
        default=256 * 1024 * 1024, ge=1, description="Longest decoded response read into memory, in bytes."
    )
    token_expiry_buffer_ms: int = Field(
        default=60000, ge=0, description="How long before its expiry a token is refreshed, in milliseconds."
    )
    share_token: bool = Field(default=True, description="Share tokens between clients of this process.")

    verify_ssl_certs: bool = Field(default=True, description="Verify the server's certificate.")
    trust_russian_ca: bool = Field(
        default=True, description="Trust the Russian Trusted Root CA for the vendor's hosts."
    )
    ca_bundle_file: Annotated[File, AfterValidator(readable_path)] | None = Field(
        default=None,
        description="Certificates trusted in addition to the system's: PEM or DER, file or folder.",
    )
    cert_file: Annotated[File, AfterValidator(readable_file)] | None = Field(
        default=None, description="Client certificate (PEM) for mTLS."
    )
    key_file: Annotated[File, AfterValidator(readable_file)] | None = Field(
        default=None, description="Key of the client certificate, if not in the same file."
    )
    key_file_password: Hidden | None = Field(default=None, repr=False, description="Password of an encrypted key.")
    ssl_context: ssl.SSLContext | None = Field(
        default=None, repr=False, description="Own TLS context, used as it is instead of all TLS options."
    )
    proxy: Annotated[HiddenText, AfterValidator(checked_proxy)] | None = Field(
        default=None, repr=False, description="Address of a proxy; the usual environment variables if unset."
    )
    default_headers: Annotated[dict[str, Hidden] | None, BeforeValidator(pairs)] = Field(
        default=None, repr=False, description="Headers added to every API request."
    )
    default_query: Annotated[dict[str, Hidden] | None, BeforeValidator(pairs)] = Field(
        default=None, repr=False, description="Query parameters added to every API request."
    )

    transport: Literal["httpcore2", "pyreqwest"] = Field(
        default="httpcore2", description="HTTP library; `pyreqwest` is faster and needs the extra `gigachat[fast]`."
    )

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=True)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        config: Mapping[str, Any] = self.model_config
        prefix = config.get("env_prefix", ENV_PREFIX).upper()
        for one, other in (("user", "password"), ("client_id", "client_secret"), ("cert_file", "key_file")):
            given, missing = getattr(self, one), getattr(self, other)
            names = [f"{name} (or {prefix}{name.upper()})" for name in (one, other)]
            if missing and not given:
                raise ValueError(f"{names[1]} is set without {names[0]}")
            if given and not missing and other != "key_file":
                raise ValueError(f"{names[0]} is set without {names[1]}")
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


def of_environment(read: Mapping[str, Any], given: Mapping[str, Any], prefix: str = ENV_PREFIX) -> dict[str, Any]:
    """Return the options that the environment gives, without quotes and spaces around them.

    Args:
        read: The text of each variable, by the name of its option.
        given: The arguments. Authorization among them rules out every other kind.
        prefix: Prefix of the variables.
    """
    values = {name: text for name, value in read.items() if (text := unquoted(value)) not in ("", None)}
    if "credentials" not in values and prefix.upper() == ENV_PREFIX:
        aliases = (unquoted(os.environ.get(name)) for name in _CREDENTIALS_ALIASES)
        if alias := next(filter(None, aliases), None):
            values["credentials"] = alias
    for kind in _AUTHORIZATION_KINDS:
        if any(given.get(name) is not None for name in kind):
            # Authorization given as an argument switches off every kind that is only in the environment.
            others = {name for other in _AUTHORIZATION_KINDS if other != kind for name in other}
            values = {name: value for name, value in values.items() if name not in others}
    return values


def load_options(given: dict[str, Any], *, authorized: bool = False) -> Options:
    """Build the options of a client from its arguments and the environment.

    Args:
        given: The arguments.
        authorized: Whether the client gets its tokens elsewhere. No credentials are then read, and none may be given.

    Raises:
        ConfigurationError: A value is invalid. The message names the argument or variable; the path of a missing
            file is the only value that it shows.
    """
    own = {name: value for name, value in given.items() if is_given(value)}
    others = [name for kind in _AUTHORIZATION_KINDS for name in kind if authorized and name not in own]
    if authorized and (other := next((name for kind in _TOKEN_KINDS for name in kind if name in own), None)):
        raise ConfigurationError(f"give either access_token_provider or {other}, not both")
    known = Options.model_fields
    report_unknown_variables(ENV_PREFIX, [*known, *_OTHER_VARIABLES])
    if "GIGACHAT_LOG" in os.environ:
        from gigachat._logs import configure  # deferred: few programs log

        configure()
    try:
        # As pydantic-settings, which loads 120 modules: the case of letters in names does not matter.
        variables = {name.upper(): value for name, value in os.environ.items()}
        read = {name: value for name in known if (value := variables.get(f"{ENV_PREFIX}{name.upper()}"))}
        return Options(**{**of_environment(read, own), **own, **dict.fromkeys(others)})
    except ValidationError as error:
        problems = [_problem(dict(details), own) for details in error.errors(include_input=False)]
    # Raised outside the handler: the original error holds the values.
    raise ConfigurationError("; ".join(problems))


def _problem(details: dict[str, Any], given: dict[str, Any]) -> str:
    name = next((str(part) for part in details["loc"]), "")
    if not name:
        return reason(details)
    source = name if name in given else f"environment variable {ENV_PREFIX}{name.upper()}"
    inside = "each value " if len(details["loc"]) > 1 else ""
    return f"{source}: {inside}{reason(details)}"


if not TYPE_CHECKING:  # to a type checker, a module with `__getattr__` has every name

    def __getattr__(name):
        if name != "Settings":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from gigachat._environment_settings import Settings

        globals()[name] = Settings
        return Settings
