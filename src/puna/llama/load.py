"""A checkpoint's tensors put into the model."""

import torch
from torch import Tensor

from puna.llama.config import LlamaConfig
from puna.llama.linear import default_dtype
from puna.llama.model import Llama
from puna.llama.packed import Packed, can_pack
from puna.weights.checkpoint import Checkpoint


def load(checkpoint: Checkpoint, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> Llama:
    """Build the model of a checkpoint; raise ModelFileError where it is not one that Puna computes.

    `dtype` is that of the matrix products (default: what the hardware is fast in). Embedding, head and norms
    are fp32 always; see the numbers policy in CONTRIBUTING.
    """
    config = LlamaConfig.from_dict(checkpoint.config)
    dtype = dtype or default_dtype(device)
    if dtype == torch.bfloat16 and torch.device(device).type == "cpu" and can_pack(config):
        with torch.device("meta"):
            model = Llama(config)
        model.packed = Packed(config, checkpoint)
        return model.eval().requires_grad_(False)
    model = Llama(config)  # blank: every tensor is assigned below
    state: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        wide = parameter.ndim == 1 or name in ("model.embed_tokens.weight", "lm_head.weight")
        state[name] = checkpoint.tensor(name, torch.float32 if wide else dtype).to(device)
    if config.tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model.load_state_dict(state, assign=True)
    model.tie()
    return model.eval().requires_grad_(False)
