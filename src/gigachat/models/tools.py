"""Responses of the services around functions and text (reference, sections 8.2 and 10)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gigachat._notebook import NotebookResult, Shown
from gigachat.models.base import OBJECT, APIResponse, NullAs, WireModel, read_only
from gigachat.models.chat import Function

__all__ = [
    "AICheckResult",
    "Balance",
    "BalanceValue",
    "FilterCheckResult",
    "FilterUsage",
    "FunctionIssue",
    "FunctionValidationResult",
    "OpenApiFunctions",
    "TokensCount",
]


class TokensCount(APIResponse):
    """Size of one text."""

    tokens: int = Field(description="Tokens by the model's tokenizer.")
    characters: Annotated[int, NullAs(int)] = Field(default=0, description="Characters.")
    object_: Annotated[str, NullAs()] = Field(
        default="tokens", alias="object", validation_alias=OBJECT, description="Kind of object."
    )

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_


class OpenApiFunctions(APIResponse):
    """Functions made of an OpenAPI document."""

    functions: Annotated[list[Function], NullAs(list)] = Field(description="The functions.")


class FunctionIssue(WireModel):
    """Something to mend in the description of a function."""

    description: Annotated[str, NullAs(str)] = Field(default="", description="What it is.")
    schema_location: str | None = Field(default=None, description="Where; `(root)` is the whole.")


class FunctionValidationResult(APIResponse):
    """Result of checking a function's description."""

    status: Annotated[int, NullAs()] = Field(default=200, description="200, also where there are errors.")
    message: Annotated[str, NullAs(str)] = Field(default="", description="The verdict.")
    json_ai_rules_version: str | None = Field(default=None, description="Version of the rules.")
    warnings: list[FunctionIssue] | None = Field(default=None, description="What could be better; none with errors.")
    errors: list[FunctionIssue] | None = Field(default=None, description="What must be mended.")

    @property
    def valid(self) -> bool:
        """Whether the service would take the function."""
        return not self.errors


class AICheckResult(APIResponse):
    """Author of a text: a person or a model."""

    category: str = Field(description="`ai`, `human`, `mixed` or newer.")
    characters: Annotated[int, NullAs(int)] = Field(default=0, description="Characters of the text.")
    tokens: Annotated[int, NullAs(int)] = Field(default=0, description="Tokens of the text.")
    ai_intervals: list[list[int]] | None = Field(
        default=None, description="Parts written by a model: first and last character."
    )


class FilterUsage(WireModel):
    """Tokens of a check."""

    filter_tokens: Annotated[int, NullAs(int)] = Field(default=0, description="Tokens used.")


class FilterCheckResult(APIResponse):
    """Whether the service would refuse to talk about something."""

    is_profane: bool = Field(description="Whether it would.")
    usage: Annotated[FilterUsage, NullAs(FilterUsage)] = Field(default_factory=FilterUsage, description="Tokens used.")


class BalanceValue(WireModel):
    """The remaining tokens of one package."""

    usage: str = Field(description="What it is for, such as the name of a model.")
    value: int | float = Field(description="Tokens left.")


class Balance(NotebookResult, APIResponse):
    """The remaining tokens of all packages."""

    balance: Annotated[list[BalanceValue], NullAs(list)] = Field(description="One a package.")

    def _shown(self) -> Shown:
        rows = [(package.usage, package.value) for package in self.balance]
        return Shown(table=[("package", "tokens"), *rows], facts=() if rows else ("no packages",))
