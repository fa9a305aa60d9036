"""Models of what crosses the wire: the names in `__all__` of each module here.

A module is imported when one of its names is first used, so that `import gigachat.models` does not load pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # or a type checker would take every name for one of this module
    from gigachat.models.answer_files import *
    from gigachat.models.assistants import *
    from gigachat.models.auth import *
    from gigachat.models.base import *
    from gigachat.models.batches import *
    from gigachat.models.chat import *
    from gigachat.models.chat_completions import *
    from gigachat.models.embeddings import *
    from gigachat.models.files import *
    from gigachat.models.functions import *
    from gigachat.models.models import *
    from gigachat.models.raw import *
    from gigachat.models.response_format import *
    from gigachat.models.sources import *
    from gigachat.models.threads import *
    from gigachat.models.tools import *
else:
    from importlib import import_module

    # Searched for a name in this order: a chat needs the first one only.
    _MODULES = (
        "chat",
        "functions",
        "base",
        "response_format",
        "sources",
        "answer_files",
        "embeddings",
        "files",
        "models",
        "auth",
        "raw",
        "chat_completions",
        "tools",
        "threads",
        "assistants",
        "batches",
    )

    def _modules():
        return (import_module(f"{__name__}.{module}") for module in _MODULES)

    def __getattr__(name):
        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name == "__all__":
            return [one for module in _modules() for one in module.__all__]
        if not name.startswith("_"):
            for module in _modules():
                if name in module.__all__:
                    value = globals()[name] = getattr(module, name)
                    return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return __getattr__("__all__")
