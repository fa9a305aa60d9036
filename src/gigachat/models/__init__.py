"""Models of what crosses the wire, loaded when first named, so that importing the SDK stays quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gigachat._lazy import lazily

if TYPE_CHECKING:
    from gigachat.models.assistants import *
    from gigachat.models.auth import *
    from gigachat.models.base import *
    from gigachat.models.batches import *
    from gigachat.models.chat import *
    from gigachat.models.chat_completions import ChatCompletionRequest as ChatCompletionRequest
    from gigachat.models.chat_completions import ChatCompletionResponse as ChatCompletionResponse
    from gigachat.models.chat_completions import ChatContentFile as ChatContentFile
    from gigachat.models.chat_completions import ChatContentPart as ChatContentPart
    from gigachat.models.chat_completions import ChatFilterConfig as ChatFilterConfig
    from gigachat.models.chat_completions import ChatFilterContentConfig as ChatFilterContentConfig
    from gigachat.models.chat_completions import ChatFilterResponseContentConfig as ChatFilterResponseContentConfig
    from gigachat.models.chat_completions import ChatFunctionExample as ChatFunctionExample
    from gigachat.models.chat_completions import ChatFunctionResult as ChatFunctionResult
    from gigachat.models.chat_completions import ChatFunctionSpecification as ChatFunctionSpecification
    from gigachat.models.chat_completions import ChatFunctionsTool as ChatFunctionsTool
    from gigachat.models.chat_completions import ChatInlineData as ChatInlineData
    from gigachat.models.chat_completions import ChatLogprob as ChatLogprob
    from gigachat.models.chat_completions import ChatLogprobToken as ChatLogprobToken
    from gigachat.models.chat_completions import ChatMessage as ChatMessage
    from gigachat.models.chat_completions import ChatMessageChunk as ChatMessageChunk
    from gigachat.models.chat_completions import ChatModelOptions as ChatModelOptions
    from gigachat.models.chat_completions import ChatRankerOptions as ChatRankerOptions
    from gigachat.models.chat_completions import ChatReasoning as ChatReasoning
    from gigachat.models.chat_completions import ChatResponseFormat as ChatResponseFormat
    from gigachat.models.chat_completions import ChatSource as ChatSource
    from gigachat.models.chat_completions import ChatStorage as ChatStorage
    from gigachat.models.chat_completions import ChatTool as ChatTool
    from gigachat.models.chat_completions import ChatToolConfig as ChatToolConfig
    from gigachat.models.chat_completions import ChatToolExecution as ChatToolExecution
    from gigachat.models.chat_completions import ChatUsage as ChatUsage
    from gigachat.models.chat_completions import ChatUsageInputTokensDetails as ChatUsageInputTokensDetails
    from gigachat.models.chat_completions import ChatUserInfo as ChatUserInfo
    from gigachat.models.chat_completions import ChatWebSearchTool as ChatWebSearchTool
    from gigachat.models.chat_completions import PrimaryChatCompletionChunk as PrimaryChatCompletionChunk
    from gigachat.models.chat_completions import PrimaryChatFunctionCall as PrimaryChatFunctionCall
    from gigachat.models.embeddings import *
    from gigachat.models.files import *
    from gigachat.models.models import *
    from gigachat.models.raw import *
    from gigachat.models.response_format import *
    from gigachat.models.threads import *
    from gigachat.models.tools import *

_MODULES = {
    "assistants": (
        "Assistant",
        "AssistantAttachment",
        "AssistantDelete",
        "AssistantFileDelete",
        "Assistants",
        "CreateAssistant",
    ),
    "auth": ("AccessToken", "Token"),
    "base": ("APIResponse",),
    "batches": ("Batch", "BatchError", "BatchRequestCounts", "BatchResult", "Batches"),
    "chat": (
        "Chat",
        "ChatCompletion",
        "ChatCompletionChunk",
        "ChatFunctionCall",
        "Choices",
        "ChoicesChunk",
        "FewShotExample",
        "Function",
        "FunctionCall",
        "FunctionParameters",
        "FunctionParametersProperty",
        "FunctionRanker",
        "Messages",
        "MessagesChunk",
        "MessagesRole",
        "Storage",
        "Usage",
    ),
    "chat_completions": (
        "ChatCompletionRequest",
        "ChatCompletionResponse",
        "ChatContentFile",
        "ChatContentPart",
        "ChatFilterConfig",
        "ChatFilterContentConfig",
        "ChatFilterResponseContentConfig",
        "ChatFunctionExample",
        "ChatFunctionResult",
        "ChatFunctionSpecification",
        "ChatFunctionsTool",
        "ChatInlineData",
        "ChatLogprob",
        "ChatLogprobToken",
        "ChatMessage",
        "ChatMessageChunk",
        "ChatModelOptions",
        "ChatRankerOptions",
        "ChatReasoning",
        "ChatResponseFormat",
        "ChatSource",
        "ChatStorage",
        "ChatTool",
        "ChatToolConfig",
        "ChatToolExecution",
        "ChatUsage",
        "ChatUsageInputTokensDetails",
        "ChatUserInfo",
        "ChatWebSearchTool",
        "PrimaryChatCompletionChunk",
        "PrimaryChatFunctionCall",
    ),
    "embeddings": ("Embedding", "Embeddings", "EmbeddingsUsage"),
    "files": ("DeletedFile", "File", "Image", "UploadedFile", "UploadedFiles"),
    "models": ("Model", "Models"),
    "raw": ("RawResponse",),
    "response_format": ("JsonSchemaResponseFormat",),
    "threads": (
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
    ),
    "tools": (
        "AICheckResult",
        "Balance",
        "BalanceValue",
        "FilterCheckResult",
        "FilterUsage",
        "FunctionIssue",
        "FunctionValidationResult",
        "OpenApiFunctions",
        "TokensCount",
    ),
}
_HOMES = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:  # a type checker is to find misspelt names
    __getattr__, __dir__ = lazily(__name__, _HOMES)
