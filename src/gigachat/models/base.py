"""Base classes of the models, and annotations for their fields. The models are in the other modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import PydanticUseDefault, core_schema

__all__ = ["APIResponse"]


# Names under which fields are read: that of the wire, and that in dumps without aliases.
ID = AliasChoices("id", "id_")
OBJECT = AliasChoices("object", "object_")

if TYPE_CHECKING:
    read_only = property
else:

    class read_only:
        """An attribute that is computed, unless a subclass has a field of its name.

        A class does not show it: pydantic warns of a field whose name the parent class shows.

        Args:
            compute: Returns the value for a model.
        """

        names: ClassVar[set[str]] = set()

        def __init__(self, compute: Callable[[Any], Any]) -> None:
            self._compute = compute
            self.__doc__ = compute.__doc__

        def __set_name__(self, owner: Any, name: str) -> None:
            self._name = name
            self.names.add(name)

        def __get__(self, model: Any, owner: Any = None) -> Any:
            """Return the value."""
            if model is None:
                raise AttributeError(self._name)
            return self._compute(model)


class WireModel(BaseModel):
    """A JSON object of the API. Unknown fields are kept and serialized."""

    model_config = ConfigDict(extra="allow", defer_build=True, protected_namespaces=(), ignored_types=(read_only,))

    if not TYPE_CHECKING:  # to a type checker, a class with `__setattr__` has every attribute

        def __setattr__(self, name: str, value: Any) -> None:
            """Refuse to set what is only read."""
            own = type(self)
            kinds = own.__mro__ if name in read_only.names and name not in own.model_fields else ()
            if any(isinstance(vars(kind).get(name), read_only) for kind in kinds):
                raise AttributeError(f"{name} of {own.__name__} is read-only")
            super().__setattr__(name, value)


def build_all(kind: type[WireModel] = WireModel) -> None:
    """Build a class of models and those made of it, as pydantic does with each at its first use."""
    kind.model_rebuild(raise_errors=False)
    for more in kind.__subclasses__():
        build_all(more)


class XHeadersMixin(WireModel):
    """A response with the headers that identify it."""

    x_headers: dict[str, str | None] | None = Field(
        default=None, description="`x-request-id`, `x-session-id` and `x-client-id` of the response."
    )

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Return the fields, the content before the headers."""
        fields = [*super().__repr_args__()]
        return sorted(fields, key=lambda field: field[0] == "x_headers")


class APIResponse(XHeadersMixin):
    """Base of the responses of the API."""


@dataclass(slots=True, eq=False)
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
    """Base of enumerations with the known values of the service. An unknown text becomes a new member."""

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
