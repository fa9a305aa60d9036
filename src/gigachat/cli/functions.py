"""`gigachat functions`.

Check the description of a function for a model, or convert an OpenAPI document to descriptions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, client
from gigachat.cli.files import path_of
from gigachat.cli.status import FAILED, OK
from gigachat.cli.streams import print_model, read_file, read_input

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=("validate", "convert"), help="what to do")
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="the file; - is standard input")
    parser.add_argument("--json", action="store_true", help="print JSON, as without this option")
    add_client_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Validate or convert."""
    text = read_input() if options.file == "-" else read_file(path_of(options.file))
    with client(options) as giga:
        if options.action == "convert":
            converted = giga.openapi_function_convert(text)
            print_model(converted)
            return OK
        try:
            function = json.loads(text)
        except ValueError as error:
            raise ValueError(f"{options.file}: invalid JSON: {error}") from None
        result = giga.validate_function(function)
    print_model(result)
    return FAILED if result.errors else OK
