"""The type of everything public in every colour, said by `assert_type` and checked by mypy and pyright.

Nothing here runs: `make lint` reads it. `test_public_types.py` sees to it that no method is forgotten.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, assert_type

from pydantic import BaseModel

from gigachat import AsyncGigaChat, AsyncStream, GigaChat, Stream, exceptions, models

if TYPE_CHECKING:
    from gigachat.settings import Settings


class Answer(BaseModel):
    text: str


class OtherAnswer(BaseModel):
    number: int


FUNCTION: dict[str, Any] = {"name": "f", "parameters": {"type": "object", "properties": {}}}


def chat(giga: GigaChat) -> None:
    assert_type(giga.chat("text"), models.ChatCompletion)
    assert_type(giga.chat({"messages": [{"role": "user", "content": "text"}]}), models.ChatCompletion)
    assert_type(giga.chat([{"role": "user", "content": "text"}]), models.ChatCompletion)
    message = models.Messages(role=models.MessagesRole.USER, content="text")
    assert_type(giga.chat([message]), models.ChatCompletion)
    assert_type(giga.chat(models.Chat(messages=[message])), models.ChatCompletion)
    assert_type(giga.chat(messages=[message, {"role": "user", "content": "text"}]), models.ChatCompletion)
    assert_type(
        giga.chat(
            "text",
            model="GigaChat-2-Max",
            temperature=0.2,
            top_p=1,
            n=1,
            max_tokens=10,
            repetition_penalty=1.0,
            update_interval=0.5,
            profanity_check=False,
            function_call="auto",
            functions=[FUNCTION, models.Function(name="g")],
            flags=["preprocess"],
            storage=models.Storage(is_stateful=True),
            function_ranker={"enabled": True},
            response_format={"type": "text"},
            additional_fields={"new": 1},
            reasoning_effort="low",
        ),
        models.ChatCompletion,
    )
    assert_type(giga.chat("text", function_call={"name": "f"}, model=None), models.ChatCompletion)


async def achat(giga: GigaChat) -> None:
    assert_type(await giga.achat("text"), models.ChatCompletion)
    assert_type(await giga.achat({"messages": []}, temperature=0.2), models.ChatCompletion)
    assert_type(await giga.achat(messages=[{"role": "user", "content": "text"}]), models.ChatCompletion)


async def async_chat(giga: AsyncGigaChat) -> None:
    assert_type(await giga.chat("text"), models.ChatCompletion)
    assert_type(await giga.chat(models.Chat(messages=[]), max_tokens=1), models.ChatCompletion)
    assert_type(await giga.chat(messages=[{"role": "user", "content": "text"}]), models.ChatCompletion)


def read_answer(answer: models.ChatCompletion) -> None:
    assert_type(answer.choices[0].message.content, str)
    assert_type(answer.choices[0].message.role, models.MessagesRole)
    assert_type(answer.choices[0].message.function_call, models.FunctionCall | None)
    assert_type(answer.choices[0].message.functions_state_id, str | None)
    assert_type(answer.choices[0].message.reasoning_content, str | None)
    assert_type(answer.choices[0].finish_reason, str | None)
    assert_type(answer.choices[0].index, int)
    assert_type(answer.usage, models.Usage)
    assert_type(answer.usage.total_tokens, int)
    assert_type(answer.usage.precached_prompt_tokens, int | None)
    assert_type(answer.created, int)
    assert_type(answer.model, str)
    assert_type(answer.object_, str)
    assert_type(answer.x_headers, dict[str, str | None] | None)


def stream(giga: GigaChat) -> None:
    assert_type(giga.stream("text"), Stream[models.ChatCompletionChunk, models.ChatCompletion])
    for chunk in giga.stream("text", temperature=0.2):
        assert_type(chunk, models.ChatCompletionChunk)
        assert_type(chunk.choices[0].delta.content, str | None)
        assert_type(chunk.choices[0].finish_reason, str | None)
        assert_type(chunk.usage, models.Usage | None)
    with giga.stream(messages=[{"role": "user", "content": "text"}]) as opened:
        assert_type(opened, Stream[models.ChatCompletionChunk, models.ChatCompletion])
        assert_type(next(opened), models.ChatCompletionChunk)
        assert_type(iter(opened), Iterator[models.ChatCompletionChunk])
        assert_type(opened.text_stream, Iterator[str])
        for text in opened.text_stream:
            assert_type(text, str)
        assert_type(opened.get_final_completion(), models.ChatCompletion)
        assert_type(opened.get_final_text(), str)
        opened.close()


async def read_async_stream(opened: AsyncStream[models.ChatCompletionChunk, models.ChatCompletion]) -> None:
    assert_type(await anext(opened), models.ChatCompletionChunk)
    assert_type(aiter(opened), AsyncIterator[models.ChatCompletionChunk])
    assert_type(opened.text_stream, AsyncIterator[str])
    async for text in opened.text_stream:
        assert_type(text, str)
    assert_type(await opened.get_final_completion(), models.ChatCompletion)
    assert_type(await opened.get_final_text(), str)
    await opened.close()
    await opened.aclose()


async def astream(giga: GigaChat) -> None:
    assert_type(giga.astream("text"), AsyncStream[models.ChatCompletionChunk, models.ChatCompletion])
    async for chunk in giga.astream("text", temperature=0.2):
        assert_type(chunk, models.ChatCompletionChunk)
    async with giga.astream(messages=[{"role": "user", "content": "text"}]) as opened:
        assert_type(opened, AsyncStream[models.ChatCompletionChunk, models.ChatCompletion])


async def async_stream(giga: AsyncGigaChat) -> None:
    assert_type(giga.stream("text"), AsyncStream[models.ChatCompletionChunk, models.ChatCompletion])
    async for chunk in giga.stream("text", temperature=0.2):
        assert_type(chunk, models.ChatCompletionChunk)
    async with giga.stream(messages=[{"role": "user", "content": "text"}]) as opened:
        assert_type(opened, AsyncStream[models.ChatCompletionChunk, models.ChatCompletion])


def chat_parse(giga: GigaChat) -> None:
    assert_type(giga.chat_parse("text", response_format=Answer), tuple[models.ChatCompletion, Answer])
    completion, other = giga.chat_parse([], response_format=OtherAnswer, strict=False, temperature=0.2)
    assert_type(completion, models.ChatCompletion)
    assert_type(other, OtherAnswer)


async def achat_parse(giga: GigaChat) -> None:
    assert_type(await giga.achat_parse("text", response_format=Answer), tuple[models.ChatCompletion, Answer])
    _, other = await giga.achat_parse(response_format=OtherAnswer, strict=False, messages=[])
    assert_type(other, OtherAnswer)


async def async_chat_parse(giga: AsyncGigaChat) -> None:
    assert_type(await giga.chat_parse("text", response_format=Answer), tuple[models.ChatCompletion, Answer])
    _, other = await giga.chat_parse({"messages": []}, response_format=OtherAnswer)
    assert_type(other, OtherAnswer)


def embeddings(giga: GigaChat) -> None:
    assert_type(giga.embeddings("text"), models.Embeddings)
    answer = giga.embeddings(["text"], model="EmbeddingsGigaR")
    assert_type(answer.data[0].embedding, list[float])
    assert_type(answer.data[0].usage.prompt_tokens, int)
    assert_type(giga.tokens_count(["text"], "GigaChat"), list[models.TokensCount])
    assert_type(giga.tokens_count("text")[0].tokens, int)
    assert_type(giga.tokens_count("text")[0].characters, int)


async def aembeddings(giga: GigaChat) -> None:
    assert_type(await giga.aembeddings(["text"]), models.Embeddings)
    assert_type(await giga.atokens_count("text", model="GigaChat"), list[models.TokensCount])


async def async_embeddings(giga: AsyncGigaChat) -> None:
    assert_type(await giga.embeddings(["text"]), models.Embeddings)
    assert_type(await giga.tokens_count("text", model="GigaChat"), list[models.TokensCount])


def get_models(giga: GigaChat) -> None:
    assert_type(giga.get_models(), models.Models)
    assert_type(giga.get_models().data[0].id_, str)
    assert_type(giga.get_model("GigaChat"), models.Model)
    assert_type(giga.get_model(model="GigaChat").type_, str | None)


async def aget_models(giga: GigaChat) -> None:
    assert_type(await giga.aget_models(), models.Models)
    assert_type(await giga.aget_model("GigaChat"), models.Model)


async def async_get_models(giga: AsyncGigaChat) -> None:
    assert_type(await giga.get_models(), models.Models)
    assert_type(await giga.get_model("GigaChat"), models.Model)


def get_token(giga: GigaChat) -> None:
    token = giga.get_token()
    assert_type(token, models.AccessToken | None)
    if token is not None:
        assert_type(token.access_token, str)
        assert_type(token.expires_at, int)


async def aget_token(giga: GigaChat) -> None:
    assert_type(await giga.aget_token(), models.AccessToken | None)


async def async_get_token(giga: AsyncGigaChat) -> None:
    assert_type(await giga.get_token(), models.AccessToken | None)
    assert_type(giga.token, str | None)


def request(giga: GigaChat) -> None:
    raw = giga.request("POST", "/new", json={"a": 1}, params={"q": ["1", "2"]}, headers={"X-Own": "1"})
    assert_type(raw, models.RawResponse)
    assert_type(raw.status_code, int)
    assert_type(raw.headers["x-request-id"], str)
    assert_type(raw.content, bytes)
    assert_type(raw.text, str)
    giga.request("PUT", "/new", content=b"raw")


async def arequest(giga: GigaChat) -> None:
    assert_type(await giga.arequest("GET", "/new"), models.RawResponse)
    assert_type(giga.token, str | None)


async def async_request(giga: AsyncGigaChat) -> None:
    assert_type(await giga.request("GET", "/new"), models.RawResponse)


def views(giga: GigaChat) -> None:
    view = giga.with_options(
        extra_headers={"X-Session-ID": "s"},
        extra_query={"q": "1"},
        extra_body={"new": [1]},
        timeout=(1.0, 2.0),
        max_retries=0,
    )
    assert_type(view, GigaChat)
    assert_type(view.chat("text"), models.ChatCompletion)
    assert_type(giga.with_options(timeout=5).with_options(max_retries=1), GigaChat)


async def async_views(giga: AsyncGigaChat) -> None:
    assert_type(giga.with_options(timeout=5.0), AsyncGigaChat)
    assert_type(await giga.with_options(timeout=5.0).chat("text"), models.ChatCompletion)


def contexts(giga: GigaChat) -> None:
    with GigaChat(credentials="key", verify_ssl_certs=False, timeout=5, flags=("a",)) as opened:
        assert_type(opened, GigaChat)
    giga.close()


async def acontexts(giga: GigaChat) -> None:
    async with GigaChat(base_url="https://api.giga.chat/v1", retry_on_status_codes=[429]) as opened:
        assert_type(opened, GigaChat)
    await giga.aclose()


async def async_contexts(giga: AsyncGigaChat) -> None:
    async with AsyncGigaChat(user="user", password="password", default_headers={"a": "b"}) as opened:
        assert_type(opened, AsyncGigaChat)
    await giga.close()
    await giga.aclose()


def from_settings(settings: Settings) -> None:
    assert_type(GigaChat(**settings.model_dump(exclude_none=True)), GigaChat)
    assert_type(settings.credentials, str | None)
    assert_type(settings.base_url, str)
    assert_type(settings.max_retries, int)
    assert_type(settings.timeouts, tuple[float | None, float | None, float | None])


def a_chat_in_either_colour(giga: GigaChat, agiga: AsyncGigaChat) -> None:
    class Mine(GigaChat):
        pass

    assert_type(Mine().with_options(timeout=1), Mine)
    assert_type(Mine().chat("text"), models.ChatCompletion)
    with Mine() as mine:
        assert_type(mine, Mine)


def errors_of_the_service(error: exceptions.ResponseError) -> None:
    assert_type(error.status_code, int)
    assert_type(error.code, int | None)
    assert_type(error.message, str)
    assert_type(error.request_id, str | None)
    assert_type(error.retry_after, float)
    assert_type(error.body, Any)
    assert_type(error.url, str)
    assert_type(error.headers, Mapping[str, str] | None)
    assert_type(error.content, bytes | None)


def classes_of_errors(giga: GigaChat) -> None:
    try:
        giga.chat("text")
    except (
        exceptions.BadRequestError,
        exceptions.AuthenticationError,
        exceptions.PaymentRequiredError,
        exceptions.ForbiddenError,
        exceptions.NotFoundError,
        exceptions.RequestEntityTooLargeError,
        exceptions.UnprocessableEntityError,
        exceptions.RateLimitError,
        exceptions.ServerError,
    ) as error:
        assert_type(error.retry_after, float)
        response_error: exceptions.ResponseError = error
        errors_of_the_service(response_error)
    except (exceptions.CertificateError, exceptions.StreamInterruptedError) as error:
        connection_error: ConnectionError = error
        own: exceptions.APIConnectionError = error
        print(connection_error, own)
    except exceptions.APITimeoutError as error:
        timeout: TimeoutError = error
        print(timeout)
    except exceptions.APIResponseValidationError as error:
        assert_type(error.content, bytes | None)
        assert_type(error.completion, Any)
        value_error: ValueError = error
        print(value_error)
    except (exceptions.LengthFinishReasonError, exceptions.ContentFilterFinishReasonError) as error:
        assert_type(error.completion, Any)
    except exceptions.ConfigurationError as error:
        value_error = error
    except exceptions.ModelNotSpecifiedError as error:
        base: exceptions.GigaChatException = error
        print(base)
