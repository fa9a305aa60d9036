"""The type of everything public in every mode, said by `assert_type` and checked by mypy and pyright.

Nothing here runs: `make lint` reads it. `test_public_types.py` sees to it that no method is forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypedDict, assert_type

import numpy as np
import numpy.typing as npt
import openai
from anyio import AsyncFile
from pydantic import BaseModel, SecretStr, TypeAdapter
from starlette.datastructures import UploadFile

from gigachat import (
    AsyncConversation,
    AsyncGigaChat,
    AsyncRunStream,
    AsyncStream,
    Conversation,
    Credential,
    GigaChat,
    Observer,
    RunDone,
    RunReasoning,
    RunResult,
    RunStream,
    RunText,
    Stream,
    Tool,
    ToolContext,
    ToolError,
    ToolStep,
    bulk,
    catalogue,
    diagnosis,
    exceptions,
    models,
    schema,
    tool,
)
from gigachat.assistants import AssistantsAsyncClient, AssistantsSyncClient
from gigachat.estimates import TokenEstimate
from gigachat.mcp import McpTools
from gigachat.observers import Attempt, ObservedCall, ObservedRun, ObservedTool, Outcome, TokenRenewal
from gigachat.otel import OpenTelemetry
from gigachat.threads import ThreadsAsyncClient, ThreadsSyncClient
from gigachat.types import ChatMessageFields, MessageFields, ModelName, Scope
from gigachat.usage import ClientUsage, ModelUsage, TokenCounts

if TYPE_CHECKING:
    from gigachat.settings import Settings


class Answer(BaseModel):
    text: str


class OtherAnswer(BaseModel):
    number: int


@dataclass
class Point:
    x: int


class City(TypedDict):
    title: str


FUNCTION: dict[str, Any] = {"name": "f", "parameters": {"type": "object", "properties": {}}}


WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def functions(giga: GigaChat) -> None:
    several = [WEATHER]
    giga.chat("text", functions=[WEATHER])
    giga.chat("text", functions=several)
    giga.chat.create("text", tools=[WEATHER, {"type": "function", "function": WEATHER}, "web_search"])
    giga.chat.create("text", tools=several)
    giga.chat("text", functions=[WEATHER, models.Function(name="f", parameters=PARAMETERS)])
    giga.chat.create("text", tools=[models.ChatFunctionSpecification(name="f", parameters=PARAMETERS)])
    city = models.FunctionParametersProperty(type=["string", "null"], description="City", minLength=1)
    parameters = models.FunctionParameters(type="object", properties={"city": city}, additionalProperties=False)
    function = models.Function(name="f", parameters=parameters, few_shot_examples=[{"request": "", "params": {}}])
    models.FunctionParameters(properties={"city": city, "days": {"type": "integer"}, "any": True}, required=["city"])
    assert_type(function.parameters, models.FunctionParameters | None)
    assert_type(parameters.properties, dict[Any, models.FunctionParametersProperty | bool] | None)
    assert_type(city.type_, str | list[str] | None)
    assert_type(schema.simplify(PARAMETERS), dict[str, Any])


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


def names(giga: GigaChat, model: ModelName, scope: Scope) -> None:
    GigaChat(model=model, scope=scope, fallback_models=[model, "another"])
    GigaChat(model="another", scope="ANOTHER")
    assert_type(giga.chat("text", model=model), models.ChatCompletion)
    assert_type(giga.chat.create("text", model="another"), models.ChatCompletionResponse)


def messages_as_dictionaries(giga: GigaChat, message: MessageFields, message_v2: ChatMessageFields) -> None:
    assert_type(giga.chat([message]), models.ChatCompletion)
    assert_type(giga.chat(messages=[message, {"role": "user", "content": "text"}]), models.ChatCompletion)
    giga.stream([message, models.Messages(role=models.MessagesRole.USER)])
    giga.chat_run([message], tools=[])
    giga.chat_parse([message], into=int)
    giga.conversation().send(message)
    giga.conversation().send([message, "text"])
    giga.check_filter(message)
    giga.check_filter([message, "text"])
    giga.estimate_tokens([message])
    giga.threads.add_message("id", message)
    giga.threads.run_messages([message])
    assert_type(giga.chat.create([message_v2]), models.ChatCompletionResponse)
    giga.chat.create(messages=[message_v2, models.ChatMessage(role="user", content="text")])
    giga.chat.stream([message_v2])
    giga.chat.run([message_v2], tools=[])
    giga.chat.parse([message_v2], into=int)
    giga.conversation(api="v2").send([message_v2])
    giga.estimate_tokens([message_v2])


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
    assert_type(answer.object, str)
    assert_type(answer.text, str)
    assert_type(answer.sources, list[models.CitedSource])
    assert_type(answer.x_headers, dict[str, str | None] | None)


def read_plain_names(file: models.UploadedFile, model: models.Model, batch: models.Batch) -> None:
    assert_type(file.id, str)
    assert_type(file.size, int)
    assert_type(model.id, str)
    assert_type(model.type, str | None)
    assert_type(batch.id, str)


def upload_of_a_framework(giga: GigaChat, form: UploadFile, opened: AsyncFile[bytes]) -> None:
    assert_type(giga.upload_file(form), models.UploadedFile)
    assert_type(giga.upload_file(opened), models.UploadedFile)


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


def partials(stream: Stream[models.ChatCompletionChunk, models.ChatCompletion]) -> None:
    assert_type(stream.partials(list[Answer]), Iterator[list[Answer]])
    assert_type(stream.partials(TypeAdapter(list[int])), Iterator[list[int]])
    assert_type(stream.partials(Answer), Iterator[Answer | dict[str, Any]])


def async_partials(stream: AsyncStream[models.ChatCompletionChunk, models.ChatCompletion]) -> None:
    assert_type(stream.partials(list[Answer]), AsyncIterator[list[Answer]])
    assert_type(stream.partials(Point), AsyncIterator[Point | dict[str, Any]])


async def async_stream(giga: AsyncGigaChat) -> None:
    assert_type(giga.stream("text"), AsyncStream[models.ChatCompletionChunk, models.ChatCompletion])
    async for chunk in giga.stream("text", temperature=0.2):
        assert_type(chunk, models.ChatCompletionChunk)
    async with giga.stream(messages=[{"role": "user", "content": "text"}]) as opened:
        assert_type(opened, AsyncStream[models.ChatCompletionChunk, models.ChatCompletion])


def chat_parse_into(giga: GigaChat) -> None:
    assert_type(giga.chat_parse("text", into=Answer), tuple[models.ChatCompletion, Answer])
    assert_type(giga.chat_parse("text", into=Point, strict=False)[1], Point)
    assert_type(giga.chat_parse("text", into=City, simplify=True)[1], City)
    assert_type(giga.chat_parse("text", into=list[Answer], repair=2, temperature=0.2)[1], list[Answer])
    assert_type(giga.chat_parse("text", into=dict[str, int])[1], dict[str, int])
    assert_type(giga.chat_parse("text", into=tuple[int, str])[1], tuple[int, str])
    assert_type(giga.chat_parse("text", into=date)[1], date)
    assert_type(giga.chat_parse("text", into=TypeAdapter(list[int]))[1], list[int])
    # A type checker takes no union or Literal for a type[T]: a TypeAdapter has its type.
    number: TypeAdapter[int | str] = TypeAdapter(int | str)
    assert_type(giga.chat_parse("text", into=number)[1], int | str)
    choice: TypeAdapter[Literal["yes", "no"]] = TypeAdapter(Literal["yes", "no"])
    assert_type(giga.chat_parse("text", into=choice)[1], Literal["yes", "no"])


def chat_parse(giga: GigaChat) -> None:
    assert_type(giga.chat_parse("text", response_format=Answer), tuple[models.ChatCompletion, Answer])
    completion, other = giga.chat_parse([], response_format=OtherAnswer, strict=False, temperature=0.2)
    assert_type(completion, models.ChatCompletion)
    assert_type(other, OtherAnswer)


async def achat_parse(giga: GigaChat) -> None:
    assert_type(await giga.achat_parse("text", response_format=Answer), tuple[models.ChatCompletion, Answer])
    _, other = await giga.achat_parse(response_format=OtherAnswer, strict=False, messages=[])
    assert_type(other, OtherAnswer)


async def async_chat_parse_into(hybrid: GigaChat, giga: AsyncGigaChat) -> None:
    assert_type(await giga.chat_parse("text", into=Answer, repair=1), tuple[models.ChatCompletion, Answer])
    assert_type((await giga.chat_parse("text", into=TypeAdapter(list[int])))[1], list[int])
    assert_type((await hybrid.achat_parse("text", into=list[Answer], simplify=True))[1], list[Answer])
    assert_type((await hybrid.achat_parse("text", into=date))[1], date)


async def async_chat_parse(giga: AsyncGigaChat) -> None:
    assert_type(await giga.chat_parse("text", response_format=Answer), tuple[models.ChatCompletion, Answer])
    _, other = await giga.chat_parse({"messages": []}, response_format=OtherAnswer)
    assert_type(other, OtherAnswer)


def chat_create(giga: GigaChat) -> None:
    assert_type(giga.chat.create("text"), models.ChatCompletionResponse)
    assert_type(giga.chat.create({"messages": []}), models.ChatCompletionResponse)
    message = models.ChatMessage(role="user", content="text")
    result = models.ChatMessage.function_result("f", {"a": 1}, tools_state_id="state")
    assert_type(result, models.ChatMessage)
    parts = models.ChatMessage(role="user", content=["text", {"files": ["id"]}, models.ChatContentPart(text="text")])
    assert_type(giga.chat.create([message, result, {"role": "user", "content": "text"}]), models.ChatCompletionResponse)
    assert_type(giga.chat.create(models.ChatCompletionRequest(messages=[parts])), models.ChatCompletionResponse)
    assert_type(giga.chat.create(messages=[message, {"role": "user", "content": "a"}]), models.ChatCompletionResponse)
    assert_type(
        giga.chat.create(
            "text",
            model="GigaChat-3-Ultra",
            assistant_id=None,
            model_options=models.ChatModelOptions(temperature=0.2),
            temperature=0.2,
            top_p=1,
            max_tokens=10,
            repetition_penalty=1.0,
            update_interval=0.5,
            unnormalized_history=True,
            top_logprobs=1,
            preset="p",
            response_format={"regex": "[A-Z]"},
            reasoning={"effort": "low"},
            reasoning_effort="off",
            tools=["web_search", models.ChatTool(memory={}), models.Function(name="g"), FUNCTION],
            tool_config="auto",
            tools_state_id="state",
            storage=True,
            ranker_options={"enabled": True},
            user_info=models.ChatUserInfo(timezone="Europe/Moscow"),
            filter_config={"request_content": {"neuro": True}},
            disable_filter=False,
            profanity_check=True,
            flags=["preprocess"],
            additional_fields={"new": 1},
        ),
        models.ChatCompletionResponse,
    )
    assert_type(
        giga.chat.create("text", tool_config=models.ChatToolConfig(mode="none"), storage=models.ChatStorage(limit=1)),
        models.ChatCompletionResponse,
    )


async def achat_create(giga: GigaChat) -> None:
    assert_type(await giga.achat.create("text"), models.ChatCompletionResponse)
    assert_type(await giga.achat.create({"messages": []}, temperature=0.2), models.ChatCompletionResponse)


async def async_chat_create(giga: AsyncGigaChat) -> None:
    assert_type(await giga.chat.create("text"), models.ChatCompletionResponse)
    assert_type(await giga.chat.create(messages=[{"role": "user", "content": "a"}]), models.ChatCompletionResponse)


def read_created(answer: models.ChatCompletionResponse) -> None:
    assert_type(answer.text, str)
    assert_type(answer.reasoning_content, str)
    assert_type(answer.function_calls, list[models.PrimaryChatFunctionCall])
    assert_type(answer.function_calls[0].name, str)
    assert_type(answer.function_calls[0].arguments, Any)
    assert_type(answer.messages[0].function_calls, list[models.PrimaryChatFunctionCall])
    assert_type(answer.sources, list[models.CitedSource])
    assert_type(answer.sources[0].number, int)
    assert_type(answer.sources[0].url, str | None)
    assert_type(answer.sources[0].title, str | None)
    assert_type(answer.files, list[models.ChatContentFile])
    assert_type(answer.images, list[models.ChatContentFile])
    assert_type(answer.files[0].id_, str)
    assert_type(answer.messages, list[models.ChatMessage])
    assert_type(answer.messages[0].role, str)
    assert_type(answer.messages[0].content, list[models.ChatContentPart] | None)
    assert_type(answer.messages[0].tools_state_id, str | None)
    assert_type(answer.finish_reason, str | None)
    assert_type(answer.usage, models.ChatUsage | None)
    assert_type(answer.created_at, int | None)
    assert_type(answer.model, str | None)
    assert_type(answer.thread_id, str | None)
    assert_type(answer.additional_data, Any)
    assert_type(answer.x_headers, dict[str, str | None] | None)


def chat_stream(giga: GigaChat) -> None:
    assert_type(giga.chat.stream("text"), Stream[models.PrimaryChatCompletionChunk, models.ChatCompletionResponse])
    for chunk in giga.chat.stream("text", temperature=0.2):
        assert_type(chunk, models.PrimaryChatCompletionChunk)
        assert_type(chunk.text, str)
        assert_type(chunk.event, str | None)
        assert_type(chunk.messages, list[models.ChatMessageChunk] | None)
        assert_type(chunk.usage, models.ChatUsage | None)
    with giga.chat.stream("text") as opened:
        assert_type(opened.get_final_completion(), models.ChatCompletionResponse)


async def achat_stream(giga: GigaChat) -> None:
    assert_type(
        giga.achat.stream("text"), AsyncStream[models.PrimaryChatCompletionChunk, models.ChatCompletionResponse]
    )
    async for chunk in giga.achat.stream("text", temperature=0.2):
        assert_type(chunk, models.PrimaryChatCompletionChunk)


async def async_chat_stream(giga: AsyncGigaChat) -> None:
    async with giga.chat.stream(messages=[{"role": "user", "content": "text"}]) as opened:
        assert_type(opened, AsyncStream[models.PrimaryChatCompletionChunk, models.ChatCompletionResponse])
        assert_type(await opened.get_final_completion(), models.ChatCompletionResponse)


def weather(city: str, days: int = 1) -> dict[str, int]:
    return {city: days}


measured = tool(weather)


@tool(name="later", timeout=5, approve=lambda call: "not now", examples=[{"request": "?", "params": {"city": "x"}}])
async def weather_later(city: str) -> float:
    return 0.0


class Forecast:
    @tool
    def of(self, city: str, context: ToolContext[int]) -> int:
        return assert_type(context.deps, int)

    @tool(parameters=WEATHER)
    async def later(self, **arguments: int) -> None: ...


def tools(giga: GigaChat, forecast: Forecast) -> None:
    assert_type(measured("Псков", days=2), dict[str, int])
    assert_type(measured.name, str)
    assert_type(measured.parameters, dict[str, Any])
    assert_type(measured.is_async, bool)
    assert_type(measured.timeout, float | None)
    assert_type(measured.function(), models.Function)
    assert_type(measured.specification(), models.ChatFunctionSpecification)
    assert_type(measured.bind({"city": "Псков"}, ToolContext(None)), Callable[[], Any])
    assert_type(forecast.of("Псков", ToolContext(1)), int)
    assert_type(Forecast.of(forecast, "Псков", ToolContext(1)), int)
    assert_type(ToolContext("text"), ToolContext[str])
    giga.chat("text", functions=[measured, forecast.of, weather, FUNCTION, lambda: 1])
    giga.chat.create("text", tools=[measured, forecast.of, weather, FUNCTION, "web_search"])
    giga.validate_function(measured)
    print(ToolError("text"))


async def async_tools(forecast: Forecast) -> None:
    assert_type(await weather_later("Псков"), float)
    assert_type(await forecast.later(days=1), None)


async def post(context: ToolContext[int], text: str) -> str:
    return text * context.deps


Run = RunResult[models.ChatCompletion, models.Messages, models.Usage]
RunV2 = RunResult[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]


def mcp_tools(giga: GigaChat) -> None:
    with McpTools(["python", Path("server.py")], approve=lambda call: call.name == "x", env={"A": "b"}) as tools:
        assert_type(tools, McpTools)
        assert_type(tools[0], Tool[..., Any])
        assert_type(tools[1:], Sequence[Tool[..., Any]])
        assert_type([one.name for one in tools], list[str])
        assert_type(tools.refresh(), None)
        assert_type(giga.chat_run("text", tools=tools), Run)
        assert_type(giga.chat_run("text", tools=[weather, tools]), Run)
        assert_type(giga.chat.run("text", tools=tools), RunV2)
        assert_type(giga.chat.run("text", tools=[tools, "web_search"]), RunV2)
        giga.conversation(tools=[tools])
        giga.chat("text", functions=tools)
        giga.chat.create("text", tools=tools)
    assert_type(McpTools("https://host/mcp", headers={}, allow=["a"], timeout=None).open(), McpTools)
    assert_type(McpTools(Path("server.py"), allow=lambda name: name == "a", prefix="a_").close(), None)


async def async_mcp_tools(giga: AsyncGigaChat) -> None:
    async with McpTools("python server.py", startup_timeout=5) as tools:
        assert_type(tools, McpTools)
        assert_type(await giga.chat_run("text", tools=[tools]), Run)
        assert_type(await tools.arefresh(), None)
    assert_type(await tools.aopen(), McpTools)
    assert_type(await tools.aclose(), None)


def runs(giga: GigaChat) -> None:
    result = giga.chat_run("text", tools=[weather, tool(post)], max_steps=3, deps=2, temperature=0.2)
    assert_type(result, Run)
    assert_type(result.completion, models.ChatCompletion)
    assert_type(result.messages, list[models.Messages])
    assert_type(result.usage, models.Usage)
    assert_type(result.steps, list[ToolStep])
    assert_type(giga.chat.run("text", tools=[weather, "web_search"], approve=lambda call: call.name == "x"), RunV2)
    with giga.chat_run_stream("text", tools=[weather]) as stream:
        assert_type(stream, RunStream[models.ChatCompletion, models.Messages, models.Usage])
        for event in stream:
            if isinstance(event, RunDone):
                assert_type(event.result, Run)
            elif isinstance(event, RunText | RunReasoning):
                assert_type(event.text, str)
        assert_type(stream.get_final_result(), Run)
    assert_type(
        giga.chat.run_stream("text", tools=[]),
        RunStream[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage],
    )


async def async_runs(giga: AsyncGigaChat, hybrid: GigaChat) -> None:
    assert_type(await giga.chat_run("text", tools=[weather]), Run)
    assert_type(await giga.chat.run("text", tools=[weather]), RunV2)
    assert_type(await hybrid.achat_run("text", tools=[weather]), Run)
    assert_type(await hybrid.achat.run("text", tools=[weather]), RunV2)
    async with giga.chat_run_stream("text", tools=[weather]) as stream:
        assert_type(stream, AsyncRunStream[models.ChatCompletion, models.Messages, models.Usage])
        assert_type(await stream.get_final_result(), Run)
    assert_type(
        hybrid.achat_run_stream("text", tools=[weather]),
        AsyncRunStream[models.ChatCompletion, models.Messages, models.Usage],
    )


V1 = Conversation[models.ChatCompletion, models.Messages, models.Usage]
V2 = Conversation[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]
AsyncV1 = AsyncConversation[models.ChatCompletion, models.Messages, models.Usage]
AsyncV2 = AsyncConversation[models.ChatCompletionResponse, models.ChatMessage, models.ChatUsage]


def conversations(giga: GigaChat) -> None:
    conversation = giga.conversation(system="s", tools=[weather], window=1000, compact=True, temperature=0.2)
    assert_type(conversation, V1)
    assert_type(giga.conversation(api="v2", storage="talk.jsonl"), V2)
    assert_type(giga.aconversation(), AsyncV1)
    assert_type(giga.aconversation(api="v2"), AsyncV2)
    assert_type(conversation.send("text"), Run)
    assert_type(conversation.messages, list[models.Messages])
    assert_type(conversation.undo(), list[models.Messages])
    assert_type(conversation.unfinished, list[models.Messages])
    assert_type(conversation.send(conversation.unfinished), Run)
    assert_type(conversation.send(["text", {"role": "user", "content": "text"}]), Run)
    conversation.save()
    assert_type(conversation.usage, models.Usage)
    assert_type(conversation.session_id, str)
    with conversation.stream("text", files=["id"]) as stream:
        assert_type(stream.get_final_result(), Run)


async def async_conversations(giga: AsyncGigaChat) -> None:
    assert_type(giga.conversation(), AsyncV1)
    conversation = giga.conversation(api="v2", session_id="s")
    assert_type(conversation, AsyncV2)
    assert_type(await conversation.send("text"), RunV2)
    assert_type(await conversation.send(conversation.unfinished), RunV2)
    assert_type(await conversation.undo(), list[models.ChatMessage])
    await conversation.save("talk.jsonl")


def chat_create_parsed_into(giga: GigaChat) -> None:
    assert_type(giga.chat.parse("text", into=Answer), tuple[models.ChatCompletionResponse, Answer])
    assert_type(giga.chat.parse("text", into=Point, strict=False)[1], Point)
    assert_type(giga.chat.parse("text", into=City, simplify=True)[1], City)
    assert_type(giga.chat.parse("text", into=list[Answer], repair=2, temperature=0.2)[1], list[Answer])
    assert_type(giga.chat.parse("text", into=dict[str, int])[1], dict[str, int])
    assert_type(giga.chat.parse("text", into=tuple[int, str])[1], tuple[int, str])
    assert_type(giga.chat.parse("text", into=date)[1], date)
    assert_type(giga.chat.parse("text", into=TypeAdapter(list[int]))[1], list[int])
    # A type checker takes no union or Literal for a type[T]: a TypeAdapter has its type.
    number: TypeAdapter[int | str] = TypeAdapter(int | str)
    assert_type(giga.chat.parse("text", into=number)[1], int | str)
    choice: TypeAdapter[Literal["yes", "no"]] = TypeAdapter(Literal["yes", "no"])
    assert_type(giga.chat.parse("text", into=choice)[1], Literal["yes", "no"])


def chat_create_parsed(giga: GigaChat) -> None:
    assert_type(giga.chat.parse("text", response_format=Answer), tuple[models.ChatCompletionResponse, Answer])
    completion, other = giga.chat.parse([], response_format=OtherAnswer, strict=False, temperature=0.2)
    assert_type(completion, models.ChatCompletionResponse)
    assert_type(other, OtherAnswer)


async def achat_create_parsed(giga: GigaChat) -> None:
    assert_type(await giga.achat.parse("text", response_format=Answer), tuple[models.ChatCompletionResponse, Answer])
    _, other = await giga.achat.parse(response_format=OtherAnswer, strict=False, messages=[])
    assert_type(other, OtherAnswer)


async def async_chat_create_parsed_into(hybrid: GigaChat, giga: AsyncGigaChat) -> None:
    assert_type(await giga.chat.parse("text", into=Answer, repair=1), tuple[models.ChatCompletionResponse, Answer])
    assert_type((await giga.chat.parse("text", into=TypeAdapter(list[int])))[1], list[int])
    assert_type((await hybrid.achat.parse("text", into=list[Answer], simplify=True))[1], list[Answer])
    assert_type((await hybrid.achat.parse("text", into=date))[1], date)


async def async_chat_create_parsed(giga: AsyncGigaChat) -> None:
    assert_type(await giga.chat.parse("text", response_format=Answer), tuple[models.ChatCompletionResponse, Answer])
    _, other = await giga.chat.parse({"messages": []}, response_format=OtherAnswer)
    assert_type(other, OtherAnswer)


def embeddings(giga: GigaChat) -> None:
    assert_type(giga.embeddings("text"), models.Embeddings)
    answer = giga.embeddings(["text"], model="EmbeddingsGigaR")
    assert_type(answer.data[0].embedding, list[float])
    assert_type(answer.data[0].usage.prompt_tokens, int)
    assert_type(giga.tokens_count(["text"], "GigaChat"), list[models.TokensCount])
    assert_type(giga.tokens_count("text")[0].tokens, int)
    assert_type(giga.tokens_count("text")[0].characters, int)


def embedding_errors(error: exceptions.RequestEntityTooLargeError) -> None:
    assert_type(error.text_index, int | None)


def embed(giga: GigaChat) -> None:
    texts = (text for text in ("text",))
    assert_type(giga.embed(texts), npt.NDArray[np.float32])
    assert_type(
        giga.embed("text", "EmbeddingsGigaR", batch_size=10, concurrency=2, progress=print), npt.NDArray[np.float32]
    )
    assert_type(giga.embed_slices(texts, batch_size=10, concurrency=2), Iterator[npt.NDArray[np.float32]])
    for vectors in giga.embed_slices(["text"], model="Embeddings-2"):
        assert_type(vectors, npt.NDArray[np.float32])


async def aembed(giga: GigaChat) -> None:
    assert_type(await giga.aembed({"text"}), npt.NDArray[np.float32])
    async for vectors in giga.aembed_slices(["text"]):
        assert_type(vectors, npt.NDArray[np.float32])


async def async_embed(giga: AsyncGigaChat) -> None:
    assert_type(await giga.embed(["text"], progress=lambda done, total: None), npt.NDArray[np.float32])
    assert_type(giga.embed_slices(["text"]), AsyncIterator[npt.NDArray[np.float32]])
    async for vectors in giga.embed_slices(["text"]):
        assert_type(vectors, npt.NDArray[np.float32])


def estimates(giga: GigaChat, completion: models.ChatCompletion, other: models.ChatCompletionResponse) -> None:
    message = models.Messages(role=models.MessagesRole.USER, content="text")
    assert_type(giga.estimate_tokens("text"), TokenEstimate)
    assert_type(giga.estimate_tokens(["text"], model="GigaChat-2").tokens, int)
    assert_type(giga.estimate_tokens([message, {"role": "user", "content": "text"}]).error, float)
    assert_type(giga.estimate_tokens(models.Chat(messages=[message])).most, int)
    giga.calibrate_tokens(completion)
    giga.calibrate_tokens(other, [models.ChatMessage(role="user", content="text")])


def async_estimates(giga: AsyncGigaChat, completion: models.ChatCompletion) -> None:
    assert_type(giga.estimate_tokens("text"), TokenEstimate)
    giga.calibrate_tokens(completion)


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
    own = catalogue.ModelInfo("GigaChat-2", price=catalogue.Price(0.1, 0.2, date(2026, 11, 1)))
    assert_type(giga.models_info(), list[catalogue.ModelInfo])
    assert_type(giga.models_info(overrides=[own])[0].modalities, tuple[str, ...] | None)
    assert_type(catalogue.find("GigaChat"), catalogue.ModelInfo | None)
    assert_type(catalogue.window("GigaChat:latest"), int | None)


async def aget_models(giga: GigaChat) -> None:
    assert_type(await giga.aget_models(), models.Models)
    assert_type(await giga.aget_model("GigaChat"), models.Model)
    assert_type(await giga.amodels_info(), list[catalogue.ModelInfo])


async def async_get_models(giga: AsyncGigaChat) -> None:
    assert_type(await giga.get_models(), models.Models)
    assert_type(await giga.get_model("GigaChat"), models.Model)
    assert_type(await giga.models_info(), list[catalogue.ModelInfo])


def answer_files(answer: models.ChatCompletion, path: Path) -> None:
    assert_type(answer.files, list[models.AnswerFile])
    assert_type(answer.images, list[models.AnswerFile])
    assert_type(answer.files[0].id, str)
    assert_type(answer.files[0].target, str | None)
    assert_type(answer.files[0].mime, str | None)
    assert_type(answer.files[0].is_image, bool)
    assert_type(answer.files[0].read(), bytes)
    assert_type(answer.images[0].save(path), Path)
    assert_type(answer.images[0].save("folder/a.jpg"), Path)


async def async_answer_files(answer: models.ChatCompletionResponse, path: Path) -> None:
    assert_type(await answer.files[0].aread(), bytes)
    assert_type(await answer.images[0].asave(path), Path)


def attachments(giga: GigaChat, path: Path, image: models.AnswerFile) -> None:
    assert_type(giga.attach(path), models.UploadedFile)
    assert_type(giga.attach(b"text"), models.UploadedFile)
    assert_type(giga.chat("text", files=[giga.attach("a.png"), image, "id"]), models.ChatCompletion)
    assert_type(giga.chat.create("text", files=[giga.attach("a.png"), image, "id"]), models.ChatCompletionResponse)
    assert_type(giga.transcribe(path), models.ChatCompletion)
    assert_type(giga.transcribe(("a.wav", b""), prompt="text", model="GigaChat-2-Max"), models.ChatCompletion)


async def async_attachments(giga: AsyncGigaChat, hybrid: GigaChat, path: Path) -> None:
    assert_type(await giga.attach(path), models.UploadedFile)
    assert_type(await hybrid.aattach(path), models.UploadedFile)
    assert_type(await giga.transcribe(path), models.ChatCompletion)
    assert_type(await hybrid.atranscribe(path), models.ChatCompletion)


def files(giga: GigaChat, path: Path, file: IO[bytes]) -> None:
    assert_type(giga.upload_file("a.txt"), models.UploadedFile)
    assert_type(giga.upload_file(path, "assistant"), models.UploadedFile)
    assert_type(giga.upload_file(b"text", purpose="general"), models.UploadedFile)
    assert_type(giga.upload_file(file), models.UploadedFile)
    assert_type(giga.upload_file(("a.txt", "text")), models.UploadedFile)
    assert_type(giga.upload_file(("a.txt", path, "text/plain")), models.UploadedFile)
    assert_type(giga.upload_file((None, file, None, {"Content-Type": "text/plain"})), models.UploadedFile)
    assert_type(giga.get_files(), models.UploadedFiles)
    assert_type(giga.get_files().data[0].bytes_, int)
    assert_type(giga.get_file("id").filename, str)
    assert_type(giga.delete_file(file="id"), models.DeletedFile)
    assert_type(giga.get_image("id"), models.Image)
    assert_type(giga.get_image("id").content, str)
    assert_type(giga.get_file_content(file_id="id"), models.File)
    assert_type(giga.download_file("id", path), Path)
    assert_type(giga.download_file("id", "folder/a.txt"), Path)


async def afiles(giga: GigaChat, path: Path) -> None:
    assert_type(await giga.aupload_file(("a.txt", b"text")), models.UploadedFile)
    assert_type(await giga.aget_files(), models.UploadedFiles)
    assert_type(await giga.aget_file("id"), models.UploadedFile)
    assert_type(await giga.adelete_file("id"), models.DeletedFile)
    assert_type(await giga.aget_image("id"), models.Image)
    assert_type(await giga.aget_file_content("id"), models.File)
    assert_type(await giga.adownload_file("id", path), Path)


async def async_files(giga: AsyncGigaChat, path: Path) -> None:
    assert_type(await giga.upload_file(path), models.UploadedFile)
    assert_type(await giga.get_files(), models.UploadedFiles)
    assert_type(await giga.get_file("id"), models.UploadedFile)
    assert_type(await giga.delete_file("id"), models.DeletedFile)
    assert_type(await giga.get_image("id"), models.Image)
    assert_type(await giga.get_file_content("id"), models.File)
    assert_type(await giga.download_file("id", path), Path)


def batches(giga: GigaChat, path: Path) -> None:
    assert_type(giga.create_batch(path), models.Batch)
    assert_type(giga.create_batch(b"{}", "chat_completions"), models.Batch)
    assert_type(giga.create_batch(["text", {"messages": []}, models.Chat(messages=[])]), models.Batch)
    batch = giga.create_batch(["text"], method="embedder")
    assert_type(batch.output_file_id, str | None)
    assert_type(batch.request_counts.completed, int)
    assert_type(giga.get_batches().batches, list[models.Batch])
    assert_type(giga.get_batches(batch_id="id"), models.Batches)
    assert_type(giga.wait_batch(batch, poll_interval=1, timeout=None, progress=print), models.Batch)
    for result in giga.batch_results("id"):
        assert_type(result, models.BatchResult)
        assert_type(result.result, models.ChatCompletion | models.Embeddings | dict[str, Any] | None)
        assert_type(result.error, models.BatchError | str | None)
        assert_type(result.line, str | None)


async def abatches(giga: GigaChat) -> None:
    assert_type(await giga.acreate_batch(["text"]), models.Batch)
    assert_type(await giga.aget_batches(), models.Batches)
    assert_type(await giga.await_batch("id", timeout=1.5), models.Batch)
    assert_type(await giga.abatch_results("id"), list[models.BatchResult])


async def async_batches(giga: AsyncGigaChat) -> None:
    assert_type(await giga.create_batch(["text"]), models.Batch)
    assert_type(await giga.get_batches(), models.Batches)
    assert_type(await giga.wait_batch("id"), models.Batch)
    assert_type(await giga.batch_results("id"), list[models.BatchResult])


def functions_and_checks(giga: GigaChat) -> None:
    assert_type(giga.openapi_function_convert("openapi: 3.0.0").functions, list[models.Function])
    assert_type(giga.validate_function({"name": "f"}), models.FunctionValidationResult)
    assert_type(giga.validate_function(models.Function(name="f")).valid, bool)
    assert_type(giga.check_ai("text", "GigaCheckDetection"), models.AICheckResult)
    assert_type(giga.check_filter("text"), models.FilterCheckResult)
    message = models.Messages(role=models.MessagesRole.USER, content="text")
    assert_type(giga.check_filter([message, {"role": "user"}], settings={"neuro": True}).is_profane, bool)
    assert_type(giga.get_balance(), models.Balance)
    assert_type(giga.diagnose(language="ru", timeout=5).ok, bool)
    assert_type(giga.diagnose().findings[0], diagnosis.Finding)


class Observing(Observer):
    def answered(self, call: ObservedCall) -> None:
        assert_type(call.usage, TokenCounts | None)
        assert_type(call.run, ObservedRun | None)
        assert_type(call.outcome, Outcome | None)
        assert_type(call.seconds, float | None)

    def retry(self, call: ObservedCall, attempt: Attempt, pause: float) -> None:
        assert_type(attempt.error, type[BaseException] | None)
        assert_type(pause, float)

    def stream_ended(self, call: ObservedCall, error: BaseException | None) -> None:
        assert_type(call.model, str | None)

    def token_renewed(self, renewal: TokenRenewal) -> None:
        assert_type(renewal.lifetime, float)

    def tool_started(self, tool: ObservedTool) -> None:
        assert_type(tool.run, ObservedRun)


def observed() -> None:
    with GigaChat(observers=[Observing(), OpenTelemetry(mask=[r"\d+"])]) as giga:
        assert_type(giga.usage, ClientUsage)


def usage(giga: GigaChat) -> None:
    assert_type(giga.usage.models, Mapping[str, ModelUsage])
    assert_type(giga.usage.total, ModelUsage)
    assert_type(giga.usage.input_tokens, int)
    price = catalogue.Price(input=0.2, output=0.2, date=date(2026, 11, 1))
    assert_type(giga.usage.cost({"GigaChat": price}), float | None)


def async_usage(giga: AsyncGigaChat) -> None:
    assert_type(giga.usage, ClientUsage)


async def afunctions_and_checks(giga: GigaChat) -> None:
    assert_type(await giga.aopenapi_function_convert("openapi: 3.0.0"), models.OpenApiFunctions)
    assert_type(await giga.avalidate_function({"name": "f"}), models.FunctionValidationResult)
    assert_type(await giga.acheck_ai(text="text", model="GigaCheckDetection"), models.AICheckResult)
    assert_type(await giga.acheck_filter("text"), models.FilterCheckResult)
    assert_type(await giga.aget_balance(), models.Balance)
    assert_type(await giga.adiagnose(), diagnosis.Report)


async def async_functions_and_checks(giga: AsyncGigaChat) -> None:
    assert_type(await giga.openapi_function_convert("openapi: 3.0.0"), models.OpenApiFunctions)
    assert_type(await giga.validate_function({"name": "f"}), models.FunctionValidationResult)
    assert_type(await giga.check_ai("text", "GigaCheckDetection"), models.AICheckResult)
    assert_type(await giga.check_filter("text"), models.FilterCheckResult)
    assert_type(await giga.get_balance(), models.Balance)
    assert_type(await giga.diagnose(language="en"), diagnosis.Report)


def assistants(giga: GigaChat) -> None:
    assert_type(giga.assistants.get(), models.Assistants)
    assert_type(
        giga.assistants.create("GigaChat", "name", functions=[FUNCTION], metadata={"team": 1}), models.CreateAssistant
    )
    assert_type(giga.assistants.update("id", instructions="text", file_ids=["id"]), models.Assistant)
    assert_type(giga.assistants.delete("id"), models.AssistantDelete)
    assert_type(giga.assistants.delete_file("id", "id"), models.AssistantFileDelete)
    assert_type(AssistantsSyncClient(giga).get(), models.Assistants)


async def aassistants(giga: GigaChat) -> None:
    assert_type(await giga.a_assistants.get("id"), models.Assistants)
    assert_type(await giga.a_assistants.create("GigaChat", "name"), models.CreateAssistant)
    assert_type(await giga.a_assistants.update("id"), models.Assistant)
    assert_type(await giga.a_assistants.delete("id"), models.AssistantDelete)
    assert_type(await giga.a_assistants.delete_file("id", "id"), models.AssistantFileDelete)
    assert_type(await AssistantsAsyncClient(giga).get(), models.Assistants)


async def async_assistants(giga: AsyncGigaChat) -> None:
    assert_type(await giga.assistants.get(), models.Assistants)


def threads(giga: GigaChat) -> None:
    options = models.ThreadRunOptions(temperature=0.5)
    assert_type(giga.threads.get_threads(["id"], 10, 0), models.Threads)
    assert_type(giga.threads.list(limit=10), models.Threads)
    assert_type(giga.threads.create_thread(), str)
    assert_type(giga.threads.retrieve(["id"]).threads[0].status, models.ThreadStatus | None)
    assert_type(giga.threads.delete("id"), bool)
    assert_type(giga.threads.get_messages("id").messages, list[models.ThreadMessage])
    assert_type(giga.threads.add_message("id", {"role": "user"}), models.ThreadMessagesResponse)
    assert_type(giga.threads.add_messages("id", ["text"]), models.ThreadMessagesResponse)
    assert_type(giga.threads.run("id", thread_options={"top_p": 0.5}), models.ThreadRunResponse)
    assert_type(giga.threads.get_run("id"), models.ThreadRunResult)
    assert_type(giga.threads.run_messages(["text"], thread_options=options).message, models.Messages)
    assert_type(giga.threads.rerun_messages("id"), models.ThreadCompletion)
    assert_type(giga.threads.run_stream("id"), Stream[models.ThreadCompletionChunk, models.ThreadCompletion])
    for chunk in giga.threads.run_messages_stream(["text"], update_interval=1):
        assert_type(chunk.choices[0].delta.content, str | None)
    with giga.threads.rerun_messages_stream("id") as answer:
        assert_type(answer.get_final_completion(), models.ThreadCompletion)
    assert_type(ThreadsSyncClient(giga).create_thread(), str)


async def athreads(giga: GigaChat) -> None:
    assert_type(await giga.a_threads.list(), models.Threads)
    assert_type(await giga.a_threads.create_thread(), str)
    assert_type(await giga.a_threads.run_messages(["text"]), models.ThreadCompletion)
    async for chunk in giga.a_threads.run_stream("id"):
        assert_type(chunk, models.ThreadCompletionChunk)
    assert_type(await ThreadsAsyncClient(giga).create_thread(), str)


async def async_threads(giga: AsyncGigaChat) -> None:
    assert_type(await giga.threads.list(), models.Threads)
    assert_type(await giga.threads.delete("id"), bool)
    async with giga.threads.run_stream("id") as answer:
        assert_type(await answer.get_final_completion(), models.ThreadCompletion)


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


def chat_is_a_callable(giga: GigaChat) -> None:
    ask: Callable[[str], models.ChatCompletion] = giga.chat
    assert_type(ask("text"), models.ChatCompletion)
    assert_type(list(map(giga.chat, ["text"])), list[models.ChatCompletion])


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


def openai_clients(giga: GigaChat) -> None:
    assert_type(giga.openai_client(), openai.OpenAI)
    assert_type(giga.aopenai_client(), openai.AsyncOpenAI)


async def async_openai_clients(giga: AsyncGigaChat) -> None:
    assert_type(giga.openai_client(), openai.AsyncOpenAI)


def views(giga: GigaChat) -> None:
    view = giga.with_options(
        extra_headers={"X-Session-ID": "s"},
        extra_query={"q": "1"},
        extra_body={"new": [1]},
        timeout=(1.0, 2.0),
        max_retries=0,
        session_id="conversation-17",
        fallback_models=["GigaChat-2-Pro"],
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


def secrets(key: SecretStr) -> None:
    assert_type(GigaChat(credentials=key, proxy=key), GigaChat)
    assert_type(AsyncGigaChat(client_id="id", client_secret=key, key_file_password=key), AsyncGigaChat)
    assert_type(GigaChat(user="user", password=key, access_token=key), GigaChat)


def warned() -> None:
    warning: UserWarning = exceptions.GigaChatWarning("text")
    print(warning)


def from_settings(settings: Settings) -> None:
    assert_type(GigaChat(**settings.model_dump(exclude_none=True)), GigaChat)
    assert_type(settings.credentials, str | None)
    assert_type(settings.base_url, str)
    assert_type(settings.max_retries, int)
    assert_type(settings.timeouts, tuple[float | None, float | None, float | None])


def a_chat_in_either_mode(giga: GigaChat, agiga: AsyncGigaChat) -> None:
    class Mine(GigaChat):
        pass

    assert_type(Mine().with_options(timeout=1), Mine)
    assert_type(Mine().chat("text"), models.ChatCompletion)
    with Mine() as mine:
        assert_type(mine, Mine)


def several_credentials() -> None:
    first = Credential("key", scope="GIGACHAT_API_CORP", max_concurrency=10, name="first")
    second = Credential(client_id="id", client_secret=SecretStr("secret"))
    assert_type(first, Credential)
    assert_type(first.name, str | None)
    assert_type(first.max_concurrency, int | None)
    assert_type(GigaChat(pool=[first, second], limits="redis://redis.example"), GigaChat)
    assert_type(AsyncGigaChat(pool=(first,), limits=SecretStr("redis://redis.example")), AsyncGigaChat)


async def bulk_jobs(giga: GigaChat, agiga: AsyncGigaChat, rows: list[dict[str, Any]]) -> None:
    assert_type(bulk.run("in.csv", "out.jsonl", giga=giga, prompt="{text}", max_tokens=5, ordered=True), bulk.Report)
    assert_type(await bulk.arun(rows, Path("out.jsonl"), giga=agiga, into=Answer, repair=1), bulk.Report)
    budget = bulk.Budget(tokens=5, rubles=1.5)
    assert_type(bulk.iterate(rows, prompt=lambda row: str(row["text"]), budget=budget), Iterator[bulk.Result])
    assert_type(bulk.aiterate(iter(rows), giga=agiga, task="embed", concurrency=3), AsyncIterator[bulk.Result])
    assert_type(
        bulk.map_rows(rows, client={"model": "GigaChat-2"}, cache="responses.sqlite", prices={}),
        Iterator[dict[str, Any]],
    )
    texts: deque[str] = deque(("one", "two"))  # in the place of a dataset of Ray, which is not installed here
    assert_type(bulk.ray(texts, workers=3, client={}, prompt="{text}", budget=budget), deque[str])
    assert_type(bulk.read_results("out.jsonl"), Iterator[dict[str, Any]])
    report = bulk.run("-", "out.jsonl", input_format="txt", progress=lambda now: print(now.eta), backend="batch")
    assert_type(report.done, int)
    assert_type(report.total, int | None)
    assert_type(report.usage, TokenCounts)
    assert_type(report.cost, float | None)
    assert_type(report.rate, float)
    assert_type(report.eta, float | None)
    assert_type(report.stopped, str | None)
    assert_type(report.error, exceptions.GigaChatException | None)
    for result in bulk.iterate(rows, giga=giga):
        assert_type(result.value, Any)
        assert_type(result.error, bulk.RowError | None)
        assert_type(result.usage, TokenCounts | None)
        assert_type(result.request_id, str | None)


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
        exceptions.ModelUnavailableError,
        exceptions.RateLimitError,
        exceptions.ServerError,
    ) as error:
        assert_type(error.retry_after, float)
        response_error: exceptions.ResponseError = error
        errors_of_the_service(response_error)
    except (exceptions.CertificateError, exceptions.StreamInterruptedError) as error:
        connection_error: ConnectionError = error
        own: exceptions.APIConnectionError = error
        assert_type(own.cause, BaseException | None)
        print(connection_error, own)
    except (exceptions.QueueTimeoutError, exceptions.TotalTimeoutError, exceptions.APITimeoutError) as error:
        timeout: TimeoutError = error
        print(timeout)
    except (exceptions.RefusalError, exceptions.InvalidJSONError, exceptions.SchemaMismatchError) as error:
        assert_type(error.problems, list[str])
    except exceptions.JobStoppedError as error:
        job_error: exceptions.GigaChatException = error
        print(job_error)
    except exceptions.APIResponseValidationError as error:
        assert_type(error.completions, list[Any])
        assert_type(error.content, bytes | None)
        assert_type(error.completion, Any)
        value_error: ValueError = error
        print(value_error)
    except (exceptions.LengthFinishReasonError, exceptions.ContentFilterFinishReasonError) as error:
        assert_type(error.completion, Any)
    except exceptions.ToolArgumentsError as error:
        value_error = error
    except exceptions.ConversationFormatError as error:
        value_error = error
    except exceptions.ToolError as error:
        print(error)
    except exceptions.McpError as error:
        mcp_error: ConnectionError = error
        print(mcp_error)
    except exceptions.ToolNotFoundError as error:
        print(error)
    except exceptions.GenerationError as error:
        assert_type(error.completion, Any)
    except exceptions.ClientClosedError as error:
        runtime_error: RuntimeError = error
        print(runtime_error)
    except exceptions.ConfigurationError as error:
        value_error = error
    except exceptions.ModelNotSpecifiedError as error:
        base: exceptions.GigaChatException = error
        print(base)
