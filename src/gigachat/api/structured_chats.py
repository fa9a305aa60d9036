"""Structured answers of chat v2: the method `parse` of `client.chat`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from gigachat import models
from gigachat._engine.endpoint import Async, Blocking, Mode, Namespace, Resource, overloaded_procedure
from gigachat.api import chat_v2

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pydantic import BaseModel, TypeAdapter

    from gigachat.api.chat_v2 import Payload as PayloadV2
    from gigachat.api.chat_v2 import StructuredChatCompletionFields

ModelT = TypeVar("ModelT", bound="BaseModel")
ValueT = TypeVar("ValueT")


class StructuredChats(Namespace[Mode]):
    """Chats v2 whose answers are values of a type."""

    @overload
    def parse(
        self: Resource[Blocking],
        payload: PayloadV2 | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatCompletionFields],
    ) -> tuple[models.ChatCompletionResponse, ModelT]: ...
    @overload
    def parse(
        self: Resource[Blocking],
        payload: PayloadV2 | None = None,
        *,
        into: type[ValueT] | TypeAdapter[ValueT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatCompletionFields],
    ) -> tuple[models.ChatCompletionResponse, ValueT]: ...
    @overload
    def parse(
        self: Resource[Async],
        payload: PayloadV2 | None = None,
        *,
        response_format: type[ModelT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatCompletionFields],
    ) -> Coroutine[Any, Any, tuple[models.ChatCompletionResponse, ModelT]]: ...
    @overload
    def parse(
        self: Resource[Async],
        payload: PayloadV2 | None = None,
        *,
        into: type[ValueT] | TypeAdapter[ValueT],
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatCompletionFields],
    ) -> Coroutine[Any, Any, tuple[models.ChatCompletionResponse, ValueT]]: ...
    @overloaded_procedure
    async def parse(
        self: Any,
        payload: PayloadV2 | None = None,
        *,
        into: Any = None,
        response_format: type[BaseModel] | None = None,
        strict: bool = True,
        simplify: bool = False,
        repair: int = 0,
        **fields: Unpack[StructuredChatCompletionFields],
    ) -> Any:
        """Return the answer by API v2, and its JSON as a value of a type (reference, section 5.3).

        Args:
            payload: As in `create`.
            into: Any type that pydantic validates, or its `TypeAdapter`: a model, a dataclass, `list[int]`. The answer
                to a type whose JSON is not an object is `{"value": …}`; words and code fences around it are ignored.
            response_format: A pydantic model class, in place of `into`.
            strict: Whether the service keeps exactly to the schema.
            simplify: Whether `gigachat.schema.simplify` is applied to the schema, for models that refuse it.
            repair: How often to ask again if the answer does not fit. The usage of the completion is the sum of all.
            **fields: Fields of the request, as for `create`.

        Raises:
            GenerationError: The service failed to generate.
            LengthFinishReasonError: The answer was cut by the token limit.
            ContentFilterFinishReasonError: The service restricted the topic.
            RefusalError: The model answered in words.
            InvalidJSONError: The answer has no text, or its JSON is invalid.
            SchemaMismatchError: The JSON does not fit. All of these have `completions` and their `usage`.
        """
        from gigachat.api.structured_output import Form, parsed, wanted

        form = Form(models.ChatResponseFormat, models.ChatMessage, chat_v2.answer, chat_v2.failure)
        kind, asked = wanted(form, into, response_format, strict=strict, simplify=simplify)
        call = chat_v2.chat_call(self, payload, {**fields, **asked})
        return await parsed(self._session, call, kind, form, repair)
