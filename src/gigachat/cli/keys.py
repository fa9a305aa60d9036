"""The key of `gigachat login`: in the system's keyring, or in a file that only the user can read.

Only the command reads it; clients in programs never do.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gigachat.exceptions import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

Store = Literal["keyring", "file"]

_SERVICE = "gigachat"
_ACCOUNT = "credentials"
_AUTHORIZING = {
    f"GIGACHAT_{name}"
    for name in ("CREDENTIALS", "API_KEY", "AUTH_KEY", "ACCESS_TOKEN", "CLIENT_ID", "USER", "CERT_FILE")
}


def directory() -> Path:
    """Return the directory of the command's files, by the custom of the system.

    Raises:
        ConfigurationError: The user has no home directory.
    """
    try:
        if sys.platform == "win32":
            base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    except RuntimeError:
        raise ConfigurationError("the home directory is unknown: set the environment variable HOME") from None
    return Path(base) / "gigachat"


def made_directory(*parts: str) -> Path:
    """Return the directory of the command's files, or one in it, and make it for the user alone if it is missing.

    Raises:
        ConfigurationError: The user has no home directory.
        OSError: It cannot be made.
    """
    path = directory()
    for folder in (path, path.joinpath(*parts)):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path.joinpath(*parts)


def login_file() -> Path:
    """Return the path of the file that says where the key is.

    Raises:
        ConfigurationError: The user has no home directory.
    """
    return directory() / "login.json"


def stored_options() -> dict[str, Any]:
    """Return arguments of the client for the stored key; none if the environment authorizes, or nothing is stored.

    Raises:
        ConfigurationError: The stored key cannot be read.
    """
    if any(value and name.upper() in _AUTHORIZING for name, value in os.environ.items()):
        return {}
    login = read_login()
    if not login:
        return {}
    options = {"credentials": _key(login)}
    if scope := login.get("scope"):
        options["scope"] = scope
    return options


def read_login() -> dict[str, Any]:
    """Return what `gigachat login` stored; nothing if it stored nothing.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    try:
        path = login_file()
    except ConfigurationError:
        return {}
    try:
        login = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        login = None
    if not isinstance(login, dict) or login.get("store") not in ("keyring", "file"):
        raise ConfigurationError(f"{path} is damaged: run gigachat login again")
    return login


def _key(login: dict[str, Any]) -> str:
    if login["store"] == "file":
        key = login.get("credentials")
    else:
        module = keyring()
        with _keyring_errors():
            key = module.get_password(_SERVICE, _ACCOUNT)
    if not isinstance(key, str) or not key:
        raise ConfigurationError("the stored key is gone: run gigachat login again")
    return key


def store_key(store: Store, key: str, scope: str | None) -> Path:
    """Store a key, and return the file that says where it is.

    Args:
        store: Where.
        key: The authorization key.
        scope: Its scope; None for the default one.

    Raises:
        ConfigurationError: The keyring refuses it.
        OSError: The file cannot be written.
    """
    login: dict[str, Any] = {"store": store, "scope": scope}
    if store == "keyring":
        with _keyring_errors():
            keyring().set_password(_SERVICE, _ACCOUNT, key)
    else:
        login["credentials"] = key
    made_directory()
    path = login_file()
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # which only the user can read
    try:
        with open(handle, "w", encoding="utf-8") as file:
            json.dump(login, file)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
    return path


def forget_key() -> bool:
    """Remove the stored key; whether there was one."""
    try:
        login = read_login()
    except ConfigurationError:  # the file is damaged: the key may be in the keyring
        with suppress(ConfigurationError):
            _forget_in_keyring()
    else:
        if not login:
            return False
        if login["store"] == "keyring":
            _forget_in_keyring()
    login_file().unlink()
    return True


def _forget_in_keyring() -> None:
    module = keyring()
    with _keyring_errors():
        if module.get_password(_SERVICE, _ACCOUNT) is not None:
            module.delete_password(_SERVICE, _ACCOUNT)


def check_keyring() -> None:
    """Read the keyring, which the system may have to unlock.

    Raises:
        ConfigurationError: There is none, or it cannot be read.
    """
    module = keyring()
    with _keyring_errors():
        module.get_password(_SERVICE, _ACCOUNT)


def keyring() -> Any:
    """Return the module `keyring`, with a keyring that stores keys.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        import keyring as module
    except ImportError:
        raise ConfigurationError(
            'the package keyring is missing: pip install ".[cli]" in a copy of the repository, or use --store file'
        ) from None
    if type(module.get_keyring()).__module__ in ("keyring.backends.fail", "keyring.backends.null"):
        raise ConfigurationError("this system has no keyring: use --store file, a file that only you can read")
    return module


@contextmanager
def _keyring_errors() -> Iterator[None]:
    from keyring.errors import KeyringError

    try:
        yield
    except KeyringError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"the keyring of the system failed: {reason}; use --store file") from None
