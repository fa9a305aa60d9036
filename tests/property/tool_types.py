"""Types that parameters of tools may have."""

import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar, Union

import typing_extensions
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    NonNegativeInt,
    RootModel,
    SecretStr,
    StringConstraints,
    conlist,
)

T = TypeVar("T")
Number = TypeVar("Number", bound=int)
UserId = NewType("UserId", int)
Names = typing_extensions.TypeAliasType("Names", list[str])


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Corner(enum.Enum):
    START = (0, 0)
    END = (2, 3)


class Holiday(enum.Enum):
    NEW_YEAR = datetime.date(2026, 1, 1)
    VICTORY = datetime.date(2026, 5, 9)


class Share(enum.Enum):
    HALF = decimal.Decimal("0.5")
    ALL = 1


class Flat(BaseModel):
    city: str
    days: int = 1


class Other:
    class Flat(BaseModel):
        other: int


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    city: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, int]  # pyright: ignore[reportIncompatibleVariableOverride]
    city: str = ""


class Deep(BaseModel):
    first: Flat
    others: list[Flat] = []
    named: dict[str, Closed] = {}


class Limits(BaseModel):
    number: Annotated[int, Field(ge=1, lt=9)]
    rate: Annotated[float, Field(gt=0, le=1)]
    text: Annotated[str, Field(min_length=1, max_length=3)]
    code: Annotated[str, StringConstraints(pattern="^[a-c]{2}$")]
    even: Annotated[int, Field(multiple_of=2)] = 2


class Renamed(BaseModel):
    source: str = Field(alias="from")
    kind: str = Field(validation_alias="class", default="")


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Leaf(BaseModel):
    kind: Literal["leaf"]


class Branch(BaseModel):
    kind: Literal["branch"]
    parts: list[Annotated[Union["Branch", Leaf], Field(discriminator="kind")]]


class Box(BaseModel, Generic[T]):
    content: T


class Items(RootModel[list[Flat]]):
    pass


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass
class Size:
    width: int
    tags: list[str] = field(default_factory=list)


class Movie(typing_extensions.TypedDict):
    name: str
    year: typing_extensions.NotRequired[int]


TYPES: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "None": None,
    "Any": Any,
    "object": object,
    "bytes": bytes,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "UUID": uuid.UUID,
    "Decimal": decimal.Decimal,
    "Path": pathlib.Path,
    "IPv4": ipaddress.IPv4Address,
    "url": AnyUrl,
    "secret": SecretStr,
    "json": Json[dict[str, int]],
    "fraction": fractions.Fraction,
    "enum": Color,
    "int enum": Level,
    "enum of tuples": Corner,
    "enum of dates": Holiday,
    "enum of decimals": Share,
    "literal": Literal["a", "b"],
    "mixed literal": Literal["a", 1, True, None],
    "one literal": Literal["a"],
    "literal of members": Literal[Color.RED, Corner.END, Level.LOW],
    "optional": Optional[int],  # noqa: UP045 - as many write it
    "or None": str | None,
    "union": int | list[str] | Flat,
    "nested union": list[int | None] | dict[str, bool],
    "list": list[int],
    "bare list": list,
    "sequence": Sequence[str],
    "set": set[str],
    "frozenset": frozenset[int],
    "deque": collections.deque[int],
    "tuple": tuple[int, str],
    "long tuple": tuple[int, ...],
    "limited list": conlist(int, min_length=1, max_length=3),
    "dict": dict[str, int],
    "bare dict": dict,
    "mapping": Mapping[str, list[Flat]],
    "dict of ints": dict[int, str],
    "named tuple": Point,
    "dataclass": Size,
    "typed dict": Movie,
    "model": Flat,
    "closed model": Closed,
    "open model": Open,
    "deep model": Deep,
    "limits": Limits,
    "aliases": Renamed,
    "tree": Tree,
    "discriminated": Owner,
    "recursive discriminated": Branch,
    "generic": Box[Deep],
    "root": Items,
    "list of models": list[Flat | Closed],
    "constrained": NonNegativeInt,
    "described": Annotated[str, Field(description="Город", min_length=2, examples=["Псков"])],
    "two models with one name": tuple[Flat, Other.Flat],
}
