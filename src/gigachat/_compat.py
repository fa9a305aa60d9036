"""The names of 0.2 on the hybrid client: each async method under its name with an `a` in front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from gigachat._engine.endpoint import Async, Resource, awaited, namespace
from gigachat.api.assistants import AssistantsNamespace
from gigachat.api.batches import Batches
from gigachat.api.chat import Chat, ChatNamespace
from gigachat.api.checks import Checks
from gigachat.api.embeddings import Embeddings
from gigachat.api.files import Files
from gigachat.api.functions import Functions
from gigachat.api.models import Models
from gigachat.api.request import AnyRequest
from gigachat.api.threads import ThreadsNamespace
from gigachat.api.token import AccessToken

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gigachat import models
    from gigachat.api.chat import Payload

__all__ = ["AsyncNames"]

ModelT = TypeVar("ModelT", bound="BaseModel")


class _Parse(Protocol):
    async def __call__(
        self,
        payload: Payload | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        **fields: Any,
    ) -> tuple[models.ChatCompletion, ModelT]:
        """Return the answer and an instance of a model made of it."""
        ...


class AsyncNames(Resource[Any]):
    """`achat` beside `chat`, and so on."""

    @property
    def _client(self) -> Any:
        """The HTTP client of blocking requests; its `event_hooks` may be changed in place."""
        port: Any = self._engine.blocking
        return port.client(self._engine.settings.base_url)

    @property
    def _aclient(self) -> Any:
        """The HTTP client of async requests in the running loop; its `event_hooks` are those of all loops."""
        port: Any = self._engine.awaiting
        return port.client(self._engine.settings.base_url)

    @namespace
    def achat(self) -> ChatNamespace[Async]:
        """Chats, awaited: `await client.achat("…")`."""
        return ChatNamespace(self, Async)

    @namespace
    def a_assistants(self) -> AssistantsNamespace[Async]:
        """Assistants, awaited: `await client.a_assistants.get()`."""
        return AssistantsNamespace(self, Async)

    @namespace
    def a_threads(self) -> ThreadsNamespace[Async]:
        """Threads, awaited: `await client.a_threads.get_threads()`."""
        return ThreadsNamespace(self, Async)

    astream = awaited(Chat.stream)
    achat_parse: _Parse = awaited(Chat.__dict__["chat_parse"])  # type: ignore[assignment]
    aembeddings = awaited(Embeddings.embeddings)
    atokens_count = awaited(Embeddings.tokens_count)
    aget_models = awaited(Models.get_models)
    aget_model = awaited(Models.get_model)
    aget_token = awaited(AccessToken.get_token)
    aupload_file = awaited(Files.upload_file)
    aget_files = awaited(Files.get_files)
    aget_file = awaited(Files.get_file)
    adelete_file = awaited(Files.delete_file)
    aget_image = awaited(Files.get_image)
    aget_file_content = awaited(Files.get_file_content)
    adownload_file = awaited(Files.download_file)
    acreate_batch = awaited(Batches.create_batch)
    aget_batches = awaited(Batches.get_batches)
    await_batch = awaited(Batches.wait_batch)
    abatch_results = awaited(Batches.batch_results)
    aopenapi_function_convert = awaited(Functions.openapi_function_convert)
    avalidate_function = awaited(Functions.validate_function)
    acheck_ai = awaited(Checks.check_ai)
    acheck_filter = awaited(Checks.check_filter)
    aget_balance = awaited(Checks.get_balance)
    arequest = awaited(AnyRequest.request)
