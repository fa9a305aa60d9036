"""Advice in error messages: about errors of the service, sign-in, connections, proxies and certificates."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gigachat._service import API_PATH, AUTH_URL, BASE_URL, NEWER_BASE_URL, SCOPES, TOOLS, is_vendor_host

if TYPE_CHECKING:
    from gigachat.exceptions import ResponseError

HALF_A_PAIR = (
    "the text has half a surrogate pair, which UTF-8 cannot hold: "
    "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') mends it"
)
WITHOUT_ACCOUNT = "; without an account: gigachat run -- python ..."
_SCOPES = "{}, {} or {}".format(*SCOPES)
_BY_OAUTH_CODE = {
    1: f"Check `scope`: {_SCOPES}.",
    4: "`credentials` must be the authorization key of your project, copied whole.",
    5: f"Set `scope`: {_SCOPES}.",
    6: "The authorization key is wrong or revoked: make a new one in your account.",
    7: f"The key is of another kind of account: set `scope` to {_SCOPES}, as your account says.",
}
# Where the authorization of a request came from.
CREDENTIALS, ACCESS_TOKEN, PROVIDER = "credentials", "access_token", "access_token_provider"
SIGN_IN, NO_AUTHORIZATION = "sign-in", "none"
_UNAUTHORIZED = {
    CREDENTIALS: "Check `credentials` and `scope`, or the access token you passed.",
    ACCESS_TOKEN: "The access token has expired or is invalid: pass a new access_token=, or credentials= to have the "
    "client get one.",
    PROVIDER: "The access token has expired or is invalid: access_token_provider= must return a new one.",
    SIGN_IN: "Check `credentials` and `scope`, or `user` and `password`.",
    NO_AUTHORIZATION: "The request carried no key: pass credentials= (or set GIGACHAT_CREDENTIALS).",
}
_NOT_FOUND = {
    "file": "get_files() lists your files.",
    "batch": "get_batches() lists your batches.",
    "thread": "threads.get_threads() lists your threads.",
    "assistant": "assistants.get() lists your assistants.",
}
_SUBJECT = re.compile(rf"\b({'|'.join(_NOT_FOUND)})\b")
_UNKNOWN_TOOL = re.compile(r"unknown tool (\w+)")
_BY_STATUS = {
    402: "The tokens of this model are used up: buy more or choose another model.",
    407: "The proxy requires a user and a password: proxy='http://user:password@host:port'.",
    413: "Shorten the prompt, or choose a model with a larger window.",
    429: "The account permits only so many requests at once (one for persons): close streams you no longer "
    "read, or set max_concurrency.",
}
_OF_A_SCHEMA = re.compile(r"schema|\$ref|\$defs|(any|one|all)of\b|properties|parameters")
_VERSION = re.compile(r"/v\d+/")
_ENDPOINTS = ("/chat/completions", "/embeddings", "/models", "/files", "/tokens/count")


def is_switched_off(error: ResponseError) -> bool:
    """Whether the model is switched off for a time."""
    return error.status_code == 423 or (error.status_code == 403 and "temporarily unavailable" in error.message.lower())


def response_advice(error: ResponseError, authorization: str) -> str:
    """Return what to do about an error response, empty where it is not known.

    Args:
        error: The error.
        authorization: Where that of the request came from.
    """
    message = error.message.lower()
    if is_switched_off(error):
        return "The model is switched off for a time: repeating the request does not help, choose another model."
    if error.status_code == 401 and (authorization == NO_AUTHORIZATION or error.code not in _BY_OAUTH_CODE):
        return _UNAUTHORIZED[authorization]
    if error.status_code in (400, 401) and error.code in _BY_OAUTH_CODE:
        return _BY_OAUTH_CODE[error.code]
    if 300 <= error.status_code < 400:
        return (
            "Redirects are not followed: check the address, and whether a login page of the network answered instead."
        )
    if error.status_code in (404, 405) and authorization == SIGN_IN:
        if error.url.endswith("/token"):
            return f"Users and passwords sign in at base_url=, which usually ends in {API_PATH}."
        return f"Tokens are not issued at this address: auth_url= is usually {AUTH_URL}."
    if error.status_code == 404 and isinstance(error.body, dict):
        subject = _SUBJECT.search("file" if "/files/" in error.url else message)
        if subject is not None:
            again = "Attach the file again: attach() uploads it. " if _is_attached(subject[1], error.url) else ""
            return f"{again}{_NOT_FOUND[subject[1]]}"
    if error.status_code == 404 and "no such model" in message:
        newer = f"; newer models are at base_url='{NEWER_BASE_URL}'" if is_vendor_host(_host(error.url)) else ""
        return f"get_models() lists what this address serves{newer}."
    if error.status_code == 404 and (unknown := _UNKNOWN_TOOL.search(message)):
        import difflib  # deferred: only mistakes need it

        close = difflib.get_close_matches(unknown[1], TOOLS, 1)
        return f"Did you mean {close[0]!r}?" if close else f"Tools of the service are {', '.join(TOOLS)}."
    if error.status_code in (404, 405) and error.url.endswith(_ENDPOINTS) and not _VERSION.search(error.url):
        return f"The address names no version of the API: base_url= usually ends in {API_PATH}."
    if error.status_code == 400 and "plain http request" in message:
        return "The address begins with http://, but the port expects TLS: write https://."
    if error.status_code in (400, 422) and "temperature" in message:
        return "temperature must be above 0; 0.001 or less switches sampling off."
    if error.status_code in (400, 422) and ("json_object" in message or "empty schema with json" in message):
        method = "chat.parse" if "/v2/" in error.url else "chat_parse"
        return f"For JSON, use {method}(..., response_format=Model), or {{'type': 'json_schema', 'schema': {{...}}}}."
    if error.status_code == 413 and error.url.endswith("/embeddings"):
        return "Split the text, or choose a model of embeddings with a larger window."
    if error.status_code == 422 and _OF_A_SCHEMA.search(message):
        return "A model may refuse a JSON Schema that another takes: send gigachat.schema.simplify(schema)."
    if error.url.endswith("/v2/chat/completions"):
        if error.status_code == 400 and "invalid json syntax" in message:
            return (
                "The service says so of any body it cannot parse: look for an unknown role, arguments as text, a "
                "result without a name. function_result_role= sets the role of functions' results."
            )
        if error.status_code == 404 and not isinstance(error.body, dict):
            return "API v2 is not at this address: set v2_base_url= (or GIGACHAT_V2_BASE_URL)."
    elif error.status_code == 400 and "invalid json syntax" in message:
        return (
            "The service says so of any body it cannot parse: look for an unknown role. Roles of API v1 are system, "
            "user, assistant and function."
        )
    return _BY_STATUS.get(error.status_code, "")


def _is_attached(subject: str, url: str) -> bool:
    return subject == "file" and url.endswith(("/completions", "/run"))


def _host(url: str) -> str:
    return re.sub(r"^\w+://|[:/].*", "", url)


PROXY_LOGIN = "; the proxy's address needs other user and password: proxy='http://user:password@host:port'"
_LOGIN_REFUSED = re.compile("^407|authentication|username/password", re.IGNORECASE)
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE")


def connecting_advice(url: str, *, proxied: bool, reason: str) -> str:
    """Return what to do about a connection that could not be opened, with a semicolon in front."""
    if proxied and _LOGIN_REFUSED.search(reason):
        return PROXY_LOGIN
    if _NO_TLS.search(reason):
        return f"; no TLS is spoken there: does the address{' of the proxy' if proxied else ''} begin with http://?"
    if "HANDSHAKE_FAILURE" in reason:
        return "; perhaps it wants a client certificate: cert_file= and key_file="
    if "refused" in reason and not proxied:
        return "; check the address and the port, and whether the server runs"
    if proxied or not is_vendor_host(_host(url)):
        return ""
    advice = "; check the network, and behind a corporate proxy set proxy= or HTTPS_PROXY"
    if url.startswith(BASE_URL):
        advice += f", or try base_url='{NEWER_BASE_URL}'"
    return advice


PLAIN_HTTP = "; if the port expects TLS, write https:// in the address"
_CLOCK = "check this machine's clock, or wait for its owner to renew it"
_TRUST = "pass {} as ca_bundle_file= (or GIGACHAT_CA_BUNDLE_FILE)"
_AUTHORITY = _TRUST.format("that authority's certificate")
_UNKNOWN_AUTHORITY = ("is signed by an authority this machine does not know", _AUTHORITY)
_OTHER_HOST = ("is for another host", "check the address")
_NOT_STRICT = (
    "does not follow RFC 5280, which Python 3.13 and later enforce",
    "ask its authority for a correct certificate, or pass ssl_context= without VERIFY_X509_STRICT in verify_flags",
)
_BY_VERIFY_CODE = {
    9: ("is not yet valid", _CLOCK),
    10: ("has expired", _CLOCK),
    18: ("is self-signed", _TRUST.format("it, if it is yours,")),
    **dict.fromkeys((2, 19, 20, 21), _UNKNOWN_AUTHORITY),
    **dict.fromkeys((62, 64), _OTHER_HOST),
    **dict.fromkeys(range(80, 94), _NOT_STRICT),
    # Of Windows: CERT_E_EXPIRED, CERT_E_UNTRUSTEDROOT, CERT_E_CHAINING, CERT_E_CN_NO_MATCH.
    0x800B0101: ("has expired or is not yet valid", _CLOCK),
    0x800B0109: _UNKNOWN_AUTHORITY,
    0x800B010A: _UNKNOWN_AUTHORITY,
    0x800B010F: _OTHER_HOST,
}
CERTIFICATE_REQUIRED = "wants a client certificate: pass cert_file= and key_file="


def certificate_advice(code: int) -> tuple[str, str]:
    """Return what is wrong with a certificate that OpenSSL or Windows refused with a number, and what to do."""
    return _BY_VERIFY_CODE.get(code, ("cannot be verified", _AUTHORITY))
