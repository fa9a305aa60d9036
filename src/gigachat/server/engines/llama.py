"""The engine for a GGUF file, through xllamacpp, the llama.cpp runtime as a Python package.

The runtime opens a port on loopback, with a key made here, and is used as an OpenAI-compatible server (see `upstream`).
Calls and structured answers are generated under constraint.
"""

from __future__ import annotations

import importlib
import os
import secrets
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gigachat.server.engines.constrained_output import JsonReader, constrained
from gigachat.server.engines.upstream import Upstream

if TYPE_CHECKING:
    from types import TracebackType

    from gigachat.server.engine import ChatRequest

_MAGIC = b"GGUF"


class Llama(Upstream):
    """An engine over a GGUF file, which is read when the engine is created. A context manager closes it.

    Args:
        model_file: Path of the file.
        context: Tokens of prompt and answer together, over all answers in progress.
        parallel: Answers generated at a time; others wait.
        max_tokens: Longest answer where the request does not say: small models often find no end.
        seed: Makes the same answer of the same request; chance decides when None.

    Raises:
        ImportError: xllamacpp is not installed.
        OSError: The file is not there or can't be read.
        ValueError: It is not a GGUF file, the runtime can't load it, or a number is not positive.
    """

    def __init__(
        self,
        model_file: str | os.PathLike[str],
        *,
        context: int = 8192,
        parallel: int = 4,
        max_tokens: int = 2048,
        seed: int | None = None,
    ) -> None:
        if min(context, parallel, max_tokens) < 1:
            raise ValueError("context, parallel and max_tokens are positive")
        path = _checked(Path(model_file))
        self.api_key = secrets.token_urlsafe(32)
        """The key of the runtime."""
        runtime = [_started(path, self.api_key, context, parallel)]
        self.url = str(runtime[0].listening_address)
        """Address of the runtime, on loopback."""
        super().__init__(self.url, path.name, self.api_key, max_tokens=max_tokens, seed=seed)
        # At exit too: the interpreter must not end while the runtime generates.
        self._stop = weakref.finalize(self, runtime.clear)

    def close(self) -> None:
        """Wait for the answers in progress, stop the runtime and free its memory. Harmless when repeated."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def translated(self, request: ChatRequest) -> tuple[dict[str, Any], JsonReader | None]:
        """Return messages and format of a request, and the reader of what is generated under constraint."""
        return constrained(request)


def _checked(path: Path) -> Path:
    """Return the path of a file that may be a model."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no model file {path}; give the path of a GGUF file") from None
    if magic != _MAGIC:
        raise ValueError(f"{path} is not a GGUF file")
    return path


def _started(path: Path, key: str, context: int, parallel: int) -> Any:
    """Return the runtime, its model loaded and its port open."""
    try:
        xllamacpp = importlib.import_module("xllamacpp")
    except ImportError as error:
        raise ImportError(
            'the engine llama needs the package xllamacpp: pip install ".[llm]" in a copy of the repository',
            name="xllamacpp",
        ) from error
    threads = max(1, (os.cpu_count() or 2) - 1)
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = context
    params.n_parallel = parallel
    params.kv_unified = True  # one long answer may take all the context
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_AUTO
    params.api_keys = [key]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.cache_ram_mib = 0
    params.verbosity = -1
    try:
        return xllamacpp.Server(params)
    except Exception as error:
        raise ValueError(f"the runtime can't load {path}: {error}") from error
