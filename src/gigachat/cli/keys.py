"""The key of `gigachat login`: in the system's keyring, or in a file that only the user can read.

Only the command reads it; clients in programs never do.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Literal

from gigachat.exceptions import ConfigurationError

Store = Literal["keyring", "file"]

_SERVICE = "gigachat"
_ACCOUNT = "credentials"
_VARIABLES = ("CREDENTIALS", "API_KEY", "AUTH_KEY", "ACCESS_TOKEN", "CLIENT_ID", "USER", "CERT_FILE")
"""Variables that authorize, without their prefix."""


def directory() -> Path:
    """Return the directory of the command's files, by the custom of the system."""
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "gigachat"


def login_file() -> Path:
    """Return the path of the file that says where the key is."""
    return directory() / "login.json"


def stored_options() -> dict[str, Any]:
    """Return arguments of the client for the stored key; none if the environment authorizes, or nothing is stored.

    Raises:
        ConfigurationError: The stored key cannot be read.
    """
    if any(os.environ.get(f"GIGACHAT_{name}") for name in _VARIABLES):
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
    path = login_file()
    try:
        login = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        login = None
    if not isinstance(login, dict) or login.get("store") not in ("keyring", "file"):
        raise ConfigurationError(f"{path} cannot be read: run gigachat login again")
    return login


def _key(login: dict[str, Any]) -> str:
    key = login.get("credentials") if login["store"] == "file" else keyring().get_password(_SERVICE, _ACCOUNT)
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
        OSError: The file cannot be written.
    """
    login: dict[str, Any] = {"store": store, "scope": scope}
    if store == "keyring":
        keyring().set_password(_SERVICE, _ACCOUNT, key)
    else:
        login["credentials"] = key
    path = login_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(login, file)
    part.replace(path)
    return path


def forget_key() -> bool:
    """Remove the stored key; whether there was one."""
    login = read_login()
    if not login:
        return False
    if login["store"] == "keyring":
        module = keyring()
        if module.get_password(_SERVICE, _ACCOUNT) is not None:
            module.delete_password(_SERVICE, _ACCOUNT)
    login_file().unlink()
    return True


def keyring() -> Any:
    """Return the module `keyring`, with a store that works.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        import keyring as module
    except ImportError:
        raise ConfigurationError(
            'the package keyring is not installed: pip install "gigachat[cli]", or use --store file'
        ) from None
    if type(module.get_keyring()).__module__ in ("keyring.backends.fail", "keyring.backends.null"):
        raise ConfigurationError("this system has no keyring: use --store file, a file that only you can read")
    return module
