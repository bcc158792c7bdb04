"""Which device is meant, on machines with and without GPUs."""

import pytest
import torch

from puna.errors import InputError
from puna.llama.device import choose_device
from puna.llama.linear import default_dtype


@pytest.fixture(params=[0, 1, 3])
def gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: request.param > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)
    return request.param


@pytest.mark.parametrize("wanted", [None, "auto"])
def test_a_gpu_where_there_is_one(gpus: int, wanted: str | None) -> None:
    assert choose_device(wanted) == torch.device("cuda" if gpus else "cpu")


@pytest.mark.parametrize("number", range(5))
def test_only_what_is_there(gpus: int, number: int) -> None:
    assert choose_device("cpu").type == "cpu"
    if number < gpus:
        assert choose_device(f"cuda:{number}") == torch.device("cuda", number)
        assert choose_device("cuda") == torch.device("cuda")
        return
    with pytest.raises(InputError) as caught:
        choose_device(f"cuda:{number}")
    assert caught.value.code == "E-DEVICE-MISSING"
    assert ("cuda:0" if gpus else "cpu") in str(caught.value)


@pytest.mark.parametrize("wanted", ["", "gpu", "meta", "cuda:-1", "cuda:x", "CUDA", "mps", "cuda:99999999999"])
def test_what_is_no_device(gpus: int, wanted: str) -> None:
    with pytest.raises(InputError) as caught:
        choose_device(wanted)
    assert caught.value.code == "E-DEVICE-UNKNOWN"


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float32), ((9, 0), torch.bfloat16)])
def test_type_of_products(capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert default_dtype("cuda:1") == dtype
