"""The limits of an account on the local server: requests in work, sign-ins a second, images of a request."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gigachat import GigaChat, PaymentRequiredError, RateLimitError
from gigachat.server import GigaChatServer
from gigachat.server.state.state import AccountKind

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)
TOO_MANY = {"status": 429, "message": "Too many requests"}
SCOPES = {"pers": "GIGACHAT_API_PERS", "b2b": "GIGACHAT_API_B2B", "corp": "GIGACHAT_API_CORP"}


async def sign_in(http: httpx2.AsyncClient, server: GigaChatServer, kind: AccountKind | None = None) -> httpx2.Response:
    headers = {"Authorization": f"Basic {server.credentials}", "RqUID": str(uuid.uuid4()), "User-Agent": "test"}
    return await http.post(server.auth_url, data={"scope": SCOPES[kind or "pers"]}, headers=headers)


@asynccontextmanager
async def api(server: GigaChatServer, kind: AccountKind | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.base_url, timeout=30) as http:
        token = (await sign_in(http, server, kind)).raise_for_status().json()["access_token"]
        http.headers["Authorization"] = f"Bearer {token}"
        yield http


def chat(text: str = "x", **fields: Any) -> dict[str, Any]:
    return {"model": "GigaChat", "messages": [{"role": "user", "content": text}], **fields}


@pytest.mark.parametrize(("kind", "most"), [("pers", 1), ("b2b", 10), ("corp", 10)])
def test_only_so_many_requests_are_in_work_at_once(kind: AccountKind, most: int) -> None:
    async def main() -> None:
        async with api(server, kind) as http:
            streams = [http.stream("POST", "/chat/completions", json=chat(stream=True)) for _ in range(most)]
            for stream in streams:
                assert (await stream.__aenter__()).status_code == 200
            for path, body in (
                ("/chat/completions", chat()),
                ("/embeddings", {"model": "Embeddings", "input": "x"}),
                ("/threads/messages/run", chat()),
            ):
                refused = await http.post(path, json=body)
                assert (refused.status_code, refused.json()) == (429, TOO_MANY)
                assert "retry-after" not in refused.headers
            # What keeps no model at work is not counted.
            assert (await http.get("/models")).status_code == 200
            await streams[0].__aexit__(None, None, None)
            async with asyncio.timeout(60):  # until the server has noticed
                while (await http.post("/chat/completions", json=chat())).status_code != 200:
                    await asyncio.sleep(0.01)
            for stream in streams[1:]:
                await stream.__aexit__(None, None, None)

    # Streams that go on for as long as they are wanted, even on a busy machine.
    with GigaChatServer(tls=False, account_kind=kind, pace=30) as server:
        asyncio.run(main())


def test_one_after_the_other_is_fine() -> None:
    async def main() -> None:
        async with api(server, "pers") as http:
            for _ in range(20):
                (await http.post("/chat/completions", json=chat())).raise_for_status()
                assert "[DONE]" in (await http.post("/chat/completions", json=chat(stream=True))).text
                # A refused request gives its place back too.
                assert (await http.post("/chat/completions", json=chat(temperature=0))).status_code == 422

    with GigaChatServer(tls=False, account_kind="pers") as server:
        asyncio.run(main())


def test_ten_sign_ins_a_second() -> None:
    async def main() -> list[int]:
        async with httpx2.AsyncClient(timeout=60) as http:
            answers = await asyncio.gather(*(sign_in(http, server) for _ in range(100)))
        return sorted(answer.status_code for answer in answers)

    with GigaChatServer(tls=False, account_kind="pers") as server:
        begun = time.monotonic()
        statuses = asyncio.run(main())
        seconds = time.monotonic() - begun
    # More than ten only if this machine took longer than a second.
    assert 10 <= statuses.count(200) <= 10 * (1 + int(seconds))
    assert set(statuses) == {200, 429}


def test_an_account_of_no_kind_has_no_limits() -> None:
    async def main() -> None:
        async with api(server) as http:
            signed_in = await asyncio.gather(*(sign_in(http, server) for _ in range(25)))
            answers = await asyncio.gather(*(http.post("/chat/completions", json=chat()) for _ in range(25)))
        assert {answer.status_code for answer in (*signed_in, *answers)} == {200}

    with GigaChatServer(tls=False) as server:
        asyncio.run(main())


def test_images_of_a_request() -> None:
    async def main() -> None:
        async with api(server) as http:

            async def uploaded(name: str, content: bytes, mime: str) -> str:
                files = {"file": (name, content, mime)}
                answer = await http.post("/files", files=files, data={"purpose": "general"})
                file_id: str = answer.raise_for_status().json()["id"]
                return file_id

            async def asked(*attachments: list[str]) -> tuple[int, str]:
                messages = [{"role": "user", "content": "x", "attachments": ids} for ids in attachments]
                answer = await http.post("/chat/completions", json={"model": "GigaChat", "messages": messages})
                return answer.status_code, answer.json().get("message", "")

            image = await uploaded("a.jpg", JPEG, "image/jpeg")
            text = await uploaded("a.txt", b"text", "text/plain")
            assert (await asked([image, text]))[0] == 200
            assert (await asked(*[[image]] * 10))[0] == 200
            status, message = await asked([image, image])
            assert (status, message) == (422, "Invalid params: a message must not have more than one image")
            status, message = await asked(*[[image]] * 11)
            assert (status, message) == (422, "Invalid params: a request must not have more than 10 images")
            sound = await uploaded("a.mp3", bytes(27 * 1024 * 1024), "audio/mp3")
            assert (await asked([sound, sound]))[0] == 200
            status, message = await asked([sound], [sound], [sound])
            assert (status, message) == (
                422,
                "Invalid params: images and audio of a request must have less than 80 MB together",
            )
            # The same in v2.
            parts = [{"text": "x"}, {"files": [{"id": image}, {"id": image}]}]
            body = {"model": "GigaChat", "messages": [{"role": "user", "content": parts}]}
            refused = await http.post(f"{server.origin}/v2/chat/completions", json=body)
            assert "more than one image" in refused.json()["message"]

    with GigaChatServer(tls=False) as server:
        asyncio.run(main())


def test_the_key_is_of_the_kind_of_account() -> None:
    with GigaChatServer(tls=False, account_kind="corp") as server:
        assert server.environment["GIGACHAT_SCOPE"] == "GIGACHAT_API_CORP"
        assert b":" in base64.b64decode(server.credentials)


def test_a_prepaid_account_pays_what_usage_tells_and_then_meets_402(tmp_path: Path) -> None:
    with GigaChatServer(account_kind="b2b", state=tmp_path) as server:
        giga = GigaChat(**server.client_options, max_retries=0)
        before = left(giga)
        spent = giga.chat("Привет!").usage.total_tokens
        spent += giga.stream("Привет!").get_final_completion().usage.total_tokens
        answered = giga.chat.create("Привет!").usage
        assert answered is not None
        spent += answered.total_tokens or 0
        assert left(giga) == before | {"GigaChat": before["GigaChat"] - spent}
        other = giga.chat("Привет!", model="GigaChat-2-Max").usage.total_tokens
        vectors = giga.embeddings(["один", "два"])
        tokens = sum(one.usage.prompt_tokens for one in vectors.data)
        now = left(giga)
        assert before["GigaChat-Max"] - now["GigaChat-Max"] == other
        assert before["embeddings"] - now["embeddings"] == tokens > 0
        giga.close()
    with GigaChatServer(account_kind="b2b", state=tmp_path) as server, GigaChat(**server.client_options) as giga:
        assert left(giga) == now
        server.spend("GigaChat", now["GigaChat"])
        for ask in (giga.chat, giga.chat.create):
            with pytest.raises(PaymentRequiredError):
                ask("Привет!")
        giga.chat("Привет!", model="GigaChat-2-Max")
        giga.embeddings("один")
        server.spend("embeddings", now["embeddings"])
        with pytest.raises(PaymentRequiredError):
            giga.embeddings("один")


@pytest.mark.parametrize("kind", [None, "corp"])
def test_who_does_not_pay_in_advance_never_runs_out(kind: AccountKind | None) -> None:
    with GigaChatServer(account_kind=kind) as server, GigaChat(**server.client_options) as giga:
        server.spend("GigaChat", 10**9)
        giga.chat("Привет!")


@pytest.mark.slow
def test_no_more_requests_are_let_in_than_the_rate_permits() -> None:
    with GigaChatServer(rate=3) as server, GigaChat(**server.client_options, max_retries=0) as giga:
        giga.get_token()
        giga.get_models()
        giga.get_models()
        # One is enough, unless this machine takes longer than a second for four.
        with pytest.raises(RateLimitError):
            [giga.get_models() for _ in range(50)]
    with GigaChatServer(rate=3) as server, GigaChat(**server.client_options) as giga:
        giga.get_token()
        answered = 0
        while len(server.requests) == 1 + answered:
            assert answered < 50
            giga.get_models()  # waits its turn
            answered += 1
    with pytest.raises(ValueError, match="rate"):
        GigaChatServer(rate=0)


def left(giga: GigaChat) -> dict[str, int]:
    return {one.usage: int(one.value) for one in giga.get_balance().balance}
