"""The command `gigachat serve`: its arguments and its output. It runs until Ctrl-C, SIGTERM or SIGHUP.

An engine is imported only when it is chosen.
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import signal
import sys
import threading
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gigachat.server.engines.echo import Echo
from gigachat.server.engines.embedders import Sentences, hashed_vector
from gigachat.server.engines.script import Scripted
from gigachat.server.orders.faults import faults_from_file
from gigachat.server.orders.rules import rules_from_file
from gigachat.server.server import GigaChatServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from gigachat.server.engine import Engine

ValueT = TypeVar("ValueT")

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
_UPSTREAM_KEY = "UPSTREAM_API_KEY"
_ENGINES = {
    "echo": "an echo answers, no model",
    "script": "a script answers, no model",
    "llama": "{model} answers",
    "upstream": "{upstream} answers",
}
_OF_ENGINES = {"script": "script", "model_file": "llama", "upstream": "upstream", "upstream_model": "upstream"}
_WAIT_SECONDS = 1.0
"""One wait: on Windows Ctrl-C is heard only after it, before Python 3.14."""


def serve(options: argparse.Namespace) -> int:
    """Run the server as `add_arguments` describes until it is interrupted.

    Returns:
        0 after a clean stop, 1 when the server can't be started as asked.
    """
    stopped = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # It is sent when a terminal is closed; nohup ignores it.
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    for number in before:
        signal.signal(number, stop)
    try:
        with ExitStack() as opened:
            _serve(options, stopped, opened)
    except OSError as error:
        reason = error.strerror or error
        print(reason if error.filename is None else f"{error.filename}: {reason}", file=sys.stderr)
        return 1
    except (ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _serve(options: argparse.Namespace, stopped: threading.Event, opened: ExitStack) -> None:
    faults = faults_from_file(options.faults) if options.faults else []
    server = GigaChatServer(
        tls=options.tls,
        mtls=options.mtls,
        host=options.host,
        port=options.port,
        names=options.name,
        pace=options.pace,
        token_lifetime=options.token_lifetime,
        engine=_engine(options, opened),
        embedder=Sentences() if options.embeddings == "sentences" else hashed_vector,
        strict=options.strict,
        bare_batches=options.bare_batches,
        account_kind=options.account,
        rate=options.rate,
        seed=options.seed,
        state=options.state,
    )
    for fault in faults:
        server.add_fault(fault)
    try:
        opened.enter_context(server)
    except (OSError, UnicodeError) as error:
        if getattr(error, "filename", None) is not None:  # a certificate's
            raise
        taken = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = "--port 0 takes a free port" if taken else "--host is an address or a name of this machine"
        reason = str(getattr(error, "strerror", None) or error).partition(" (while attempting")[0]
        raise ValueError(f"Can't listen on {options.host}:{options.port}: {reason}; {advice}") from None
    if not _is_loopback(options.host):
        print(f"Warning: listening on {options.host}, reachable from other machines.", file=sys.stderr)
    if not options.tls:
        print("Warning: without TLS keys, tokens and messages travel in the clear.", file=sys.stderr)
    if server.port_changed:
        print("Warning: the port of the last start is taken, the address has changed.", file=sys.stderr)
    print(*_description(server, options), sep="\n", flush=True)
    while not stopped.wait(_WAIT_SECONDS):
        pass


def _description(server: GigaChatServer, options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines printed on start: a line for each variable in this system's shell, one line for the other."""
    engine = _ENGINES[options.engine].format(model=options.model_file, upstream=_shown(options.upstream))
    yield f"# Local GigaChat at {server.origin}: {engine}."
    # Only this machine sees the page, and a browser has no client certificate.
    if (_is_loopback(options.host) or options.host in _EVERYWHERE) and not options.mtls:
        yield f"# Page with a chat and a log of requests: {server.origin}/"
        if options.tls:
            yield "# Your browser warns of the certificate, because this server made it itself. It is safe to proceed."
    yield "# Set these variables in another terminal and start your program there:"
    bash = [f"export {name}={shlex.quote(value)}" for name, value in server.environment.items()]
    powershell = ["$env:{} = '{}'".format(name, value.replace("'", "''")) for name, value in server.environment.items()]
    here, name, other = (powershell, "bash", bash) if sys.platform == "win32" else (bash, "PowerShell", powershell)
    yield from here
    yield f"# In {name}:"
    yield "; ".join(other)
    yield "# Ctrl-C stops the server."


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(upstream: str | None) -> str:
    if upstream is None:
        return ""
    from gigachat.server.engines.openai_client import without_password

    return without_password(upstream)


def _engine(options: argparse.Namespace, opened: ExitStack) -> Engine:
    for name, owner in _OF_ENGINES.items():
        if getattr(options, name) is not None and options.engine != owner:
            raise ValueError(f"--{name.replace('_', '-')} is of --engine {owner}")
    engine: Engine = Echo()
    if options.engine == "script":
        engine = Scripted(rules_from_file(_needed(options.script, "--script FILE")))
    elif options.engine == "llama":
        from gigachat.server.engines.llama import Llama

        engine = opened.enter_context(Llama(_needed(options.model_file, "--model-file MODEL.gguf"), seed=options.seed))
    elif options.engine == "upstream":
        from gigachat.server.engines.upstream import Upstream

        url = _needed(options.upstream, "--upstream URL")
        engine = Upstream(url, model=options.upstream_model, api_key=os.environ.get(_UPSTREAM_KEY), seed=options.seed)
    return engine


def _needed(value: ValueT | None, argument: str) -> ValueT:
    if value is None:
        raise ValueError(f"this engine needs {argument}")
    return value


def _number(name: str, kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{name} must be from {low} to {high}")
        return value

    read.__name__ = name  # argparse shows it where a text is no number
    return read


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("the value must not be empty")
    return text


def _path(text: str) -> Path:
    return Path(_text(text))


_PORT = _number("port", int, 0, 65535)
_PACE = _number("seconds", float, 0, 86_400)
_LIFETIME = _number("seconds", float, 0.1, 31_536_000)
_RATE = _number("rate", int, 1, 1_000_000)
_SEED = _number("seed", int, 0, 2**32 - 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the server's arguments to a parser."""
    parser.add_argument("--host", type=_text, default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=_PORT, default=8443, help="port, 0 for a free one, which --state keeps (%(default)s)"
    )
    parser.add_argument(
        "--name", action="append", default=[], help="a name under which other machines reach it, for its certificate"
    )
    parser.add_argument("--tls", action=argparse.BooleanOptionalAction, default=True, help="serve HTTPS (the default)")
    parser.add_argument("--mtls", action="store_true", help="demand a client certificate instead of a token")
    parser.add_argument("--engine", choices=tuple(_ENGINES), default="echo", help="what answers (%(default)s)")
    parser.add_argument("--script", type=_path, metavar="FILE", help="rules of the engine script, YAML or JSON")
    parser.add_argument("--model-file", type=_path, metavar="MODEL.gguf", help="weights of the engine llama")
    parser.add_argument(
        "--upstream",
        type=_text,
        metavar="URL",
        help=f"address of an OpenAI-compatible server for the engine upstream; its key is read from {_UPSTREAM_KEY}",
    )
    parser.add_argument(
        "--upstream-model", type=_text, metavar="NAME", help="model to ask for, its first one if omitted"
    )
    parser.add_argument(
        "--embeddings",
        choices=("hashing", "sentences"),
        default="hashing",
        help="how vectors are made: by hashing words, or by a sentence encoder (%(default)s)",
    )
    parser.add_argument(
        "--pace",
        type=_PACE,
        default=0.05,
        help="seconds between chunks of a stream, 0 for full speed (%(default)s)",
    )
    parser.add_argument("--token-lifetime", type=_LIFETIME, default=1800.0, help="seconds a token lives (%(default)s)")
    parser.add_argument(
        "--account",
        choices=("pers", "b2b", "corp"),
        help="whose account it is, with the limits of its kind; without it nothing is limited",
    )
    parser.add_argument(
        "--rate",
        type=_RATE,
        metavar="N",
        help="requests let in within a second; 429 beyond",
    )
    parser.add_argument(
        "--state",
        type=_path,
        metavar="DIR",
        help="folder to keep account, certificates, files, threads in, so that the variables stay valid",
    )
    parser.add_argument("--faults", type=_path, metavar="FILE", help="what goes wrong and how often, YAML or JSON")
    parser.add_argument("--seed", type=_SEED, help="of what is left to chance: faults, a model's sampling")
    parser.add_argument("--bare-batches", action="store_true", help="list batches without an object around the list")
    parser.add_argument("--strict", action="store_true", help="refuse request fields that the API notes don't list")
