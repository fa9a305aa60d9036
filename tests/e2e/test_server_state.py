"""What a server keeps in a folder, for the servers that come after it."""

from __future__ import annotations

import json
import os
import ssl
import stat
import sys
from pathlib import Path

import httpx2
import pytest

from gigachat import GigaChat, NotFoundError
from gigachat.server import GigaChatServer
from tests.e2e.callers import options


def test_everything_outlives_the_server(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path / "state") as server, GigaChat(**options(server)) as giga:
        known = {**server.environment}
        file = giga.upload_file(("заметки.txt", "Привет".encode())).id_
        gone = giga.upload_file(("gone.txt", b"gone")).id_
        giga.delete_file(gone)
        assistant = giga.assistants.create(model="GigaChat", name="Helper", instructions="Be brief").assistant_id
        answered = giga.threads.run_messages(["Меня зовут Анна"], assistant_id=assistant)
        balance = giga.get_balance()

    with GigaChatServer(state=tmp_path / "state") as server, GigaChat(**options(server)) as giga:
        now = server.environment
        for name in ("GIGACHAT_CREDENTIALS", "GIGACHAT_SCOPE", "GIGACHAT_CA_BUNDLE_FILE"):
            assert now[name] == known[name]
        assert [one.id_ for one in giga.get_files().data] == [file]
        assert giga.get_file(file).filename == "заметки.txt"
        assert giga.get_balance().balance == balance.balance
        found = giga.assistants.get(assistant_id=assistant).data
        assert [one.name for one in found] == ["Helper"]
        messages = giga.threads.get_messages(answered.thread_id).messages
        assert messages[0].content == "Меня зовут Анна"
        assert len(messages) == 2
        giga.assistants.delete(assistant)
        giga.threads.delete(answered.thread_id)

    with GigaChatServer(state=tmp_path / "state") as server, GigaChat(**options(server)) as giga:
        assert giga.assistants.get().data == []
        with pytest.raises(NotFoundError):
            giga.threads.get_messages(answered.thread_id)


def test_a_batch_goes_on_where_somebody_looks_again(tmp_path: Path) -> None:
    request = {"model": "GigaChat", "messages": [{"role": "user", "content": "x"}]}
    lines = "\n".join(json.dumps({"id": str(number), "request": request}) for number in range(3)).encode()
    with GigaChatServer(state=tmp_path, batch_pace=60) as server, GigaChat(**options(server)) as giga:
        batch = giga.create_batch(lines, "chat_completions").id_
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        done = giga.wait_batch(batch, poll_interval=0.01)
        assert done.status == "completed"
        assert [one.id_ for one in giga.batch_results(done)] == ["0", "1", "2"]


def test_half_a_surrogate_pair_is_kept(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        body = b'{"model":"GigaChat","messages":[{"role":"user","content":"a\\ud800b"}]}'
        giga.get_token()
        headers = {"Authorization": f"Bearer {giga.token}"}
        context = ssl.create_default_context(cafile=server.ca_bundle_file)
        url = f"{server.base_url}/threads/messages"
        answer = httpx2.post(url, content=body, headers=headers, verify=context, trust_env=False)
        thread = answer.raise_for_status().json()["thread_id"]
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        [message] = giga.threads.get_messages(thread).messages
        assert message.content == "a?b"


def test_one_folder_is_for_one_server_at_a_time(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path), pytest.raises(ValueError, match="locked"):
        GigaChatServer(state=tmp_path)
    server = GigaChatServer(state=tmp_path)
    for _ in range(2):
        with server, GigaChat(**options(server)) as giga:
            giga.upload_file(("a.txt", b"a"))
    with GigaChatServer(state=tmp_path) as again, GigaChat(**options(again)) as giga:
        assert len(giga.get_files().data) == 2


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("x")
    with pytest.raises(ValueError, match="cannot be kept in"):
        GigaChatServer(state=place)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps permissions elsewhere")
def test_keys_in_the_folder_are_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with GigaChatServer(state=folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for key in (folder / "certificates").glob("*.key"):
            assert stat.S_IMODE(os.stat(key).st_mode) == 0o600


def test_content_lies_in_plain_files_named_by_id_alone(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        file = giga.upload_file(("../../evil.txt", b"content")).id_
        assert (tmp_path / "files" / file).read_bytes() == b"content"
    assert not (tmp_path.parent / "evil.txt").exists()
