"""What a server keeps in a folder, for the servers that come after it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import ssl
import stat
import sys
from pathlib import Path

import httpx2
import pytest

from gigachat import GigaChat, NotFoundError
from gigachat.server import GigaChatServer
from tests.support.callers import options


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
        assert server.environment == known
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


def test_a_browser_meets_the_same_certificate_again(tmp_path: Path) -> None:
    """A browser remembers the certificate that its user accepted, not its authority."""
    shown = []
    for names in ([], [], ["gigachat.test"], ["gigachat.test"]):
        with GigaChatServer(state=tmp_path, names=names) as server:
            shown.append(ssl.get_server_certificate(("127.0.0.1", int(server.origin.rpartition(":")[2]))))
    assert shown[0] == shown[1] != shown[2] == shown[3]


def test_a_taken_port_is_replaced_by_another_that_is_kept(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path) as server:
        first = server.origin
    with socket.create_server(("127.0.0.1", int(first.rpartition(":")[2]))):
        with GigaChatServer(state=tmp_path) as server:
            second = server.origin
            assert server.port_changed
    assert second != first
    with GigaChatServer(state=tmp_path) as server:
        assert (server.origin, server.port_changed) == (second, False)


def test_a_wanted_port_wins_and_a_taken_one_leaves_the_folder_unlocked(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path) as server:
        first = int(server.origin.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=r"."):
            GigaChatServer(state=tmp_path, port=port).start()
        with GigaChatServer(state=tmp_path) as server:
            assert server.origin.endswith(f":{first}")
    with GigaChatServer(state=tmp_path, port=port) as server:
        assert server.origin.endswith(f":{port}")
    with GigaChatServer(state=tmp_path) as server:
        assert server.origin.endswith(f":{port}")


def test_one_folder_is_for_one_server_at_a_time(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path), pytest.raises(ValueError, match="another server uses it"):
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
@pytest.mark.parametrize("begin", ["new", "open to all", "of a server before"])
def test_everything_in_the_folder_is_for_the_user_alone(tmp_path: Path, begin: str) -> None:
    folder = tmp_path / "state"
    before = os.umask(0o022)
    try:
        if begin != "new":
            folder.mkdir(mode=0o755)
        if begin == "of a server before":
            with GigaChatServer(state=folder):
                pass
            for path in [folder, *folder.rglob("*")]:
                path.chmod(0o755)
        with GigaChatServer(state=folder) as server, GigaChat(**options(server)) as giga:
            giga.upload_file(("a.txt", b"a"))
            for path in [folder, *folder.rglob("*")]:
                assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps permissions elsewhere")
def test_a_folder_with_other_files_stays_open_and_what_the_server_writes_does_not(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    tmp_path.chmod(0o755)
    with GigaChatServer(state=tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
        assert stat.S_IMODE((tmp_path / "records.sqlite3").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "files").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["ca.pem", "ca.der", "client.pem", "client.key", "server.pem"])
def test_a_damaged_certificate_file_is_written_again(tmp_path: Path, name: str) -> None:
    with GigaChatServer(state=tmp_path) as server:
        trusted = Path(server.ca_bundle_file).read_bytes()
    (tmp_path / "certificates" / name).write_bytes(b"")
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        assert Path(server.ca_bundle_file).read_bytes() == trusted
        assert giga.get_models().data


@pytest.mark.parametrize("number", range(6))
def test_a_start_that_is_killed_while_it_writes_a_file_does_no_harm(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with GigaChatServer(state=tmp_path) as server:
        trusted = Path(server.ca_bundle_file).read_bytes()
    replace, left = os.replace, iter(range(number))

    def killed(source: Path, target: Path) -> None:
        if next(left, None) is None:
            source.write_bytes(b"half")
            raise OSError("killed")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(OSError, match="killed"):
            GigaChatServer(state=tmp_path).start()
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        assert Path(server.ca_bundle_file).read_bytes() == trusted
        assert giga.get_models().data


def test_a_file_without_its_content_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        lost = giga.upload_file(("lost.txt", b"x")).id_
        kept = giga.upload_file(("kept.txt", b"x")).id_
    (tmp_path / "files" / lost).unlink()
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        assert [file.id_ for file in giga.get_files().data] == [kept]
    assert f"file {lost} is left out: its content is missing from {tmp_path}" in caplog.text


@pytest.mark.parametrize("kind", ["files", "account", "address", "authority", "certificate", "threads"])
@pytest.mark.parametrize("record", [b'{"new": 1}', b"[]", b"{", b"\xff"])
def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, kind: str, record: bytes) -> None:
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        giga.upload_file(("a.txt", b"x"))
        giga.threads.run_messages(["Привет"], model="GigaChat")
    _execute(tmp_path, "UPDATE records SET record = ? WHERE kind = ?", (record, kind))
    with pytest.raises(ValueError, match=f"the state cannot be read, {kind} .* is damaged") as told:
        GigaChatServer(state=tmp_path).start()
    assert str(tmp_path) in str(told.value)


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        for _ in range(100):
            giga.upload_file(("a.txt", b"x"))
    database = tmp_path / "records.sqlite3"
    content = database.read_bytes()
    database.write_bytes(content[:4096] + bytes(len(content) - 4096))
    for _ in range(2):  # the folder is not kept locked
        with pytest.raises(ValueError, match="database disk image is malformed") as told:
            GigaChatServer(state=tmp_path)
        assert str(tmp_path) in str(told.value)


def test_a_history_outlives_the_server(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Меня зовут Анна"}]
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        answer = giga.chat({"messages": said, "storage": {"is_stateful": True}})
        thread = str(answer.thread_id)
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        messages = giga.threads.get_messages(thread).messages
        assert [one.content for one in messages] == ["Меня зовут Анна", answer.choices[0].message.content]


def _execute(folder: Path, statement: str, values: tuple[object, ...]) -> None:
    base = sqlite3.connect(folder / "records.sqlite3")
    base.execute(statement, values)
    base.commit()
    base.close()


def test_content_lies_in_plain_files_named_by_id_alone(tmp_path: Path) -> None:
    with GigaChatServer(state=tmp_path) as server, GigaChat(**options(server)) as giga:
        file = giga.upload_file(("../../evil.txt", b"content")).id_
        assert (tmp_path / "files" / file).read_bytes() == b"content"
    assert not (tmp_path.parent / "evil.txt").exists()


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000], ids=["NUL", "long"])
def test_a_folder_that_cannot_have_this_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"^the state cannot be kept in "):
        GigaChatServer(state=tmp_path / name)
