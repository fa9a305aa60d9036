"""Whatever stands in the environment gives a client or a clear refusal, and no secret is shown in either."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gigachat import ConfigurationError, GigaChat
from gigachat.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

MARKER = "Zq7xV"
SECRET = ("credentials", "client_secret", "access_token", "password", "key_file_password", "proxy")
SECRET_INSIDE = ("default_headers", "default_query")
FILES = ("ca_bundle_file", "cert_file", "key_file")  # which file is missing may be said
# What must be set beside an option for it to be complete.
PARTNERS = {
    "client_id": {"client_secret": "s"},
    "client_secret": {"client_id": "i"},
    "user": {"password": "p"},
    "password": {"user": "u"},
    "key_file": {"cert_file": __file__},
}

OPTIONS = [name for name in Settings.model_fields if name != "ssl_context"]
options = st.sampled_from(OPTIONS)
# No NUL and no half of a pair: neither can be in an environment.
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
SPECIMENS = """
1 -1 0 1e999 nan inf 1.5 true no 1,2 [1] [ {} {"a":1} a=b = ~ / . 429,500 null ' "" Basic%20a host:1 ١ \ufeff \u2028 https://host
http://host:99999999 http://[::1 socks5:// http://ho\u2100st https://user:pass@host http://\u00ad
"""
looks_like_values = st.sampled_from(["", " ", "Basic a", *SPECIMENS.split()])
texts = st.one_of(looks_like_values, st.text(characters, max_size=12))
# The worst that has been found or feared.
HARD = {
    "home of nobody": "~no-such-user/file",
    "long": "x" * 5000,
    "deep": "[" * 30_000,  # an environment variable of Windows has at most 32,767 characters
    "long number": "1" * 5000,
    "no port": "http://host:port",
    "host that is none": "http://user:a@ho\u2100st",
}


def construct(environment: Mapping[str, str]) -> GigaChat | ConfigurationError:
    """Build a client; any other error is the failure of the test."""
    variables = {f"GIGACHAT_{name.upper()}": value for name, value in environment.items()}
    with mock.patch.dict(os.environ, variables):
        try:
            return GigaChat()
        except ConfigurationError as error:
            return error


def check_refusal(option: str, value: str) -> None:
    built = construct({**PARTNERS.get(option, {}), option: value})
    if isinstance(built, ConfigurationError):
        assert option in str(built).lower()
        assert len(str(built).splitlines()) == 1
        assert len(str(built)) < 400


@given(options, texts)
def test_any_text_is_a_client_or_a_refusal_of_one_line(option: str, value: str) -> None:
    check_refusal(option, value)


@pytest.mark.parametrize("what", HARD)
@pytest.mark.parametrize("option", OPTIONS)
def test_the_hardest_values_are_refused_in_one_line_too(option: str, what: str) -> None:
    check_refusal(option, HARD[what])


with_marker = st.one_of(
    st.builds(lambda before, after: f"{before}{MARKER}{after}", texts, texts),
    st.sampled_from(
        [f'["{MARKER}"]', f'{{"{MARKER}": {{}}}}', f'{{"a": "{MARKER}\n"}}', f"a={MARKER}é", f"{MARKER}=1"]
    ),
    st.sampled_from(
        [f"http://user:{MARKER}@ho\u2100st", f"http://u:{MARKER}@host:port", f"ftp://{MARKER}", f"http://[{MARKER}"]
    ),
    st.sampled_from([f"/{MARKER}", MARKER * 1000, f"~{MARKER}/x", f"1,{MARKER}", f"{MARKER}\n{MARKER}", f"'{MARKER}'"]),
)


@given(options, with_marker)
@example("proxy", f"http://user:{MARKER}@ho\u2100st")
@example("cert_file", f"-----BEGIN PRIVATE KEY-----\n{MARKER}\n-----END PRIVATE KEY-----")
@example("default_headers", f"X-Key={MARKER}é")
@example("access_token", f"{MARKER} é")
def test_no_refusal_repeats_a_value(option: str, value: str) -> None:
    built = construct({**PARTNERS.get(option, {}), option: value})
    if isinstance(built, ConfigurationError):
        shown = "".join(traceback.format_exception(built))
        name = value.partition("=")[0]  # the name of a header is no secret
        if not (option in SECRET_INSIDE and MARKER in name) and (option not in FILES or "PRIVATE KEY" in value):
            assert MARKER not in shown
    elif option in (*SECRET, *SECRET_INSIDE):
        assert MARKER not in repr(built)
        assert MARKER not in repr(built._settings)
        assert MARKER not in str(built._settings)
        assert MARKER not in repr(vars(built._service))
        assert MARKER not in repr(getattr(built._service.authorization, "__dict__", None))


things = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, with_marker, st.binary(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(texts, inner)),
    max_leaves=5,
)


@given(options, things)
@example("cert_file", {"a": 1})
@example("default_headers", {"": "x"})
def test_any_argument_is_an_option_or_a_refusal_that_does_not_repeat_it(option: str, value: object) -> None:
    refusal: ConfigurationError | None = None
    try:
        GigaChat(**{**PARTNERS.get(option, {}), option: value})  # type: ignore[arg-type]
    except ConfigurationError as error:
        refusal = error
    if refusal is not None:
        assert option in str(refusal)
        assert len(str(refusal).splitlines()) == 1
        assert option in (*FILES, *SECRET_INSIDE) or MARKER not in str(refusal)
