"""Function calls and structured answers by constrained generation, for models that call functions unreliably.

The model may only write JSON of one schema, a union of an answer and of calls. It is read while it comes, so that the
text of an answer is streamed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from gigachat.schema import simplify
from gigachat.server.engine import ChatRequest, FunctionCall, Piece
from gigachat.server.wire.errors import Refusal, invalid_params

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHOWN = ("name", "description", "parameters", "few_shot_examples")
_LONGEST_TEXT = 500


def generated_schema(request: ChatRequest) -> Mapping[str, Any] | None:
    """Return the JSON Schema of what is to be generated; None for free text.

    Raises:
        Refusal: 422 for parameters of a function that can't be expressed.
    """
    if request.forced is not None:
        return _call_schema(_named(request, request.forced), request.preset)
    if request.functions:
        answer = dict(request.schema) if request.schema is not None else {"type": "string"}
        return {"anyOf": [_object({"answer": answer}), *(_call_schema(one, {}) for one in request.functions)]}
    if request.schema is not None:
        return request.schema
    if request.pattern is not None:
        return {"type": "string", "pattern": f"^{request.pattern.removeprefix('^').removesuffix('$')}$"}
    return None


def instruction(request: ChatRequest) -> str | None:
    """Return the instruction on the form of the answer; None for free text."""
    if request.forced is not None:
        described = _shown(_named(request, request.forced))
        given = f"\nThese arguments are given: {_json(request.preset)}" if request.preset else ""
        return f'Call this function: {described}\nReply with {{"function": its name, "arguments": {{…}}}}.{given}'
    if request.functions:
        described = "\n".join(map(_shown, request.functions))
        return (
            f"You can call these functions:\n{described}\n"
            'To call one, reply with {"function": its name, "arguments": {…}}. '
            'To answer the user, reply with {"answer": your text}.'
        )
    if request.schema is not None:
        return f"Reply with JSON of this JSON Schema: {_json(request.schema)}"
    if request.pattern is not None:
        return f"Reply with a JSON string whose text matches this regular expression: {request.pattern}"
    return None


def reader(request: ChatRequest) -> JsonReader | None:
    """Return the reader of what `generated_schema` makes a model write; None where that is the answer itself."""
    if request.forced is not None or request.functions or (request.schema is None and request.pattern is not None):
        return JsonReader(request)
    return None


class JsonReader:
    """What is generated is JSON: a string, an answer or a call. The text of a string or an answer is streamed."""

    def __init__(self, request: ChatRequest) -> None:
        self._preset = request.preset
        self._is_string = not request.functions
        self._streams = request.schema is None and request.forced is None
        self._text = ""
        self._sent = 0

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that a further text completes."""
        self._text += text
        if not self._streams:
            return []
        try:
            return self._more(from_json(self._text, allow_partial="trailing-strings"))
        except ValueError:  # nothing yet, or not JSON
            return []

    def _more(self, value: Any) -> list[Piece]:
        """Return the text that has come since the last time."""
        answer = value if self._is_string else value.get("answer") if isinstance(value, dict) else None
        if not isinstance(answer, str):
            return []
        # A lone surrogate can be written in JSON but is no text.
        new = answer[self._sent :].encode("utf-8", "replace").decode()
        self._sent = len(answer)
        return [new] if new else []

    def end(self, *, whole: bool) -> list[Piece]:
        """Return the last pieces; an incomplete call gives none.

        Args:
            whole: Whether the model wrote all it wanted.

        Raises:
            Refusal: 500 for a whole text that does not keep to the schema.
        """
        try:
            made = json.loads(self._text)
        except (ValueError, RecursionError):
            made = None
        match made:
            case {"function": str(name), "arguments": dict(arguments)}:
                return [FunctionCall(name, {**arguments, **self._preset})]
            case str() if self._is_string:
                return self._more(made)
            case {"answer": str()}:
                return self._more(made)
            case {"answer": answer}:
                return [_json(answer)]
        if whole and self._text.strip() and not self._sent:
            raise _disobeyed(self._text)
        return []


def _named(request: ChatRequest, name: str) -> Mapping[str, Any]:
    return next(one for one in request.functions if one["name"] == name)


def _call_schema(function: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters") or {}
    try:
        schema = simplify(parameters)
    except ValueError as error:
        raise invalid_params(f"parameters of function {function['name']}: {error}") from None
    properties = {name: one for name, one in schema.get("properties", {}).items() if name not in preset}
    arguments = {**schema, "type": "object", "properties": properties}
    if "required" in schema:
        arguments["required"] = [name for name in schema["required"] if name not in preset]
    return _object({"function": {"const": function["name"]}, "arguments": arguments})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _disobeyed(text: str) -> Refusal:
    return Refusal(500, f"The model server did not keep to the schema of the answer: {text[:_LONGEST_TEXT]}")


def _shown(function: Mapping[str, Any]) -> str:
    return _json({name: function[name] for name in _SHOWN if name in function})


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
