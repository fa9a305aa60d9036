"""The canned answers as files of a folder: nginx serves them, and so does the own server.

They are the recorded answers of the tests, made long enough to measure. A name is a path: `/NAME/v1/…` is answered
with `NAME.v1`. The ending of a file gives its content type.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

DIMENSIONS = 1024
EVENTS = 2000  # of a stream at full speed
FILE_BYTES = 100_000_000

TYPES = {".json": "application/json", ".events": "text/event-stream", ".bytes": "application/octet-stream"}
RECORDED = Path(__file__).parent.parent / "tests" / "contract" / "recorded"

TEXTS_V1 = ("Ответ", " модели", " приходит", " по", " частям", ",", " каждая", " часть", " —", " событие", ".")


def write(folder: Path) -> None:
    """Write all answers."""
    for name, body in {
        "chat.v1.json": recorded("chat_simple"),
        "chat.v2.json": recorded("primary_chat_create_simple"),
        "stream.v1.events": b"".join(events("v1", EVENTS)),
        "stream.v2.events": b"".join(events("v2", EVENTS)),
        "embeddings-100.v1.json": embeddings(100),
        "embeddings-1000.v1.json": embeddings(1000),
        "oauth.v2.json": json.dumps({"access_token": "token", "expires_at": 4102444800000}).encode(),
        "call.v1.json": function_call(),
        "upload.v1.json": uploaded(),
    }.items():
        (folder / name).write_bytes(body)
    with (folder / "file.v1.bytes").open("wb") as file:
        file.truncate(FILE_BYTES)


def recorded(name: str) -> bytes:
    """Return the body of the recorded answer to the one exchange that is not a sign-in."""
    body: str = json.loads((RECORDED / f"{name}.json").read_bytes())[-1]["response"]["body"]
    return body.encode()


def function_call() -> bytes:
    """Return the recorded chat with a call of a function in place of its text."""
    answer = json.loads(recorded("chat_simple"))
    call = {"name": "add", "arguments": {"a": 1, "b": 2}}
    message = {"role": "assistant", "content": "", "function_call": call, "functions_state_id": "state"}
    answer["choices"][0].update(message=message, finish_reason="function_call")
    return json.dumps(answer, ensure_ascii=False).encode()


def uploaded() -> bytes:
    file = {"id": "1", "object": "file", "bytes": FILE_BYTES, "created_at": 1, "filename": "data.txt"}
    return json.dumps({**file, "purpose": "general", "access_policy": "private"}).encode()


def chunks(count: int) -> list[dict[str, Any]]:
    """Return the objects of the events of a stream v1; the last one ends it."""
    recorded_ones = [
        json.loads(line[6:]) for line in recorded("stream_simple").splitlines() if line.startswith(b"data: {")
    ]
    first, *_, last = recorded_ones
    made = [first]
    for number in range(count - 2):
        choice = {"delta": {"content": TEXTS_V1[number % len(TEXTS_V1)]}, "index": 0}
        made.append({**first, "choices": [choice]})
    return [*made, last]


def events(version: str, count: int) -> list[bytes]:
    """Return the events of a stream as they are sent, the end of the stream with the last one."""
    if version == "v1":
        *inner, last = (b"data: " + dumped(chunk) + b"\n\n" for chunk in chunks(count))
        return [*inner, last + b"data: [DONE]\n\n"]
    first, last = recorded("primary_chat_stream_simple").removesuffix(b"\n\n").split(b"\n\n")
    head, _, data = first.partition(b"data: ")
    made = json.loads(data)
    sent = []
    for number in range(count - 1):
        made["messages"][0]["content"][0]["text"] = TEXTS_V1[number % len(TEXTS_V1)]
        sent.append(head + b"data: " + dumped(made) + b"\n\n")
    return [*sent, last + b"\n\n"]


def dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def embeddings(texts: int) -> bytes:
    """Return an answer with vectors of half-precision values, which is what the recorded ones are."""
    chance = random.Random(1)
    vectors = [_vector(chance) for _ in range(min(texts, 100))]
    data = [
        {"object": "embedding", "index": index, "embedding": vectors[index % 100], "usage": {"prompt_tokens": 7}}
        for index in range(texts)
    ]
    return dumped({"object": "list", "model": "Embeddings", "data": data})


def _vector(chance: random.Random) -> list[float]:
    values = [chance.gauss(0, 1) for _ in range(DIMENSIONS)]
    return list(struct.unpack(f"{DIMENSIONS}e", struct.pack(f"{DIMENSIONS}e", *values)))
