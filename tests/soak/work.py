"""What clients do: scenarios as a row of steps, each one call of the SDK, carried out blocking or async.

A scenario yields a step and is sent its answer; it ends when a step brings none. Each step carries an order for a
fault; what came of it goes to the ledger, to be judged by what the server noted.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import random
import re
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gigachat import AsyncGigaChat, GigaChat
from tests.soak.faults import HEADER, IMPATIENT, Done, Fault, Traits, draw
from tests.support.pipe import Pipe

Scenario = Generator["Ask", Any, None]
READING = Traits(repeatable=True)
WRITING = Traits()

_FILLING = ("soup", "ёж", "東京", "naïve", "🦔", "“quoted”", "a/b", "\\n", "data:", "[DONE]", "\u2028", "{}", "&amp;")
_PLACE = re.compile(r"(request|запросе): \d+")
_QUOTED = 300


@dataclass(frozen=True)
class Ask:
    """One call.

    Attributes:
        name: Method of the blocking client, with its namespace.
        check: Says what is wrong with the answer, None if nothing is.
    """

    name: str
    arguments: tuple[Any, ...]
    check: Callable[[Any], str | None]
    traits: Traits = WRITING
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Read(Ask):
    """A call whose answer is a stream; it is checked by its text, whole or as far as it came."""

    expected: str = ""
    text: Callable[[Any], str] = lambda chunk: ""
    final: Callable[[Any], str] = lambda completion: ""


class Facts:
    """What right answers look like, found out by asking while nothing is broken."""

    def __init__(self, giga: GigaChat) -> None:
        self._echoes = {}
        for russian in (False, True):
            mark = "ЙЦУКЕН" if russian else "QWERTY"
            self._echoes[russian] = giga.chat(mark).choices[0].message.content.replace(mark, "{}")
        self.texts = [f"text {number} of some {word}" for number, word in enumerate(_FILLING * 2)]
        answer = giga.embeddings(self.texts)
        self.vectors = {text: _digest(one.embedding) for text, one in zip(self.texts, answer.data, strict=True)}
        counted = giga.tokens_count(self.texts)
        self.tokens = {text: one.tokens for text, one in zip(self.texts, counted, strict=True)}
        self.models = [one.id_ for one in giga.get_models().data]

    def echo(self, said: str) -> str:
        """Return the answer to a single message."""
        quoted = said if len(said) <= _QUOTED else said[:_QUOTED] + "…"
        return self._echoes[re.search("[А-Яа-яЁё]", said) is not None].replace("{}", quoted)


def _digest(vector: Iterable[float]) -> str:
    return hashlib.sha256(repr(list(vector)).encode()).hexdigest()


def _equal(got: object, expected: object) -> str | None:
    return None if got == expected else f"expected {str(expected)[:400]!r}, got {str(got)[:400]!r}"


class Person:
    """One who asks: draws what to say and what to do. Nothing he says was said before."""

    def __init__(self, name: str, seed: str, facts: Facts, folder: Path) -> None:
        self.name = name
        self.chance = random.Random(f"{seed}/{name}")
        self._facts = facts
        self._folder = folder
        self._said = 0

    def new_id(self) -> str:
        self._said += 1
        return f"{self.name}-{self._said}"

    def _words(self) -> str:
        size = self.chance.choice((0, 0, 1, 3, 10, 10, 2000))
        return " ".join((f"<{self.new_id()}>", *self.chance.choices(_FILLING, k=size)))

    def scenario(self) -> Scenario:
        """Return something to do."""
        scenarios = (self._chat, self._stream, self._chat_v2, self._stream_v2, self._vectors, self._tokens)
        (chosen,) = self.chance.choices(
            (*scenarios, self._models, self._file, self._batch, self._thread), (24, 20, 8, 10, 6, 4, 4, 5, 3, 5)
        )
        return chosen()

    def _payload(self, words: str) -> Any:
        message = {"role": "user", "content": words}
        return self.chance.choice((words, [message], {"messages": [message]}))

    def _chat(self) -> Scenario:
        words = self._words()
        expected = self._facts.echo(words)
        yield Ask("chat", (self._payload(words),), lambda got: _equal(got.choices[0].message.content, expected))

    def _stream(self) -> Scenario:
        words = self._words()
        yield Read(
            "stream",
            (self._payload(words),),
            lambda got: None,
            Traits(streamed=True),
            expected=self._facts.echo(words),
            text=lambda chunk: chunk.choices[0].delta.content or "" if chunk.choices else "",
            final=lambda completion: completion.choices[0].message.content,
        )

    def _chat_v2(self) -> Scenario:
        words = self._words()
        expected = self._facts.echo(words)
        yield Ask("chat.create", (words,), lambda got: _equal(got.text, expected), Traits(v2=True))

    def _stream_v2(self) -> Scenario:
        words = self._words()
        yield Read(
            "chat.stream",
            (words,),
            lambda got: None,
            Traits(streamed=True, v2=True),
            expected=self._facts.echo(words),
            text=lambda chunk: chunk.text,
            final=lambda completion: completion.text,
        )

    def _vectors(self) -> Scenario:
        texts = self.chance.sample(self._facts.texts, self.chance.randint(1, 5))
        expected = [self._facts.vectors[text] for text in texts]
        yield Ask(
            "embeddings", (texts,), lambda got: _equal([_digest(one.embedding) for one in got.data], expected), READING
        )

    def _tokens(self) -> Scenario:
        texts = self.chance.sample(self._facts.texts, self.chance.randint(1, 8))
        expected = [self._facts.tokens[text] for text in texts]
        yield Ask("tokens_count", (texts,), lambda got: _equal([one.tokens for one in got], expected), READING)

    def _models(self) -> Scenario:
        yield Ask("get_models", (), lambda got: _equal([one.id_ for one in got.data], self._facts.models), READING)

    def _file(self) -> Scenario:
        content = self.chance.randbytes(self.chance.choice((1, 100, 5_000, 60_000, 60_000, 600_000)))
        name = f"{self.new_id()}.txt"
        form = self.chance.choice(("bytes", "object", "path", "pipe"))
        path = self._folder / name
        file: Any = content
        if form == "path":
            path.write_bytes(content)
            file = path
        elif form != "bytes":
            file = io.BytesIO(content) if form == "object" else Pipe(content)
        traits = Traits(sendable_again=form != "pipe")
        try:
            kept = yield Ask("upload_file", ((name, file),), lambda got: _equal(got.bytes_, len(content)), traits)
        finally:
            path.unlink(missing_ok=True)
        yield Ask("get_file", (kept.id_,), lambda got: _equal(got.filename, name), READING)
        unstructured = Traits(repeatable=True, structured=False)
        yield Ask(
            "get_file_content",
            (kept.id_,),
            lambda got: _equal(base64.b64decode(got.content) == content, True),
            unstructured,
        )
        try:
            yield Ask(
                "download_file", (kept.id_, path), lambda got: _equal(got.read_bytes() == content, True), unstructured
            )
        finally:
            path.unlink(missing_ok=True)
        yield Ask("delete_file", (kept.id_,), lambda got: _equal(got.deleted, True))

    def _batch(self) -> Scenario:
        words = [self._words() for _ in range(3)]
        expected = {str(number): self._facts.echo(one) for number, one in enumerate(words, 1)}
        batch = yield Ask("create_batch", (words,), lambda got: _equal(got.request_counts.total, 3))
        done = yield Ask(
            "wait_batch",
            (batch.id_,),
            lambda got: _equal(got.status, "completed"),
            Traits(repeatable=True, several=True),
            {"poll_interval": 0.05, "timeout": 60.0},
        )
        yield Ask(
            "batch_results",
            (done,),
            lambda got: _equal({one.id_: one.result.choices[0].message.content for one in got}, expected),
            Traits(repeatable=True, structured=False),
        )

    def _thread(self) -> Scenario:
        words, more = self._words(), self._words()
        thread = yield Ask("threads.create_thread", (), lambda got: _equal(bool(got), True))
        yield Ask("threads.add_message", (thread, words), lambda got: _equal(len(got.messages), 1))
        yield Ask(
            "threads.run_messages",
            ([more], thread),
            lambda got: _equal(_placeless(got.message.content), _placeless(self._facts.echo(more))),
        )
        yield Ask(
            "threads.get_messages",
            (thread,),
            lambda got: _equal([one.content for one in got.messages if one.role == "user"], [words, more]),
            READING,
        )
        last = self._words()
        yield Read(
            "threads.run_messages_stream",
            ([last], thread),
            lambda got: None,
            Traits(streamed=True),
            expected=_placeless(self._facts.echo(last)),
            text=lambda chunk: "".join(choice.delta.content or "" for choice in chunk.choices),
            final=lambda completion: completion.message.content,
        )
        yield Ask("threads.delete", (thread,), lambda got: _equal(got, True), Traits(structured=False))


def _placeless(text: str) -> str:
    """Return an echo without the number of messages, of which a thread has more."""
    return _PLACE.sub(r"\1: N", text)


@dataclass
class Customer:
    """A client and what is known of its way to the service.

    Attributes:
        make: Makes the client.
        giga: The client; None if each step gets a new one.
        polite: It reads everything to the end, so that its requests in work can be counted exactly.
    """

    name: str
    make: Callable[[], Any]
    giga: Any = None
    lossy: bool = False
    flaky: bool = False
    polite: bool = False
    max_retries: int = 2


class Ledger(Protocol):
    """Where calls are entered."""

    def enter(self, done: Done, answer_checked: bool, problem: str | None) -> None:
        """Enter a call that has ended, and what is wrong with its answer."""
        ...

    def step(self, what: str) -> AbstractContextManager[None]:
        """Have a call watched."""
        ...


class _Fell(Exception):
    """What a caller's own code raises while it reads."""


class _Step:
    """One call on its way."""

    def __init__(self, person: Person, customer: Customer, ask: Ask) -> None:
        chance = person.chance
        self.ask = ask
        self.person = person
        self.customer = customer
        self.fault: Fault = draw(chance, ask.traits, polite=customer.polite)
        self.request_id = person.new_id()
        self.got: list[str] = []
        self.given_up = False
        self.problem: str | None = None
        self.way = "whole"
        if isinstance(ask, Read):
            ways = ("chunks", "text", "final", "completion", "entered")
            leaving = ("break", "abandon", "fall", "close", "unread")
            self.way = chance.choice(ways if customer.polite or chance.random() < 0.6 else leaving)
        self.stop_at = chance.randrange(0, 12)
        self.begun = time.monotonic()
        self.done: Done | None = None

    def view(self, giga: Any) -> Any:
        timeout = (10.0, IMPATIENT) if self.fault.kind in ("silence", "stall") else None
        tag = self.customer.name if self.customer.polite else ""
        headers = {HEADER: self.fault.encoded(self.request_id, tag)}
        return giga.with_options(extra_headers=headers, timeout=timeout)

    def check(self, answer: Any) -> None:
        """Check an answer that came whole, or a text as far as it came."""
        ask = self.ask
        if not isinstance(ask, Read):
            self.problem = ask.check(answer)
            return
        got = "".join(self.got)
        if ask.name.startswith("threads"):
            got = _placeless(got)
        if self.given_up or answer is None:
            if not ask.expected.startswith(got):
                self.problem = f"expected the beginning of {ask.expected!r}, got {got!r}"
        else:
            self.problem = _equal(got, ask.expected)

    def end(self, ledger: Ledger, error: BaseException | None, answered: bool) -> None:
        customer = self.customer
        self.done = Done(
            self.request_id,
            customer.name,
            self.ask.name,
            self.fault,
            self.ask.traits,
            time.monotonic() - self.begun,
            customer.max_retries,
            customer.lossy,
            customer.flaky,
            error.with_traceback(None) if error is not None else None,
            self.given_up,
        )
        ledger.enter(self.done, answered, self.problem)


def _names(name: str) -> Sequence[str]:
    """Return the path to the async form of a method on the hybrid client."""
    space, _, method = name.rpartition(".")
    return ({"chat": "achat", "threads": "a_threads"}[space], method) if space else (f"a{name}",)


def _found(giga: Any, names: Sequence[str]) -> Any:
    for name in names:
        giga = getattr(giga, name)
    return giga


def act_blocking(person: Person, customer: Customer, ledger: Ledger) -> None:
    """Carry out one scenario."""
    scenario = person.scenario()
    answer = None
    with suppress(StopIteration):
        while True:
            ask = scenario.send(answer)
            giga = customer.giga or customer.make()
            step = _Step(person, customer, ask)
            with ledger.step(f"{step.request_id} {ask.name} {step.way} {step.fault} on {customer.name}"):
                answer = _ask_blocking(step, giga, ledger)
            if giga is not customer.giga and person.chance.random() < 0.5:
                giga.close()  # the other half is left to the collector
            if step.problem or step.given_up or (step.done is not None and step.done.error is not None):
                break
    scenario.close()


def _ask_blocking(step: _Step, giga: GigaChat, ledger: Ledger) -> Any:
    ask = step.ask
    answer: Any = None
    error: Exception | None = None
    try:
        method = _found(step.view(giga), ask.name.split("."))
        called = method(*ask.arguments, **ask.options)
        answer = _read(step, called) if isinstance(ask, Read) else called
    except Exception as raised:
        error = raised
    if error is None or isinstance(ask, Read):
        step.check(answer)
    step.end(ledger, error, error is None and not step.given_up)
    return answer


def _read(step: _Step, stream: Any) -> Any:
    """Read a stream in the way of the step; returns something if it came to its end."""
    ask, way, got = step.ask, step.way, step.got
    assert isinstance(ask, Read)
    if way == "unread":
        step.given_up = True
        return None
    if way == "final":
        got.append(stream.get_final_text())
    elif way == "completion":
        got.append(ask.final(stream.get_final_completion()))
    elif way == "text":
        for text in stream.text_stream:
            got.append(text)
    elif way == "chunks":
        for chunk in stream:
            got.append(ask.text(chunk))
    elif way == "entered":
        with stream:
            for chunk in stream:
                got.append(ask.text(chunk))
    elif way == "break":
        with stream:
            for number, chunk in enumerate(stream):
                got.append(ask.text(chunk))
                if number == step.stop_at:
                    step.given_up = True
                    break
    elif way == "fall":
        with suppress(_Fell), stream:
            for number, chunk in enumerate(stream):
                got.append(ask.text(chunk))
                if number == step.stop_at:
                    step.given_up = True
                    raise _Fell
    else:
        for number, chunk in enumerate(stream):
            got.append(ask.text(chunk))
            if number == step.stop_at:
                step.given_up = True
                break
        if way == "abandon":
            return None
        stream.close()
    again = next(stream, None)
    if again is not None:
        step.problem = f"a stream that is over went on with {again!r}"
    return stream


async def act_async(person: Person, customer: Customer, ledger: Ledger) -> None:
    """Carry out one scenario; some of its steps are cancelled at any moment."""
    scenario = person.scenario()
    answer = None
    with suppress(StopIteration):
        while True:
            ask = scenario.send(answer)
            giga = customer.giga or customer.make()
            step = _Step(person, customer, ask)
            patience = person.chance.uniform(0, 0.3) if person.chance.random() < 0.1 and not customer.polite else None
            try:
                with ledger.step(f"{step.request_id} {ask.name} {step.way} {step.fault} on {customer.name}"):
                    if patience is None:
                        answer = await _ask_async(step, giga, ledger)
                    else:
                        answer = None
                        with suppress(TimeoutError):
                            async with asyncio.timeout(patience):
                                answer = await _ask_async(step, giga, ledger)
            except asyncio.CancelledError:
                scenario.close()
                raise
            if giga is not customer.giga and person.chance.random() < 0.5:
                await giga.aclose()
            if step.problem or step.given_up or (step.done is not None and step.done.error is not None):
                break
    scenario.close()


async def _ask_async(step: _Step, giga: Any, ledger: Ledger) -> Any:
    ask = step.ask
    answer: Any = None
    error: Exception | None = None
    try:
        names = ask.name.split(".") if isinstance(giga, AsyncGigaChat) else _names(ask.name)
        called = _found(step.view(giga), names)(*ask.arguments, **ask.options)
        answer = await _read_async(step, called) if isinstance(ask, Read) else await called
    except asyncio.CancelledError:
        step.given_up = True
        if isinstance(ask, Read):
            step.check(None)
        step.end(ledger, None, False)
        raise
    except Exception as raised:
        error = raised
    if error is None or isinstance(ask, Read):
        step.check(answer)
    step.end(ledger, error, error is None and not step.given_up)
    return answer


async def _read_async(step: _Step, stream: Any) -> Any:
    """Read a stream in the way of the step; returns something if it came to its end."""
    ask, way, got = step.ask, step.way, step.got
    assert isinstance(ask, Read)
    number = 0
    if way == "unread":
        step.given_up = True
        return None
    if way == "final":
        got.append(await stream.get_final_text())
    elif way == "completion":
        got.append(ask.final(await stream.get_final_completion()))
    elif way == "text":
        async for text in stream.text_stream:
            got.append(text)
    elif way == "chunks":
        async for chunk in stream:
            got.append(ask.text(chunk))
    elif way == "entered":
        async with stream:
            async for chunk in stream:
                got.append(ask.text(chunk))
    elif way in ("break", "fall"):
        with suppress(_Fell):
            async with stream:
                async for chunk in stream:
                    got.append(ask.text(chunk))
                    if number == step.stop_at:
                        step.given_up = True
                        if way == "fall":
                            raise _Fell
                        break
                    number += 1
    else:
        async for chunk in stream:
            got.append(ask.text(chunk))
            if number == step.stop_at:
                step.given_up = True
                break
            number += 1
        if way == "abandon":
            return None
        await stream.close()
    again = await anext(stream, None)
    if again is not None:
        step.problem = f"a stream that is over went on with {again!r}"
    return stream


def customers(reach: dict[str, str]) -> tuple[list[Customer], list[Customer]]:
    """Return who asks: hybrid clients, for threads and tasks together, and those for tasks only."""
    own, bad = reach["origin"], reach["bad_origin"]
    trust = {"ca_bundle_file": reach["ca_bundle_file"]}
    key = {"credentials": reach["credentials"]}
    brisk = {"retry_backoff_factor": 0.02, "timeout": 60.0, "queue_timeout": 60.0}

    def at(origin: str, **more: Any) -> dict[str, Any]:
        auth = more.pop("auth", "")
        return {"base_url": f"{origin}/api/v1", "auth_url": f"{origin}{auth}/api/v2/oauth", **trust, **brisk, **more}

    def hybrid(options: dict[str, Any], name: str, **known: Any) -> Customer:
        return Customer(name, lambda: GigaChat(**options), GigaChat(**options), **known)

    def only_async(options: dict[str, Any], name: str, **known: Any) -> Customer:
        return Customer(name, lambda: AsyncGigaChat(**options), AsyncGigaChat(**options), **known)

    user = {"user": reach["user"], "password": reach["password"]}
    impatient = {"timeout": (3.0, 4.0)}  # of what hangs on the bad network
    both = [
        hybrid(at(own, **key), "shared token"),
        hybrid(at(own, **key, max_connections=6), "few connections"),
        hybrid(at(own, **key, share_token=False), "own token"),
        hybrid(at(own, **key, max_concurrency=4), "limit of 4"),
        hybrid(at(own, **key, max_retries=0), "no retries", max_retries=0),
        hybrid(at(own, **user, max_concurrency=3), "limit of 3, counted", polite=True),
        hybrid(at(bad, **key) | impatient, "bad network", lossy=True),
        hybrid(at(own, **key, auth="/flaky"), "flaky sign-in", flaky=True),
        Customer("new client for each call", lambda: GigaChat(**at(own, **key))),
    ]
    tasks_only = [
        only_async(at(own, **key), "async, shared token"),
        only_async(at(own, **key, max_concurrency=4), "async, limit of 4"),
        only_async(at(bad, **key, share_token=False) | impatient, "async, bad network", lossy=True),
        Customer("async, new client for each call", lambda: AsyncGigaChat(**at(own, **key))),
    ]
    return both, tasks_only


LIMITS = {"limit of 3, counted": 3}
"""Most requests in work at once, where they can be counted exactly."""
