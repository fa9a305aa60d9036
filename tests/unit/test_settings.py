"""Options: argument before environment, one meaning wherever they come from, nonsense named and never shown."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from gigachat import AsyncGigaChat, ConfigurationError, GigaChat
from gigachat import settings as settings_module
from gigachat.settings import AUTH_URL, BASE_URL, ENV_PREFIX, SCOPE, Options, Settings
from tests.unit.world import World

CLIENTS = [GigaChat, AsyncGigaChat]
both_clients = pytest.mark.parametrize("kind", CLIENTS)
Client = type[GigaChat] | type[AsyncGigaChat]


def test_the_defaults_are_those_of_the_vendor() -> None:
    settings = Settings()
    assert settings.base_url == BASE_URL == "https://gigachat.devices.sberbank.ru/api/v1"
    assert settings.auth_url == AUTH_URL == "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
    assert settings.scope == SCOPE == "GIGACHAT_API_PERS"
    assert ENV_PREFIX == "GIGACHAT_"
    assert settings.max_retries == 2
    assert settings.retry_on_status_codes == (429, 500, 502, 503, 504)
    assert settings.timeouts == (10.0, 300.0, 60.0)
    assert settings.queue_timeout == 600.0
    assert settings.retry_timeout == settings.rate_limit_timeout == 60.0
    assert settings.token_expiry_buffer_ms == 60_000
    assert settings.verify_ssl_certs
    assert settings.trust_russian_ca
    assert settings.share_token
    assert settings.max_concurrency is None
    assert settings.total_timeout is None
    assert settings.max_response_bytes == 256 * 1024 * 1024


def test_without_a_model_the_requests_name_the_default_one(world: World) -> None:
    world.chat(world.client(), "x")
    world.chat(world.client(model="GigaChat-2-Max"), "x")
    sent = [request.content or b"" for request in world.api_requests]
    assert b'"model":"GigaChat"' in sent[0]
    assert b'"model":"GigaChat-2-Max"' in sent[1]


# A value of each option as an argument, as text of the environment, and another value of it.
VALUES: dict[str, tuple[Any, str, Any]] = {
    "base_url": ("https://host/v1", "https://host/v1", "https://other/v1"),
    "v2_base_url": ("https://host/v2", "https://host/v2", "https://other/v2"),
    "auth_url": ("https://host/oauth", "https://host/oauth", "https://other/oauth"),
    "credentials": ("YTpi", "YTpi", "Yzpk"),
    "scope": ("GIGACHAT_API_B2B", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"),
    "access_token": ("abc", "abc", "def"),
    "model": ("GigaChat-2", "GigaChat-2", "GigaChat-2-Pro"),
    "fallback_models": (("GigaChat-2-Pro", "GigaChat-2"), "GigaChat-2-Pro, 'GigaChat-2'", ("GigaChat-2",)),
    "session_id": ("conversation-17", "conversation-17", "conversation-18"),
    "profanity_check": (False, "false", True),
    "flags": (["a", "b"], "a, b", ["c"]),
    "function_result_role": ("tool", "tool", "function"),
    "timeout": (5.0, "5", 6.0),
    "max_connections": (3, "3", 4),
    "max_concurrency": (1, "1", 2),
    "limits": ("redis://host:6379/1", " 'redis://host:6379/1' ", "rediss://host"),
    "queue_timeout": (1.5, "1.5", 2.5),
    "max_retries": (0, "0", 1),
    "retry_backoff_factor": (0.1, "0.1", 0.2),
    "retry_on_status_codes": ((500,), "[500]", (502, 503)),
    "retry_timeout": (0.0, "0", 1.0),
    "rate_limit_timeout": (7.0, "7", 8.0),
    "total_timeout": (9.0, "9", 10.5),
    "max_response_bytes": (1000, "1000", 2000),
    "token_expiry_buffer_ms": (1, "1", 2),
    "share_token": (False, "no", True),
    "verify_ssl_certs": (False, "0", True),
    "trust_russian_ca": (False, "off", True),
    "proxy": ("http://host:3128", "http://host:3128", "http://other:3128"),
    "default_headers": ({"A": "1", "B": "2"}, "A=1, B=2", {"C": "3"}),
    "default_query": ({"a": "1"}, '{"a": "1"}', {"b": "2"}),
}
# These go together with another, or need a file or a package.
TOGETHER = {
    "transport",
    *("client_id", "client_secret", "user", "password"),
    *("ca_bundle_file", "cert_file", "key_file", "key_file_password", "ssl_context"),
}


def test_every_option_is_in_the_table() -> None:
    assert set(VALUES) | TOGETHER == set(Settings.model_fields)


@both_clients
@pytest.mark.parametrize("option", VALUES)
def test_an_option_means_the_same_wherever_it_comes_from(
    option: str, kind: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    argument, text, other = VALUES[option]
    given = getattr(kind(**{option: argument})._settings, option)
    assert given == argument
    assert given != Settings.model_fields[option].default
    monkeypatch.setenv(f"GIGACHAT_{option.upper()}", text)
    assert getattr(kind()._settings, option) == given
    assert getattr(Settings(), option) == given
    # The argument wins, and None is no argument.
    assert getattr(kind(**{option: other})._settings, option) == other
    nothing: dict[str, Any] = {option: None}
    assert getattr(kind(**nothing)._settings, option) == given


@both_clients
@pytest.mark.parametrize("variable", ["gigachat_model", "GigaChat_Model"])
def test_the_case_of_letters_in_a_variable_does_not_matter(
    variable: str, kind: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "GigaChat-2")
    assert kind()._settings.model == Settings().model == "GigaChat-2"


def test_a_dotenv_file_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GIGACHAT_MODEL=silent\n")
    monkeypatch.chdir(tmp_path)
    assert Settings().model is None


def test_the_aliases_of_the_key_hold_for_a_prefix_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Settings):
        model_config = SettingsConfigDict(env_prefix="gigachat_", case_sensitive=False)

    monkeypatch.setenv("GIGACHAT_API_KEY", "YTpi")
    assert Own().credentials == "YTpi"


@pytest.mark.parametrize("text", [" YTpi\n", '"YTpi"', "'YTpi'", "\t' YTpi '\r\n", "'\"YTpi\"'"])
def test_what_copying_leaves_around_a_key_is_removed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert GigaChat(credentials=text)._settings.credentials == "YTpi"
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", text)
    assert GigaChat()._settings.credentials == "YTpi"


@pytest.mark.parametrize("text", ["it's", '"', "a'b"])
def test_quotes_inside_stay(text: str) -> None:
    assert Settings(password=text, user="u").password == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("429", (429,)),
        ("429,500", (429, 500)),
        (" 429 , '500' ", (429, 500)),
        ("[429, 500]", (429, 500)),
        ("429,", (429,)),
        ("[]", ()),
    ],
)
def test_lists_may_be_commas_or_json(text: str, expected: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_RETRY_ON_STATUS_CODES", text)
    assert Settings().retry_on_status_codes == expected


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (5, (5.0, 5.0, 5.0)),
        (0.5, (0.5, 0.5, 0.5)),
        ((3, 30), (3.0, 30.0, 30.0)),
        ([3, 30], (3.0, 30.0, 30.0)),
        ("3,30", (3.0, 30.0, 30.0)),
        ("[3, 30]", (3.0, 30.0, 30.0)),
        (httpx2.Timeout(1, read=2), (1, 2, 1)),
        (httpx2.Timeout(None), (None, None, None)),
        (None, (10.0, 300.0, 60.0)),
    ],
)
def test_timeouts(timeout: Any, expected: tuple[float | None, ...]) -> None:
    assert GigaChat(timeout=timeout)._settings.timeouts == expected


# Authorization.

KINDS: dict[str, dict[str, Any]] = {
    "token": {"access_token": "abc"},
    "key": {"credentials": "YTpi"},
    "pair": {"client_id": "i", "client_secret": "s"},
    "password": {"user": "u", "password": "p"},
}


def authorization(settings: Options) -> dict[str, str]:
    names = [name for kind in KINDS.values() for name in kind]
    return {name: value for name in names if (value := getattr(settings, name)) is not None}


@both_clients
@pytest.mark.parametrize("argument", KINDS)
@pytest.mark.parametrize("variable", KINDS)
def test_authorization_given_as_an_argument_is_the_only_one(
    variable: str, argument: str, kind: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KINDS[variable].items():
        monkeypatch.setenv(f"GIGACHAT_{name.upper()}", f"{value}-of-the-environment")
    assert authorization(kind(**KINDS[argument])._settings) == KINDS[argument]
    if variable == "key":
        monkeypatch.delenv("GIGACHAT_CREDENTIALS")
        monkeypatch.setenv("GIGACHAT_API_KEY", "alias")
        assert authorization(kind(**KINDS[argument])._settings) == KINDS[argument]


@pytest.mark.parametrize("argument", KINDS)
def test_a_certificate_of_the_environment_gives_way_too(
    argument: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file.pem"
    file.touch()
    monkeypatch.setenv("GIGACHAT_CERT_FILE", str(file))
    monkeypatch.setenv("GIGACHAT_KEY_FILE", str(file))
    monkeypatch.setenv("GIGACHAT_KEY_FILE_PASSWORD", "p")
    settings = Settings(**KINDS[argument])
    assert (settings.cert_file, settings.key_file, settings.key_file_password) == (None, None, None)


@pytest.mark.parametrize("variable", KINDS)
def test_a_certificate_as_an_argument_switches_off_the_environments_secrets(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in KINDS[variable].items():
        monkeypatch.setenv(f"GIGACHAT_{name.upper()}", value)
    file = tmp_path / "file.pem"
    file.touch()
    settings = Settings(cert_file=str(file))
    assert authorization(settings) == {}
    assert settings.cert_file == str(file)


@pytest.mark.parametrize("half", ["user", "client_id"])
def test_half_of_a_pair_may_come_from_the_environment(half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = KINDS["password" if half == "user" else "pair"]
    monkeypatch.setenv(f"GIGACHAT_{half.upper()}", pair[half])
    rest = {name: value for name, value in pair.items() if name != half}
    assert authorization(GigaChat(**rest)._settings) == pair


def test_other_options_of_the_environment_stay_beside_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_SCOPE", "GIGACHAT_API_CORP")
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "YTpi")
    settings = GigaChat(model="m")._settings
    assert (settings.scope, settings.credentials, settings.model) == ("GIGACHAT_API_CORP", "YTpi", "m")


@pytest.mark.parametrize("alias", ["GIGACHAT_API_KEY", "GIGACHAT_AUTH_KEY"])
def test_other_names_of_the_key(alias: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(alias, " 'YTpi' ")
    assert GigaChat()._settings.credentials == "YTpi"
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "Yzpk")
    assert GigaChat()._settings.credentials == "Yzpk"
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "")
    assert GigaChat()._settings.credentials == "YTpi"
    assert GigaChat(credentials="ZTpm")._settings.credentials == "ZTpm"
    # They are names in the environment, not arguments.
    assert Settings(credentials="ZTpm").credentials == "ZTpm"


def test_the_first_alias_wins_and_an_empty_one_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_API_KEY", "YTpi")
    monkeypatch.setenv("GIGACHAT_AUTH_KEY", "Yzpk")
    assert Settings().credentials == "YTpi"
    monkeypatch.setenv("GIGACHAT_API_KEY", "''")
    assert Settings().credentials == "Yzpk"


# Classes of one's own.


class Mine(Settings):
    model_config = SettingsConfigDict(env_prefix="MY_BOT_")

    answer_style: str = "short"


def test_a_subclass_has_a_prefix_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MODEL", "theirs")
    monkeypatch.setenv("GIGACHAT_API_KEY", "YTpi")
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", "YTpi")
    assert (Mine().model, Mine().credentials) == (None, None)
    monkeypatch.setenv("MY_BOT_MODEL", "mine")
    monkeypatch.setenv("MY_BOT_CREDENTIALS", "'Yzpk'")
    monkeypatch.setenv("MY_BOT_ANSWER_STYLE", "long")
    mine = Mine()
    assert (mine.model, mine.credentials, mine.answer_style) == ("mine", "Yzpk", "long")
    assert Mine(credentials="ZTpm").credentials == "ZTpm"


@both_clients
def test_a_subclass_gives_a_client(kind: Client, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setenv("MY_BOT_MODEL", "mine")
    with caplog.at_level(logging.WARNING, "gigachat"):
        giga = kind(**Mine().model_dump(exclude_none=True))
    assert giga._settings.model == "mine"
    assert "answer_style" in caplog.text


@both_clients
@pytest.mark.parametrize("option", VALUES)
def test_settings_poured_into_a_client_give_an_equal_one(
    option: str, kind: Client, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setenv(f"GIGACHAT_{option.upper()}", VALUES[option][1])
    with caplog.at_level(logging.WARNING, "gigachat"):
        poured = kind(**Settings().model_dump(exclude_none=True))
    assert poured._settings == kind()._settings
    assert poured._settings.model_dump() == Settings().model_dump()
    assert caplog.text == "" or option == "verify_ssl_certs"


def test_settings_with_everything_give_an_equal_client() -> None:
    context = ssl.create_default_context()
    options = {name: value for name, (value, _, _) in VALUES.items() if name != "credentials"}
    settings = Settings(**{**options, **KINDS["pair"], **KINDS["password"], "ssl_context": context})
    assert GigaChat(**settings.model_dump(exclude_none=True))._settings.model_dump() == settings.model_dump()


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError) as raised:
        Settings(modle="GigaChat-2")  # type: ignore[call-arg]
    assert "modle" in str(raised.value)
    assert "GigaChat-2" not in str(raised.value)


# What is refused.

NONSENSE: list[tuple[str, Any, str]] = [
    ("base_url", "gigachat.example", "https://"),
    ("base_url", "ftp://host", "https://"),
    ("base_url", "https://", "https://"),
    ("base_url", "https://me:secret@host/v1", "user="),
    ("base_url", "https://host/v1?key=secret", "query"),
    ("base_url", "https://a host/v1", "spaces"),
    ("base_url", "https://host/a path/v1", "spaces"),
    ("auth_url", "host:9443", "https://"),
    ("timeout", 0, "above zero"),
    ("timeout", -1, "above zero"),
    ("timeout", float("nan"), "above zero"),
    ("timeout", float("inf"), "above zero"),
    ("timeout", (1, -1), "above zero"),
    ("timeout", (1, 2, 3), "pair"),
    ("timeout", "soon", "number of seconds"),
    ("max_connections", 0, "must be 1 or more"),
    ("max_concurrency", 0, "must be 1 or more"),
    ("max_concurrency", 1.5, "whole number"),
    ("queue_timeout", 0, "must be above 0"),
    ("queue_timeout", float("inf"), "finite"),
    ("max_retries", -1, "must be 0 or more"),
    ("max_retries", "many", "whole number"),
    ("retry_backoff_factor", -0.1, "must be 0 or more"),
    ("retry_timeout", -1, "must be 0 or more"),
    ("rate_limit_timeout", float("inf"), "finite"),
    ("token_expiry_buffer_ms", -1, "must be 0 or more"),
    ("retry_on_status_codes", (42,), "must be 100 or more"),
    ("retry_on_status_codes", "oops", "whole number"),
    ("verify_ssl_certs", "perhaps", "true or false"),
    ("ca_bundle_file", "/no/such/file.pem", "no such file"),
    ("cert_file", "/no/such/file.pem", "no such file"),
    ("key_file", "/no/such/file.pem", "no such file"),
    ("proxy", "ftp://host", "proxy address"),
    ("flags", "[1", "not valid JSON"),
    ("default_headers", "no pairs", "name=value"),
    ("model", 5, "must be text"),
]


@both_clients
@pytest.mark.parametrize(("option", "value", "says"), NONSENSE)
def test_nonsense_is_refused_by_name(option: str, value: Any, says: str, kind: Client) -> None:
    with pytest.raises(ConfigurationError) as raised:
        kind(**{option: value})
    text = str(raised.value)
    assert text.startswith(option)
    assert says in text
    assert "secret" not in text
    assert "\n" not in text
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


@pytest.mark.parametrize(("option", "value", "says"), [one for one in NONSENSE if isinstance(one[1], str)])
def test_nonsense_of_the_environment_names_its_variable(
    option: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"GIGACHAT_{option.upper()}", value)
    with pytest.raises(ConfigurationError) as raised:
        GigaChat()
    assert f"GIGACHAT_{option.upper()}" in str(raised.value)
    assert says in str(raised.value)


def test_all_that_is_wrong_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MAX_RETRIES", "many")
    with pytest.raises(ConfigurationError) as raised:
        GigaChat(timeout=-1, base_url="host")
    assert all(name in str(raised.value) for name in ("base_url", "timeout", "GIGACHAT_MAX_RETRIES"))


@both_clients
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"user": "u"}, "password"),
        ({"password": "p"}, "user"),
        ({"client_id": "i"}, "client_secret"),
        ({"client_secret": "s"}, "client_id"),
        ({"key_file": __file__}, "cert_file"),
        ({"credentials": "YTpi", "client_id": "i", "client_secret": "s"}, "not both"),
    ],
)
def test_halves_and_contradictions_are_refused(options: dict[str, Any], says: str, kind: Client) -> None:
    with pytest.raises(ConfigurationError, match=says):
        kind(**options)


SECRETS: dict[str, Any] = {
    "credentials": "hush",
    "client_secret": "hush",
    "access_token": "hush",
    "password": "hush",
    "key_file_password": "hush",
    "proxy": "http://me:hush@host:3128",
    "default_headers": {"X-Key": "hush"},
    "default_query": {"key": "hush"},
}
PARTNERS = {"client_secret": {"client_id": "i"}, "password": {"user": "u"}}


@pytest.mark.parametrize("option", SECRETS)
def test_no_secret_is_in_a_repr(option: str) -> None:
    options = {option: SECRETS[option], **PARTNERS.get(option, {})}
    settings = Settings(**options)
    assert (
        "hush" in str(getattr(settings, option)) or "hush" in getattr(settings, option).values()
    )  # it is really there
    giga = GigaChat(**options)
    agiga = AsyncGigaChat(**options)
    shown = [
        repr(settings),
        str(settings),
        repr(settings.model_dump()),
        repr(dict(settings)),
        repr(giga),
        str(giga),
        repr(agiga),
        repr(giga._service),
    ]
    authorization = giga._service.authorization
    shown += [repr(vars(giga._service)), repr(authorization), repr(getattr(authorization, "__dict__", None))]
    assert not [text for text in shown if "hush" in text]


def test_a_file_may_be_given_as_a_path_and_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    forms: list[Any] = [tmp_path / "ca.pem", str(tmp_path / "ca.pem"), "~/ca.pem", f"'{tmp_path / 'ca.pem'}'"]
    for given in forms:
        read = Settings(ca_bundle_file=given).ca_bundle_file
        assert isinstance(read, str)
        assert Path(read) == tmp_path / "ca.pem"
    assert Settings(ca_bundle_file=str(tmp_path)).ca_bundle_file == str(tmp_path)
    with pytest.raises(ValidationError, match="no such file"):
        Settings(cert_file=str(tmp_path))


@pytest.mark.parametrize("address", ["https://host/v1/", "https://host/v1//", " https://host/v1 "])
def test_addresses_end_without_a_slash(address: str) -> None:
    assert Settings(base_url=address).base_url == "https://host/v1"


def test_a_proxy_may_be_given_without_its_scheme() -> None:
    assert Settings(proxy="host:3128").proxy == "http://host:3128"


@pytest.mark.parametrize("timeout", [0, -1, "soon", (1,), float("inf")])
def test_the_timeout_of_a_view_is_checked_too(timeout: Any) -> None:
    with pytest.raises(ValueError, match="seconds"):
        GigaChat().with_options(timeout=timeout)


def test_every_option_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())
    assert settings_module.__doc__


def test_arguments_of_pydantic_settings_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MODEL", "one")
    monkeypatch.setenv("OTHER_MODEL", " 'two' ")
    monkeypatch.setenv("OTHER_USER", "null")
    arguments: dict[str, Any] = {"_env_prefix": "OTHER_", "_env_parse_none_str": "null"}  # pyright does not know them
    settings = Settings(**arguments)
    assert (settings.model, settings.user) == ("two", None)
