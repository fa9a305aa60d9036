"""Function calls and structured answers by constrained generation, for models that call functions unreliably.

The model may only write JSON of one schema: an answer or a call. The JSON is parsed while it is generated, so that the
text of an answer is streamed.
"""

from __future__ import annotations

import json
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from gigachat._references import with_subschemas
from gigachat.server.engine import ChatRequest, FunctionCall, Message, Piece
from gigachat.server.engines.upstream import answer_format, result_text
from gigachat.server.wire.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN = ("name", "description", "parameters", "few_shot_examples")
_LONGEST_TEXT = 500


def constrained(request: ChatRequest) -> tuple[dict[str, Any], JsonReader | None]:
    """Return messages and format of a request, and the reader of what is generated; None where that is the answer."""
    functions = [one for one in request.functions if not request.must_call or one["name"] in request.must_call]
    if functions:
        body = {
            "messages": _messages(request.messages, _instruction(request, functions)),
            "response_format": answer_format(_union(request, functions)),
        }
        return body, JsonReader(request)
    if request.schema is not None:
        instruction = f"Reply with JSON of this JSON Schema: {_json(request.schema)}"
        return {
            "messages": _messages(request.messages, instruction),
            "response_format": answer_format(request.schema),
        }, None
    return {"messages": _messages(request.messages, None)}, None


class JsonReader:
    """Reads generated JSON, which is an answer or a call. The text of an answer is streamed."""

    def __init__(self, request: ChatRequest) -> None:
        self._preset = request.preset
        self._streams = request.schema is None and not request.must_call
        self._text = ""
        self._sent = 0

    def feed(self, text: str) -> list[Piece]:
        """Add generated text and return the pieces that it completes."""
        self._text += text
        if not self._streams:
            return []
        try:
            value = from_json(self._text, allow_partial="trailing-strings")
        except ValueError:  # nothing yet, or not JSON
            return []
        answer = value.get("answer") if isinstance(value, dict) else None
        return self._more(answer) if isinstance(answer, str) else []

    def end(self, *, whole: bool) -> list[Piece]:
        """Return the last pieces; an incomplete call gives none.

        Args:
            whole: Whether the model finished by itself.

        Raises:
            Refusal: 500 if the model finished, but its text does not match the schema.
        """
        try:
            made = json.loads(self._text)
        except (ValueError, RecursionError):
            made = None
        match made:
            case {"function": str(name), "arguments": dict(arguments)}:
                return [FunctionCall(name, {**arguments, **self._preset})]
            case {"answer": str(answer)}:
                return self._more(answer)
            case {"answer": answer}:
                return [_json(answer)]
        if whole and self._text.strip() and not self._sent:
            text = self._text[:_LONGEST_TEXT]
            raise Refusal(500, f"The model server did not keep to the schema of the answer: {text}")
        return []

    def _more(self, answer: str) -> list[Piece]:
        """Return the text that has come since the last time."""
        # A lone surrogate can be written in JSON but is no text.
        new = answer[self._sent :].encode("utf-8", "replace").decode()
        self._sent = len(answer)
        return [new] if new else []


def _instruction(request: ChatRequest, functions: Sequence[Mapping[str, Any]]) -> str:
    shown = "\n".join(_json({name: one[name] for name in _SHOWN if name in one}) for one in functions)
    form = '{"function": its name, "arguments": {…}}'
    if not request.must_call:
        return (
            f"You can call these functions:\n{shown}\n"
            f'To call one, reply with {form}. To answer the user, reply with {{"answer": your text}}.'
        )
    given = f"\nThese arguments are given: {_json(request.preset)}" if request.preset else ""
    words = "this function" if len(functions) == 1 else "one of these functions"
    return f"Call {words}: {shown}\nReply with {form}.{given}"


def _union(request: ChatRequest, functions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON Schema of a call of one of the functions or, if none must be called, of an answer."""
    forms: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    if not request.must_call:
        definitions["answer"] = {"type": "string"} if request.schema is None else request.schema
        forms.append(_object({"answer": {"$ref": "#/$defs/answer"}}))
    for number, function in enumerate(functions):
        place = f"call{number}"
        definitions[place] = _arguments(function.get("parameters") or {}, request.preset)
        forms.append(_object({"function": {"const": function["name"]}, "arguments": {"$ref": f"#/$defs/{place}"}}))
    return {"anyOf": forms, "$defs": {place: _moved(one, f"#/$defs/{place}") for place, one in definitions.items()}}


def _arguments(parameters: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of the arguments that are not given."""
    properties = parameters.get("properties") or {}
    required = parameters.get("required") or ()
    return {
        **parameters,
        "type": "object",
        "properties": {name: one for name, one in properties.items() if name not in preset},
        "required": [name for name in required if name not in preset],
    }


def _moved(node: Any, place: str) -> Any:
    """Return a schema with its references changed for its new place in another one."""
    if isinstance(node, list):
        return [_moved(one, place) for one in node]
    if not isinstance(node, dict):
        return node
    moved = with_subschemas(node, lambda part: _moved(part, place))
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = place + reference.removeprefix("#")
    return moved


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _messages(messages: Sequence[Message], instruction: str | None) -> list[dict[str, Any]]:
    """Return messages in roles that every model knows, each role once in a turn as some templates want."""
    turns = [("system", message.content) for message in messages if message.role == "system"]
    if instruction is not None:
        turns.append(("system", instruction))
    turns += [_turn(message) for message in messages if message.role not in ("system", "reasoning")]
    return [
        {"role": role, "content": "\n\n".join(text for _, text in neighbours)}
        for role, neighbours in groupby(turns, itemgetter(0))
    ]


def _turn(message: Message) -> tuple[str, str]:
    if message.role == "function":
        return "user", result_text(message)
    if message.role == "assistant":
        calls = [_json({"function": one.name, "arguments": one.arguments}) for one in message.calls]
        return "assistant", "\n".join(filter(None, [message.content, *calls]))
    return "user", message.content


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
