"""The command `gigachat`, also `python -m gigachat`.

Another distribution, such as `gigachat-cli`, may install a script of the same name; `python -m gigachat` remains ours.
"""

from __future__ import annotations

import sys

from gigachat.cli.program import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
