"""The published client 0.2.3, unchanged, against the local server: who has not switched yet develops offline as well.

It has the name of this one, so it lies beside the environment and runs in processes of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer

BESIDE = Path(sys.prefix) / "beside"
PROGRAM = """
import asyncio, json
import gigachat
from gigachat import GigaChat
from gigachat.models import Chat, Messages, MessagesRole, Function, FunctionParameters

giga = GigaChat(model="GigaChat")
said = {"file": gigachat.__file__}
WEATHER = Function(
    name="weather", description="Погода", parameters=FunctionParameters(
        type="object", properties={"city": {"type": "string"}}, required=["city"]
    ),
)

def question(text, **fields):
    return Chat(messages=[Messages(role=MessagesRole.USER, content=text)], **fields)

"""
BLOCKING = """
said["models"] = [model.id_ for model in giga.get_models().data]
said["text"] = giga.chat("Привет!").choices[0].message.content
said["stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in giga.stream("Привет!"))
said["call"] = giga.chat(question("погода", functions=[WEATHER], function_call="auto")).choices[0].message.function_call
said["vectors"] = [len(one.embedding) for one in giga.embeddings(["один", "два"]).data]
said["tokens"] = [one.tokens for one in giga.tokens_count(["один"], model="GigaChat")]
file = giga.upload_file(("notes.txt", b"notes"))
said["files"] = [one.filename for one in giga.get_files().data]
giga.delete_file(file.id_)
"""
ASYNC = """
async def main():
    said["models"] = [model.id_ for model in (await giga.aget_models()).data]
    said["text"] = (await giga.achat("Привет!")).choices[0].message.content
    said["stream"] = "".join([chunk.choices[0].delta.content or "" async for chunk in giga.astream("Привет!")])
    asked = question("погода", functions=[WEATHER], function_call="auto")
    said["call"] = (await giga.achat(asked)).choices[0].message.function_call
    said["vectors"] = [len(one.embedding) for one in (await giga.aembeddings(["один", "два"])).data]
    said["tokens"] = [one.tokens for one in await giga.atokens_count(["один"], model="GigaChat")]
    file = await giga.aupload_file(("notes.txt", b"notes"))
    said["files"] = [one.filename for one in (await giga.aget_files()).data]
    await giga.adelete_file(file.id_)

asyncio.run(main())
"""
PRINT = 'said["call"] = [said["call"].name, said["call"].arguments]\nprint(json.dumps(said))\n'


@pytest.mark.parametrize("program", [BLOCKING, ASYNC], ids=["blocking", "async"])
def test_it_signs_in_and_is_answered(server: GigaChatServer, program: str) -> None:
    check_answers(program)
    assert server.requests[0].path == "/api/v2/oauth"


@pytest.mark.usefixtures("served")
def test_it_finds_the_command_by_what_it_prints() -> None:
    check_answers(BLOCKING)


def check_answers(program: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(BESIDE)}
    command = [sys.executable, "-c", PROGRAM + program + PRINT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert Path(said["file"]).parent == BESIDE / "gigachat"
    assert "GigaChat-2-Max" in said["models"]
    assert "Привет!" in said["text"]
    assert "Привет!" in said["stream"]
    assert said["call"][0] == "weather"
    assert list(said["call"][1]) == ["city"]
    assert said["vectors"] == [1024, 1024]
    assert said["tokens"][0] > 0
    assert said["files"] == ["notes.txt"]


def test_it_is_as_it_was_published(unchanged: Callable[..., None]) -> None:
    unchanged("gigachat", [str(BESIDE)])
