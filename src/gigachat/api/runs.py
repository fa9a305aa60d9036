"""Methods that send several chats: runs, in which the model calls tools until it answers, and conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from gigachat._engine.endpoint import (
    Async,
    Blocking,
    Mode,
    Resource,
    mode_endpoint,
    overloaded_mode_endpoint,
    procedure,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Required, TypeAlias, TypedDict, Unpack

    from gigachat import models
    from gigachat.api.chat import ChatOptions, Payload
    from gigachat.api.chat_v2 import ChatCompletionOptions
    from gigachat.api.chat_v2 import Payload as PayloadV2
    from gigachat.api.conversation.modes import AsyncConversation, Conversation, ConversationInBothModes
    from gigachat.api.conversation.storage import ConversationStorage
    from gigachat.api.tool_run.start import RunInBothModes
    from gigachat.tools import Tool
    from gigachat.tools.definition import Approval, OnError
    from gigachat.tools.runs import RunResult

    FunctionTool: TypeAlias = Tool[..., Any] | Callable[..., Any] | models.Function | Mapping[str, Any]
    AnyTool: TypeAlias = FunctionTool | str | models.ChatTool | models.ChatFunctionSpecification
    FunctionTools: TypeAlias = Sequence[FunctionTool | Sequence[FunctionTool]]
    AnyTools: TypeAlias = Sequence[AnyTool | Sequence[AnyTool]]
    Result: TypeAlias = RunResult[models.ChatCompletion, models.Messages, models.Usage]
    ResultV2: TypeAlias = RunResult[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]
    Run: TypeAlias = RunInBothModes[models.ChatCompletion, models.Messages, models.Usage]
    RunV2: TypeAlias = RunInBothModes[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]
    ConversationV1: TypeAlias = Conversation[models.ChatCompletion, models.Messages, models.Usage]
    ConversationV2: TypeAlias = Conversation[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]
    AsyncConversationV1: TypeAlias = AsyncConversation[models.ChatCompletion, models.Messages, models.Usage]
    AsyncConversationV2: TypeAlias = AsyncConversation[
        models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage
    ]

    class RunOptionFields(TypedDict, total=False):
        """Options of a run."""

        max_steps: int
        approve: Approval | None
        deps: Any
        tool_timeout: float | None
        parallel: int
        max_repeats: int
        on_error: OnError
        transcript: list[Any] | None

    class ConversationOptionFields(RunOptionFields, total=False):
        """Options of a conversation."""

        system: str | None
        tools: AnyTools
        session_id: str | None
        storage: str | PathLike[str] | ConversationStorage | None
        window: int | None
        compact: bool

    class ConversationFields(ConversationOptionFields, ChatOptions, total=False):
        """Options of a conversation by chats v1, and fields of its chats."""

    class ConversationFieldsV2(ConversationOptionFields, ChatCompletionOptions, total=False):
        """Options of a conversation by chats v2, and fields of its requests."""

    class ChatRunFields(RunOptionFields, ChatOptions, total=False):
        """Options of a run by chats v1, and fields of its chats."""

        tools: Required[FunctionTools]

    class ChatCompletionRunFields(RunOptionFields, ChatCompletionOptions, total=False):
        """Options of a run by chats v2, and fields of its requests."""

        tools: Required[AnyTools]


class Runs(Resource[Mode]):
    """Runs by chats v1, and conversations by both versions."""

    @procedure
    async def chat_run(self, payload: Payload | None = None, **fields: Unpack[ChatRunFields]) -> Result:
        """Let the model call tools until it answers (reference, section 4.4).

        Args:
            payload: As in `chat`.
            **fields: Fields of the chat, and options of the run:

                * `tools`: Python functions, `Tool`s, `McpTools`, and descriptions of functions that are not run here;
                * `max_steps`: most answers of the model, 8;
                * `approve`: function that is asked before each call of a tool without approval of its own. It gets a
                  `ToolCall` with the validated arguments and returns True, False, or a sentence for the model;
                * `deps`: what tools find as `deps` of their `ToolContext`;
                * `tool_timeout`: longest time of a call in seconds, for tools without a timeout of their own;
                * `parallel`: most tools that run at once, 8;
                * `max_repeats`: how often the model may make the same call in a row, 3;
                * `on_error`: whether the errors of calls are told to the model (`"tell"`) or raised (`"raise"`);
                * `transcript`: list whose content is replaced by the messages. It can be sent at any moment, also after
                  an exception, unless the run ended with the stop `call`.

        Raises:
            GenerationError: The service failed to generate.
        """
        from gigachat.api.tool_run.start import start_v1

        return await start_v1(self, payload, fields, stream=False).begin(self._session).finish()

    @mode_endpoint
    def chat_run_stream(self, payload: Payload | None = None, **fields: Unpack[ChatRunFields]) -> Run:
        """Let the model call tools until it answers, as a stream of events (reference, sections 4.4 and 4.7).

        The events are `RunText`, `RunReasoning`, `RunCall`, `RunToolResult`, and at the end `RunDone`.

        Args:
            payload: As in `chat`.
            **fields: As in `chat_run`.
        """
        from gigachat.api.tool_run.start import start_v1

        return start_v1(self, payload, fields, stream=True)

    @overload
    def conversation(
        self: Resource[Blocking], *, api: Literal["v1"] = "v1", **fields: Unpack[ConversationFields]
    ) -> ConversationV1: ...
    @overload
    def conversation(
        self: Resource[Blocking], *, api: Literal["v2"], **fields: Unpack[ConversationFieldsV2]
    ) -> ConversationV2: ...
    @overload
    def conversation(
        self: Resource[Async], *, api: Literal["v1"] = "v1", **fields: Unpack[ConversationFields]
    ) -> AsyncConversationV1: ...
    @overload
    def conversation(
        self: Resource[Async], *, api: Literal["v2"], **fields: Unpack[ConversationFieldsV2]
    ) -> AsyncConversationV2: ...
    @overloaded_mode_endpoint
    def conversation(self: Any, *, api: str = "v1", **fields: Any) -> ConversationInBothModes:
        """Return a conversation: chats with a common history (reference, sections 4 and 5).

        Args:
            api: Version of the API, `"v1"` or `"v2"`.
            **fields: Fields of the chats, options of the runs as in `chat_run`, and options of the conversation:

                * `system`: text of the system message;
                * `tools`: as in `chat_run`;
                * `session_id`: `X-Session-ID` of all requests; a new one if not given;
                * `storage`: path of a file in JSON Lines, or an object with `load` and `save`. It is read now, and
                  written after each turn, `undo` and `load`;
                * `window`: size of the model's window in tokens; that of the catalogue if not given;
                * `compact`: whether the model summarizes turns that no longer fit; otherwise they are removed.

        Raises:
            ConversationFormatError: The storage does not hold a conversation by this version of the API.
            OSError: The file cannot be read, or its folder is missing.
        """
        from gigachat.api.conversation.modes import ConversationInBothModes

        return ConversationInBothModes(self, api, fields)


class RunsV2(Resource[Mode]):
    """Runs by chats v2."""

    @procedure
    async def run(self, payload: PayloadV2 | None = None, **fields: Unpack[ChatCompletionRunFields]) -> ResultV2:
        """Let the model call tools until it answers, by API v2 (reference, section 5.5).

        Args:
            payload: As in `create`.
            **fields: Fields of the request, and options of the run as in `chat_run`. `tools` takes names of the
                service's tools, too.

        Raises:
            GenerationError: The service failed to generate.
        """
        from gigachat.api.tool_run.start import start_v2

        return await start_v2(self, payload, fields, stream=False).begin(self._session).finish()

    @mode_endpoint
    def run_stream(self, payload: PayloadV2 | None = None, **fields: Unpack[ChatCompletionRunFields]) -> RunV2:
        """Let the model call tools until it answers, by API v2, as a stream of events (reference, section 5.7).

        Args:
            payload: As in `create`.
            **fields: As in `run`.
        """
        from gigachat.api.tool_run.start import start_v2

        return start_v2(self, payload, fields, stream=True)
