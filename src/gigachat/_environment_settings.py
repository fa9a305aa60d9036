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
    """The environment, as the client reads it."""

    def __init__(self, settings_cls: type[BaseSettings], given: dict[str, Any]) -> None:
        super().__init__(settings_cls)
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
        return own, _Environment(settings_cls, given), dotenv_settings, file_secret_settings
