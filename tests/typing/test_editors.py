"""Do editors with Jedi know the types of the wheel, and complete public names only?"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import jedi
import pytest

import gigachat

CLIENTS = """\
from gigachat import AsyncGigaChat, GigaChat
giga = GigaChat()
agiga = AsyncGigaChat()
"""
OURS = re.compile(r"\b(_\w+|self|unknown|positional|Resource|Blocking|Async|Mode|Call|StreamCall)\b")
"""Names that only the implementation has."""


@pytest.fixture(scope="session")
def project(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> jedi.Project:
    jedi.settings.cache_directory = str(tmp_path_factory.mktemp("jedi"))
    return jedi.Project(installed, sys_path=[str(installed), *sys.path], smart_sys_path=False)


def complete(project: jedi.Project, code: str) -> list[Any]:
    return [*jedi.Script(code, project=project).complete()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("value = giga.chat('x')", "gigachat.models.chat.ChatCompletion"),
        ("value = giga.chat('x').text", "builtins.str"),
        ("value = giga.chat('x').choices[0].message.content", "builtins.str"),
        ("value = giga.chat('x').images[0]", "gigachat.models.answer_files.AnswerFile"),
        ("for value in giga.stream('x'): value", "gigachat.models.chat.ChatCompletionChunk"),
        ("with giga.stream('x') as stream: value = next(stream)", "gigachat.models.chat.ChatCompletionChunk"),
        ("value = giga.stream('x').get_final_completion()", "gigachat.models.chat.ChatCompletion"),
        ("value = giga.embeddings(['x']).data[0]", "gigachat.models.embeddings.Embedding"),
        ("value = giga.get_models().data[0]", "gigachat.models.models.Model"),
        ("value = giga.chat.create('x')", "gigachat.models.chat_completions.ChatCompletionResponse"),
        ("for value in giga.chat.stream('x'): value", "gigachat.models.chat_completions.ChatCompletionChunk"),
        ("value = giga.chat_run('x', tools=[])", "gigachat.tools.runs.RunResult"),
        ("value = giga.upload_file('x')", "gigachat.models.files.UploadedFile"),
        ("value = giga.conversation()", "gigachat.api.conversation.modes.Conversation"),
        ("value = giga.conversation().send('x')", "gigachat.tools.runs.RunResult"),
        ("value = giga.with_options(timeout=5).chat('x')", "gigachat.models.chat.ChatCompletion"),
        ("with GigaChat() as other: value = other.chat('x')", "gigachat.models.chat.ChatCompletion"),
        ("value = giga.assistants.get().data[0]", "gigachat.models.assistants.Assistant"),
        ("value = giga.astream('x')", "gigachat._engine.stream.AsyncStream"),
        ("async def f(): value = await giga.achat('x')", "gigachat.models.chat.ChatCompletion"),
        ("async def f(): value = await agiga.chat('x')", "gigachat.models.chat.ChatCompletion"),
        ("async def f():\n async for value in agiga.stream('x'): value", "gigachat.models.chat.ChatCompletionChunk"),
        (
            "async def f():\n async with AsyncGigaChat() as other: value = await other.get_balance()",
            "gigachat.models.tools.Balance",
        ),
        ("value = agiga.conversation()", "gigachat.api.conversation.modes.AsyncConversation"),
    ],
)
def test_the_type_of_an_expression(project: jedi.Project, statement: str, kind: str) -> None:
    code = CLIENTS + statement
    *lines, last = code[: code.rindex("value")].split("\n")
    found = jedi.Script(code, project=project).infer(len(lines) + 1, len(last))
    assert [one.full_name for one in found] == [kind]


@pytest.mark.slow
def test_fields_of_an_answer_are_completed(project: jedi.Project) -> None:
    names = {one.name for one in complete(project, f"{CLIENTS}giga.chat('x').")}
    assert names >= {"text", "choices", "usage", "model", "images", "sources", "x_headers"}


@pytest.mark.slow
def test_the_package_completes_public_names_only(project: jedi.Project, installed: Path) -> None:
    modules = {path.stem for path in (installed / "gigachat").iterdir() if path.suffix == ".py" or path.is_dir()}
    names = {one.name for one in complete(project, "from gigachat import ")}
    public = {name for name in {*gigachat.__all__, *modules} if name[0] not in "._"}
    assert {name for name in names if name[0] not in "._"} == public


@pytest.mark.slow
@pytest.mark.parametrize("owner", ["giga", "agiga", "giga.chat", "agiga.chat", "giga.assistants", "giga.a_threads"])
def test_methods_are_shown_without_what_only_the_implementation_has(project: jedi.Project, owner: str) -> None:
    methods = [one for one in complete(project, f"{CLIENTS}{owner}.") if one.type == "function" and one.name[0] != "_"]
    shown = [signature.to_string() for method in methods for signature in method.get_signatures()]
    assert len(shown) >= len(methods) > 3
    assert [one for one in shown if OURS.search(one)] == []


@pytest.mark.slow
@pytest.mark.parametrize("call", ["GigaChat", "giga.chat", "agiga.chat"])
def test_a_call_is_shown_without_what_only_the_implementation_has(project: jedi.Project, call: str) -> None:
    (signature,) = jedi.Script(f"{CLIENTS}{call}(", project=project).get_signatures()
    assert not OURS.search(signature.to_string())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["giga.embeddings", "giga.chat.create", "agiga.chat_parse"])
def test_a_method_is_shown_with_its_purpose(project: jedi.Project, method: str) -> None:
    (found,) = jedi.Script(f"{CLIENTS}{method}", project=project).help()
    assert "\n\nReturn " in found.docstring()
