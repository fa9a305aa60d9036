"""`bulk.ray` without Ray; `make test-ray` runs it on a real one."""

from __future__ import annotations

import sys

import pytest

from gigachat import ConfigurationError, bulk


def test_without_ray_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r'Ray is not installed: pip install "\.\[ray\]"'):
        bulk.ray([{"text": "Да."}])
