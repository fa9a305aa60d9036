"""What all models of the wire have in common. No model of an endpoint belongs here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import PydanticUseDefault, core_schema

__all__ = ["APIResponse"]


class WireModel(BaseModel):
    """A JSON object of the API: fields we do not know are kept, and go out again."""

    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=())


def build_all(kind: type[WireModel] = WireModel) -> None:
    """Build a class of models and those made of it, as pydantic does with each at its first use."""
    kind.model_rebuild(raise_errors=False)
    for more in kind.__subclasses__():
        build_all(more)


class XHeadersMixin(WireModel):
    """An answer that knows the headers it came with."""

    x_headers: dict[str, str | None] | None = Field(
        default=None, description="`x-request-id`, `x-session-id` and `x-client-id` of the answer."
    )


class APIResponse(XHeadersMixin):
    """Base of the responses of the API."""


@dataclass(frozen=True, slots=True)
class NullAs:
    """Annotation: read JSON null as a default, the field's own if none is given; values pay nothing for it."""

    default: Callable[[], Any] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Return the schema of the type, and of null beside it."""
        null = core_schema.no_info_after_validator_function(self._instead, core_schema.none_schema())
        return core_schema.union_schema([handler(source), null], mode="left_to_right")

    def _instead(self, null: None) -> Any:
        if self.default is None:
            raise PydanticUseDefault
        return self.default()


class OpenEnum(str, Enum):
    """Texts the service is known to use. An unknown text becomes a new member."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value.upper()
        member._value_ = value
        return member

    def __reduce_ex__(self, proto: object) -> tuple[type[Self], tuple[str]]:
        """Copy and pickle by value: CPython 3.11.2 does it by name, and does not find new members by it."""
        return type(self), (self.value,)
