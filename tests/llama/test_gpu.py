"""What runs on a GPU: without one as far as shapes, types and devices go, with one to the numbers.

Torch's fake tensors have all but values: an operation over tensors of two devices fails as it would on a GPU, and so
does code that asks for a value in the middle of a step, which no record could hold.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from puna.decode.generate import generate
from puna.decode.sampling import Sampling
from puna.llama.config import LlamaConfig
from puna.llama.load import load
from puna.llama.model import Llama
from puna.llama.rope import frequencies
from puna.llama.step import Step, writing
from puna.rank.forest import score_forest
from puna.rank.hide import score_hiding
from puna.rank.score import read, score
from puna.rank.search import Search
from puna.rank.shelf import Shelf
from puna.weights.checkpoint import Checkpoint
from tests.decode.byte_model import byte_tokenizer
from tests.decode.byte_model import config as byte_config

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

TINY = {
    "model_type": "llama",
    "vocab_size": 272,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 1024,
    "rms_norm_eps": 1e-5,
    "attention_bias": True,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 60, "max_window_layers": 1}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"model_type": "mistral", "sliding_window": 60, "attention_bias": False},
    "qwen2": {"model_type": "qwen2", "attention_bias": False, **WINDOW},
    "qwen3": {"model_type": "qwen3", **WINDOW},
}
each_family = pytest.mark.parametrize("family", FAMILIES)


class Drawn(Checkpoint):
    """A checkpoint of random weights, stored as `kind`."""

    path, format, tokenizer_metadata, size_bytes = Path(), "drawn", None, 0

    def __init__(self, kind: str = "BF16", tied: bool = False, family: str = "llama") -> None:
        self.config: dict[str, Any] = {**TINY, "tie_word_embeddings": tied, **FAMILIES[family]}
        self._kind = kind

    def type_name(self, name: str) -> str:
        return self._kind

    def tensor(self, name: str, dtype: torch.dtype) -> Tensor:
        with torch.device("meta"):
            shape = Llama(LlamaConfig.from_dict(self.config)).get_parameter(name).shape
        random_bits = torch.Generator().manual_seed(sum(name.encode()))
        spread = 0.3 if len(shape) == 1 else shape[-1] ** -0.5
        return (torch.randn(shape, generator=random_bits) * spread + ("norm" in name)).bfloat16().to(dtype)


class Moves(TorchDispatchMode):
    """`Tensor.to` as the copy it is: in inference mode a torch without CUDA looks for the GPU before it is faked."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket is not torch.ops.aten.to:
            return func(*args, **(kwargs or {}))
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | (
            kwargs or {}
        )
        moved = {name: given[name] for name in ("dtype", "device") if given.get(name) is not None}
        same = all(getattr(given["self"], name) == value for name, value in moved.items())
        return given["self"] if same else torch.ops.aten._to_copy(given["self"], **moved)


class Places(TorchFunctionMode):
    """Indexing, by operators that can be faked: the brackets look for the GPU as well."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("__invert__", "index_copy_", "copy_"):
            plain = {"__invert__": "bitwise_not", "index_copy_": "index_copy", "copy_": "add"}[name]
            return getattr(torch, plain)(*args)
        if name == "__getitem__":
            return self._at(*args)
        if name == "__setitem__":
            return self._at(*args[:2]) + args[2]  # shapes and devices must fit; there are no values to keep
        return func(*args, **(kwargs or {}))

    def _at(self, x: Tensor, index: Any) -> Tensor:
        index = index if isinstance(index, tuple) else (index,)
        if any(isinstance(each, Tensor) for each in index):
            return torch.ops.aten.index(x, [each if isinstance(each, Tensor) else None for each in index])
        axis = sum(each is not None and each is not ... for each in index)
        axis = x.ndim - axis if ... in index else 0
        before = 0
        for each in index:
            if each is ...:
                before += axis
            elif each is None:
                x, before = x.unsqueeze(before), before + 1
            elif isinstance(each, slice):
                x, before = torch.ops.aten.slice(x, before, each.start, each.stop), before + 1
            else:
                x = x.select(before, each)
        return x


@contextmanager
def pretended() -> Iterator[None]:
    """Tensors without values, on a GPU that need not be there. Those that are kept must not outlive this."""
    try:
        frequencies.cache_clear()
        unlooked = patch("puna.llama.config.checked", lambda rope, _: rope)  # frequencies without values
        with unlooked, torch.inference_mode(), FakeTensorMode(allow_non_fake_inputs=True), Moves(), Places():
            yield
    finally:
        frequencies.cache_clear()


def loaded(device: str = "cuda", dtype: torch.dtype = torch.bfloat16, **stored: Any) -> Llama:
    return load(Drawn(**stored), dtype=dtype, device=device)


both_types = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])


def test_two_devices_in_one_operation_are_seen() -> None:
    with pytest.raises(Exception, match="same device"), pretended():
        torch.zeros(2, device="cuda") + torch.zeros(2)


@pytest.mark.parametrize("tied", [False, True], ids=["own-head", "tied"])
@pytest.mark.parametrize(("kind", "table"), [("BF16", torch.bfloat16), ("Q4_1", torch.float32)])
def test_types_of_the_weights(kind: str, table: torch.dtype, tied: bool) -> None:
    with pretended():
        model = loaded(kind=kind, tied=tied)
        for name, tensor in model.state_dict().items():
            wide = table if "embed" in name else torch.float32 if "norm" in name else torch.bfloat16
            assert (name, tensor.dtype, tensor.device.type) == (name, wide, "cuda")
        assert (model.lm_head.weight is model.model.embed_tokens.weight) == (tied and kind == "BF16")


@both_types
@each_family
def test_reading_and_scoring_stay_on_the_gpu(family: str, dtype: torch.dtype) -> None:
    rng = random.Random(1)
    text = [rng.randrange(256) for _ in range(70)]
    candidates = [[rng.randrange(3) for _ in range(rng.randint(1, 7))] for _ in range(60)]
    with pretended():
        model = loaded(dtype=dtype, family=family)
        reading = Shelf(model).read(text, (20, 50))
        assert (reading.hidden.device.type, reading.hidden.dtype) == ("cuda", torch.float32)
        assert [len(each) for each in score(reading, candidates, end=9)] == [len(each) + 1 for each in candidates]
        hidden = score_hiding(reading.until(66), text[66:], candidates[:5], [(0, 0), (3, 9)], end=9)
        assert hidden.shape == (2, 5)
        found = dict(score_forest(model, [text, text[:9]], [candidates[:4], candidates[4:6]], end=9))
        assert sorted(found) == [0, 1]
        assert model.logits(reading.hidden).dtype == torch.float32


@both_types
@each_family
def test_a_step_stays_on_the_gpu_and_asks_for_no_value(
    family: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Step, "_replay", Step._compute)
    with pretended():
        model = loaded(dtype=dtype, family=family)
        with writing(model, 8, span=300) as writer:
            model.read([1] * 250, writer.cache)
            for _ in range(9):
                logits = writer(5)
        assert (logits.shape, logits.dtype, logits.device.type) == ((272,), torch.float32, "cuda")
        assert writer.cache.length == 259
        assert model.step is writer


def test_who_writes_while_another_does_has_a_step_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Step, "_replay", Step._compute)
    with pretended():
        model = loaded()
        with writing(model, 8, span=9) as one:
            one(1)
            with writing(model, 8, span=9) as other:
                other(2)
                other(3)
            assert (one.cache.length, other.cache.length) == (1, 2)
        with writing(model, 8, span=9) as third:
            assert third is one
            assert third.cache.length == 0


@needs_gpu
@both_types
@pytest.mark.parametrize("tied", [False, True], ids=["own-head", "tied"])
@each_family
def test_numbers_are_the_cpu_s(family: str, dtype: torch.dtype, tied: bool) -> None:
    close = {"atol": 1e-3, "rtol": 1e-3} if dtype == torch.float32 else {"atol": 0.15, "rtol": 0.05}
    rng = random.Random(2)
    text = [rng.randrange(256) for _ in range(530)]
    candidates = [[rng.randrange(3) for _ in range(rng.randint(1, 7))] for _ in range(60)]
    got, want = (
        [
            torch.cat(score(read(model, text), candidates, end=9)),
            score_hiding(read(model, text[:500]), text[500:], candidates[:5], [(0, 0), (3, 9)], end=9),
        ]
        for model in (
            loaded(dtype=dtype, tied=tied, family=family),
            loaded("cpu", torch.float32, tied=tied, family=family),
        )
    )
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, **close)


@needs_gpu
@both_types
@each_family
@torch.inference_mode()
def test_recorded_steps_equal_forwards(family: str, dtype: torch.dtype) -> None:
    model, rng = loaded(dtype=dtype, family=family), random.Random(3)
    close = {"atol": 1e-3, "rtol": 1e-3} if dtype == torch.float32 else {"atol": 0.15, "rtol": 0.05}
    for past in (3, 250, 5):  # into more slots, and back to a record that was made before
        ids = [rng.randrange(256) for _ in range(past + 12)]
        with writing(model, past, span=len(ids)) as writer:
            model.read(ids[:past], writer.cache)
            got = torch.stack([writer(token).clone() for token in ids[past:]])
        cache = model.new_cache(len(ids))
        model.read(ids[:past], cache)
        want = torch.stack([model.logits(model.read([token], cache))[0] for token in ids[past:]])
        torch.testing.assert_close(got, want, **close)


@needs_gpu
@each_family
def test_same_candidate_same_bits_on_a_gpu(family: str) -> None:
    model, rng = loaded(family=family), random.Random(4)
    reading = read(model, [rng.randrange(256) for _ in range(200)])
    candidates = [[rng.randrange(256) for _ in range(rng.randint(1, 9))] for _ in range(200)]
    together = score(reading, candidates, end=9)
    for index in rng.sample(range(200), 20):
        assert torch.equal(score(reading, [candidates[index]], end=9)[0], together[index])


@needs_gpu
def test_search_and_writing_on_a_gpu() -> None:
    torch.manual_seed(5)
    model, rng = loaded(dtype=torch.float32), random.Random(5)
    sequences = [[a, b] for a in range(12) for b in range(12)]
    reading = read(model, [rng.randrange(256) for _ in range(40)])
    found = Search(reading, sequences, end=9).run(5)
    scored = [float(each.sum()) for each in score(reading, sequences, end=9)]
    best = sorted(range(144), key=lambda index: -scored[index])[:5]
    assert [index for index, _ in found.complete[:5]] == best
    assert byte_config().vocab_size == TINY["vocab_size"]
    written = generate(model, byte_tokenizer(), [1, 2, 3], Sampling(), max_tokens=20)
    plain = generate(loaded("cpu", torch.float32), byte_tokenizer(), [1, 2, 3], Sampling(), max_tokens=20)
    assert written == plain
