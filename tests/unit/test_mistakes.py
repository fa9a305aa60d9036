"""Typical mistakes of callers, and the line that each gets: what to write instead, before a request where possible."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from gigachat import AsyncGigaChat, ConfigurationError, GigaChat, GigaChatWarning
from gigachat.settings import Settings
from tests.unit.world import KEY, World

Client = type[GigaChat] | type[AsyncGigaChat]
both_clients = pytest.mark.parametrize("kind", [GigaChat, AsyncGigaChat])
LOCAL = "https://localhost/api/v1"


# Empty options.


@both_clients
@pytest.mark.parametrize("empty", ["", " ", '""', SecretStr("")], ids=repr)
@pytest.mark.parametrize("option", [*Settings.model_fields])
def test_empty_text_is_not_given(option: str, empty: Any, kind: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(Settings(), option)
    assert getattr(Settings(**{option: empty}), option) == default
    assert getattr(kind(**{option: empty})._settings, option) == default
    if isinstance(empty, str):
        monkeypatch.setenv(f"GIGACHAT_{option.upper()}", empty)
        assert getattr(kind()._settings, option) == default


@both_clients
def test_the_environment_is_read_for_an_empty_argument(kind: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", KEY)
    assert kind(credentials="", access_token="")._settings.credentials == KEY
    assert kind(credentials="", access_token_provider=lambda: "token")._settings.credentials is None
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "")
    monkeypatch.setenv("GIGACHAT_SCOPE", "hush")
    monkeypatch.setenv("GIGACHAT_TIMEOUT", "0")
    with pytest.raises(ConfigurationError, match=r"^environment variable GIGACHAT_TIMEOUT: "):
        kind(timeout="")  # type: ignore[arg-type]


@pytest.mark.parametrize("made", [lambda giga: giga, deepcopy, lambda giga: pickle.loads(pickle.dumps(giga))])
@pytest.mark.parametrize("option", ["credentials", "access_token"])
def test_a_client_with_an_empty_key_sends_nothing_without_authorization(
    option: str, made: Callable[[GigaChat], GigaChat], world: World
) -> None:
    giga = made(GigaChat(base_url=LOCAL, **{option: ""}))
    giga._start(giga._service, world, world)
    with pytest.raises(ConfigurationError, match=r"^no authorization: pass credentials="):
        world.chat(giga, "x")
    assert world.requests == []
    world.chat(giga.with_options(extra_headers={"Authorization": "Bearer token"}), "x")
    assert world.requests[0].headers["authorization"] == "Bearer token"


SECRETS: dict[str, tuple[str, dict[str, Any]]] = {
    "credentials": (KEY, {}),
    "client_secret": ("secret", {"client_id": "id"}),
    "access_token": ("hush-hush", {}),
    "password": ("secret", {"user": "user"}),
    "key_file_password": ("secret", {}),
    "proxy": ("http://user:secret@proxy:3128", {}),
}


@both_clients
@pytest.mark.parametrize("option", SECRETS)
def test_secrets_may_be_secret_strings_of_pydantic(option: str, kind: Client) -> None:
    value, more = SECRETS[option]
    giga = kind(**{option: SecretStr(value)}, **more)
    assert getattr(giga._settings, option) == value
    assert value not in repr(giga._settings)


def test_a_refused_secret_string_is_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="proxy: give a proxy address") as raised:
        GigaChat(proxy=SecretStr("ftp://user:hush@host"))
    assert "hush" not in str(raised.value)


# Options that are not options.


@both_clients
def test_options_given_by_position_are_refused_by_name(kind: Client) -> None:
    with pytest.raises(TypeError, match=rf"^arguments of {kind.__name__} have names, such as credentials=$"):
        kind("YTpi")  # type: ignore[arg-type]


@both_clients
@pytest.mark.parametrize(
    ("wrong", "option"),
    [
        ("api_key", "credentials"),
        ("credential", "credentials"),
        ("token", "access_token"),
        ("api_base", "base_url"),
        ("base_ulr", "base_url"),
        ("verify_ssl", "verify_ssl_certs"),
        ("http_clients", "http_client"),
    ],
)
def test_an_unknown_argument_near_an_option_is_warned_of(wrong: str, option: str, kind: Client, caplog: Any) -> None:
    with pytest.warns(GigaChatWarning) as caught:
        giga = kind(**{wrong: "hush"}, model="m")
    (warning,) = caught
    assert str(warning.message) == f"GigaChat has no argument {wrong}=, and it does nothing: write {option}="
    assert warning.filename == __file__
    assert caplog.records == []
    assert giga._settings.model == "m"


@both_clients
def test_other_unknown_arguments_are_logged_without_their_values(kind: Client, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "gigachat"):
        giga = kind(zone="hush-hush", colour=False, model="m", verbose=None, api_key=None)  # None is not given
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "GigaChat got unknown arguments, which do nothing: colour, zone"
    assert giga._settings.model == "m"


def test_each_unknown_argument_has_its_warning() -> None:
    with pytest.warns(GigaChatWarning) as caught:
        GigaChat(api_key="a", modell="b")
    assert [str(warning.message).split()[4] for warning in caught] == ["api_key=,", "modell=,"]


def test_a_warning_that_is_an_error_comes_before_anything_is_opened() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", GigaChatWarning)
        with pytest.raises(GigaChatWarning):
            GigaChat(api_key="a", ca_bundle_file="/no/such/file")


# Addresses and times.


@both_clients
@pytest.mark.parametrize("option", ["base_url", "v2_base_url"])
def test_the_address_of_a_method_is_not_the_base_address(option: str, kind: Client) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{option}: leave /chat/completions out: the client adds the paths"):
        kind(**{option: f"{LOCAL}/chat/completions/"})  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [1e10, (5, 1e10), httpx2.Timeout(5, write=1e10)])
def test_a_timeout_longer_than_systems_take_is_refused(timeout: Any) -> None:
    says = "must be at most 2147483 seconds, which are 24 days"
    with pytest.raises(ConfigurationError, match=f"^timeout: {says}$"):
        GigaChat(timeout=timeout)
    with pytest.raises(ValueError, match=f"^{says}$"):
        GigaChat().with_options(timeout=timeout)


@pytest.mark.parametrize("option", ["queue_timeout", "total_timeout", "retry_timeout", "rate_limit_timeout"])
def test_a_wait_longer_than_systems_take_is_refused(option: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{option}: must be at most 2147483 seconds"):
        GigaChat(**{option: 1e10})  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [2_147_483, (1, 2_147_483), httpx2.Timeout(None)])
def test_the_longest_timeouts_are_taken(timeout: Any, world: World) -> None:
    world.chat(world.client(timeout=timeout), "x")
    assert world.api_requests
