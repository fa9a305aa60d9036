"""Texts given as arguments or in standard input."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gigachat.cli.streams import is_terminal, read_input

if TYPE_CHECKING:
    import argparse


def add_texts_argument(parser: argparse.ArgumentParser) -> None:
    """Add texts to the arguments."""
    parser.add_argument(
        "texts", nargs="*", metavar="TEXT", help="the texts; standard input is one text if none is given"
    )
    parser.add_argument("--lines", action="store_true", help="each line of standard input is a text")


def texts_of(options: argparse.Namespace) -> list[str]:
    """Return the texts.

    Args:
        options: As `add_texts_argument` describes.

    Raises:
        ValueError: There are none.
    """
    texts: list[str] = options.texts
    if not texts and not is_terminal(sys.stdin):
        given = read_input()
        texts = given.splitlines() if options.lines else [given]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise ValueError("no text was given: write it as an argument, or pipe it in")
    return texts
