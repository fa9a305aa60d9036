"""The pictures of the READMEs: what `gigachat chat` and `gigachat doctor` show in a terminal, as SVG.

Both commands run against the local server, which has prepared answers: python terminal_pictures.py FOLDER
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from gigachat.server import GigaChatServer

ROOT = Path(__file__).parents[1]
COLUMNS = 100
TOOL = '''
def weather(city: str) -> dict[str, int]:
    """Погода в городе сейчас."""
    return {"temperature": -3}
'''


def main(folder: str) -> None:
    """Write the pictures into a folder."""
    for name, text in pictures().items():
        (Path(folder) / f"{name}.svg").write_text(text, "utf-8")


def pictures() -> dict[str, str]:
    """Return the SVG of each picture by its name."""
    with tempfile.TemporaryDirectory() as home, GigaChatServer(account_kind="pers", pace=0.06) as server:
        (Path(home) / "bot.py").write_text(TOOL, "utf-8")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIGACHAT_")},
            **server.environment,
            "HOME": str(ROOT),  # paths below it are shown with ~
            "XDG_CONFIG_HOME": home,
            "PYTHONPATH": home,
            "PYTHONUTF8": "1",
            "COLUMNS": str(COLUMNS),
            "TERM": "xterm",
        }
        other_account = {**environment, "GIGACHAT_SCOPE": "GIGACHAT_API_CORP"}
        shown = {
            "chat": _chat(server, {**environment, "TERM": "dumb"}),  # which does not draw anew what it has shown
            "doctor": _shown("doctor --language en", other_account),
            "doctor.ru": _shown("doctor --language ru", other_account),
        }
    return {name: _svg(text, name) for name, text in shown.items()}


def _chat(server: GigaChatServer, environment: dict[str, str]) -> str:
    server.reply_call("weather", {"city": "Псков"})
    server.reply("В Пскове −3 °C. Наденьте шапку.", "Вы спрашивали о погоде в Пскове.")
    questions = "Какая погода в Пскове?", "О чём я спрашивал?", "/tokens", "/quit"
    return _shown("chat --tool bot:weather", environment, questions)


def _shown(command: str, environment: dict[str, str], typed: tuple[str, ...] = ()) -> str:
    """Return what a terminal shows of a command `gigachat`.

    Args:
        command: The subcommand and its arguments.
        environment: The environment of its process.
        typed: Lines that the user types, each at a prompt.
    """
    terminal, of_command = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gigachat", *command.split()],
        env=environment,
        stdin=of_command,
        stdout=of_command,
        stderr=of_command,
    )
    os.close(of_command)
    lines = iter(typed)
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
            if shown.endswith(b"> ") and (line := next(lines, None)) is not None:
                os.write(terminal, f"{line}\n".encode())
    except OSError:  # Linux reports the end of the command so
        pass
    os.close(terminal)
    process.wait()
    return f"$ gigachat {command}\n{shown.decode()}".replace("\r", "")


def _svg(text: str, name: str) -> str:
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text))
    svg = console.export_svg(title="gigachat", theme=MONOKAI, unique_id=name.replace(".", "-"))
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # no font is loaded from the network


if __name__ == "__main__":
    main(*sys.argv[1:])
