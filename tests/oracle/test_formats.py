"""One random model in every layout it is stored in: the same logits, and those of Transformers."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from puna.llama.load import load
from puna.llama.model import causal_mask
from puna.weights.checkpoint import open_checkpoint
from tests.weights.tiny_model import make_tiny


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_key_value_heads": 1},
        {"num_key_value_heads": 6, "head_dim": 16},
        {"tie_word_embeddings": True},
        {"attention_bias": True, "mlp_bias": True},
    ],
    ids=["K3-G2-own-head-dim", "multi-query", "multi-head", "tied", "bias"],
)
def test_layouts_agree(changes: dict, tmp_path: Path) -> None:
    tiny = make_tiny(tmp_path, **changes)
    for_scale = 0.05  # the files hold N(0, 1): logits in the hundreds, so compare relatively
    ids = torch.randint(0, 96, (33,), generator=torch.Generator().manual_seed(3))
    found = []
    for path in (tiny.gguf, tiny.single, tiny.sharded):
        model = load(open_checkpoint(path), dtype=torch.float32)
        hidden = model(ids, torch.arange(33), None, causal_mask(0, 33))
        found.append(model.logits(hidden))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    oracle = LlamaForCausalLM.from_pretrained(tiny.single, dtype=torch.float32).eval()
    with torch.inference_mode():
        want = oracle(ids[None]).logits[0]
    assert want.abs().max() > 1 / for_scale
    torch.testing.assert_close(found[0] / want.abs().max(), want / want.abs().max(), atol=1e-5, rtol=0)


def test_wrong_pairing_would_show(tmp_path: Path) -> None:
    """Rows of q and k left in GGUF's order give other logits: the test above can fail."""
    tiny = make_tiny(tmp_path)
    right = load(open_checkpoint(tiny.gguf), dtype=torch.float32)
    ids = torch.arange(20)
    want = right(ids, ids, None, causal_mask(0, 20))
    from puna.weights.names import permute

    for layer in right.model.layers:
        layer.self_attn.q_proj.weight = torch.nn.Parameter(permute(layer.self_attn.q_proj.weight.data, 6))
    assert (right(ids, ids, None, causal_mask(0, 20)) - want).abs().max() > 0.01
