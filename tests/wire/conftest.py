"""A mode for each test, and one authority for all."""

from __future__ import annotations

import pytest

from tests.support.certificates import Authority
from tests.support.fixtures import each_of
from tests.wire.modes import EACH_MODE

mode = each_of(EACH_MODE)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("authority"))
