"""`Settings`: the options as a pydantic-settings class. A subclass may have another prefix, fields and sources.

The client does not need it; `settings` loads it when a caller uses it.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from gigachat._option_values import is_given
from gigachat.settings import ENV_PREFIX, Options, of_environment


class _Environment(EnvSettingsSource):
    """The environment, as the client reads it.

    Args:
        source: What pydantic-settings would read; it has the caller's arguments, such as `_env_prefix`.
        given: The arguments.
    """

    def __init__(self, source: EnvSettingsSource, given: dict[str, Any]) -> None:
        super().__init__(
            source.settings_cls,
            case_sensitive=source.case_sensitive,
            env_prefix=source.env_prefix,
            env_nested_delimiter=source.env_nested_delimiter,
            env_ignore_empty=source.env_ignore_empty,
            env_parse_none_str=source.env_parse_none_str,
            env_parse_enums=source.env_parse_enums,
        )
        self._given = given

    def __call__(self) -> dict[str, Any]:
        return of_environment(super().__call__(), self._given, self.env_prefix)


class Settings(Options, BaseSettings):
    """Options of a client, read from arguments and from `GIGACHAT_*` environment variables.

    Raises:
        pydantic.ValidationError: A value is invalid. The message names the option, never a value.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True, enable_decoding=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Replace the sources: arguments that are empty text are not given."""
        arguments = cast("InitSettingsSource", init_settings).init_kwargs
        given = {name: value for name, value in arguments.items() if value is None or is_given(value)}
        own = InitSettingsSource(settings_cls, given)
        environment = _Environment(cast("EnvSettingsSource", env_settings), given)
        return own, environment, dotenv_settings, file_secret_settings
