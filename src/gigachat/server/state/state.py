"""The state of the server: the account, tokens, the prompt cache, open calls, records and received requests.

The server runs in one thread and tests read from others, so each part has its own lock.
"""

from __future__ import annotations

import base64
import hmac
import math
import secrets
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from gigachat._service import SCOPES
from gigachat.server.state.activity import Activity
from gigachat.server.state.records import Assistants, Batches, Files, Threads
from gigachat.server.state.requests import Journal

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from gigachat.server.catalogue import Model
    from gigachat.server.state.store import Store

AccountKind = Literal["pers", "b2b", "corp"]
"""A person, a company with prepaid packages, a company that pays as it goes (reference, section 1.3)."""

KIND_SCOPES: Mapping[AccountKind, str] = dict(zip(get_args(AccountKind), SCOPES, strict=True))

_ACCOUNT = "account"
_PACKAGES = {"GigaChat": 900_000, "GigaChat-Pro": 50_000, "GigaChat-Max": 50_000, "embeddings": 10_000_000}


@dataclass(frozen=True, slots=True)
class Account:
    """The credentials accepted: one key with the scope it was granted, one user with a password."""

    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_secret: str = field(default_factory=lambda: str(uuid.uuid4()), repr=False)
    user: str = "user"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    kind: AccountKind | None = None
    """Kind of its holder: decides how it pays and what is closed to it. None: everything is open."""
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


class Recent:
    """Values and the times they are valid until; the oldest are dropped beyond 10 000. Safe to use from any thread."""

    _LIMIT = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: OrderedDict[Hashable, float] = OrderedDict()

    def add(self, value: Hashable, seconds: float = math.inf) -> None:
        """Add a value that is valid so many seconds from now."""
        with self._lock:
            self._ends[value] = time.monotonic() + seconds
            self._ends.move_to_end(value)
            if len(self._ends) > self._LIMIT:
                self._ends.popitem(last=False)

    def check(self, value: Hashable) -> Literal["valid", "expired", "unknown"]:
        """Return the status of a value. Expired values stay known."""
        with self._lock:
            end = self._ends.get(value)
        if end is None:
            return "unknown"
        return "valid" if time.monotonic() < end else "expired"

    def __contains__(self, value: object) -> bool:
        return self.check(value) == "valid"

    def clear(self) -> None:
        """Remove all values."""
        with self._lock:
            self._ends.clear()


_CACHED_FOR = 30.0
"""Seconds the beginning of a prompt stays in the cache (reference, sections 4.3 and 6)."""


def cached_prefix(prompts: Recent, keys: Sequence[int]) -> int:
    """Return how many leading keys of a prompt are in the cache, and add all of them."""
    known = max((number for number, key in enumerate(keys, 1) if key in prompts), default=0)
    for key in keys:
        prompts.add(key, _CACHED_FOR)
    return known


def new_state_id() -> str:
    """Return a uuid of version 7, time first, as the service's state ids are (reference, section 4.3)."""
    value = (time.time_ns() // 1_000_000 & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    return str(uuid.UUID(int=value))


@dataclass(frozen=True, slots=True)
class State:
    """The state and the settings of one server.

    Lifetimes are in seconds: 30 minutes for OAuth tokens, 24 hours for those of user and password
    (reference, section 14). `strict` refuses fields the API notes don't list, `rate` requests
    beyond so many in a second. `result_role` is the only role
    that may bring function results in v2, both may when None. `closed_tools` are built-in tools of v2 that
    are refused. `bare_batches` lists batches without an object around the list.
    """

    account: Account = field(default_factory=Account)
    token_lifetime: float = 1800.0
    password_token_lifetime: float = 86400.0
    strict: bool = False
    rate: int | None = None
    result_role: Literal["function", "tool"] | None = None
    bare_batches: bool = False
    closed_tools: frozenset[str] = frozenset()
    tokens: Recent = field(default_factory=Recent)
    """Access tokens."""
    prompts: Recent = field(default_factory=Recent)
    """Beginnings of prompts."""
    calls: Recent = field(default_factory=Recent)
    """State ids of answers that held a function call: their results must come next (reference, section 4.2)."""
    journal: Journal = field(default_factory=Journal)
    activity: Activity = field(default_factory=Activity)
    files: Files = field(default_factory=Files)
    batches: Batches = field(default_factory=Batches)
    assistants: Assistants = field(default_factory=Assistants)
    threads: Threads = field(default_factory=Threads)
    store: Store | None = None
    _paying: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, kind: AccountKind | None, store: Store | None, **settings: Any) -> State:
        """Return the state kept in a store; a new one when the store is new or None.

        Args:
            kind: Kind of the account.
            store: Where it is kept; memory alone when None.
            **settings: The settings.
        """
        kept = store.read(_ACCOUNT, Account) if store is not None else []
        account = replace(kept[0] if kept else Account(), kind=kind)
        records: dict[str, Any] = {"files": Files(store), "batches": Batches(store), "assistants": Assistants(store)}
        state = cls(account=account, store=store, threads=Threads(store), **records, **settings)
        state._keep_account()
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
            raise ValueError(f"a package must be one of {', '.join(left)}")
        if type(tokens) is not int or tokens < 0:
            raise ValueError(f"tokens is a number from 0, not {tokens!r}")
        with self._paying:
            left[package] = max(0, left[package] - tokens)
            self._keep_account()

    def _keep_account(self) -> None:
        if self.store is not None:
            self.store.save(_ACCOUNT, _ACCOUNT, asdict(self.account))

    def fresh(self) -> State:
        """Return a new state for the same server, with the same account and tokens and without received requests.

        Without a store, its packages are full and it has no records.
        """
        state = replace(self, prompts=Recent(), calls=Recent(), journal=Journal())
        if self.store is not None:
            return state
        account = replace(self.account, left=dict(_PACKAGES))
        return replace(
            state, account=account, files=Files(), batches=Batches(), assistants=Assistants(), threads=Threads()
        )
