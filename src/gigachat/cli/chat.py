"""`gigachat chat`.

Ask the model. Without a text it reads standard input; in a terminal it begins a session. A text beside standard input
is the question about it: `cat log | gigachat chat "What broke?"`.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.files import check_output, path_of, uploaded
from gigachat.cli.keys import directory
from gigachat.cli.status import OK
from gigachat.cli.streams import is_terminal, print_json, print_model, print_note, printable, read_file, read_input

if TYPE_CHECKING:
    import argparse

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
        "-f", "--file", "--image", dest="files", action="append", default=[], metavar="FILE", help="attach a file"
    )
    parser.add_argument("--tool", action="append", default=[], metavar="MODULE:NAME", help="function to call")
    parser.add_argument(
        "--mcp", action="append", default=[], metavar="COMMAND", help="command or URL of an MCP server with functions"
    )
    parser.add_argument("--approve", action="store_true", help="ask before each call of a function")
    parser.add_argument("-c", "--continue", dest="last", action="store_true", help="continue the last -c conversation")
    parser.add_argument("--conversation", metavar="NAME", help="continue the conversation of this name, or begin it")
    parser.add_argument("--save", type=path_of, metavar="FILE", help="write the conversation to a file, for /load")
    parser.add_argument("--v2", dest="api", action="store_const", const="v2", default="v1", help="use API v2")
    add_json_argument(parser)
    add_client_arguments(parser, model=True)


def run(options: argparse.Namespace) -> int:
    """Ask, or begin a session."""
    if options.schema is not None:
        _refuse_beside_schema(options)
    if options.save is not None:
        check_output(options.save)
    text = _question(options)
    fields = _fields(options)
    with ExitStack() as opened:
        if options.tool or options.mcp:
            from gigachat.cli.tools import approval, mcp_tools, tools_of

            tools = tools_of(options.tool, ask=options.approve)
            for server in options.mcp:
                tools += opened.enter_context(mcp_tools(server, ask=options.approve))
            fields.update(tools=tools, approve=approval)
        giga = opened.enter_context(client(options, model=options.model))
        if options.schema is not None and text is not None:
            return _structured(giga, text, fields, options)
        name = _LAST if options.conversation is None and options.last else options.conversation
        if name is not None:
            from gigachat.cli.conversations import conversation_file

            fields["storage"] = opened.enter_context(conversation_file(name, options.api))
        if text is None:
            from gigachat._engine.requests import missing_authorization
            from gigachat._engine.service import MODEL
            from gigachat.cli.session import ChatSession
            from gigachat.diagnosis.account import authorization_of, needs_key
            from gigachat.settings import load_options

            if authorization_of(giga) == "none" and needs_key(giga):
                raise missing_authorization()
            model = options.model or load_options({}).model or MODEL
            session = ChatSession(giga, fields, model=model, api=options.api, plain=options.plain)
            return session.run(options.files)
        return _answer(giga, text, fields, options)


def _refuse_beside_schema(options: argparse.Namespace) -> None:
    given = {
        "--tool": options.tool,
        "--mcp": options.mcp,
        "--continue": options.last,
        "--conversation": options.conversation is not None,
        "--save": options.save,
    }
    for name, value in given.items():
        if value:
            raise ValueError(f"--schema asks one question: it cannot be used with {name}")


def _question(options: argparse.Namespace) -> str | None:
    """Return the question; None for a session."""
    text = " ".join(options.text)
    if not is_terminal(sys.stdin):
        given = read_input()
        text = "\n\n".join(part for part in (text, given.strip("\r\n")) if part.strip())
    elif not (text or options.template or options.json or options.schema is not None):
        return None
    if options.template:
        text = _templated(options.template, text)
    if not text.strip():
        raise ValueError("a question is needed: write it as an argument, or pipe it in")
    return text


def _templated(name: str, text: str) -> str:
    from string import Template

    path = path_of(name)
    if path.name == name and not path.is_file():
        path = directory() / "templates" / f"{name}.txt"
        if not path.is_file():
            raise ValueError(f"there is no template {name!r}: neither a file of this name, nor {path}")
    if not path.exists():
        raise ValueError(f"{name}: there is no such file")
    template = read_file(path).strip()
    if "$input" not in template and "${input}" not in template:
        return f"{template}\n\n{text}" if text else template
    return Template(template).safe_substitute(input=text)


def _fields(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of the chats."""
    sampling = {"temperature": options.temperature, "max_tokens": options.max_tokens}
    sampling = {name: value for name, value in sampling.items() if value is not None}
    fields: dict[str, Any] = {"system": options.system} if options.system else {}
    if options.api == "v2":
        return {**fields, "model_options": sampling} if sampling else fields
    return {**fields, **sampling}


def _structured(giga: GigaChat, text: str, fields: dict[str, Any], options: argparse.Namespace) -> int:
    from pydantic_core import to_jsonable_python

    from gigachat.cli.schemas import answer_type

    into = answer_type(options.schema)
    question: dict[str, Any] = {"role": "user", "content": text}
    if ids := [uploaded(giga, path).id_ for path in options.files]:
        if options.api == "v2":
            question["content"] = [{"text": text}, {"files": [{"id": one} for one in ids]}]
        else:
            question["attachments"] = ids
    messages = [question]
    if system := fields.pop("system", None):
        messages.insert(0, {"role": "system", "content": system})
    chats: Any = giga.chat.parse if options.api == "v2" else giga.chat_parse
    _, value = chats(messages, into=into, **fields)
    print_json(to_jsonable_python(value))
    return OK


def _answer(giga: GigaChat, text: str, fields: dict[str, Any], options: argparse.Namespace) -> int:
    from gigachat.cli.answers import note_stop, show_stream

    conversation: Any = giga.conversation(api=options.api, **fields)
    files = [uploaded(giga, path) for path in options.files]
    if options.json or not options.stream:
        result = conversation.send(text, files)
        if options.json:
            print_model(result.completion)
        else:
            print(printable(result.text))
        note_stop(result.stop)
    else:
        with conversation.stream(text, files) as stream:
            show_stream(stream, plain=options.plain)
    if options.save is not None:
        conversation.save(options.save)
        print_note(f"The conversation is in {options.save}.")
    return OK
