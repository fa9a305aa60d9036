"""The closed lists of a diagnosis: steps, verdicts and codes of findings. Their values are in the JSON of a report."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, TypeAlias

Language = Literal["en", "ru"]
Verdict = Literal["ok", "warning", "failed", "skipped"]


class Step(StrEnum):
    """A step of a diagnosis, in causal order."""

    INSTALLATION = "installation"
    SETTINGS = "settings"
    NAMES = "names"
    TCP = "tcp"
    PROXY = "proxy"
    TLS = "tls"
    CLOCK = "clock"
    SIGN_IN = "sign_in"
    SCOPE = "scope"
    MODELS = "models"
    ANSWER = "answer"
    STREAM = "stream"
    BALANCE = "balance"


class Code(StrEnum):
    """What a step found. Each code has one verdict and one text in each language; see `texts`."""

    INSTALLED = "installed"
    SHARED_SCRIPT = "shared_script"
    SHARED_IMPORT = "shared_import"
    METADATA_DAMAGED = "metadata_damaged"

    SETTINGS_READ = "settings_read"
    SETTINGS_INVALID = "settings_invalid"
    OWN_HTTP_CLIENT = "own_http_client"
    VARIABLE_NOT_READ = "variable_not_read"
    NO_KEY = "no_key"
    KEY_WAS_QUOTED = "key_was_quoted"
    KEY_HAS_SPACE = "key_has_space"
    KEY_IS_UUID = "key_is_uuid"
    KEY_IS_JWT = "key_is_jwt"
    KEY_HAS_COLON = "key_has_colon"
    KEY_IS_PLACEHOLDER = "key_is_placeholder"
    KEY_NOT_BASE64 = "key_not_base64"

    NAME_FOUND = "name_found"
    NAME_UNKNOWN = "name_unknown"
    NAME_SERVER_SILENT = "name_server_silent"
    NO_NETWORK = "no_network"

    CONNECTED = "connected"
    PORT_CLOSED = "port_closed"
    SERVER_NOT_RUNNING = "server_not_running"
    NO_CONNECTION = "no_connection"
    PROXY_NEEDED = "proxy_needed"
    OLD_HOST = "old_host"

    NO_PROXY = "no_proxy"
    PROXY_WORKS = "proxy_works"
    PROXY_UNREACHABLE = "proxy_unreachable"
    PROXY_LOGIN = "proxy_login"
    PROXY_REFUSED = "proxy_refused"
    NOT_A_PROXY = "not_a_proxy"
    PROXY_NOT_TRIED = "proxy_not_tried"

    CERTIFICATE_TRUSTED = "certificate_trusted"
    NO_TLS = "no_tls"
    NOT_VERIFIED = "not_verified"
    UNKNOWN_AUTHORITY = "unknown_authority"
    INTERCEPTED = "intercepted"
    RUSSIAN_ROOT_OFF = "russian_root_off"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    WRONG_HOST = "wrong_host"
    CERTIFICATE_INVALID = "certificate_invalid"
    CLIENT_CERTIFICATE_REQUIRED = "client_certificate_required"
    CLIENT_CERTIFICATE_REFUSED = "client_certificate_refused"
    NOT_TLS = "not_tls"
    TLS_BROKEN = "tls_broken"

    CLOCK_RIGHT = "clock_right"
    CLOCK_WRONG = "clock_wrong"
    CLOCK_NOT_COMPARED = "clock_not_compared"

    SIGNED_IN = "signed_in"
    NO_SIGN_IN = "no_sign_in"
    KEY_READ = "key_read"
    KEY_REVOKED = "key_revoked"
    PASSWORD_WRONG = "password_wrong"  # noqa: S105 - a code
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGN_IN_LIMIT = "sign_in_limit"
    TOKEN_FUNCTION_FAILED = "token_function_failed"  # noqa: S105 - a code
    WRONG_AUTH_ADDRESS = "wrong_auth_address"

    SCOPE_GRANTED = "scope_granted"
    SCOPE_NOT_USED = "scope_not_used"
    WRONG_SCOPE = "wrong_scope"
    OTHER_ACCOUNT = "other_account"

    MODEL_FOUND = "model_found"
    MODELS_NOT_LISTED = "models_not_listed"
    NO_SUCH_MODEL = "no_such_model"
    MODEL_ELSEWHERE = "model_elsewhere"
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a code
    NEW_TOKEN_REFUSED = "new_token_refused"  # noqa: S105 - a code
    ACCESS_DENIED = "access_denied"
    WRONG_ADDRESS = "wrong_address"

    ANSWERED = "answered"
    NOT_A_CHAT_MODEL = "not_a_chat_model"
    NO_TOKENS_LEFT = "no_tokens_left"
    BUSY = "busy"
    MODEL_OFF = "model_off"

    STREAMED = "streamed"
    STREAM_INTERRUPTED = "stream_interrupted"

    BALANCE = "balance"
    BALANCE_SPENT = "balance_spent"
    NO_BALANCE = "no_balance"

    SERVICE_FAILED = "service_failed"
    REFUSED = "refused"
    CONNECTION_BROKEN = "connection_broken"
    TIMED_OUT = "timed_out"
    BAD_RESPONSE = "bad_response"
    UNEXPECTED = "unexpected"
    SKIPPED = "skipped"


Found: TypeAlias = tuple[Code, dict[str, str]]
"""What a check returns: a code, and facts for its text."""
