"""Notebooks, executed by IPython's own shell; as a program: print the outputs of a notebook as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from gigachat.server import GigaChatServer
from tests.support.programs import environment

__all__ = ["code_cells", "executed"]

_ROOT = Path(__file__).parents[2]


def code_cells(notebook: Path) -> list[str]:
    """Return the sources of the code cells of a notebook."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def executed(notebook: Path, server: GigaChatServer, home: Path) -> list[dict[str, Any]]:
    """Execute a notebook against a server; return for each code cell what it printed and the data it displays.

    Args:
        notebook: The notebook.
        server: The server.
        home: Folder for IPython's files.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.notebooks", str(notebook)],
        env={"PYTHONUTF8": "1", "IPYTHONDIR": str(home), **environment(server)},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    outputs: list[dict[str, Any]] = json.loads(done.stdout)
    return outputs


def main(notebook: Path) -> None:
    """Print, for each code cell, what it printed and the data that it displays."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    displayed: list[dict[str, Any]] = []

    class Hook(DisplayHook):
        """Keeps what a kernel would send to the notebook."""

        def write_output_prompt(self) -> None:
            pass

        def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
            displayed.append(format_dict)

    class Shell(InteractiveShell):
        displayhook_class = Hook

    shell: Any = Shell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    outputs = []
    for source in code_cells(notebook):
        displayed.clear()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            result = shell.run_cell(source)
        result.raise_error()
        outputs.append({"printed": printed.getvalue(), "data": [*displayed]})
    json.dump(outputs, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
