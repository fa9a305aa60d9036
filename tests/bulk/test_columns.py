"""The vectors of a column."""

from __future__ import annotations

from typing import Any

import pytest

from gigachat import GigaChat, JobStoppedError, bulk
from gigachat.server import GigaChatServer

pd = pytest.importorskip("pandas")


def test_a_column_of_pandas(giga: GigaChat, server: GigaChatServer) -> None:
    texts = pd.Series(["кот", None, "пёс", "", "кот"], index=[5, 4, 3, 2, 1], name="text")
    vectors = bulk.embed_column(texts, giga=giga)
    assert list(vectors.index) == [5, 4, 3, 2, 1]
    assert vectors.name == "text"
    cat = giga.embeddings(["кот"]).data[0].embedding
    assert vectors[5] == vectors[1] == cat
    assert vectors[4] is None
    assert vectors[2] is None
    assert server.requests_to("/embeddings")[0].json["input"] == ["кот", "пёс"]


def test_missing_texts_of_pandas(giga: GigaChat) -> None:
    for kind in ("string", object):
        vectors = bulk.embed_column(pd.Series(["кот", None], dtype=kind), giga=giga)
        assert [vector is None for vector in vectors] == [False, True]


def test_a_column_of_polars(giga: GigaChat) -> None:
    pl = pytest.importorskip("polars")
    vectors = bulk.embed_column(pl.Series("text", ["кот", None]), giga=giga)
    assert (vectors.name, vectors.dtype, vectors[1]) == ("text", pl.List(pl.Float32), None)


@pytest.mark.parametrize("wrong", ["text", ["text"], {"a": "text"}, pd.Series([1, 2]), pd.Index(["text"])])
def test_what_is_no_column_of_texts_is_refused(giga: GigaChat, server: GigaChatServer, wrong: Any) -> None:
    with pytest.raises(TypeError, match="embed_column takes"):
        bulk.embed_column(wrong, giga=giga)
    server.assert_nothing_asked()


def test_a_text_that_is_too_long_is_named(giga: GigaChat) -> None:
    with pytest.raises(JobStoppedError, match="text 1: "):
        bulk.embed_column(pd.Series(["a", "слово " * 2000]), giga=giga)
