"""The engine for a GGUF file, through xllamacpp, the llama.cpp runtime as a Python package.

The runtime opens a port on loopback, with a key made here, and is used as an OpenAI-compatible server (see `upstream`).
Calls and structured answers are generated under constraint.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import os
import secrets
import weakref
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from gigachat.server.engines.embedders import hashed_embeddings
from gigachat.server.engines.openai_client import Wire
from gigachat.server.engines.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from types import TracebackType

    from gigachat.server.catalogue import Model
    from gigachat.server.engine import ChatRequest, Embedding, Piece

_MAGIC = b"GGUF"
_REMEMBERED = 4096
"""Texts whose counts are kept: a conversation comes again with every message."""
_AT_ONCE = 4


class Llama:
    """An engine over a GGUF file; loading takes the time it takes to read it. A context manager closes it.

    Args:
        model_file: Path of the file.
        context: Tokens of prompt and answer together, over all answers in progress.
        parallel: Answers generated at a time; others wait.
        threads: Threads that compute; one less than there are processors when None.
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
        threads: int | None = None,
        max_tokens: int = 2048,
        seed: int | None = None,
    ) -> None:
        if min(context, parallel, max_tokens, 1 if threads is None else threads) < 1:
            raise ValueError("context, parallel, threads and max_tokens are positive")
        path = _checked(Path(model_file))
        self._max_tokens = max_tokens
        self._key = secrets.token_urlsafe(32)
        runtime = _started(path, self._key, context, parallel, threads or max(1, (os.cpu_count() or 2) - 1))
        self._url = str(runtime.listening_address)
        self._wire = Wire(self._url, self._key)
        self._upstream = Upstream(self._url, path.name, self._key, tools="schema", seed=seed)
        # At exit too: the interpreter must not end while the runtime generates.
        self._stop = weakref.finalize(self, _stopped, [runtime], self._upstream)
        del runtime
        self._counts: OrderedDict[bytes, int] = OrderedDict()

    @property
    def url(self) -> str:
        """Address of the runtime, on loopback."""
        return self._url

    @property
    def api_key(self) -> str:
        """The key the runtime wants."""
        return self._key

    def close(self) -> None:
        """End what is being generated, stop the runtime and free its memory. Harmless when repeated."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def complete(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """Yield the answer token by token; closing the generator ends the generation."""
        limited = request if request.max_tokens is not None else replace(request, max_tokens=self._max_tokens)
        async with contextlib.aclosing(self._upstream.complete(limited)) as pieces:
            async for piece in pieces:
                yield piece

    async def embed(self, texts: Sequence[str], model: Model) -> Sequence[Embedding]:
        """Return hashed vectors: a model made for chat has none of worth."""
        return await hashed_embeddings(texts, model)

    async def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Return the numbers of the model's own tokens."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def counted(text: str) -> int:
            sent = text.encode("utf-8", "replace")
            key = hashlib.sha256(sent).digest()  # texts may be long
            known = self._counts.get(key)
            if known is None:
                async with gate:
                    known = len((await self._wire.post("//tokenize", {"content": sent.decode()}))["tokens"])
                self._counts[key] = known
                if len(self._counts) > _REMEMBERED:
                    self._counts.popitem(last=False)
            return known

        return await asyncio.gather(*(counted(text) if text else _nothing() for text in texts))


def _stopped(runtime: list[Any], upstream: Upstream) -> None:
    upstream.break_off()  # the runtime would finish each answer first
    runtime.clear()


async def _nothing() -> int:
    return 0


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


def _started(path: Path, key: str, context: int, parallel: int, threads: int) -> Any:
    """Return the runtime, its model loaded and its port open."""
    try:
        xllamacpp = importlib.import_module("xllamacpp")
    except ImportError as error:
        raise ImportError(
            'the engine llama needs the package xllamacpp: pip install "gigachat[llm]"', name="xllamacpp"
        ) from error
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
