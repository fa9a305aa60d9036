"""Chat v1: requests and responses (reference, section 4)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    model_validator,
)
from pydantic_core import core_schema

from gigachat._notebook import NotebookResult, Shown, tokens
from gigachat.models.answer_files import AnswerFile, marked_files, with_reader
from gigachat.models.base import ID, OBJECT, APIResponse, NullAs, OpenEnum, WireModel, read_only
from gigachat.models.functions import FewShotExample as FewShotExample
from gigachat.models.functions import Function as Function
from gigachat.models.functions import FunctionParameters as FunctionParameters
from gigachat.models.functions import FunctionParametersProperty as FunctionParametersProperty
from gigachat.models.response_format import ResponseFormat
from gigachat.models.sources import CitedSource, cited_sources

__all__ = [
    "Chat",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatFunctionCall",
    "Choices",
    "ChoicesChunk",
    "FunctionCall",
    "FunctionRanker",
    "Messages",
    "MessagesChunk",
    "MessagesRole",
    "Storage",
    "Usage",
]


class MessagesRole(OpenEnum):
    """Author of a message. An unknown role becomes a new member."""

    ASSISTANT = "assistant"
    SYSTEM = "system"
    USER = "user"
    FUNCTION = "function"
    SEARCH_RESULT = "search_result"
    FUNCTION_IN_PROGRESS = "function_in_progress"


class _AsText:
    """Annotation: keep a role as plain text, as 0.2 did, without the cost of an enum."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.str_schema(min_length=1)


class FunctionCall(WireModel):
    """A call the model asks for."""

    id_: str | None = Field(
        default=None,
        alias="id",
        validation_alias=ID,
        description="Id of the call.",
    )
    name: str = Field(description="Name of the function.")
    arguments: dict[Any, Any] | None = Field(default=None, description="Its arguments.")

    if not TYPE_CHECKING:

        @model_validator(mode="before")
        @classmethod
        def _parse_arguments(cls, values: Any) -> Any:
            """Read arguments that come as text; other JSON than an object is kept as `arguments_text`."""
            if not isinstance(values, dict):
                return values
            if values.get("type") == "tool_call":  # of LangChain, whose id and type the service does not know
                values = {name: value for name, value in values.items() if name not in ("id", "type")}
            arguments = values.get("arguments")
            if isinstance(arguments, list | int | float):
                return {**values, "arguments": None, "arguments_text": json.dumps(arguments)}
            if not isinstance(arguments, str):
                return values
            text = arguments
            try:
                arguments = json.loads(text)
            except (ValueError, RecursionError):
                arguments = None
            if isinstance(arguments, dict):
                return {**values, "arguments": arguments}
            return {**values, "arguments": None, "arguments_text": text}

    @read_only
    def id(self) -> str | None:
        """The same as `id_`."""
        return self.id_


class Storage(WireModel):
    """Keeping of the history by the service."""

    is_stateful: bool = Field(description="Whether the service keeps the history, so that only new messages are sent.")
    limit: int | None = Field(default=None, description="Most messages of the history given to the model.")
    assistant_id: str | None = Field(default=None, description="Assistant of a new thread; excludes `model`.")
    thread_id: str | None = Field(default=None, description="Thread to continue; absent in its first message.")
    metadata: dict[Any, Any] | None = Field(default=None, description="Data of your own.")


class Usage(WireModel):
    """Tokens of an answer. The whole prompt is `prompt_tokens` plus `precached_prompt_tokens`."""

    prompt_tokens: Annotated[int, NullAs(int)] = Field(
        default=0, description="Prompt tokens that were not in the cache."
    )
    completion_tokens: Annotated[int, NullAs(int)] = Field(default=0, description="Generated tokens.")
    total_tokens: Annotated[int, NullAs(int)] = Field(default=0, description="Tokens that are charged.")
    precached_prompt_tokens: int | None = Field(default=None, description="Prompt tokens taken from the cache.")


class ChatFunctionCall(WireModel):
    """Demand that one function be called."""

    name: str = Field(description="Name of the function.")
    partial_arguments: dict[str, Any] | None = Field(default=None, description="Arguments given in advance.")


class FunctionRanker(WireModel):
    """Choice of the functions shown to the model."""

    enabled: bool | None = Field(default=None, description="Whether functions are ranked.")
    top_n: int | None = Field(default=None, description="How many are shown.")


def _as_id(value: Any) -> Any:
    """Read an uploaded file as its id."""
    return getattr(value, "id_", value)


_OF_OTHER_APIS = ("tool_calls", "tool_call_id", "refusal", "annotations", "audio")


class Messages(WireModel):
    """One message of a chat."""

    role: Annotated[MessagesRole, _AsText()] = Field(description="Author; reads as plain text.")
    content: Annotated[str, NullAs(str)] = Field(default="", description="Text.")
    function_call: FunctionCall | None = Field(default=None, description="Call the model asks for.")
    name: str | None = Field(default=None, description="Name of the function, where the author is a function.")
    attachments: list[Annotated[str, BeforeValidator(_as_id)]] | None = Field(
        default=None, description="Ids of attached files; an uploaded file is read as its id."
    )
    data_for_context: list[Messages] | None = Field(default=None, description="Deprecated by the service.")
    functions_state_id: str | None = Field(default=None, description="State of a call; send it back as it came.")
    reasoning_content: str | None = Field(default=None, description="The model's reasoning.")
    inline_data: dict[str, Any] | None = Field(default=None, description="What belongs to the text, such as sources.")
    logprobs: list[dict[str, Any]] | None = Field(default=None, description="Probabilities of the generated tokens.")
    id_: Any = Field(
        default=None,
        alias="id",
        validation_alias=ID,
        description="Id of the message.",
    )

    def model_post_init(self, context: Any, /) -> None:
        """Drop what belongs to other APIs, whose users leave it here, and notes that programs keep in messages."""
        extra = self.__pydantic_extra__
        if extra:
            for name in [name for name in extra if name in _OF_OTHER_APIS or name.startswith("_")]:
                del extra[name]

    @read_only
    def id(self) -> Any:
        """The same as `id_`."""
        return self.id_


class MessagesChunk(WireModel):
    """The part of the message in a chunk of a stream."""

    role: MessagesRole | None = Field(default=None, description="Author; in the first chunk only.")
    content: str | None = Field(default=None, description="Text to append.")
    reasoning_content: str | None = Field(default=None, description="Reasoning to append.")
    function_call: FunctionCall | None = Field(default=None, description="Call the model asks for, whole.")
    functions_state_id: str | None = Field(default=None, description="State of a call.")
    inline_data: dict[str, Any] | None = Field(default=None, description="What belongs to the text, such as sources.")
    logprobs: list[dict[str, Any]] | None = Field(default=None, description="Probabilities of the generated tokens.")


class Choices(WireModel):
    """One answer."""

    message: Messages = Field(description="The message.")
    index: Annotated[int, NullAs(int)] = Field(default=0, description="Place among the answers.")
    finish_reason: str | None = Field(
        default=None, description="`stop`, `length`, `function_call`, `blacklist`, `error` or newer."
    )


class ChoicesChunk(WireModel):
    """One answer's part of a chunk."""

    delta: MessagesChunk = Field(description="What the chunk adds.")
    index: Annotated[int, NullAs(int)] = Field(default=0, description="Place among the answers.")
    finish_reason: str | None = Field(default=None, description="Why the answer ended; in the last chunk only.")


class Chat(WireModel):
    """Request of a chat. Fields the SDK does not know are sent as they are (reference, section 4.1)."""

    model: str | None = Field(default=None, description="Name of the model.")
    assistant_id: str | None = Field(default=None, description="Assistant that answers; excludes `model`.")
    messages: list[Messages] = Field(description="The conversation.")
    temperature: FiniteFloat | None = Field(default=None, description="Above 0; up to 0.001 switches sampling off.")
    top_p: FiniteFloat | None = Field(default=None, description="0 to 1; nucleus sampling.")
    n: int | None = Field(default=None, description="Number of answers; the service gives one.")
    stream: bool | None = Field(default=None, description="Set by the method that is called.")
    max_tokens: int | None = Field(default=None, description="Most tokens to generate.")
    reasoning_max_tokens: int | None = Field(default=None, description="Most tokens of reasoning before the answer.")
    repetition_penalty: FiniteFloat | None = Field(default=None, description="Above 0; 1.0 is neutral.")
    update_interval: FiniteFloat | None = Field(default=None, description="Seconds between chunks of a stream.")
    profanity_check: bool | None = Field(default=None, description="Whether the service filters profanity.")
    function_call: Literal["auto", "none"] | ChatFunctionCall | None = Field(
        default=None, description="Whether the model may, may not, or must call a function."
    )
    functions: list[Function] | None = Field(default=None, description="Functions the model may call.")
    flags: list[str] | None = Field(default=None, description="Feature flags.")
    storage: Storage | None = Field(default=None, description="Keeping of the history by the service.")
    function_ranker: FunctionRanker | None = Field(default=None, description="Choice of the functions shown.")
    response_format: ResponseFormat | None = Field(default=None, description="Form of the answer.")
    additional_fields: dict[str, Any] | None = Field(
        default=None, description="Fields merged into the request; named fields win."
    )
    reasoning_effort: str | None = Field(
        default=None, description="Depth of reasoning: `low`, `medium`, `high`, `off` or newer."
    )

    stop: Any = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Of another API, whose users leave it here: read and not sent.",
    )


class ChatCompletion(NotebookResult, APIResponse):
    """Answer of a chat (reference, section 4.3)."""

    __slots__ = ("_marks", "_reader_factory")

    choices: list[Choices] = Field(description="The answers; one.")
    created: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    model: Annotated[str, NullAs(str)] = Field(default="", description="Version of the model that answered.")
    thread_id: str | None = Field(default=None, description="Thread, with `storage`.")
    message_id: str | None = Field(default=None, description="Message, with `storage`.")
    additional_data: dict[str, Any] | list[Any] | None = Field(default=None, description="Sources and steps taken.")
    error_details: dict[str, Any] | None = Field(default=None, description="Why the answer failed.")
    usage: Annotated[Usage, NullAs(Usage)] = Field(default_factory=Usage, description="Tokens used.")
    object_: Annotated[str, NullAs()] = Field(
        default="chat.completion", alias="object", validation_alias=OBJECT, description="Kind of object."
    )

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_

    @read_only
    def text(self) -> str:
        """The text of the first answer; empty if there is none."""
        return self.choices[0].message.content if self.choices else ""

    @read_only
    def files(self) -> list[AnswerFile]:
        """The files the model made, which the text of the first answer has marks of (reference, section 6)."""
        return with_reader(self, marked_files(self, self.text, AnswerFile))

    @read_only
    def images(self) -> list[AnswerFile]:
        """The images among the files."""
        return [file for file in self.files if file.is_image]

    @read_only
    def sources(self) -> list[CitedSource]:
        """The sources that the text of the first answer cites, in the order of their marks (reference, section 5.6)."""
        messages = [choice.message for choice in self.choices[:1]]
        return cited_sources((message.content, [message.inline_data]) for message in messages)

    def _shown(self) -> Shown:
        calls = [choice.message.function_call for choice in self.choices[:1]]
        table = [("function", "arguments"), *((call.name, call.arguments) for call in calls if call is not None)]
        reasons = [choice.finish_reason for choice in self.choices[:1]]
        return Shown(self.text, table, (self.model, *reasons, tokens(self.usage.total_tokens)))


class ChatCompletionChunk(APIResponse):
    """Chunk of a streamed answer (reference, section 4.7)."""

    choices: list[ChoicesChunk] = Field(description="What the chunk adds to each answer.")
    created: Annotated[int, NullAs(int)] = Field(default=0, description="Unix time in seconds.")
    model: Annotated[str, NullAs(str)] = Field(default="", description="Version of the model that answers.")
    thread_id: str | None = Field(default=None, description="Thread, with `storage`.")
    message_id: str | None = Field(default=None, description="Message, with `storage`.")
    additional_data: dict[str, Any] | list[Any] | None = Field(default=None, description="Sources and steps taken.")
    error_details: dict[str, Any] | None = Field(default=None, description="Why the answer failed.")
    object_: Annotated[str, NullAs()] = Field(
        default="chat.completion", alias="object", validation_alias=OBJECT, description="Kind of object."
    )
    usage: Usage | None = Field(default=None, description="Tokens used; in the last chunk only.")

    @read_only
    def object(self) -> str:
        """The same as `object_`."""
        return self.object_
