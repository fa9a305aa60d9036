"""Leave out what the release of the environment does not have."""

from __future__ import annotations

from importlib import metadata

collect_ignore = ["check_second_version.py"] if metadata.version("langchain-gigachat") == "0.5.1" else []
