"""The texts of a diagnosis: those of findings are in `texts.toml`, by code and language."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from gigachat._service import API_PATH, AUTH_URL, BASE_URL, NEWER_BASE_URL, SCOPES
from gigachat.diagnosis.codes import Code, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gigachat.diagnosis.codes import Language, Verdict


class Facts(NamedTuple):
    """The only values that texts contain. None of them may be a secret."""

    host: str = ""
    port: str = ""
    addresses: str = ""
    proxy: str = ""
    proxy_source: str = ""
    source: str = ""
    subject: str = ""
    issuer: str = ""
    until: str = ""
    now: str = ""
    seconds: str = ""
    method: str = ""
    scope: str = ""
    right_scope: str = ""
    model: str = ""
    models: str = ""
    status: str = ""
    request_id: str = ""
    problem: str = ""
    packages: str = ""
    version: str = ""
    python: str = ""
    folder: str = ""
    variable: str = ""
    other_variable: str = ""
    balance: str = ""
    because: str = ""
    base_url: str = BASE_URL
    newer_base_url: str = NEWER_BASE_URL
    auth_url: str = AUTH_URL
    api_path: str = API_PATH
    pers: str = SCOPES[0]
    b2b: str = SCOPES[1]
    corp: str = SCOPES[2]


class Words(NamedTuple):
    """What was seen, what it means and what to do, in one language.

    `local_advice` takes the place of `advice` if the host is this machine.
    """

    seen: str
    meaning: str
    advice: str = ""
    local_advice: str = ""


class Text(NamedTuple):
    """The verdict of a code, and its words in each language."""

    verdict: Verdict
    en: Words
    ru: Words


VERDICTS: Mapping[Language, Mapping[Verdict, str]] = {
    "en": {"ok": "ok", "warning": "warning", "failed": "FAILED", "skipped": "skipped"},
    "ru": {"ok": "ок", "warning": "внимание", "failed": "ОШИБКА", "skipped": "пропущено"},
}

STEPS: Mapping[Language, Mapping[Step, str]] = {
    "en": {
        Step.INSTALLATION: "installation",
        Step.SETTINGS: "settings",
        Step.NAMES: "names",
        Step.TCP: "TCP",
        Step.PROXY: "proxy",
        Step.TLS: "TLS",
        Step.CLOCK: "clock",
        Step.SIGN_IN: "sign-in",
        Step.SCOPE: "scope",
        Step.MODELS: "models",
        Step.ANSWER: "answer",
        Step.STREAM: "stream",
        Step.BALANCE: "balance",
    },
    "ru": {
        Step.INSTALLATION: "установка",
        Step.SETTINGS: "настройки",
        Step.NAMES: "имена",
        Step.TCP: "TCP",
        Step.PROXY: "прокси",
        Step.TLS: "TLS",
        Step.CLOCK: "часы",
        Step.SIGN_IN: "авторизация",
        Step.SCOPE: "scope",
        Step.MODELS: "модели",
        Step.ANSWER: "ответ",
        Step.STREAM: "поток",
        Step.BALANCE: "баланс",
    },
}


@cache
def texts() -> Mapping[Code, Text]:
    """Return the table of texts."""
    content = files("gigachat.diagnosis").joinpath("texts.toml").read_text("utf-8")
    return {
        Code(code): Text(entry["verdict"], Words(**entry["en"]), Words(**entry["ru"]))
        for code, entry in tomllib.loads(content).items()
    }


METHODS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "credentials": "authorization key",
        "client_id": "client id and client secret",
        "user": "user and password",
        "access_token": "ready access token",
        "access_token_provider": "your function access_token_provider=",
        "cert_file": "client certificate",
        "ssl_context": "own TLS context",
        "header": "own header Authorization",
        "none": "nothing (the address may add it)",
    },
    "ru": {
        "credentials": "ключ авторизации",
        "client_id": "Client ID и Client Secret",
        "user": "логин и пароль",
        "access_token": "готовый токен доступа",
        "access_token_provider": "ваша функция access_token_provider=",
        "cert_file": "клиентский сертификат",
        "ssl_context": "свой TLS-контекст",
        "header": "свой заголовок Authorization",
        "none": "не задана (её может добавить шлюз)",
    },
}

PROBLEMS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "refused": "refused",
        "timeout": "timed out",
        "no_name": "no such name",
        "unknown": "unknown",
        "hidden": "(not shown)",
        "none": "none",
    },
    "ru": {
        "refused": "отказ",
        "timeout": "нет ответа",
        "no_name": "нет такого имени",
        "unknown": "неизвестно",
        "hidden": "(не показано)",
        "none": "нет",
    },
}
"""Short words inside other texts."""
