"""`python -m gigachat.server`: the command line of the local server.

It reads arguments, prints how to point the SDK at the server, and waits for Ctrl-C or SIGTERM. It must not
do what `GigaChatServer` does.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from typing import TYPE_CHECKING

from gigachat.server import GigaChatServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is interrupted.

    Args:
        arguments: Command line without the program's name; that of the process when None.

    Returns:
        0 after a clean stop, 1 when the address can't be listened on.
    """
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        _serve(options)
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"Can't listen on {options.host}:{options.port}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def _serve(options: argparse.Namespace) -> None:
    server = GigaChatServer(
        tls=options.tls,
        mtls=options.mtls,
        host=options.host,
        port=options.port,
        pace=options.pace,
        token_lifetime=options.token_lifetime,
        strict=options.strict,
        account_kind=options.account,
    )
    if options.host not in _LOOPBACK:
        print(f"Warning: listening on {options.host}, reachable from other machines.", file=sys.stderr)
    if not options.tls:
        print("Warning: without TLS keys, tokens and messages travel in the clear.", file=sys.stderr)
    with server:
        print(f"# Local GigaChat at {server.origin}: an echo answers, no model. Ctrl-C stops it.")
        for name, value in server.environment.items():
            print(f"$env:{name} = '{value}'" if sys.platform == "win32" else f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        while True:
            time.sleep(3600)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once is enough: what follows must not interrupt the stopping.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError("seconds can't be negative or endless")
    return seconds


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gigachat.server",
        description="Run a local GigaChat server: real OAuth and TLS, an honest echo instead of a model.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_port, default=8443, help="port, 0 for a free one (%(default)s)")
    parser.add_argument("--tls", action=argparse.BooleanOptionalAction, default=True, help="serve HTTPS (the default)")
    parser.add_argument("--mtls", action="store_true", help="demand a client certificate instead of a token")
    parser.add_argument(
        "--pace",
        type=_seconds,
        default=0.05,
        help="seconds between chunks of a stream, 0 for full speed (%(default)s)",
    )
    parser.add_argument("--token-lifetime", type=_seconds, default=1800.0, help="seconds a token lives (%(default)s)")
    parser.add_argument(
        "--account",
        choices=("pers", "b2b", "corp"),
        help="whose account it is, with the limits of its kind; without it nothing is limited",
    )
    parser.add_argument("--strict", action="store_true", help="refuse request fields that the API notes don't list")
    return parser


if __name__ == "__main__":
    sys.exit(main())
