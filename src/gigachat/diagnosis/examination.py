"""The order of a diagnosis: runs the steps, each in a bounded time, and skips those that depend on a failed one."""

from __future__ import annotations

import locale
import os
import platform
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import gigachat
from gigachat._engine.side_by_side import start_thread
from gigachat._option_values import unquoted
from gigachat._suggestions import misspelled_variables
from gigachat.diagnosis import account, network
from gigachat.diagnosis.codes import Code, Step
from gigachat.diagnosis.report import Finding, Report
from gigachat.diagnosis.texts import METHODS, PROBLEMS, STEPS, Facts, texts
from gigachat.exceptions import ConfigurationError
from gigachat.settings import ENV_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gigachat import GigaChat
    from gigachat.client import Client
    from gigachat.diagnosis.codes import Found, Language
    from gigachat.diagnosis.network import Route
    from gigachat.settings import Options

T = TypeVar("T")

_GRACE = 2.0  # seconds that a step may take beyond the waits of its own
_LONGEST_VALUE = 400  # characters
_OTHER_VARIABLES = ("api_key", "auth_key")
_BY_OAUTH = ("credentials", "client_id")
_KEY_VARIABLES = ("GIGACHAT_CREDENTIALS", "GIGACHAT_API_KEY", "GIGACHAT_AUTH_KEY")
_NETWORK = (Step.NAMES, Step.TCP, Step.PROXY, Step.TLS, Step.CLOCK)
_ACCOUNT = (Step.SIGN_IN, Step.SCOPE, Step.MODELS, Step.ANSWER, Step.STREAM, Step.BALANCE)


def diagnose(
    make: Callable[[], Client[Any]],
    *,
    language: Language | None = None,
    timeout: float = 15.0,
    token: Callable[[], str] | None = None,
    stopping: threading.Event | None = None,
) -> Report:
    """Examine the settings of a client, the network and the account, and return what was found.

    Two requests are sent to the model, for one token each. Nothing is retried.

    Args:
        make: Returns the client; a ConfigurationError of it is a finding.
        language: Language of the texts; that of the system if None.
        timeout: Longest wait of a step for the network, in seconds.
        token: Function to call instead of the client's `access_token_provider`.
        stopping: Set by another thread to begin no further step.

    Raises:
        ValueError: The language or the timeout is invalid.
    """
    if language not in (None, "en", "ru"):
        raise ValueError("language must be 'en' or 'ru'")
    if not 0 < timeout <= 3600:
        raise ValueError("timeout must be a number of seconds, above 0 and at most 3600")
    examination = _Examination(language or system_language(), timeout, stopping or threading.Event())
    examination.installation()
    client = examination.settings(make, token)
    if client is None:
        examination.skip((*_NETWORK, *_ACCOUNT), Step.SETTINGS)
    else:
        with client:
            examination.network(client)
            examination.account(client)
    return Report(language=examination.language, findings=tuple(examination.findings))


class _Examination:
    """The findings so far."""

    def __init__(self, language: Language, timeout: float, stopping: threading.Event) -> None:
        self.language: Language = language
        self._stopping = stopping
        self.findings: list[Finding] = []
        self._timeout = timeout
        self._failed: set[Step] = set()
        self._unreachable: dict[tuple[str, int], Step] = {}

    # Findings

    def add(self, step: Step, code: Code, facts: dict[str, str]) -> bool:
        """Add a finding; return whether the step may be followed by those that depend on it."""
        text = texts()[code]
        words = text.ru if self.language == "ru" else text.en
        values = Facts(**{name: self._shown(value) for name, value in facts.items()})
        values = Facts(*(value or PROBLEMS[self.language]["unknown"] for value in values))
        seen, meaning, advice, local_advice = (part.format_map(values._asdict()) for part in words)
        if local_advice and network.is_local(facts.get("host", "").strip("[]")):
            advice = local_advice
        self.findings.append(
            Finding(step=step, verdict=text.verdict, code=code, seen=seen, meaning=meaning, advice=advice)
        )
        if text.verdict == "failed":
            self._failed.add(step)
        return text.verdict != "failed"

    def _shown(self, value: str) -> str:
        """Return a value in one line and of bounded length, without the home folder; known words are translated."""
        value = _without_home(PROBLEMS[self.language].get(value, value))
        value = "".join(character if character.isprintable() else " " for character in value)
        return " ".join(value.split())[:_LONGEST_VALUE]

    def skip(self, steps: Iterable[Step], because: Step) -> None:
        """Add a finding that a step was skipped, for each."""
        for step in steps:
            self.add(step, Code.SKIPPED, {"because": STEPS[self.language][because]})

    def _run(self, check: Callable[[], T], failed: Callable[[Found], T]) -> T:
        """Run a check in a bounded time; another failure than those foreseen is a finding, too."""
        if self._stopping.is_set():
            raise InterruptedError("the caller has stopped the diagnosis")
        outcome = start_thread(check)
        if not outcome.done.wait(self._timeout + _GRACE):
            return failed((Code.TIMED_OUT, {"seconds": f"{self._timeout:g}"}))
        try:
            return outcome.result()
        except ConfigurationError as error:
            return failed((Code.SETTINGS_INVALID, {"problem": str(error)}))
        except Exception as error:
            return failed((Code.UNEXPECTED, {"problem": type(error).__name__}))

    def _check(self, step: Step, check: Callable[[], Found], facts: dict[str, str]) -> bool:
        """Run a check and add its finding; return whether those that depend on it may follow."""
        code, more = self._run(check, _same)
        return self.add(step, code, {**facts, **more})

    # Steps

    def installation(self) -> None:
        """Tell which packages own the import and the command."""
        facts = {"version": gigachat.__version__, "python": platform.python_version()}
        folder = str(Path(gigachat.__file__).parent)
        self.add(Step.INSTALLATION, Code.INSTALLED, {**facts, "folder": folder})
        try:
            of_script, of_import = _owners()
        except Exception as error:  # of a package whose metadata is not complete
            self.add(Step.INSTALLATION, Code.METADATA_DAMAGED, {"problem": type(error).__name__})
            return
        if of_script:
            self.add(Step.INSTALLATION, Code.SHARED_SCRIPT, {"packages": ", ".join(sorted(of_script))})
        if of_import:
            packages = ", ".join(sorted({"gigachat", *of_import}))
            self.add(Step.INSTALLATION, Code.SHARED_IMPORT, {"packages": packages})

    def settings(self, make: Callable[[], Client[Any]], token: Callable[[], str] | None) -> GigaChat | None:
        """Return a client of this diagnosis with the settings of the given one; None if they are invalid."""
        try:
            given = make()
            client = self._own_client(given, token)
            address = network.Route(client._settings, client._settings.base_url, "base_url=", self._timeout)
            auth_address = network.Route(client._settings, client._settings.auth_url, "auth_url=", self._timeout)
        except ConfigurationError as error:
            self.add(Step.SETTINGS, Code.SETTINGS_INVALID, {"problem": str(error)})
            return None
        except Exception as error:
            self.add(Step.SETTINGS, Code.UNEXPECTED, {"problem": type(error).__name__})
            return None
        known = (*type(client._settings).model_fields, *_OTHER_VARIABLES)
        for misspelled, meant in misspelled_variables(ENV_PREFIX, known).items():
            self.add(Step.SETTINGS, Code.VARIABLE_NOT_READ, {"variable": misspelled, "other_variable": meant})
        method = account.authorization_of(client)
        if method == "none" and account.needs_key(client):
            self.add(Step.SETTINGS, Code.NO_KEY, {})
        elif method == "credentials" and (code := account.key_code(client._settings)):
            self.add(Step.SETTINGS, code, auth_address.facts)
        else:
            self.add(Step.SETTINGS, Code.SETTINGS_READ, {**address.facts, "method": METHODS[self.language][method]})
        if variable := _quoted_variable(client._settings):
            self.add(Step.SETTINGS, Code.KEY_WAS_QUOTED, {"variable": variable})
        if any(given._own_clients):
            self.add(Step.SETTINGS, Code.OWN_HTTP_CLIENT, {})
        return client

    def _own_client(self, given: Client[Any], token: Callable[[], str] | None, **changes: Any) -> GigaChat:
        """Return a blocking client with the settings of the given one, which retries nothing and shares no token."""
        from gigachat.client import GigaChat

        bounds = {
            "timeout": self._timeout,
            "total_timeout": self._timeout,
            "max_retries": 0,
            "retry_on_status_codes": (),
            "max_concurrency": None,
            "share_token": False,
        }
        state = {**given._own_state(), "_settings": given._settings.model_copy(update={**bounds, **changes})}
        if token is not None:
            state["_access_token_provider"] = token
        client = GigaChat.__new__(GigaChat)
        client.__setstate__(state)
        return client.with_options(timeout=self._timeout, max_retries=0)

    def network(self, client: GigaChat) -> None:
        """Go the way to each address of the settings, as far as it leads."""
        settings = client._settings
        addresses = {"base_url=": settings.base_url}
        method = account.authorization_of(client)
        if method in _BY_OAUTH or (method == "none" and account.needs_key(client)):
            addresses["auth_url="] = settings.auth_url
        routes: dict[tuple[str, int], Route] = {}
        for source, url in addresses.items():
            route = network.Route(settings, url, source, self._timeout)
            routes.setdefault(route.name, route)
        found = {
            Step.NAMES: network.Route.names,
            Step.TCP: network.Route.tcp,
            Step.PROXY: network.Route.through_proxy,
            Step.TLS: network.Route.tls,
            Step.CLOCK: network.Route.clock,
        }
        for step, check in found.items():
            results = {
                route: self._run(partial(check, route), _same)
                for route in routes.values()
                if route.name not in self._unreachable or (step is Step.CLOCK and route.clock_difference is not None)
            }
            self._skip_routes(step, [route for route in routes.values() if route not in results])
            for route, (code, facts) in results.items():
                if step is Step.TCP:
                    others = any(other is not route and one[0] is Code.CONNECTED for other, one in results.items())
                    explain = partial(network.explained, (code, facts), route, others_connect=others)
                    code, facts = self._run(explain, _same)
                if not self.add(step, code, {**route.facts, **facts}):
                    self._unreachable[route.name] = step

    def _skip_routes(self, step: Step, routes: list[Route]) -> None:
        """Add one finding for all addresses that failed at the same step."""
        for because in dict.fromkeys(self._unreachable[route.name] for route in routes):
            hosts = ", ".join(route.host for route in routes if self._unreachable[route.name] is because)
            self.add(step, Code.SKIPPED, {"because": f"{STEPS[self.language][because]} ({hosts})"})

    def account(self, client: GigaChat) -> None:
        """Sign in and send requests, as far as the steps before permit."""
        settings = client._settings
        method = account.authorization_of(client)
        api = network.Route(settings, settings.base_url, "base_url=", self._timeout)
        token = network.Route(settings, settings.auth_url, "auth_url=", self._timeout) if method in _BY_OAUTH else api
        if Step.SETTINGS in self._failed:
            self.skip(_ACCOUNT, Step.SETTINGS)
            return
        if token.name in self._unreachable:
            self.skip(_ACCOUNT, self._unreachable[token.name])
            return
        facts = {**token.facts, "method": METHODS[self.language][method]}
        of_scope = partial(self._of_scope, client)
        signing_in = partial(account.sign_in, client, of_scope, self._timeout)
        signed_in, scope = self._run(signing_in, lambda found: (found, None))
        if not self.add(Step.SIGN_IN, signed_in[0], {**facts, **signed_in[1]}) or scope is None:
            self.skip(_ACCOUNT[1:], Step.SIGN_IN)
        elif not self.add(Step.SCOPE, scope[0], {**facts, **scope[1]}):
            self.skip(_ACCOUNT[2:], Step.SCOPE)
        elif api.name in self._unreachable:
            self.skip(_ACCOUNT[2:], self._unreachable[api.name])
        else:
            self._requests(client, {**api.facts, "model": account.shown_model(client._service.model)})

    def _of_scope(self, client: GigaChat, scope: str) -> GigaChat:
        return self._own_client(client, None, scope=scope)

    def _requests(self, client: GigaChat, facts: dict[str, str]) -> None:
        timeout = self._timeout
        models = partial(account.models, client, client._service.model, timeout)
        if not self._check(Step.MODELS, models, facts):
            only_the_model = self.findings[-1].code in (Code.NO_SUCH_MODEL, Code.MODEL_ELSEWHERE)
            self.skip((Step.ANSWER, Step.STREAM) if only_the_model else _ACCOUNT[3:], Step.MODELS)
            if not only_the_model:
                return
        elif not self._check(Step.ANSWER, partial(account.answer, client, timeout), facts):
            self.skip((Step.STREAM,), Step.ANSWER)
        else:
            self._check(Step.STREAM, partial(account.stream, client, timeout), facts)
        self._check(Step.BALANCE, partial(account.balance, client, timeout), facts)


def _same(found: Found) -> Found:
    return found


def _owners() -> tuple[set[str], set[str]]:
    """Return the other distributions that install a command `gigachat`, and those that install the import."""
    from importlib.metadata import entry_points, packages_distributions

    scripts = {script.dist.name for script in entry_points(group="console_scripts", name="gigachat") if script.dist}
    return scripts - {"gigachat", None}, {*packages_distributions().get("gigachat", ())} - {"gigachat", None}


def _without_home(text: str) -> str:
    """Return a text in which the user's folder, which may show a name, is `~`."""
    home = os.path.expanduser("~")
    return text if len(home) < 2 else text.replace(home, "~")


def _quoted_variable(settings: Options) -> str | None:
    """Return the variable of the key in use if its value has quotes or spaces around."""
    for name in _KEY_VARIABLES:
        value = os.environ.get(name, "")
        if value != unquoted(value) == settings.credentials:
            return name
    return None


def system_language() -> Language:
    """Return the language of the system: Russian, or English in all other cases."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return "ru" if value.lower().startswith("ru") else "en"
    return "ru" if (locale.getlocale()[0] or "").lower().startswith("ru") else "en"
