"""The names of 0.2 on the hybrid client: each async method under its name with an `a` in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, Unpack, overload

from gigachat._engine.endpoint import Async, Resource, async_variant, namespace, overloaded_async_variant
from gigachat.api.account import Account
from gigachat.api.assistants import AssistantsNamespace, AsyncAssistantsNamespace
from gigachat.api.authentication import Authentication
from gigachat.api.batches import Batches
from gigachat.api.chat import AsyncChatNamespace, Chat, ChatNamespace
from gigachat.api.embeddings import Embeddings
from gigachat.api.files import Files
from gigachat.api.functions import Functions
from gigachat.api.models import Models
from gigachat.api.moderation import Moderation
from gigachat.api.raw_requests import RawRequests
from gigachat.api.runs import Runs
from gigachat.api.threads import AsyncThreadsNamespace, ThreadsNamespace

if TYPE_CHECKING:
    from pydantic import BaseModel, TypeAdapter

    from gigachat import models
    from gigachat.api.chat import Payload, StructuredChatFields
    from gigachat.api.runs import AsyncConversationV1, AsyncConversationV2, ConversationFields, ConversationFieldsV2

ModelT = TypeVar("ModelT", bound="BaseModel")
ValueT = TypeVar("ValueT")


class _Parse(Protocol):
    @overload
    async def __call__(
        self,
        payload: Payload | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatFields],
    ) -> tuple[models.ChatCompletion, ModelT]: ...
    @overload
    async def __call__(
        self,
        payload: Payload | None = None,
        *,
        into: type[ValueT] | TypeAdapter[ValueT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatFields],
    ) -> tuple[models.ChatCompletion, ValueT]: ...
    async def __call__(self, payload: Payload | None = None, **fields: Any) -> Any:
        """Return the answer, and its JSON as a value of a type."""
        ...


class _Conversation(Protocol):
    @overload
    def __call__(self, *, api: Literal["v1"] = "v1", **fields: Unpack[ConversationFields]) -> AsyncConversationV1: ...
    @overload
    def __call__(self, *, api: Literal["v2"], **fields: Unpack[ConversationFieldsV2]) -> AsyncConversationV2: ...
    def __call__(self, *, api: str = "v1", **fields: Any) -> Any:
        """Return a conversation for async callers."""
        ...


class AsyncNames(Resource[Any]):
    """`achat` beside `chat`, and so on."""

    @property
    def _client(self) -> Any:
        """The httpx2 client of blocking requests; its `event_hooks` may be changed in place."""
        transport: Any = self._blocking.transport
        return transport.client(self._service.settings.base_url)

    @property
    def _aclient(self) -> Any:
        """The httpx2 client of async requests in the running loop; its `event_hooks` are those of all loops."""
        transport: Any = self._async.transport
        return transport.client(self._service.settings.base_url)

    @namespace
    def achat(self) -> ChatNamespace[Async]:
        """Chats, awaited: `await client.achat("…")`."""
        return AsyncChatNamespace(self)

    @namespace
    def a_assistants(self) -> AssistantsNamespace[Async]:
        """Assistants, awaited: `await client.a_assistants.get()`."""
        return AsyncAssistantsNamespace(self)

    @namespace
    def a_threads(self) -> ThreadsNamespace[Async]:
        """Threads, awaited: `await client.a_threads.get_threads()`."""
        return AsyncThreadsNamespace(self)

    astream = async_variant(Chat.stream)
    achat_parse: _Parse = overloaded_async_variant(Chat.chat_parse)
    achat_run = async_variant(Runs.chat_run)
    achat_run_stream = async_variant(Runs.chat_run_stream)
    aconversation: _Conversation = overloaded_async_variant(Runs.conversation)
    aembeddings = async_variant(Embeddings.embeddings)
    aembed = async_variant(Embeddings.embed)
    aembed_slices = async_variant(Embeddings.embed_slices)
    atokens_count = async_variant(Embeddings.tokens_count)
    aget_models = async_variant(Models.get_models)
    aget_model = async_variant(Models.get_model)
    amodels_info = async_variant(Models.models_info)
    aget_token = async_variant(Authentication.get_token)
    aattach = async_variant(Files.attach)
    atranscribe = async_variant(Chat.transcribe)
    aupload_file = async_variant(Files.upload_file)
    aget_files = async_variant(Files.get_files)
    aget_file = async_variant(Files.get_file)
    adelete_file = async_variant(Files.delete_file)
    aget_image = async_variant(Files.get_image)
    aget_file_content = async_variant(Files.get_file_content)
    adownload_file = async_variant(Files.download_file)
    acreate_batch = async_variant(Batches.create_batch)
    aget_batches = async_variant(Batches.get_batches)
    await_batch = async_variant(Batches.wait_batch)
    abatch_results = async_variant(Batches.batch_results)
    aopenapi_function_convert = async_variant(Functions.openapi_function_convert)
    avalidate_function = async_variant(Functions.validate_function)
    acheck_ai = async_variant(Moderation.check_ai)
    acheck_filter = async_variant(Moderation.check_filter)
    aget_balance = async_variant(Account.get_balance)
    adiagnose = async_variant(Account.diagnose)
    arequest = async_variant(RawRequests.request)
