"""Assistants: a model with instructions, functions and files (reference, section 12.1)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gigachat.models.base import APIResponse, NullAs, WireModel
from gigachat.models.chat import Function

__all__ = [
    "Assistant",
    "AssistantAttachment",
    "AssistantDelete",
    "AssistantFileDelete",
    "Assistants",
    "CreateAssistant",
]


class AssistantAttachment(WireModel):
    """A file of an assistant."""

    file_id: str = Field(description="Id of the file.")
    name: Annotated[str, NullAs(str)] = Field(default="", description="Name of the file.")


class Assistant(APIResponse):
    """One assistant."""

    assistant_id: str = Field(description="Id of the assistant.")
    model: Annotated[str, NullAs(str)] = Field(default="", description="Name of the model.")
    name: str | None = Field(default=None, description="Its name.")
    description: str | None = Field(default=None, description="What it is for.")
    instructions: str | None = Field(default=None, description="Its system message.")
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    updated_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    files: list[AssistantAttachment] | None = Field(default=None, description="Its files.")
    file_ids: list[str] | None = Field(default=None, description="Ids of its files, where they come so.")
    metadata: dict[str, Any] | None = Field(default=None, description="Data of your own, up to 16 pairs.")
    threads_count: int | None = Field(default=None, description="Number of its threads.")
    functions: list[Function] | None = Field(default=None, description="Functions it may call.")


class Assistants(APIResponse):
    """Assistants of the account."""

    data: Annotated[list[Assistant], NullAs(list)] = Field(description="The assistants.")


class CreateAssistant(APIResponse):
    """A new assistant."""

    assistant_id: str = Field(description="Id of the assistant.")
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")


class AssistantDelete(APIResponse):
    """Result of deleting an assistant."""

    assistant_id: str = Field(description="Id of the assistant.")
    deleted: bool = Field(description="Whether it is deleted.")


class AssistantFileDelete(APIResponse):
    """A file an assistant no longer has."""

    file_id: str = Field(description="Id of the file.")
    deleted: bool = Field(description="Whether it is removed.")
