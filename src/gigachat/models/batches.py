"""Batches: requests processed in the background (reference, section 11)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from gigachat.models.base import ID, APIResponse, NullAs, WireModel, read_only
from gigachat.models.chat import ChatCompletion
from gigachat.models.embeddings import Embeddings

__all__ = ["Batch", "BatchError", "BatchRequestCounts", "BatchResult", "Batches"]


class BatchRequestCounts(WireModel):
    """The progress of a batch."""

    total: Annotated[int, NullAs(int)] = Field(default=0, description="Requests in all.")
    completed: Annotated[int, NullAs(int)] = Field(default=0, description="Requests answered.")
    failed: Annotated[int, NullAs(int)] = Field(default=0, description="Requests refused.")


class Batch(APIResponse):
    """A batch: its status, its number of requests and the file of its results."""

    id_: str = Field(alias="id", validation_alias=ID, description="Id of the batch.")
    method: Annotated[str, NullAs(str)] = Field(default="", description="`chat_completions` or `embedder`.")
    request_counts: Annotated[BatchRequestCounts, NullAs(BatchRequestCounts)] = Field(
        default_factory=BatchRequestCounts, description="How far it is."
    )
    status: Annotated[str, NullAs(str)] = Field(
        default="", description="`created`, then `in_progress`, then `completed`; or newer."
    )
    output_file_id: str | None = Field(default=None, description="File of the results, once it is completed.")
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time, as the service gives it.")
    updated_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time, as the service gives it.")

    @read_only
    def id(self) -> str:
        """The same as `id_`."""
        return self.id_


class Batches(APIResponse):
    """Batches of the account."""

    batches: Annotated[list[Batch], NullAs(list)] = Field(description="The batches.")


class BatchError(WireModel):
    """The error of one request of a batch."""

    status: int | None = Field(default=None, description="HTTP status the request alone would have got.")
    message: Annotated[str, NullAs(str)] = Field(default="", description="The service's text.")


class BatchResult(WireModel):
    """One line of a batch's results."""

    id_: str | None = Field(
        default=None,
        alias="id",
        validation_alias=ID,
        coerce_numbers_to_str=True,
        description="Id the request was given.",
    )
    result: ChatCompletion | Embeddings | dict[str, Any] | None = Field(
        default=None, union_mode="left_to_right", description="The answer; a mapping where it is of neither kind."
    )
    error: BatchError | str | None = Field(
        default=None, union_mode="left_to_right", description="Error of the request."
    )
    line: str | None = Field(default=None, description="The whole line as text, where it could not be read.")

    @read_only
    def id(self) -> str | None:
        """The same as `id_`."""
        return self.id_
