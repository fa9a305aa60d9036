"""llama-index-embeddings-gigachat, which was written for gigachat 0.1.28: vectors of queries, texts and batches."""
# mypy: disable-error-code="import-not-found"
# pyright: reportMissingImports=false

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.embeddings.gigachat import GigaChatEmbedding

import gigachat
from gigachat.server import GigaChatServer
from tests.clients.conftest import bounded

TEXTS = ["Москва — столица России.", "Псков стоит на реке Великой."]


@pytest.fixture
def embedder(server: GigaChatServer) -> GigaChatEmbedding:
    """It takes the key as an argument, and the client takes the addresses from the environment."""
    return GigaChatEmbedding(auth_data=server.credentials, scope=server.scope)


def inputs(server: GigaChatServer) -> list[Any]:
    """The texts of the requests that the service received."""
    return [request.json["input"] for request in server.requests_to("/embeddings")]


def test_it_is_the_published_package(unchanged: Callable[[str], None]) -> None:
    unchanged("llama-index-embeddings-gigachat")
    assert "gigachat==0.1.28" in (metadata.requires("llama-index-embeddings-gigachat") or [])


def test_texts(mode: str, embedder: GigaChatEmbedding, server: GigaChatServer) -> None:
    if mode == "blocking":
        vectors = embedder.get_text_embedding_batch(TEXTS)
    else:
        vectors = bounded(embedder.aget_text_embedding_batch(TEXTS))
    assert [len(vector) for vector in vectors] == [1024, 1024]
    assert vectors[0] != vectors[1]
    assert sorted(inputs(server)) == sorted([text] for text in TEXTS)
    assert len(server.requests_to("/oauth")) == 1


def test_a_query_in_a_list(mode: str, embedder: GigaChatEmbedding, server: GigaChatServer) -> None:
    if mode == "blocking":
        vectors = embedder._get_query_embeddings(TEXTS)
    else:
        vectors = bounded(embedder._aget_query_embeddings(TEXTS))
    assert [len(vector) for vector in vectors] == [1024, 1024]
    assert inputs(server) == [TEXTS]


def test_a_query_that_is_one_text(mode: str, embedder: GigaChatEmbedding, server: GigaChatServer) -> None:
    """It passes a text where a list of texts is asked for."""
    if mode == "blocking":
        vector = embedder.get_query_embedding(TEXTS[0])
    else:
        vector = bounded(embedder.aget_query_embedding(TEXTS[0]))
    assert len(vector) == 1024
    assert inputs(server) == [[TEXTS[0]]]


def test_an_index_finds_a_document(embedder: GigaChatEmbedding) -> None:
    index = VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS], embed_model=embedder)
    [found] = index.as_retriever(similarity_top_k=1, llm=MockLLM()).retrieve(TEXTS[1])
    assert found.node.get_content() == TEXTS[1]


def test_certificates_it_does_not_check(
    embedder: GigaChatEmbedding, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It switches the check off for everybody, which is obeyed and said."""
    monkeypatch.delenv("GIGACHAT_CA_BUNDLE_FILE")
    with caplog.at_level(logging.WARNING, "gigachat"):
        assert len(embedder.get_text_embedding(TEXTS[0])) == 1024
    assert embedder._client._settings.verify_ssl_certs is False


def test_errors_arrive_as_the_clients_own(embedder: GigaChatEmbedding, server: GigaChatServer) -> None:
    server.fail(422, "Invalid params: all bad")
    with pytest.raises(gigachat.exceptions.UnprocessableEntityError, match="all bad"):
        embedder.get_text_embedding(TEXTS[0])
