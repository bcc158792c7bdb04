"""Every test of the kernels runs with each engine that this machine has."""

import pytest

from puna.native import build
from puna.native.library import Engine, engines


@pytest.fixture(scope="module", params=build.engines() or ["none"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found = engines().get(request.param)
    if found is None:
        pytest.skip(f"{request.param}: not compiled, or this CPU cannot run it")
    return found
