"""`gigachat login` and `gigachat run`: keys in a file or a keyring, and programs against a server of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gigachat.server import GigaChatServer
from tests.support.commands import COMMAND, Installed
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.costly

needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither these modes nor these signals")

# A keyring in a file, in place of the package: the package is not part of the extra `test`.
KEYRING = """
import json, os, pathlib
from keyring import errors

path = pathlib.Path(os.environ["KEYRING_FILE"])

def get_keyring():
    if os.environ.get("KEYRING") == "absent":
        return type("Keyring", (), {"__module__": "keyring.backends.fail"})()
    return path

def get_password(service, name):
    if os.environ.get("KEYRING") == "locked":
        raise errors.KeyringLocked("the collection\\nis locked")
    return json.loads(path.read_text()).get(service + name) if path.exists() else None

def set_password(service, name, value):
    path.write_text(json.dumps({service + name: value}))

def delete_password(service, name):
    path.write_text("{}")
"""
ERRORS = "class KeyringError(Exception): pass\nclass KeyringLocked(KeyringError): pass\n"


@pytest.fixture(scope="module")
def running() -> Iterator[GigaChatServer]:
    with GigaChatServer() as server:
        yield server


@pytest.fixture
def gigachat(running: GigaChatServer, tmp_path: Path) -> Installed:
    """The command of a user without a key in the environment."""
    package = tmp_path / "packages" / "keyring"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(KEYRING)
    (package / "errors.py").write_text(ERRORS)
    served = {name: value for name, value in running.environment.items() if name != "GIGACHAT_CREDENTIALS"}
    served |= {"PYTHONPATH": str(package.parent), "KEYRING_FILE": str(tmp_path / "keyring.json")}
    return Installed(tmp_path, variables=served)


@pytest.mark.parametrize("store", ["file", "keyring"])
def test_a_key_is_stored_used_and_removed(store: str, gigachat: Installed, running: GigaChatServer) -> None:
    done = gigachat.run("login", "--store", store, "--scope", "GIGACHAT_API_PERS", stdin=f"{running.credentials}\n")
    assert (done.status, done.out) == (0, "")
    login = gigachat.files / "login.json"
    assert str(login) in done.err
    assert running.credentials not in done.err
    assert (running.credentials in login.read_text()) is (store == "file")
    source = json.loads(gigachat.run("config", "--json").out)["credentials"]["source"]
    assert source == ("keyring" if store == "keyring" else str(login))
    assert gigachat.run("chat", "x").status == 0
    assert gigachat.run("login", "--forget").err == "The key is removed.\n"
    done = gigachat.run("chat", "x")
    assert (done.status, done.out) == (3, "")
    assert "gigachat login" in done.err
    assert json.loads(gigachat.run("login", "--forget", "--json").out) == {"removed": False}


@needs_posix
def test_only_the_user_can_read_the_file(gigachat: Installed, running: GigaChatServer) -> None:
    command = ["sh", "-c", 'umask 0; exec "$@"', "sh", *COMMAND]
    done = gigachat.run("login", "--store", "file", "--json", stdin=running.credentials, command=command)
    file = Path(json.loads(done.out)["file"])
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in file.parent.iterdir()] == ["login.json"]


def test_a_key_that_is_refused_is_not_stored(gigachat: Installed) -> None:
    done = gigachat.run("login", "--store", "file", stdin="d3Jvbmc6a2V5")
    assert (done.status, done.out) == (3, "")
    assert "d3Jvbmc6a2V5" not in done.err
    assert not gigachat.files.exists()
    assert gigachat.run("login", "--store", "file", "--no-check", stdin="d3Jvbmc6a2V5").status == 0
    assert gigachat.run("models").status == 3


@pytest.mark.parametrize(
    ("state", "said"),
    [("absent", "this system has no keyring: use --store file"), ("locked", "failed: the collection is locked")],
)
def test_the_keyring_is_tried_before_the_key_is_read(state: str, said: str, gigachat: Installed) -> None:
    gigachat.variables["KEYRING"] = state
    done = gigachat.run("login", stdin="")
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    gigachat.variables["KEYRING"] = ""
    assert "no key was given" in gigachat.run("login", stdin="").err


def test_without_the_package_it_names_the_extra(gigachat: Installed) -> None:
    program = "import sys; sys.modules['keyring'] = None; from gigachat.__main__ import main; sys.exit(main())"
    done = gigachat.run("login", command=[sys.executable, "-c", program])
    assert (done.status, done.out) == (2, "")
    assert 'pip install ".[cli]"' in done.err


@pytest.mark.parametrize("content", ["", "[]", '{"store": "x"}', '{"store": "file"}', "[" * 100_000])
def test_a_damaged_file_is_named(content: str, gigachat: Installed) -> None:
    gigachat.files.mkdir()
    (gigachat.files / "login.json").write_text(content)
    done = gigachat.run("models")
    assert (done.status, done.out) == (2, "")
    assert "run gigachat login again" in done.err
    assert gigachat.run("login", "--forget").err == "The key is removed.\n"
    assert gigachat.run("login", "--forget").err == "No key is stored.\n"


def test_the_environment_wins(gigachat: Installed, running: GigaChatServer) -> None:
    gigachat.files.mkdir()
    (gigachat.files / "login.json").write_text("damaged")
    gigachat.variables["GIGACHAT_API_KEY"] = running.credentials
    assert gigachat.run("models").status == 0


# Programs against a local server

ASKS = "from gigachat import GigaChat; print(GigaChat().chat('Привет').choices[0].message.content)"


def test_a_program_runs_against_a_server_of_its_own(gigachat: Installed) -> None:
    gigachat.variables |= {"HTTPS_PROXY": "http://127.0.0.1:1", "GIGACHAT_MODEL": "Nothing"}
    done = gigachat.run("run", "--", sys.executable, "-c", ASKS)
    assert done.status == 0, done.err
    assert "«Привет»" in done.out
    assert done.err.startswith("# Local GigaChat at https://localhost:")
    leaves = "import sys; print(sys.argv[1:]); sys.exit(7)"
    done = gigachat.run("run", "--quiet", sys.executable, "-c", leaves, "--", "-x")
    assert (done.status, done.out, done.err) == (7, "['--', '-x']\n", "")


def test_a_program_that_is_missing(gigachat: Installed) -> None:
    done = gigachat.run("run", "--", "no-such-program")
    assert (done.status, done.out) == (127, "")
    assert done.err == "gigachat: there is no program 'no-such-program'\n"


@needs_posix
def test_a_file_of_python_that_is_no_program(gigachat: Installed) -> None:
    (gigachat.home / "a bot.py").write_text(ASKS)
    done = gigachat.run("run", "--", "a bot.py", "--quick")
    assert (done.status, done.out) == (127, "")
    instead = "gigachat run -- python 'a bot.py'"
    assert done.err == f"gigachat: there is no program 'a bot.py'; did you mean: {instead}\n"


WAITS = "import os, time; print(os.getpid(), os.environ['GIGACHAT_CA_BUNDLE_FILE'], flush=True); time.sleep(100)"


@needs_posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)])
def test_a_signal_ends_the_program_and_the_server(number: int, gigachat: Installed) -> None:
    command = [*COMMAND, "run", "--quiet", "--", sys.executable, "-c", WAITS]
    with subprocess.Popen(
        command, env=gigachat.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        child, certificate = process.stdout.readline().decode().split()
        assert Path(certificate).exists()
        if number == signal.SIGINT:  # a terminal sends it to both
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        assert process.wait(PATIENCE) == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)
    assert not Path(certificate).exists()
