"""Chat v2: requests and responses (reference, section 5).

Messages, tools and options are accepted in several forms and serialized in the form that the API expects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    model_validator,
)
from pydantic_core import core_schema

from gigachat._functions import function_fields
from gigachat._notebook import NotebookResult, Shown, tokens
from gigachat.models.answer_files import AnswerFile, marked_files, with_reader
from gigachat.models.base import APIResponse, NullAs, WireModel, read_only
from gigachat.models.functions import FewShotExample, FunctionParameters
from gigachat.models.response_format import JsonSchemaResponseFormat, json_schema
from gigachat.models.sources import CitedSource, cited_sources

if TYPE_CHECKING:
    from gigachat.types import ChatRole

__all__ = [
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
]


class _Model(WireModel):
    model_config = ConfigDict(populate_by_name=True)


@dataclass(frozen=True, slots=True)
class _Or:
    """Annotation: read what does not fit as something that does; values that fit pay nothing for it."""

    read: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        schema = handler(source)
        short = core_schema.no_info_before_validator_function(self.read, schema)
        return core_schema.union_schema([schema, short], mode="left_to_right")


# Models of responses; many are also sent in later requests.


class ChatSource(_Model):
    """A page the answer rests on."""

    url: str | None = Field(default=None, description="Its address.")
    title: str | None = Field(default=None, description="Its title.")


class ChatInlineData(_Model):
    """Data of a text. Marks in it such as `[sources=[2]]` refer to it."""

    images: list[Any] | None = Field(default=None, description="Images.")
    sources: dict[str, ChatSource] | None = Field(default=None, description="Sources by the number in the mark.")
    widgets: list[Any] | None = Field(default=None, description="Widgets.")


class ChatContentFile(AnswerFile):
    """A file given to the model or made by it."""


def _as_file(value: Any) -> Any:
    """Read an id, or an uploaded file, as a file of a message."""
    return {"id": getattr(value, "id_", value)}


def _as_object(arguments: Any) -> Any:
    """Read arguments that come as text; text that is no JSON object stays as it is."""
    if arguments is None:
        return {}
    if not isinstance(arguments, str):
        return arguments
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return value if isinstance(value, dict) else arguments


class ChatFunctionCall(_Model):
    """A call the model asks for."""

    id_: str | None = Field(default=None, alias="id", description="Id of the call.")
    name: str = Field(description="Name of the function.")
    arguments: Annotated[Any, AfterValidator(_as_object)] = Field(
        default_factory=dict, description="Arguments, an object; text that is not an object is kept unchanged."
    )

    @read_only
    def id(self) -> str | None:
        """The same as `id_`."""
        return self.id_


class ChatFunctionResult(_Model):
    """The result of a function."""

    id_: str | None = Field(default=None, alias="id", description="Id of the call that it belongs to.")
    name: str = Field(description="Name of the function.")
    result: Any = Field(description="Its result: an object, or JSON as text. Anything else is sent inside an object.")

    @read_only
    def id(self) -> str | None:
        """The same as `id_`."""
        return self.id_


class ChatToolExecution(_Model):
    """Progress of a tool of the service."""

    name: str | None = Field(default=None, description="Name of the tool; not always its key in `tools`.")
    status: str | None = Field(default=None, description="`success`, `fail` or newer.")
    seconds_left: int | float | None = Field(default=None, description="Seconds it still takes; in streams only.")
    censored: bool | None = Field(default=None, description="Whether it was refused.")


class ChatLogprobToken(_Model):
    """A token and how likely it was."""

    token: str = Field(description="Its text.")
    token_id: int = Field(description="Its id.")
    logprob: float = Field(description="Logarithm of its probability.")


class ChatLogprob(_Model):
    """One place of a text: the token taken and the likeliest ones."""

    chosen: ChatLogprobToken | None = Field(default=None, description="The token taken.")
    top: list[ChatLogprobToken] | None = Field(default=None, description="The likeliest tokens.")


class ChatContentPart(_Model):
    """One part of a message; it has no type, but a key for what it holds (reference, section 5.2)."""

    text: str | None = Field(default=None, description="Text.")
    files: list[Annotated[ChatContentFile, _Or(_as_file)]] | None = Field(
        default=None, description="Files; an id alone will do."
    )
    function_call: ChatFunctionCall | None = Field(default=None, description="Call the model asks for.")
    function_result: ChatFunctionResult | None = Field(default=None, description="What a function returned.")
    tool_execution: ChatToolExecution | None = Field(default=None, description="Progress of a tool.")
    inline_data: ChatInlineData | None = Field(default=None, description="What belongs to the text.")
    logprobs: list[ChatLogprob] | None = Field(default=None, description="Probabilities of the text's tokens.")


def _as_part(value: Any) -> Any:
    return {"text": value} if isinstance(value, str) else value


def _as_parts(value: Any) -> Any:
    return [value] if isinstance(value, str | Mapping | ChatContentPart) else value


_Parts = Annotated[list[Annotated[ChatContentPart, _Or(_as_part)]] | None, _Or(_as_parts)]

_OTHER_STATE_NAMES = ("tool_state_id", "functions_state_id")


class _Stated(_Model):
    tools_state_id: str | None = Field(
        default=None,
        validation_alias=AliasChoices("tools_state_id", *_OTHER_STATE_NAMES),
        description="State of the tools; send it back. Read under any of its three names.",
    )


def keep_one_state(model: _Stated) -> None:
    """Keep one name of the state where several were given."""
    extra = model.__pydantic_extra__
    if extra:
        for name in _OTHER_STATE_NAMES:
            other = extra.pop(name, None)
            if isinstance(other, str) and model.tools_state_id is None:
                model.tools_state_id = other


class _MessageFields(_Stated):
    message_id: str | None = Field(default=None, description="Id of the message, with `storage`.")
    content: _Parts = Field(default=None, description="Its parts; text alone is read as one.")
    inline_data: ChatInlineData | None = Field(default=None, description="What belongs to the text.")
    function_call: ChatFunctionCall | None = Field(default=None, description="Call the model asks for.")
    tool_execution: ChatToolExecution | None = Field(default=None, description="Progress of a tool.")
    logprobs: list[ChatLogprob] | None = Field(default=None, description="Probabilities of the text's tokens.")
    finish_reason: str | None = Field(default=None, description="Why the message ended.")


class ChatMessage(_MessageFields):
    """One message. A message of an answer goes back into `messages` as it is.

    Args:
        role: `system`, `user`, `assistant`, and for results of functions `function` or `tool`.
        content: Text, a part, or a list of both.
    """

    role: str = Field(description="Author; `reasoning` in answers, too.")

    def model_post_init(self, context: Any, /) -> None:
        """Keep one name of the state where several were given."""
        keep_one_state(self)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            role: ChatRole | str,
            content: str
            | ChatContentPart
            | Mapping[str, Any]
            | Sequence[str | ChatContentPart | Mapping[str, Any]]
            | None = None,
            tools_state_id: str | None = None,
            message_id: str | None = None,
            inline_data: ChatInlineData | Mapping[str, Any] | None = None,
            function_call: ChatFunctionCall | Mapping[str, Any] | None = None,
            tool_execution: ChatToolExecution | Mapping[str, Any] | None = None,
            logprobs: Sequence[ChatLogprob | Mapping[str, Any]] | None = None,
            finish_reason: str | None = None,
        ) -> None: ...

    @read_only
    def function_calls(self) -> list[ChatFunctionCall]:
        """The calls the model asks for in this message."""
        calls = (self.function_call, *(part.function_call for part in self.content or ()))
        return [call for call in calls if call is not None]

    @classmethod
    def function_result(
        cls, name: str, result: Any, *, id_: str | None = None, tools_state_id: str | None = None
    ) -> Self:
        """Return the message that tells the model what a function returned (reference, section 5.5).

        Args:
            name: Name of the function, as in the call.
            result: An object, or JSON as text; anything else is sent as `{"result": ...}`, since the service refuses
                what is no JSON document.
            id_: Id of the call, if it has one.
            tools_state_id: State of the message with the call; services have taken results without it.
        """
        part = {"function_result": {"id": id_, "name": name, "result": result}}
        return cls(role="function", content=part, tools_state_id=tools_state_id)


class ChatMessageChunk(_MessageFields):
    """The part of a message in a chunk of a stream."""

    role: str | None = Field(default=None, description="Author.")


class ChatUsageInputTokensDetails(_Model):
    """Tokens of the prompt."""

    prompt_tokens: int | None = Field(default=None, description="Prompt tokens.")
    cached_tokens: int | None = Field(default=None, description="Prompt tokens taken from the cache.")


class ChatUsage(_Model):
    """Tokens of an answer."""

    input_tokens: int | None = Field(default=None, description="Prompt tokens.")
    input_tokens_details: ChatUsageInputTokensDetails | None = Field(default=None, description="More about them.")
    output_tokens: int | None = Field(default=None, description="Generated tokens.")
    total_tokens: int | None = Field(default=None, description="Tokens that are charged.")


# Models of requests.


class ChatReasoning(_Model):
    """Whether and how deeply the model reasons first."""

    effort: str | None = Field(default=None, description="`low`, `medium`, `high`, `off` or newer.")
    max_tokens: int | None = Field(default=None, description="Most tokens of reasoning before the answer.")


class ChatResponseFormat(_Model):
    """Form of the answer: text, JSON of a schema, or text that matches an expression.

    `schema` is a JSON Schema, sent as it is, or a pydantic model. The type follows from `schema` or `regex` if not
    given.
    """

    type: str = Field(default="text", description="`text`, `json_schema` or `regex`.")
    schema_: Annotated[dict[str, Any] | str | None, BeforeValidator(json_schema)] = Field(
        default=None, alias="schema", description="JSON Schema of the answer."
    )
    strict: bool | None = Field(default=None, description="Exactly the schema; needs `required`.")
    regex: str | None = Field(default=None, description="Regular expression the answer matches.")

    def model_post_init(self, context: Any, /) -> None:
        """Infer the type from `schema` or `regex`."""
        if "type" not in self.model_fields_set and (self.schema_ is not None or self.regex is not None):
            self.type = "regex" if self.schema_ is None else "json_schema"


def _as_format(value: Any) -> Any:
    """Accept the format of v1, too."""
    return value.model_dump(by_alias=True) if isinstance(value, JsonSchemaResponseFormat) else value


class ChatModelOptions(_Model):
    """Options of the model (reference, section 5.3)."""

    preset: str | None = Field(default=None, description="Name of a preset, by agreement.")
    parallel_tool_calls: bool | None = Field(default=None, description="Whether one answer may ask for several calls.")
    temperature: FiniteFloat | None = Field(default=None, description="Above 0; up to 0.001 switches sampling off.")
    top_p: FiniteFloat | None = Field(default=None, description="0 to 1; nucleus sampling.")
    max_tokens: int | None = Field(default=None, description="Most tokens to generate.")
    repetition_penalty: FiniteFloat | None = Field(default=None, description="Above 0; 1.0 is neutral.")
    update_interval: FiniteFloat | None = Field(default=None, description="Seconds between chunks of a stream.")
    unnormalized_history: bool | None = Field(default=None, description="Leave neighbouring messages apart.")
    top_logprobs: int | None = Field(default=None, description="1 to 5, by permission.")
    reasoning: ChatReasoning | None = Field(default=None, description="Depth of reasoning.")
    response_format: Annotated[ChatResponseFormat | None, BeforeValidator(_as_format)] = Field(
        default=None, description="Form of the answer."
    )


class ChatFilterContentConfig(_Model):
    """Filters of the request."""

    neuro: bool | None = Field(default=None, description="The filtering model.")
    blacklist: bool | None = Field(default=None, description="Forbidden words.")
    whitelist: bool | None = Field(default=None, description="Words with a fixed answer.")


class ChatFilterResponseContentConfig(_Model):
    """Filters of what is answered."""

    blacklist: bool | None = Field(default=None, description="Forbidden words.")


class ChatFilterConfig(_Model):
    """Filters, by permission."""

    request_content: ChatFilterContentConfig | None = Field(default=None, description="Of what is asked.")
    response_content: ChatFilterResponseContentConfig | None = Field(default=None, description="Of what is answered.")


class ChatStorage(_Model):
    """Keeping of the history by the service."""

    limit: int | None = Field(default=None, description="Most messages of the history given to the model.")
    thread_id: str | None = Field(default=None, description="Thread to continue; absent in its first message.")
    metadata: dict[str, Any] | None = Field(default=None, description="Data of your own.")


class ChatRankerOptions(_Model):
    """Choice of the tools shown to the model."""

    enabled: bool | None = Field(default=None, description="Whether tools are ranked.")
    top_n: int | None = Field(default=None, description="How many are shown.")
    embeddings_model: str | None = Field(default=None, description="Model that ranks them.")


class ChatUserInfo(_Model):
    """Information about the user, for the model."""

    timezone: str | None = Field(default=None, description="IANA name, for example `Europe/Moscow`.")


class ChatToolConfig(_Model):
    """Whether the model may, may not, or must use a tool. With names alone, it must."""

    mode: str | None = Field(default=None, description="`auto`, `none`, `forced` or `any`.")
    tool_name: str | None = Field(default=None, description="Tool of the service it must use.")
    function_name: str | None = Field(default=None, description="Own function it must call.")
    functions_names_any: list[str] | None = Field(
        default=None, description="Own functions of which it must call at least one, with the mode `any`."
    )

    def model_post_init(self, context: Any, /) -> None:
        """Infer the mode from the names."""
        if self.mode is None and (self.tool_name or self.function_name):
            self.mode = "forced"
        if self.mode is None and self.functions_names_any:
            self.mode = "any"


class ChatFunctionExample(FewShotExample):
    """Example of a function's use."""


def _parameters(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True, exclude_none=True)
    return {"type": "object", "properties": {}} if value is None else value


class ChatFunctionSpecification(_Model):
    """A function the model may call.

    `parameters` is any JSON Schema and is sent as it is; without it the function has no parameters. All that
    `models.Function` reads is read, too.
    """

    name: str = Field(description="Latin letters, digits (not first), `_`, `-`, `.`.")
    description: str | None = Field(default=None, description="What it does and when to call it.")
    parameters: Annotated[dict[str, Any], BeforeValidator(_parameters)] = Field(
        default_factory=lambda: _parameters(None), description="JSON Schema of the arguments."
    )
    few_shot_examples: list[ChatFunctionExample] | None = Field(default=None, description="Examples of use.")
    return_parameters: dict[str, Any] | None = Field(default=None, description="JSON Schema of the result.")

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str,
            description: str | None = None,
            parameters: FunctionParameters | Mapping[str, Any] | None = None,
            few_shot_examples: Sequence[ChatFunctionExample | Mapping[str, Any]] | None = None,
            return_parameters: Mapping[str, Any] | None = None,
        ) -> None: ...

    else:

        @model_validator(mode="before")
        @classmethod
        def _from_other_shapes(cls, values: Any) -> Any:
            return values if isinstance(values, cls) else function_fields(values)


class ChatFunctionsTool(_Model):
    """Own functions."""

    specifications: list[ChatFunctionSpecification] | None = Field(default=None, description="The functions.")


class ChatWebSearchTool(_Model):
    """Search of the web."""

    type: str | None = Field(
        default=None, description="`web_search`, `actual_info_web_search`, `safe_search` or newer."
    )
    indexes: list[str] | None = Field(default=None, description="Indexes to search.")
    flags: list[str] | None = Field(default=None, description="Feature flags.")


class ChatTool(_Model):
    """One tool: its name is the key of its options. A name alone is a tool without options (reference, section 5.4)."""

    code_interpreter: dict[str, Any] | None = Field(default=None, description="Runs code.")
    image_generate: dict[str, Any] | None = Field(default=None, description="Makes images.")
    web_search: ChatWebSearchTool | None = Field(default=None, description="Searches the web.")
    url_content_extraction: dict[str, Any] | None = Field(default=None, description="Reads pages.")
    model_3d_generate: dict[str, Any] | None = Field(default=None, description="Makes 3D models.")
    get_datetime: dict[str, Any] | None = Field(default=None, description="Knows the time.")
    memory: dict[str, Any] | None = Field(default=None, description="Remembers the user.")
    functions: ChatFunctionsTool | None = Field(default=None, description="Own functions.")

    if not TYPE_CHECKING:

        @model_validator(mode="before")
        @classmethod
        def _from_other_forms(cls, value: Any) -> Any:
            return value if isinstance(value, ChatTool) else _tool_fields(value)


def _tool_fields(tool: Any) -> Any:
    """Return the options of a tool, given in any form, by its name."""
    if isinstance(tool, str):
        return {tool: {}}
    if isinstance(tool, ChatTool):
        return {name: value for name, value in tool if value is not None}
    if isinstance(tool, ChatWebSearchTool):
        return {"web_search": tool}
    if isinstance(tool, ChatFunctionsTool):
        return {"functions": tool}
    if not isinstance(tool, Mapping):
        return {"functions": {"specifications": [tool]}} if _is_function(tool) else tool
    if isinstance(tool.get("name") or tool.get("title"), str) or tool.get("type") == "function":
        return {"functions": {"specifications": [tool]}}
    if isinstance(tool.get("type"), str):
        raise ValueError(f"a tool of type {tool['type']!r} is of another API: give the tool's name, or a function")
    fields = {name: {} if value is None else value for name, value in tool.items()}
    if isinstance(fields.get("functions"), list | tuple):
        fields["functions"] = {"specifications": fields["functions"]}
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            raise ValueError(f"the options of tool {name!r} must be an object: give functions themselves in tools")
        if isinstance(value, Mapping) and "inputSchema" in value:
            raise ValueError(f"the tool {name!r} is of another API: give the function itself in tools")
    return fields


def _is_function(tool: Any) -> bool:
    """Return whether it is read, or refused, as a function: a model of another library, a class, a Python function."""
    return isinstance(tool, BaseModel) or callable(tool)


def _gathered(tools: Any) -> Any:
    """Return one entry for each tool, and one for all functions, whatever form they are given in."""
    if isinstance(tools, str | Mapping) or not isinstance(tools, Iterable):
        return tools
    gathered: list[Any] = []
    functions: dict[str, Any] | None = None
    for tool in tools:
        fields = _tool_fields(tool)
        if not isinstance(fields, Mapping):
            gathered.append(tool)  # the field says what is wrong with it
            continue
        for name, value in fields.items():
            more = dict(value) if name == "functions" and isinstance(value, Mapping | ChatFunctionsTool) else None
            if more is not None and not isinstance(more.get("specifications") or (), Iterable):
                more = None  # the field says what is wrong with it
            if more is None:
                gathered.append({name: value})
            elif functions is None:
                functions = {**more, "specifications": [*(more.get("specifications") or ())]}
                gathered.append({name: functions})
            else:
                functions["specifications"].extend(more.pop("specifications", None) or ())
                functions.update(more)
    return gathered


def _tool_config(word: str, tools: Any) -> dict[str, str]:
    """Return the configuration for a word: a mode, or the tool that must be used."""
    if word in ("auto", "none", "any"):
        return {"mode": word}
    for tool in tools if isinstance(tools, list) else ():
        functions = tool.get("functions") if isinstance(tool, Mapping) else None
        known = functions.get("specifications") if isinstance(functions, Mapping) else None
        if isinstance(known, list) and word in map(_name, known):
            return {"function_name": word}
        if isinstance(tool, Mapping) and word in tool:
            return {"tool_name": word}
    raise ValueError(f"tool_config: {word!r} is neither 'auto', 'none', 'any' nor the name of one of the tools")


def _name(function: Any) -> Any:
    fields = function_fields(function)
    return fields.get("name") if isinstance(fields, Mapping) else None


_REASONING = {"reasoning_effort": "effort", "reasoning_max_tokens": "max_tokens"}  # names of v1
_OPTIONS = frozenset((*ChatModelOptions.model_fields, *_REASONING))


def with_options_in_place(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request with the model's options in `model_options`, where the service expects them.

    An option in `model_options` wins over one beside it.
    """
    values = dict(values)
    inside = values.get("model_options")
    if not (inside is None or isinstance(inside, Mapping | ChatModelOptions)):
        return values  # the field says what is wrong with it
    options = {name: values.pop(name) for name in _OPTIONS.intersection(values)}
    named = {field: options.pop(name) for name, field in _REASONING.items() if options.get(name) is not None}
    if named and options.get("reasoning") is None:
        options["reasoning"] = named
    if inside is not None:
        options.update((name, value) for name, value in dict(inside).items() if value is not None)
    if options or inside is not None:
        values["model_options"] = {name: value for name, value in options.items() if value is not None}
    return values


class ChatCompletionRequest(_Stated):
    """Request of a chat. Fields the SDK does not know are sent as they are (reference, section 5.1).

    Options of the model may be given beside `model_options`, as in v1: `temperature`, `max_tokens`,
    `response_format`, `reasoning_effort`, `reasoning_max_tokens` and the like.
    """

    model: str | None = Field(default=None, description="Name of the model.")
    messages: list[ChatMessage] = Field(description="The conversation.")
    assistant_id: str | None = Field(default=None, description="Assistant of a new thread; excludes `model`.")
    model_options: ChatModelOptions | None = Field(default=None, description="How the model answers.")
    filter_config: ChatFilterConfig | None = Field(default=None, description="Filters, by permission.")
    storage: ChatStorage | bool | None = Field(
        default=None, description="Keeping of the history by the service; True with defaults, False not."
    )
    ranker_options: ChatRankerOptions | None = Field(default=None, description="Choice of the tools shown.")
    tool_config: ChatToolConfig | None = Field(
        default=None, description="Use of tools; `auto`, `none`, `any`, or the name of the tool that must be used."
    )
    tools: list[ChatTool] | None = Field(
        default=None, description="Tools by name or with options, and own functions; those are gathered in one tool."
    )
    user_info: ChatUserInfo | None = Field(default=None, description="What helps to answer this user.")
    stream: bool | None = Field(default=None, description="Set by the method that is called.")
    additional_fields: dict[str, Any] | None = Field(
        default=None, description="Fields merged into the request; named fields win."
    )
    disable_filter: bool | None = Field(default=None, description="Switch filtering off, by permission.")
    profanity_check: bool | None = Field(
        default=None, exclude=True, description="The opposite of `disable_filter`, as in v1; not sent itself."
    )
    flags: list[str] | None = Field(default=None, description="Feature flags.")

    if not TYPE_CHECKING:

        @model_validator(mode="before")
        @classmethod
        def _in_the_form_of_the_wire(cls, values: Any) -> Any:
            if not isinstance(values, dict):
                return values
            values = with_options_in_place(values)
            if isinstance(values.get("storage"), bool):
                values["storage"] = {} if values["storage"] else None
            if "tools" in values:
                values["tools"] = _gathered(values["tools"])
            if isinstance(values.get("tool_config"), str):
                values["tool_config"] = _tool_config(values["tool_config"], values.get("tools"))
            return values

    def model_post_init(self, context: Any, /) -> None:
        """Keep one name of the state, and translate `profanity_check` into `disable_filter`."""
        keep_one_state(self)
        if self.disable_filter is None and self.profanity_check is not None:
            self.disable_filter = not self.profanity_check

    @property
    def reasoning(self) -> ChatReasoning | None:
        """Depth of reasoning, of `model_options`."""
        return self.model_options.reasoning if self.model_options else None

    @reasoning.setter
    def reasoning(self, value: ChatReasoning | None) -> None:
        self.model_options = self.model_options or ChatModelOptions()
        self.model_options.reasoning = value

    @property
    def response_format(self) -> ChatResponseFormat | None:
        """Form of the answer, of `model_options`."""
        return self.model_options.response_format if self.model_options else None

    @response_format.setter
    def response_format(self, value: ChatResponseFormat | None) -> None:
        self.model_options = self.model_options or ChatModelOptions()
        self.model_options.response_format = value


_CREATED_AT = AliasChoices("created_at", "created")


class _Answer(_Stated, APIResponse):
    model: str | None = Field(default=None, description="Version of the model that answered.")
    created_at: int | None = Field(default=None, validation_alias=_CREATED_AT, description="Unix time in seconds.")
    message_id: str | None = Field(default=None, description="Message, with `storage`.")
    thread_id: str | None = Field(default=None, description="Thread, with `storage`.")
    finish_reason: str | None = Field(
        default=None,
        description="`stop`, `length`, `function_call`, `function_call_error`, `blacklist`, `request_blacklist`, "
        "`request_whitelist`, `request_filter`, `response_blacklist`, `error` or newer; in a stream's last event.",
    )
    usage: ChatUsage | None = Field(default=None, description="Tokens used; in a stream's last event, not always.")
    tool_execution: ChatToolExecution | None = Field(default=None, description="Progress of a tool.")
    logprobs: list[ChatLogprob] | None = Field(default=None, description="Probabilities of the text's tokens.")
    additional_data: Any = Field(default=None, description="Steps taken, by permission.")
    error_details: dict[str, Any] | None = Field(default=None, description="Why the answer failed.")


class ChatCompletionResponse(NotebookResult, _Answer):
    """Response of a chat (reference, section 5.6)."""

    __slots__ = ("_marks", "_reader_factory")

    messages: Annotated[list[ChatMessage], NullAs(list)] = Field(
        description="The model's message; its reasoning may precede it."
    )

    def model_post_init(self, context: Any, /) -> None:
        """Keep one name of the state where several were given."""
        keep_one_state(self)

    @property
    def text(self) -> str:
        """The whole text of the answer, without reasoning; a field of this name would be in `model_extra`."""
        return _text_of(self.messages, "assistant")

    @property
    def reasoning_content(self) -> str:
        """The model's reasoning, empty where there is none."""
        return _text_of(self.messages, "reasoning")

    @property
    def function_calls(self) -> list[ChatFunctionCall]:
        """The calls the model asks for."""
        return [call for message in self.messages for call in message.function_calls]

    @property
    def files(self) -> list[ChatContentFile]:
        """The files the model made: those in parts, and those that the text has marks of."""
        parts = [part for message in self.messages for part in message.content or ()]
        files = [file for part in parts for file in part.files or ()]
        return with_reader(self, [*files, *marked_files(self, self.text, ChatContentFile)])

    @read_only
    def images(self) -> list[ChatContentFile]:
        """The images among the files."""
        return [file for file in self.files if file.is_image]

    @read_only
    def sources(self) -> list[CitedSource]:
        """The sources that the text cites, in the order of their marks (reference, section 5.6)."""
        return cited_sources(
            (part.text, [_with_sources(part.inline_data), of_message])
            for message in self.messages
            if message.role == "assistant"
            for of_message in [_with_sources(message.inline_data)]
            for part in message.content or ()
        )

    def _shown(self) -> Shown:
        table = [("function", "arguments"), *((call.name, call.arguments) for call in self.function_calls)]
        count = None if self.usage is None else self.usage.total_tokens
        return Shown(self.text, table, (self.model, self.finish_reason, tokens(count)))


def _with_sources(data: ChatInlineData | None) -> dict[str, Any]:
    sources = data.sources if data is not None else None
    return {"sources": {number: dict(source) for number, source in (sources or {}).items()}}


class ChatCompletionChunk(_Answer):
    """Event of a streamed answer (reference, section 5.7)."""

    event: str | None = Field(
        default=None, description="`response.message.delta`, `response.message.done`, `response.tool.*` or newer."
    )
    messages: list[ChatMessageChunk] | None = Field(default=None, description="What the event adds to messages.")

    @property
    def text(self) -> str:
        """The text this event adds to the answer; a field of this name would be in `model_extra`."""
        return _text_of(self.messages or (), "assistant")


def _text_of(messages: Sequence[ChatMessage | ChatMessageChunk], role: str) -> str:
    return "".join(
        part.text
        for message in messages
        if (message.role or "assistant") == role
        for part in message.content or ()
        if part.text
    )


# Their names in `gigachat.models`, where the classes of v1 have the plain ones.
PrimaryChatCompletionChunk = ChatCompletionChunk
PrimaryChatFunctionCall = ChatFunctionCall
