"""Names of 0.2 by their old address: what could be imported from `gigachat.client`. Nothing new belongs here.

`gigachat.client` imports this module when it is asked for one of them: it loads pydantic.
"""

# ruff: noqa: F401 - they are imported from `gigachat.client`

from gigachat.assistants import AssistantsAsyncClient, AssistantsSyncClient
from gigachat.context import authorization_cvar
from gigachat.exceptions import LengthFinishReasonError, ModelNotSpecifiedError
from gigachat.models import (
    AccessToken,
    AICheckResult,
    Balance,
    Chat,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatMessage,
    ChatResponseFormat,
    ChatStorage,
    DeletedFile,
    Embeddings,
    Image,
    JsonSchemaResponseFormat,
    Messages,
    MessagesRole,
    Model,
    Models,
    OpenApiFunctions,
    PrimaryChatCompletionChunk,
    Token,
    TokensCount,
    UploadedFile,
    UploadedFiles,
)
from gigachat.resources.chat import AsyncChatNamespace, ChatNamespace
from gigachat.settings import Settings
from gigachat.threads import ThreadsAsyncClient, ThreadsSyncClient
