"""The vectors of a column of pandas or Polars, as a column."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from gigachat.bulk.run import iterate
from gigachat.exceptions import JobStoppedError

if TYPE_CHECKING:
    from typing import Unpack

    from gigachat.bulk.job import Client
    from gigachat.bulk.options import HowOptions
    from gigachat.bulk.progress import Progress
    from gigachat.types import EmbedderName

SeriesT = TypeVar("SeriesT")


def embed_column(
    series: SeriesT,
    *,
    giga: Client | None = None,
    model: EmbedderName | str | None = None,
    progress: Progress = None,
    **options: Unpack[HowOptions],
) -> SeriesT:
    """Return the vectors of a column of texts, as a column.

    Equal texts are sent once.

    Args:
        series: A `Series` of pandas or Polars. Missing and empty texts have no vector.
        giga: The client; one made of the environment if not given.
        model: The embedder; `Embeddings` if not given.
        progress: As of `run`.
        **options: How the texts are sent, as of `run`.

    Returns:
        A column of the same kind, name and index: of lists in pandas, of `List(Float32)` in Polars.

    Raises:
        TypeError: It is no such column, or holds something else than text.
        JobStoppedError: A text has no vector; the message says why.
    """
    column: Any = series
    polars = hasattr(column, "to_arrow") and hasattr(column, "is_null")
    if (not polars and not hasattr(column, "isna")) or not hasattr(column, "__iter__") or not hasattr(column, "name"):
        raise TypeError(f"embed_column takes a Series of pandas or Polars, not {type(series).__name__}")
    found: SeriesT
    missing = column.is_null() if polars else column.isna()
    texts = ["" if no else _text(value) for value, no in zip(column, missing, strict=True)]
    different = list(dict.fromkeys(text for text in texts if text))
    vectors: dict[str, list[float]] = {}
    for result in iterate(different, giga=giga, task="embed", model=model, progress=progress, **options):
        if result.error is not None:
            raise JobStoppedError(f"text {texts.index(different[result.number])}: {result.error.message}")
        vectors[different[result.number]] = result.value
    values = [vectors.get(text) if text else None for text in texts]
    if polars:
        library = import_module("polars")
        found = library.Series(column.name, values, dtype=library.List(library.Float32))
        return found
    kind: Any = type(series)
    found = kind(values, index=column.index, name=column.name, dtype=object)
    return found


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"embed_column takes a column of texts, but one value is of class {type(value).__name__}")
    return value
