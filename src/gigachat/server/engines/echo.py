"""The echo: the deterministic engine that needs no model.

It quotes the question, calls the functions the message names, and fills arguments and structured answers from their
schemas. Built-in tools are used only in form: the search finds one page that says so, the picture is grey, the 3D
model has no content. It quotes the beginning of an attached text, and tells the length of a WAV.
"""

from __future__ import annotations

import base64
import json
import re
import wave
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

from gigachat.server.engine import (
    AttachedFile,
    ChatRequest,
    FunctionCall,
    MadeFile,
    Piece,
    Reasoning,
    Source,
    Stop,
    ToolUse,
)
from gigachat.server.engines.sample_json import Unfilled, sample
from gigachat.server.tokens import phrases, within
from gigachat.server.wire.errors import invalid_params

_WAV = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/x-pn-wav"})
_CYRILLIC = re.compile(r"[А-Яа-яЁё]")
_QUOTED_LENGTH = 300
_SEARCHED = 10_000
"""Characters of a message in which names of functions are looked for."""
_PICTURES = frozenset({"image_generate", "text2image"})
_MODELS = frozenset({"model_3d_generate", "text2model3d"})
# API v1 offers its built-in functions with every "auto": one is called only if the message asks for it.
_ASKED = {"text2image": re.compile(r"нарису|рисун|изобраз|картин|draw|paint|picture|image", re.IGNORECASE)}
_SOURCE = Source("https://example.com/", "Локальный сервер ничего не искал / The local server has not searched")
_PICTURE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"
    "EBAQEBAQEBAQEBAQEBD/wAALCAAIAAgBAREA/8QAHwAAAAAMAAAAAAAAAAAAAAAAAAECAwQFBgcICQoL/8QAFBABAAAAAAAAAAAA"
    "AAAAAAAAAP/aAAgBAQAAPwAH/9k="
)
"""A JPEG of 8 x 8 grey pixels."""
_MODEL = b"Kaydara FBX Binary  \x00\x1a\x00\xe8\x1c\x00\x00"
"""The beginning of an FBX file of version 7.4."""


class Echo:
    """An engine without a model, which quotes the question."""

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield reasoning if requested, then the function calls, or without any the echo of the last message."""
        if request.effort is not None:
            thoughts = list(phrases(_reasoning(request, request.effort)))
            if request.reasoning_tokens is not None:
                thoughts, _ = within(thoughts, request.reasoning_tokens)
            for phrase in thoughts:
                yield Reasoning(phrase)
        calls = _due_calls(request)
        for call in calls:
            yield call
        if calls:
            return
        tool = _due_tool(request)
        if tool is not None:
            yield _used(tool)
        pieces = phrases(_text(request, tool))
        if request.max_tokens is None:
            for piece in pieces:
                yield piece
            return
        kept, shortened = within(pieces, request.max_tokens)
        for piece in kept:
            yield piece
        if shortened:
            yield Stop("length")


def _question(request: ChatRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def _named(names: Sequence[str], question: str) -> list[str]:
    """Return the names a message mentions."""
    lowered = question[:_SEARCHED].lower()
    return [name for name in names if name.lower() in lowered]


def _due_calls(request: ChatRequest) -> list[FunctionCall]:
    """Return the calls: of required functions, or after a user's message of those that it names, or of the first."""
    if not request.functions:
        return []
    question = _question(request)
    by_name = {str(one["name"]): one for one in request.functions}
    if request.must_call:
        chosen = _named(request.must_call, question) or [request.must_call[0]]
    elif request.forced_tool is not None or request.messages[-1].role != "user":
        return []
    else:
        chosen = _named(list(by_name), question)
        if not chosen and not _named(request.tools, question):
            chosen = [next(iter(by_name))]
    if not request.several_calls:
        chosen = chosen[:1]
    return [FunctionCall(name, _arguments(by_name[name], question, request.preset)) for name in chosen]


def _due_tool(request: ChatRequest) -> str | None:
    """Return the built-in tool to use: the forced one; after a user's message, the one it names or the first."""
    if request.forced_tool is not None:
        return request.forced_tool
    if request.messages[-1].role != "user" or request.schema is not None or request.pattern is not None:
        return None
    question = _question(request)
    named = _named(request.tools, question)
    if named:
        return named[0]
    for name in request.tools:
        asked = _ASKED.get(name)
        if asked is None or asked.search(question):
            return name
    return None


def _used(tool: str) -> ToolUse:
    if tool in _PICTURES:
        return ToolUse(tool, files=[MadeFile(_PICTURE, "image.jpg")])
    if tool in _MODELS:
        return ToolUse(tool, files=[MadeFile(_MODEL, "model.fbx", "application/octet-stream", "3dmodel")])
    return ToolUse(tool, sources=[_SOURCE] if tool == "web_search" else [])


def _arguments(function: Mapping[str, Any], question: str, preset: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters")
    built = _instance(parameters, question) if isinstance(parameters, Mapping) and parameters else {}
    return {**(built if isinstance(built, dict) else {}), **preset}


def _instance(schema: Mapping[str, Any], question: str) -> Any:
    try:
        return sample(schema, question)
    except Unfilled as error:
        raise invalid_params(str(error)) from None


def _is_russian(text: str) -> bool:
    return _CYRILLIC.search(text) is not None


def _reasoning(request: ChatRequest, effort: str) -> str:
    if _is_russian(_question(request)):
        return f"У локального сервера нет модели, рассуждать нечем. Запрошенное усилие: {effort}."
    return f"The local server has no model to reason with. Effort asked for: {effort}."


def _text(request: ChatRequest, tool: str | None) -> str:
    question = _question(request)
    if request.schema is not None:
        built = _instance(request.schema, question)
        if request.model.indent is not None:
            return json.dumps(built, ensure_ascii=False, indent=request.model.indent)
        return json.dumps(built, ensure_ascii=False, separators=(",", ":"))
    if request.pattern is not None:
        raise invalid_params("the local server makes no text for a regex; order the answer with reply()")
    last = request.messages[-1]
    said = last.content if last.role == "function" else question
    if len(said) > _QUOTED_LENGTH:
        said = said[:_QUOTED_LENGTH] + "…"
    russian = _is_russian(question)
    if last.role == "function":
        name = last.name or "?"
        if russian:
            return f"Это эхо локального сервера GigaChat, модели за ним нет. Функция {name} вернула: {said}"
        return f"This is the echo of the local GigaChat server, not of a model. Function {name} returned: {said}"
    if tool is not None:
        mark = " [sources=[1]]" if tool == "web_search" else ""
        if russian:
            return f"Это эхо локального сервера GigaChat: вместо {tool} работала заглушка. Вы написали: «{said}»{mark}."
        return f"This is the echo of the local GigaChat server: {tool} is only imitated. You wrote: “{said}”{mark}."
    count = len(request.messages)
    files = "".join(_told(file, russian=russian) for file in request.attached)
    if russian:
        return (
            f"Это эхо локального сервера GigaChat: языковой модели за ним нет. Вы написали: «{said}». {files}"
            f"Сообщений в запросе: {count}. Чтобы ответила модель, направьте клиент на сервис GigaChat."
        )
    return (
        f"This is the echo of the local GigaChat server: no model is behind it. You wrote: “{said}”. {files}"
        f"Messages in the request: {count}. For a real answer, point the client at the GigaChat service."
    )


def _told(file: AttachedFile, *, russian: bool) -> str:
    """Return what is told about an attached file: the beginning of a text, the length of a WAV, the size of others."""
    if file.mime == "text/plain":
        text = file.content.decode("utf-8", "replace")
        quoted = text if len(text) <= _QUOTED_LENGTH else text[:_QUOTED_LENGTH] + "…"
        return f"В файле {file.name}: «{quoted}». " if russian else f"The file {file.name} says: “{quoted}”. "
    if file.mime in _WAV:
        with suppress(wave.Error, EOFError, ZeroDivisionError), wave.open(BytesIO(file.content)) as sound:
            seconds = round(sound.getnframes() / sound.getframerate(), 1)
            if russian:
                return f"В файле {file.name} запись длиной {seconds} с. "
            return f"The file {file.name} has a recording of {seconds} s. "
    size = len(file.content)
    return f"В файле {file.name} байтов: {size}. " if russian else f"The file {file.name} has {size} bytes. "
