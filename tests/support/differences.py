"""How the transport over pyreqwest differs, and the tests that do not hold for it therefore.

The keys are rows of the table in docs/performance.md; a test compares them. Tests whose client is refused need no
entry: they are skipped by themselves.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

__all__ = ["DIFFERENCES", "REFUSED", "difference"]

REFUSED = "which transport='pyreqwest' cannot use"
"""Words of the error for options that the transport cannot have."""

DIFFERENCES: dict[str, tuple[str, ...]] = {
    # Refused when a client is made.
    "`http_client`, `async_http_client`, `_client`, `_aclient`": (
        "tests/e2e/test_rest.py::*[[]own client*",
        "tests/e2e/test_transport.py::test_threads_that_ask_first_at_once_get_one_httpx2_client",
        "tests/wire/test_errors.py::test_an_own_client_*",
        "tests/wire/test_signals.py::*[[]mock *",
        "tests/wire/test_signals.py::*-mock *",
    ),
    "`ssl_context`": (),
    "an encrypted key of `cert_file`": ("tests/e2e/test_secrets.py::test_a_key_that_cannot_be_decrypted_*",),
    "a proxy that speaks TLS (`https://`)": (
        "tests/wire/test_tracebacks.py::test_a_call_that_is_cut_short_shows_no_credential[[]*handshake with a proxy*",
    ),
    # Works otherwise.
    "uploads, trio, forked processes": (),
    "a call that is cancelled or interrupted before its response begins": (
        "tests/faults/test_streams.py::test_a_stream_closed_before_its_answer_comes_*",
    ),
    "blocking streams, and another `timeout` for some calls": (
        "tests/e2e/test_client.py::test_a_finished_stream_leaves_its_connection_for_the_next_request*",
        "tests/wire/test_bodies.py::test_an_interrupt_behind_the_end_interrupts_nothing*",
    ),
    "host names": (
        "tests/e2e/test_tls.py::test_the_name_of_a_proxy_may_be_in_cyrillic*",
        "tests/wire/test_deadline.py::test_finding_the_addresses_of_a_host_counts*",
        "tests/wire/test_deadline.py::test_the_addresses_of_a_host_share_one_timeout*",
    ),
    "TLS": (
        "tests/e2e/test_tls.py::test_a_certificate_is_refused_by_name[[]*self-signed*",
        "tests/e2e/test_tls.py::test_a_number_of_openssl_that_has_no_name_here*",
        "tests/e2e/test_tls.py::test_a_number_of_windows_is_named_as_that_of_openssl*",
        "tests/e2e/test_transport.py::test_where_the_systems_store_is_reachable_by_its_own_verification_*",
        "tests/wire/test_errors.py::test_a_file_for_the_keys_of_tls_*",
    ),
    "headers of a response": ("tests/wire/test_bounds.py::test_what_comes_around_an_answer_without_an_end_*",),
    "`GIGACHAT_LOG`": ("tests/e2e/test_secrets.py::test_what_is_said_is_not_logged*",),
}

_INNER = (  # tests of the inside of the default transport
    "tests/e2e/test_walks.py::*",
    "tests/e2e/test_workarounds.py::*",
    "tests/wire/test_races.py::test_an_interrupt_at_the_end_of_a_response_loses_no_slot*",
)


def difference(test: str) -> str | None:
    """Return why a test, given by its id, does not hold for the transport over pyreqwest."""
    for reason, patterns in {**DIFFERENCES, "the default transport itself": _INNER}.items():
        if any(fnmatchcase(test, pattern) for pattern in patterns):
            return reason
    return None
