"""`gigachat files`.

Upload, list, read and delete the files of the account.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gigachat.cli.client import add_client_arguments, add_json_argument, client
from gigachat.cli.status import OK
from gigachat.cli.streams import print_json, print_model, printable

if TYPE_CHECKING:
    import argparse

    from gigachat import GigaChat, models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "action",
        choices=("list", "upload", "show", "download", "delete"),
        nargs="?",
        default="list",
        help="(%(default)s)",
    )
    parser.add_argument("names", nargs="*", metavar="FILE", help="paths to upload, ids of the others")
    parser.add_argument("-o", "--output", type=path_of, default=Path(), help="directory, or file, of a download")
    add_json_argument(parser)
    add_client_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Do the action."""
    if options.action == "list" and options.names:
        raise ValueError("files list takes no names: use files show")
    if options.action != "list" and not options.names:
        raise ValueError(f"files {options.action} needs {'a path' if options.action == 'upload' else 'an id'}")
    if options.action == "download":
        check_output(options.output, folder=True)
        if len(options.names) > 1 and not options.output.is_dir():
            raise ValueError(f"{options.output}: there are several files, name a directory")
    with client(options) as giga:
        if options.action == "list":
            for file in giga.get_files().data:
                _show(file, options)
        for name in options.names:
            _one(giga, name, options)
    return OK


def path_of(text: str) -> Path:
    """Return the path that a user has written, in which `~` is the home directory, if there is one.

    Args:
        text: The path. `pathlib` would raise an error for the home of a user that does not exist.
    """
    return Path(os.path.expanduser(text))


def check_output(path: Path, *, folder: bool = False) -> None:
    """Check before any request whether a file can be written.

    Args:
        path: Path of the file.
        folder: Whether it may be a directory, in which the file gets a name.

    Raises:
        ValueError: It is a directory, or its directory is missing.
    """
    if path.is_dir():
        if not folder:
            raise ValueError(f"{path} is a directory: name a file")
    elif not path.parent.is_dir():
        raise ValueError(f"{path.parent}: there is no such directory")


def uploaded(giga: GigaChat, path: str) -> models.UploadedFile:
    """Upload a file.

    Raises:
        ValueError: There is none.
    """
    file = path_of(path)
    if not file.is_file():
        raise ValueError(f"{path}: there is no such file")
    return giga.upload_file(file)


def _one(giga: GigaChat, name: str, options: argparse.Namespace) -> None:
    if options.action == "upload":
        _show(uploaded(giga, name), options)
    elif options.action == "show":
        _show(giga.get_file(name), options)
    elif options.action == "download":
        path = giga.download_file(name, options.output)
        print_json({"id": name, "path": str(path)}) if options.json else print(path)
    else:
        deleted = giga.delete_file(name)
        print_json({"id": deleted.id, "deleted": deleted.deleted}) if options.json else print(printable(deleted.id))


def _show(file: models.UploadedFile, options: argparse.Namespace) -> None:
    if options.json:
        print_model(file)
        return
    created = datetime.fromtimestamp(file.created_at, UTC).strftime("%Y-%m-%d %H:%M")
    print(f"{printable(file.id_)}  {created}  {file.bytes_:>12,}  {printable(file.filename)}")
