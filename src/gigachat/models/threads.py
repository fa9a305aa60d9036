"""Threads: conversations the service remembers (reference, section 12.2)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, FiniteFloat

from gigachat.models.base import ID, OBJECT, APIResponse, NullAs, OpenEnum, WireModel, read_only
from gigachat.models.chat import (
    ChatFunctionCall,
    ChoicesChunk,
    Function,
    FunctionCall,
    Messages,
    MessagesRole,
    Usage,
)

__all__ = [
    "Thread",
    "ThreadCompletion",
    "ThreadCompletionChunk",
    "ThreadMessage",
    "ThreadMessageAttachment",
    "ThreadMessageResponse",
    "ThreadMessages",
    "ThreadMessagesResponse",
    "ThreadRunOptions",
    "ThreadRunResponse",
    "ThreadRunResult",
    "ThreadStatus",
    "Threads",
]


class ThreadStatus(OpenEnum):
    """Status of a thread's run. An unknown status is read as a new member."""

    IN_PROGRESS = "in_progress"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


class Thread(APIResponse):
    """One thread."""

    id_: str = Field(alias="id", validation_alias=ID, description="Id of the thread.")
    assistant_id: str | None = Field(default=None, description="Assistant that answers in it.")
    model: Annotated[str, NullAs(str)] = Field(default="", description="Name of the model.")
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    updated_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    run_lock: Annotated[bool, NullAs(bool)] = Field(default=False, description="Whether a run is in progress.")
    status: ThreadStatus | None = Field(default=None, description="Status of its run.")

    @read_only
    def id(self) -> str:
        """The same as `id_`."""
        return self.id_


class Threads(APIResponse):
    """Threads of the account."""

    threads: Annotated[list[Thread], NullAs(list)] = Field(description="The threads.")


class ThreadMessageAttachment(WireModel):
    """A file of a message."""

    file_id: str = Field(description="Id of the file.")
    name: Annotated[str, NullAs(str)] = Field(default="", description="Name of the file.")


class ThreadMessage(WireModel):
    """One message of a thread."""

    model_config = ConfigDict(use_enum_values=True)  # the role reads as plain text

    message_id: str = Field(description="Id of the message.")
    role: MessagesRole = Field(description="Author.")
    content: Annotated[str, NullAs(str)] = Field(default="", description="Text.")
    attachments: Annotated[list[ThreadMessageAttachment], NullAs(list)] = Field(
        default_factory=list, description="Its files."
    )
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    function_call: FunctionCall | None = Field(default=None, description="Call the model asks for.")
    finish_reason: str | None = Field(default=None, description="Why the answer ended.")
    model: str | None = Field(default=None, description="Name of the model.")


class ThreadMessages(APIResponse):
    """Messages of a thread."""

    thread_id: str = Field(description="Id of the thread.")
    messages: Annotated[list[ThreadMessage], NullAs(list)] = Field(description="The messages.")


class ThreadMessageResponse(WireModel):
    """A message that was added."""

    message_id: str = Field(description="Id of the message.")
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")


class ThreadMessagesResponse(APIResponse):
    """Messages that were added."""

    thread_id: str = Field(description="Id of the thread.")
    messages: Annotated[list[ThreadMessageResponse], NullAs(list)] = Field(description="One a message.")


class ThreadRunOptions(WireModel):
    """Options of an answer in a thread. Fields that the SDK does not know are sent unchanged."""

    temperature: FiniteFloat | None = Field(default=None, description="Above 0, up to 2.")
    top_p: FiniteFloat | None = Field(default=None, description="0 to 1; nucleus sampling.")
    limit: int | None = Field(default=None, description="Most messages of the thread given to the model.")
    max_tokens: int | None = Field(default=None, description="Most tokens to generate.")
    repetition_penalty: FiniteFloat | None = Field(default=None, description="Above 0; 1.0 is neutral.")
    profanity_check: bool | None = Field(default=None, description="Whether the service filters profanity.")
    flags: list[str] | None = Field(default=None, description="Feature flags.")
    function_call: Literal["auto", "none"] | ChatFunctionCall | None = Field(
        default=None, description="Whether the model may, may not, or must call a function."
    )
    functions: list[Function] | None = Field(default=None, description="Functions the model may call.")


class ThreadRunResponse(APIResponse):
    """A run that has begun."""

    status: ThreadStatus = Field(description="Status of the run.")
    thread_id: str = Field(description="Id of the thread.")
    created_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")


class ThreadRunResult(APIResponse):
    """Status of a run, and its messages."""

    status: ThreadStatus = Field(description="Status of the run.")
    thread_id: str = Field(description="Id of the thread.")
    updated_at: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    model: Annotated[str, NullAs(str)] = Field(default="", description="Name of the model.")
    messages: list[ThreadMessage] | None = Field(default=None, description="Its messages, those it answers among them.")


class _ThreadAnswer(APIResponse):
    object_: Annotated[str, NullAs()] = Field(
        default="threads.messages.run", alias="object", validation_alias=OBJECT, description="Kind of object."
    )
    model: Annotated[str, NullAs(str)] = Field(default="", description="Version of the model that answered.")
    thread_id: Annotated[str, NullAs(str)] = Field(default="", description="Id of the thread.")
    message_id: Annotated[str, NullAs(str)] = Field(default="", description="Id of the message.")
    created: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    usage: Annotated[Usage, NullAs(Usage)] = Field(
        default_factory=Usage, description="Tokens used by the answer or the chunk."
    )
    error_details: dict[str, Any] | None = Field(default=None, description="Why the answer failed.")

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_


class ThreadCompletion(_ThreadAnswer):
    """An answer in a thread."""

    message: Messages = Field(description="The message.")
    finish_reason: str | None = Field(
        default=None, description="`stop`, `length`, `function_call`, `blacklist`, `error` or newer."
    )


class ThreadCompletionChunk(_ThreadAnswer):
    """Chunk of a streamed answer in a thread."""

    choices: list[ChoicesChunk] = Field(description="What the chunk adds to the answer.")
