"""`gigachat chat`.

Ask the model. Without a text it reads standard input; in a terminal it begins a session. Text beside standard input is
the question about it: `cat log | gigachat chat "What broke?"`.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.keys import directory
from gigachat.cli.status import OK
from gigachat.cli.streams import is_terminal, print_json, printable, read_input

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from gigachat import GigaChat

_LAST = "last"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("text", nargs="*", metavar="TEXT", help="the question")
    parser.add_argument("-s", "--system", metavar="TEXT", help="system message")
    parser.add_argument("-t", "--template", metavar="NAME", help="file with the question, in which $input is the text")
    parser.add_argument("--temperature", type=float, metavar="NUMBER", help="sampling temperature")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of the answer")
    parser.add_argument("--no-stream", dest="stream", action="store_false", help="print the answer when it is complete")
    parser.add_argument("--plain", action="store_true", help="print Markdown as it is")
    parser.add_argument(
        "--schema", metavar="SCHEMA", help='answer in JSON: "name, age int", a JSON Schema, or its file'
    )
    parser.add_argument(
        "--file",
        "--image",
        dest="files",
        action="append",
        default=[],
        metavar="FILE",
        help="attach a file or a picture",
    )
    parser.add_argument("--tool", action="append", default=[], metavar="MODULE:FUNCTION", help="function to call")
    parser.add_argument("--approve", action="store_true", help="ask before each call of a function")
    parser.add_argument(
        "-c", "--continue", dest="go_on", action="store_true", help="go on with the last -c conversation"
    )
    parser.add_argument("--conversation", metavar="NAME", help="go on with the conversation of this name, or begin it")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the conversation to a file, for /load")
    parser.add_argument("--v2", dest="api", action="store_const", const="v2", default="v1", help="use API v2")
    add_json_argument(parser)
    add_client_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Ask, or begin a session."""
    text = _question(options)
    with ExitStack() as opened:
        fields = {**_fields(options), "tools": [_function(name) for name in options.tool]}
        if options.approve:
            fields["approve"] = _approved
        giga = opened.enter_context(client(options))
        if text is None:
            from gigachat.cli.session import ChatSession

            return ChatSession(giga, fields, api=options.api, plain=options.plain, files=options.files).run()
        if options.schema:
            return _structured(giga, text, options)
        return _answer(giga, text, fields, options)


def _question(options: argparse.Namespace) -> str | None:
    """Return the question; None for a session."""
    text = " ".join(options.text)
    if not is_terminal(sys.stdin):
        given = read_input()
        text = "\n\n".join(part for part in (text, given.strip("\n")) if part.strip())
    elif not text and not options.template:
        if options.json or options.schema:
            raise ValueError("a question is needed")
        return None
    if options.template:
        text = _templated(options.template, text)
    if not text.strip():
        raise ValueError("a question is needed")
    return text


def _templated(name: str, text: str) -> str:
    from string import Template

    path = Path(name) if Path(name).is_file() else directory() / "templates" / f"{name}.txt"
    template = path.read_text("utf-8").strip()
    if "$input" not in template and "${input}" not in template:
        return f"{template}\n\n{text}" if text else template
    return Template(template).safe_substitute(input=text)


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    fields: dict[str, Any] = {"temperature": options.temperature, "system": options.system}
    if options.max_tokens is not None:
        if options.api == "v2":
            fields["model_options"] = {"max_tokens": options.max_tokens}
        else:
            fields["max_tokens"] = options.max_tokens
    if options.api == "v2" and options.temperature is not None:
        fields.setdefault("model_options", {})["temperature"] = fields.pop("temperature")
    name = options.conversation or (_LAST if options.go_on else None)
    if name is not None:
        if not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError("the name of a conversation has letters, digits, - and _")
        folder = directory() / "conversations"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fields["storage"] = folder / f"{name}.jsonl"
    return {name: value for name, value in fields.items() if value is not None}


def _function(name: str) -> Callable[..., Any]:
    """Return the function of `--tool`.

    Raises:
        ValueError: There is none.
    """
    from functools import reduce
    from importlib import import_module

    module, _, path = name.partition(":")
    if not module or not path:
        raise ValueError(f"--tool {name}: MODULE:FUNCTION is needed, as in --tool tools:weather")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as for python -m
    try:
        function = reduce(getattr, path.split("."), import_module(module))
    except (ImportError, AttributeError) as error:
        raise ValueError(f"--tool {name}: {error}") from None
    if not callable(function):
        raise ValueError(f"--tool {name}: it cannot be called")
    return function


def _approved(call: Any) -> bool | str:
    """Ask on the terminal whether a call may run."""
    from gigachat.cli.answers import shown_call

    try:
        with open("CON" if sys.platform == "win32" else "/dev/tty", encoding="utf-8") as terminal:
            print(f"{shown_call(call)} - run it? [y/N] ", end="", file=sys.stderr, flush=True)
            answer = terminal.readline().strip().lower()
    except OSError:
        return "there is no terminal to ask the user"
    return answer in ("y", "yes", "д", "да")


def _attached(giga: GigaChat, paths: list[str]) -> list[Any]:
    return [giga.upload_file(Path(path)) for path in paths]


def _structured(giga: GigaChat, text: str, options: argparse.Namespace) -> int:
    from gigachat.cli.schemas import answer_type

    into = answer_type(options.schema)
    messages: list[dict[str, Any]] = [{"role": "user", "content": text}]
    if options.system:
        messages.insert(0, {"role": "system", "content": options.system})
    fields = {name: value for name, value in _fields(options).items() if name not in ("system", "storage")}
    chats: Any = giga.chat.parse if options.api == "v2" else giga.chat_parse
    _, value = chats(messages, into=into, **fields)
    print_json(value)
    return OK


def _answer(giga: GigaChat, text: str, fields: dict[str, Any], options: argparse.Namespace) -> int:
    from gigachat.cli.answers import show_stream

    conversation: Any = giga.conversation(api=options.api, **fields)
    files = _attached(giga, options.files)
    if options.json or not options.stream:
        result = conversation.send(text, files)
        if options.json:
            print_json(result.completion.model_dump(mode="json", exclude={"x_headers"}, exclude_none=True))
        else:
            print(printable(result.text))
    else:
        with conversation.stream(text, files) as stream:
            show_stream(stream, plain=options.plain)
    if options.save:
        conversation.save(options.save)
    return OK
