"""The folder of the PyInstaller hook, which adds the data files of the SDK, such as the Russian root certificate."""

from __future__ import annotations

from pathlib import Path

__all__ = ["hook_directories"]


def hook_directories() -> list[str]:
    """Return the folder of the hook. PyInstaller calls this through the entry point `pyinstaller40`."""
    return [str(Path(__file__).parent)]
