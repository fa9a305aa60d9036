"""The proxies of the environment: the one that holds for an address is used, the others are not even looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gigachat import ConfigurationError
from gigachat._transport import proxies
from gigachat.settings import Options
from tests.support.certificates import Authority
from tests.support.payloads import grant
from tests.support.proxies import Proxy, http_proxy, socks_proxy
from tests.support.servers import says
from tests.wire.modes import Mode
from tests.wire.servers import Server

HIDDEN = "hid-den"
UNUSABLE = [
    f"socks4://me:{HIDDEN}@127.0.0.1:9/",
    f"ftp://me:{HIDDEN}@127.0.0.1:9/",
    f"http://me:1{HIDDEN}/x@127.0.0.1:9/",
    f"http://me:{HIDDEN}@127.0.0.1:none",
    f"http://me:{HIDDEN}@a..b:9",
    f"http://me:{HIDDEN}@",
]


class Place:
    """A server with TLS and one without, and a proxy of each kind in front of each."""

    def __init__(self, stack: ExitStack, authority: Authority) -> None:
        self.secured = stack.enter_context(Server(tls=authority))
        self.plain = stack.enter_context(Server())
        self.tunnel: Proxy = stack.enter_context(http_proxy(self.secured.port))
        self.socks: Proxy = stack.enter_context(socks_proxy(self.secured.port))
        self.plain_socks: Proxy = stack.enter_context(socks_proxy(self.plain.port))
        self.values = {
            "tunnel": f"http://127.0.0.1:{self.tunnel.port}/",
            "forward": self.plain.origin,
            "socks": f"socks://127.0.0.1:{self.socks.port}/",
            "plain socks": f"socks://127.0.0.1:{self.plain_socks.port}/",
        }

    @property
    def gone_through(self) -> list[str]:
        """The kinds of the proxies that were asked for anything."""
        asked = {
            "tunnel": self.tunnel.asked,
            "forward": self.plain.proxied,
            "socks": self.socks.asked,
            "plain socks": self.plain_socks.asked,
        }
        return [kind for kind, addresses in asked.items() if addresses]

    def reach(self, base_url: str) -> dict[str, Any]:
        """How a client reaches the server of an address through what leads there."""
        return {**self.secured.reach, "base_url": base_url}


@pytest.fixture
def place(authority: Authority) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack, authority)


def chat(mode: Mode, options: dict[str, Any]) -> str:
    async def main() -> str:
        async with mode.giga(**options) as giga:
            return await giga.chat()

    return mode.run(main)


SECURED = "https://api.example/v1"
PLAIN = "http://api.example/v1"


@pytest.mark.parametrize(
    ("base_url", "variables", "through"),
    [
        (SECURED, {"https_proxy": "tunnel"}, "tunnel"),
        (SECURED, {"https_proxy": "tunnel", "http_proxy": UNUSABLE[0], "all_proxy": UNUSABLE[1]}, "tunnel"),
        (SECURED, {"HTTPS_PROXY": "tunnel", "HTTP_PROXY": UNUSABLE[2], "ALL_PROXY": UNUSABLE[3]}, "tunnel"),
        (SECURED, {"https_proxy": "tunnel", "all_proxy": "socks://127.0.0.1:9/"}, "tunnel"),
        (SECURED, {"https_proxy": "tunnel", "http_proxy": "socks4://127.0.0.1:9/"}, "tunnel"),
        (SECURED, {"https_proxy": "socks", "all_proxy": "tunnel"}, "socks"),
        (SECURED, {"all_proxy": "socks"}, "socks"),
        (SECURED, {"ALL_PROXY": "tunnel", "http_proxy": UNUSABLE[0]}, "tunnel"),
        (SECURED, {"all_proxy": "socks", "https_proxy": ""}, "socks"),
        (PLAIN, {"http_proxy": "forward"}, "forward"),
        (PLAIN, {"http_proxy": "forward", "https_proxy": UNUSABLE[0], "all_proxy": UNUSABLE[4]}, "forward"),
        (PLAIN, {"HTTP_PROXY": "forward", "HTTPS_PROXY": UNUSABLE[2], "ALL_PROXY": "socks://127.0.0.1:9"}, "forward"),
        (PLAIN, {"all_proxy": "plain socks", "https_proxy": UNUSABLE[0]}, "plain socks"),
        (PLAIN, {"http_proxy": "plain socks", "all_proxy": "forward"}, "plain socks"),
        (PLAIN, {"all_proxy": "forward"}, "forward"),
    ],
)
def test_the_proxy_that_holds_is_used(
    mode: Mode,
    base_url: str,
    variables: dict[str, str],
    through: str,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, place.values.get(value, value))
    assert chat(mode, place.reach(base_url)) == "good"
    assert place.gone_through == [through]


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize(
    ("base_url", "name"),
    [
        (SECURED, "https_proxy"),
        (SECURED, "HTTPS_PROXY"),
        (SECURED, "all_proxy"),
        (SECURED, "ALL_PROXY"),
        (PLAIN, "http_proxy"),
        (PLAIN, "HTTP_PROXY"),
        (PLAIN, "all_proxy"),
    ],
)
def test_a_proxy_that_holds_and_cannot_be_used_is_named(
    mode: Mode, base_url: str, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variable is, and no other, and no part of its value that may be a password."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as raised:
        chat(mode, {"base_url": base_url, "access_token": "t", "max_retries": 0})
    text = str(raised.value)
    assert name.lower() in text.lower()
    others = {"https_proxy", "http_proxy", "all_proxy"} - {name.lower()}
    assert not [other for other in others if other in text.lower()]
    assert "den" not in text
    assert "me:" not in text


@pytest.mark.parametrize(
    "form", ["localhost", "localhost:{port}", "other.example, localhost:{port}", ".localhost", "*", "LOCALHOST"]
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_where_no_proxy_holds_none_is_used(
    mode: Mode, name: str, form: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then one that cannot be used matters to nobody."""
    monkeypatch.setenv(name, form.format(port=place.secured.port))
    for value in (place.values["tunnel"], UNUSABLE[0]):
        monkeypatch.setenv("https_proxy", value)
        assert chat(mode, place.reach(f"https://localhost:{place.secured.port}/v1")) == "good"
    assert place.gone_through == []


@pytest.mark.parametrize("form", ["localhost:1", "ocalhost", "other.example", "localhost.example", ""])
def test_where_another_has_no_proxy_this_one_has(
    mode: Mode, form: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", form)
    monkeypatch.setenv("https_proxy", place.values["tunnel"])
    assert chat(mode, place.reach(f"https://localhost:{place.secured.port}/v1")) == "good"
    assert place.gone_through == ["tunnel"]


def test_the_sign_in_has_the_proxy_of_its_own_address(
    mode: Mode, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", place.values["tunnel"])
    monkeypatch.setenv("http_proxy", place.values["forward"])
    place.secured.sign_in_for_ever = says(grant("of-the-sign-in", 1800))
    path = place.secured.auth_url.removeprefix(place.secured.origin)
    options = place.secured.options | {"base_url": PLAIN, "auth_url": f"https://api.example{path}"}
    assert chat(mode, options) == "good"
    assert place.tunnel.asked == ["api.example:443"]
    assert place.plain.proxied == ["http://api.example/v1/chat/completions"]
    assert place.plain.requests[0].headers["authorization"] == "Bearer of-the-sign-in"


def test_the_option_wins_over_every_variable(mode: Mode, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy", "http_proxy"):
        monkeypatch.setenv(name, UNUSABLE[0])
    for kind in ("tunnel", "socks"):
        assert chat(mode, place.reach(SECURED) | {"proxy": place.values[kind]}) == "good"
        assert kind in place.gone_through
    monkeypatch.setenv("GIGACHAT_PROXY", place.values["socks"])
    assert chat(mode, place.reach(SECURED)) == "good"
    assert place.socks.asked == ["api.example:443"] * 2


def test_a_socks_proxy_is_asked_for_names(mode: Mode, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """`socks://`, as a desktop writes it, is SOCKS 5; with a login too."""
    with socks_proxy(place.secured.port, login="me:pass") as proxy:
        monkeypatch.setenv("all_proxy", f"socks://me:pass@127.0.0.1:{proxy.port}/")
        assert chat(mode, place.reach(SECURED)) == "good"
        assert (proxy.asked, proxy.refused) == (["api.example:443"], 0)


def test_an_own_client_is_asked_for_no_proxy(mode: Mode, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It brings its own, and the variables are not ours to refuse."""
    for name in ("https_proxy", "all_proxy", "http_proxy"):
        monkeypatch.setenv(name, UNUSABLE[0])

    async def main() -> None:
        async with mode.giga(own=True, **place.plain.reach) as giga:
            assert await giga.chat() == "good"

    mode.run(main)
    assert place.gone_through == []


def test_a_burst_of_connections_looks_for_the_proxy_of_the_environment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    def look() -> dict[str, str]:
        looks.append("all variables")
        return {}

    monkeypatch.setattr("urllib.request.getproxies", look)
    monkeypatch.setenv("no_proxy", "nowhere.example")
    for _ in range(100):
        assert proxies.proxy_for(Options(), "https://burst.example/v1") is None
    assert 0 < len(looks) < 100  # once a second
