"""A job: the request for each row, the result in its answer, and the upper bound of its tokens."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic_core import to_json, to_jsonable_python

from gigachat import models
from gigachat._engine.totals import tokens_of
from gigachat._engine.value_type import ValueType, read_value, value_type
from gigachat.api.arguments import payload_fields
from gigachat.api.chat import failure, request
from gigachat.bulk.cache import digest
from gigachat.bulk.results import Result
from gigachat.bulk.templates import RowMistake, add_system, check_names, field_names, fill, own_payload
from gigachat.client import AsyncGigaChat, GigaChat
from gigachat.exceptions import APIResponseValidationError
from gigachat.models.response_format import adapter_of, json_schema
from gigachat.schema import simplify as simplify_schema
from gigachat.usage import TokenCounts

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from gigachat.bulk.rows import Row

Task: TypeAlias = Literal["chat", "embed", "tokens"]
Client: TypeAlias = GigaChat | AsyncGigaChat

TASKS = ("chat", "embed", "tokens")
_MOST_TEXTS = 90  # texts of a request to embeddings or token counts
_MESSAGE = 32  # most tokens of a message beside its text
_RUN_OPTIONS = ("max_steps", "approve", "deps", "tool_timeout", "parallel", "max_repeats", "on_error")
_PROMPT_FIELDS = ("messages", "functions", "response_format")  # fields that the model reads
JOB_ARGUMENTS = ("task", "prompt", "system", "into", "tools", "model", "repair", "strict", "simplify")
"""Arguments of `Job` that are neither fields of a chat nor options of a run."""
_EMBEDDER = "Embeddings"


class Job:
    """What is asked for each row.

    Args:
        task: `chat`, `embed` or `tokens`.
        prompt: Template with the names of fields in braces, or a function that makes the payload of a row.
        system: Text of the system message, a template too.
        into: Type of the value of an answer.
        tools: Tools of a run.
        model: Model of the requests.
        repair: How often the model is asked to correct an answer that does not fit `into`.
        strict: Whether the service keeps exactly to the schema of `into`.
        simplify: Whether the flat form of the schema is sent.
        fields: Fields of the chats, and options of the runs.

    Raises:
        ValueError, TypeError: They do not fit together.
    """

    def __init__(
        self,
        *,
        task: Task = "chat",
        prompt: str | Callable[[Any], Any] | None = None,
        system: str | None = None,
        into: Any = None,
        tools: Sequence[Any] = (),
        model: str | None = None,
        repair: int = 0,
        strict: bool = True,
        simplify: bool = False,
        **fields: Any,
    ) -> None:
        if task not in TASKS:
            raise ValueError(f"task is one of {', '.join(TASKS)}, not {task!r}")
        if prompt is not None and not isinstance(prompt, str) and not callable(prompt):
            raise TypeError(f"prompt is a template or a function, not {type(prompt).__name__}")
        if inspect.iscoroutinefunction(prompt):
            raise TypeError("prompt is a function that returns the payload, not a coroutine function")
        if repair < 0:
            raise ValueError("repair= is how often the model may be asked again: 0 or more")
        if into is not None and tools:
            raise ValueError("into= and tools= exclude each other: give the run a tool that takes the value")
        fields = {name: value for name, value in fields.items() if value is not None}
        of_chats = {"system": system, "into": into, "tools": tools or None, **fields}
        if task != "chat" and (wrong := next((name for name, value in of_chats.items() if value is not None), None)):
            raise ValueError(f"{wrong}= belongs to task='chat', not to task={task!r}")
        self.task: Task = task
        self.prompt = prompt
        self.system = system
        self.into = into
        self.tools = list(tools)
        self.model = model
        self.repair = repair
        self.fields = fields
        self._parsing = {"strict": strict, "simplify": simplify, "repair": repair}
        self._templates = [field_names(text) for text in (prompt, system) if isinstance(text, str)]
        self._adapter: TypeAdapter[Any] | None = None
        self._value_type: ValueType | None = None
        self._schema: Any = None
        if into is not None:
            self._value_type = value_type(into)
            self._schema = json_schema(self._value_type.schema)
            self._adapter = adapter_of(into)

    @property
    def rows_per_request(self) -> int:
        """Most rows of a request."""
        return 1 if self.task == "chat" else _MOST_TEXTS

    def digest_for(self, giga: Client) -> str:
        """Return the hash of this job with the model of a client."""
        parts = [
            self.task,
            _identity(self.prompt),
            self.system,
            self._schema,
            [_identity(tool) for tool in self.tools],
            self.model_of(giga),
            self._parsing if self.into is not None else None,
            {name: _identity(value) for name, value in self.fields.items()},
        ]
        return digest(parts, by_alias=True, fallback=_identity).hex()

    def check(self, first: Any) -> None:
        """Check the templates against the fields of the first row.

        Raises:
            ValueError: A field is missing.
        """
        if isinstance(first, Mapping):
            for names in self._templates:
                check_names(names, first)
            if self.prompt is None:
                own_payload(first, texts=self.task != "chat")

    def check_fields(self, giga: Client) -> None:
        """Check the fields of the chats.

        Raises:
            ValueError, TypeError: One is invalid.
        """
        if self.task == "chat":
            fields = {name: value for name, value in self.fields.items() if name not in _RUN_OPTIONS}
            request(giga, "text", fields, stream=False)

    def payload(self, data: Any) -> Any:
        """Return the payload for a row: a text, a chat, its fields or messages.

        Raises:
            RowMistake: No request can be made of the row.
        """
        payload: Any
        if callable(self.prompt):
            try:
                payload = self.prompt(data)
            except Exception as error:
                raise RowMistake(f"prompt raised {type(error).__name__}: {error}") from error
        elif self.prompt is not None:
            payload = fill(self.prompt, data)
        else:
            payload = own_payload(data, texts=self.task != "chat")
        if self.task != "chat":
            if not isinstance(payload, str) or not payload:
                raise RowMistake("the text is empty" if payload == "" else "the prompt of the row is no text")
            return payload
        if self.system is not None:
            payload = add_system(fill(self.system, data), payload)
        return payload

    def key(self, giga: Client, payload: Any) -> bytes:
        """Return the key of a request in the cache."""
        settings = giga._settings
        kept = {name: value for name, value in self.fields.items() if name not in _RUN_OPTIONS}
        parsing = (self._schema, self._parsing) if self.into is not None else None
        tools = [_identity(tool) for tool in self.tools]
        return digest(
            self.task,
            settings.base_url,
            self.model_of(giga),
            payload,
            kept,
            parsing,
            tools,
            by_alias=True,
            exclude_none=True,
            fallback=repr,
        )

    def model_of(self, giga: Client) -> str:
        """Return the model of the requests."""
        if self.task == "embed":
            return self.model or _EMBEDDER
        return self.model or giga._service.model

    def own_model(self, payload: Any) -> str | None:
        """Return the model that a payload names, if the job names none."""
        own = _own(payload, "model") if self.model is None and self.task == "chat" else None
        return own if isinstance(own, str) else None

    def most(self, payload: Any) -> TokenCounts:
        """Return the most tokens that a request can use.

        Raises:
            RowMistake: Nothing bounds its answer.
        """
        try:
            prompt = _MESSAGE + _size(payload)
        except RecursionError:
            raise RowMistake("the row is nested too deeply") from None
        if self.task == "embed":
            return TokenCounts(prompt)
        if self.task == "tokens":
            return TokenCounts(0)
        longest = self.fields.get("max_tokens") or _own(payload, "max_tokens")
        if not isinstance(longest, int):
            raise RowMistake("a budget needs max_tokens= (--max-tokens), which bounds the answers")
        prompt += _size(self._schema) + sum(_size(self.fields.get(name)) for name in _PROMPT_FIELDS)
        again = self.repair
        # Each repair sends the prompt again, with all earlier answers and what was wrong with them.
        repeated = (prompt + _MESSAGE * 40) * (again + 1) + 2 * longest * again * (again + 1)
        return TokenCounts(repeated if again else prompt, longest * (again + 1))

    async def ask(self, giga: Client, rows: list[tuple[Row, Any]], transcript: list[Any]) -> list[Result]:
        """Ask for rows.

        Args:
            giga: The client. It does not repeat a refused request.
            rows: The rows with their payloads: one of a chat, several of the other tasks.
            transcript: Messages of a run that failed on its way, which continues; those of the run are put in it.

        Raises:
            GigaChatException: The request failed.
        """
        if self.task == "embed":
            return await self._embed(giga, rows)
        if self.task == "tokens":
            return await self._count_tokens(giga, rows)
        row, payload = rows[0]
        return [await self._chat(giga, row, payload, transcript)]

    async def _embed(self, giga: Client, rows: list[tuple[Row, Any]]) -> list[Result]:
        texts = [payload for _, payload in rows]
        answer = await method_of(giga, "embeddings")(texts, self.model_of(giga))
        vectors = {item.index: item for item in answer.data}
        _check_count(vectors.keys() & set(range(len(texts))), texts)
        results: list[Result] = []
        for index, (row, _) in enumerate(rows):
            vector, usage = vectors[index].embedding, TokenCounts(vectors[index].usage.prompt_tokens)
            results.append(self._result(row, vector, usage, answer.model, answer.x_headers))
        return results

    async def _count_tokens(self, giga: Client, rows: list[tuple[Row, Any]]) -> list[Result]:
        texts = [payload for _, payload in rows]
        counts = await method_of(giga, "tokens_count")(texts, self.model_of(giga))
        _check_count(counts, texts)
        return [
            self._result(row, count.tokens, None, self.model_of(giga), count.x_headers)
            for (row, _), count in zip(rows, counts, strict=True)
        ]

    async def _chat(self, giga: Client, row: Row, payload: Any, transcript: list[Any]) -> Result:
        fields = self.fields if self.model is None else {**self.fields, "model": self.model}
        if self.into is not None:
            completion, value = await method_of(giga, "chat_parse")(payload, into=self.into, **self._parsing, **fields)
            return self._completion_result(row, value, completion, completion)
        if self.tools:
            if transcript:
                payload = {**payload_fields(payload, models.Chat), "messages": [*transcript]}
            run = await method_of(giga, "chat_run")(payload, tools=self.tools, transcript=transcript, **fields)
            return self._completion_result(row, run.text, run.completion, run)
        completion = await method_of(giga, "chat")(payload, **fields)
        return self._completion_result(row, completion.text, completion, completion)

    def body(self, giga: Client, payload: Any) -> dict[str, Any]:
        """Return the body of a request for a batch."""
        if self.task == "embed":
            return {"input": [payload], "model": self.model_of(giga)}
        fields = dict(self.fields)
        if self.model is not None:
            fields["model"] = self.model
        if self.into is not None:
            fields["response_format"] = {
                "type": "json_schema",
                "schema": simplify_schema(self._schema) if self._parsing["simplify"] else self._schema,
                "strict": self._parsing["strict"],
            }
        return {**payload_fields(payload, models.Chat), **fields}

    def read(self, row: Row, answer: Any) -> Result:
        """Return the result in an answer of a batch.

        Raises:
            GigaChatException: It holds no value.
        """
        if self.task == "embed":
            vector = answer.data[0]
            return self._result(row, vector.embedding, TokenCounts(vector.usage.prompt_tokens), answer.model, None)
        value = answer.text
        if self._value_type is not None:
            reason = next((choice.finish_reason for choice in answer.choices), None)
            value = read_value(self._value_type, answer, failure(answer), reason, answer.text)
        return self._completion_result(row, value, answer, answer)

    def dump(self, value: Any) -> Any:
        """Return a value as JSON values."""
        return value if self._adapter is None else self._adapter.dump_python(value, mode="json")

    def load(self, line: Any) -> Any:
        """Return the value that `dump` made into JSON values.

        Raises:
            ValueError: The value does not fit the type.
        """
        return line if self._adapter is None else self._adapter.validate_json(to_json(line))

    def _completion_result(self, row: Row, value: Any, completion: Any, used: Any) -> Result:
        result = self._result(row, value, tokens_of(used), completion.model, completion.x_headers)
        result.finish_reason = next((choice.finish_reason for choice in completion.choices), None)
        return result

    def _result(self, row: Row, value: Any, usage: TokenCounts | None, model: str | None, headers: Any) -> Result:
        request_id = headers.get("x-request-id") if headers else None
        return Result(row.number, row.id, value, usage=usage, request_id=request_id, model=model, row=row.data)


def method_of(giga: Client, name: str) -> Callable[..., Any]:
    """Return the async method of a client of either kind."""
    method: Callable[..., Any] = getattr(giga, f"a{name}" if isinstance(giga, GigaChat) else name)
    return method


def _check_count(answers: Sized, texts: Sized) -> None:
    if len(answers) != len(texts):
        raise APIResponseValidationError(f"the service answered {len(answers)} of {len(texts)} texts")


def _own(payload: Any, name: str) -> Any:
    """Return a field of a payload of a chat; None if it has none."""
    return payload.get(name) if isinstance(payload, Mapping) else getattr(payload, name, None)


def _size(value: Any) -> int:
    """Return the characters of a value, and more for each of its parts: above its tokens."""
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_MESSAGE + len(str(name)) + _size(part) for name, part in value.items())
    if isinstance(value, Sequence):
        return sum(_MESSAGE + _size(part) for part in value)
    return len(to_json(value, by_alias=True, exclude_none=True, fallback=str).decode())


def _identity(value: Any) -> Any:
    """Return JSON values that identify a value in all processes."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "function") and hasattr(value, "name"):  # a tool
        return to_jsonable_python(value.function(), by_alias=True)
    if callable(value):
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
        try:
            return [name, inspect.getsource(value)]
        except (OSError, TypeError):
            return name
    return to_jsonable_python(value, by_alias=True, fallback=lambda part: type(part).__qualname__)
