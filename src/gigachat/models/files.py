"""Files kept by the service (reference, section 9)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field

from gigachat.models.base import ID, OBJECT, APIResponse, NullAs, read_only

__all__ = ["DeletedFile", "File", "Image", "UploadedFile", "UploadedFiles"]


class UploadedFile(APIResponse):
    """An uploaded or generated file, without its content."""

    id_: str = Field(alias="id", validation_alias=ID, description="Id of the file.")
    object_: Annotated[str, NullAs()] = Field(
        default="file", alias="object", validation_alias=OBJECT, description="Kind of object."
    )
    bytes_: Annotated[int, NullAs(int)] = Field(
        default=0, alias="bytes", validation_alias=AliasChoices("bytes", "bytes_"), description="Size in bytes."
    )
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    filename: Annotated[str, NullAs(str)] = Field(default="", description="Name of the file.")
    purpose: Annotated[str, NullAs(str)] = Field(default="", description="What it is for: `general` or newer.")
    access_policy: str | None = Field(default=None, description="Who may read it: `private`, `public` or newer.")
    modalities: list[str] | None = Field(default=None, description="What it holds, such as `image`.")

    @read_only
    def id(self) -> str:
        """The same as `id_`."""
        return self.id_

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_

    @read_only
    def size(self) -> int:
        """The same as `bytes_`."""
        return self.bytes_


class UploadedFiles(APIResponse):
    """All files of the account."""

    data: Annotated[list[UploadedFile], NullAs(list)] = Field(description="The files.")


class DeletedFile(APIResponse):
    """Result of deleting a file."""

    id_: str = Field(alias="id", validation_alias=ID, description="Id of the file.")
    deleted: bool = Field(description="Whether it is deleted.")
    access_policy: str | None = Field(default=None, description="Who could read it.")

    @read_only
    def id(self) -> str:
        """The same as `id_`."""
        return self.id_


class File(APIResponse):
    """Content of a file."""

    content: str = Field(repr=False, description="The bytes in base64.")


class Image(File):
    """Content of an image."""
