"""What the server remembers: the account, tokens, the prompt cache, open calls, and all that has a module of its own.

The server works in one thread and tests look in from others, so each part has a plain lock of its own. It
must not know HTTP answers: it says what is true, other modules say it on the wire.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from gigachat._service import SCOPES
from gigachat.server.state.activity import Live
from gigachat.server.state.records import Assistants, Batches, Files, Threads
from gigachat.server.state.requests import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gigachat.server.catalogue import Model
    from gigachat.server.state.store import Store

AccountKind = Literal["pers", "b2b", "corp"]
"""A person, a company with prepaid packages, a company that pays as it goes (reference, section 1.3)."""

KIND_SCOPES: Mapping[AccountKind, str] = dict(zip(get_args(AccountKind), SCOPES, strict=True))

_ACCOUNT = "account"
_PACKAGES = {"GigaChat": 900_000, "GigaChat-Pro": 50_000, "GigaChat-Max": 50_000, "embeddings": 10_000_000}


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in: one key with the scope it was granted, one user with a password."""

    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_secret: str = field(default_factory=lambda: str(uuid.uuid4()), repr=False)
    user: str = "user"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    kind: AccountKind | None = None
    """Who holds it, which decides how it pays and what is closed to it; None for one to which everything is open."""
    left: dict[str, int] = field(default_factory=lambda: dict(_PACKAGES))
    """Tokens left, by the package they were bought in."""

    @property
    def scope(self) -> str:
        """The one scope granted to the key."""
        return KIND_SCOPES[self.kind or "pers"]

    @property
    def has_balance(self) -> bool:
        """Whether the balance can be asked for (reference, section 10.5)."""
        return self.kind != "corp"

    @property
    def pays_in_advance(self) -> bool:
        """Whether the balance goes down; that of an account to which everything is open does not."""
        return self.kind in ("pers", "b2b")

    @property
    def pays_as_you_go(self) -> bool:
        """Whether batches and checks for machine-made texts are open (reference, sections 10.3 and 11)."""
        return self.kind in (None, "corp")

    @property
    def credentials(self) -> str:
        """The authorization key: base64 of `client_id:client_secret` (reference, section 1.3)."""
        return base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()

    def owns_key(self, decoded: bytes) -> bool:
        """Tell whether a decoded authorization key is this account's."""
        return hmac.compare_digest(decoded, f"{self.client_id}:{self.client_secret}".encode())

    def owns_password(self, decoded: bytes) -> bool:
        """Tell whether a decoded `user:password` is this account's."""
        return hmac.compare_digest(decoded, f"{self.user}:{self.password}".encode())


class Tokens:
    """Access tokens given out and when they end."""

    _LIMIT = 10_000
    """Expired tokens are remembered, to say that they expired; this bounds the memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: OrderedDict[str, float] = OrderedDict()

    def add(self, token: str, lifetime: float) -> None:
        """Remember a token that lives `lifetime` seconds from now."""
        with self._lock:
            self._ends[token] = time.monotonic() + lifetime
            if len(self._ends) > self._LIMIT:
                self._ends.popitem(last=False)

    def check(self, token: str) -> Literal["valid", "expired", "unknown"]:
        """Return what is known of a token."""
        with self._lock:
            end = self._ends.get(token)
        if end is None:
            return "unknown"
        return "valid" if time.monotonic() < end else "expired"

    def revoke(self) -> None:
        """Forget every token, so that all are refused."""
        with self._lock:
            self._ends.clear()


class PromptCache:
    """Which beginnings of conversations were seen lately (reference, sections 4.3 and 6)."""

    _LIFE = 30.0
    _LIMIT = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[int, float] = OrderedDict()

    def hit(self, keys: Sequence[int]) -> int:
        """Return how many leading keys were seen in the last 30 seconds, and remember all of them."""
        now = time.monotonic()
        with self._lock:
            known = 0
            for number, key in enumerate(keys, 1):
                if self._seen.get(key, -self._LIFE) > now - self._LIFE:
                    known = number
                self._seen[key] = now
                self._seen.move_to_end(key)
            while len(self._seen) > self._LIMIT:
                self._seen.popitem(last=False)
        return known


class Calls:
    """State ids of answers that held a function call: their results are owed (reference, section 4.2)."""

    _LIMIT = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, state_id: str) -> None:
        """Remember an id given out with a call."""
        with self._lock:
            self._ids[state_id] = None
            if len(self._ids) > self._LIMIT:
                self._ids.popitem(last=False)

    def __contains__(self, state_id: object) -> bool:
        with self._lock:
            return state_id in self._ids


def new_state_id() -> str:
    """Return a uuid of version 7, time first, as the service's state ids are (reference, section 4.3)."""
    value = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=value))


@dataclass(frozen=True, slots=True)
class State:
    """Everything one server remembers, and what it was told of itself.

    Lifetimes are in seconds: 30 minutes for OAuth tokens, 24 hours for those of user and password
    (reference, section 14). `strict` refuses fields the API notes don't list, `rate` requests
    beyond so many in a second. `result_role` is the only role
    that may bring function results in v2, both may when None. `closed_tools` are built-in tools of v2 that
    are refused.
    """

    account: Account = field(default_factory=Account)
    token_lifetime: float = 1800.0
    password_token_lifetime: float = 86400.0
    strict: bool = False
    rate: int | None = None
    result_role: Literal["function", "tool"] | None = None
    closed_tools: frozenset[str] = frozenset()
    tokens: Tokens = field(default_factory=Tokens)
    prompts: PromptCache = field(default_factory=PromptCache)
    calls: Calls = field(default_factory=Calls)
    journal: Journal = field(default_factory=Journal)
    live: Live = field(default_factory=Live)
    files: Files = field(default_factory=Files)
    batches: Batches = field(default_factory=Batches)
    assistants: Assistants = field(default_factory=Assistants)
    threads: Threads = field(default_factory=Threads)
    store: Store | None = None
    _paying: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def kept_in(cls, store: Store, kind: AccountKind | None, **told: Any) -> State:
        """Return the state that is kept in a store, with its account, which is made when the store is new.

        Args:
            store: Where.
            kind: Of the account.
            **told: The other fields.
        """
        [account] = store.read(_ACCOUNT, Account) or [Account()]
        account = replace(account, kind=kind)
        state = cls(
            account=account,
            store=store,
            files=Files(store),
            batches=Batches(store),
            assistants=Assistants(store),
            threads=Threads(store),
            **told,
        )
        state._keep_account(store)
        return state

    def can_pay(self, model: Model) -> bool:
        """Tell whether tokens are left for a model; they end only for an account that pays in advance."""
        return not self.account.pays_in_advance or self.account.left[model.package] > 0

    def pay(self, model: Model, tokens: int) -> None:
        """Take what a model has cost off its package, for an account that pays in advance."""
        if self.account.pays_in_advance:
            self.spend(model.package, tokens)

    def spend(self, package: str, tokens: int) -> None:
        """Take tokens off a package; it never holds less than none.

        Raises:
            ValueError: There is no such package.
        """
        left = self.account.left
        if package not in left:
            raise ValueError(f"a package is one of {', '.join(left)}")
        with self._paying:
            left[package] = max(0, left[package] - tokens)
            if self.store is not None:
                self._keep_account(self.store)

    def _keep_account(self, store: Store) -> None:
        store.save(_ACCOUNT, _ACCOUNT, asdict(self.account))

    def fresh(self) -> State:
        """Return the state of the same server with the same account and tokens, of which nothing else is known.

        Its packages are full again. What is kept in a store stays.
        """
        if self.store is not None:
            return replace(self, prompts=PromptCache(), calls=Calls(), journal=Journal())
        kept = ("account", "tokens", "live")
        new = {
            one.name: one.default_factory()
            for one in fields(self)
            if one.default_factory is not MISSING and one.name not in kept
        }
        return replace(self, account=replace(self.account, left=dict(_PACKAGES)), **new)
