"""One service with a tiny model whose rows are independent, and one on torch's kernels."""

import pytest

from tests.serve.servers import serving, tiny_reader


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    found = tiny_reader(tmp_path_factory.mktemp("serve"))
    if found.model.packed is None:
        pytest.skip("no kernels for this machine")
    return found


@pytest.fixture(scope="session")
def torch_reader(tmp_path_factory):
    return tiny_reader(tmp_path_factory.mktemp("serve"), packed=False)


@pytest.fixture(scope="module")
def running(reader):
    with serving(reader) as found:
        yield found


@pytest.fixture(scope="module", params=["kernels", "torch"])
def either(request, reader, torch_reader):
    with serving(reader if request.param == "kernels" else torch_reader) as found:
        yield found
