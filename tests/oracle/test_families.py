"""Every family that is read, against Transformers: tiny random models in every format, in fp32, on every engine."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from puna.errors import ModelFileError
from puna.llama.config import LlamaConfig
from puna.llama.load import load
from puna.llama.model import Llama, causal_mask
from puna.llama.packed import Packed, engine_for
from puna.llama.step import Step
from puna.native.library import engines
from puna.rank.forest import score_forest
from puna.rank.hide import score_hiding
from puna.rank.kept import KeptFiles
from puna.rank.score import read, score
from puna.rank.shelf import Shelf
from puna.rank.trie import build_trie
from puna.weights.checkpoint import Checkpoint, open_checkpoint
from puna.weights.kept_folder import KeptFolder
from tests.oracle.families import CASES, draw, logits, make, save_gguf, save_new, save_old, save_pth

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
IN_GGUF = [name for name in CASES if not ("window" in name and name.startswith("qwen"))]
SLIDING = [name for name in CASES if "window" in name]
OWN = ["llama-bias", *SLIDING, "qwen2", "qwen3", "qwen3-bias"]


def random_ids(vocab: int, count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, vocab, (count,), generator=torch.Generator().manual_seed(seed))


def whole(model: Llama, ids: torch.Tensor) -> torch.Tensor:
    return model.logits(model(ids, torch.arange(len(ids)), None, causal_mask(0, len(ids))))


def by_torch(checkpoint: Checkpoint) -> Llama:
    return load(checkpoint, dtype=torch.float32, kernels=False)


def made(case: str, seed: int = 0, **options: Any) -> tuple[Any, Llama]:
    """The oracle, and Puna's model with the same weights by torch."""
    hf = make(case, draw(case, seed, **options), seed)
    puna = Llama(LlamaConfig.from_dict(hf.config.to_dict()))
    puna.load_state_dict(hf.state_dict())
    return hf, puna.eval().requires_grad_(False)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_every_folder(case: str, seed: int, tmp_path: Path) -> None:
    hf = make(case, draw(case, seed), seed)
    paths = [save_new(hf, tmp_path / "new"), save_old(hf, tmp_path / "old")]
    ids = random_ids(hf.config.vocab_size, 70, seed)
    want = logits(hf, ids)
    for path in paths:
        checkpoint = open_checkpoint(path)
        assert checkpoint.config["model_type"] == case.partition("-")[0]
        torch.testing.assert_close(whole(by_torch(checkpoint), ids), want, **CLOSE)


@pytest.mark.parametrize("case", IN_GGUF)
@pytest.mark.parametrize("seed", range(2))
def test_every_gguf_file(case: str, seed: int, tmp_path: Path) -> None:
    hf = make(case, draw(case, seed), seed)
    checkpoint = open_checkpoint(save_gguf(hf, tmp_path / "a.gguf"))
    ids = random_ids(hf.config.vocab_size, 70, seed)
    torch.testing.assert_close(whole(by_torch(checkpoint), ids), logits(hf, ids), **CLOSE)
    family = "llama" if case == "mistral" else case.partition("-")[0]
    assert checkpoint.config["model_type"] == family


PARAMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "llama-1": (
        {"vocab_size": -1, "multiple_of": 32, "norm_eps": 1e-6},
        {"intermediate_size": 128, "num_key_value_heads": 8, "rms_norm_eps": 1e-6},
    ),
    "llama-2": (
        {"vocab_size": -1, "multiple_of": 16, "ffn_dim_multiplier": 1.3, "n_kv_heads": 4, "norm_eps": 1e-5},
        {"intermediate_size": 176, "num_key_value_heads": 4, "rms_norm_eps": 1e-5},
    ),
    "llama-3": (
        {"vocab_size": 96, "multiple_of": 64, "n_kv_heads": 4, "norm_eps": 1e-5, "rope_theta": 500000.0},
        {"intermediate_size": 128, "num_key_value_heads": 4, "rms_norm_eps": 1e-5},
    ),
    "llama-3.1": (
        {
            "vocab_size": 96,
            "n_kv_heads": 4,
            "norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "use_scaled_rope": True,
            "rope_scaling_factor": 8.0,
        },
        {"intermediate_size": 256, "num_key_value_heads": 4, "rms_norm_eps": 1e-5},
    ),
}


@pytest.mark.parametrize("kind", PARAMS)
@pytest.mark.parametrize("shards", [1, 2, 4])
def test_metas_own_files(kind: str, shards: int, tmp_path: Path) -> None:
    params, config = PARAMS[kind]
    rope = {"rope_type": "default", "rope_theta": params.get("rope_theta", 10000.0)}
    if "use_scaled_rope" in params:
        rope |= {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
        rope["original_max_position_embeddings"] = 8192
    changes = {
        "vocab_size": 96,
        "hidden_size": 48,
        "num_attention_heads": 8,
        "head_dim": 6,
        "rope_parameters": rope,
    }
    hf = make("llama", draw("llama", 0, **changes, **config), 5)
    params = {"dim": 48, "n_layers": 3, "n_heads": 8, "max_seq_len": 99, **params}
    by_width = kind in ("llama-1", "llama-2")
    path = save_pth(hf, tmp_path / "a", params, shards=shards, by_width=by_width)
    ids = random_ids(96, 60)
    want = logits(hf, ids)
    for place in (path, path / "consolidated.00.pth"):
        checkpoint = open_checkpoint(place)
        assert checkpoint.format == "pth"
        torch.testing.assert_close(whole(by_torch(checkpoint), ids), want, **CLOSE)
    contexts = {"llama-1": 2048, "llama-2": 4096, "llama-3": 8192, "llama-3.1": 131072}
    assert checkpoint.config["max_position_embeddings"] == contexts[kind]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_every_engine(case: str, seed: int, tmp_path: Path) -> None:
    """Those in fp32; `tests/native` has what AMX rounds. Whole, in chunks and token by token."""
    hf = make(case, draw(case, seed, step=32), seed)
    checkpoint = open_checkpoint(save_new(hf, tmp_path / "a"))
    config = LlamaConfig.from_dict(checkpoint.config)
    ids = random_ids(config.vocab_size, 75, seed)
    want = logits(hf, ids)
    if case in ("llama-bias", "qwen2-window", "qwen3-window"):
        assert engine_for(config, None) is None
        return
    for engine in engines().values():
        if engine.dtype == torch.float32:
            with torch.device("meta"):
                model = Llama(config)
            model.packed = Packed(config, checkpoint, engine)
            for sizes in ([75], [40, 1, 1, 2, 31], [3] * 25):
                cache, found, start = model.new_cache(1, span=75), [], 0
                for size in sizes:
                    found.append(model(ids[start : start + size], torch.arange(start, start + size), cache, None))
                    start += size
                torch.testing.assert_close(model.logits(torch.cat(found)), want, **CLOSE)
            cache = model.new_cache(1, span=75)
            model.read(ids[:60].tolist(), cache)
            last = torch.cat([model.read([int(token)], cache) for token in ids[60:]])
            torch.testing.assert_close(model.logits(last), want[60:], **CLOSE)


def variants(case: str, seed: int, path: Path, **changes: Any) -> tuple[Any, list[Llama]]:
    """The oracle, and the model by torch and by every engine in fp32 that takes it."""
    hf = make(case, draw(case, seed, step=32, **changes), seed)
    checkpoint = open_checkpoint(save_new(hf, path / "a"))
    config = LlamaConfig.from_dict(checkpoint.config)
    models = [by_torch(checkpoint)]
    if engine_for(config, torch.float32):
        for engine in engines().values():
            if engine.dtype == torch.float32:
                with torch.device("meta"):
                    models.append(Llama(config))
                models[-1].packed = Packed(config, checkpoint, engine)
    return hf, models


@pytest.mark.parametrize("case", OWN)
def test_candidates_behind_a_text(case: str, tmp_path: Path) -> None:
    """Trees over the cache, and prompts side by side: each candidate as if it stood there alone, to the last bit."""
    hf, models = variants(case, 3, tmp_path)
    rng = random.Random(case)
    vocab = hf.config.vocab_size
    prompt = random_ids(vocab, 45).tolist()
    candidates = [[rng.randrange(5) for _ in range(rng.randint(1, 14))] for _ in range(12)]
    wanted = []
    for candidate in candidates:
        ids = torch.tensor([*prompt, *candidate, 3])
        rows = logits(hf, ids).log_softmax(-1)
        wanted.append(rows[range(len(prompt) - 1, len(ids) - 1), ids[len(prompt) :]])
    for model in models:
        found = score(read(model, prompt), candidates, end=3)
        for values, want in zip(found, wanted, strict=True):
            torch.testing.assert_close(values, want, atol=3e-5, rtol=1e-5)
        for n in (0, 5, 11):
            alone = score(read(model, prompt), [candidates[n]], end=3)[0]
            assert torch.equal(alone, found[n])
        forest = dict(score_forest(model, [prompt, prompt[:7]], [candidates, candidates[:3]], end=3))
        for values, want in zip(forest[0], wanted, strict=True):
            torch.testing.assert_close(values, want, atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize("case", OWN)
def test_what_was_read_is_kept(case: str, tmp_path: Path) -> None:
    """A text's sections, from memory and from disk; and what candidates lose where a part of it is hidden."""
    hf, models = variants(case, 8, tmp_path)
    text = random_ids(hf.config.vocab_size, 60).tolist()
    ids = torch.tensor([*text, 3, 4])
    want = logits(hf, ids).log_softmax(-1)[range(59, 61), ids[60:]]
    folder = KeptFolder(tmp_path / "kept")
    for n, model in enumerate(models):
        for _ in range(2):
            shelf = Shelf(model, files=KeptFiles(model, f"{n:064}", folder))
            for cuts in ((20, 41), (20,), (20, 41)):
                found = score(shelf.read(text, cuts), [[3]], end=4)[0]
                torch.testing.assert_close(found, want, atol=3e-5, rtol=1e-5)
        hidden = score_hiding(read(model, text[:50]), text[50:], [[3]], [(0, 0), (30, 49)], end=4)
        torch.testing.assert_close(hidden[0, 0], want.sum(), atol=3e-5, rtol=1e-5)
        assert len(folder.files()) == 2 * (n + 1)


def test_models_with_other_bases_in_one_process(tmp_path: Path) -> None:
    """In turns, on every engine: neither takes the other's rotations."""
    ropes = [{"rope_type": "default", "rope_theta": theta} for theta in (10000.0, 1e6)]
    ropes.append({"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0})
    pairs = []
    for n, rope in enumerate(ropes):
        hf, models = variants("llama", 9, tmp_path / str(n), rope_parameters=rope)
        pairs.append((hf, models))
    ids = random_ids(40, 50)
    wanted = [logits(hf, ids) for hf, _ in pairs]
    assert (wanted[0] - wanted[1]).abs().max() > 1e-3
    for models in zip(*(models for _, models in pairs), strict=True):
        caches = [model.new_cache(4, span=50) for model in models]
        for start, stop in ((0, 20), (20, 21), (21, 50)):
            for model, cache, want in zip(models, caches, wanted, strict=True):
                states = model(ids[start:stop], torch.arange(start, stop), cache, None)
                torch.testing.assert_close(model.logits(states), want[start:stop], **CLOSE)


@pytest.mark.parametrize("case", SLIDING)
def test_trees_and_masks_in_windows(case: str, tmp_path: Path) -> None:
    """A window takes away what a mask allows, whatever the mask covers; what it leaves is not touched."""
    hf, models = variants(case, 4, tmp_path)
    rng = random.Random(case)
    ids = random_ids(hf.config.vocab_size, 20)
    leaves = [[rng.randrange(4) for _ in range(rng.randint(1, 16))] for _ in range(9)]
    trie = build_trie(leaves)
    own = trie.mask(0, len(trie.tokens))
    over_all = torch.cat((torch.ones(len(own), 20, dtype=torch.bool), own), 1)
    for model in models:
        cache = model.new_cache(4)  # which grows past what it was made for
        model.read(ids.tolist(), cache)
        for mask in (own, over_all[:, 6:], over_all):
            states = model(torch.tensor(trie.tokens), trie.positions(20), cache, mask)
            cache.truncate(20)
            for leaf, path in zip(leaves, trie.paths, strict=True):
                want = logits(hf, torch.cat((ids, torch.tensor(leaf))))[20:]
                torch.testing.assert_close(model.logits(states[path]), want, atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize("case", OWN)
def test_steps(case: str) -> None:
    """As a GPU writes, computed here."""
    hf, puna = made(case, 6)
    ids = random_ids(hf.config.vocab_size, 60)
    step = Step(puna)
    step.begin(30, 60)
    puna.read(ids[:30].tolist(), step.cache)
    found = torch.stack([step(int(token)).clone() for token in ids[30:]])
    torch.testing.assert_close(found, logits(hf, ids)[30:], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("case", SLIDING)
def test_up_to_the_window_nothing_is_cut(case: str) -> None:
    """And one token more is: the tests above can fail."""
    hf, puna = made(case, 7)
    window = hf.config.sliding_window
    plain = {"use_sliding_window": False} if case.startswith("qwen") else {"sliding_window": None}
    full = Llama(LlamaConfig.from_dict({**hf.config.to_dict(), "layer_types": None, **plain}))
    full.load_state_dict(hf.state_dict())
    ids = random_ids(hf.config.vocab_size, window + 30)
    assert torch.equal(whole(puna, ids[:window]), whole(full, ids[:window]))
    assert (whole(puna, ids) - whole(full, ids)).abs().max() > 1e-3


def test_rows_of_qwen_stay_where_they_are(tmp_path: Path) -> None:
    """And Llama's are moved: without either the logits differ, so the tests above can fail."""
    for case, other in (("qwen2", "llama"), ("mistral", "qwen2")):
        hf = make(case, draw(case, 1), 1)
        checkpoint = open_checkpoint(save_gguf(hf, tmp_path / f"{case}.gguf"))
        name = "model.layers.0.self_attn.q_proj.weight"
        right = hf.state_dict()[name]
        assert torch.equal(checkpoint.tensor(name, torch.float32), right)
        checkpoint.config["model_type"] = other
        assert not torch.equal(checkpoint.tensor(name, torch.float32), right)


@pytest.mark.parametrize(
    ("case", "changes", "code"),
    [
        ("mistral", {"attention_bias": True}, "E-CONFIG-UNKNOWN"),
        ("mistral", {"sliding_window": 0}, "E-CONFIG-VALUE"),
        ("mistral", {"sliding_window": "9"}, "E-CONFIG-VALUE"),
        ("mistral", {"layer_types": ["sliding_attention"] * 3}, "E-CONFIG-UNKNOWN"),
        ("qwen2", {"attention_bias": True}, "E-CONFIG-UNKNOWN"),
        ("qwen2", {"use_mrope": True}, "E-CONFIG-UNKNOWN"),
        ("qwen2", {"layer_types": ["full_attention"] * 2}, "E-CONFIG-VALUE"),
        ("qwen2", {"layer_types": ["full_attention"] * 2 + ["chunked_attention"]}, "E-CONFIG-VALUE"),
        ("qwen2", {"layer_types": ["full_attention"] * 2 + ["sliding_attention"]}, "E-CONFIG-VALUE"),
        (
            "qwen3",
            {"use_sliding_window": True, "sliding_window": 5, "layer_types": None, "max_window_layers": -1},
            "E-CONFIG-VALUE",
        ),
        ("qwen3", {"mlp_bias": True}, "E-CONFIG-UNKNOWN"),
        ("llama", {"sliding_window": 9}, "E-CONFIG-UNKNOWN"),
        ("llama", {"model_type": "qwen2_moe"}, "E-ARCHITECTURE"),
        ("llama", {"model_type": ["llama"]}, "E-ARCHITECTURE"),
    ],
)
def test_what_a_family_does_not_have(case: str, changes: dict[str, Any], code: str, tmp_path: Path) -> None:
    path = save_new(make(case, draw(case, 0)), tmp_path / "a")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(ModelFileError) as caught:
        LlamaConfig.from_dict(open_checkpoint(path).config)
    assert caught.value.code == code


def test_what_a_configuration_leaves_unsaid() -> None:
    """As Transformers takes it."""
    from transformers import AutoConfig

    for family in ("mistral", "qwen2", "qwen3"):
        theirs = AutoConfig.for_model(family)
        keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
        said = {key: getattr(theirs, key) for key in (*keys, "rms_norm_eps", "num_key_value_heads")}
        ours = LlamaConfig.from_dict({"model_type": family, **said})
        assert ours.context == theirs.max_position_embeddings
        assert ours.head_dim == (getattr(theirs, "head_dim", None) or 128)
        assert ours.window == (theirs.sliding_window or 0)
        assert ours.rope.theta == theirs.rope_parameters["rope_theta"]
    sliding = {**said, "use_sliding_window": True, "sliding_window": 50}
    theirs = AutoConfig.for_model("qwen3", **sliding)
    ours = LlamaConfig.from_dict({"model_type": "qwen3", **sliding})
    assert [n in ours.sliding for n in range(32)] == [kind == "sliding_attention" for kind in theirs.layer_types]
