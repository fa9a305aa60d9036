"""The vectors of a column of pandas or Polars, as a column."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

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
        TypeError: The column is of another class, or holds values that are not text.
        JobStoppedError: A text has no vector; the message says why.
    """
    column: Any = series
    is_polars = hasattr(column, "to_arrow") and hasattr(column, "is_null")
    is_pandas = hasattr(column, "isna") and hasattr(column, "index")
    if not (is_polars or is_pandas) or not hasattr(column, "__iter__") or not hasattr(column, "name"):
        raise TypeError(f"embed_column takes a Series of pandas or Polars, not {type(series).__name__}")
    missing = column.is_null() if is_polars else column.isna()
    texts = ["" if is_missing else _text(value) for value, is_missing in zip(column, missing, strict=True)]
    different = list(dict.fromkeys(text for text in texts if text))
    vectors: dict[str, list[float]] = {}
    for result in iterate(different, giga=giga, task="embed", model=model, progress=progress, **options):
        if result.error is not None:
            raise JobStoppedError(f"text {texts.index(different[result.number])}: {result.error.message}")
        vectors[different[result.number]] = result.value
    values = [vectors.get(text) if text else None for text in texts]
    if is_polars:
        polars = import_module("polars")
        return cast("SeriesT", polars.Series(column.name, values, dtype=polars.List(polars.Float32)))
    return cast("SeriesT", type(column)(values, index=column.index, name=column.name, dtype=object))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"embed_column takes a column of texts, but one value is of class {type(value).__name__}")
    return value
