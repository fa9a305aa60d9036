"""A mode for each test, and one authority for all."""

from __future__ import annotations

import pytest

from tests.support.certificates import Authority
from tests.wire.modes import EACH_MODE, Mode


@pytest.fixture(params=EACH_MODE)
def mode(request: pytest.FixtureRequest) -> Mode:
    chosen: Mode = request.param
    return chosen


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("authority"))
